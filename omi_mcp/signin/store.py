"""Who signed in, what they connected, and what hosts hold of it: the tables of signing in.

Nothing in them opens anything by itself: Omi keys are encrypted, and of codes, tokens and secrets only hashes are kept.
The statements are those that SQLite and PostgreSQL have in common. Where machines write side by side, they wait for
each other at rows; so each transaction changes those of one host, one account, its grants, and their codes and tokens,
in this order: no two of them can wait for each other in a circle.
Every method blocks; call it through `database.run`. Times are aware UTC datetimes outside, seconds since 1970 inside.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

FILE = "sign-in.sqlite3"

CODE_LIFE = timedelta(minutes=5)
SPENT_LIFE = timedelta(hours=1)
"""How long a code that was used is remembered: a copy of it that turns up ends what came of it."""
ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(days=90)
"""How long a host may stay away before its person has to sign in again."""

GRACE = timedelta(minutes=1)
"""How long a refresh token that was replaced is still taken: hosts ask twice at once, or lose an answer and repeat."""

UNUSED_LIFE = timedelta(days=1)
"""How long the registration of a host is kept with which nobody has signed in."""
MOST_UNUSED = 1_000
"""Of those; the oldest give way."""
MOST_GRANTS = 50
"""Of one account; the ones that were used longest ago give way."""
MOST_REPLACED = 50
"""Refresh tokens of one grant that are remembered as replaced."""
SWEEP = timedelta(minutes=1)
"""Between two looks for what is out of date."""
COUNTED = timedelta(hours=1)
"""How long a count of attempts is kept, at most."""
SWEPT_AT_ONCE = 500
"""Of each kind, at most."""
TOUCH = timedelta(minutes=1)
"""How exactly the last use of a grant is known: not every request has to write."""
KNOWN = timedelta(days=1)
"""How exactly the last use of a host is known, which may be everybody's."""

SCHEMA = """
    create table if not exists hosts(
        id text primary key,
        secret blob,
        made real not null,
        signed_in real,
        metadata text not null
    );
    create index if not exists host_unused on hosts(made, id) where signed_in is null;
    create index if not exists host_signed_in on hosts(signed_in);
    create table if not exists accounts(
        id text primary key,
        mark blob not null unique,
        base_url text not null,
        key text not null,
        timezone text not null,
        made real not null,
        used real not null,
        refused real
    ) without rowid;
    create table if not exists grants(
        id text primary key,
        account text not null references accounts(id) on delete cascade,
        host text not null,
        name text not null,
        place text not null,
        scopes text not null,
        resource text not null,
        made real not null,
        used real
    ) without rowid;
    create index if not exists grant_account on grants(account);
    create index if not exists grant_host on grants(host);
    create index if not exists grant_unfetched on grants(made) where used is null;
    create table if not exists codes(
        hash blob primary key,
        grant_id text not null references grants(id) on delete cascade,
        challenge text not null,
        redirect_uri text not null,
        explicit integer not null,
        expires real not null,
        spent real
    ) without rowid;
    create index if not exists code_grant on codes(grant_id);
    drop index if exists code_expires;
    create table if not exists tokens(
        hash blob primary key,
        grant_id text not null references grants(id) on delete cascade,
        refreshes integer not null,
        allows text not null,
        expires real not null,
        replaced real
    ) without rowid;
    create index if not exists token_grant on tokens(grant_id);
    create index if not exists refresh_expires on tokens(expires) where refreshes;
    drop index if exists token_expires;
    create table if not exists attempts(
        name text primary key,
        began real not null,
        number integer not null
    ) without rowid;
"""
"""As a file has it; statements, separated by semicolons."""

_ACCOUNT = (
    "accounts.id as account, accounts.base_url, accounts.key, accounts.timezone, accounts.made as account_made, "
    "accounts.used as account_used, accounts.refused"
)
_GRANT = (
    "grants.id, grants.account, grants.host, grants.name, grants.place, grants.scopes, grants.resource, grants.made, "
    "grants.used"
)


class Row(Protocol):
    def __getitem__(self, name: str, /) -> Any: ...


class Rows(Protocol):
    @property
    def rowcount(self) -> int:
        """How many rows a statement has changed."""
        ...

    def fetchone(self) -> Row | None: ...

    def __iter__(self) -> Iterator[Row]: ...


class Connection(Protocol):
    def execute(self, statement: str, values: Sequence[object] = (), /) -> Rows:
        """Run a statement, with a `?` for each of the values."""
        ...


class Tables(Protocol):
    """The database in which the tables are: a file of ours, or one that several machines share."""

    def reading(self) -> AbstractContextManager[Connection]: ...

    def writing(self, *, durable: bool = False) -> AbstractContextManager[Connection]:
        """One transaction: committed on a clean exit, rolled back on an exception.

        A power cut may lose what was not to be `durable`.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class KnownAccount:
    """Who signed in. `key` is encrypted; `refused` is since when Omi does not take it any more."""

    id: str
    base_url: str
    key: str
    timezone: str
    made: datetime
    used: datetime
    refused: datetime | None


@dataclass(frozen=True)
class Grant:
    """What a person allowed a host. `place` is where its redirects lead; `used` None: it has not fetched its tokens."""

    id: str
    account: str
    host: str
    name: str
    place: str
    scopes: tuple[str, ...]
    resource: str
    made: datetime
    used: datetime | None


@dataclass(frozen=True)
class Code:
    """An authorization code that was not used yet."""

    grant: Grant
    challenge: str
    redirect_uri: str
    explicit: bool
    expires: datetime


@dataclass(frozen=True)
class Token:
    grant: Grant
    scopes: tuple[str, ...]
    expires: datetime


class Store:
    """The tables. Thread-safe; each method is one short transaction."""

    def __init__(self, tables: Tables, *, most_unused: int = MOST_UNUSED) -> None:
        self._tables = tables
        self._most_unused = most_unused
        self._swept = datetime.min.replace(tzinfo=UTC)

    def close(self) -> None:
        self._tables.close()

    # Hosts that registered, and those whose document somebody signed in with.

    def add_host(self, host_id: str, metadata: str, secret: bytes | None, now: datetime) -> None:
        self._sweep(now)
        with self._tables.writing() as connection:
            connection.execute(
                "insert into hosts(id, secret, made, metadata) values (?, ?, ?, ?)",
                (host_id, secret, _s(now), metadata),
            )
        beyond = self._ids(
            "select id from hosts where signed_in is null order by made desc, id desc limit ? offset ?",
            SWEPT_AT_ONCE,
            self._most_unused,
        )
        self._each(beyond, "delete from hosts where id = ? and signed_in is null")

    def host(self, host_id: str) -> tuple[str, bytes | None] | None:
        """Its metadata and the hash of its secret."""
        row = self._one("select metadata, secret from hosts where id = ?", host_id)
        return None if row is None else (row["metadata"], row["secret"])

    # Strangers.

    def attempt(self, limits: Sequence[tuple[str, int]], span: timedelta, now: datetime) -> float | None:
        """Count an attempt under each of these names, of which the first is in every attempt; or the seconds to wait
        where as many were made in `span` as its limit says."""
        with self._tables.reading() as connection:
            wait = _wait(connection, limits, span, now)
        if wait is not None:
            return wait
        self._sweep(now)
        since = _s(now - span)
        with self._tables.writing() as connection:
            for name, _ in limits:
                connection.execute(
                    "insert into attempts(name, began, number) values (?, ?, 0) on conflict(name) do update set "
                    "number = case when attempts.began > ? then attempts.number else 0 end, "
                    "began = case when attempts.began > ? then attempts.began else excluded.began end",
                    (name, _s(now), since, since),
                )
            wait = _wait(connection, limits, span, now)
            if wait is None:
                for name, _ in limits:
                    connection.execute("update attempts set number = number + 1 where name = ?", (name,))
        return wait

    # Accounts.

    def account(self, account_id: str) -> KnownAccount | None:
        row = self._one(f"select {_ACCOUNT} from accounts where id = ?", account_id)
        return None if row is None else _account(row)

    def account_marked(self, marks: Iterable[bytes]) -> KnownAccount | None:
        """The account of the key with one of these marks."""
        for mark in marks:
            if row := self._one(f"select {_ACCOUNT} from accounts where mark = ?", mark):
                return _account(row)
        return None

    def accounts(self) -> list[KnownAccount]:
        with self._tables.reading() as connection:
            return [_account(row) for row in connection.execute(f"select {_ACCOUNT} from accounts order by made, id")]

    def keep_account(
        self, account_id: str | None, mark: bytes, base_url: str, key: str, timezone: str, now: datetime
    ) -> str:
        """The id of the account, new where it is None, with this key, which Omi has just taken."""
        with self._tables.writing(durable=True) as connection:
            if account_id is not None:
                kept = connection.execute(
                    "update accounts set mark = ?, base_url = ?, key = ?, timezone = ?, used = ?, refused = null "
                    "where id = ?",
                    (mark, base_url, key, timezone, _s(now), account_id),
                )
                if kept.rowcount:
                    return account_id
            # Someone else may sign in with the same key at the same moment: theirs and this are one account.
            connection.execute(
                "insert into accounts(id, mark, base_url, key, timezone, made, used) values (?, ?, ?, ?, ?, ?, ?) "
                "on conflict(mark) do update set base_url = excluded.base_url, key = excluded.key, "
                "timezone = excluded.timezone, used = excluded.used, refused = null",
                (str(uuid4()), mark, base_url, key, timezone, _s(now), _s(now)),
            )
            (row,) = connection.execute("select id from accounts where mark = ?", (mark,))
            return str(row["id"])

    def set_timezone(self, account_id: str, timezone: str) -> None:
        with self._tables.writing(durable=True) as connection:
            connection.execute("update accounts set timezone = ? where id = ?", (timezone, account_id))

    def refuse_account(self, account_id: str, key: str, now: datetime) -> None:
        """Omi no longer takes this key, as it is kept; another one is not meant."""
        with self._tables.writing() as connection:
            connection.execute(
                "update accounts set refused = ? where id = ? and key = ? and refused is null",
                (_s(now), account_id, key),
            )

    def replace_keys(self, replaced: Iterable[tuple[str, str, bytes, str]]) -> None:
        """Of each: the account, its key as it was kept, and the mark and the key it gets."""
        with self._tables.writing(durable=True) as connection:
            for account_id, before, mark, key in replaced:
                connection.execute(
                    "update accounts set mark = ?, key = ? where id = ? and key = ?", (mark, key, account_id, before)
                )

    def forget_account(self, account_id: str) -> bool:
        """Delete the account with all it granted. False where there is none."""
        with self._tables.writing(durable=True) as connection:
            return connection.execute("delete from accounts where id = ?", (account_id,)).rowcount > 0

    # Grants, their codes and their tokens.

    def grants(self, account_id: str) -> list[Grant]:
        """Those that hosts use, the newest first."""
        with self._tables.reading() as connection:
            rows = connection.execute(
                f"select {_GRANT} from grants where account = ? and used is not null order by made desc, id",
                (account_id,),
            )
            return [_grant(row) for row in rows]

    def add_grant(self, grant: Grant, code: bytes, details: Code, metadata: str, now: datetime) -> None:
        """A grant and the code with which its host fetches tokens; what is known of the host stays from here on.

        Of an account that was forgotten meanwhile nothing is kept.
        """
        self._sweep(now)
        with self._tables.writing(durable=True) as connection:
            connection.execute(
                "insert into hosts(id, made, signed_in, metadata) values (?, ?, ?, ?) "
                "on conflict(id) do update set metadata = excluded.metadata, signed_in = excluded.signed_in",
                (grant.host, _s(now), _s(now), metadata),
            )
            if not _used(connection, grant.account, now):
                return
            connection.execute(
                "insert into grants(id, account, host, name, place, scopes, resource, made) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    grant.id,
                    grant.account,
                    grant.host,
                    grant.name,
                    grant.place,
                    " ".join(grant.scopes),
                    grant.resource,
                    _s(now),
                ),
            )
            connection.execute(
                "delete from grants where account = ? and id not in "
                "(select id from grants where account = ? order by coalesce(used, made) desc, id limit ?)",
                (grant.account, grant.account, MOST_GRANTS),
            )
            connection.execute(
                "insert into codes(hash, grant_id, challenge, redirect_uri, explicit, expires) "
                "values (?, ?, ?, ?, ?, ?)",
                (
                    code,
                    grant.id,
                    details.challenge,
                    details.redirect_uri,
                    details.explicit,
                    _s(details.expires),
                ),
            )

    def code(self, hashed: bytes, now: datetime) -> Code | None:
        """The code, if it can be used. One that was used before ends what came of it: somebody has copied it."""
        with self._tables.reading() as connection:
            row = _code_row(connection, hashed, now)
        if row is None:
            return None
        if row["spent"] is not None:
            self.end_grant(row["id"])
            return None
        return Code(_grant(row), row["challenge"], row["redirect_uri"], bool(row["explicit"]), _d(row["expires"]))

    def use_code(self, hashed: bytes, access: bytes, refresh: bytes, now: datetime) -> Grant | None:
        """Take tokens for a code; None when it cannot be used, as in `code`."""
        with self._tables.writing(durable=True) as connection:
            row = _code_row(connection, hashed, now)
            if row is None or not _touch(connection, row, now):
                return None
            spent = connection.execute(
                "update codes set spent = ?, expires = ? where hash = ? and spent is null",
                (_s(now), _s(now + SPENT_LIFE), hashed),
            )
            if not spent.rowcount:
                connection.execute("delete from grants where id = ?", (row["id"],))
                return None
            grant = _grant(row)
            _issue(connection, grant, access, refresh, grant.scopes, now)
            return grant

    def access(self, hashed: bytes, now: datetime) -> tuple[Token, KnownAccount] | None:
        """The access token, if it is in date, and whose it is, in one statement. Notes the use."""
        row = self._one(
            f"select {_GRANT}, {_ACCOUNT}, allows, expires from tokens join grants on grants.id = grant_id "
            "join accounts on accounts.id = grants.account where hash = ? and not refreshes and expires >= ?",
            hashed,
            _s(now),
        )
        if row is None:
            return None
        if row["used"] is None or _s(now) - row["used"] >= TOUCH.total_seconds():
            with self._tables.writing() as connection:
                _touch(connection, row, now)
        return _token(row), _account(row)

    def refresh(self, hashed: bytes, now: datetime) -> Token | None:
        """The refresh token, if it may be used. One that was replaced longer ago ends its grant: it was stolen."""
        with self._tables.reading() as connection:
            row = _refresh_row(connection, hashed, now)
        if row is None:
            return None
        if _stolen(row, now):
            self.end_grant(row["id"])
            return None
        return _token(row)

    def use_refresh(
        self, hashed: bytes, scopes: tuple[str, ...], access: bytes, refresh: bytes, now: datetime
    ) -> Grant | None:
        """Take new tokens for a refresh token; None when it may not be used, as in `refresh`."""
        with self._tables.writing(durable=True) as connection:
            row = _refresh_row(connection, hashed, now)
            if row is None:
                return None
            connection.execute(
                "update hosts set signed_in = ? where id = ? and signed_in < ?",
                (_s(now), row["host"], _s(now - KNOWN)),
            )
            if not _touch(connection, row, now):
                return None
            if _stolen(row, now):
                connection.execute("delete from grants where id = ?", (row["id"],))
                return None
            connection.execute("update tokens set replaced = ? where hash = ? and replaced is null", (_s(now), hashed))
            grant = _grant(row)
            _issue(connection, grant, access, refresh, scopes, now)
            return grant

    def end_grant(self, grant_id: str, account_id: str | None = None) -> bool:
        """End a grant, of that account where one is given, with all its tokens. False where there is none."""
        with self._tables.writing(durable=True) as connection:
            return (
                connection.execute(
                    "delete from grants where id = ? and account = coalesce(?, account)", (grant_id, account_id)
                ).rowcount
                > 0
            )

    def grant_of(self, hashed: bytes) -> Grant | None:
        """Whose token this is, in date or not."""
        row = self._one(f"select {_GRANT} from tokens join grants on grants.id = grant_id where hash = ?", hashed)
        return None if row is None else _grant(row)

    def _sweep(self, now: datetime) -> None:
        """Delete what is out of date, with all that hangs on it."""
        if now - self._swept < SWEEP:
            return
        self._swept = now
        run_out = self._ids(
            "select grant_id as id from tokens where refreshes and expires < ? and not exists (select 1 from tokens as "
            "later where later.grant_id = tokens.grant_id and later.refreshes and later.expires >= ?) limit ?",
            _s(now),
            _s(now),
            SWEPT_AT_ONCE,
        )
        never_fetched = self._ids(
            "select id from grants where used is null and made < ? limit ?", _s(now - CODE_LIFE), SWEPT_AT_ONCE
        )
        # Unless it is being used at this moment.
        self._each(
            [*run_out, *never_fetched],
            "delete from grants where id = ? and coalesce(used, made) < ?",
            _s(now - CODE_LIFE),
        )
        unused = self._ids(
            "select id from hosts where signed_in is null and made < ? limit ?", _s(now - UNUSED_LIFE), SWEPT_AT_ONCE
        )
        self._each(unused, "delete from hosts where id = ? and signed_in is null")
        left = self._ids(
            "select id from hosts where signed_in < ? and not exists (select 1 from grants where host = hosts.id) "
            "limit ?",
            _s(now - REFRESH_LIFE),
            SWEPT_AT_ONCE,
        )
        self._each(left, "delete from hosts where id = ? and signed_in < ?", _s(now - REFRESH_LIFE))
        counted = self._ids("select name as id from attempts where began < ? limit ?", _s(now - COUNTED), SWEPT_AT_ONCE)
        self._each(counted, "delete from attempts where name = ? and began < ?", _s(now - COUNTED))

    def _ids(self, statement: str, *values: object) -> list[str]:
        with self._tables.reading() as connection:
            return [row["id"] for row in connection.execute(statement, values)]

    def _each(self, ids: Iterable[str], statement: str, *values: object) -> None:
        """Run the statement for each, one transaction each: nobody waits for many, nor in another's order."""
        for each in ids:
            with self._tables.writing() as connection:
                connection.execute(statement, (each, *values))

    def _one(self, statement: str, *values: object) -> Row | None:
        with self._tables.reading() as connection:
            return connection.execute(statement, values).fetchone()


def _wait(connection: Connection, limits: Sequence[tuple[str, int]], span: timedelta, now: datetime) -> float | None:
    """Seconds until no limit is used up; None for now."""
    ends = []
    for name, most in limits:
        row = connection.execute(
            "select began from attempts where name = ? and began > ? and number >= ?", (name, _s(now - span), most)
        ).fetchone()
        if row is not None:
            ends.append(row["began"] + span.total_seconds() - _s(now))
    return max(ends, default=None)


def _code_row(connection: Connection, hashed: bytes, now: datetime) -> Row | None:
    return connection.execute(
        f"select {_GRANT}, challenge, redirect_uri, explicit, expires, spent from codes "
        "join grants on grants.id = grant_id where hash = ? and expires >= ?",
        (hashed, _s(now)),
    ).fetchone()


def _refresh_row(connection: Connection, hashed: bytes, now: datetime) -> Row | None:
    return connection.execute(
        f"select {_GRANT}, allows, expires, replaced from tokens join grants on grants.id = grant_id "
        "where hash = ? and refreshes and expires >= ?",
        (hashed, _s(now)),
    ).fetchone()


def _stolen(token: Row, now: datetime) -> bool:
    """Whether it was replaced so long ago that its host cannot mean it any more."""
    return token["replaced"] is not None and _s(now) - token["replaced"] > GRACE.total_seconds()


def _issue(
    connection: Connection, grant: Grant, access: bytes, refresh: bytes, scopes: tuple[str, ...], now: datetime
) -> None:
    """Keep a pair of tokens; `scopes` are the access token's."""
    for hashed, refreshes, allows, life in (
        (access, False, scopes, ACCESS_LIFE),
        (refresh, True, grant.scopes, REFRESH_LIFE),
    ):
        connection.execute(
            "insert into tokens(hash, grant_id, refreshes, allows, expires) values (?, ?, ?, ?, ?)",
            (hashed, grant.id, refreshes, " ".join(allows), _s(now + life)),
        )
    connection.execute("delete from tokens where grant_id = ? and expires < ?", (grant.id, _s(now)))
    connection.execute("delete from codes where grant_id = ? and expires < ?", (grant.id, _s(now)))
    connection.execute(
        "delete from tokens where grant_id = ? and replaced is not null and hash not in (select hash from tokens "
        "where grant_id = ? and replaced is not null order by replaced desc limit ?)",
        (grant.id, grant.id, MOST_REPLACED),
    )


def _used(connection: Connection, account_id: str, now: datetime) -> bool:
    """Note the use of an account, and have others wait who change it. False where it is gone."""
    return connection.execute("update accounts set used = ? where id = ?", (_s(now), account_id)).rowcount > 0


def _touch(connection: Connection, grant: Row, now: datetime) -> bool:
    """Note the use of a grant, and have others wait who change it, or end it. False where it is gone."""
    noted = _used(connection, grant["account"], now) and connection.execute(
        "update grants set used = ? where id = ?", (_s(now), grant["id"])
    )
    return bool(noted and noted.rowcount)


def _account(row: Row) -> KnownAccount:
    return KnownAccount(
        id=row["account"],
        base_url=row["base_url"],
        key=row["key"],
        timezone=row["timezone"],
        made=_d(row["account_made"]),
        used=_d(row["account_used"]),
        refused=None if row["refused"] is None else _d(row["refused"]),
    )


def _grant(row: Row) -> Grant:
    return Grant(
        id=row["id"],
        account=row["account"],
        host=row["host"],
        name=row["name"],
        place=row["place"],
        scopes=tuple(row["scopes"].split()),
        resource=row["resource"],
        made=_d(row["made"]),
        used=None if row["used"] is None else _d(row["used"]),
    )


def _token(row: Row) -> Token:
    return Token(_grant(row), tuple(row["allows"].split()), _d(row["expires"]))


def _s(moment: datetime) -> float:
    return moment.timestamp()


def _d(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
