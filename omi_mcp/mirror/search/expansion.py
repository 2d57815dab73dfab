"""How a query is read: as it stands where the mirror has its words, else as the nearest thing that the mirror has."""

import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from omi_mcp.mirror.index import lexicon
from omi_mcp.mirror.search.query import Query, Term, count
from omi_mcp.mirror.types import Method, Replaced
from omi_mcp.names import unaccented

SHORTEST_REPAIRED = 4
"""Characters of an unknown word from which another stands in for it beside known words or as one spelled alike."""
MOST_REPAIRED = 4
"""Unknown words of one query that others stand in for."""
MOST_STAND_INS = 8
"""Words that begin with or contain an unknown one and stand in for it, when nothing of the query is known, else one."""
SLIP = 8
"""By how much a slip of the pen makes a word less likely to be meant."""
OFTEN = 10_000
"""Entries of a word from which more tell nothing about what was meant."""

_LOOSER: tuple[Method, ...] = ("ranked", "unquoted", "prefix", "trigram")


@dataclass(frozen=True)
class Expansion:
    """A query of which every term is in the index. `counts` are the entries that have it.

    `method` names the loosest reading that everything found depends on; `replaced` are the words read as others.
    `asked` is the query before, and `unknown` its words that occur nowhere; `unquoted`: nothing but phrases
    was asked for, and none of them occurs.
    """

    query: Query
    counts: Mapping[Term, int]
    method: Method
    replaced: tuple[Replaced, ...]
    asked: Query
    unknown: tuple[Term, ...]
    unquoted: bool


def expand(connection: sqlite3.Connection, query: Query) -> Expansion:
    """`query` with stand-ins for what does not occur: a phrase's words, a word's endings, words spelled alike."""
    method: Method = "ranked"
    counts = {term: count(connection, term) for term in query.everything}
    asked = query
    unknown = tuple(term for term in query.terms if not counts[term])
    unquoted = query.quoted and not any(counts[phrase] for phrase in asked.phrases)
    if unquoted:
        method = "unquoted"
        if not query.terms:
            words = dict.fromkeys(Term((word,)) for phrase in asked.phrases for word in phrase.words)
            query = replace(query, terms=tuple(words))
            counts |= {term: count(connection, term) for term in words}
    held = tuple(phrase for phrase in asked.phrases if counts[phrase])
    query = replace(query, phrases=held, quoted=query.quoted and bool(held))
    known = any(counts.values())
    single = [term for term in unknown if len(term.words) == 1]
    repaired = [term for term in single if not known or len(term.words[0]) >= SHORTEST_REPAIRED][:MOST_REPAIRED]
    terms: list[Term] = []
    replaced = []
    for term in query.terms:
        if counts[term]:
            terms.append(term)
        elif term in repaired:
            reading, stand_ins = _stand_ins(connection, term.words[0], alone=not known)
            candidates = (replace(term, words=(word,)) for word in stand_ins)
            found = {each: entries for each in candidates if (entries := count(connection, each))}
            if not found:
                continue
            counts |= found
            terms += found
            replaced.append(Replaced(term.words[0], tuple(each.words[0] for each in found)))
            if not known:
                method = max(method, reading, key=_LOOSER.index)
    synonyms = {term: entries for term in query.synonyms if (entries := count(connection, term))}
    query = replace(query, terms=tuple(dict.fromkeys(terms)), synonyms=tuple(synonyms))
    return Expansion(query, counts | synonyms, method, tuple(replaced), asked, unknown, unquoted)


def _stand_ins(connection: sqlite3.Connection, word: str, *, alone: bool) -> tuple[Method, list[str]]:
    """Known words for an unknown one, and how they were found; of several only where it stands `alone`.

    Beside known words it is rather one that nobody used than one misspelled.
    """
    word, most = unaccented(word), MOST_STAND_INS if alone else 1
    if not word:
        return "trigram", []
    if found := lexicon.beginning_with(connection, word, most):
        return "prefix", found
    if len(word) < SHORTEST_REPAIRED:
        return "trigram", []
    alike = lexicon.like(connection, word)
    if not alone:
        alike = [(known, slips) for known, slips in alike if _is_slip(word, known, slips)]
    if likeliest := _likeliest(connection, alike):
        return "trigram", [likeliest]
    return "trigram", lexicon.containing(connection, word, most) if alone else []


def _is_slip(word: str, known: str, slips: float) -> bool:
    """Whether `word` is the known one with an ending, two letters that changed places, or one slip between its ends:
    "quarterly" for "quarter", "bugdet" and "budgt" for "budget". Not "boiler" for "boiled", nor "bled" for "led".
    """
    return word.startswith(known) or slips < 1 or (slips == 1 and known[0] + known[-1] == word[0] + word[-1])


def _likeliest(connection: sqlite3.Connection, alike: Iterable[tuple[str, float]]) -> str | None:
    """The word that was probably meant: few slips of the pen count most, then being said often."""
    likelihoods = {word: math.log1p(count(connection, Term((word,)), OFTEN)) / SLIP**slips for word, slips in alike}
    return max(likelihoods, key=lambda word: likelihoods[word], default=None)
