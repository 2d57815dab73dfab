import os

import pytest
from hypothesis import settings

# A slow machine is no failure; and where a change is judged, the same change is judged alike each time.
settings.register_profile("omi", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("omi")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
