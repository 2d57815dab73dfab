"""What the machines that serve an account share: documents, each a row of one of its tables, with change numbers.

The primary is where they are never lost, and where it is settled in which order they change. Every machine has them in
a file of its own: see `omi_mcp.replica`.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

DEAD_SECONDS = 35.0
"""How long a machine that says nothing is believed to be copying."""

OUTBOX = "create temp table if not exists outbox(kind text, id text, text integer)"
"""Where a transaction notes what it changes; `text` where the long part of it changed too."""


@dataclass(frozen=True)
class Claim:
    """What a lease is on, and the one holder who has taken it."""

    name: str
    owner: str


class LeaseLost(Exception):
    """Another has taken over the lease under which something was to be written; nothing was."""


@dataclass(frozen=True)
class Document:
    """A row as all machines have it: JSON, or None where it was deleted. `text` is a part of it that is long and
    changes seldom, and is told only where it `has_text`."""

    kind: str
    id: str
    body: str | None
    text: str | None = None
    has_text: bool = False


@dataclass(frozen=True)
class Place:
    """Up to which change a machine has taken over. Changes are counted anew with another `epoch`.

    `whole` is where it was when it last had all there was: what it takes over since then it may never have had before,
    however long ago its text changed.
    """

    epoch: str = ""
    change: int = 0
    whole: int = 0

    def covers(self, other: "Place") -> bool:
        """Whether who is here has all that there was at the other."""
        return self.epoch == other.epoch and self.change >= other.change


@dataclass(frozen=True)
class Batch:
    """What changed after a place, in the order of the changes, and the place after it; `more` says that it goes on.

    `anew`: the place is of no use any more, and this begins with the first change of all.
    """

    documents: Sequence[Document]
    place: Place
    more: bool = False
    anew: bool = False


class Shared(Protocol):
    """The rows of a table that are shared."""

    @property
    def kind(self) -> str: ...

    def watch(self) -> Iterator[str]:
        """Temporary triggers that note in the outbox what changes."""
        ...

    def ids(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Of every document that there may be; none where the file is of a release that knew no such table."""
        ...

    def document(self, connection: sqlite3.Connection, row_id: str, *, with_text: bool) -> Document:
        """The row as it is now."""
        ...

    def take(self, connection: sqlite3.Connection, batch: Mapping[str, Sequence[Document]]) -> None:
        """Have those rows of a batch, which is by kind, that are of this table."""
        ...


@dataclass(frozen=True)
class Rows:
    """A table shared as it is: a document is a row, and its id the values of `key`.

    `where` is a condition on a row called `{row}`: what does not meet it is of this machine alone.
    """

    kind: str
    key: tuple[str, ...]
    where: str = ""

    def watch(self) -> Iterator[str]:
        for event, row in (("insert", "new"), ("update", "new"), ("delete", "old")):
            when = f" when {self.where.format(row=row)}" if self.where else ""
            values = ", ".join(f"{row}.{column}" for column in self.key)
            yield (
                f"create temp trigger if not exists {self.kind}_{event} after {event} on main.{self.kind}{when}"
                f" begin insert into outbox values ('{self.kind}', json_array({values}), 0); end"
            )

    def ids(self, connection: sqlite3.Connection) -> Iterator[str]:
        if not connection.execute(f"pragma table_info({self.kind})").fetchall():
            return
        where = f" where {self.where.format(row=self.kind)}" if self.where else ""
        rows = f"select json_array({', '.join(self.key)}) from {self.kind}{where} order by {', '.join(self.key)}"
        for (row_id,) in connection.execute(rows):
            yield row_id

    def document(self, connection: sqlite3.Connection, row_id: str, *, with_text: bool) -> Document:
        row = connection.execute(f"select * from {self.kind} where {self._is_it}", tuple(json.loads(row_id))).fetchone()
        return Document(self.kind, row_id, None if row is None else json.dumps(dict(row)))

    def take(self, connection: sqlite3.Connection, batch: Mapping[str, Sequence[Document]]) -> None:
        for document in batch.get(self.kind, ()):
            if document.body is None:
                key = tuple(json.loads(document.id))
                connection.execute(f"delete from {self.kind} where {self._is_it}", key)
                continue
            row = json.loads(document.body)
            # A later release may tell more than this one has a column for.
            known = {column["name"] for column in connection.execute(f"pragma table_info({self.kind})")} & row.keys()
            columns = sorted(known)
            connection.execute(
                f"insert or replace into {self.kind}({', '.join(columns)}) values ({', '.join('?' for _ in columns)})",
                [row[column] for column in columns],
            )

    @property
    def _is_it(self) -> str:
        return " and ".join(f"{column} = ?" for column in self.key)


class Change(Protocol):
    """One transaction at the primary, which has the account for itself."""

    def newer(self, place: Place) -> Batch:
        """What changed after `place`, up to now."""
        ...

    def keep(self, documents: Sequence[Document]) -> Place:
        """Make these the account's; the place after it."""
        ...


class Primary(Protocol):
    """Where one account's documents are never lost. All methods block, and raise `Away` where it cannot be asked."""

    def join(self) -> None:
        """Have the account there."""
        ...

    def newer(self, place: Place) -> Batch:
        """What changed after `place`."""
        ...

    def changing(self, claim: Claim | None) -> AbstractContextManager[Change]:
        """One transaction, committed on a clean exit. Raises LeaseLost where the claim is not held any more."""
        ...

    def take(self, claim: Claim, seconds: float, now: datetime) -> bool:
        """Take or renew a lease for so long; False while it is another's. `now` is by the primary's clock."""
        ...

    def give_back(self, claim: Claim) -> None: ...
