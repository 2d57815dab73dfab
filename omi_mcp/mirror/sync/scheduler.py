"""Keeping the mirror in step with the account, in as few requests as will do.

What there is to do, the most urgent first: finish a look at the newest conversations, copy all summaries, learn stars
and folders, fetch transcripts, settle what went missing, and compare again what was copied. How far each has come is
in the mirror's database, page by page, so any process can go on after any crash; a lease says which one does.
"""

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from omi_mcp import database
from omi_mcp.api.budget import Bucket, Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Forbidden,
    NotConfigured,
    OmiError,
    RateLimited,
    Unauthorized,
    Unreachable,
)
from omi_mcp.clock import Clock
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync.absences import Absences
from omi_mcp.mirror.sync.details import ActionItemReader, LabelReader, TranscriptBackfill
from omi_mcp.mirror.sync.lease import Lease
from omi_mcp.mirror.sync.passes import PassReader
from omi_mcp.mirror.sync.state import LONG_AGO, ActionItems, Head, Passes, Trouble
from omi_mcp.mirror.types import Listener, Obstacle, Phase, Progress, Standing, ToDo
from omi_mcp.tasks import beside

READS: Sequence[Bucket] = ("reads",)
TRANSCRIPT_READS: Sequence[Bucket] = ("reads", "transcripts")
ITEM_READS: Sequence[Bucket] = ("action_items",)

ANSWER_SECONDS = 8.0
"""How long a call waits for a look at the head, with conversations at hand that can be served without."""

FIRST_SECONDS = 30.0
"""How long a call waits for the first page of all. Hosts give up after a minute."""

START_SECONDS = 3.0
"""How much longer it waits for the rest: enough for all of a small account."""

ITEMS_AT_HAND = timedelta(minutes=5)
"""A list of action items no older than this is good enough for who asks what is still to do."""

QUIET_MOMENT = timedelta(minutes=2)
PACE = timedelta(minutes=3)
"""Long passes wait until nobody has asked for this long, and read a page so often. 20 an hour leave room for the
transcripts' 17 in the 40 that the background may read."""

RETRY_FIRST, RETRY_LAST = timedelta(seconds=15), timedelta(minutes=15)
"""How long to wait after a failure; each in a row doubles it."""

POLL_SECONDS = 5.0
"""How often a process asks whether the one that syncs has gone."""

REST_SECONDS = 900.0
"""The longest rest: clocks stop while a computer sleeps, and another process may have found something to do."""

Step = Callable[[], Awaitable[object]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """What to do when: `step` after `seconds`."""

    step: Step
    seconds: float


class Scheduler:
    """The sync of one account in this process. `run` works in the background, `refresh` before an answer."""

    def __init__(
        self,
        client: OmiClient,
        store: Store,
        budget: Budget,
        clock: Clock,
        *,
        turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        """`turn` is waited for with each step in the background."""
        self._store = store
        self._clock = clock
        self._budget = budget
        self._turn = turn
        self._absences = Absences(client, store, clock)
        self._passes = PassReader(client, store, clock, budget, self._absences)
        self._transcripts = TranscriptBackfill(client, store, clock, self._absences)
        self._labels = LabelReader(client, store, clock)
        self._items, self._reading_items = ActionItemReader(client, store, clock), anyio.Lock()
        self._working, self._work_lease = anyio.Lock(), Lease(store.database, clock, "sync")
        self._looking, self._look_lease = anyio.Lock(), Lease(store.database, clock, "look")
        self._woken = anyio.Event()
        self._running = False
        self._broken = False
        self._used = LONG_AGO
        self._progress = Progress("summaries", 0, None, False, None, None, None, None, False)

    def progress(self) -> Progress:
        """As of the last `refresh` or background step; does not block."""
        return self._progress

    async def refresh(self, *, look: bool = False, report: Listener | None = None) -> None:
        """See that the mirror is fresh enough to answer from: called before each answer.

        Looks at the newest conversations when that is due, or in any case with `look`, which `remains` until it is
        done. An empty mirror waits for its first page, with `report` called once a second. When the API is down, what
        is mirrored is served, and `progress` tells.

        Raises:
            OmiError: nothing has ever been mirrored, and the API cannot be asked.
        """
        self._used = self._clock.now()
        try:
            if look:
                await database.run(self._passes.demand_look)
            if await database.run(self._passes.begun):
                await (self._look_at_once() if look else self._look())
            else:
                await self._wait_for_first(report)
            self._broken = False
        except sqlite3.Error as error:
            self._note_broken(error)
        finally:
            self._woken.set()
            with anyio.CancelScope(shield=True):
                await self._note_progress()

    async def refresh_items(self, *, anew: bool = False) -> None:
        """See that it is known which action items are done: called before an answer about them. `anew`: read the list
        however lately that was done. What cannot be read is left as it was; see `to_do`."""
        fresh = timedelta() if anew else ITEMS_AT_HAND
        with suppress(BudgetSpent, RateLimited, *database.UNUSABLE):
            try:
                with anyio.fail_after(ANSWER_SECONDS):
                    async with self._reading_items:
                        if await database.run(self._items.due, fresh) <= self._clock.now():
                            while await self._items.step(background=False):
                                pass
            except TimeoutError:
                await database.run(self._items.note_failure, AnswerLost("the Omi API is slow"))

    def to_do(self) -> ToDo:
        """How far the list of action items is known. Blocks."""
        state = ActionItems.load(self._store)
        return ToDo(read=state.read, refused=state.refused)

    async def fetch_first(self, start: datetime | None, end: datetime | None) -> None:
        """Have the transcripts of what began in this window (inclusive) copied before others."""
        with suppress(*database.UNUSABLE):  # what was found is worth more than the order of what is to come
            if await database.run(self._transcripts.want, start, end):
                self._woken.set()

    async def compare_all(self) -> None:
        """Have the whole list compared with the mirror at once, instead of bit by bit; it `remains` until it is."""
        await database.run(self._passes.demand)
        await database.run(self._labels.demand)
        self._woken.set()

    async def compare_overdue(self) -> None:
        """`compare_all`, of what was not compared in its time."""
        _, overdue = await database.run(self._passes.compared)
        if overdue:
            await database.run(self._passes.demand)
        if await database.run(self._labels.due) <= self._clock.now():
            await database.run(self._labels.demand)
        self._woken.set()

    async def standing(self) -> Standing:
        """How the copy stands now, whichever process makes it. Asks nothing of the API."""
        standing = await database.run(self._stand)
        self._progress = standing.progress
        return standing

    async def run(self) -> None:
        """Sync until cancelled. Whatever fails is tried again later, and `progress` tells."""
        self._running = True
        while True:
            try:
                seconds = await self._work()
                self._broken = False
            except database.Away:
                seconds = RETRY_FIRST.total_seconds()
            except Exception as error:  # the server has to outlive a full disk, and a bug here
                self._note_broken(error)
                seconds = RETRY_LAST.total_seconds()
            await self._rest(min(seconds, REST_SECONDS))

    async def _work(self) -> float:
        """Do the most urgent of what can be done now; seconds until there is more to do."""
        plan = await database.run(self._plan)
        if plan.seconds <= 0:
            async with self._turn(), self._working, self._work_lease.held() as mine:
                plan = await database.run(self._plan)
                if not mine:
                    plan = _Plan(plan.step, max(plan.seconds, POLL_SECONDS))
                elif plan.seconds <= 0:
                    await self._attempt(plan.step)
        await self._note_progress()
        return plan.seconds

    async def _attempt(self, step: Step) -> None:
        try:
            await step()
        except (BudgetSpent, RateLimited):
            await self._clock.sleep(1.0)  # the ledger knows, and the next plan asks it
        except OmiError as error:
            await database.run(self._note_trouble, error)
        else:
            await database.run(self._note_success)

    async def _rest(self, seconds: float) -> None:
        """Sleep for that long, or until the mirror is used."""

        async def ring() -> None:
            await self._clock.sleep(seconds)
            self._woken.set()

        if seconds > 0:
            async with beside(ring):
                await self._woken.wait()
        self._woken = anyio.Event()

    def _plan(self) -> _Plan:
        """The most urgent of what the allowance permits now, else what it will permit first."""
        with self._store.database.snapshot():
            now = self._clock.now()
            held_up = Trouble.load(self._store).wait(now)
            plans = []
            for step, buckets, due in self._due(now):
                wait = max(held_up, (due - now).total_seconds(), self._budget.wait(buckets, background=True))
                if wait <= 0:
                    return _Plan(step, 0.0)
                plans.append(_Plan(step, wait))
            return min(plans, key=lambda plan: plan.seconds)

    def _due(self, now: datetime) -> Iterator[tuple[Step, Sequence[Bucket], datetime]]:
        """Everything there is to do and when, the most urgent first."""
        passes = Passes.load(self._store)
        _, overdue = self._passes.compared()
        leisure = now if overdue else self._used + QUIET_MOMENT
        if self._passes.looking():
            yield self._look_on, READS, now
        fetching = self._transcripts.waiting()
        if fetching and self._budget.wants_transcripts():
            yield self._transcripts.step, TRANSCRIPT_READS, now
        if self._passes.pressing():
            yield self._read_on, READS, now
        elif not self._labels.known():
            yield self._labels.step, READS, now
        if fetching:
            yield self._transcripts.step, TRANSCRIPT_READS, now
        if self._absences.doubted():
            yield self._absences.settle, READS, now
        if passes.whole is not None:
            yield self._read_on, READS, max(self._passes.due(), leisure, (passes.stepped or now) + PACE)
            yield self._labels.step, READS, max(self._labels.due(), leisure)
            yield self._read_items, ITEM_READS, self._items.due()

    def _stand(self) -> Standing:
        with self._store.database.snapshot():
            wanted = self._wanted()
            held_up = Trouble.load(self._store).wait(self._clock.now())
            return Standing(
                counts=self._store.counts(),
                progress=self._measure(),
                remains=max(held_up, self._allowed_in(wanted)) if wanted else None,
                looking=self._passes.looking(),
                comparing=self._passes.pressing(),
                settling=bool(self._absences.doubted()),
            )

    def _wanted(self) -> list[Sequence[Bucket]]:
        """What the requests that are left to make are booked against; empty when all is copied and settled."""
        wanted = [TRANSCRIPT_READS] if self._transcripts.waiting() else []
        comparing = self._passes.looking() or self._passes.pressing() or self._absences.doubted()
        if comparing or not self._labels.known():
            wanted.append(READS)
        return wanted

    def _allowed_in(self, wanted: Sequence[Sequence[Bucket]]) -> float:
        """Seconds until the background may make the first of these requests."""
        return min((self._budget.wait(buckets, background=True) for buckets in wanted), default=0.0)

    async def _read_on(self) -> None:
        await self._passes.read_on(background=True)

    async def _read_items(self) -> None:
        async with self._reading_items:
            if await database.run(self._items.due) <= self._clock.now():  # an answer may have read it meanwhile
                await self._items.step()

    async def _look_on(self) -> None:
        """Finish what a look of an answered call has left."""
        async with self._looking, self._look_lease.held() as mine:
            if not mine:
                await self._clock.sleep(1.0)
                return
            with anyio.move_on_after(ANSWER_SECONDS):  # a call that comes meanwhile waits for it
                await self._passes.look(background=True)

    async def _look_at_once(self) -> None:
        """Look, also when another process is at it, which may have begun before the news was there."""
        patience = self._clock.now() + timedelta(seconds=ANSWER_SECONDS)
        while await database.run(self._passes.look_demanded) and not await self._look(at_once=True):
            if self._clock.now() >= patience:
                return
            await self._clock.sleep(0.25)

    async def _look(self, *, at_once: bool = False) -> bool:
        """Look if that is due, or `at_once`. False when another process is looking."""
        async with self._looking:
            if not at_once and not await database.run(self._passes.look_due):
                return True
            async with self._look_lease.held() as mine:
                if not mine or not await database.run(self._passes.begin_look):
                    return mine
                try:
                    with anyio.fail_after(ANSWER_SECONDS):
                        while await self._passes.look(background=False):
                            pass
                except (BudgetSpent, RateLimited):
                    pass
                except TimeoutError:
                    await database.run(self._look_failed, AnswerLost("the Omi API is slow"))
                except OmiError as error:
                    await database.run(self._look_failed, error)
                else:
                    await database.run(self._note_success)
        return True

    def _look_failed(self, error: OmiError) -> None:
        self._passes.look_failed()
        self._note_trouble(error)

    async def _wait_for_first(self, report: Listener | None) -> None:
        async def keep_reporting() -> None:
            while report is not None:
                await report(self._progress)
                await self._clock.sleep(1.0)

        async with beside(keep_reporting):
            with anyio.move_on_after(FIRST_SECONDS):
                await self._read_first()
            self._woken.set()
            with anyio.move_on_after(START_SECONDS):
                await self._copied()

    async def _read_first(self) -> None:
        while True:
            async with self._working, self._work_lease.held() as mine:
                if await database.run(self._passes.begun):
                    return
                if mine:
                    await self._passes.read_on(background=False)
                    await database.run(self._note_success)
                    return
            await self._clock.sleep(0.25)

    async def _copied(self) -> None:
        """Wait until everything is copied, or copying cannot go on."""
        while self._running:
            await self._note_progress()
            if self._progress.phase == "idle" or self._progress.blocked:
                return
            await self._clock.sleep(0.1)

    def _note_trouble(self, error: OmiError) -> None:
        now = self._clock.now()
        failures = Trouble.load(self._store).failures + 1
        wait = min(RETRY_FIRST * 2 ** min(failures - 1, 10), RETRY_LAST)
        Trouble(obstacle=_obstacle(error), until=now + wait, failures=failures).save(self._store)

    def _note_success(self) -> None:
        if Trouble.load(self._store).failures:
            Trouble().save(self._store)

    def _note_broken(self, error: Exception) -> None:
        log.warning("the mirror failed: %s", type(error).__name__)  # its text could hold the user's own
        self._broken = True

    async def _note_progress(self) -> None:
        self._progress = await database.run(self._measure)

    def _measure(self) -> Progress:
        with self._store.database.snapshot():
            passes = Passes.load(self._store)
            counts = self._store.counts()
            complete = passes.whole is not None
            phase: Phase = "summaries" if not complete else "transcripts" if counts.pending else "idle"
            blocked, retry_at = self._obstacle()
            compared, overdue = self._passes.compared()
            unlisted = self._absences.unlisted()
            return Progress(
                phase=phase,
                conversations=counts.conversations,
                oldest=passes.current.position.end if passes.current and not complete else counts.oldest,
                complete=complete,
                synced=Head.load(self._store).looked,
                blocked=blocked,
                retry_at=retry_at,
                compared=compared,
                overdue=overdue,
                warnings=(*self._store.warnings, *([unlisted] if unlisted else [])),
            )

    def _obstacle(self) -> tuple[Obstacle | None, datetime | None]:
        now = self._clock.now()
        trouble = Trouble.load(self._store)
        if self._broken:
            return "disk", None
        if trouble.obstacle:
            return trouble.obstacle, trouble.until
        if (spent := self._budget.wait(READS, background=False)) > 0:
            return "spent", now + timedelta(seconds=spent)
        if (reserved := self._allowed_in(self._wanted())) > 0:
            return "reserved", now + timedelta(seconds=reserved)
        return None, self._passes.next_look()


def _obstacle(error: OmiError) -> Obstacle:
    match error:
        case NotConfigured() | Unauthorized():
            return "key"
        case Forbidden():
            return "scope"
        case Unreachable():
            return "offline"
        case _:
            return "failing"
