"""What the tests of the HTTP transport share: the real app, a client that reaches it, and messages to send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import HttpAccess, Settings
from omi_mcp.transports import http

PORT = 8765
TOKEN = "a-token-for-the-tests-of-http"
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}},
}


class Held(httpx.AsyncBaseTransport):
    """The way to the Omi API, which lets requests through once they are `released`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._transport = sandbox.transport()
        self.asked = anyio.Event()
        self.released = anyio.Event()
        self.created = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        await self.released.wait()
        answer = await self._transport.handle_async_request(request)
        if request.method == "POST":
            self.created.set()
        return answer


@asynccontextmanager
async def running(
    sandbox: Sandbox,
    data_dir: Path,
    access: HttpAccess,
    *,
    issuer: httpx.AsyncBaseTransport | None = None,
    omi: httpx.AsyncBaseTransport | None = None,
    port: int = PORT,
    allow_delete: bool = False,
    **options: Any,
) -> AsyncIterator[Starlette]:
    """The whole app, as it would be served on `port` of this computer."""
    settings = Settings(
        timezone=ZoneInfo("UTC"),
        data_dir=data_dir,
        api_key=sandbox.key,
        base_url=sandbox.base_url,
        mirror="memory",
        allow_delete=allow_delete,
    )
    opened = http.access_policy(access, "127.0.0.1", port, data_dir, transport=issuer, **options)
    server = build_server(
        settings,
        transport=omi or sandbox.transport(),
        auth=opened.auth,
        token_verifier=opened.verifier,
        caller=opened.caller,
    )
    app = http.app(server, opened.hosts, opened.scopes)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def reached(
    sandbox: Sandbox, data_dir: Path, access: HttpAccess, *, base_url: str = f"http://127.0.0.1:{PORT}", **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client on that app."""
    async with (
        running(sandbox, data_dir, access, **more) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url, headers=ACCEPT) as client,
    ):
        yield client


@asynccontextmanager
async def listening(app: Starlette, connection: type[http.Connection]) -> AsyncIterator[int]:
    """The port of this computer where `app`, which is running, answers over real sockets."""
    config = http.config(app, connection)
    config.lifespan = "off"
    config.timeout_graceful_shutdown = 1
    with http.listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def initialize(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/mcp", json=INITIALIZE, headers=headers)


def tool_call(name: str, number: int = 2, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
