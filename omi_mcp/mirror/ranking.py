"""From matching index entries to conversations in order, best first."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from omi_mcp.mirror.index import ENTRY_BITS
from omi_mcp.mirror.query import Query

FOLLOWING = 0.3
"""What the second and third best entries of a conversation add to its best."""


@dataclass(frozen=True)
class Ranked:
    """One conversation of a ranking. `entries` are the rowids of its best index entries, best first."""

    row: int
    score: float
    entries: tuple[int, ...]


def rank(connection: sqlite3.Connection, query: Query, scope: str, values: Sequence[object]) -> list[Ranked]:
    """Every conversation in which the query finds something, best first.

    `scope` is an SQL condition on the integer `row` of conversations, "" for all.
    """
    clauses, parameters = ["entries match ?"], [query.expression]
    for phrase in query.phrases:
        clauses.append(f"rowid >> {ENTRY_BITS} in (select rowid >> {ENTRY_BITS} from entries where entries match ?)")
        parameters.append(phrase.expression)
    if scope:
        clauses.append(f"rowid >> {ENTRY_BITS} in ({scope})")
    statement = f"select rowid, -bm25(entries) from entries where {' and '.join(clauses)}"
    scores: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for entry, score in connection.execute(statement, [*parameters, *values]):
        scores[entry >> ENTRY_BITS].append((score, -entry))
    ranked = []
    for row, entries in scores.items():
        best = nlargest(3, entries)
        score = best[0][0] + FOLLOWING * sum(following for following, _ in best[1:])
        ranked.append(Ranked(row, score, tuple(-entry for _, entry in best)))
    return ranked
