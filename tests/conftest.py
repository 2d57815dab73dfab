import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import stores
from tests.isolation import watched
from tests.postgres_kit import PostgresServer

# A slow machine is no failure; and where a change is judged, the same change is judged alike each time.
EXAMPLES = int(os.environ.get("OMI_TEST_EXAMPLES", "25"))
settings.register_profile("omi", deadline=None, derandomize="CI" in os.environ, max_examples=EXAMPLES)
settings.load_profile("omi")

# Processes that tests start would all compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A command that a test runs must not find the key that a developer's own `install` keeps.
os.environ["XDG_CONFIG_HOME"] = str(Path(tempfile.gettempdir()) / "omi-mcp-tests-without-configuration")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a PostgreSQL, unless everything is kept there."""
    for item in items:
        if not stores.SHARED and "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.database)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process, which all its tests share; one that stops it has to start it again."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session", autouse=stores.SHARED)
def everything_is_kept(postgres_server: PostgresServer) -> Iterator[None]:
    """All that tests keep is kept there, and no account is forgotten in a statement."""
    url = postgres_server.fresh_database()
    stores.use(url)
    with watched(postgres_server, url):
        yield


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database of this test, with all tables and nothing in them, for a role that is no superuser."""
    url = postgres_server.fresh_database()
    yield url
    postgres_server.drop(url)
