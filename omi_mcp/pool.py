"""Many accounts in one process: each has a library of its own, open while it is used, and none waits for another's.

What they share is bounded for each of them: how many calls it makes at once, how many threads work at its files, and
whose turn it is to copy. How many libraries are open is bounded for all.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import anyio
import httpx
from anyio.abc import TaskGroup

from omi_mcp import database
from omi_mcp.account import Files, Hosted, Storage
from omi_mcp.accounts import Accounts, Busy, Caller, KeyRefused, NoSuchAccount, SignInAgain
from omi_mcp.clock import Clock
from omi_mcp.context import AppContext
from omi_mcp.library import Library
from omi_mcp.settings import Settings
from omi_mcp.sharing import DEAD_SECONDS
from omi_mcp.tasks import beside

MOST_OPEN = 64
"""Libraries. With two megabytes each, a process of one account grows to four times its size."""

FILES_EACH = 12
"""How many a library has open at most: the copy's for writing and a few readers, those of what lasts, a connection."""

MOST_CALLS = 16
"""Of one account, at once. No host makes as many, and what comes beyond them would wait for itself."""

PATIENCE_SECONDS = 5.0
"""How long a request waits for another library to close, where all are in use."""

MOST_WAITING = 4
"""Requests of one account that do."""

SPARE = 8
"""One place in so many is kept free, where libraries are idle."""

IDLE = timedelta(minutes=30)
"""How long a library that nobody uses stays open."""

COPYING = timedelta(hours=24)
"""And how long while its account is being copied: at 60 reads an hour a large one takes most of a day."""

REVIEW_SECONDS = 60.0
"""How often it is looked who is still there, and what can be closed."""

COPIERS = 4
"""Accounts that copy at the same time; the others take their turns, a request each."""

TURN_SECONDS = 15.0
"""How long a turn keeps others waiting: the API may not answer."""

THREADS = 32
"""For work at files, of all accounts; in place of `database.THREADS`, which are those of one."""

LANE = 3
"""How many of them one account may have at once."""

ADOPTING_SECONDS = 10.0
"""How often it is looked for accounts whose copying has stopped with the machine that did it."""

ADOPTED_AT_ONCE = 4

log = logging.getLogger(__name__)


class Queue(Protocol):
    """The accounts whose copying is not done, where several machines share them. All methods raise `Away`."""

    async def keep(self, accounts: Sequence[str], seconds: float) -> None:
        """They are being copied here: for so long, others leave them alone."""
        ...

    async def leave(self, account: str, seconds: float | None) -> None:
        """It is copied here no longer; there is more to copy in `seconds`, or nothing until somebody asks."""
        ...

    async def claim(self, most: int, seconds: float) -> list[str]:
        """At most so many that nobody copies, which are this machine's for `seconds`."""
        ...


@dataclass(eq=False)
class _Open:
    """A library that is open. It `leaves` when it is told to, and has no further calls from then on."""

    app: AppContext
    lane: anyio.CapacityLimiter
    used: datetime
    calls: set[anyio.CancelScope] = field(default_factory=set)
    runs: anyio.Event = field(default_factory=anyio.Event)
    retired: bool = False
    leaves: anyio.Event = field(default_factory=anyio.Event)
    closed: anyio.Event = field(default_factory=anyio.Event)
    refused: bool = False
    free: anyio.Event = field(default_factory=anyio.Event)
    """That it has no further calls, and never will."""
    told: anyio.Event = field(default_factory=anyio.Event)
    """That its key was refused is known to whoever signs it in."""

    @property
    def account_id(self) -> str:
        return self.app.settings.account


@dataclass(eq=False)
class _Waiting:
    """A request that waits for another library to close."""

    account_id: str
    turn: anyio.Event = field(default_factory=anyio.Event)


class Standing(NamedTuple):
    """How many libraries are open, and of these busy or not yet ready; and how many requests wait for one."""

    open: int
    busy: int
    opening: int
    waiting: int


def places(files: int) -> int:
    """How many libraries may be open where there are so many files for them."""
    return max(1, min(MOST_OPEN, files // FILES_EACH))


class LibraryPool:
    """The libraries of the accounts that `accounts` knows; `settings` are those of the process.

    A library is opened with the first request of its account, and closed when nobody has used it for a while or when
    another needs its place: the one first whose last use is longest ago, and never one in use.
    """

    def __init__(
        self,
        accounts: Accounts,
        settings: Settings,
        clock: Clock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        storage: Storage | None = None,
        queue: Queue | None = None,
        most: int = MOST_OPEN,
    ) -> None:
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._storage = storage or Files()
        self._queue = queue
        self._most = most
        self._all: set[_Open] = set()
        self._current: dict[str, _Open] = {}
        self._waiting: deque[_Waiting] = deque()
        self._promised = 0
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        database.threads().total_tokens = THREADS
        self._turns = anyio.CapacityLimiter(COPIERS)
        async with anyio.create_task_group() as self._tasks:
            if self._queue is not None:
                self._tasks.start_soon(self._share_copying, self._queue)
            while True:
                await self._clock.sleep(REVIEW_SECONDS)
                await self.review()
                if self._all:
                    log.info("%s", self)

    async def review(self) -> None:
        """Close what nobody uses, and delete what is left of accounts that were forgotten by another process."""
        for opened in list(self._current.values()):
            await self._review(opened)
        try:
            await database.run(self._storage.tidy, self._settings)
        except (database.Away, OSError) as error:
            log.warning("what is left of forgotten accounts could not be looked for: %s", type(error).__name__)

    def __str__(self) -> str:
        now = self.standing()
        return (
            f"libraries: {now.open} of {self._most} open, {now.busy} busy, {now.opening} opening, "
            f"{now.waiting} requests waiting for a place"
        )

    def standing(self) -> Standing:
        """How it stands now; may be asked in any thread."""
        all_open = list(self._all)
        return Standing(
            open=len(all_open),
            busy=sum(bool(opened.calls) for opened in all_open),
            opening=sum(not opened.runs.is_set() for opened in all_open),
            waiting=len(self._waiting),
        )

    async def settings(self, caller: Caller) -> Settings:
        if caller.account_id is None:
            raise NoSuchAccount
        if caller.settings is not None:
            return caller.settings
        return await self._accounts.settings(caller.account_id)

    @asynccontextmanager
    async def serving(self, caller: Caller) -> AsyncIterator[AppContext]:
        scope = anyio.CancelScope()
        opened = await self._taken(caller, scope)
        try:
            with database.lane(opened.lane), scope:
                await opened.runs.wait()
                yield opened.app
        except Exception:
            if not opened.refused:
                raise
        finally:
            opened.calls.discard(scope)
            opened.used = self._clock.now()
            self._let_go(opened)
        if opened.refused:
            await opened.told.wait()
            raise KeyRefused
        if scope.cancelled_caught:
            raise NoSuchAccount

    async def forget(self, account_id: str) -> None:
        """Close what is open of this account and delete its files, now: its calls end without an answer.

        `accounts` must not know it any more.
        """
        for opened in [each for each in self._all if each.account_id == account_id]:
            self._retire(opened)
            opened.leaves.set()
            for scope in opened.calls:
                scope.cancel()
            await opened.closed.wait()
        await database.run(self._storage.forget, replace(self._settings, account_id=account_id))

    async def _taken(self, caller: Caller, scope: anyio.CancelScope) -> _Open:
        """The open library of the caller, with this call in it."""
        deadline = anyio.current_time() + PATIENCE_SECONDS
        place = False
        try:
            while True:
                settings = await self._known(caller)
                opened = self._current.get(settings.account)
                if opened is not None and opened.app.settings != settings:
                    self._retire(opened)
                    opened = None
                if opened is None and (place or self._has_place()):
                    if place:
                        place = False
                        self._promised -= 1
                    opened = self._begin(settings)
                if opened is not None:
                    if len(opened.calls) >= MOST_CALLS:
                        raise Busy(own=True, seconds=2)
                    opened.calls.add(scope)
                    self._make_room()
                    return opened
                await self._wait_for_place(settings.account, deadline)
                place = True
                caller = replace(caller, settings=None)  # what was found before may not be so any more
        finally:
            if place:
                self._give_back()

    async def _known(self, caller: Caller) -> Settings:
        try:
            return await self.settings(caller)
        except SignInAgain:
            if (opened := self._current.get(caller.account_id or "")) is not None:
                self._retire(opened)
            raise

    def _has_place(self) -> bool:
        return len(self._all) + self._promised < self._most

    def _begin(self, settings: Settings) -> _Open:
        if self._tasks is None:
            raise RuntimeError("a pool serves while it runs")
        library = Library(
            settings,
            transport=self._transport,
            clock=self._clock,
            hosted=Hosted(
                turn=lambda: self._turn(opened),
                refused=lambda: self._note_refused(opened),
                storage=self._storage,
            ),
        )
        opened = _Open(AppContext(settings, self._clock, library), anyio.CapacityLimiter(LANE), self._clock.now())
        self._all.add(opened)
        self._current[settings.account] = opened
        self._tasks.start_soon(self._keep, opened)
        return opened

    async def _keep(self, opened: _Open) -> None:
        """Keep the library open until it has to leave."""
        try:
            with database.lane(opened.lane):
                async with opened.app.library.running():
                    opened.runs.set()
                    await opened.leaves.wait()
                    if self._queue is not None and opened.app.library.opened:
                        with suppress(database.Away):
                            await self._queue.leave(opened.account_id, await _remains(opened))
            await opened.free.wait()  # cancelled calls may still be at work in a thread
        except Exception as error:
            log.warning("a library was not closed as it should: %s", type(error).__name__)
            self._retire(opened)
        finally:
            opened.runs.set()
            with anyio.CancelScope(shield=True):
                await self._clear_up(opened)
            self._all.discard(opened)
            opened.closed.set()
            self._hand_on()
            log.debug("closed one of the %s", self)

    async def _clear_up(self, opened: _Open) -> None:
        """Where another process has forgotten the account, what was open may have made its files anew."""
        try:
            await self._accounts.settings(opened.account_id)
        except NoSuchAccount:
            await database.run(self._storage.forget, opened.app.settings)
        except Exception:
            return  # it is known, or it cannot be told

    def _retire(self, opened: _Open) -> None:
        """Give it no further calls, and close it when those that it has are done."""
        opened.retired = True
        if self._current.get(opened.account_id) is opened:
            del self._current[opened.account_id]
        self._let_go(opened)

    def _let_go(self, opened: _Open) -> None:
        if opened.calls:
            return
        if opened.retired:
            opened.leaves.set()
            opened.free.set()
        else:
            self._make_room()

    def _make_room(self) -> None:
        """Have those close that nobody uses, the ones first whose last use is longest ago, until there is a place for
        each request that waits, and a few more: to close takes longer than to open."""
        leaving = sum(opened.leaves.is_set() for opened in self._all)
        free = self._most - len(self._all) - self._promised + leaving
        idle = sorted((opened for opened in self._current.values() if not opened.calls), key=lambda each: each.used)
        for opened in idle[: max(0, len(self._waiting) + self._most // SPARE - free)]:
            self._retire(opened)

    def _hand_on(self) -> None:
        """Promise what is free to those who wait, in the order of asking: nobody who comes later takes it."""
        while self._waiting and self._has_place():
            self._promised += 1
            self._waiting.popleft().turn.set()

    def _give_back(self) -> None:
        """A promised place, which is not needed."""
        self._promised -= 1
        self._hand_on()

    async def _wait_for_place(self, account_id: str, deadline: float) -> None:
        """Return when a place is promised to this request.

        Raises:
            Busy: none was by the deadline, a time of the event loop.
        """
        if len(self._waiting) >= self._most:
            raise Busy(own=False, seconds=10)
        if sum(waiting.account_id == account_id for waiting in self._waiting) >= MOST_WAITING:
            raise Busy(own=True, seconds=10)
        waiting = _Waiting(account_id)
        self._waiting.append(waiting)
        self._make_room()
        try:
            with anyio.CancelScope(deadline=deadline):
                await waiting.turn.wait()
        except anyio.get_cancelled_exc_class():
            if waiting.turn.is_set():
                self._give_back()
            raise
        finally:
            if not waiting.turn.is_set():
                self._waiting.remove(waiting)
        if not waiting.turn.is_set():
            log.warning("a request was refused: %s", self)
            raise Busy(own=False, seconds=10)

    async def _review(self, opened: _Open) -> None:
        """Close the library where nobody uses it, or its account is gone: another process may have forgotten it."""
        try:
            try:
                await self._accounts.settings(opened.account_id)
            except NoSuchAccount:
                await self.forget(opened.account_id)
            except KeyRefused:
                self._retire(opened)
            else:
                unused = self._clock.now() - opened.used
                if unused > IDLE and (unused > COPYING or not await self._copies(opened)) and not opened.calls:
                    self._retire(opened)
        except Exception as error:  # what is wrong with one account does not keep the others open
            log.warning("an account could not be reviewed: %s", type(error).__name__)

    async def _share_copying(self, queue: Queue) -> None:
        """Say what is being copied here, and go on with what a machine has left that is gone."""
        copying = set[str]()
        while True:
            try:
                before, copying = copying, await self._copying(copying)
                await queue.keep(sorted(copying), DEAD_SECONDS)
                for done in (before - copying) & self._current.keys():
                    await queue.leave(done, None)
                places = min(ADOPTED_AT_ONCE, self._most - len(self._all) - self._promised - len(self._waiting))
                for account_id in await queue.claim(places, DEAD_SECONDS) if places > 0 else ():
                    await self._adopt(account_id, queue)
            except Exception as error:
                log.warning("the copying of accounts could not be shared: %s", type(error).__name__)
            await self._clock.sleep(ADOPTING_SECONDS)

    async def _copying(self, before: set[str]) -> set[str]:
        """The accounts that are being copied here; of one that cannot be asked, as it was `before`."""
        found = set[str]()
        for opened in list(self._current.values()):
            if opened.retired or not opened.app.library.opened:
                continue
            try:
                copies = await self._copies(opened)
            except Exception as error:  # what is wrong with one account does not keep the others from going on
                log.warning("how far an account is copied could not be found out: %s", type(error).__name__)
                copies = opened.account_id in before
            if copies:
                found.add(opened.account_id)
        return found

    async def _copies(self, opened: _Open) -> bool:
        """Whether there is more to copy. It is not closed while it is asked."""
        scope = anyio.CancelScope()
        opened.calls.add(scope)
        try:
            with scope:
                return await _remains(opened) is not None
            return False  # it was forgotten
        finally:
            opened.calls.discard(scope)
            self._let_go(opened)

    async def _adopt(self, account_id: str, queue: Queue) -> None:
        try:
            settings = await self._accounts.settings(account_id)
        except SignInAgain:
            await queue.leave(account_id, None)
            return
        if settings.account in self._current or not self._has_place():
            return
        opened = self._begin(settings)
        copies = False
        try:
            await opened.runs.wait()
            copies = await self._copies(opened)  # which opens its files, and then it copies by itself
        except Exception as error:
            log.warning("the copying of an account could not be gone on with: %s", type(error).__name__)
        finally:
            if not copies:
                self._retire(opened)

    @asynccontextmanager
    async def _turn(self, opened: _Open) -> AsyncIterator[None]:
        """A turn to copy, in the order of asking. What takes long goes on without it; who is gone gets none."""
        try:
            await self._accounts.settings(opened.account_id)
        except SignInAgain:
            self._retire(opened)
            await anyio.sleep_forever()  # until it is closed
        turn = object()
        await self._turns.acquire_on_behalf_of(turn)
        taken = True

        def end() -> None:
            nonlocal taken
            if taken:
                taken = False
                self._turns.release_on_behalf_of(turn)

        async def end_in_time() -> None:
            await self._clock.sleep(TURN_SECONDS)
            end()

        try:
            async with beside(end_in_time):
                yield
        finally:
            end()

    def _note_refused(self, opened: _Open) -> None:
        if opened.refused or self._tasks is None:
            return
        opened.refused = True
        self._tasks.start_soon(self._tell_refused, opened)

    async def _tell_refused(self, opened: _Open) -> None:
        try:
            await self._accounts.refused(opened.account_id, opened.app.settings.api_key or "")
        except Exception as error:
            log.warning("that a key was refused could not be noted: %s", type(error).__name__)
        finally:
            opened.told.set()
            self._retire(opened)


async def _remains(opened: _Open) -> float | None:
    """Seconds until copying can go on; None when it is done, or the account is gone."""
    try:
        with database.lane(opened.lane):
            return (await opened.app.library.standing()).remains
    except NoSuchAccount:
        return None
