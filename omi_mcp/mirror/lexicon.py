"""The words that occur in the mirror, for those a query has and the mirror has not: endings, misspellings, parts.

Words stay when the conversation they came from goes: the index is asked before one is used.
"""

import json
import re
import sqlite3
from collections.abc import Iterable
from heapq import nsmallest

from omi_mcp.mirror.words import bare, fold

SCHEMA = "create table if not exists lexicon(word text primary key) without rowid;"
MOST_ALTERNATIVES = 8
"""Words that one unknown word may stand for."""

_LEARNT = re.compile(r"[^\W_]{3,24}")
SHORTEST_ALIKE = 4
LIKENESS = 0.45
"""Share of letter triples in common from which words are alike: "kubernets" and "kubernetes" have 0.76."""


def learn(connection: sqlite3.Connection, texts: Iterable[str]) -> None:
    found = {word for text in texts for word in _LEARNT.findall(fold(text))}
    spelled = json.dumps([word if word.isascii() else bare(word) for word in found])
    new = connection.execute(
        "select value from json_each(?) where not exists (select 1 from lexicon where word = value)", (spelled,)
    ).fetchall()
    connection.executemany("insert or ignore into lexicon(word) values (?)", new)


def beginning_with(connection: sqlite3.Connection, word: str) -> list[str]:
    """Known words that `word` is the beginning of, the shortest first."""
    statement = (
        "select word from lexicon where word >= :word and word < :word || char(1114111)"
        " order by length(word), word limit :most"
    )
    values = {"word": bare(word), "most": MOST_ALTERNATIVES}
    return [found for (found,) in connection.execute(statement, values)]


def like(connection: sqlite3.Connection, word: str) -> list[str]:
    """Known words that contain `word`, or begin with its letter and are spelled like it, the most alike first."""
    sought = bare(word)
    if len(sought) < SHORTEST_ALIKE:
        return []
    containing = connection.execute(
        "select word from lexicon where instr(word, ?) limit ?", (sought, MOST_ALTERNATIVES)
    ).fetchall()
    neighbours = connection.execute(
        "select word from lexicon where word >= :initial and word < :initial || char(1114111)"
        " and length(word) between :length - 2 and :length + 2",
        {"initial": sought[0], "length": len(sought)},
    ).fetchall()
    triples = _triples(sought)
    close = [(-1.0, found) for (found,) in containing]
    for (found,) in neighbours:
        likeness = 2 * sum(triple in f"  {found} " for triple in triples) / (len(triples) + len(found) + 1)
        if likeness >= LIKENESS:
            close.append((-likeness, found))
    return [found for _, found in nsmallest(MOST_ALTERNATIVES, close)]


def _triples(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
