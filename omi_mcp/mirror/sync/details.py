"""What a page of summaries does not bring: transcripts, stars, the folders, and which action items are done.

OMI API: a list with transcripts gives 25 rows at most and spends one transcript read, as much as a single reading. The
summaries are known by then, so a window of `created_at` can be chosen that holds just those wanted, newest first.
`starred` is never returned, only filtered by; folders have a route of their own. So have action items, with a scope and
an allowance of their own: only there it shows what was ticked in the app.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from omi_mcp import database
from omi_mcp.api.client import ITEM_LIMIT, LIST_LIMIT, TRANSCRIPT_LIST_LIMIT, ItemPage, OmiClient, Page
from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Forbidden,
    InvalidRequest,
    NotFound,
    OmiError,
    RateLimited,
    Refused,
    ServerFault,
)
from omi_mcp.api.models import Conversation, Folder
from omi_mcp.clock import Clock
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync.absences import Absences
from omi_mcp.mirror.sync.passes import advance
from omi_mcp.mirror.sync.state import LONG_AGO, ActionItems, Labels, Missing, Position, Transcripts, Wanted

LABELS_FRESH = timedelta(days=1)
"""How long stars and folders are taken to be as they were."""

UNREADABLE = timedelta(days=1)
"""How long a transcript that fails every way is left alone."""

ITEMS_FRESH = timedelta(days=1)
"""How long the list of action items is taken to be as it was, while nobody asks about them."""

ITEMS_REFUSED = timedelta(days=7)
"""How long a key that may not read that list, or a service that has none, is not asked again."""

ITEMS_FAILED = timedelta(hours=1)
"""The same after another failure."""

MOST_ITEM_PAGES = 20
"""No longer list is read: what cannot end would never be settled."""

Candidate = tuple[str, datetime]
"""An id and its `created_at`."""


class TranscriptBackfill:
    """One request at a time; what is left to do is derived from the mirror."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock, absences: Absences) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._absences = absences

    def want(self, start: datetime | None, end: datetime | None) -> bool:
        """Fetch first what began in this window (inclusive). False where that was wanted already. Blocks."""
        wanted = Wanted(start=start, end=end)
        if wanted == Wanted.load(self._store):
            return False
        wanted.save(self._store)
        return True

    def waiting(self) -> bool:
        """Whether there is a transcript to fetch now. Blocks."""
        return bool(self._wanted(Transcripts.load(self._store), 1))

    async def step(self) -> None:
        """Make one request.

        Raises:
            OmiError: the API cannot be asked, or failed; the next call then asks for less at once.
        """
        state, wanted = await database.run(self._choose)
        if not wanted:
            return
        if len(wanted) == 1:
            await self._fetch_one(wanted[0][0])
            return
        asked = self._clock.now()
        try:
            page = await self._client.list_conversations(
                limit=state.batch, start=wanted[-1][1], end=wanted[0][1], include_transcript=True, background=True
            )
        except (AnswerLost, ServerFault):
            # One transcript can be what fails the page: too large, or malformed.
            await database.run(partial(state.save, self._store, batch=max(1, state.batch // 2)))
            raise
        await database.run(self._keep_page, state, wanted, page, asked)

    async def _fetch_one(self, conversation_id: str) -> None:
        asked = self._clock.now()
        try:
            found = await self._client.get_conversation(conversation_id, include_transcript=True, background=True)
        except (NotFound, InvalidRequest):
            missing = Missing(id=conversation_id, noticed=self._clock.now(), dropped=True)
            await database.run(self._absences.notice, [missing])
        except (AnswerLost, ServerFault):
            await database.run(self._set_unreadable, conversation_id)
            raise
        else:
            await database.run(self._keep_one, found, asked)

    def _choose(self) -> tuple[Transcripts, Sequence[Candidate]]:
        """The newest wanted ones that one request can bring; one alone is read by itself."""
        state = Transcripts.load(self._store)
        wanted = self._wanted(state, state.batch)
        for candidate in wanted:
            if candidate[0] in state.alone:
                return state, [candidate]
        return state, wanted

    def _wanted(self, state: Transcripts, limit: int) -> list[Candidate]:
        """The newest that are waiting, those of the last search before others."""
        first = Wanted.load(self._store)
        return self._waiting(state, limit, first.start, first.end) or self._waiting(state, limit, None, None)

    def _waiting(self, state: Transcripts, limit: int, start: datetime | None, end: datetime | None) -> list[Candidate]:
        """The newest in the window, with none among them that would fail the page they are on."""
        now = self._clock.now()
        unreadable = {each for each, until in state.unreadable.items() if now < until}
        doubted = self._absences.doubted()
        wanted: list[Candidate] = []
        for each in self._store.pending_transcripts(limit + len(unreadable | doubted), start, end):
            if each[0] in unreadable and wanted:
                break
            if each[0] not in unreadable | doubted:
                wanted.append(each)
        return wanted[:limit]

    def _keep_page(self, state: Transcripts, wanted: Sequence[Candidate], page: Page, asked: datetime) -> None:
        self._store.upsert(map(_transcribed, page.conversations), asked=asked)
        came = {conversation.id for conversation in page.conversations}
        reached = min((conversation.created_at for conversation in page.conversations), default=None)
        # Those above the last row that came should have come too. Those below make the next page, unless none came.
        alone = [each for each, created_at in wanted if each not in came and reached and created_at > reached]
        if not came & {each for each, _ in wanted}:
            alone.append(wanted[0][0])
        state.save(self._store, alone=tuple(alone), batch=min(TRANSCRIPT_LIST_LIMIT, state.batch * 2))

    def _keep_one(self, found: Conversation, asked: datetime) -> None:
        self._store.upsert([_transcribed(found)], asked=asked)
        state = Transcripts.load(self._store)
        if state.batch < TRANSCRIPT_LIST_LIMIT:
            state.save(self._store, batch=min(TRANSCRIPT_LIST_LIMIT, state.batch * 2))

    def _set_unreadable(self, conversation_id: str) -> None:
        state = Transcripts.load(self._store)
        now = self._clock.now()
        unreadable = {each: until for each, until in state.unreadable.items() if now < until}
        state.save(self._store, unreadable=unreadable | {conversation_id: now + UNREADABLE})


class LabelReader:
    """One request at a time. Methods that are not async block."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock

    def demand(self) -> None:
        """Have both read again."""
        Labels().save(self._store)

    def known(self) -> bool:
        """Whether both have been read."""
        labels = Labels.load(self._store)
        return bool(labels.folders and labels.stars)

    def due(self) -> datetime:
        """When to read them again."""
        labels = Labels.load(self._store)
        return min(labels.folders or LONG_AGO, labels.stars or LONG_AGO) + LABELS_FRESH

    async def step(self) -> None:
        """Read the older of the two; of the stars, one page.

        Raises:
            OmiError: the API cannot be asked.
        """
        labels = await database.run(Labels.load, self._store)
        if labels.position or (labels.folders or LONG_AGO) > (labels.stars or LONG_AGO):
            await self._read_stars(labels)
        else:
            folders = await self._client.folders(background=True)
            await database.run(self._keep_folders, folders)

    async def _read_stars(self, labels: Labels) -> None:
        position = labels.position or Position()
        asked = self._clock.now()
        page = await self._client.list_conversations(
            offset=position.offset, end=position.end, starred=True, background=True
        )
        await database.run(self._keep_stars, labels, page, asked)

    def _keep_folders(self, folders: tuple[Folder, ...]) -> None:
        self._store.replace_folders(folders)
        Labels.load(self._store).save(self._store, folders=self._clock.now())

    def _keep_stars(self, labels: Labels, page: Page, asked: datetime) -> None:
        self._store.upsert(page.conversations, asked=asked)
        starred = {*labels.starred, *(conversation.id for conversation in page.conversations)}
        position, _ = advance(labels.position or Position(), page, patience=1)
        # A page that is not full is taken for the last: a star missed among dropped rows is not worth a request a day.
        if position is None or page.received < LIST_LIMIT:
            self._store.set_starred(starred)
            labels.save(self._store, stars=self._clock.now(), position=None, starred=())
        else:
            labels.save(self._store, position=position, starred=tuple(sorted(starred)))


class ActionItemReader:
    """One request at a time. Nothing else waits for this list: what fails is noted, and tried again later."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock

    def due(self, fresh: timedelta = ITEMS_FRESH) -> datetime:
        """When to read it again, where it should be no older than `fresh`. Blocks."""
        state = ActionItems.load(self._store)
        if state.refused and fresh:
            return (state.failed or LONG_AGO) + ITEMS_REFUSED
        if state.failed:
            return state.failed + min(fresh, ITEMS_FAILED)
        return LONG_AGO if state.began else (state.read or LONG_AGO) + fresh

    async def step(self, *, background: bool = True) -> bool:
        """Read a page. False where the list is at its end, or cannot be read now.

        Raises:
            BudgetSpent, RateLimited: its allowance is used up.
        """
        state = await database.run(ActionItems.load, self._store)
        began = state.began or self._clock.now()
        try:
            page = await self._client.action_items(offset=state.offset, background=background)
        except (BudgetSpent, RateLimited):
            raise
        except OmiError as error:
            await database.run(self.note_failure, error)
            return False
        return await database.run(self._keep, page, began, state)

    def note_failure(self, error: OmiError) -> None:
        """The list could not be read, or not in time: the reading begins anew, later. Blocks."""
        state = ActionItems.load(self._store)
        state.save(self._store, failed=self._clock.now(), refused=_refused(error), began=None, offset=0)

    def _keep(self, page: ItemPage, began: datetime, state: ActionItems) -> bool:
        offset = state.offset + page.received
        last = self._is_last(page, offset)
        self._store.keep_items(page.items, began=began, last=last)
        if last:
            ActionItems(read=began).save(self._store)
        else:
            state.save(self._store, began=began, offset=offset, failed=None, refused=None)
        return not last

    def _is_last(self, page: ItemPage, offset: int) -> bool:
        """A page that is not full is the last, unless locked ones may have been dropped of it, or the service gives
        fewer than it was asked for: then it is of a round number."""
        if not page.received or offset >= MOST_ITEM_PAGES * ITEM_LIMIT:
            return True
        return page.received < ITEM_LIMIT and page.received % 100 != 0 and not self._store.counts().locked


def _refused(error: OmiError) -> Literal["scope", "absent"] | None:
    match error:
        case Forbidden():
            return "scope"
        case Refused(status=404 | 405):
            return "absent"
    return None


def _transcribed(conversation: Conversation) -> Conversation:
    """With its transcript; one that is still null when it was asked for is not there."""
    if conversation.transcript_segments is None:
        return conversation.model_copy(update={"transcript_segments": ()})
    return conversation
