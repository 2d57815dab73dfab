"""THE door: a person's conversations. Everything above talks to the library, and to nothing below it.

The library decides what the mirror answers and what the API must be asked; what is said about it is decided above.
Its errors are those of `omi_mcp.api.errors`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

import anyio
import httpx

from omi_mcp import database
from omi_mcp.account import Account, AccountOnDemand, Hosted
from omi_mcp.api.budget import Allowance
from omi_mcp.api.drafts import SegmentsDraft, TextDraft, is_name
from omi_mcp.api.errors import BudgetSpent, InvalidRequest, NotFound, OmiError, PaymentRequired, RateLimited
from omi_mcp.api.models import Conversation, Folder
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.mirror.search import find_in, occurrences, reach, search, search_to_do, who_speaks, worth_asking
from omi_mcp.mirror.types import (
    CatalogueEntry,
    Counts,
    Filters,
    Heard,
    Hit,
    Listener,
    Match,
    Names,
    Progress,
    Results,
    Standing,
    Stored,
    ToDo,
)
from omi_mcp.names import RECENT, People, Person, unaccented
from omi_mcp.settings import Settings
from omi_mcp.views.notes import warned
from omi_mcp.views.text import clean_name
from omi_mcp.writes import Created

RECENT_SECONDS = 3.0
"""How long a list of the recent ones waits: hosts ask for it while they connect."""

MOST_ALIKE = 5
"""How many ids are named that begin alike."""

FEW = 10
"""Conversations that are asked for one by one; among more, lists of 100 tell faster."""

MOST_OF_ALL = 12
"""Hits of one conversation where all are asked for."""

A_DAY = timedelta(days=1)

LONGEST_NAME = 100
"""Characters of a name given to a speaker."""

UNKNOWN_USER = (
    "it is not known yet which speaker is the user: give the name that transcripts have (speakers lists them), or set "
    "OMI_MCP_USER_NAME"
)


@dataclass(frozen=True)
class Found:
    """A search's answer, and how far the search could see.

    `counts` are of what passes `filters`, leaving out the speakers. `newest` is False for a later page of a list by
    date, which cannot hold the newest ones. `heard` says of a search that found nothing where its speakers do speak.
    """

    results: Results
    counts: Counts
    progress: Progress
    filters: Filters
    newest: bool
    user: str | None = None
    """What the person is called in transcripts, where that is known."""
    to_do: ToDo | None = None
    """What is known of items that are done, where open ones were asked for."""
    heard: tuple[Heard, ...] = ()
    query: str = ""
    by_meaning: tuple[Match, ...] = ()
    """What the service's own search has added behind the results of the first page."""
    unworded: int = 0
    """How many of these match no word, and are on no other page."""

    @property
    def matches(self) -> tuple[Match, ...]:
        """All that this page shows, in order."""
        return (*self.results.matches, *self.by_meaning)

    @property
    def unheard(self) -> int:
        """Of how many it is not known yet who speaks in them, where that was asked."""
        return self.counts.pending if self.filters.speakers else 0


@dataclass(frozen=True)
class Reading:
    """One conversation. `obstacle` says why a transcript that was asked for could not be fetched now."""

    stored: Stored
    obstacle: OmiError | None = None


@dataclass(frozen=True)
class Speaker:
    """One who speaks in a conversation: the API's `label`, the `name` given on this side, if any."""

    label: str
    name: str | None
    segments: int

    @property
    def short(self) -> str:
        """What the label comes to for a person: `1` for `Speaker 1`, and the user is `You`."""
        return "You" if self.label == "User" else self.label.removeprefix("Speaker ")


class Library:
    """The user's conversations. Nothing is opened or asked before the first call; use inside `running()`."""

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        hosted: Hosted | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._account = AccountOnDemand(settings, self._clock, transport, hosted or Hosted())

    @property
    def opened(self) -> bool:
        """Whether its files are open, as they are from the first call on."""
        return self._account.opened

    @asynccontextmanager
    async def running(self, *, syncing: bool = True) -> AsyncIterator[None]:
        """Keep the library open. Background sync starts with the first call; with the block it ends, and files close.

        With `syncing` False this process leaves the copying to others.
        """
        async with self._account.running(syncing=syncing):
            yield

    async def search(
        self,
        query: str,
        filters: Filters,
        *,
        folder: str | None = None,
        limit: int,
        offset: int = 0,
        every_hit: bool = False,
        mixed: bool = False,
        refresh: bool = False,
        report: Listener | None = None,
    ) -> Found:
        """Find by words and filters; without words, the newest first. `folder` is an id or a name, and one of the
        speakers may be "me".

        Of each conversation the best hits are given; with `every_hit` all, up to `MOST_OF_ALL`. What matches loosely is
        on pages of its own, unless `mixed`.

        `refresh` looks for what is new however lately that was done. Where open items are asked for, those that are
        done by the account's own list are not among them, and those of it that belong to no conversation come along.
        Where words find nothing close, the first page ends with what the service's own search by meaning finds, unless
        the settings keep it from being asked.

        Raises:
            InvalidRequest: there is no such folder, or it is not known which speaker is the user.
            OmiError: nothing is mirrored and the API cannot be asked.
        """
        account = await self._account.open()
        await account.sync.refresh(look=refresh, report=report)
        if folder is not None:
            filters = await self._in_folder(account, filters, folder)
        if filters.open_items and not offset:  # what changes meanwhile would shift later pages
            await account.sync.refresh_items(anew=refresh)

        def look() -> tuple[Results, Counts, People, Filters, ToDo | None, tuple[Heard, ...]]:
            people = self._people(account)
            wanted = _filter_speakers(filters, people)
            to_do = None
            if filters.open_items:
                results, loose = search_to_do(account.store, query, wanted, limit=limit, offset=offset)
                to_do = replace(account.sync.to_do(), loose=loose)
            else:
                every = MOST_OF_ALL if every_hit else 0
                results = search(account.store, query, wanted, limit=limit, offset=offset, mixed=mixed, every=every)
            asked = [name for name, *_ in filters.speakers]
            heard = who_speaks(account.store, asked, wanted) if asked and not results.total else ()
            return results, reach(account.store, filters), people, wanted, to_do, heard

        results, counts, people, wanted, to_do, heard = await database.run(look)
        by_meaning, unworded = tuple[Match, ...](), 0
        nobody = any(each.everywhere is None for each in heard)
        asking = self._settings.omi_search and not (offset or filters.open_items or nobody)
        if asking and worth_asking(query, results):
            by_meaning, unworded = await self._by_meaning(account, query, wanted, results)
        if counts.pending:
            await account.sync.fetch_first(filters.start, filters.end)
        newest = not offset or bool(query.strip())
        return Found(
            results,
            counts,
            account.sync.progress(),
            filters,
            newest,
            user=people.user,
            to_do=to_do,
            heard=heard,
            by_meaning=by_meaning,
            query=query,
            unworded=unworded,
        )

    async def _by_meaning(
        self, account: Account, query: str, wanted: Filters, results: Results
    ) -> tuple[tuple[Match, ...], int]:
        if wanted.start and wanted.start > self._clock.now():
            return (), 0
        shown = {match.stored.conversation.id for match in results.matches}
        hidden = await database.run(account.lasting.hidden.ids)
        return await account.meaning.search(query, wanted, shown, account.sync.progress(), hidden)

    async def get(self, conversation_id: str, *, transcript: bool = True) -> Reading:
        """One conversation, from the mirror where it has what is asked for, else from the API.

        Raises:
            NotFound: there is none with this id that this key can see.
            OmiError: it is not mirrored and the API cannot be asked.
        """
        account = await self._account.open()
        stored = await database.run(account.store.get, conversation_id)
        if stored and (not transcript or stored.transcript in ("stored", "none")):
            return Reading(stored)
        asked = self._clock.now()
        try:
            fetched = await account.client.get_conversation(conversation_id, include_transcript=transcript)
        except NotFound:
            if stored and stored.transcript == "locked":
                return Reading(stored)  # OMI API: a read of a locked one is answered like one of a lost one
            await account.write_through.gone(conversation_id)
            raise
        except OmiError as error:
            if stored is None:
                raise
            return Reading(stored, error)
        hidden = stored is None and conversation_id in await database.run(account.lasting.hidden.ids)
        return Reading(await account.write_through.keep(fetched, hidden=hidden or None, asked=asked))

    def occurrences(self, query: str, text: str) -> list[tuple[int, int]]:
        """Where in `text` (from, to) the words stand that a search takes for those of `query`."""
        return occurrences(query, text)

    async def find_in(self, conversation_id: str, words: str, limit: int, speaker: Person = ()) -> tuple[Hit, ...]:
        """The best moments for `words` inside one conversation that `get` has returned before, best first; in what
        `speaker` says, where one is named.
        """
        account = await self._account.open()
        return await database.run(find_in, account.store, conversation_id, words, limit, speaker)

    async def people(self) -> People:
        """Who speaks in the conversations that are copied, and which of them is the user. Asks nothing of the API."""
        account = await self._account.open()
        return await database.run(self._people, account)

    async def recent(self, *, limit: int, offset: int = 0) -> list[Stored]:
        """The newest conversations the mirror knows, without transcripts; waits only shortly for news of them."""
        account = await self._account.open()
        with anyio.move_on_after(RECENT_SECONDS), suppress(OmiError):
            await account.sync.refresh()
        return await database.run(account.store.recent, limit, offset)

    async def titled(self, words: str, *, limit: int) -> list[Stored]:
        """Mirrored conversations whose title holds all `words` (the last may be unfinished), newest first."""
        account = await self._account.open()
        return await database.run(account.store.titles, words, limit)

    async def resolve(self, beginning: str) -> str:
        """The id of the one known conversation whose id begins so; `beginning` itself where none is known.

        Raises:
            InvalidRequest: several conversations begin so.
        """
        account = await self._account.open()
        known = await database.run(account.store.beginning_with, beginning, MOST_ALIKE + 1)
        ids = [stored.conversation.id for stored in known]
        if len(ids) <= 1 or beginning in ids:
            return ids[0] if len(ids) == 1 else beginning
        more = ", and more" if len(ids) > MOST_ALIKE else ""
        raise InvalidRequest("id", f"several begin so: {', '.join(ids[:MOST_ALIKE])}{more}")

    async def hidden(self) -> dict[str, Stored | None]:
        """The hidden conversations that this computer knows, by id, newest first. The API lists none.

        Of those that were hidden from here and are not copied any more a few are read anew; None is what is not.
        """
        account = await self._account.open()
        known: dict[str, Stored | None] = {
            stored.conversation.id: stored for stored in await database.run(account.store.hidden)
        }
        for place, conversation_id in enumerate(await database.run(self._lost_sight_of, account)):
            known[conversation_id] = None
            if place < FEW:
                try:
                    known[conversation_id] = (await self.get(conversation_id, transcript=False)).stored
                except NotFound:
                    del known[conversation_id]
                except OmiError:
                    pass
        return known

    @staticmethod
    def _lost_sight_of(account: Account) -> list[str]:
        """Ids of what was hidden from here and is not in the copy."""
        hidden = account.lasting.hidden.ids()
        copied = account.store.present(hidden)
        return [each for each in hidden if each not in copied]

    async def sync(self, *, full: bool = False) -> None:
        """Look for what is new now, however lately that was done.

        In the background everything is compared too, if it was not in its time, or with `full`: see `standing`.

        Raises:
            OmiError: nothing has ever been copied, and the API cannot be asked.
        """
        account = await self._account.open()
        await account.sync.refresh(look=True)
        await (account.sync.compare_all() if full else account.sync.compare_overdue())

    async def standing(self) -> Standing:
        """How far the copy has come, whichever process makes it. Asks nothing of the API."""
        account = await self._account.open()
        return await account.sync.standing()

    async def allowances(self) -> tuple[Allowance, ...]:
        """The hourly allowances as this account's ledger sees them. Asks nothing of the API."""
        account = await self._account.open()
        return await database.run(account.budget.allowances)

    async def catalogue(self, start: datetime | None = None, end: datetime | None = None) -> list[CatalogueEntry]:
        """Every listed conversation that began between `start` and `end` (inclusive), oldest first, from the copy."""
        account = await self._account.open()
        return await database.run(account.store.catalogue, start, end)

    async def copied(self, conversation_id: str) -> Stored | None:
        """One conversation with its transcript as the copy has it; the API is not asked."""
        account = await self._account.open()
        return await database.run(account.store.get, conversation_id)

    async def scopes(self) -> tuple[str, ...] | None:
        """What the key may do, asked of the API; None where it cannot say, but gives conversations to this key."""
        account = await self._account.open()
        return await account.client.check()

    async def create_from_text(self, draft: TextDraft, *, dated: bool, allow_duplicate: bool = False) -> Created:
        """Create from text, once: a lost answer is resolved, a repeat within minutes returns the first.

        `dated`: the start was given, not assumed to be now, and so tells this text from the same text of another day.
        """
        account = await self._account.open()
        return await account.writer.create_from_text(draft, dated=dated, allow_duplicate=allow_duplicate)

    async def create_from_segments(self, draft: SegmentsDraft) -> Created:
        """Create from a diarised transcript, once: the session id makes a repeat return the first.

        The names of its speakers, which the API does not take, are kept on this side.
        """
        account = await self._account.open()
        return await account.writer.create_from_segments(draft, _usable(draft.names))

    async def imported(self, sessions: Sequence[str]) -> dict[str, str]:
        """Which of these session ids `import_segments` has sent before, and the conversations they became."""
        account = await self._account.open()
        return await database.run(account.lasting.imported.known, sessions)

    async def learn_names(self, conversation_id: str, names: Names) -> None:
        """Keep these names, by what the API calls each speaker, where none were given on this side before."""
        account = await self._account.open()
        await account.write_through.learn_names(conversation_id, _usable(names))

    async def existing(self, began: Mapping[str, datetime], *, now: bool = False) -> set[str]:
        """Which of these conversations are certainly there, by the copy; where many are not in it, by the API's list.

        `began` has about when each began; `now` leaves out the copy. The others may be there all the same, hidden
        ones above all: `exists` tells.
        """
        account = await self._account.open()
        found = set() if now else await database.run(account.store.present, began)
        moments = sorted(moment for each, moment in began.items() if each not in found)
        if len(moments) <= FEW:
            return found
        first, last = moments[0] - A_DAY, moments[-1] + A_DAY
        with suppress(BudgetSpent, RateLimited):
            for _ in range(len(moments) // FEW):
                page = await account.client.list_conversations(start=first, end=last)
                found |= {each.id for each in page.conversations} & began.keys()
                oldest = min((each.created_at for each in page.conversations), default=first)
                if oldest <= first or oldest >= last:
                    break
                last = oldest
        return found

    async def exists(self, conversation_id: str) -> bool:
        """Whether the API has this conversation now, hidden or not; a locked one it says nothing of."""
        try:
            await self.current(conversation_id)
        except NotFound:
            return False
        return True

    async def speakers(self, conversation_id: str) -> tuple[Speaker, ...]:
        """Who speaks in a conversation, in order of appearance; nobody where it has no transcript.

        Raises:
            NotFound: there is none with this id that this key can see.
            OmiError: its transcript is not mirrored and the API cannot be asked.
        """
        reading = await self.get(conversation_id)
        if reading.obstacle is not None:
            raise reading.obstacle
        if reading.stored.transcript == "locked":
            raise PaymentRequired(402)
        segments = reading.stored.conversation.transcript_segments or ()
        spoken = Counter(segment.label for segment in segments)
        names = {segment.label: segment.local_name for segment in segments}
        return tuple(Speaker(label, names[label], count) for label, count in spoken.items())

    async def named_speakers(self) -> dict[str, Names]:
        """By conversation id, what the API calls a speaker and the name given on this side; changed last, first."""
        account = await self._account.open()
        return await database.run(account.lasting.names.everywhere)

    async def name_speaker(self, conversation_id: str, speaker: str, name: str | None) -> Speaker:
        """Call a speaker of one conversation `name` from now on, on this side; None takes the name back.

        `speaker` is what the API calls them, or what they are called now. Returns them as they were before.

        Raises:
            InvalidRequest: there is no such speaker, or this is no name.
            OmiError: as for `speakers`.
        """
        account = await self._account.open()
        called = None if name is None else _given_name(name)
        named = _speaker_called(speaker, await self.speakers(conversation_id))

        def give() -> None:
            account.lasting.names.give(conversation_id, {named.label: called or ""})
            account.store.follow_names()

        await database.run(give)
        if (warning := account.lasting.names.warning) and not account.lasting.names.lasting:
            raise InvalidRequest("name", f"it is lost when this program ends: {warned(warning)}")
        return named

    async def import_segments(
        self, draft: SegmentsDraft, *, title: str | None = None, visible: bool = False
    ) -> Created:
        """`create_from_segments`, with a title of one's own if one is given, noted for `imported` once all is done.

        `visible`: what the API hides, because it takes it for too little, is brought back at once.
        """
        account = await self._account.open()
        created = await self.create_from_segments(draft)
        if visible and created.receipt.discarded:
            await self.restore(created.receipt.id)
            created = replace(created, receipt=created.receipt.model_copy(update={"discarded": False}))
        if title is not None and not created.receipt.discarded:
            stored = await self.copied(created.receipt.id)
            if stored is None or stored.conversation.structured.title != title:
                await self.update_title(created.receipt.id, title)
        await account.writer.note_import(draft, created.receipt.id)
        return created

    async def update_title(self, conversation_id: str, title: str) -> Conversation:
        """Rename. Returns the conversation as the API has it now, without transcript."""
        account = await self._account.open()
        return await account.writer.rename(conversation_id, title)

    async def discard(self, conversation_id: str) -> Conversation:
        """Hide from lists and search. `restore` brings it back."""
        account = await self._account.open()
        return await account.writer.set_discarded(conversation_id, True)

    async def restore(self, conversation_id: str) -> Conversation:
        """Bring back what was hidden."""
        account = await self._account.open()
        return await account.writer.set_discarded(conversation_id, False)

    async def current(self, conversation_id: str) -> Conversation:
        """The conversation as the API has it now, without transcript, whatever the mirror knows."""
        account = await self._account.open()
        return await account.client.get_conversation(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        """Delete for good. What the service made of it besides, memories and action items, stays there."""
        account = await self._account.open()
        await account.writer.delete(conversation_id)

    async def _in_folder(self, account: Account, filters: Filters, folder: str) -> Filters:
        folders = await database.run(account.store.folders) or await account.client.folders()
        return _filter_folder(filters, folder, folders)

    def _people(self, account: Account) -> People:
        return People.of(account.store.newest_speakers(RECENT), self._settings.user_name)


def _usable(names: Names) -> Names:
    """From a file or a model, made fit to show."""
    called = {label: clean_name(name)[:LONGEST_NAME].strip() for label, name in names.items()}
    return {label: name for label, name in called.items() if name}


def _given_name(text: str) -> str:
    name = clean_name(text)
    if not name or len(name) > LONGEST_NAME:
        raise InvalidRequest("name", f"must have 1 to {LONGEST_NAME} characters")
    if not is_name(name):
        raise InvalidRequest("name", "this is what Omi calls those without a name; to go back to it, undo the name")
    return name


def _speaker_called(wanted: str, speakers: Sequence[Speaker]) -> Speaker:
    """The speaker with this label, else with this name, else with this number."""
    if not speakers:
        raise InvalidRequest("speaker", "nobody speaks in this conversation: it has no transcript")
    sought = unaccented(wanted)
    for called in (attrgetter("label"), attrgetter("name"), attrgetter("short")):
        found = [each for each in speakers if unaccented(called(each) or "") == sought]
        if len(found) == 1:
            return found[0]
    known = ", ".join(clean_name(each.name or each.label) for each in speakers)
    raise InvalidRequest("speaker", f"no single one is called so in this conversation. Speakers: {known}")


def _filter_speakers(filters: Filters, people: People) -> Filters:
    """`filters` with every name that each of the speakers goes by."""
    meant = [people.meant(name) for name, *_ in filters.speakers]
    if None in meant:
        raise InvalidRequest("speakers", UNKNOWN_USER)
    return replace(filters, speakers=tuple(filter(None, meant)))


def _filter_folder(filters: Filters, folder: str, folders: Sequence[Folder]) -> Filters:
    wanted = folder.strip().casefold()
    for candidate in folders:
        if wanted in (candidate.id.casefold(), candidate.name.casefold()):
            return replace(filters, folder_id=candidate.id)
    names = ", ".join(sorted(candidate.name for candidate in folders)) or "none yet"
    raise InvalidRequest("folder", f"there is no such folder. Folders: {names}.")
