from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hosting import Connect, first_cause
from mcp import Client

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture(params=["auto", "legacy"])
def connect(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Connect:
    """Opens an MCP client on a server over the sandbox, in each protocol era."""

    @asynccontextmanager
    async def connected(**changes: Any) -> AsyncIterator[Client]:
        given: dict[str, Any] = {
            "timezone": ZoneInfo("Europe/Berlin"),
            "data_dir": tmp_path,
            "api_key": sandbox.key,
            "base_url": sandbox.base_url,
        }
        settings = Settings(**(given | changes))
        try:
            async with Client(build_server(settings, transport=sandbox.transport()), mode=request.param) as client:
                yield client
        except BaseExceptionGroup as group:
            raise first_cause(group) from None

    return connected
