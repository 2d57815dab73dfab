"""Search in the mirror: filters first, then words, best first, with the hits in each conversation."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from omi_mcp.mirror.index import Passage, Piece, fts
from omi_mcp.mirror.rows import count, stored_from
from omi_mcp.mirror.search.expansion import Expansion, expand
from omi_mcp.mirror.search.hits import (
    Held,
    Sought,
    best_hits,
    best_of_each,
    best_said,
    best_sentence,
    best_written,
    every_hit,
    hold,
)
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Query, parse
from omi_mcp.mirror.search.ranking import Ranking, rank
from omi_mcp.mirror.search.scope import Scope
from omi_mcp.mirror.search.voices import EVERYBODY, Voices, heard
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Counts, Filters, Heard, Hit, Match, Phrase, Results
from omi_mcp.names import Person, unaccented

MOST_HITS = 3
"""Hits shown of one conversation."""

ASKED = ("?", "\uff1f", "\u061f", "\u037e")
CLOSING = "\"')]\u201d\u2019\u00bb "


def search(
    store: Store, query: str, filters: Filters, *, limit: int, offset: int, mixed: bool = False, every: int = 0
) -> Results:
    """One page of the visible conversations that pass `filters` and match `query`; without words, the newest first.

    The order is total, so pages neither overlap nor leave gaps while nothing is written. What matches loosely is on
    pages of its own, unless `mixed`. Of each conversation the best hits are given, or at most `every` of all.
    """
    with store.database.reading() as connection:
        looked_for = _looked_for(query, filters)
        asked = None if looked_for is None else expand(connection, looked_for)
        results = _results(connection, asked, filters, limit, offset, mixed, every)
        if filters == Filters() or (results.total and results.method != "unquoted"):
            return results
        # Something that was asked for emptied it: each filter is tried without.
        without = [(each, _close(connection, asked, filters.without(each))) for each in filters.narrowings]
        unfiltered = _close(connection, asked, Filters())
    return replace(results, without=tuple(without), unfiltered=unfiltered)


def _looked_for(query: str, filters: Filters) -> Query | None:
    """What is looked for; None where that is nothing, or no more than the name of the only speaker asked for: people do
    not say their own names.
    """
    if not query.strip():
        return None
    asked = parse(query)
    own = {word for person in filters.speakers for name in person for word in unaccented(name).split()}
    quoted = {word for phrase in asked.phrases for word in phrase.words}
    left = tuple(term for term in asked.terms if not {*map(unaccented, term.words)} <= own or quoted & {*term.words})
    if len(filters.speakers) != 1 or left == asked.terms:
        return asked
    return replace(asked, terms=left) if left else None


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


def _results(
    connection: sqlite3.Connection,
    asked: Expansion | None,
    filters: Filters,
    limit: int,
    offset: int,
    mixed: bool,
    every: int,
) -> Results:
    scope = Scope.of(connection, filters)
    if asked is None:
        return _listed(connection, scope, limit, offset)
    found = Results(
        matches=(),
        total=0,
        close=0,
        method=asked.method,
        next_offset=None,
        replaced=asked.replaced,
        unmatched=tuple(term.text for term in asked.unknown if term.weight == 1.0),
        phrases=tuple(Phrase(phrase.text, 0) for phrase in asked.asked.phrases),
    )
    if not asked.query.everything:
        return found
    ranking = rank(connection, asked, scope, offset + limit)
    if offset < ranking.close and not mixed:
        limit = min(limit, ranking.close - offset)
    rows = ranking.page(connection, offset, limit)
    sought = ranking.sought if offset < ranking.close else Sought(ranking.matcher.weights.keys())
    following = offset + len(rows)
    elsewhere = tuple(term.text for term in asked.query.terms if term in ranking.missing)
    return replace(
        found,
        matches=_matches(connection, ranking, rows, scope.voices, sought, every),
        total=ranking.total,
        close=ranking.close,
        method="unquoted" if ranking.unquoted else asked.method,
        next_offset=following if rows and following < ranking.total else None,
        loosely=bool(rows) and offset >= ranking.close,
        unmatched=(*found.unmatched, *elsewhere),
        elsewhere=elsewhere,
        phrases=tuple(Phrase(phrase.text, held) for phrase, held in ranking.phrases.items()),
    )


def _listed(connection: sqlite3.Connection, scope: Scope, limit: int, offset: int) -> Results:
    total = _passing(connection, scope)
    rows = connection.execute(
        f"select * from conversations where {scope.condition} order by began desc, id limit ? offset ?",
        (*scope.values, limit, offset),
    ).fetchall()
    following = offset + len(rows)
    next_offset = following if rows and following < total else None
    return Results(tuple(without_hits(connection, row) for row in rows), total, total, "listed", next_offset)


def _close(connection: sqlite3.Connection, asked: Expansion | None, filters: Filters) -> int:
    """How many match closely."""
    scope = Scope.of(connection, filters)
    if asked is None:
        return _passing(connection, scope)
    return rank(connection, asked, scope, 0).close if asked.query.everything else 0


def _passing(connection: sqlite3.Connection, scope: Scope) -> int:
    statement = f"select count(*) from conversations where {scope.condition}"
    (total,) = connection.execute(statement, scope.values).fetchone()
    return int(total)


def _matches(
    connection: sqlite3.Connection, ranking: Ranking, rows: Sequence[int], voices: Voices, sought: Sought, every: int
) -> tuple[Match, ...]:
    """One of each of these conversations. What they have all together is read at once."""
    among = "select * from conversations where row in (select value from json_each(?))"
    kept = {row["row"]: row for row in connection.execute(among, (json.dumps(rows),))}
    spoken = ranking.spoken(connection, rows)
    passages = fts.passages(connection, [entry for entries in spoken.values() for entry in entries])
    transcripts = [
        {entry: next(passages) for entry in spoken[row]}
        if row in spoken
        else dict(fts.numbered_passages(connection, row))
        for row in rows
    ]
    matches = [without_hits(connection, kept[row]) for row in rows]
    conversations = [match.stored.conversation for match in matches]
    held = hold(ranking.matcher, list(zip(conversations, transcripts, strict=True)), voices)
    found = (
        _with_hits(match, ranking, row, texts, sought, every)
        for match, row, texts in zip(matches, rows, held, strict=True)
    )
    return tuple(
        replace(match, hits=tuple(_with_reply(connection, hit, read) for hit in match.hits))
        for match, read in zip(found, transcripts, strict=True)
    )


def _with_reply(connection: sqlite3.Connection, hit: Hit, passages: Mapping[int, Passage]) -> Hit:
    """The hit with what was said right after, if it is a question. `passages` are those of its conversation, by entry;
    the one it is in among them."""
    if hit.segment is None or not hit.text.rstrip(CLOSING).endswith(ASKED):
        return hit
    place = hit.segment + 1
    entry = max((each for each, passage in passages.items() if passage[0].place < place), default=0)
    behind = (passages.get(entry, ()), fts.passage_after(connection, entry))
    reply = next((piece for passage in behind for piece in passage if piece.place == place), None)
    return hit if reply is None else replace(hit, then=(reply.speaker, reply.text))


def _with_hits(match: Match, ranking: Ranking, row: int, held: Sequence[Held], sought: Sought, every: int) -> Match:
    hits, found = every_hit(ranking.matcher, sought, held, every)
    sentences = (best_sentence(ranking.matcher, each.text) for each in held if each.field == "overview")
    return replace(
        match, hits=hits if every else _few_hits(ranking, row, held), found=found, sentence=next(sentences, None)
    )


def _few_hits(ranking: Ranking, row: int, held: Sequence[Held]) -> tuple[Hit, ...]:
    """The best ones, each of another passage."""
    matcher = ranking.matcher
    passages: defaultdict[int, list[Piece]] = defaultdict(list)
    for each in held:
        if each.piece is not None:
            passages[each.passage].append(each.piece)
    if row not in ranking.entries:
        spoken = best_of_each(matcher, passages.values(), MOST_HITS)
        return spoken or tuple(filter(None, [best_written(matcher, held)]))
    best = (best_said(matcher, passages.get(entry, ())) for entry in ranking.passages(row, MOST_HITS))
    hits = [hit for hit in best if hit is not None]
    if ranking.is_written(row) and (head := best_written(matcher, held)) is not None:
        # Title and overview are shown with every match, so only an action item takes the place of what was said.
        if len(hits) < MOST_HITS:
            hits.append(head)
        elif ranking.is_written_best(row) and head.field == "action_items":
            hits[-1] = head
    return tuple(hits)


def without_hits(connection: sqlite3.Connection, row: sqlite3.Row) -> Match:
    return Match(stored_from(connection, row), tuple(json.loads(row["speakers"])), row["segments"], ())
