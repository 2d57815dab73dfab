"""What an operator needs of the HTTP side: whether it is ready, a line and a measure for each request, a calm end."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from types import FrameType

import anyio
import anyio.to_thread
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omi_mcp import logs, measures
from omi_mcp.away import Away
from omi_mcp.settings import SettingsError

HEALTH = "/health"
READY = "/ready"

REQUEST_ID = "x-request-id"

AGAIN_SECONDS = 5
"""When to ask again where the database does not answer: a failover takes longer, a restart about as long."""

PROBE_SECONDS = 1.0
"""How long an answer of the database counts: anybody may ask."""

log = logging.getLogger(__name__)
access = logging.getLogger(logs.ACCESS)

Step = Callable[[], None]
"""Something with the database: blocks, and raises Away where that is not there."""

RETRY_SECONDS = 2.0


class Readiness:
    """Whether requests should come to this process."""

    def __init__(self, prepare: Step | None = None, probe: Step | None = None) -> None:
        """`prepare` has to be done once before anything can be served; `probe` tells whether the database answers."""
        self._prepare = prepare
        self._probe = probe
        self._asking = anyio.Lock()
        self._answers = True
        self._until = float("-inf")
        self.stopping = False

    @property
    def prepared(self) -> bool:
        return self._prepare is None

    async def run(self) -> None:
        """Prepare, until that is done."""
        while self._prepare is not None:
            try:
                await anyio.to_thread.run_sync(self._prepare)
                self._prepare = None
            except (Away, SettingsError) as error:
                log.warning("the database is not ready yet: %s", error)
                await anyio.sleep(RETRY_SECONDS)

    async def hindrance(self) -> str | None:
        """In a word, why they should not come; None where they should."""
        if self.stopping:
            return "stopping"
        if not self.prepared:
            return "migrating"
        return None if await self._database_answers() else "database away"

    async def _database_answers(self) -> bool:
        if self._probe is None:
            return True
        async with self._asking:
            if anyio.current_time() >= self._until:
                try:
                    await anyio.to_thread.run_sync(self._probe)
                    self._answers = True
                except Away:
                    self._answers = False
                self._until = anyio.current_time() + PROBE_SECONDS
            return self._answers

    async def answer(self, _: Request) -> Response:
        """What a proxy is told that asks before it sends requests here."""
        hindrance = await self.hindrance()
        headers = {"Cache-Control": "no-store"}
        if hindrance is None:
            return JSONResponse({"status": "ready"}, headers=headers)
        return JSONResponse({"status": hindrance}, 503, {**headers, "Retry-After": str(AGAIN_SECONDS)})


class Operated:
    """Around all else: each request has an id, a line in the log and a measure; and an answer where none can be given.

    While the process stops, connections end with the answers that are sent on them.
    """

    def __init__(self, application: ASGIApp, readiness: Readiness, paths: Iterable[str]) -> None:
        self._application = application
        self._readiness = readiness
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        route = path if path in self._paths else "other"
        with (
            logs.serving(Headers(scope=scope).get(REQUEST_ID)) as request,
            measures.timed("request", route) as measured,
        ):
            began = time.perf_counter()
            status = 0  # as it stays where a host has gone

            async def sent(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"] = int(request.notes.pop("status", message["status"]))
                    headers = MutableHeaders(scope=message)
                    headers[REQUEST_ID] = request.id
                    if "retry_after" in request.notes:
                        headers["Retry-After"] = str(request.notes["retry_after"])
                    if self._readiness.stopping:
                        headers["Connection"] = "close"
                await send(message)

            try:
                await self._answer(scope, receive, sent, route)
            except Away:
                if status:
                    raise
                request.notes["retry_after"] = AGAIN_SECONDS
                answer = {"error": "temporarily_unavailable", "error_description": "The database does not answer now."}
                await JSONResponse(answer, 503)(scope, receive, sent)
            except Exception:
                status = 500
                raise
            finally:
                measured.outcome = str(status)
                if route not in (HEALTH, READY):
                    ms = round((time.perf_counter() - began) * 1000, 1)
                    line = {"method": scope["method"], "route": route, "status": status, "ms": ms}
                    access.info("request", extra={"notes": request.notes | line})

    async def _answer(self, scope: Scope, receive: Receive, send: Send, route: str) -> None:
        """Raises Away: the database that is needed for this has not been there yet, or is not."""
        if not (self._readiness.prepared or route in (HEALTH, READY)):
            raise Away
        await self._application(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn's, which is told to stop and goes on for a while, so that a proxy can notice and send requests elsewhere.

    A second signal ends that, and one more Ctrl-C ends everything.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_seconds = drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, *arguments: object, **options: object) -> None:
        self._loop = asyncio.get_running_loop()
        # What the SDK streams its answers with would cut them off at the signal. They end by themselves.
        AppStatus.enable_automatic_graceful_drain = False
        await super().serve(*arguments, **options)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        first, self._readiness.stopping = not self._readiness.stopping, True
        if first and self._drain_seconds and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_seconds, super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)
