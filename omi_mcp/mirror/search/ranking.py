"""From matching index entries to conversations, best first.

SQLite finds and scores entries (BM25) by the terms that tell most. The best few hundred are then looked into: words
that only support the query, and neighbours of the query that stand close together, add to their scores. A
conversation is worth its best entry, part of the next two, and something for what it holds of the query as a whole.
"""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate, islice, takewhile

from omi_mcp.mirror.index import folded_words, fts, in_words
from omi_mcp.mirror.rows import moment
from omi_mcp.mirror.search.expansion import Expansion
from omi_mcp.mirror.search.hits import Sought
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Query, Term, any_of, count, day_words
from omi_mcp.mirror.search.scope import Matching, Scope
from omi_mcp.mirror.search.tiers import (
    Closeness,
    Places,
    Pool,
    Tier,
    dated,
    newest,
    ordinary_tiers,
    quoted_tiers,
    stems_for,
)
from omi_mcp.mirror.search.voices import OwnWords, Voices, own_words

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
which every word is more frequent lifts what holds it without being ranked by."""
MOST_ENTRIES = 1_000
"""Best entries that are read; conversations with none among them follow by date."""
LOOKED_INTO = 500
PROMISING = 0.2
"""At most so many of the best entries are looked into, and none below this share of the best score."""

NEXT_TO = 0.4
"""What the passages before and after add to one when the passages to show are chosen."""

CHEAPER_POSTINGS = 100
"""As many entries of the index are passed over in the time that one text takes to be read."""
CHEAPER_TERMS = 2
"""So many passages are read in the time that one term takes to be looked up in the index within one conversation."""

_NUMBER = (1 << fts.ENTRY_BITS) - 1
_K1, _B = 1.2, 0.75  # as FTS5's bm25()


@dataclass(frozen=True)
class Ranking:
    """Conversations by their rows. `total` match, the first `close` of them closely.

    `entries` are the rowids of those that match in each ranked one, best first, and `scores` theirs. `phrases` are
    those of the query with the number of conversations that hold them, `missing` the words that none in the scope has.
    `unquoted`: nothing but phrases was asked for, and what there is matches their words. `sought` is what makes a close
    match, and `matching` finds what is not in `entries`, unless all is.
    """

    tiers: Sequence[Tier]
    total: int
    close: int
    matcher: TermMatcher
    entries: Mapping[int, Sequence[int]]
    scores: Mapping[int, float]
    phrases: Mapping[Term, int]
    missing: Set[Term]
    unquoted: bool
    sought: Sought
    matching: Matching | None

    def page(self, connection: sqlite3.Connection, offset: int, limit: int) -> list[int]:
        """At most `limit` conversations behind the first `offset`."""
        rows: list[int] = []
        for tier in self.tiers:
            if offset >= tier.total:
                offset -= tier.total
                continue
            rows += tier.ranked[offset : offset + limit - len(rows)]
            offset = max(0, offset - len(tier.ranked))
            if len(rows) < limit and len(tier.ranked) + offset < tier.total:
                rows += newest(connection, tier.rows() - set(tier.ranked), limit - len(rows), offset)
            if len(rows) >= limit:
                break
            offset = 0
        return rows

    def spoken(self, connection: sqlite3.Connection, rows: Iterable[int]) -> dict[int, list[int]]:
        """All passages that match, in order. Left out are conversations of which that is not known or all are sooner
        read."""
        known = [row for row in rows if row in self.entries]
        if self.matching is None:
            found = {row: self.entries[row] for row in known}
        else:
            sizes = fts.sizes(connection, known)
            short = CHEAPER_TERMS * len(self.matcher.weights)
            found = self.matching.entries_of(connection, [row for row in known if sizes[row] > short])
        return {row: sorted(entry for entry in entries if not _is_written(entry)) for row, entries in found.items()}

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
    ranking = _rank(connection, expansion, query, scope, first, unquoted=expansion.unquoted)
    if not query.quoted or ranking.close:
        return ranking
    return _rank(connection, expansion, replace(query, phrases=(), quoted=False), scope, first, unquoted=True)


def _rank(
    connection: sqlite3.Connection, expansion: Expansion, query: Query, scope: Scope, first: int, *, unquoted: bool
) -> Ranking:
    rarity = _rarity(connection, expansion.counts)
    matcher = TermMatcher.of(query, rarity)
    alone = query.quoted and len(query.phrases) == 1
    holders = {} if alone else _holders(connection, query, scope)
    phrases = tuple(phrase for phrase in query.phrases if not _is_everywhere(connection, phrase))
    telling = phrases if query.quoted else tuple(dict.fromkeys((*phrases, *_leading(query, expansion.counts))))
    for leading in (telling, telling if query.quoted else query.everything):
        matching = Matching.of(any_of(leading), scope)
        scores = _entries(connection, matching) if leading else {}
        all_ranked = bool(leading) and len(scores) < MOST_ENTRIES
        if holders and leading and not (all_ranked or query.quoted):
            scores |= _entries(connection, matching.among(set().union(*holders.values())))
            scores = dict(sorted(scores.items(), key=lambda each: (-each[1], each[0])))
        own = _own_words(connection, scores, leading, matcher, rarity, scope.voices)
        if scores or query.quoted or len(leading) == len(query.everything):
            break
    if alone and all_ranked:
        holders = {phrase: {entry >> fts.ENTRY_BITS for entry in scores} for phrase in query.phrases}
    elif alone:
        holders = _holders(connection, query, scope)
    if scope.voices:
        holders = {phrase: _own_holders(connection, phrase, scope, own) for phrase in holders}
    others_asked = () if query.quoted else tuple(term for term in query.everything if term not in leading)
    supporting = TermMatcher.of(Query(others_asked, synonyms=query.synonyms), rarity)
    best_score = max(scores.values(), default=0.0)
    promising = {entry for entry in islice(scores, LOOKED_INTO) if scores[entry] >= PROMISING * best_score}
    places: Places
    if scope.voices:
        places = fts.places(connection, matcher.weights, [entry for entry in scores if _is_written(entry)])
        places |= {entry: [at for at in said.places if at[1] in matcher.weights] for entry, said in own.items()}
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
    seen = {term for terms in held.values() for term in terms}
    missing = _missing(connection, query, matcher, scope, seen, leading if scope.voices and all_ranked else ())
    pool = Pool(connection, scope, matching, totals, found, first, all_ranked)
    if query.quoted:
        tiers, close = quoted_tiers(pool, expansion, holders)
        sought = Sought(frozenset())
    elif unquoted:
        tiers, close = [pool.tier(totals, pool.total, pool.rows)], 0
        sought = Sought(matcher.weights.keys())
    else:
        words = [term for term in leading if term in query.terms and term not in missing]
        closeness = Closeness.of(words, phrases, expansion.counts, rarity)
        sought = Sought(*(stems_for(matcher, terms) for terms in (closeness.strong, closeness.weak)))
        tiers, close = ordinary_tiers(pool, closeness, matcher, holders, places)
    total = sum(tier.total for tier in tiers)
    holding = {phrase: len(holders.get(phrase, ())) for phrase in expansion.asked.phrases}
    return Ranking(
        tiers,
        total,
        close,
        matcher,
        found,
        scores,
        holding,
        missing,
        unquoted,
        sought,
        None if all_ranked else matching,
    )


def _own_holders(connection: sqlite3.Connection, phrase: Term, scope: Scope, own: Mapping[int, OwnWords]) -> set[int]:
    """The conversations in which the speakers asked for say a phrase themselves, or that have it in writing."""
    stems = TermMatcher.stems_of(phrase)
    entries = Matching.of(phrase.expression, scope).entries(connection)
    said = (entry for entry in entries if _is_written(entry) or (entry in own and own[entry].times(stems)))
    return {entry >> fts.ENTRY_BITS for entry in said}


def _missing(
    connection: sqlite3.Connection,
    query: Query,
    matcher: TermMatcher,
    scope: Scope,
    seen: Set[str],
    sought: Collection[Term],
) -> frozenset[Term]:
    """The words of the query that nothing in the scope has. `seen` are index terms that something has; any of `sought`
    would have been seen."""
    if scope.everything:
        return frozenset()
    unseen = [term for term in query.telling if not seen >= set(matcher.asked[term.text])]
    return frozenset(
        term for term in unseen if term in sought or not Matching.of(term.expression, scope).entries(connection, most=1)
    )


def _holders(connection: sqlite3.Connection, query: Query, scope: Scope) -> dict[Term, set[int]]:
    """The conversations that hold each phrase."""
    return {phrase: Matching.of(phrase.expression, scope).rows(connection) for phrase in query.phrases}


def _rarity(connection: sqlite3.Connection, counts: Mapping[Term, int]) -> dict[Term, float]:
    """The inverse document frequency of each term, as FTS5's bm25() has it."""
    entries = fts.size(connection)
    return {term: max(1e-6, math.log((entries - count + 0.5) / (count + 0.5))) for term, count in counts.items()}


def _leading(query: Query, counts: Mapping[Term, int]) -> tuple[Term, ...]:
    """The terms to search by: those that tell, the rarest first, as many as are affordable."""
    rarest = sorted(query.telling, key=lambda term: counts[term])
    postings = accumulate(counts[term] for term in rarest)
    affordable = sum(1 for _ in takewhile(lambda sum_so_far: sum_so_far <= MOST_POSTINGS, postings))
    return tuple(rarest[: max(affordable, 1)])


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
    """Make what `voices` say themselves count, and take out the passages in which that is nothing.

    Where more entries match than are read, the number found is not exact anyway: fewer are looked into then.
    """
    if not voices:
        return {}
    spoken = [entry for entry in scores if not _is_written(entry)]
    looked_into = spoken if len(scores) < MOST_ENTRIES else spoken[:LOOKED_INTO]
    own = own_words(connection, looked_into, matcher, voices)
    usual = sum(said.length for said in own.values()) / max(1, len(own))
    sought = {term: matcher.stems_of(term) for term in leading}
    for entry in spoken:
        said = own.pop(entry, None)
        times = {term: said.times(stems) for term, stems in sought.items()} if said else {}
        if said is None or not any(times.values()):
            del scores[entry]
            continue
        own[entry] = said
        worth = math.fsum(rarity[term] * _saturated(each, said.length / usual) for term, each in times.items())
        scores[entry] += OWN * (worth - scores[entry])
    return own


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
    recognised = matcher.recognise(set().union(*texts.values()))
    known = {word: term for word, term in recognised.items() if term in matcher.weights}
    return {
        entry: [(place, known[word]) for place, word in enumerate(text) if word in known]
        for entry, text in texts.items()
    }


def _look_into(
    places: Places, lengths: Mapping[int, int], scores: dict[int, float], matcher: TermMatcher, supporting: TermMatcher
) -> dict[int, dict[str, int]]:
    """Add to the scores of entries what the places of the words in them tell beyond BM25.

    Returns for each conversation in how many of these each term is.
    """
    usual = sum(lengths.values()) / max(1, len(lengths))
    held: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for entry, found in places.items():
        if len(found) > 1:
            scores[entry] += matcher.closeness(found)
        for term, weight in supporting.weights.items():
            if frequency := sum(term == each for _, each in found):
                scores[entry] += weight * _saturated(frequency, lengths[entry] / usual)
        holds = held[entry >> fts.ENTRY_BITS]
        for term in {term for _, term in found}:
            holds[term] = holds.get(term, 0) + 1
    return held


def _worths(held: Mapping[int, Mapping[str, int]], sizes: Mapping[int, int], matcher: TermMatcher) -> dict[int, float]:
    """What each conversation is worth by what it holds as a whole. `sizes` are numbers of entries."""
    usual = sum(sizes.values()) / max(1, len(sizes))
    return {
        row: math.fsum(
            [
                matcher.weights[term] * (COVERAGE + WHOLE * _saturated(entries, sizes[row] / usual))
                for term, entries in terms.items()
            ]
        )
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
    for row, began, _ in dated(connection, totals):
        day = set(in_words(moment(began)).lower().split())
        totals[row] += DAY * math.fsum(day_worths[word] for word in day & day_worths.keys())


def _day_worths(query: Query, rarity: Mapping[Term, float]) -> dict[str, float]:
    """The words of the query that can name a day, with what each is worth."""
    terms = {term.words[0]: term for term in query.terms if len(term.words) == 1}
    return {word: rarity[terms[word]] for word in day_words(list(terms))}


def _is_written(entry: int) -> bool:
    """Whether the service wrote it; the other entries are passages."""
    return entry & _NUMBER < fts.FIRST_PASSAGE
