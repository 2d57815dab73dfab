"""The newest conversations of an account: whoever can list the same ones reads that account."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from omi_mcp.sharing import Document

NEEDED = 20
"""How many have to be equal. With fewer, a copy is made anew within minutes."""


class Listed(NamedTuple):
    id: str
    created: int
    fingerprint: str


def newest(connection: sqlite3.Connection, limit: int = NEEDED) -> list[Listed]:
    """Of a mirror, the newest first; with -1 all of them."""
    statement = "select id, created, fingerprint from conversations where hidden = 0 order by created desc, id limit ?"
    return [Listed(*row) for row in connection.execute(statement, (limit,))]


class SharedNewest:
    """A document that is a digest of the newest ones, where there are enough: no machine needs it for its copy, and
    all find the account by it without seeing anything else of it."""

    kind = "newest"

    def watch(self) -> Iterator[str]:
        changed = " or ".join(f"old.{column} is not new.{column}" for column in ("fingerprint", "created", "hidden"))
        for event, when in (("insert", ""), ("update", f" when {changed}"), ("delete", "")):
            yield (
                f"create temp trigger if not exists newest_{event} after {event} on main.conversations{when}"
                " begin insert into outbox values ('newest', '', 0); end"
            )

    def ids(self, connection: sqlite3.Connection) -> Iterator[str]:
        yield ""

    def document(self, connection: sqlite3.Connection, row_id: str, *, with_text: bool) -> Document:
        found = newest(connection)
        return Document(self.kind, row_id, body(found) if len(found) == NEEDED else None)

    def take(self, connection: sqlite3.Connection, batch: Mapping[str, Sequence[Document]]) -> None:
        pass


def body(listed: Sequence[Listed]) -> str:
    """The document of an account whose newest conversations are these."""
    return json.dumps(hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest())
