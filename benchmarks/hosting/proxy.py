"""A plain HTTP/1.1 proxy: each request goes to the next replica, whoever asks; nothing is tried twice.

python -m benchmarks.hosting.proxy PORT REPLICA_PORT...
"""

import asyncio
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

IDLE_SECONDS = 2.0
"""How long a connection to a replica is used again, well below what a replica keeps it open for."""

LIMIT = 1 << 20
HOP = (b"connection", b"keep-alive", b"proxy-connection")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Broken(Exception):
    """A peer closed in the middle of a message."""


@dataclass(frozen=True)
class Head:
    start: bytes
    fields: list[tuple[bytes, bytes]]

    def field(self, name: bytes) -> bytes:
        return next((value for known, value in self.fields if known == name), b"")

    def encoded(self) -> bytes:
        lines = [self.start, *(name + b": " + value for name, value in self.fields if name not in HOP)]
        return b"\r\n".join([*lines, b"", b""])

    def has_body(self, method: bytes) -> bool:
        """Of an answer."""
        status = self.start.split(b" ", 2)[1]
        return method != b"HEAD" and status not in (b"204", b"304")


async def read_head(reader: asyncio.StreamReader) -> Head:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Broken from error
    start, *lines = raw[:-4].split(b"\r\n")
    fields = []
    for line in lines:
        name, _, value = line.partition(b":")
        fields.append((name.strip().lower(), value.strip()))
    return Head(start, fields)


async def pass_body(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_end: bool) -> bool:
    """Hand on the body as it comes. `to_end`: without a length it goes on until the connection closes. True where the
    connection can be used again."""
    try:
        if head.field(b"transfer-encoding").lower() == b"chunked":
            while True:
                line = await reader.readuntil(b"\r\n")
                size = int(line.split(b";")[0], 16)
                writer.write(line + await reader.readexactly(size + 2))
                await writer.drain()
                if not size:
                    return True
        length = head.field(b"content-length")
        if length:
            left = int(length)
            while left:
                part = await reader.read(min(left, 1 << 16))
                if not part:
                    raise Broken
                left -= len(part)
                writer.write(part)
                await writer.drain()
            return True
        while to_end and (part := await reader.read(1 << 16)):
            writer.write(part)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Broken from error
    return not to_end


class Watched(asyncio.StreamReader):
    """Tells when its peer has gone, whether somebody reads or not."""

    def __init__(self) -> None:
        super().__init__(LIMIT)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)
        self.gone.set()


class Proxy:
    def __init__(self, ports: list[int]) -> None:
        self._turns = itertools.cycle(ports)
        self._idle: dict[int, list[tuple[float, Streams]]] = defaultdict(list)

    async def serve(self, reader: Watched, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (Broken, OSError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: Watched, writer: asyncio.StreamWriter) -> bool:
        """Hand one request on and its answer back. True where the next one may come on the same connection."""
        request = await read_head(reader)
        port = next(self._turns)
        passing = asyncio.ensure_future(self._pass(request, reader, writer, port))
        gone = asyncio.ensure_future(reader.gone.wait())
        try:
            # Who goes away while the answer is awaited takes the request along.
            await asyncio.wait((passing, gone), return_when=asyncio.FIRST_COMPLETED)
            return passing.done() and passing.result()
        finally:
            gone.cancel()
            passing.cancel()

    async def _pass(self, request: Head, reader: Watched, writer: asyncio.StreamWriter, port: int) -> bool:
        above, begun = None, False
        try:
            above = await self._connected(port)
            above[1].write(request.encoded())
            await pass_body(request, reader, above[1], to_end=False)
            answer = await read_head(above[0])
            begun = True
            writer.write(answer.encoded())
            whole = True
            if answer.has_body(request.start.split(b" ", 1)[0]):
                whole = await pass_body(answer, above[0], writer, to_end=True)
            await writer.drain()
        except (Broken, OSError, ValueError):
            if above is not None:
                above[1].close()
            if begun:
                raise
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return False
        except BaseException:
            if above is not None:
                above[1].close()
            raise
        if whole and answer.field(b"connection").lower() != b"close":
            self._idle[port].append((time.monotonic(), above))
        else:
            above[1].close()
        return whole

    async def _connected(self, port: int) -> Streams:
        idle = self._idle[port]
        while idle:
            since, streams = idle.pop()
            if time.monotonic() - since < IDLE_SECONDS and not streams[0].at_eof():
                return streams
            streams[1].close()
        return await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)


@asynccontextmanager
async def serving(proxy: Proxy, port: int) -> AsyncIterator[int]:
    """Serve at this port, or at a free one."""
    server = await asyncio.get_running_loop().create_server(
        lambda: asyncio.StreamReaderProtocol(Watched(), proxy.serve), "127.0.0.1", port
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def main(port: int, replicas: list[int]) -> None:
    async with serving(Proxy(replicas), port):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
