"""Fault injection: rules that say what goes wrong with a request, and the carrying out of them.

A spec is a list of rules parted by commas, each `kind[=number][@route[+route...]][*rate][#times]`:

    drop-after@create#1                 the first text create is made, its answer never comes
    503@list*0.2, delay=2@reads*0.5     every fifth list fails, every second read takes two seconds longer

Kinds, with what the client sees and what the service has done by then:

    refuse          no connection                               nothing
    drop-before     the connection closes without an answer     nothing
    drop-during=s   the connection closes without an answer     the request, s seconds later (0.05)
    drop-after      the connection closes without an answer     the request
    reset           the connection is reset in mid-answer       the request
    hang            silence                                     the request
    delay=s         the answer, s seconds late (1)              the request, when the answer comes
    slow=s          the body in pieces over s seconds (1)       the request
    429=s           429, `Retry-After: s` (60)                  nothing
    500, 503        the service's 500 and 503 for that route    nothing
    504             504 without a body                          the request: the time limit does not stop the work
    truncate        half of the body, well framed               the request
    html            200 with a gateway's HTML page              the request
    mistype         the answer labelled text/plain              the request

Routes: list, get, search, create, segments, update, delete, folders, key, items; reads and writes for the groups;
none means all.
Where several rules fit a request, the first one that is drawn wins. A run is repeated by its seed.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NUMBERS: dict[str, float] = {"drop-during": 0.05, "delay": 1.0, "slow": 1.0, "429": 60.0}
KINDS: tuple[str, ...] = (
    "refuse", "drop-before", "drop-during", "drop-after", "reset", "hang", "delay", "slow",
    "429", "500", "503", "504", "truncate", "html", "mistype",
)  # fmt: skip
_GROUPS: dict[str, frozenset[str]] = {
    "reads": frozenset({"list", "get", "search", "folders", "key", "items"}),
    "writes": frozenset({"create", "segments", "update", "delete"}),
}
ROUTES = frozenset().union(*_GROUPS.values())
_RULE = re.compile(
    r"(?P<kind>[a-z0-9-]+)(?:=(?P<number>\d+(?:\.\d+)?))?(?:@(?P<routes>[a-z+]+))?"
    r"(?:\*(?P<rate>\d*\.?\d+))?(?:#(?P<times>\d+))?"
)
_CONVERSATIONS = "/v1/dev/user/conversations"


@dataclass(frozen=True)
class Rule:
    """One fault. `number` is in seconds; `rate` a probability; `times` how often at most, None without end."""

    kind: str
    number: float = 0.0
    routes: frozenset[str] = ROUTES
    rate: float = 1.0
    times: int | None = None


class Faults:
    """The rules in force, and how often each has been applied."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._applied: Counter[int] = Counter()

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read a spec as described above. Raises ValueError naming the rule that does not fit."""
        return cls(_parse(text.strip()) for text in spec.split(",") if text.strip())

    def pick(self, method: str, path: str, rng: random.Random) -> Rule | None:
        """The fault that strikes this request, if any."""
        route = _route(method, path)
        for index, rule in enumerate(self._rules):
            spent = rule.times is not None and self._applied[index] >= rule.times
            if route in rule.routes and not spent and rng.random() < rule.rate:
                self._applied[index] += 1
                return rule
        return None


def _parse(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        raise ValueError(
            f"fault {text!r}: expected kind[=number][@route+route][*rate][#times], kinds {', '.join(KINDS)}"
        )
    kind, number = match["kind"], match["number"]
    if number is not None and kind not in _NUMBERS:
        raise ValueError(f"fault {text!r}: {kind} takes no number")
    rate = float(match["rate"] or 1)
    if rate > 1:
        raise ValueError(f"fault {text!r}: the rate is a probability, 0 to 1")
    return Rule(
        kind=kind,
        number=_NUMBERS.get(kind, 0.0) if number is None else float(number),
        routes=_routes(text, match["routes"]),
        rate=rate,
        times=int(match["times"]) if match["times"] else None,
    )


def _routes(text: str, names: str | None) -> frozenset[str]:
    if names is None:
        return ROUTES
    chosen: set[str] = set()
    for name in names.split("+"):
        if name not in ROUTES and name not in _GROUPS:
            raise ValueError(f"fault {text!r}: unknown route {name!r}, known: {', '.join(sorted({*ROUTES, *_GROUPS}))}")
        chosen |= _GROUPS.get(name, {name})
    return frozenset(chosen)


def _route(method: str, path: str) -> str | None:
    """The name a request's route has in a spec; None for one the service does not know."""
    match method, path.removeprefix(_CONVERSATIONS):
        case "GET", "/v1/dev/user/folders":
            return "folders"
        case "GET", "/v1/dev/key":
            return "key"
        case "GET", "/v1/dev/user/action-items":
            return "items"
        case "GET", "":
            return "list"
        case "GET", "/search":
            return "search"
        case "POST", "":
            return "create"
        case "POST", "/from-segments":
            return "segments"
        case (("GET" | "PATCH" | "DELETE"), rest) if rest.startswith("/") and rest != path:
            return {"GET": "get", "PATCH": "update", "DELETE": "delete"}[method]
    return None


EXTENSION = "omi_mcp.sandbox"
"""ASGI extension with `read_timeout`: the seconds the client waits for the next bytes, where they are known."""

PIECES = 8
"""How many a slow body comes in."""


class Break(Enum):
    """In which way a connection fails."""

    REFUSED = auto()
    CLOSED = auto()
    RESET = auto()
    SILENT = auto()


class ConnectionBroken(Exception):
    """No further byte of the answer will come; the transport makes the client see it."""

    def __init__(self, how: Break) -> None:
        super().__init__(how.name)
        self.how = how


class Background:
    """Work of the service that goes on although nobody waits for its answer."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, work: Awaitable[None]) -> asyncio.Future[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Future[None]) -> None:
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


class FaultInjection:
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
                raise ConnectionBroken(Break.REFUSED)
            case "drop-before":
                raise ConnectionBroken(Break.CLOSED)
            case "429" | "500" | "503":
                await _failure(self._rule, scope)(scope, receive, send)
                return
        body = await _read(receive)
        if self._rule.kind == "drop-during":
            self._later(scope, body, seconds)
            raise ConnectionBroken(Break.CLOSED)
        if self._rule.kind == "delay":
            if _read_timeout(scope) <= seconds:
                self._later(scope, body, seconds)
                raise ConnectionBroken(Break.SILENT)
            await self._sleep(seconds)
        start, content = await self._process(scope, body)
        match self._rule.kind:
            case "drop-after":
                raise ConnectionBroken(Break.CLOSED)
            case "hang":
                raise ConnectionBroken(Break.SILENT)
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
                raise ConnectionBroken(Break.RESET)
            case "slow":
                await self._send_slowly(scope, send, start, content)
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

    async def _send_slowly(self, scope: Scope, send: Send, start: Message, content: bytes) -> None:
        pause = self._rule.number / PIECES
        if _read_timeout(scope) <= pause:
            raise ConnectionBroken(Break.SILENT)
        await send(start)
        size = max(1, -(-len(content) // PIECES))
        for position in range(0, len(content), size):
            await self._sleep(pause)
            piece = content[position : position + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _read_timeout(scope: Scope) -> float:
    timeout = scope.get("extensions", {}).get(EXTENSION, {}).get("read_timeout")
    return float("inf") if timeout is None else float(timeout)


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
