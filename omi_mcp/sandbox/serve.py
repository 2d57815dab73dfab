"""The sandbox as a server on this machine, for any client that speaks HTTP."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from omi_mcp.sandbox.account import Sandbox
from omi_mcp.sandbox.faults import Break, ConnectionBroken
from omi_mcp.sandbox.many import Sandboxes

HOST = "127.0.0.1"
"""Never further than this machine."""

SHUTDOWN_SECONDS = 2
"""How long requests in flight may still take when the server stops."""


def serve(sandbox: Sandbox | Sandboxes, port: int = 0, *, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, from the main thread.

    Port 0 takes a free one. `announce` gets the base URL as soon as requests are answered.
    Raises OSError when the port is taken.
    """

    async def run() -> None:
        async with serving(sandbox, port) as base_url:
            announce(base_url)
            await asyncio.Event().wait()

    before = {stop: signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)}
    # Shells start the background jobs of a script with SIGINT ignored, and asyncio would leave it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(run())
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


@asynccontextmanager
async def serving(sandbox: Sandbox | Sandboxes, port: int = 0) -> AsyncIterator[str]:
    """Serve for as long as the block lasts; gives the base URL."""
    listener = socket.create_server((HOST, port))
    server = _Server(sandbox)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Breaks connections where a fault says so, and leaves signals to whoever started it."""

    def __init__(self, sandbox: Sandbox | Sandboxes) -> None:
        super().__init__(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        self._sandbox = sandbox
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._sandbox.app(scope, receive, send)
        except ConnectionBroken as broken:
            self._break(scope["client"], broken.how)
            while (await receive())["type"] != "http.disconnect":
                pass

    def _break(self, client: tuple[str, int], how: Break) -> None:
        for connection in self.server_state.connections:
            if isinstance(connection, H11Protocol) and connection.client == client:
                _break(connection.transport, how)


def _break(transport: asyncio.Transport, how: Break) -> None:
    """A listener cannot refuse a connection it has taken: a refused one is reset before anything was done."""
    match how:
        case Break.SILENT:
            pass
        case Break.CLOSED:
            transport.close()
        case Break.RESET | Break.REFUSED:
            # Lingering for no time at all makes the close a reset. The structure is of shorts on Windows.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
