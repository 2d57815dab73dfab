"""Creates that happen once: every one ends in a known state, however the answer got lost."""

import hashlib
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import anyio

from omi_mcp import database
from omi_mcp.api.client import LIST_LIMIT, OmiClient
from omi_mcp.api.drafts import SegmentsDraft, TextDraft
from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Conflict,
    NotBooked,
    NotCreated,
    OmiError,
    OutcomeUnknown,
    RateLimited,
    ServerFault,
    Unfinished,
    Unreachable,
)
from omi_mcp.api.models import Conversation, Receipt
from omi_mcp.clock import Clock
from omi_mcp.writes.journal import Entry, Journal
from omi_mcp.writes.lasting import noted

WORKING = timedelta(seconds=125)
"""How long after the answer was lost a create may still appear. OMI API: the service works on one for 120 s."""

SENDING = timedelta(seconds=210)
"""The longest time from the booking of a create to the end of its sending: all tries to connect, and one request."""

FAILING = timedelta(seconds=6)
"""The same as `WORKING` where the service itself says that it failed: then no work goes on behind the answer."""

ASKING = timedelta(seconds=40)
"""How long an API that cannot be asked is asked again before "unknown" is said. Hosts give up after a minute."""

LOOKS = (1.0, 30.0)
"""Seconds between two looks for a conversation, at least and at most. A host waits for some 45."""

LONGEST_PAUSE = 60.0

REPEATS = (2.0, 8.0, 25.0)
"""Seconds between repeats of a create with a session id. Each costs one of 25 writes an hour."""

FAILURES = 3
"""How often the service itself must say that a create with a session id failed until that is believed."""

SETTLE_SECONDS = 600.0
"""How often creates that were left open are looked for in the background."""


@dataclass(frozen=True)
class Created:
    """A conversation that exists. `repeated`: it had been created before; `recovered`: its first answer was lost."""

    receipt: Receipt
    repeated: bool = False
    recovered: bool = False


class Creator:
    """Sends creates and finds out what became of them.

    Raises, besides `OmiError` for what was refused: `NotBooked`, `NotCreated`, `OutcomeUnknown`, `Unfinished`.

    A create that is cancelled sends nothing more: what is out is waited for and noted, and what is found open is left
    to `settle`, or to the next who asks for the same.
    """

    def __init__(self, client: OmiClient, journal: Journal, clock: Clock) -> None:
        self._client = client
        self._journal = journal
        self._clock = clock
        self._turns: dict[str, anyio.Lock] = {}
        self._out: set[str] = set()

    @asynccontextmanager
    async def turn(self, draft: TextDraft | SegmentsDraft, *, dated: bool = True) -> AsyncIterator[None]:
        """Wait as long as another call in this process waits for the same create: then it can be told the same.

        To be held by the one who waits, not by what is sent: whoever comes after one who gave up need not wait too.
        """
        content = _content(draft, dated=dated)
        lock = self._turns.setdefault(content, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._turns.pop(content, None)

    async def create_from_text(self, draft: TextDraft, *, dated: bool, allow_duplicate: bool = False) -> Created:
        """Create once. The API has no idempotency for text, so the exact start instant identifies the conversation."""
        content = _content(draft, dated=dated)  # of what was asked for: no two have the same exact instant
        draft = self._exact(draft)
        while True:
            entry = Entry(content, draft.started_at, self._clock.now())
            earlier = await self._book(entry, again=allow_duplicate)
            if earlier is None:
                return await self._send(entry, draft)
            receipt = earlier.receipt or await self._settle(earlier, self._still_working(earlier), sent_here=False)
            if receipt is not None:
                return Created(receipt, repeated=True)

    async def create_from_segments(self, draft: SegmentsDraft) -> Created:
        """Create once: `client_session_id` lets the same request be sent until an answer arrives."""
        content = _content(draft)
        again = False
        while True:
            entry = Entry(content, draft.started_at, self._clock.now())
            earlier = await self._book_if_possible(entry, again=again)
            if earlier is None:
                return await self._send_until_answered(entry, draft)
            receipt = earlier.receipt
            if receipt is None and earlier.id in self._out:
                receipt = await self._settle(earlier, self._still_working(earlier), sent_here=False, draft=draft)
            elif receipt is None:
                receipt, again = await self._glance(earlier, draft), True
            elif receipt.status != "completed":
                receipt, again = None, True
            if receipt is not None:
                return Created(receipt, repeated=True)

    async def settle(self) -> None:
        """Find out, until cancelled, about creates that nobody waits for any more, of an earlier run too."""
        while True:
            try:
                seconds = await self._settle_due()
            except (OmiError, *database.UNUSABLE):
                seconds = SETTLE_SECONDS
            await self._clock.sleep(seconds)

    async def _settle_due(self) -> float:
        """Settle what one look can settle; seconds until there may be more."""
        seconds = SETTLE_SECONDS
        for entry in await database.run(self._journal.open):
            due = self._still_working(entry).total_seconds()
            if due <= 0:
                await self._conclude(entry, await self._look(entry, background=True))
            else:
                seconds = min(seconds, due)
        return seconds

    async def _book(self, entry: Entry, *, again: bool) -> Entry | None:
        try:
            return await database.run(partial(self._journal.book, entry, again=again))
        except (sqlite3.Error, database.Damaged) as error:
            raise NotBooked(f"the journal cannot be written ({type(error).__name__})") from None

    async def _book_if_possible(self, entry: Entry, *, again: bool) -> Entry | None:
        try:
            return await self._book(entry, again=again)
        except NotBooked:
            return None  # the API knows as well

    async def _send(self, entry: Entry, draft: TextDraft) -> Created:
        try:
            receipt = await self._client.create_from_text(draft)
        except (AnswerLost, ServerFault) as error:
            entry = await self._lose(entry)
            found = await self._settle(entry, FAILING if _final(error) else WORKING, sent_here=True)
            if found is None:
                raise NotCreated(str(error)) from error
            return Created(found, recovered=True)
        except BaseException:  # refused, or cancelled before it was out: see `OmiClient`
            await noted(partial(self._journal.forget, entry))
            raise
        await noted(partial(self._journal.keep, replace(entry, receipt=receipt)))
        return Created(receipt)

    async def _lose(self, entry: Entry) -> Entry:
        entry = replace(entry, lost_at=self._clock.now())
        await noted(partial(self._journal.keep, entry))
        return entry

    async def _settle(
        self, entry: Entry, working: timedelta, *, sent_here: bool, draft: SegmentsDraft | None = None
    ) -> Receipt | None:
        """Look until the conversation is there, or cannot appear any more: then None. `working` is how long it may.

        Raises:
            OutcomeUnknown: the API cannot be asked.
        """
        due = min(working, SENDING + WORKING).total_seconds()
        waited = 0.0
        while True:
            current = await self._recall(entry)
            if current and current.receipt:
                return current.receipt
            if current is None and not sent_here:
                return None
            pause = self._until_next_look(entry)
            try:
                receipt = await self._look(entry, draft)
            except (OmiError, database.Away) as error:
                asked_again = _pause_after(error, pause)
                if asked_again is None or waited + asked_again > ASKING.total_seconds():
                    wait = error.retry_after if isinstance(error, OmiError) else None
                    raise OutcomeUnknown(str(error), retry_after=wait) from error
                pause = asked_again
            else:
                if receipt or waited >= due:
                    await self._conclude(entry, receipt)
                    return receipt
                pause = min(pause, due - waited)
            await self._clock.sleep(pause)
            waited += pause

    async def _look(
        self, entry: Entry, draft: SegmentsDraft | None = None, *, background: bool = False
    ) -> Receipt | None:
        """The conversation that starts at the entry's instant, if the API lists one."""
        instant = entry.started_at
        page = await self._client.list_conversations(start=instant, end=instant, background=background)
        for conversation in page.conversations:
            if _is_meant(conversation, entry, draft):
                return Receipt(id=conversation.id)
        if page.unusable or page.received >= LIST_LIMIT:
            # A full page is not one of a single instant: the API did not filter, and there may be more behind it.
            raise AnswerLost("what the Omi API lists does not tell")
        return None

    async def _glance(self, entry: Entry, draft: SegmentsDraft) -> Receipt | None:
        """One look, where the API can be asked: a read is cheaper than a repeat."""
        try:
            receipt = await self._look(entry, draft)
        except (OmiError, database.Away):
            return None
        if receipt is not None:
            await self._conclude(entry, receipt)
        return receipt

    async def _recall(self, entry: Entry) -> Entry | None:
        """The entry as it is now, None when it was forgotten; as it was where the journal cannot be read."""
        try:
            return await database.run(self._journal.find, entry)
        except database.UNUSABLE:
            return entry

    async def _conclude(self, entry: Entry, receipt: Receipt | None) -> None:
        if receipt is None:
            await noted(partial(self._journal.forget, entry))
        else:
            await noted(partial(self._journal.keep, replace(entry, receipt=receipt)))

    def _until_next_look(self, entry: Entry) -> float:
        """As long as it is open already: whoever asks again and again uses up no allowance by it."""
        age = self._clock.now() - (entry.lost_at or entry.asked_at)
        return min(max(age.total_seconds(), LOOKS[0]), LOOKS[1])

    def _still_working(self, entry: Entry) -> timedelta:
        """How long the conversation of an open entry may still appear."""
        end = (entry.lost_at or entry.asked_at + SENDING) + WORKING
        return end - self._clock.now()

    async def _send_until_answered(self, entry: Entry, draft: SegmentsDraft) -> Created:
        failures: list[OmiError] = []
        receipt: Receipt | None = None
        waits = iter(REPEATS)
        while True:
            try:
                receipt = await self._send_segments(entry, draft, first=not failures)
            except OmiError as error:
                if not failures and not isinstance(error, AnswerLost | ServerFault | Conflict):
                    raise
                failures.append(error)
            else:
                # After a loss this may be the placeholder of the first request, which a failure would take away.
                if receipt.status != "processing" or not failures:
                    return Created(receipt, recovered=bool(failures))
            if len(failures) >= FAILURES and all(map(_final, failures)):
                await noted(partial(self._journal.forget, entry))
                raise NotCreated(str(failures[-1]))
            pause = next(waits, None)
            if pause is not None and receipt is None:
                pause = _pause_after(failures[-1], pause)
            if pause is None or pause > sum(REPEATS):
                break
            await self._clock.sleep(pause)
            if not _final(failures[-1]) and (found := await self._glance(entry, draft)):
                return Created(found, recovered=True)
        if receipt is not None:
            return Created(receipt, recovered=True)
        if isinstance(failures[-1], Conflict):
            raise Unfinished(str(failures[-1]))
        raise OutcomeUnknown(str(failures[-1]), retry_after=failures[-1].retry_after)

    async def _send_segments(self, entry: Entry, draft: SegmentsDraft, *, first: bool) -> Receipt:
        """Send once, and note what came of it."""
        self._out.add(entry.id)
        try:
            receipt = await self._client.create_from_segments(draft)
        except (AnswerLost, ServerFault, Conflict):
            await self._lose(entry)
            raise
        except BaseException:  # refused, or cancelled before it was out: see `OmiClient`
            if first:
                await noted(partial(self._journal.forget, entry))
            raise
        finally:
            self._out.discard(entry.id)
        await noted(partial(self._journal.keep, replace(entry, receipt=receipt)))
        return receipt

    def _exact(self, draft: TextDraft) -> TextDraft:
        """`draft` at an instant of its own: the API keeps microseconds, and a list call finds exactly that one."""
        started = draft.started_at.replace(microsecond=random.randrange(1, 1_000_000))
        finished = max(started, draft.finished_at) if draft.finished_at else None
        return replace(draft, started_at=started, finished_at=finished)


def _content(draft: TextDraft | SegmentsDraft, *, dated: bool = True) -> str:
    """What makes two creates the same: the session, or everything sent, but for a time that only says "now"."""
    if isinstance(draft, SegmentsDraft):
        return hashlib.sha256(f"session:{draft.client_session_id}".encode()).hexdigest()
    body = draft.body()
    if not dated:
        del body["started_at"]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _is_meant(conversation: Conversation, entry: Entry, draft: SegmentsDraft | None) -> bool:
    """Whether a conversation is what became of a create.

    An instant with microseconds is the create's own. Another may be that of several, so the rest has to agree.
    """
    if conversation.created_at != entry.started_at:
        return False
    if entry.started_at.microsecond:
        return True
    if draft is None or draft.finished_at is None or conversation.finished_at is None:
        return False
    length = conversation.finished_at - conversation.created_at
    return (length, conversation.source) == (draft.finished_at - draft.started_at, draft.source)


def _final(error: OmiError) -> bool:
    """Whether the service's own handler says that it failed; others on the way say nothing about what it does."""
    return isinstance(error, ServerFault) and bool(error.detail)


def _pause_after(error: OmiError | database.Away, pause: float) -> float | None:
    """Seconds until asking again makes sense; None when waiting does not mend it."""
    match error:
        case RateLimited() | BudgetSpent():
            return max(pause, LONGEST_PAUSE if error.retry_after is None else error.retry_after)
        case Unreachable() | AnswerLost() | ServerFault() | Conflict() | database.Away():
            return pause
        case _:
            return None
