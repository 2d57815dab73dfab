import pytest
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("omi", deadline=None)
settings.load_profile("omi")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
