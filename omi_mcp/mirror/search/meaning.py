"""The service's own search by meaning, for what our search by words does not find: other words than were said.

It is asked once, and whatever it answers is looked up in the mirror and held against every filter here. A failure is
none of the search's: then there is what the words found.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import BudgetSpent, NotFound, OmiError, RateLimited, Refused
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock
from omi_mcp.mirror.index.passages import written
from omi_mcp.mirror.search.engine import search
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Query, parse
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters, Match, Obstacle, Progress, Results

MOST_ADDED = 3
"""Conversations added to a page: a search by meaning always finds something, and the best come first."""

TOGETHER = 2
"""Words of a query that one text must hold, for its conversation to be more than loosely what was asked for."""

ASKED_FOR = 20
"""Conversations asked for: some do not pass the filters."""

LONGEST_QUERY = 400
"""Characters that are sent of a query."""

SECONDS = 6.0
"""How long the search waits for it."""

ABSENT = timedelta(days=1)
"""How long a service that has no such search is not asked again."""

FAILED = timedelta(minutes=10)
"""The same after another failure."""

MARGIN = timedelta(days=1)
"""The service's dates are those of when a conversation was made, which can be later than when it began."""

_STATE = "omi_search_absent"

_CUT_OFF: frozenset[Obstacle] = frozenset({"spent", "key", "scope", "offline"})
"""With these in the way the service is not asked at all."""

log = logging.getLogger(__name__)


def worth_asking(query: str, results: Results) -> bool:
    """Whether what words have found on a page is nothing, or loose: nothing matches closely, or nowhere in it two of
    them are together. Phrases in quotes alone are not worth it: they ask for these words and no others."""
    asked = parse(query)
    if not asked.terms or asked.quoted:
        return False
    if not results.close:
        return True
    matcher = TermMatcher.of(Query(asked.terms, synonyms=asked.synonyms))
    wanted = min(TOGETHER, len(asked.terms))
    return not any(
        len({found.term for found in matcher.find(text)}) >= wanted
        for match in results.matches
        for text in _texts(match)
    )


def _texts(match: Match) -> Iterator[str]:
    """What a match shows: what the service wrote, and each hit with who says it."""
    speakers = " ".join(match.speakers)
    for text in written(match.stored.conversation):
        yield f"{text} {speakers}"
    for hit in match.hits:
        yield f"{hit.speaker or ''} {hit.text}"


class MeaningSearch:
    """Of one account. Raises nothing of the API's."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._failed: datetime | None = None

    async def search(
        self, query: str, filters: Filters, shown: Iterable[str], progress: Progress, hidden: Iterable[str]
    ) -> tuple[tuple[Match, ...], int]:
        """What it adds to a page that has `shown` (ids), best first, and how many of these do not match by words.

        `hidden` are ids that were hidden from here: they are never among them.
        """
        try:
            if progress.blocked in _CUT_OFF or not await database.run(self._available):
                return (), 0
            asked = self._clock.now()
            found = await self._ask(query, filters)
            return await database.run(self._looked_up, query, filters, found, {*shown}, progress, {*hidden}, asked)
        except (sqlite3.Error, database.Damaged) as error:
            log.warning("what Omi's own search found cannot be looked up: %s", type(error).__name__)
            return (), 0

    async def _ask(self, query: str, filters: Filters) -> tuple[Conversation, ...]:
        try:
            with anyio.fail_after(SECONDS):
                return await self._client.search_conversations(
                    " ".join(query.replace('"', " ").split())[:LONGEST_QUERY],
                    limit=ASKED_FOR,
                    start=filters.start and filters.start - MARGIN,
                    end=filters.end and filters.end + MARGIN,
                )
        except (BudgetSpent, RateLimited):
            pass  # the ledger knows
        except (OmiError, TimeoutError) as error:
            await database.run(self._note_failure, error)
        return ()

    def _available(self) -> bool:
        now = self._clock.now()
        if self._failed and now < self._failed + FAILED:
            return False
        absent = self._store.read_state(_STATE)
        return not isinstance(absent, str) or now >= datetime.fromisoformat(absent) + ABSENT

    def _note_failure(self, error: OmiError | TimeoutError) -> None:
        if isinstance(error, NotFound) or (isinstance(error, Refused) and error.status in (404, 405)):
            self._store.write_state(_STATE, self._clock.now().isoformat())
        else:
            self._failed = self._clock.now()

    def _looked_up(
        self,
        query: str,
        filters: Filters,
        found: tuple[Conversation, ...],
        shown: set[str],
        progress: Progress,
        hidden: set[str],
        asked: datetime,
    ) -> tuple[tuple[Match, ...], int]:
        if not progress.complete:
            self._learn(found, progress.oldest, hidden, asked)
        ids = tuple(dict.fromkeys(each.id for each in found if each.id not in shown | hidden))
        if not ids:
            return (), 0
        among = replace(filters, ids=ids)
        passing = _by_id(search(self._store, "", among, limit=len(ids), offset=0))
        by_words = _by_id(search(self._store, query, among, limit=len(ids), offset=0, mixed=True))
        added = [each for each in ids if each in passing][:MOST_ADDED]
        matches = (replace(by_words.get(each, passing[each]), by_meaning=True) for each in added)
        return tuple(matches), sum(each not in by_words for each in added)

    def _learn(self, found: Iterable[Conversation], oldest: datetime | None, hidden: set[str], asked: datetime) -> None:
        """Keep what the copy has not reached yet. Where it has been, what it does not list is not to be seen."""
        known = self._store.present(each.id for each in found)
        unknown = [each for each in found if each.id not in known | hidden]
        self._store.upsert((each for each in unknown if oldest and each.created_at < oldest), asked=asked)


def _by_id(results: Results) -> dict[str, Match]:
    return {match.stored.conversation.id: match for match in results.matches}
