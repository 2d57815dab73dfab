import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure; and where a change is judged, the same change is judged alike each time.
EXAMPLES = int(os.environ.get("OMI_TEST_EXAMPLES", "25"))
settings.register_profile("omi", deadline=None, derandomize="CI" in os.environ, max_examples=EXAMPLES)
settings.load_profile("omi")

# Processes that tests start would all compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A command that a test runs must not find the key that a developer's own `install` keeps.
os.environ["XDG_CONFIG_HOME"] = str(Path(tempfile.gettempdir()) / "omi-mcp-tests-without-configuration")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
