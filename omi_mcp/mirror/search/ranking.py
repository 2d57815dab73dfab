"""From matching index entries to conversations, best first.

SQLite finds and scores entries (BM25) by the terms that tell most. The best few hundred are then looked into: words
that only support the query, and neighbours of the query that stand close together, add to their scores. A
conversation is worth its best entry, part of the next two, and something for what it holds of the query as a whole.
"""

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, islice, takewhile
from typing import Self

from omi_mcp.mirror.index import folded_words, fts, in_words, storable
from omi_mcp.mirror.search.expansion import Expansion
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Query, Term, any_of, count, day_words
from omi_mcp.mirror.search.voices import EVERYBODY, OwnWords, Voices, own_words, speaking
from omi_mcp.mirror.store import moment, ticks
from omi_mcp.mirror.types import Filters

FOLLOWING = 0.3
"""What the second and third best entries of a conversation add to its best."""
COVERAGE = 0.25
"""What each term adds that is anywhere in the entries looked into."""
WHOLE = 0.4
"""What a conversation adds as one text, in which each of these entries that holds a term is one occurrence of it."""
HEAD = 0.1
"""What a head adds to a conversation whose best entry is a passage."""
OWN = 0.5
"""What counts of a passage is, so far, what the speakers asked for say in it themselves, and for the rest the whole."""
UNSAID = 0.5
"""What is left of a conversation in which the speakers asked for say nothing of it: others wrote it down."""
DAY = 0.75
"""What each word adds that names the conversation's day, month or year."""

MOST_POSTINGS = 60_000
"""Entries that the terms SQLite searches by may have together; more frequent terms only support them, and a phrase of
which every word is more frequent is required without being ranked by."""
MOST_ENTRIES = 1_000
"""Best entries that are read; conversations with none among them follow by date."""
LOOKED_INTO = 500
PROMISING = 0.2
"""At most so many of the best entries are looked into, and none below this share of the best score."""

NEXT_TO = 0.4
"""What the passages before and after add to one when the passages to show are chosen."""

CHEAPER_POSTINGS = 100
"""As many entries of the index are passed over in the time that one text takes to be read."""

Places = Mapping[int, Sequence[tuple[int, str]]]
"""Of each entry, which terms are where among its words, in order."""

_NUMBER = (1 << fts.ENTRY_BITS) - 1
_K1, _B = 1.2, 0.75  # as FTS5's bm25()


@dataclass(frozen=True)
class Scope:
    """The conversations that may be found: a condition on rows of `conversations`, and its values; and whose words in
    them."""

    condition: str
    values: tuple[object, ...]
    everything: bool
    voices: Voices = EVERYBODY

    @classmethod
    def of(cls, connection: sqlite3.Connection, filters: Filters) -> Self:
        """The visible conversations that pass `filters`."""
        clauses: list[str] = ["hidden = 0"]
        values: list[object] = []
        if filters.start is not None:
            clauses.append("began >= ?")
            values.append(ticks(filters.start))
        if filters.end is not None:
            clauses.append("began <= ?")
            values.append(ticks(filters.end))
        if filters.categories:
            clauses.append("category in (select value from json_each(?))")
            values.append(json.dumps([storable(category) for category in filters.categories]))
        if filters.folder_id is not None:
            clauses.append("folder = ?")
            values.append(storable(filters.folder_id))
        if filters.starred is not None:
            clauses.append("starred = 1" if filters.starred else "starred is not 1")
        if filters.ids:
            clauses.append("id in (select value from json_each(?))")
            values.append(json.dumps([storable(each) for each in filters.ids]))
        if filters.open_items:
            clauses.append("open_items > 0")
        for clause, speakers in speaking(connection, filters.speakers):
            clauses.append(clause)
            values.append(speakers)
        return cls(" and ".join(clauses), tuple(values), len(clauses) == 1, Voices(filters.speakers))


@dataclass(frozen=True)
class Matching:
    """A condition in SQL on `entries`: what a query finds within a scope."""

    condition: str
    values: tuple[object, ...]

    @classmethod
    def of(cls, leading: Sequence[Term], required: Sequence[Term], scope: Scope) -> Self:
        """At least one of `leading`, in a conversation that has all of `required`."""
        clauses = ["entries match ?"]
        values: list[object] = [any_of(leading)]
        for phrase in required:
            if tuple(leading) == (phrase,):
                continue
            clauses.append(
                f"rowid >> {fts.ENTRY_BITS} in (select rowid >> {fts.ENTRY_BITS} from entries where entries match ?)"
            )
            values.append(phrase.expression)
        if not scope.everything:
            clauses.append(f"rowid >> {fts.ENTRY_BITS} in (select row from conversations where {scope.condition})")
            values += scope.values
        return cls(" and ".join(clauses), tuple(values))


@dataclass(frozen=True)
class Ranking:
    """Conversations by their rows. `total` match; those that are not among the `best` follow them, the newest first.

    `entries` are the rowids of those that match in each of `best`, best first, and `scores` theirs.
    """

    best: Sequence[int]
    total: int
    matching: Matching
    matcher: TermMatcher
    entries: Mapping[int, Sequence[int]]
    scores: Mapping[int, float]

    def others(self, connection: sqlite3.Connection) -> Set[int]:
        """The conversations that match and are not among the best, in no order."""
        statement = f"select distinct rowid >> {fts.ENTRY_BITS} from entries where {self.matching.condition}"
        return {row for (row,) in connection.execute(statement, self.matching.values)}.difference(self.best)

    def passages(self, row: int, limit: int) -> list[int]:
        """The passages of a conversation to show, best first. What is said before and after one counts too."""

        def in_context(entry: int) -> float:
            around = [other for other in (entry - 1, entry + 1) if not _is_written(other)]
            return self.scores[entry] + NEXT_TO * sum(self.scores.get(other, 0.0) for other in around)

        spoken = [entry for entry in self.entries[row] if not _is_written(entry)]
        return sorted(spoken, key=in_context, reverse=True)[:limit]

    def is_written_best(self, row: int) -> bool:
        """Whether no passage of a conversation is as good as its head or its action items."""
        return _is_written(self.entries[row][0])

    def is_written(self, row: int) -> bool:
        """Whether its head or its action items match at all."""
        return any(map(_is_written, self.entries[row]))


def rank(connection: sqlite3.Connection, expansion: Expansion, scope: Scope, first: int) -> Ranking:
    """The conversations in `scope` in which the query finds something; of the `first` ones the order is total."""
    query = expansion.query
    rarity = _rarity(connection, expansion.counts)
    matcher = TermMatcher.of(query, rarity)
    phrases = tuple(phrase for phrase in query.phrases if not _is_everywhere(connection, phrase))
    telling = (*phrases, *_leading(query, expansion.counts))
    if not telling:
        matching = Matching.of(query.phrases[:1], query.phrases, scope)
        return Ranking((), _total(connection, matching), matching, matcher, {}, {})
    for leading in (telling, query.everything):
        matching = Matching.of(leading, query.phrases, scope)
        scores = _entries(connection, matching)
        read_all = len(scores) < MOST_ENTRIES
        own = _own_words(connection, scores, leading, matcher, rarity, scope.voices)
        if scores or len(leading) == len(query.everything):
            break
    others_asked = tuple(term for term in query.everything if term not in leading)
    supporting = TermMatcher.of(Query(others_asked, synonyms=query.synonyms), rarity)
    best_score = max(scores.values(), default=0.0)
    promising = {entry for entry in islice(scores, LOOKED_INTO) if scores[entry] >= PROMISING * best_score}
    places: Places
    if scope.voices:
        places = fts.places(connection, matcher.weights, [entry for entry in scores if _is_written(entry)])
        places |= {entry: said.places for entry, said in own.items()}
    elif len(matcher.weights) == 1 and not supporting.weights:
        places = {entry: [(0, term)] for entry in promising for term in matcher.weights}  # where it is tells nothing
    elif _has_more_postings(connection, expansion, CHEAPER_POSTINGS * len(promising)):
        places = _places_read(connection, promising, matcher)
    else:
        places = fts.places(connection, matcher.weights, promising)
    lengths: dict[int, int] = fts.lengths(connection, places) if supporting.weights else {}
    lengths |= {entry: said.length for entry, said in own.items()}
    held = _look_into(places, lengths, scores, matcher, supporting)
    worths = _worths(held, fts.sizes(connection, held), matcher)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for _, entry in sorted((-score, entry) for entry, score in scores.items()):
        found[entry >> fts.ENTRY_BITS].append(entry)
    totals = _totals(found, scores, worths)
    if scope.voices:
        unsaid = [row for row, entries in found.items() if all(map(_is_written, entries))]
        totals |= {row: UNSAID * totals[row] for row in unsaid}
    if day_worths := _day_worths(query, rarity):
        _add_days(connection, totals, day_worths)
    total = len(found) if read_all else _total(connection, matching)
    return Ranking(_ordered(connection, totals, first), total, matching, matcher, found, scores)


def _rarity(connection: sqlite3.Connection, counts: Mapping[Term, int]) -> dict[Term, float]:
    """The inverse document frequency of each term, as FTS5's bm25() has it."""
    entries = fts.size(connection)
    return {term: max(1e-6, math.log((entries - count + 0.5) / (count + 0.5))) for term, count in counts.items()}


def _leading(query: Query, counts: Mapping[Term, int]) -> tuple[Term, ...]:
    """The terms to search by: those that tell, the rarest first, as many as are affordable."""
    telling = [term for term in query.terms if term.weight == 1.0]
    if not telling and not query.phrases:
        telling = list(query.terms)
    rarest = sorted(telling, key=lambda term: counts[term])
    postings = accumulate(counts[term] for term in rarest)
    affordable = sum(1 for _ in takewhile(lambda sum_so_far: sum_so_far <= MOST_POSTINGS, postings))
    return tuple(rarest[: max(affordable, 0 if query.phrases else 1)])


def _is_everywhere(connection: sqlite3.Connection, phrase: Term) -> bool:
    """Whether every word of `phrase` has more than `MOST_POSTINGS` entries. Long words are seldom so frequent."""
    words = sorted(phrase.words, key=len, reverse=True)
    return all(count(connection, Term((word,)), MOST_POSTINGS + 1) > MOST_POSTINGS for word in words)


def _entries(connection: sqlite3.Connection, matching: Matching) -> dict[int, float]:
    """The best entries with their BM25 scores, best first."""
    statement = (
        f"select rowid, -bm25(entries) as score from entries where {matching.condition}"
        f" order by score desc, rowid limit {MOST_ENTRIES}"
    )
    return dict(connection.execute(statement, matching.values).fetchall())


def _own_words(
    connection: sqlite3.Connection,
    scores: dict[int, float],
    leading: Sequence[Term],
    matcher: TermMatcher,
    rarity: Mapping[Term, float],
    voices: Voices,
) -> Mapping[int, OwnWords]:
    """Make what `voices` say themselves count, and take out the passages in which that is nothing."""
    if not voices:
        return {}
    own = own_words(connection, [entry for entry in scores if not _is_written(entry)], matcher, voices)
    usual = sum(said.length for said in own.values()) / max(1, len(own))
    sought = {term: matcher.stems_of(term) for term in leading}
    for entry in [entry for entry in scores if not _is_written(entry)]:
        said = own.pop(entry, None)
        times = {term: said.times(stems) for term, stems in sought.items()} if said else {}
        if said is None or not any(times.values()):
            del scores[entry]
            continue
        own[entry] = said
        worth = math.fsum(rarity[term] * _saturated(each, said.length / usual) for term, each in times.items())
        scores[entry] += OWN * (worth - scores[entry])
    return own


def _total(connection: sqlite3.Connection, matching: Matching) -> int:
    """The number of all matching conversations."""
    statement = f"select count(distinct rowid >> {fts.ENTRY_BITS}) from entries where {matching.condition}"
    (total,) = connection.execute(statement, matching.values).fetchone()
    return int(total)


def _has_more_postings(connection: sqlite3.Connection, expansion: Expansion, most: int) -> bool:
    """Whether the words of a query have more than `most` entries together."""
    query = expansion.query
    known = {term.words[0]: entries for term, entries in expansion.counts.items() if len(term.words) == 1}
    words = {word for term in (*query.everything, *query.synonyms) for word in term.words}
    left = most - sum(known.get(word, 0) for word in words)
    for word in words - known.keys():
        if left < 0:
            break
        left -= count(connection, Term((word,)), left + 1)
    return left < 0


def _places_read(connection: sqlite3.Connection, entries: Set[int], matcher: TermMatcher) -> Places:
    """What `fts.places` finds, read in the texts: for words so frequent that most of their places are elsewhere."""
    texts = {entry: folded_words(text) for entry, text in fts.texts(connection, entries)}
    known = matcher.recognise(set().union(*texts.values()))
    return {
        entry: [(place, known[word]) for place, word in enumerate(text) if word in known]
        for entry, text in texts.items()
    }


def _look_into(
    places: Places, lengths: Mapping[int, int], scores: dict[int, float], matcher: TermMatcher, supporting: TermMatcher
) -> dict[int, Counter[str]]:
    """Add to the scores of entries what the places of the words in them tell beyond BM25.

    Returns for each conversation in how many of these each term is.
    """
    usual = sum(lengths.values()) / max(1, len(lengths))
    held: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for entry, found in places.items():
        if len(found) > 1:
            scores[entry] += matcher.closeness(found)
        for term, weight in supporting.weights.items():
            if frequency := sum(term == each for _, each in found):
                scores[entry] += weight * _saturated(frequency, lengths[entry] / usual)
        holds = held[entry >> fts.ENTRY_BITS]
        for term in {term for _, term in found}:
            holds[term] += 1
    return held


def _worths(held: Mapping[int, Counter[str]], sizes: Mapping[int, int], matcher: TermMatcher) -> dict[int, float]:
    """What each conversation is worth by what it holds as a whole. `sizes` are numbers of entries."""
    usual = sum(sizes.values()) / max(1, len(sizes))
    return {
        row: COVERAGE * matcher.worth(terms.keys())
        + WHOLE
        * math.fsum(matcher.weights[term] * _saturated(entries, sizes[row] / usual) for term, entries in terms.items())
        for row, terms in held.items()
    }


def _saturated(frequency: int, length: float) -> float:
    """What BM25 makes of a term's frequency in a text of `length`, where 1 is the usual one."""
    return frequency * (_K1 + 1) / (frequency + _K1 * (1 - _B + _B * length))


def _totals(
    entries: Mapping[int, Sequence[int]], scores: Mapping[int, float], worths: Mapping[int, float]
) -> dict[int, float]:
    """What each conversation is worth by its entries, best first, and by `worths`, what it is worth besides them."""
    totals: dict[int, float] = {}
    for row, (first, *others) in entries.items():
        total = scores[first] + FOLLOWING * sum(map(scores.__getitem__, others[:2])) + worths.get(row, 0.0)
        head = (row << fts.ENTRY_BITS) + fts.HEAD
        if head in scores and first != head:
            total += HEAD * scores[head]
        totals[row] = total
    return totals


def _add_days(connection: sqlite3.Connection, totals: dict[int, float], day_worths: Mapping[str, float]) -> None:
    """Add what the words are worth that name the day of a conversation."""
    for row, began, _ in _dated(connection, totals):
        day = set(in_words(moment(began)).lower().split())
        totals[row] += DAY * sum(day_worths[word] for word in day & day_worths.keys())


def _ordered(connection: sqlite3.Connection, totals: Mapping[int, float], first: int) -> list[int]:
    """The conversations, best first. Of equals the newer comes first, then by id, as far as the `first` ones reach."""
    ranked = sorted(totals, key=totals.__getitem__, reverse=True)
    lowest = totals[ranked[first - 1]] if 0 < first <= len(ranked) else -math.inf
    times = Counter(totals.values())
    shown = [row for row in ranked if totals[row] >= lowest]
    equals = [row for row in shown if times[totals[row]] > 1]
    among_equals = {row: (-began, conversation_id) for row, began, conversation_id in _dated(connection, equals)}
    shown.sort(key=lambda row: (-totals[row], among_equals.get(row, ())))
    return shown + ranked[len(shown) :]


def _dated(connection: sqlite3.Connection, rows: Iterable[int]) -> list[tuple[int, int, str]]:
    """Row, `began` and id of these conversations."""
    statement = "select row, began, id from conversations where row in (select value from json_each(?))"
    return connection.execute(statement, (json.dumps(list(rows)),)).fetchall()


def _day_worths(query: Query, rarity: Mapping[Term, float]) -> dict[str, float]:
    """The words of the query that can name a day, with what each is worth."""
    terms = {term.words[0]: term for term in query.terms if len(term.words) == 1}
    return {word: rarity[terms[word]] for word in day_words(list(terms))}


def _is_written(entry: int) -> bool:
    """Whether the service wrote it; the other entries are passages."""
    return entry & _NUMBER < fts.FIRST_PASSAGE
