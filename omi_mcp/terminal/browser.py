"""A page for the person's own browser: on this computer alone, for the first who asks, until they close it.

Nothing is written to disk, where it would stay; and some browsers may not read the files of other programs.
"""

import secrets
import webbrowser
from collections.abc import Callable

import anyio
from anyio.abc import ByteStream, SocketAttribute

from omi_mcp.tasks import beside

ARRIVAL = 120.0
"""Seconds for a browser to come."""
ABSENCE = 8.0
"""Seconds that the page may be gone before it counts as closed: a reload takes some."""
LONGEST_REQUEST = 16_384

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class NoBrowser(Exception):
    """There is none here, or none came."""


class Visit:
    """One page, at an address nobody can guess. Whoever asks first has it, and no one else.

    An address that a browser is started with can be read by others on the same computer.
    """

    def __init__(self, page: str, policy: str, *, absence: float = ABSENCE) -> None:
        self._page = page.encode()
        self._policy = policy
        self._absence = absence
        self._path = f"/{secrets.token_urlsafe(24)}/"
        self._cookie = secrets.token_urlsafe(24)
        self._given = False
        self._open = 0
        self._changed = anyio.Event()

    async def last(self, announce: Callable[[str], None]) -> None:
        """Start a browser at the page, tell its address, and return when the page was closed.

        Raises:
            NoBrowser: none could be started, or none came.
        """
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self._host = f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
            address = f"http://{self._host}{self._path}"

            async def serve() -> None:
                await listener.serve(self._answer)

            async with beside(serve):
                # A browser that runs in this terminal returns only when it is left.
                if not await anyio.to_thread.run_sync(webbrowser.open, address, abandon_on_cancel=True):
                    raise NoBrowser
                announce(address)
                if not await self._within(ARRIVAL, lambda: self._given):
                    raise NoBrowser
                while await self._within(self._absence, lambda: self._open > 0):
                    await self._within(None, lambda: self._open == 0)

    async def _within(self, seconds: float | None, condition: Callable[[], bool]) -> bool:
        """Whether it comes true within so many seconds."""
        with anyio.move_on_after(seconds):
            while not condition():
                await self._changed.wait()
            return True
        return False

    async def _answer(self, stream: ByteStream) -> None:
        async with stream:
            try:
                path, headers = await self._request(stream)
                if headers.get("host") != self._host or not self._may(path, headers):
                    await stream.send(REFUSED)
                elif path == self._path:
                    self._given = True
                    self._tell()
                    await stream.send(self._head(f"Content-Length: {len(self._page)}") + self._page)
                elif path == f"{self._path}open":
                    await stream.send(self._head())
                    await self._hold(stream)
                else:
                    await stream.send(REFUSED)
            except (ValueError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    def _may(self, path: str, headers: dict[str, str]) -> bool:
        cookies = [each.strip() for each in headers.get("cookie", "").split(";")]
        return f"page={self._cookie}" in cookies or (path == self._path and not self._given)

    async def _request(self, stream: ByteStream) -> tuple[str, dict[str, str]]:
        """Path and headers of a GET request. Raises ValueError for anything else."""
        received = b""
        while b"\r\n\r\n" not in received:
            if len(received) > LONGEST_REQUEST:
                raise ValueError
            received += await stream.receive()
        first, *lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        if method != "GET":
            raise ValueError
        parts = (line.partition(":") for line in lines)
        return path, {name.strip().lower(): value.strip() for name, _, value in parts}

    def _head(self, *more: str) -> bytes:
        lines = (
            "HTTP/1.1 200 OK",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Security-Policy: {self._policy}",
            f"Set-Cookie: page={self._cookie}; Path={self._path}; HttpOnly; SameSite=Strict",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            "Cross-Origin-Resource-Policy: same-origin",
            "Connection: close",
            *more,
        )
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    async def _hold(self, stream: ByteStream) -> None:
        """Count as open for as long as the browser keeps this connection."""
        self._open += 1
        self._tell()
        try:
            while True:
                await stream.receive()
        finally:
            self._open -= 1
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
