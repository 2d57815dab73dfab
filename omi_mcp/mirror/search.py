"""Search in the mirror: filters first, then words, best first, with the moments that matched."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from omi_mcp.mirror import index
from omi_mcp.mirror.passages import unpack
from omi_mcp.mirror.query import Query, Term, parse
from omi_mcp.mirror.ranking import Ranked, rank
from omi_mcp.mirror.snippets import Sought, head_hit, transcript_hit
from omi_mcp.mirror.store import Store, stored_from, ticks
from omi_mcp.mirror.types import Filters, Hit, Match, Method, Results
from omi_mcp.mirror.words import bare, storable

MOMENTS = 3
"""Hits shown of one conversation."""


def search(store: Store, text: str, filters: Filters, *, limit: int, offset: int) -> Results:
    """One page of the visible conversations that pass `filters` and match `text`; without text, the newest first.

    The order is total (score, then newer, then id), so pages neither overlap nor leave gaps while nothing is written.
    """
    with store.database.reading() as connection:
        scope = _scope(connection, filters)
        if not text.strip():
            return _listed(connection, scope, limit, offset)
        query, method = _readable(connection, parse(text))
        ranked = rank(connection, query, *scope.subquery) if query.terms or query.phrases else []
        dates = _dates(connection, [each.row for each in ranked])
        ranked.sort(key=lambda each: (-each.score, *dates[each.row]))
        page = ranked[offset : offset + limit]
        sought = Sought.of(query)
        matches = [_match(connection, each, sought, filters.speaker) for each in page]
    return _results(matches, len(ranked), method, limit, offset)


@dataclass(frozen=True)
class _Scope:
    """The conversations that may be found, as an SQL condition on `conversations`."""

    condition: str
    values: tuple[object, ...]

    @property
    def subquery(self) -> tuple[str, tuple[object, ...]]:
        if self.condition == "hidden = 0":
            return "", ()
        return f"select row from conversations where {self.condition}", self.values


def _scope(connection: sqlite3.Connection, filters: Filters) -> _Scope:
    clauses: list[str] = ["hidden = 0"]
    values: list[object] = []
    if filters.start is not None:
        clauses.append("began >= ?")
        values.append(ticks(filters.start))
    if filters.end is not None:
        clauses.append("began <= ?")
        values.append(ticks(filters.end))
    if filters.categories:
        clauses.append(f"category in ({', '.join('?' * len(filters.categories))})")
        values += [storable(category) for category in filters.categories]
    if filters.folder_id is not None:
        clauses.append("folder = ?")
        values.append(storable(filters.folder_id))
    if filters.starred is not None:
        clauses.append("starred = 1" if filters.starred else "starred is not 1")
    if filters.speaker is not None:
        clauses.append("row in (select row from speaks where speaker in (select value from json_each(?)))")
        values.append(json.dumps(_speakers(connection, filters.speaker)))
    return _Scope(" and ".join(clauses), tuple(values))


def _speakers(connection: sqlite3.Connection, name: str) -> list[int]:
    """The speakers with this name, whole or a word of it."""
    named = connection.execute("select speaker from speakers where instr(' ' || name || ' ', ?)", (f" {bare(name)} ",))
    return [speaker for (speaker,) in named]


def _listed(connection: sqlite3.Connection, scope: _Scope, limit: int, offset: int) -> Results:
    (total,) = connection.execute(
        f"select count(*) from conversations where {scope.condition}", scope.values
    ).fetchone()
    rows = connection.execute(
        f"select * from conversations where {scope.condition} order by began desc, id limit ? offset ?",
        (*scope.values, limit, offset),
    )
    matches = [_bare_match(row) for row in rows]
    return _results(matches, total, "listed", limit, offset)


def _results(matches: Sequence[Match], total: int, method: Method, limit: int, offset: int) -> Results:
    following = offset + len(matches)
    return Results(tuple(matches), total, method, following if matches and following < total else None)


def _readable(connection: sqlite3.Connection, query: Query) -> tuple[Query, Method]:
    """The query as asked where the index has it, else the nearest reading of it that the index has."""
    method: Method = "ranked"
    if any(not _known(connection, phrase) for phrase in query.phrases):
        words = [Term((word,)) for phrase in query.phrases for word in phrase.words]
        query, method = Query(tuple(dict.fromkeys((*query.terms, *words)))), "unquoted"
    terms = tuple(term for term in query.terms if _known(connection, term))
    if terms or query.phrases:
        return replace(query, terms=terms), method
    beginnings = tuple(replace(term, prefix=True) for term in query.terms)
    return Query(tuple(term for term in beginnings if _known(connection, term))), "prefix"


def _known(connection: sqlite3.Connection, term: Term) -> bool:
    found = connection.execute("select 1 from entries where entries match ? limit 1", (term.expression,)).fetchone()
    return found is not None


def _dates(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, tuple[int, str]]:
    found = connection.execute(
        "select row, -began, id from conversations where row in (select value from json_each(?))", (json.dumps(rows),)
    )
    return {row: (newness, conversation_id) for row, newness, conversation_id in found}


def _match(connection: sqlite3.Connection, ranked: Ranked, sought: Sought, speaker: str | None) -> Match:
    row = connection.execute("select * from conversations where row = ?", (ranked.row,)).fetchone()
    match = _bare_match(row)
    hits: list[Hit | None] = []
    for entry in ranked.entries:
        if entry == ranked.row << index.ENTRY_BITS:
            hits.append(head_hit(sought, match.stored.conversation))
        else:
            (body,) = connection.execute("select body from passages where entry = ?", (entry,)).fetchone()
            hits.append(transcript_hit(sought, unpack(body), speaker))
    return replace(match, hits=tuple(hit for hit in hits if hit is not None)[:MOMENTS])


def _bare_match(row: sqlite3.Row) -> Match:
    return Match(stored_from(row), tuple(json.loads(row["speakers"])), row["segments"], ())
