"""Filters as a condition in SQL: who may be found at all, decided before anything is ranked."""

import json
import sqlite3
from dataclasses import dataclass

from omi_mcp.mirror.index.words import bare, storable
from omi_mcp.mirror.store import ticks
from omi_mcp.mirror.types import Filters


@dataclass(frozen=True)
class Scope:
    """The conversations that may be found: a condition on rows of `conversations`, and its values."""

    condition: str
    values: tuple[object, ...]
    everything: bool

    @classmethod
    def of(cls, connection: sqlite3.Connection, filters: Filters) -> "Scope":
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
        if filters.speaker is not None:
            clauses.append("row in (select row from speaks where speaker in (select value from json_each(?)))")
            values.append(json.dumps(_speakers(connection, filters.speaker)))
        return cls(" and ".join(clauses), tuple(values), everything=len(clauses) == 1)


def _speakers(connection: sqlite3.Connection, name: str) -> list[int]:
    """The speakers with this name, whole or a word of it."""
    named = connection.execute("select speaker from speakers where instr(' ' || name || ' ', ?)", (f" {bare(name)} ",))
    return [speaker for (speaker,) in named]
