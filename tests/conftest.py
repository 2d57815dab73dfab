import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure; and where a change is judged, the same change is judged alike each time.
settings.register_profile("omi", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("omi")

# A command that a test runs must not find the key that a developer's own `install` keeps.
os.environ["XDG_CONFIG_HOME"] = str(Path(tempfile.gettempdir()) / "omi-mcp-tests-without-configuration")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
