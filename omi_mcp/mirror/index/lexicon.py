"""The words that occur in the mirror, for those a query has and the mirror has not: endings, misspellings, parts.

Words stay when the conversation they came from goes: the index is asked before one is used.
"""

import json
import re
import sqlite3
from collections.abc import Iterable
from heapq import nsmallest

from omi_mcp.mirror.index.words import bare, fold

SCHEMA = "create table if not exists lexicon(word text primary key) without rowid;"
_LEARNT = re.compile(r"[^\W_]{3,24}")


def learn(connection: sqlite3.Connection, texts: Iterable[str]) -> None:
    found = {word for text in texts for word in _LEARNT.findall(fold(text))}
    spelled = json.dumps([word if word.isascii() else bare(word) for word in found])
    new = connection.execute(
        "select value from json_each(?) where not exists (select 1 from lexicon where word = value)", (spelled,)
    ).fetchall()
    connection.executemany("insert or ignore into lexicon(word) values (?)", new)


def beginning_with(connection: sqlite3.Connection, word: str, most: int) -> list[str]:
    """Known words that `word` is the beginning of, the shortest first."""
    statement = (
        "select word from lexicon where word >= :word and word < :word || char(1114111)"
        " order by length(word), word limit :most"
    )
    return [found for (found,) in connection.execute(statement, {"word": bare(word), "most": most})]


def containing(connection: sqlite3.Connection, word: str, most: int) -> list[str]:
    """Known words that `word` is a part of, the shortest first."""
    statement = "select word from lexicon where instr(word, ?) order by length(word), word limit ?"
    return [found for (found,) in connection.execute(statement, (bare(word), most))]


def like(connection: sqlite3.Connection, word: str, most: int, likeness: float) -> list[tuple[str, float]]:
    """Known words with the same first letter that are spelled like `word`, and how much, the most alike first.

    `likeness` is the least share of letter triples in common: "kubernets" and "kubernetes" have 0.76 of them.
    """
    sought = bare(word)
    neighbours = connection.execute(
        "select word from lexicon where word >= :initial and word < :initial || char(1114111)"
        " and length(word) between :length - 2 and :length + 2",
        {"initial": sought[:1], "length": len(sought)},
    )
    triples = _triples(sought)
    close = []
    for (found,) in neighbours:
        shared = 2 * sum(triple in f"  {found} " for triple in triples) / (len(triples) + len(found) + 1)
        if shared >= likeness:
            close.append((-shared, found))
    return [(found, -shared) for shared, found in nsmallest(most, close)]


def _triples(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
