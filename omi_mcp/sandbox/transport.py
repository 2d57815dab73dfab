"""The way into the sandbox without a network, with the errors a network would have."""

import asyncio

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from omi_mcp.sandbox.disturbing import EXTENSION, Background, Broken, How


class InProcess(httpx.AsyncBaseTransport):
    """Like a server, it finishes a request whose client has gone; like a network, it breaks with httpx's errors."""

    def __init__(self, app: ASGIApp, background: Background) -> None:
        self._app = app
        self._background = background

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        patience = request.extensions.get("timeout", {}).get("read")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {EXTENSION: {"patience": patience}}
            await asyncio.shield(self._background.start(self._serve(scope, receive, send)))

        try:
            return await httpx.ASGITransport(app).handle_async_request(request)
        except Broken as broken:
            raise _error(broken.how) from None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _error(how: How) -> httpx.TransportError:
    match how:
        case How.REFUSED:
            return httpx.ConnectError("All connection attempts failed")
        case How.CLOSED:
            return httpx.RemoteProtocolError("Server disconnected without sending a response.")
        case How.RESET:
            return httpx.ReadError("Connection reset by peer")
        case How.SILENT:
            return httpx.ReadTimeout("The read operation timed out")
