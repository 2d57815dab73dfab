"""An account's documents in PostgreSQL, and who changes them: one transaction at a time, counted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg.rows import DictRow

from omi_mcp.accounts import NoSuchAccount
from omi_mcp.postgres.connection import Postgres
from omi_mcp.sharing import DEAD_SECONDS, Batch, Claim, Document, LeaseLost, Place

BATCH = 200
"""Documents that are taken over at once, and those that changed together with the last of them."""

STEP = 500
"""Documents that are sent before the answer to the first of them is waited for."""

_NEWER = """
    select epoch::text, libraries.change as head, newer.*
    from libraries left join lateral (
        select kind, id, documents.change, body, text_change > since.whole as has_text,
            case when text_change > since.whole then text end as text
        from documents, (values (
            case when epoch::text = %(epoch)s and libraries.change >= %(change)s then %(change)s else 0 end,
            case when epoch::text = %(epoch)s and libraries.change >= %(change)s then %(whole)s else 0 end
        )) since(change, whole)
        where documents.account = %(account)s and documents.change > since.change
        order by documents.change fetch first %(most)s rows with ties
    ) newer on true
    where libraries.account = %(account)s
"""

_LOCK = "select epoch::text, change from libraries where account = %(account)s for update"

_LOCK_HELD = """
    select epoch::text, libraries.change from libraries, leases
    where libraries.account = %(account)s and leases.account = %(account)s and name = %(name)s and owner = %(owner)s
    for update
"""
"""The lease too: else it may be lost while its holder waits for its turn, and nobody takes it before the end."""

_KEEP = """
    insert into documents(account, kind, id, change, body) values (%s, %s, %s, %s, %s)
    on conflict (account, kind, id) do update set change = excluded.change, body = excluded.body
"""

_KEEP_WITH_TEXT = """
    insert into documents(account, kind, id, change, body, text, text_change) values (%s, %s, %s, %s, %s, %s, %s)
    on conflict (account, kind, id) do update set change = excluded.change, body = excluded.body,
        text = excluded.text, text_change = excluded.text_change
"""

_TAKE = """
    insert into leases(account, name, owner, ends)
    values (%(account)s, %(name)s, %(owner)s, %(now)s + %(seconds)s * interval '1 second')
    on conflict (account, name) do update set owner = excluded.owner, ends = excluded.ends
    where leases.owner = excluded.owner or leases.ends <= %(now)s
    returning owner
"""


@dataclass
class _Change:
    connection: psycopg.Connection[DictRow]
    account: str
    place: Place
    """The last one before this change."""
    kept: bool = False

    def newer(self, place: Place) -> Batch:
        if place == self.place:
            return Batch((), place)
        return _newer(self.connection, self.account, place)

    def keep(self, documents: Sequence[Document]) -> Place:
        self.kept = True
        number = self.place.change + 1
        with self.connection.cursor() as cursor:
            rows = [(self.account, each.kind, each.id, number, each.body) for each in documents if not each.has_text]
            _in_steps(cursor, _KEEP, rows)
            rows_with_text = [
                (self.account, each.kind, each.id, number, each.body, each.text, number)
                for each in documents
                if each.has_text
            ]
            _in_steps(cursor, _KEEP_WITH_TEXT, rows_with_text)
            cursor.execute("update libraries set change = %s where account = %s", (number, self.account))
        return Place(self.place.epoch, number, number)


class PostgresPrimary:
    """The documents and leases of one account."""

    def __init__(self, postgres: Postgres, account: str) -> None:
        self._postgres = postgres
        self._account = account

    def join(self) -> None:
        """Raises NoSuchAccount: nobody of this id has signed in, or it was forgotten."""
        with self._postgres.transaction(self._account) as connection:
            try:
                connection.execute(
                    "insert into libraries(account, used, due)"
                    " values (%s, now(), clock_timestamp() + %s * interval '1 second')"
                    " on conflict (account) do update set used = excluded.used",
                    (self._account, DEAD_SECONDS),
                )
            except psycopg.errors.ForeignKeyViolation:
                raise NoSuchAccount from None

    def newer(self, place: Place) -> Batch:
        with self._postgres.transaction(self._account, read_only=True) as connection:
            return _newer(connection, self._account, place)

    @contextmanager
    def changing(self, claim: Claim | None) -> Iterator[_Change]:
        with self._postgres.transaction(self._account) as connection:
            asked = {"account": self._account}
            row = None
            if claim is not None:
                held = {"name": claim.name, "owner": claim.owner}
                row = connection.execute(_LOCK_HELD, asked | held).fetchone()
            if row is None:
                row = connection.execute(_LOCK, asked).fetchone()
                if row is None:
                    raise NoSuchAccount
                if claim is not None:
                    raise LeaseLost
            change = _Change(connection, self._account, Place(row["epoch"], row["change"], row["change"]))
            yield change
            if not change.kept:
                connection.rollback()

    def take(self, claim: Claim, seconds: float, now: datetime) -> bool:
        with self._postgres.transaction(self._account) as connection:
            asked = {
                "account": self._account,
                "name": claim.name,
                "owner": claim.owner,
                "seconds": seconds,
                "now": now,
            }
            return connection.execute(_TAKE, asked).fetchone() is not None

    def give_back(self, claim: Claim) -> None:
        with self._postgres.transaction(self._account) as connection:
            connection.execute(
                "delete from leases where account = %s and name = %s and owner = %s",
                (self._account, claim.name, claim.owner),
            )


def _in_steps(cursor: psycopg.Cursor[DictRow], statement: LiteralString, rows: Sequence[Sequence[object]]) -> None:
    """The server has to answer in time, which is not to depend on how long an account is."""
    for start in range(0, len(rows), STEP):
        cursor.executemany(statement, rows[start : start + STEP])


def _newer(connection: psycopg.Connection[DictRow], account: str, place: Place) -> Batch:
    asked = {"account": account, "epoch": place.epoch, "change": place.change, "whole": place.whole, "most": BATCH}
    rows = connection.execute(_NEWER, asked).fetchall()
    if not rows:
        raise NoSuchAccount
    epoch, head = rows[0]["epoch"], rows[0]["head"]
    documents = [
        Document(row["kind"], row["id"], row["body"], row["text"], row["has_text"]) for row in rows if row["kind"]
    ]
    more = len(documents) >= BATCH
    anew = epoch != place.epoch or head < place.change
    after = Place(epoch, rows[-1]["change"], 0 if anew else place.whole) if more else Place(epoch, head, head)
    return Batch(documents, after, more, anew=anew and bool(place.epoch))
