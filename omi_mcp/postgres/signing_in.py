"""Signing in, where several machines let people in: its tables, and what tells whose a key is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg

from omi_mcp.mirror.newest import NEEDED, Listed, body
from omi_mcp.postgres.connection import EVERY, Connection, Postgres
from omi_mcp.signin.store import Store


class SharedTables:
    """Implements `omi_mcp.signin.store.Tables`. What is written is durable, whether it has to be or not."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @contextmanager
    def reading(self) -> Iterator["_Asked"]:
        with self._postgres.transaction(read_only=True) as connection:
            yield _Asked(connection)

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator["_Asked"]:
        with self._postgres.transaction() as connection:
            yield _Asked(connection)

    def close(self) -> None:
        self._postgres.close()


class _Asked:
    """Takes statements as SQLite does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = (), /) -> psycopg.Cursor[dict[str, Any]]:
        return self._connection.execute(_written(statement), [_kept(value) for value in values])


@lru_cache(maxsize=256)
def _written(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _kept(value: object) -> object:
    # PostgreSQL has no NUL in text. Strangers may send one in an id; whatever stands for it, nobody has such an id.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def open_store(url: str) -> tuple[Store, "SharedCopies"]:
    """The tables and copies of the database at `url`, of which nothing is asked yet. Raises SettingsError."""
    postgres = Postgres(url, most=1)
    return Store(SharedTables(postgres)), SharedCopies(postgres)


class SharedCopies:
    """Implements `omi_mcp.signin.recognition.Copies` by the documents of all machines.

    Each account has a digest of its newest conversations among them, which is all that is seen of another account's.
    """

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def size(self, account_id: str) -> int:
        """Bytes of what is kept of an account."""
        with self._postgres.transaction(account_id, read_only=True) as connection:
            row = connection.execute(
                "select coalesce(sum(pg_column_size(documents)), 0)::bigint as bytes from documents where account = %s",
                (account_id,),
            ).fetchone()
        return 0 if row is None else int(row["bytes"])

    def are_there(self, account_id: str | None = None) -> bool:
        return True

    def whose(self, listed: Sequence[Listed]) -> str | None:
        bodies = [body(listed[first : first + NEEDED]) for first in range(len(listed) - NEEDED + 1)]
        with self._postgres.transaction(EVERY, read_only=True) as connection:
            rows = connection.execute(
                "select account, body from documents where kind = 'newest' and body = any(%s)", (bodies,)
            ).fetchall()
        found = sorted((bodies.index(row["body"]), row["account"]) for row in rows)
        return found[0][1] if found else None

    def shares_nothing(self, account_id: str, listed: Sequence[Listed]) -> bool:
        with self._postgres.transaction(account_id, read_only=True) as connection:
            row = connection.execute(
                "with copied as "
                "(select id from documents where account = %s and kind = 'conversations' and body is not null) "
                "select exists (select from copied) as any, exists (select from copied where id = any(%s)) as shared",
                (account_id, [each.id for each in listed]),
            ).fetchone()
        return row is not None and row["any"] and not row["shared"]
