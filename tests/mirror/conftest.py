import pytest
from virtual_time import VirtualLoop


@pytest.fixture
def virtual_time() -> tuple[str, dict[str, object]]:
    """The parameters of `anyio_backend` for a test in virtual time."""
    return "asyncio", {"loop_factory": VirtualLoop}
