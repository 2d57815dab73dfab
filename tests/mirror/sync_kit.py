"""What the sync's tests and its benchmark share: an account in a sandbox, and processes that mirror it."""

import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from virtual_time import START, VirtualClock

from omi_mcp import database
from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock
from omi_mcp.mirror.rows import fingerprint
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync import Scheduler
from omi_mcp.sandbox import Sandbox
from tests.stores import kept


def talk(number: int, started_at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """A small conversation; without a start it lies `number` hours before `START`."""
    segments = [{"speaker": "Maya", "text": f"We counted {number} things here.", "start": 0, "end": 3}]
    moment = started_at or START - timedelta(hours=number)
    return {"id": f"c{number:05}", "started_at": moment.isoformat(), "segments": segments, **fields}


class Wire(httpx.AsyncBaseTransport):
    """The way to the sandbox. `latency` is in seconds.

    `before` is called as each request arrives and `after` when its answer is on the way; a response that `instead`
    returns is given in place of the sandbox's.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.latency = 0.2
        self.down = False
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[httpx.Request], object] = lambda request: None
        self.instead: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._clock.sleep(self.latency)
        if self.down:
            raise httpx.ConnectError("down")
        self.before()
        response = self.instead(request) or await self._inner.handle_async_request(request)
        self.after(request)
        return response


class Process:
    """One server's share of the work: its own connections, client and sync."""

    def __init__(self, account: "Account", path: Path | None) -> None:
        self.database = kept(path)
        self.store = Store(self.database, account.clock)
        self.budget = Budget(self.database, account.clock)
        self.client = OmiClient(
            account.sandbox.base_url,
            account.sandbox.key,
            clock=account.clock,
            budget=self.budget,
            transport=account.wire,
        )
        self.sync = Scheduler(self.client, self.store, self.budget, account.clock)
        self.database.attach()
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        with self.scope:
            await self.sync.run()

    async def use(self) -> None:
        """What a search does first."""
        await self.sync.refresh()

    async def close(self) -> None:
        await self.client.aclose()
        await database.run(self.database.close)


class Account:
    """A sandbox, the wire to it, and the processes that were started on it."""

    def __init__(self, *, limits: Literal["real", "off"] = "off", boost: int = 1, size: int = 0) -> None:
        self.clock = VirtualClock()
        self.sandbox = Sandbox(now=self.clock.now, limits=limits, boost=boost)
        weakref.finalize(self, self.sandbox.close)
        self.sandbox.load(talk(number) for number in range(size))
        self.wire = Wire(self.sandbox.transport(), self.clock)

    @asynccontextmanager
    async def process(self, path: Path | None = None, *, running: bool = True) -> AsyncIterator[Process]:
        """A process on the mirror at `path` (None: in memory), its background sync `running` until the block ends."""
        process = Process(self, path)
        async with anyio.create_task_group() as tasks:
            if running:
                tasks.start_soon(process.run)
            try:
                yield process
            finally:
                tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await process.close()

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[Process]:
        """A process that has copied everything, and goes on keeping up with it until the block ends."""
        async with self.process() as process:
            await process.use()
            await self.synced(process)
            yield process

    @property
    def requests(self) -> int:
        return len(self.sandbox.requests)

    async def until(self, condition: Callable[[], bool], *, hours: float = 1, every: float = 1.0) -> None:
        """Let time pass until the condition holds; fails when it does not within `hours`."""
        deadline = self.clock.now() + timedelta(hours=hours)
        while not condition():
            assert self.clock.now() < deadline, "it never came so far"
            await self.clock.sleep(every)

    async def synced(self, process: Process, *, hours: float = 12) -> None:
        """Let time pass until everything is copied."""
        await self.until(lambda: process.sync.progress().phase == "idle", hours=hours)

    def listable(self) -> dict[str, str]:
        """What the API would list now: id to fingerprint."""
        return {each: fingerprint(self.conversation(each)) for each in self.sandbox.ids()}

    def conversation(self, conversation_id: str) -> Conversation:
        return Conversation.model_validate(self.sandbox.record(conversation_id))


def holding(**account: Any) -> pytest.MarkDecorator:
    """Let the fixture `account` be an `Account` made with these arguments."""
    return pytest.mark.parametrize("account", [account], indirect=True, ids=[""])


def mirrored(store: Store, *, locked: bool = False) -> dict[str, str]:
    """What the mirror shows as listed, or as `locked`: id to fingerprint."""
    everything = store.fingerprints(None, None)
    states = {each: stored.transcript for each in everything if (stored := store.get(each))}
    return {each: everything[each] for each, state in states.items() if (state == "locked") == locked}


def transcripts(store: Store, ids: Iterable[str]) -> dict[str, list[str] | None]:
    """The words said, per conversation; None where the transcript is not there."""
    said = {}
    for each in ids:
        stored = store.get(each)
        segments = stored and stored.conversation.transcript_segments
        said[each] = None if segments is None else [segment.text for segment in segments]
    return said
