"""What is brought here from the files of one machine, told from what machines have written here since."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from omi_mcp.accounts import NoSuchAccount
from omi_mcp.postgres.connection import Connection, Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.sharing import Document

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "hosts": ("id", "secret", "made", "signed_in", "metadata"),
    "accounts": ("id", "mark", "base_url", "key", "timezone", "made", "used", "refused"),
    "grants": ("id", "account", "host", "name", "place", "scopes", "resource", "made", "used"),
    "codes": ("hash", "grant_id", "challenge", "redirect_uri", "explicit", "expires", "spent"),
    "tokens": ("hash", "grant_id", "refreshes", "allows", "expires", "replaced"),
}
"""The tables of signing in, each after those it refers to; the first column tells a row from the others."""

OWNED: Mapping[str, str] = {
    "accounts": "id = {}",
    "grants": "account = {}",
    "codes": "grant_id in (select id from grants where account = {})",
    "tokens": "grant_id in (select id from grants where account = {})",
}
"""How the rows of one account are found in each of them; `{}` stands for its id."""

_TRUTHS = frozenset({"explicit", "refreshes"})
"""The columns that are true or false, which SQLite has as numbers."""

_PAGE = 1_000
"""Documents of which the digests are read at once: a fraction of what a statement may take."""

_DIGESTS = """
    select kind, id, sha256(convert_to(body, 'UTF8')) as body, sha256(convert_to(text, 'UTF8')) as text
    from documents where account = %(account)s and body is not null and (kind, id) > (%(kind)s, %(id)s)
    order by kind, id limit %(most)s
"""

Row = tuple[Any, ...]
SignedIn = Mapping[str, Sequence[Row]]
"""The rows of one account in each table of `OWNED`, in the order of `COLUMNS`, sorted by the first."""

Key = tuple[str, str]
"""The kind and the id of a document."""
Digest = tuple[bytes, bytes | None]
"""Of its body and of its text."""


class Changed(Exception):
    """Somebody else has just written what was to be written. Nothing was."""


class KeyTaken(Exception):
    """There is another account of the same key: somebody has signed in here as new."""


@dataclass(frozen=True)
class Standing:
    """How an account stands here: who is signed in (None: nobody of this id), the number of its last change (0: there
    is none), and both as a move has left them."""

    signed_in: SignedIn | None
    change: int
    moved: tuple[int, bytes] | None
    source: str | None = None
    """The folder it was moved from."""

    @property
    def is_ours(self) -> bool:
        """Nobody but moves have written anything."""
        if self.moved is None:
            return self.signed_in is None
        return self.signed_in is not None and self.moved == (self.change, _digest(self.signed_in))

    @property
    def forgotten(self) -> bool:
        """It was moved, and then forgotten here."""
        return self.moved is not None and self.signed_in is None


def digest(document: Document) -> Digest:
    """As the database has it of the same document."""
    return _sha(document.body or ""), None if document.text is None else _sha(document.text)


def row(values: Mapping[str, Any], table: str) -> Row:
    """A row of SQLite as it is here."""
    return tuple(_kept(name, values[name]) for name in COLUMNS[table])


class Moving:
    """The database, as a move writes there. Every method is one transaction or a few, and raises Away."""

    def __init__(self, postgres: Postgres, source: str) -> None:
        """`source` names the folder that is moved."""
        self._postgres = postgres
        self._source = source

    def accounts(self) -> list[str]:
        """The ids of all who are known here."""
        with self._postgres.transaction(read_only=True) as connection:
            return [each["id"] for each in connection.execute("select id from accounts order by id")]

    def keep_hosts(self, hosts: Sequence[Row]) -> None:
        """Know these hosts. What is known here of later sign-ins stays."""
        statement = _insert(
            "hosts",
            "do update set secret = excluded.secret, metadata = excluded.metadata, signed_in = excluded.signed_in"
            " where coalesce(hosts.signed_in, 0) < coalesce(excluded.signed_in, 0)",
        )
        with self._postgres.transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(statement, hosts)

    def hosts(self, ids: Sequence[str]) -> list[Row]:
        """What is known of those of them that are known, in the order of their ids."""
        with self._postgres.transaction(read_only=True) as connection:
            return _rows(connection, "hosts", "id = any({})", list(ids))

    def standing(self, account: str) -> Standing:
        with self._postgres.transaction(account, read_only=True) as connection:
            return _standing(connection, account)

    def sign_in(self, account: str, rows: SignedIn, before: Standing, used: float) -> int:
        """Have these rows in place of those that are there, and the account's documents counted from then on; returns
        the number of their last change. `used`: when the account was used last.

        Raises:
            Changed: it does not stand as `before`.
            KeyTaken
        """
        try:
            with self._postgres.transaction(account) as connection:
                connection.execute("select from accounts where id = %s for update", [account])
                connection.execute("select from libraries where account = %s for update", [account])
                if _standing(connection, account) != before:
                    raise Changed
                updated = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS["accounts"][1:])
                with connection.cursor() as cursor:
                    cursor.executemany(_insert("accounts", f"do update set {updated}"), rows["accounts"])
                    cursor.execute("delete from grants where account = %s", [account])
                    for table in ("grants", "codes", "tokens"):
                        cursor.executemany(_insert(table), rows[table])
                connection.execute(
                    "insert into libraries (account, used) values (%s, to_timestamp(%s)) on conflict do nothing",
                    [account, used],
                )
                connection.execute(
                    "insert into moves (account, source, change, signed_in) values (%s, %s, %s, %s)"
                    " on conflict (account) do update"
                    " set source = excluded.source, change = excluded.change, signed_in = excluded.signed_in",
                    [account, self._source, before.change, _digest(rows)],
                )
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != "accounts_mark_key":
                raise
            raise KeyTaken from None
        return before.change

    def keep(self, account: str, documents: Sequence[Document], change: int) -> int:
        """Have these documents, as the one change after `change`; returns its number.

        Raises:
            Changed: `change` was not the last one.
        """
        try:
            with PostgresPrimary(self._postgres, account).changing(None) as there:
                if there.place.change != change:
                    raise Changed
                place = there.keep(documents)
                there.connection.execute("update moves set change = %s where account = %s", [place.change, account])
                return place.change
        except NoSuchAccount:
            raise Changed from None

    def digests(self, account: str) -> dict[Key, Digest]:
        """Of every document that is there."""
        found: dict[Key, Digest] = {}
        after: Key = ("", "")
        while True:
            asked = {"account": account, "kind": after[0], "id": after[1], "most": _PAGE}
            with self._postgres.transaction(account, read_only=True) as connection:
                page = connection.execute(_DIGESTS, asked).fetchall()
            found |= {(each["kind"], each["id"]): (each["body"], each["text"]) for each in page}
            if len(page) < _PAGE:
                return found
            after = page[-1]["kind"], page[-1]["id"]

    def forget(self, account: str, before: Standing) -> None:
        """Keep nothing of it. Raises Changed: it does not stand as `before`."""
        with self._postgres.transaction(account) as connection:
            connection.execute("select from accounts where id = %s for update", [account])
            connection.execute("select from libraries where account = %s for update", [account])
            if _standing(connection, account) != before:
                raise Changed
            connection.execute("delete from accounts where id = %s", [account])
            connection.execute("delete from moves where account = %s", [account])


def _standing(connection: Connection, account: str) -> Standing:
    found = {table: _rows(connection, table, owned, account) for table, owned in OWNED.items()}
    library = connection.execute("select change from libraries where account = %s", [account]).fetchone()
    moved = connection.execute("select source, change, signed_in from moves where account = %s", [account]).fetchone()
    return Standing(
        found if found["accounts"] else None,
        library["change"] if library else 0,
        (moved["change"], moved["signed_in"]) if moved else None,
        moved["source"] if moved else None,
    )


def _rows(connection: Connection, table: str, condition: str, value: object) -> list[Row]:
    """In the order of their first column, which no collation has a say in."""
    asked = sql.SQL("select {} from {} where {}").format(
        _columns(table),
        sql.Identifier(table),
        sql.SQL(condition.format("%s")),
    )
    found = [tuple(each[name] for name in COLUMNS[table]) for each in connection.execute(asked, [value])]
    return sorted(found)


def _insert(table: str, conflict: str = "") -> sql.Composed:
    """`conflict`: what is done where the row is there."""
    return sql.SQL("insert into {} ({}) values ({}) {}").format(
        sql.Identifier(table),
        _columns(table),
        sql.SQL(", ").join(sql.Placeholder() * len(COLUMNS[table])),
        sql.SQL(f"on conflict (id) {conflict}" if conflict else ""),
    )


def _columns(table: str) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))


def _kept(name: str, value: object) -> object:
    if name in _TRUTHS:
        return bool(value)
    # PostgreSQL has no NUL in text; signing in writes it so too.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _digest(rows: SignedIn) -> bytes:
    return _sha(repr([list(rows[table]) for table in OWNED]))


def _sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
