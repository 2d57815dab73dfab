"""How a query is read: as it stands where the mirror has its words, else as the nearest thing that the mirror has."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from omi_mcp.mirror import lexicon
from omi_mcp.mirror.query import Query, Term
from omi_mcp.mirror.types import Method

_LOOSER: tuple[Method, ...] = ("ranked", "unquoted", "prefix", "trigram")
_SHORTEST_REPAIRED = 4
"""Characters of an unknown word from which others stand in for it although the rest of the query is known."""
_MOST_REPAIRED = 4


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
    if not all(_count(connection, phrase) for phrase in query.phrases):
        words = (Term((word,)) for phrase in query.phrases for word in phrase.words)
        query, method = Query(tuple(dict.fromkeys((*words, *query.terms)))), "unquoted"
    counts = {term: _count(connection, term) for term in query.everything}
    known = any(counts.values())
    unknown = [term for term in query.terms if not counts[term] and len(term.words) == 1]
    repaired = [term for term in unknown if not known or len(term.words[0]) >= _SHORTEST_REPAIRED][:_MOST_REPAIRED]
    terms: list[Term] = []
    for term in query.terms:
        if counts[term]:
            terms.append(term)
        elif term in repaired:
            reading, found = _stand_ins(connection, term)
            counts |= found
            terms += found
            if found and not known:
                method = max(method, reading, key=_LOOSER.index)
    return Reading(replace(query, terms=tuple(dict.fromkeys(terms))), counts, method)


def _stand_ins(connection: sqlite3.Connection, term: Term) -> tuple[Method, dict[Term, int]]:
    word = term.words[0]
    found = _counted(connection, term, lexicon.beginning_with(connection, word))
    if found:
        return "prefix", found
    return "trigram", _counted(connection, term, lexicon.like(connection, word))


def _counted(connection: sqlite3.Connection, term: Term, words: list[str]) -> dict[Term, int]:
    terms = (replace(term, words=(word,)) for word in words)
    return {each: count for each in terms if (count := _count(connection, each))}


def _count(connection: sqlite3.Connection, term: Term) -> int:
    """The entries that have `term`."""
    (count,) = connection.execute("select count(*) from entries where entries match ?", (term.expression,)).fetchone()
    return int(count)
