"""Which conversations come before all others: what holds a quoted phrase, then what matches closely, then loosely."""

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

from omi_mcp.mirror.index import fts
from omi_mcp.mirror.search.expansion import Expansion
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Term, all_of, any_of, two_of
from omi_mcp.mirror.search.scope import Matching, Scope

WEAK = 0.3
"""The share of the worth of the best word of a query below which another is weak."""

SCARCE = 20
"""Entries up to which a word is never weak."""

ONE_BY_ONE = 20
"""Conversations up to which each is looked for by itself in the index; more are looked for in one pass over it."""

Places = Mapping[int, Sequence[tuple[int, str]]]
"""Of each entry, which terms are where among its words, in order."""


class Tier(NamedTuple):
    """Conversations that come before all of the next tier: `total` of them, the ranked ones first, then the newest of
    `rows`."""

    ranked: Sequence[int]
    total: int
    rows: Callable[[], Set[int]]


@dataclass(frozen=True)
class Pool:
    """What was found, before it is ordered: `totals` is what the ranked conversations are worth, which are all of them
    if `all_ranked`."""

    connection: sqlite3.Connection
    scope: Scope
    matching: Matching
    totals: Mapping[int, float]
    entries: Mapping[int, Sequence[int]]
    first: int
    all_ranked: bool

    def rows(self) -> Set[int]:
        """Every conversation found."""
        return self.totals.keys() if self.all_ranked else self.matching.rows(self.connection)

    @property
    def total(self) -> int:
        return len(self.totals) if self.all_ranked else self.matching.total(self.connection)

    def tier(self, ranked: Iterable[int], total: int, rows: Callable[[], Set[int]]) -> Tier:
        return Tier(_ordered(self.connection, self.totals, ranked, self.first), total, rows)

    def lifted(self, holders: Iterable[Set[int]]) -> list[Tier]:
        """Those that hold phrases, the more phrases the better."""
        held = Counter(row for rows in holders for row in rows)
        groups: defaultdict[int, set[int]] = defaultdict(set)
        for row, number in held.items():
            groups[number].add(row)
        return [
            self.tier(groups[number] & self.totals.keys(), len(groups[number]), partial(set, groups[number]))
            for number in sorted(groups, reverse=True)
        ]


@dataclass(frozen=True)
class Closeness:
    """What makes a conversation match closely: an entry with one of `phrases`, with a `strong` word, or with two weak
    ones."""

    phrases: tuple[Term, ...]
    strong: tuple[Term, ...]
    weak: tuple[Term, ...]

    @classmethod
    def of(
        cls, words: Sequence[Term], phrases: tuple[Term, ...], counts: Mapping[Term, int], rarity: Mapping[Term, float]
    ) -> Self:
        best = max((rarity[term] for term in words), default=0.0)
        weak = tuple(term for term in words if counts[term] > SCARCE and rarity[term] < WEAK * best)
        return cls(phrases, tuple(term for term in words if term not in weak), weak)

    @property
    def words(self) -> tuple[Term, ...]:
        return (*self.strong, *self.weak)

    @property
    def expression(self) -> str:
        return any_of((*self.phrases, *self.strong)) + (f" OR {two_of(self.weak)}" if len(self.weak) > 1 else "")


def quoted_tiers(pool: Pool, expansion: Expansion, holders: Mapping[Term, Set[int]]) -> tuple[list[Tier], int]:
    """Where nothing but phrases was asked for: what has one, then what has all words of one apart, the newest first."""
    lifted = set().union(*holders.values())
    tiers = pool.lifted(holders.values())
    if not pool.scope.voices and (apart := _apart(expansion)):
        whole = [phrase.expression for phrase in holders if phrase not in apart]  # the others are among what is apart
        matching = Matching.of(" OR ".join([*whole, *map(all_of, apart.values())]), pool.scope)
        total = matching.total(pool.connection)
        tiers.append(Tier((), total - len(lifted), lambda: matching.rows(pool.connection) - lifted))
    return tiers, len(lifted)


def ordinary_tiers(
    pool: Pool, closeness: Closeness, matcher: TermMatcher, holders: Mapping[Term, Set[int]], places: Places
) -> tuple[list[Tier], int]:
    """What holds a phrase, then what matches closely, then what matches loosely; and how many the first two are."""
    if holders:
        within = pool.rows()  # a phrase of words that are everywhere is none to search by
        holders = {phrase: rows & within for phrase, rows in holders.items()}
    lifted = set().union(*holders.values())
    tiers = pool.lifted(holders.values())
    others = pool.totals.keys() - lifted
    if not closeness.weak:
        total = pool.total
        tiers.append(pool.tier(others, total - len(lifted), lambda: pool.rows() - lifted))
        return tiers, total
    closely = Matching.of(closeness.expression, pool.scope)
    # Of pieces of a run of characters, being there does not tell that they stand side by side.
    telling = {} if any(len(term.words) > 1 for term in closeness.words) else places
    known = _known_close(closeness, matcher, telling)
    doubtful = {
        row for row in others - known if not pool.all_ranked or any(entry not in telling for entry in pool.entries[row])
    }
    if pool.all_ranked and not doubtful:
        close = len(known | lifted)
    elif holders:
        close = len(closely.rows(pool.connection) | lifted)
    else:
        close = closely.total(pool.connection)
    best = sorted(others, key=pool.totals.__getitem__, reverse=True)
    if pool.first <= close:
        best = best[: _reaching(best, pool.totals, known, pool.first - len(lifted))]
    known |= _found_among(pool.connection, closely, doubtful.intersection(best))
    tiers += [
        pool.tier(known.intersection(best), close - len(lifted), lambda: closely.rows(pool.connection) - lifted),
        pool.tier(set(best) - known, pool.total - close, lambda: pool.rows() - closely.rows(pool.connection) - lifted),
    ]
    return tiers, close


def _known_close(closeness: Closeness, matcher: TermMatcher, places: Places) -> set[int]:
    """Those of which an entry that was looked into tells that they match closely."""
    strong, weak = stems_for(matcher, closeness.strong), stems_for(matcher, closeness.weak)
    close = set()
    for entry, found in places.items():
        terms = {term for _, term in found}
        if not strong.isdisjoint(terms) or len(weak & terms) > 1:
            close.add(entry >> fts.ENTRY_BITS)
    return close


def stems_for(matcher: TermMatcher, terms: Iterable[Term]) -> Set[str]:
    return {stem for term in terms for stem in matcher.asked[term.text]}


def _reaching(best: Sequence[int], totals: Mapping[int, float], known: Set[int], wanted: int) -> int:
    """How many of `best` there are up to the last that is worth as much as the one of `known` that is `wanted`."""
    lowest = math.inf
    for place, row in enumerate(best):
        if wanted <= 0 and totals[row] < lowest:
            return place
        if row in known:
            wanted, lowest = wanted - 1, totals[row]
    return len(best)


def _found_among(connection: sqlite3.Connection, matching: Matching, rows: Set[int]) -> Set[int]:
    if len(rows) > ONE_BY_ONE:
        return matching.among(rows).rows(connection)
    return {row for row in rows if matching.entries(connection, row, most=1)}


def _apart(expansion: Expansion) -> dict[Term, Sequence[Term]]:
    """The words of each phrase of which all occur."""
    asked, counts = expansion.asked, expansion.counts
    words = {phrase: asked.within(phrase) for phrase in asked.phrases}
    return {phrase: each for phrase, each in words.items() if each and each != (phrase,) and all(map(counts.get, each))}


def newest(connection: sqlite3.Connection, rows: Iterable[int], limit: int, offset: int) -> list[int]:
    """These conversations, the newest first."""
    found = connection.execute(
        "select row from conversations where row in (select value from json_each(?))"
        " order by began desc, id limit ? offset ?",
        (json.dumps(list(rows)), limit, offset),
    )
    return [row for (row,) in found]


def _ordered(connection: sqlite3.Connection, totals: Mapping[int, float], rows: Iterable[int], first: int) -> list[int]:
    """`rows`, best first. Of equals the newer comes first, then by id, as far as the `first` ones reach."""
    ranked = sorted(rows, key=totals.__getitem__, reverse=True)
    lowest = totals[ranked[first - 1]] if 0 < first <= len(ranked) else -math.inf
    times = Counter(map(totals.__getitem__, ranked))
    shown = [row for row in ranked if totals[row] >= lowest]
    equals = [row for row in shown if times[totals[row]] > 1]
    among_equals = {row: (-began, conversation_id) for row, began, conversation_id in dated(connection, equals)}
    shown.sort(key=lambda row: (-totals[row], among_equals.get(row, ())))
    return shown + ranked[len(shown) :]


def dated(connection: sqlite3.Connection, rows: Iterable[int]) -> list[tuple[int, int, str]]:
    """Row, `began` and id of these conversations."""
    statement = "select row, began, id from conversations where row in (select value from json_each(?))"
    return connection.execute(statement, (json.dumps(list(rows)),)).fetchall()
