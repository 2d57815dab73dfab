"""Creates that happen once: every one ends in a known state, however the answer got lost."""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import anyio

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.drafts import SegmentsDraft, TextDraft
from omi_mcp.api.errors import AnswerLost, Conflict, OmiError, ServerFault
from omi_mcp.api.models import Receipt
from omi_mcp.clock import Clock
from omi_mcp.mirror.journal import Entry, Journal

REPEAT_WINDOW = timedelta(minutes=10)
"""A create of the same content within this time is a host's retry, not a second conversation."""

PATIENCE = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between looks for a create whose answer was lost; in all as long as the service works on one (120 s)."""

REPLAYS = (1.0, 4.0, 15.0, 40.0)
"""Seconds between repeats of a create with a session id. Each repeat costs one of 25 writes an hour."""

SETTLED_AFTER = timedelta(seconds=sum(PATIENCE))


@dataclass(frozen=True)
class Created:
    """A conversation that exists. `repeated`: it had been created before, nothing new was made."""

    receipt: Receipt
    repeated: bool = False
    recovered: bool = False


class OutcomeUnknown(OmiError):
    """A create was sent, its answer was lost and the API cannot be asked. Asking for the same create settles it."""


class NotCreated(OmiError):
    """A create was sent and failed; the API was asked and holds no such conversation."""


class Writer:
    """Sends creates and finds out what became of them."""

    def __init__(self, client: OmiClient, journal: Journal, clock: Clock, *, rng: random.Random | None = None) -> None:
        self._client = client
        self._journal = journal
        self._clock = clock
        self._rng = rng or random.Random()
        self._under_way: dict[str, anyio.Lock] = {}

    async def create_from_text(self, draft: TextDraft, *, dated: bool, allow_duplicate: bool = False) -> Created:
        """Create once. The API has no idempotency for text, so the exact start instant identifies the conversation.

        Raises:
            NotCreated: it was sent and failed; nothing was created.
            OutcomeUnknown: it was sent and what became of it cannot be asked now.
            OmiError: it was refused; nothing was created.
        """
        content = _content(draft, dated=dated)
        lock = self._under_way.setdefault(content, anyio.Lock())
        try:
            async with lock:
                if not allow_duplicate and (earlier := await self._earlier(content)):
                    return earlier
                return await self._send_text(draft, content)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._under_way.pop(content, None)

    async def create_from_segments(self, draft: SegmentsDraft) -> Created:
        """Create once: `client_session_id` lets the same request be sent until an answer arrives.

        Raises:
            OutcomeUnknown: no answer arrived in time; the same create will return the conversation if there is one.
            OmiError: it was refused; nothing was created.
        """
        lost: OmiError | None = None
        for wait in (0.0, *REPLAYS):
            if wait:
                await self._clock.sleep(wait)
            try:
                receipt = await self._client.create_from_segments(draft)
            except (AnswerLost, ServerFault, Conflict) as error:
                lost = error
                continue
            except OmiError as error:
                if lost is None:
                    raise
                raise OutcomeUnknown(str(error)) from error
            if receipt.status == "processing" and lost is not None and not receipt.discarded:
                lost = OmiError("the service is still working on it")
                continue
            return Created(receipt, recovered=lost is not None)
        raise OutcomeUnknown(str(lost)) from lost

    async def settle(self) -> None:
        """Find out about creates that an earlier run left open. One that cannot be asked about stays open."""
        for entry in await database.run(self._journal.unsettled):
            if self._clock.now() - entry.asked_at < SETTLED_AFTER:
                continue
            try:
                await self._settle(entry, patience=())
            except OmiError:
                return

    async def _send_text(self, draft: TextDraft, content: str) -> Created:
        draft = self._exact(draft)
        entry = await database.run(self._journal.begin, content, draft.started_at)
        try:
            receipt = await self._client.create_from_text(draft)
        except (AnswerLost, ServerFault) as error:
            found = await self._settle(entry, patience=PATIENCE)
            if found is None:
                raise NotCreated(str(error)) from error
            return Created(found, recovered=True)
        except OmiError:
            await self._shielded(partial(self._journal.forget, entry))
            raise
        await self._shielded(partial(self._journal.created, entry, receipt))
        return Created(receipt)

    async def _earlier(self, content: str) -> Created | None:
        entry = await database.run(self._journal.latest, content)
        if entry is None or (entry.receipt and self._clock.now() - entry.asked_at > REPEAT_WINDOW):
            return None
        receipt = entry.receipt or await self._settle(entry, patience=self._rest_of_patience(entry))
        return Created(receipt, repeated=True) if receipt else None

    def _rest_of_patience(self, entry: Entry) -> tuple[float, ...]:
        """The looks still due for `entry`, given how long ago it was sent."""
        elapsed = (self._clock.now() - entry.asked_at).total_seconds()
        return tuple(wait for index, wait in enumerate(PATIENCE) if sum(PATIENCE[: index + 1]) > elapsed)

    async def _settle(self, entry: Entry, patience: tuple[float, ...]) -> Receipt | None:
        """The receipt of the conversation `entry` made, or None when there is none; the journal is told.

        Raises:
            OutcomeUnknown: the API cannot be asked.
        """
        asked: OmiError | None = None
        for wait in (0.0, *patience):
            if wait:
                await self._clock.sleep(wait)
            try:
                page = await self._client.list_conversations(start=entry.started_at, end=entry.started_at)
            except OmiError as error:
                asked = error
                continue
            asked = None
            if page.conversations:
                receipt = Receipt(id=page.conversations[0].id)
                await self._shielded(partial(self._journal.created, entry, receipt))
                return receipt
        if asked is not None:
            raise OutcomeUnknown(str(asked)) from asked
        await self._shielded(partial(self._journal.forget, entry))
        return None

    def _exact(self, draft: TextDraft) -> TextDraft:
        """`draft` at an instant of its own: the API keeps microseconds, and a list call finds exactly that one."""
        started = draft.started_at.replace(microsecond=self._rng.randrange(1, 1_000_000))
        finished = max(started, draft.finished_at) if draft.finished_at else None
        return replace(draft, started_at=started, finished_at=finished)

    @staticmethod
    async def _shielded(book: Callable[[], None]) -> None:
        """Book an outcome even while the call is being cancelled: the write did happen."""
        with anyio.CancelScope(shield=True):
            await database.run(book)


def _content(draft: TextDraft, *, dated: bool) -> str:
    """What makes two creates the same: everything sent, but for a time that only says "now"."""
    body = draft.body()
    if not dated:
        del body["started_at"]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
