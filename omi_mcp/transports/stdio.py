"""MCP over standard input and output, for hosts that start the server themselves."""

import json
import logging
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from types import TracebackType
from typing import Any, BinaryIO

import anyio
import anyio.abc
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import NotificationOptions, Server
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    DiscoverResult,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from omi_mcp.server import OmiServer

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

UNREAD_SECONDS = 120.0
"""How long a host may leave what it is sent unread, before it is taken for gone."""

FLUSH_SECONDS = 2.0
"""How long the last answers may take to leave."""

GRACE_SECONDS = 6.0
"""How long the server may take to end: a write that is out is waited for, and files are closed."""

_ID = r'"id"\s*:\s*(-?\d{1,15}|"(?:[^"\\]|\\.){0,200}")'
_FIRST = re.compile(rf'\s*\{{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*{_ID}')
_LAST = re.compile(rf"{_ID}\s*\}}\s*$")


class End(Enum):
    """What ended a session."""

    INPUT = auto()
    """The host closed standard input: the way MCP has it."""
    OUTPUT = auto()
    """The host reads no more, or has gone."""


def run(server: OmiServer) -> None:
    """Serve until the host has gone; returns where it closed standard input, else the process ends here.

    The exit code is 128 + signal after SIGTERM or SIGINT, and 0 where the host closed what it should read.
    """
    session = _Session(server)
    try:
        with _standard_streams() as (source, sink):
            anyio.run(session.serve, source, sink)
    except KeyboardInterrupt:  # where signals cannot be received otherwise
        session.code = 130
    if session.ended is not End.INPUT:
        # The thread that reads standard input cannot be interrupted, and a normal exit would wait for it.
        logging.shutdown()
        os._exit(session.code)


@contextmanager
def _standard_streams() -> Iterator[tuple[BinaryIO, int]]:
    """The wire, which nothing else in this process can touch meanwhile: what is printed goes to standard error."""
    source, sink = os.dup(0), os.dup(1)
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    os.dup2(2, 1)
    try:
        yield os.fdopen(source, "rb", closefd=False), sink
    finally:
        os.dup2(source, 0)
        os.dup2(sink, 1)


class _Session:
    """One host. `ended` is what ended it, None for a signal; `code` what the process should exit with."""

    def __init__(self, server: OmiServer) -> None:
        self._server = server._lowlevel_server  # the SDK has no public way to run on other streams
        self._lifetime: anyio.CancelScope | None = None
        self.ended: End | None = None
        self.code = 0

    async def serve(self, source: BinaryIO, sink: int) -> None:
        send, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        self._lifetime = lifetime = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":
                await tasks.start(self._stop_on_signal)
                self._watch(sink)
            written = anyio.Event()
            tasks.start_soon(self._write, sink, outgoing, written)
            with lifetime:
                incoming = HostStream(source, send, self._server)
                options = self._server.create_initialization_options(NotificationOptions())
                await self._server.run(incoming, send, options)
                self.ended = self.ended or End.INPUT
            with anyio.move_on_after(FLUSH_SECONDS):
                await written.wait()
            tasks.cancel_scope.cancel()

    async def _stop_on_signal(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self.code = 128 + number
                self._stop(None)

    def _stop(self, end: End | None) -> None:
        """End the session soon, whatever hangs."""
        self.ended = end
        if self._lifetime is not None:
            self._lifetime.cancel()
        last_resort = threading.Timer(GRACE_SECONDS, os._exit, (self.code,))
        last_resort.daemon = True
        last_resort.start()

    async def _write(
        self, sink: int, outgoing: MemoryObjectReceiveStream[SessionMessage], written: anyio.Event
    ) -> None:
        """Write what is sent, until there is nothing more or nobody to read it."""
        with outgoing:
            async for item in outgoing:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                with anyio.move_on_after(UNREAD_SECONDS) as waiting:
                    try:
                        await anyio.to_thread.run_sync(_write_all, sink, line, abandon_on_cancel=True)
                    except OSError:
                        break
                if waiting.cancelled_caught:
                    break
            else:
                written.set()
                return
        written.set()
        self._stop(End.OUTPUT)

    def _watch(self, sink: int) -> None:
        """Notice it when the host closes standard output, though nothing is sent."""
        token = anyio.lowlevel.current_token()
        poll = select.poll()
        poll.register(sink, 0)  # errors and the other end's hanging up are always told

        def wait() -> None:
            poll.poll()
            with suppress(RuntimeError):  # the loop is closed
                anyio.from_thread.run_sync(self._stop, End.OUTPUT, token=token)

        threading.Thread(target=wait, daemon=True).start()


def _write_all(sink: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(sink, left) :]


class HostStream:
    """The messages of a host, as the SDK reads them. Two kinds do not reach it.

    Some hosts probe with `server/discover` and then open with `initialize` on the same pipe. The SDK takes the
    connection's protocol era from the first request it sees, so probes before it are answered here.

    The SDK passes over a line that it cannot read, and the host would wait for the answer. It gets an error.
    """

    def __init__(self, source: BinaryIO, write: MemoryObjectSendStream[SessionMessage], server: Server[Any]) -> None:
        self._source = source
        self._send = write.clone()
        self._server = server
        self._probing = True

    async def receive(self) -> SessionMessage | Exception:
        while True:
            line = await anyio.to_thread.run_sync(self._source.readline, abandon_on_cancel=True)
            if not line:
                raise anyio.EndOfStream
            if not line.strip():
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if (refused := refusal(line.decode("utf-8", "replace"))) is not None:
                    await self._send.send(SessionMessage(refused))
                continue
            if not self._probing or not isinstance(message, JSONRPCRequest):
                return SessionMessage(message)
            if not _is_probe(message):
                self._probing = False
                return SessionMessage(message)
            await self._send.send(SessionMessage(self._answer(message)))

    def _answer(self, probe: JSONRPCRequest) -> JSONRPCMessage:
        version = (probe.params or {})["_meta"][PROTOCOL_VERSION]
        result = DiscoverResult(
            supported_versions=list(MODERN_PROTOCOL_VERSIONS),
            capabilities=self._server.get_capabilities(protocol_version=version),
            instructions=self._server.instructions,
        ).model_dump(by_alias=True, mode="json", exclude_none=True)
        result.setdefault("_meta", {})[SERVER_INFO] = self._server.server_info_stamp
        return JSONRPCResponse(jsonrpc="2.0", id=probe.id, result=result)

    def __aiter__(self) -> "HostStream":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._send.close()

    async def __aenter__(self) -> "HostStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def refusal(line: str) -> JSONRPCError | None:
    """The answer to a line that is no message; None where nobody waits for one, as after a notification."""
    try:
        message = json.loads(line, strict=False)
    except (ValueError, RecursionError):
        found = _FIRST.match(line) or _LAST.search(line)
        return _error(PARSE_ERROR, "This line is no JSON.", json.loads(found[1], strict=False) if found else None)
    if not isinstance(message, dict):
        return _error(INVALID_REQUEST, "This line is no single JSON-RPC message.", None)
    if "id" not in message or not {"result", "error"}.isdisjoint(message):
        return None
    number = message["id"] if type(message["id"]) in (int, str) else None
    if number is None or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return _error(INVALID_REQUEST, "This line is no JSON-RPC request.", number)
    return _error(
        INVALID_PARAMS, "The parameters hold something that is no valid JSON, such as half a character.", number
    )


def _error(code: int, text: str, number: int | str | None) -> JSONRPCError:
    if isinstance(number, str):
        number = number.encode("utf-8", "replace").decode()
    return JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=text))


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
