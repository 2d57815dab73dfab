from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import viewer_kit
from mcp import Client

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

Show = Callable[..., AbstractAsyncContextManager[viewer_kit.View]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Any]:
    async with viewer_kit.chromium() as started:
        yield started


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture
def show(browser: Any, sandbox: Sandbox, tmp_path: Path) -> Show:
    """Opens a conversation of the sandbox in the viewer of a host, as `show_conversation` answers."""

    @asynccontextmanager
    async def opened(conversation_id: str, host: viewer_kit.Host | None = None, **place: Any) -> AsyncIterator[Any]:
        settings = Settings(
            timezone=ZoneInfo("Europe/Berlin"), data_dir=tmp_path, api_key=sandbox.key, base_url=sandbox.base_url
        )
        server = build_server(settings, transport=sandbox.transport())
        arguments = {"conversation_id": conversation_id, **place}
        try:
            async with (
                Client(server, extensions=[viewer_kit.APPS]) as client,
                viewer_kit.shown(browser, client, arguments, host) as view,
            ):
                yield view
        except BaseExceptionGroup as group:
            raise _first_cause(group) from None

    return opened


def _first_cause(error: BaseException) -> BaseException:
    return _first_cause(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
