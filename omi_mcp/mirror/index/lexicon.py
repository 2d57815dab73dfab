"""The words that occur in the mirror, for those a query has and the mirror has not: endings, misspellings, parts.

How often each occurs is kept, so that it goes with the last text it is in: what stands in for a word that is not known
depends on what there is, and on nothing that was there before.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from math import inf

from omi_mcp.names import fold, unaccented

SCHEMA = "create table if not exists lexicon(word text primary key, uses integer not null) without rowid;"
MOST_COMPARED = 50
"""Known words that are compared letter by letter with a misspelled one: those that share most pairs of letters."""
LONG = 8
"""Characters of a word from which two slips are likelier than another word."""
SWAPPED = 0.75
"""What it counts, in slips, that two neighbouring letters changed places."""

_gathered: ContextVar[Counter[str] | None] = ContextVar("omi_mcp.mirror.index.lexicon", default=None)

_LEARNT = re.compile(r"[^\W_]{3,24}")


def recount(connection: sqlite3.Connection, added: Iterable[str], dropped: Iterable[str] = ()) -> None:
    """Note that texts came into the index, and others went."""
    gathered = _gathered.get()
    uses = Counter() if gathered is None else gathered
    uses.update(_words(added))
    uses.subtract(_words(dropped))
    if gathered is None:
        _keep(connection, uses)


@contextmanager
def gathering(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep only at the end what this block recounts: texts have most of their words in common."""
    uses: Counter[str] = Counter()
    before = _gathered.set(uses)
    try:
        yield
    finally:
        _gathered.reset(before)
    _keep(connection, uses)


def _words(texts: Iterable[str]) -> Iterator[str]:
    return chain.from_iterable(_LEARNT.findall(fold(text)) for text in texts)


def _keep(connection: sqlite3.Connection, uses: Counter[str]) -> None:
    for word in [word for word in uses if not word.isascii()]:
        times = uses.pop(word)
        uses[unaccented(word)] += times
    connection.executemany(
        "insert into lexicon(word, uses) values (?, ?) on conflict do update set uses = uses + excluded.uses",
        [(word, times) for word, times in uses.items() if times],
    )
    connection.executemany(
        "delete from lexicon where word = ? and uses <= 0", [(word,) for word, times in uses.items() if times < 0]
    )


def beginning_with(connection: sqlite3.Connection, word: str, most: int) -> list[str]:
    """Known words that `word` is the beginning of, the shortest first."""
    statement = (
        "select word from lexicon where word >= :word and word < :word || char(1114111)"
        " order by length(word), word limit :most"
    )
    return [found for (found,) in connection.execute(statement, {"word": unaccented(word), "most": most})]


def containing(connection: sqlite3.Connection, word: str, most: int) -> list[str]:
    """Known words that `word` is a part of, the shortest first."""
    statement = "select word from lexicon where instr(word, ?) order by length(word), word limit ?"
    return [found for (found,) in connection.execute(statement, (unaccented(word), most))]


def like(connection: sqlite3.Connection, word: str) -> list[tuple[str, float]]:
    """Known words that `word` can be a misspelling of, with how many slips of the pen away they are.

    A slip is a letter missed, added or mistaken, or two neighbours that changed places: one in a word, two in a `LONG`
    one. One of the first two letters has to be the first of the known word.
    """
    sought = unaccented(word)
    most = 2 if len(sought) >= LONG else 1
    pairs = {padded[start : start + 2] for padded in [f" {sought} "] for start in range(len(padded) - 1)}
    shared = " + ".join(["(instr(padded, ?) > 0)"] * len(pairs))
    neighbours = connection.execute(
        "with possible as materialized (select word, ' ' || word || ' ' as padded from lexicon"
        " where (word between ? and ? || char(1114111) or word between ? and ? || char(1114111))"
        " and length(word) between ? and ?)"
        f" select word, {shared} as shared from possible order by shared * 1.0 / (length(word) + ?) desc, word limit ?",
        (
            *(initial for initial in (sought[0], sought[1:2] or sought[0]) for _ in range(2)),
            len(sought) - most,
            len(sought) + most,
            *pairs,
            len(pairs) + 1,
            MOST_COMPARED,
        ),
    )
    return [(found, slips) for found, _ in neighbours if (slips := _slips(sought, found, most)) <= most]


def _slips(one: str, other: str, most: int) -> float:
    """The distance of Damerau and Levenshtein, each letter moved once and a change of places counting `SWAPPED`.

    Infinite as soon as it is known to be more than `most`.
    """
    before: list[float] = []
    above: list[float] = [float(place) for place in range(len(other) + 1)]
    for row, letter in enumerate(one, 1):
        current = [float(row)]
        for column, another in enumerate(other, 1):
            least = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != another))
            if before and column > 1 and letter == other[column - 2] and another == one[row - 2]:
                least = min(least, before[column - 2] + SWAPPED)
            current.append(least)
        if min(current) > most < min(above) + SWAPPED:
            return inf
        before, above = above, current
    return above[-1]
