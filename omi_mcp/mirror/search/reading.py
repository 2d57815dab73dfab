"""How a query is read: as it stands where the mirror has its words, else as the nearest thing that the mirror has."""

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from omi_mcp.mirror.index import lexicon
from omi_mcp.mirror.search.query import Query, Term
from omi_mcp.mirror.types import Method

SHORTEST_REPAIRED = 4
"""Characters of an unknown word from which another stands in for it beside known words or as one spelled alike."""
MOST_REPAIRED = 4
"""Unknown words of one query that others stand in for."""
MOST_STAND_INS = 8
"""Words that begin with or contain an unknown one and stand in for it, when nothing of the query is known, else one."""
ALIKE, VERY_ALIKE = 0.45, 0.6
"""How much alike the one word has to be that stands in for a misspelled one: more beside known words."""
MOST_CONSIDERED = 8

_LOOSER: tuple[Method, ...] = ("ranked", "unquoted", "prefix", "trigram")


@dataclass(frozen=True)
class Reading:
    """A query of which every term is in the index. `counts` are the entries that have it.

    `method` names the loosest reading that everything found depends on.
    """

    query: Query
    counts: Mapping[Term, int]
    method: Method


def read(connection: sqlite3.Connection, query: Query) -> Reading:
    """`query` with stand-ins for what does not occur: a phrase's words, a word's endings, words spelled alike."""
    method: Method = "ranked"
    counts = {term: _count(connection, term) for term in query.everything}
    if not all(counts[phrase] for phrase in query.phrases):
        words = (Term((word,)) for phrase in query.phrases for word in phrase.words)
        query, method = Query(tuple(dict.fromkeys((*words, *query.terms)))), "unquoted"
        counts |= {term: _count(connection, term) for term in query.terms if term not in counts}
    known = any(counts.values())
    unknown = [term for term in query.terms if not counts[term] and len(term.words) == 1]
    repaired = [term for term in unknown if not known or len(term.words[0]) >= SHORTEST_REPAIRED][:MOST_REPAIRED]
    terms: list[Term] = []
    for term in query.terms:
        if counts[term]:
            terms.append(term)
        elif term in repaired:
            reading, stand_ins = _stand_ins(connection, term.words[0], strict=known)
            found = _counted(connection, (replace(term, words=(word,)) for word in stand_ins))
            counts |= found
            terms += found
            if found and not known:
                method = max(method, reading, key=_LOOSER.index)
    return Reading(replace(query, terms=tuple(dict.fromkeys(terms))), counts, method)


def _stand_ins(connection: sqlite3.Connection, word: str, *, strict: bool) -> tuple[Method, list[str]]:
    most = 1 if strict else MOST_STAND_INS
    if found := lexicon.beginning_with(connection, word, most):
        return "prefix", found
    if len(word) < SHORTEST_REPAIRED:
        return "trigram", []
    alike = lexicon.like(connection, word, MOST_CONSIDERED, VERY_ALIKE if strict else ALIKE)
    if alike or strict:
        return "trigram", [_likeliest(connection, alike)] if alike else []
    return "trigram", lexicon.containing(connection, word, most)


def _likeliest(connection: sqlite3.Connection, alike: Sequence[tuple[str, float]]) -> str:
    """The word that was probably meant: very much alike counts most, then being said often."""

    def likelihood(each: tuple[str, float]) -> float:
        word, likeness = each
        return likeness**4 * math.log1p(_count(connection, Term((word,))))

    return max(alike, key=likelihood)[0]


def _counted(connection: sqlite3.Connection, terms: Iterable[Term]) -> dict[Term, int]:
    """Those of `terms` that occur."""
    return {term: count for term in terms if (count := _count(connection, term))}


def _count(connection: sqlite3.Connection, term: Term) -> int:
    """The entries that have `term`."""
    (count,) = connection.execute("select count(*) from entries where entries match ?", (term.expression,)).fetchone()
    return int(count)
