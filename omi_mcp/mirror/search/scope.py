"""Where a query looks: the conversations that may be found, and what the index finds among them."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from omi_mcp.mirror.index import fts, storable
from omi_mcp.mirror.rows import ticks
from omi_mcp.mirror.search.voices import EVERYBODY, Voices, speaking
from omi_mcp.mirror.types import Filters


@dataclass(frozen=True)
class Scope:
    """The conversations that may be found: a condition on rows of `conversations`, and its values; and whose words in
    them."""

    condition: str
    values: tuple[object, ...]
    everything: bool
    voices: Voices = EVERYBODY

    @classmethod
    def of(cls, connection: sqlite3.Connection, filters: Filters) -> Self:
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
        if filters.ids:
            clauses.append("id in (select value from json_each(?))")
            values.append(json.dumps([storable(each) for each in filters.ids]))
        if filters.open_items:
            clauses.append("open_items > 0")
        for clause, speakers in speaking(connection, filters.speakers):
            clauses.append(clause)
            values.append(speakers)
        return cls(" and ".join(clauses), tuple(values), len(clauses) == 1, Voices(filters.speakers))


@dataclass(frozen=True)
class Matching:
    """What an FTS5 expression finds within a scope, as a condition in SQL on `entries`."""

    condition: str
    values: tuple[object, ...]

    @classmethod
    def of(cls, expression: str, scope: Scope) -> Self:
        if scope.everything:
            return cls("entries match ?", (expression,))
        within = f"entries.rowid >> {fts.ENTRY_BITS} in (select row from conversations where {scope.condition})"
        return cls(f"entries match ? and {within}", (expression, *scope.values))

    def among(self, rows: Iterable[int]) -> "Matching":
        """The same within these conversations."""
        within = f"entries.rowid >> {fts.ENTRY_BITS} in (select value from json_each(?))"
        return Matching(f"{self.condition} and {within}", (*self.values, json.dumps(list(rows))))

    def rows(self, connection: sqlite3.Connection) -> set[int]:
        """The conversations with an entry found."""
        statement = f"select distinct rowid >> {fts.ENTRY_BITS} from entries where {self.condition}"
        return {row for (row,) in connection.execute(statement, self.values)}

    def total(self, connection: sqlite3.Connection) -> int:
        """The number of these conversations."""
        statement = f"select count(distinct rowid >> {fts.ENTRY_BITS}) from entries where {self.condition}"
        (total,) = connection.execute(statement, self.values).fetchone()
        return int(total)

    def entries(self, connection: sqlite3.Connection, row: int | None = None, most: int = -1) -> list[int]:
        """What is found, of one conversation if `row` is given; at most `most`."""
        within = "" if row is None else " and rowid between ? and ?"
        bounds = () if row is None else (row << fts.ENTRY_BITS, (row + 1 << fts.ENTRY_BITS) - 1)
        statement = f"select rowid from entries where {self.condition}{within} limit ?"
        values = (*self.values, *bounds, most)
        return [entry for (entry,) in connection.execute(statement, values)]

    def entries_of(self, connection: sqlite3.Connection, rows: Collection[int]) -> dict[int, Sequence[int]]:
        """What is found of each of these conversations."""
        found: dict[int, list[int]] = {row: [] for row in rows}
        statement = (
            f"select entries.rowid from json_each(?) cross join entries where {self.condition}"
            f" and entries.rowid between value << {fts.ENTRY_BITS} and (value << {fts.ENTRY_BITS}) + {fts.LAST_PASSAGE}"
        )
        for (entry,) in connection.execute(statement, (json.dumps(list(rows)), *self.values)):
            found[entry >> fts.ENTRY_BITS].append(entry)
        return dict(found)
