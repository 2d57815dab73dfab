"""Search in the mirror: filters first, then words, best first, with the hits in each conversation."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from omi_mcp.mirror.index import fts
from omi_mcp.mirror.search.expansion import expand
from omi_mcp.mirror.search.hits import best_hits, head_hit, transcript_hit
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import parse
from omi_mcp.mirror.search.ranking import Ranking, Scope, rank
from omi_mcp.mirror.search.voices import EVERYBODY, Voices, heard
from omi_mcp.mirror.store import Store, count, stored_from
from omi_mcp.mirror.types import Counts, Filters, Heard, Hit, Match, Method, Results
from omi_mcp.names import Person

MOST_HITS = 3
"""Hits shown of one conversation."""


def search(store: Store, query: str, filters: Filters, *, limit: int, offset: int) -> Results:
    """One page of the visible conversations that pass `filters` and match `query`; without words, the newest first.

    The order is total, so pages neither overlap nor leave gaps while nothing is written.
    """
    with store.database.reading() as connection:
        scope = Scope.of(connection, filters)
        if not query.strip():
            return _listed(connection, scope, limit, offset)
        expansion = expand(connection, parse(query))
        if not expansion.query.everything:
            return Results((), 0, expansion.method, None, expansion.replaced)
        ranking = rank(connection, expansion, scope, offset + limit)
        matches = [_match(connection, ranking, row, scope.voices) for row in ranking.best[offset : offset + limit]]
        if len(matches) < limit and offset + len(matches) < ranking.total:
            skipped = max(0, offset - len(ranking.best))
            matches += _others(connection, ranking, scope.voices, limit - len(matches), skipped)
    return replace(_results(matches, ranking.total, expansion.method, offset), replaced=expansion.replaced)


def reach(store: Store, filters: Filters) -> Counts:
    """How much is mirrored of what passes `filters`, leaving out who speaks: that is told by the transcripts."""
    with store.database.reading() as connection:
        scope = Scope.of(connection, replace(filters, speakers=()))
        return count(connection, scope.condition, scope.values)


def who_speaks(store: Store, asked: Sequence[str], filters: Filters) -> tuple[Heard, ...]:
    """Where each speaker of `filters` is heard, who were `asked` for by these names, and then all of them together."""
    with store.database.reading() as connection:
        others = Scope.of(connection, replace(filters, speakers=()))
        return heard(connection, asked, filters.speakers, others.condition, others.values)


def find_in(store: Store, conversation_id: str, query: str, limit: int, speaker: Person = ()) -> tuple[Hit, ...]:
    """The hits in one stored transcript that hold most of `query`, best first, at most one of each passage; in what
    `speaker` says, where one is named.
    """
    voices = Voices((speaker,)) if speaker else EVERYBODY
    return best_hits(TermMatcher.of(parse(query)), store.passages(conversation_id), limit, voices)


def _listed(connection: sqlite3.Connection, scope: Scope, limit: int, offset: int) -> Results:
    passing = f"from conversations where {scope.condition}"
    (total,) = connection.execute(f"select count(*) {passing}", scope.values).fetchone()
    rows = connection.execute(
        f"select * {passing} order by began desc, id limit ? offset ?", (*scope.values, limit, offset)
    )
    return _results([_without_hits(row) for row in rows], total, "listed", offset)


def _others(connection: sqlite3.Connection, ranking: Ranking, voices: Voices, limit: int, offset: int) -> list[Match]:
    """The conversations behind the ranked ones, the newest first."""
    rows = connection.execute(
        "select * from conversations where row in (select value from json_each(?))"
        " order by began desc, id limit ? offset ?",
        (json.dumps(list(ranking.others(connection))), limit, offset),
    ).fetchall()
    matches = []
    for row in rows:
        match = _without_hits(row)
        hits = best_hits(ranking.matcher, fts.stored_passages(connection, row["row"]), MOST_HITS, voices)
        head = head_hit(ranking.matcher, match.stored.conversation)
        matches.append(replace(match, hits=hits or ((head,) if head else ())))
    return matches


def _match(connection: sqlite3.Connection, ranking: Ranking, row: int, voices: Voices) -> Match:
    match = _without_hits(connection.execute("select * from conversations where row = ?", (row,)).fetchone())
    passages = fts.passages(connection, ranking.passages(row, MOST_HITS))
    hits = [hit for passage in passages if (hit := transcript_hit(ranking.matcher, passage, voices)) is not None]
    if ranking.is_written(row) and (hit := head_hit(ranking.matcher, match.stored.conversation)) is not None:
        # Title and overview are shown with every match, so only an action item takes the place of what was said.
        if len(hits) < MOST_HITS:
            hits.append(hit)
        elif ranking.is_written_best(row) and hit.field == "action_items":
            hits[-1] = hit
    return replace(match, hits=tuple(hits))


def _without_hits(row: sqlite3.Row) -> Match:
    return Match(stored_from(row), tuple(json.loads(row["speakers"])), row["segments"], ())


def _results(matches: Sequence[Match], total: int, method: Method, offset: int) -> Results:
    following = offset + len(matches)
    return Results(tuple(matches), total, method, following if matches and following < total else None)
