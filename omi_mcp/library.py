"""THE door: a person's conversations. Everything above talks to the library, and to nothing below it.

The library decides what the mirror answers and what the API must be asked; what is said about it is decided above.
Its errors are those of `omi_mcp.api.errors`.

The rooms below are imported by what uses them, with the first call: a host waits for the start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio

from omi_mcp import database
from omi_mcp.api.errors import (
    BudgetSpent,
    InvalidRequest,
    NotConfigured,
    NotFound,
    OmiError,
    PaymentRequired,
    RateLimited,
)
from omi_mcp.clock import Clock, SystemClock

if TYPE_CHECKING:
    from datetime import datetime

    import httpx
    from anyio.abc import TaskGroup

    from omi_mcp.api.budget import Allowance, Budget
    from omi_mcp.api.client import OmiClient
    from omi_mcp.api.drafts import SegmentsDraft, TextDraft
    from omi_mcp.api.models import Conversation, Folder
    from omi_mcp.database import Database
    from omi_mcp.mirror.imports import Imports
    from omi_mcp.mirror.keeping import Keeper
    from omi_mcp.mirror.store import Store
    from omi_mcp.mirror.sync.engine import Progress, Sync
    from omi_mcp.mirror.types import Counts, Entry, Filters, Hit, Results, Stored
    from omi_mcp.settings import Settings
    from omi_mcp.writes import Created, Writer

UNMIRRORED_PAGES = 10
"""How many list pages (100 conversations each) one search may ask for when nothing is mirrored."""

UNMIRRORED = "nothing is copied (OMI_MCP_MIRROR=off), so what was said is never searched"

DELIVERY_SECONDS = 10.0
"""After so long an answer has left the process, and reaches the host whatever becomes of the process."""

RECENT_SECONDS = 3.0
"""How long a list of the recent ones waits: hosts ask for it while they connect."""

READ_THROUGH_SECONDS = 10.0
"""How long the answer to a create waits for the new conversation to be mirrored."""

Report: TypeAlias = "Callable[[Progress], Awaitable[None]]"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Found:
    """A search's answer, and how far the search could see."""

    results: Results
    counts: Counts
    progress: Progress


@dataclass(frozen=True)
class Reading:
    """One conversation. `obstacle` says why a transcript that was asked for could not be fetched now."""

    stored: Stored
    obstacle: OmiError | None = None


@dataclass(frozen=True)
class Standing:
    """How the copy stands. `remains` is None when all is copied, else the seconds until copying can go on.

    `comparing`: the whole list is still to be read, for the first time or as `sync` was asked to.
    """

    counts: Counts
    progress: Progress
    remains: float | None
    comparing: bool


@dataclass(frozen=True)
class _Mirror:
    database: Database
    store: Store
    budget: Budget
    client: OmiClient
    sync: Sync
    keeper: Keeper
    imports: Imports
    writer: Writer


class Library:
    """The user's conversations. Nothing is opened or asked before the first call; use inside `running()`."""

    def __init__(
        self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock or SystemClock()
        self._opening = anyio.Lock()
        self._mirror: _Mirror | None = None
        self._tasks: TaskGroup | None = None
        self._syncing = True

    @asynccontextmanager
    async def running(self, *, syncing: bool = True) -> AsyncIterator[None]:
        """Keep the library open: background sync starts with the first call and ends, files closed, with the block.

        With `syncing` False this process leaves the copying to others.
        """
        self._syncing = syncing
        try:
            async with anyio.create_task_group() as self._tasks:
                try:
                    yield
                finally:
                    self._tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()

    async def search(
        self,
        text: str,
        filters: Filters,
        *,
        folder: str | None = None,
        limit: int,
        offset: int = 0,
        report: Report | None = None,
    ) -> Found:
        """Find by words and filters; without words, the newest first. `folder` is an id or a name.

        Raises:
            InvalidRequest: there is no such folder.
            OmiError: nothing is mirrored and the API cannot be asked.
        """
        from omi_mcp.mirror.search.engine import search

        mirror = await self._open()
        if self._settings.mirror == "off":
            return await self._search_unmirrored(mirror, text, filters, folder=folder, limit=limit, offset=offset)
        await mirror.sync.refresh(wait_for_first=True, report=report)
        if folder is not None:
            filters = await self._in_folder(mirror, filters, folder)

        def look() -> tuple[Results, Counts]:
            return search(mirror.store, text, filters, limit=limit, offset=offset), mirror.store.counts()

        results, counts = await database.run(look)
        return Found(results, counts, mirror.sync.progress())

    async def get(self, conversation_id: str, *, transcript: bool = True) -> Reading:
        """One conversation, from the mirror where it has what is asked for, else from the API.

        Raises:
            NotFound: there is none with this id that this key can see.
            OmiError: it is not mirrored and the API cannot be asked.
        """
        mirror = await self._open()
        stored = await database.run(mirror.store.get, conversation_id)
        synced = self._settings.mirror != "off"
        if stored and synced and (not transcript or stored.transcript in ("stored", "none")):
            return Reading(stored)
        asked = self._clock.now()
        try:
            fetched = await mirror.client.get_conversation(conversation_id, include_transcript=transcript)
        except NotFound:
            if stored and stored.transcript == "locked":
                return Reading(stored)  # OMI API: a read of a locked one is answered like one of a lost one
            await mirror.keeper.gone(conversation_id)
            raise
        except OmiError as error:
            if stored is None:
                raise
            return Reading(stored, error)
        return Reading(await mirror.keeper.keep(fetched, asked=asked))

    def occurrences(self, query: str, text: str) -> list[tuple[int, int]]:
        """Where in `text` (from, to) the words stand that a search takes for those of `query`."""
        from omi_mcp.mirror.search.query import parse
        from omi_mcp.mirror.search.sought import Sought

        return [(found.word.start, found.word.end) for found in Sought.of(parse(query)).find(text)]

    async def find_in(self, conversation_id: str, words: str, limit: int) -> tuple[Hit, ...]:
        """The best moments for `words` inside one conversation that `get` has returned before, best first."""
        from omi_mcp.mirror.search.engine import find_in

        mirror = await self._open()
        return await database.run(find_in, mirror.store, conversation_id, words, limit)

    async def recent(self, *, limit: int, offset: int = 0) -> list[Stored]:
        """The newest conversations the mirror knows, without transcripts; waits only shortly for news of them."""
        mirror = await self._open()
        if self._settings.mirror != "off":
            with anyio.move_on_after(RECENT_SECONDS), suppress(OmiError):
                await mirror.sync.refresh(wait_for_first=True)
        return await database.run(mirror.store.recent, limit, offset)

    async def titled(self, words: str, *, limit: int) -> list[Stored]:
        """Mirrored conversations whose title holds all `words` (the last may be unfinished), newest first."""
        mirror = await self._open()
        return await database.run(mirror.store.titles, words, limit)

    async def sync(self, *, full: bool = False) -> None:
        """Look for what is new now. `full` has everything compared too, in the background: see `standing`.

        Raises:
            OmiError: nothing has ever been copied, and the API cannot be asked.
        """
        mirror = await self._open()
        await mirror.sync.refresh(wait_for_first=True)
        if full:
            await mirror.sync.compare_all()

    async def standing(self) -> Standing:
        """How far the copy has come, whichever process makes it. Asks nothing of the API."""
        from omi_mcp.mirror.sync.state import Passes

        mirror = await self._open()
        progress, remains = await mirror.sync.measure(), await mirror.sync.remains()
        passes = await database.run(Passes.load, mirror.store)
        comparing = passes.whole is None or passes.demanded is not None
        return Standing(await database.run(mirror.store.counts), progress, remains, comparing)

    async def allowances(self) -> tuple[Allowance, ...]:
        """The hourly allowances as this account's ledger sees them. Asks nothing of the API."""
        mirror = await self._open()
        return await database.run(mirror.budget.allowances)

    async def catalogue(self, start: datetime | None = None, end: datetime | None = None) -> list[Entry]:
        """Every listed conversation that began between `start` and `end` (inclusive), oldest first, from the copy."""
        mirror = await self._open()
        return await database.run(mirror.store.catalogue, start, end)

    async def copied(self, conversation_id: str) -> Stored | None:
        """One conversation with its transcript as the copy has it; the API is not asked."""
        mirror = await self._open()
        return await database.run(mirror.store.get, conversation_id)

    async def scopes(self) -> tuple[str, ...] | None:
        """What the key may do, asked of the API; None where it cannot say."""
        mirror = await self._open()
        return await mirror.client.scopes()

    async def create_from_text(self, draft: TextDraft, *, dated: bool, allow_duplicate: bool = False) -> Created:
        """Create from text, once: a lost answer is resolved, a repeat within minutes returns the first.

        `dated`: the start was given, not assumed to be now, and so tells this text from the same text of another day.
        """
        mirror = await self._open()

        async def create() -> Created:
            created = await mirror.writer.create_from_text(draft, dated=dated, allow_duplicate=allow_duplicate)
            await self._mirror_created(mirror, created, transcript=False)
            return created

        return await self._told(mirror, await self._carry_through(create))

    async def create_from_segments(self, draft: SegmentsDraft) -> Created:
        """Create from a diarised transcript, once: the session id makes a repeat return the first."""
        mirror = await self._open()

        async def create() -> Created:
            created = await mirror.writer.create_from_segments(draft)
            await self._mirror_created(mirror, created, transcript=True)
            return created

        return await self._told(mirror, await self._carry_through(create))

    async def imported(self, sessions: Sequence[str]) -> dict[str, str]:
        """Which of these session ids `import_segments` has sent before, and the conversations they became."""
        mirror = await self._open()
        return await database.run(mirror.imports.known, sessions)

    async def import_segments(self, draft: SegmentsDraft, *, title: str | None = None) -> Created:
        """`create_from_segments`, with a title of one's own if one is given, noted for `imported` once all is done."""
        mirror = await self._open()
        created = await self.create_from_segments(draft)
        if title is not None and not created.receipt.discarded:
            await self.update_title(created.receipt.id, title)
        await database.run(mirror.imports.note, draft.client_session_id, created.receipt.id)
        return created

    async def update_title(self, conversation_id: str, title: str) -> Conversation:
        """Rename. Returns the conversation as the API has it now, without transcript."""
        from omi_mcp import changes

        mirror = await self._open()
        return await self._change(
            mirror, conversation_id, partial(changes.rename, mirror.client, self._clock, conversation_id, title)
        )

    async def discard(self, conversation_id: str) -> Conversation:
        """Hide from lists and search. `restore` brings it back."""
        return await self._set_discarded(conversation_id, True)

    async def restore(self, conversation_id: str) -> Conversation:
        return await self._set_discarded(conversation_id, False)

    async def current(self, conversation_id: str) -> Conversation:
        """The conversation as the API has it now, without transcript, whatever the mirror knows."""
        mirror = await self._open()
        return await mirror.client.get_conversation(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        """Delete for good. What the service made of it besides, memories and action items, stays there."""
        from omi_mcp import changes

        mirror = await self._open()

        async def delete() -> None:
            try:
                await changes.delete(mirror.client, self._clock, conversation_id)
            except PaymentRequired:
                await mirror.keeper.locked(conversation_id)
                raise
            except NotFound:
                await mirror.keeper.gone(conversation_id)
                raise
            await mirror.keeper.deleted(conversation_id)

        await self._carry_through(delete)

    async def _set_discarded(self, conversation_id: str, discarded: bool) -> Conversation:
        from omi_mcp import changes

        mirror = await self._open()
        change = partial(changes.set_discarded, mirror.client, self._clock, conversation_id, discarded)
        return await self._change(mirror, conversation_id, change, hidden=discarded)

    async def _change(
        self,
        mirror: _Mirror,
        conversation_id: str,
        change: Callable[[], Awaitable[Conversation]],
        *,
        hidden: bool | None = None,
    ) -> Conversation:
        async def carry_out() -> Conversation:
            try:
                changed = await change()
            except NotFound:
                await mirror.keeper.gone(conversation_id)
                raise
            except PaymentRequired:
                await mirror.keeper.locked(conversation_id)
                raise
            await mirror.keeper.keep(changed, hidden=hidden)
            return changed

        return await self._carry_through(carry_out)

    async def _carry_through(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """`write`, to its end: a call that is cancelled stops waiting for it, and does not cut it off halfway."""
        from omi_mcp.writes import OutcomeUnknown

        if self._tasks is None:
            return await write()
        results: list[Result] = []
        failures: list[Exception] = []
        ended = anyio.Event()

        async def carry() -> None:
            try:
                results.append(await write())
            except Exception as error:
                failures.append(error)
            finally:
                ended.set()

        self._tasks.start_soon(carry)
        await ended.wait()
        if failures:
            raise failures[0]
        if not results:
            raise OutcomeUnknown("the server was stopped")
        return results[0]

    async def _told(self, mirror: _Mirror, created: Created) -> Created:
        """`created` as it is now, and noted as told: not before the answer has gone out, which a kill could prevent."""
        receipt = created.receipt

        async def note() -> None:
            try:
                await self._clock.sleep(DELIVERY_SECONDS)
            finally:
                with anyio.CancelScope(shield=True):
                    await mirror.keeper.heard(receipt.id)

        if self._tasks is None:
            await mirror.keeper.heard(receipt.id)
        else:
            self._tasks.start_soon(note)
        hidden = await mirror.keeper.hides(receipt.id) if created.repeated else None
        if hidden is None or hidden == receipt.discarded:
            return created
        return replace(created, receipt=receipt.model_copy(update={"discarded": hidden}))

    async def _mirror_created(self, mirror: _Mirror, created: Created, *, transcript: bool) -> None:
        """Make a new conversation findable at once. One that cannot be read now is found by the next sync."""
        receipt = created.receipt
        if created.repeated or receipt.discarded or receipt.status != "completed" or self._settings.mirror == "off":
            return
        with anyio.move_on_after(READ_THROUGH_SECONDS), suppress(OmiError):
            conversation = await mirror.client.get_conversation(receipt.id, include_transcript=transcript)
            if not transcript:
                conversation = conversation.model_copy(update={"transcript_segments": ()})
            await mirror.keeper.keep(conversation, hidden=False)

    async def _in_folder(self, mirror: _Mirror, filters: Filters, folder: str) -> Filters:
        folders = await database.run(mirror.store.folders) or await mirror.client.folders()
        return _filter_folder(filters, folder, folders)

    async def _search_unmirrored(
        self, mirror: _Mirror, text: str, filters: Filters, *, folder: str | None, limit: int, offset: int
    ) -> Found:
        """Rank titles and summaries of the list pages that the read allowance permits; keep nothing afterwards."""
        from omi_mcp.database import Database
        from omi_mcp.mirror.search.engine import search
        from omi_mcp.mirror.store import Store

        if folder is not None:
            filters = _filter_folder(filters, folder, await mirror.client.folders())
        passing = Store(Database(None), self._clock)
        try:
            progress = await self._list_into(passing, mirror.client, filters)
            results = await database.run(lambda: search(passing, text, filters, limit=limit, offset=offset))
            counts = await database.run(passing.counts)
        finally:
            await database.run(passing.database.close)
        return Found(results, counts, progress)

    async def _list_into(self, store: Store, client: OmiClient, filters: Filters) -> Progress:
        from omi_mcp.api.client import LIST_LIMIT
        from omi_mcp.mirror.sync.engine import Progress

        complete, blocked, oldest, listed = False, None, None, 0
        for page_number in range(UNMIRRORED_PAGES):
            try:
                page = await client.list_conversations(
                    offset=page_number * LIST_LIMIT,
                    categories=filters.categories,
                    folder_id=filters.folder_id,
                    starred=filters.starred,
                    background=True,
                )
            except (BudgetSpent, RateLimited) as error:
                if page_number == 0:
                    raise
                blocked = str(error)
                break
            await database.run(store.upsert, page.conversations)
            listed += len(page.conversations)
            oldest = min((c.created_at for c in page.conversations), default=oldest)
            if page.received == 0:
                complete = True
                break
        return Progress(
            phase="idle",
            conversations=listed,
            oldest=oldest,
            complete=complete,
            synced=self._clock.now(),
            blocked=blocked,
            retry_at=None,
            warning=UNMIRRORED,
        )

    async def _open(self) -> _Mirror:
        if not self._settings.api_key:
            raise NotConfigured("no Omi API key is set")
        async with self._opening:
            if self._mirror is None:
                self._mirror = await database.run(self._open_blocking)
                if self._tasks is not None:
                    self._tasks.start_soon(self._mirror.writer.settle)
                    if self._syncing and self._settings.mirror != "off":
                        self._tasks.start_soon(self._mirror.sync.run)
            return self._mirror

    def _open_blocking(self) -> _Mirror:
        from omi_mcp.api.budget import Budget
        from omi_mcp.api.client import OmiClient
        from omi_mcp.database import Database
        from omi_mcp.mirror.imports import Imports
        from omi_mcp.mirror.journal import Journal
        from omi_mcp.mirror.keeping import Keeper
        from omi_mcp.mirror.store import Store
        from omi_mcp.mirror.sync.engine import Sync
        from omi_mcp.writes import Writer

        opened = Database(self._settings.mirror_path)
        store = Store(opened, self._clock)
        budget = Budget(opened, self._clock)
        client = OmiClient(
            self._settings.base_url,
            self._settings.api_key,
            clock=self._clock,
            budget=budget,
            transport=self._transport,
        )
        journal = Journal(opened, self._clock)
        return _Mirror(
            database=opened,
            store=store,
            budget=budget,
            client=client,
            sync=Sync(client, store, self._clock),
            keeper=Keeper(store, journal, self._clock),
            imports=Imports(opened),
            writer=Writer(client, journal, self._clock),
        )

    async def _close(self) -> None:
        if self._mirror is not None:
            mirror, self._mirror = self._mirror, None
            await mirror.client.aclose()
            await database.run(mirror.database.close)


def _filter_folder(filters: Filters, folder: str, folders: Sequence[Folder]) -> Filters:
    wanted = folder.strip().casefold()
    for candidate in folders:
        if wanted in (candidate.id.casefold(), candidate.name.casefold()):
            return replace(filters, folder_id=candidate.id)
    names = ", ".join(sorted(candidate.name for candidate in folders)) or "none yet"
    raise InvalidRequest("folder", f"there is no such folder. Folders: {names}.")
