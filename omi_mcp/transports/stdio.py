"""MCP over standard input and output, for hosts that start the server themselves."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import anyio
from mcp.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import DiscoverResult, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from omi_mcp.server import OmiServer

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

GRACE_SECONDS = 3.0
"""How long a signal waits for the server to close its files before the process leaves anyway."""


def run(server: OmiServer) -> None:
    """Serve until the host closes standard input, or SIGTERM or SIGINT; exits 128 + signal after a signal."""
    closed = threading.Event()
    try:
        anyio.run(_serve, server, closed)
    finally:
        closed.set()


async def _serve(server: OmiServer, closed: threading.Event) -> None:
    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            await tasks.start(_stop_on_signal, tasks.cancel_scope.cancel, closed)
        try:
            await _run_stdio(server)
        finally:
            closed.set()
        tasks.cancel_scope.cancel()


async def _stop_on_signal(
    stop: Callable[[], None],
    closed: threading.Event,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            # The thread that reads stdin cannot be interrupted, and a normal exit would wait for it.
            threading.Thread(target=_leave, args=(closed, 128 + number), daemon=True).start()
            stop()
            return


def _leave(closed: threading.Event, code: int) -> None:
    closed.wait(GRACE_SECONDS)
    os._exit(code)


async def _run_stdio(server: OmiServer) -> None:
    lowlevel = server._lowlevel_server  # the SDK has no public way to run on other streams
    async with stdio_server() as (read, write):
        options = lowlevel.create_initialization_options(NotificationOptions())
        await lowlevel.run(ProbeTolerantStream(read, write, lowlevel), write, options)


class ProbeTolerantStream:
    """A read stream that answers `server/discover` itself until another request arrives.

    Some hosts probe with `server/discover` and then open with `initialize` on the same pipe. The SDK takes the
    connection's protocol era from the first request it sees, so the probe must not reach it.
    """

    def __init__(self, read: Any, write: Any, server: Server[Any]) -> None:
        self._read = read
        self._write = write
        self._server = server
        self._probing = True

    @property
    def last_context(self) -> Any:
        return self._read.last_context

    async def receive(self) -> SessionMessage | Exception:
        while True:
            item: SessionMessage | Exception = await self._read.receive()
            if not self._probing or isinstance(item, Exception) or not isinstance(item.message, JSONRPCRequest):
                return item
            if not _is_probe(item.message):
                self._probing = False
                return item
            await self._write.send(SessionMessage(self._answer(item.message)))

    def _answer(self, probe: JSONRPCRequest) -> JSONRPCMessage:
        version = (probe.params or {})["_meta"][PROTOCOL_VERSION]
        result = DiscoverResult(
            supported_versions=list(MODERN_PROTOCOL_VERSIONS),
            capabilities=self._server.get_capabilities(protocol_version=version),
            instructions=self._server.instructions,
        ).model_dump(by_alias=True, mode="json", exclude_none=True)
        result.setdefault("_meta", {})[SERVER_INFO] = self._server.server_info_stamp
        return JSONRPCResponse(jsonrpc="2.0", id=probe.id, result=result)

    def __aiter__(self) -> "ProbeTolerantStream":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._read.aclose()

    def close(self) -> None:
        self._read.close()

    async def __aenter__(self) -> "ProbeTolerantStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _is_probe(request: JSONRPCRequest) -> bool:
    """Whether this is a well-formed `server/discover` for a version served here; others get the SDK's own answer."""
    if request.method != "server/discover":
        return False
    meta = (request.params or {}).get("_meta")
    return (
        isinstance(meta, dict)
        and meta.get(PROTOCOL_VERSION) in MODERN_PROTOCOL_VERSIONS
        and isinstance(meta.get(CLIENT_CAPABILITIES), dict)
    )
