"""Carrying out a fault on one request: around the app, before the connection."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, auto
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omi_mcp.sandbox.faults import Rule

EXTENSION = "omi_mcp.sandbox"
"""ASGI extension with `patience`: the seconds the client waits for the next bytes, where the transport knows them."""

PIECES = 8
"""How many a slow body comes in."""


class How(Enum):
    """In which way a connection fails."""

    REFUSED = auto()
    CLOSED = auto()
    RESET = auto()
    SILENT = auto()


class Broken(Exception):
    """No further byte of the answer will come; the transport makes the client see it."""

    def __init__(self, how: How) -> None:
        super().__init__(how.name)
        self.how = how


class Background:
    """Work of the service that goes on although nobody waits for its answer."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it a second time

    async def settle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        for task in self._tasks:
            if not task.get_loop().is_closed():
                task.cancel()


class Disturbance:
    """One rule, applied to one request of `app`."""

    def __init__(
        self, rule: Rule, app: ASGIApp, sleep: Callable[[float], Awaitable[None]], background: Background
    ) -> None:
        self._rule = rule
        self._app = app
        self._sleep = sleep
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self._rule.number
        match self._rule.kind:
            case "refuse":
                raise Broken(How.REFUSED)
            case "drop-before":
                raise Broken(How.CLOSED)
            case "429" | "500" | "503":
                await _failure(self._rule, scope)(scope, receive, send)
                return
        body = await _read(receive)
        if self._rule.kind == "drop-during":
            self._later(scope, body, seconds)
            raise Broken(How.CLOSED)
        if self._rule.kind == "delay":
            if _patience(scope) <= seconds:
                self._later(scope, body, seconds)
                raise Broken(How.SILENT)
            await self._sleep(seconds)
        start, content = await self._process(scope, body)
        match self._rule.kind:
            case "drop-after":
                raise Broken(How.CLOSED)
            case "hang":
                raise Broken(How.SILENT)
            case "504":
                await Response(status_code=504)(scope, receive, send)
            case "html":
                await HTMLResponse("<html><body><h1>Please stand by</h1></body></html>")(scope, receive, send)
            case "truncate":
                content = content[: len(content) // 2]
                await _answer(send, _with_header(start, b"content-length", b"%d" % len(content)), content)
            case "mistype":
                await _answer(send, _with_header(start, b"content-type", b"text/plain; charset=utf-8"), content)
            case "reset":
                await send(start)
                await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
                raise Broken(How.RESET)
            case "slow":
                await self._dribble(scope, send, start, content)
            case _:
                await _answer(send, start, content)

    async def _process(self, scope: Scope, body: bytes) -> tuple[Message, bytes]:
        """Let the app do its work; its answer, not sent yet."""
        sent: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, replay, keep)
        return sent[0], b"".join(message.get("body", b"") for message in sent[1:])

    def _later(self, scope: Scope, body: bytes, seconds: float) -> None:
        async def work() -> None:
            await self._sleep(seconds)
            await self._process(scope, body)

        self._background.start(work())

    async def _dribble(self, scope: Scope, send: Send, start: Message, content: bytes) -> None:
        pause = self._rule.number / PIECES
        if _patience(scope) <= pause:
            raise Broken(How.SILENT)
        await send(start)
        size = max(1, -(-len(content) // PIECES))
        for position in range(0, len(content), size):
            await self._sleep(pause)
            piece = content[position : position + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _patience(scope: Scope) -> float:
    patience = scope.get("extensions", {}).get(EXTENSION, {}).get("patience")
    return float("inf") if patience is None else float(patience)


async def _read(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _answer(send: Send, start: Message, content: bytes) -> None:
    await send(start)
    await send({"type": "http.response.body", "body": content, "more_body": False})


def _with_header(start: Message, name: bytes, value: bytes) -> Message:
    headers = [(key, old) for key, old in start["headers"] if key != name]
    return {**start, "headers": [*headers, (name, value)]}


def _failure(rule: Rule, scope: Scope) -> Response:
    """The service's own shapes: creates fail in words of their own, and its limiter names the wait."""
    creating = scope["method"] == "POST"
    match rule.kind:
        case "429":
            wait = str(round(rule.number))
            headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "Retry-After": wait}
            return JSONResponse({"detail": f"Rate limit exceeded. Try again in {wait}s."}, 429, headers)
        case "503" if creating:
            message = "The model provider is unavailable. This will be retried automatically."
            return JSONResponse({"detail": {"code": "provider_unavailable", "message": message}}, 503)
        case "503":
            return JSONResponse({"detail": "Rate limiter unavailable"}, 503)
        case _ if creating:
            return JSONResponse({"detail": "Error processing conversation, please try again later"}, 500)
    return PlainTextResponse("Internal Server Error", 500)
