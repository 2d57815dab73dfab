"""Transactions in PostgreSQL that end in time: bounded connections, bounded waiting, one error for all that is away.

A pool connects in the background. A connection that died while idle is noticed when its transaction begins, and another
takes its place; what is lost later is `Away`, for nothing of it was kept.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg import conninfo, sql
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from omi_mcp import measures
from omi_mcp.clock import Clock
from omi_mcp.database import Away
from omi_mcp.settings import NO_DATABASE_URL, SettingsError

MOST = 12
"""Connections of one process. PostgreSQL commonly allows 100 in all."""

PATIENCE_SECONDS = 5.0
"""How long a transaction waits for a connection."""

BRIEF_SECONDS = 0.5
"""And how long while the last one got none: the threads are for others too."""

RECONNECT_SECONDS = 0.5
"""How long the pool tries to connect until it is asked anew: it doubles its pauses, from a second on."""

STATEMENT_SECONDS = 10.0
LOCK_SECONDS = 5.0
IDLE_SECONDS = 30.0
"""How long a transaction may hold its locks while nothing is asked: its process may be paused."""

ANSWER_SECONDS = 12.0
"""After which a server is given up that keeps none of its own limits."""

SETTLE_SECONDS = 20.0
"""How long it is asked what became of a transaction whose connection was lost in its commit."""

EVERY = "*"
"""In place of an account: its transaction sees the queue of all accounts, and of their documents a digest each."""

DRIFT = 1e-4
"""How much two clocks may part, in seconds per second."""

_DEFAULTS: dict[str, str | int] = {
    "application_name": "omi-mcp",
    "client_encoding": "UTF8",
    "connect_timeout": 4,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "target_session_attrs": "read-write",
}
"""Where the URL says nothing else. A standby is no server to connect to: after a failover it may still answer."""

READ_ONLY = "25006"
"""The server is a standby, or lets nobody write because its disk is full."""

_AWAY = frozenset({READ_ONLY, "25P03", "25P04"})
"""Beside psycopg's operational errors; the others: the transaction took longer than it may."""

_NOTE = """
    insert into connections (id, commits)
    select %(id)s, %(commits)s where pg_current_xact_id_if_assigned() is not null
    on conflict (id) do update set commits = excluded.commits, used = now()
    returning pg_current_xact_id()::text as transaction
"""
"""A transaction that has written notes in itself which one of its connection it is.

Whether that is there afterwards tells what became of it. `pg_xact_status` would not: a transaction that is lost in a
crash may leave its id to another.
"""

_SWEEP = """
    delete from connections where id in (
        select id from connections where used < now() - interval '1 day' for update skip locked
    )
"""

_END = "select pg_terminate_backend(pid) from pg_stat_activity where backend_xid = %s::xid8::xid"

_KEPT = "select 1 from connections where id = %s and commits >= %s"

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class _Late(Exception):
    """The server keeps none of its time limits."""


class _InDoubt(Exception):
    """The connection was lost in a commit: the transaction's id, and what it would have left in `connections`."""

    def __init__(self, transaction_id: str, connection_id: UUID, commits: int) -> None:
        super().__init__(transaction_id)
        self.transaction_id = transaction_id
        self.connection_id = connection_id
        self.commits = commits


class Connection(psycopg.Connection[DictRow]):
    """A connection that gives up on a server that is reached and says nothing, as one does that hangs."""

    answer_seconds: float | None = ANSWER_SECONDS
    """None: as long as it takes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.id = uuid4()
        self.commits = 0
        """Of transactions that wrote, with one that is under way."""

    def wait(self, gen: PQGen[Result], *arguments: Any, **options: Any) -> Result:
        try:
            return super().wait(_bounded(gen, self.answer_seconds), *arguments, **options)
        except _Late:
            self.close()
            raise psycopg.OperationalError("the server does not answer") from None


def _bounded(gen: PQGen[Result], seconds: float | None) -> PQGen[Result]:
    """`gen`, ended by `_Late` after `seconds`. Whoever drives it looks in now and then while nothing comes."""
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        ready = yield next(gen)
        while True:
            wanted = gen.send(ready)
            if deadline is not None and time.monotonic() > deadline:
                raise _Late
            ready = yield wanted
    except StopIteration as end:
        result: Result = end.value
        return result


def parameters(url: str) -> dict[str, Any]:
    """What connects to `url`. Raises SettingsError, without a word of what is in it."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        given = {}
    # Of a password that is not escaped, a piece would be taken for one of these, and errors would show it.
    misread = any("@" in str(given.get(name, "")) for name in ("host", "hostaddr", "dbname"))
    misread |= re.fullmatch(r"[0-9,]*", str(given.get("port", ""))) is None
    if not given or misread:
        raise SettingsError(NO_DATABASE_URL)
    return {**_DEFAULTS, **given}


def place(url: str) -> str:
    """Where the database is, without user and password. Raises SettingsError."""
    given = parameters(url)
    host = given.get("host") or given.get("hostaddr") or "this computer"
    port = f" port {given['port']}" if given.get("port") else ""
    return f"{given.get('dbname') or given.get('user') or 'of the same name as the user'} at {host}{port}"


def is_away(error: psycopg.Error) -> bool:
    """Whether `error` says that the database is not there or has no time, and not that something is wrong here."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or error.sqlstate in _AWAY


class Measured(NamedTuple):
    """That the database's clock was at `theirs` when ours, the monotonic one, was at `at`, `within` so many seconds."""

    at: float
    theirs: datetime
    within: float

    def now(self) -> datetime:
        return self.theirs + timedelta(seconds=time.monotonic() - self.at)


class Postgres:
    """The database at `url`, with at most so many connections. Nothing is opened before the first transaction.

    Raises:
        SettingsError: `url` is none.
    """

    def __init__(self, url: str, *, most: int = MOST) -> None:
        self._most = most
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo.make_conninfo(**parameters(url)),
            connection_class=Connection,
            # Not "no transactions": they are begun in the same message that says whose they are. And nothing is
            # prepared: a pooler may lead to a session in which the same name means a statement of somebody else.
            kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": None},
            min_size=1,
            max_size=most,
            timeout=PATIENCE_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            name="omi-mcp",
            open=False,
        )
        self._answers = True
        self._measured: Measured | None = None

    @contextmanager
    def transaction(self, account: str | None = None, *, read_only: bool = False) -> Iterator[Connection]:
        """One transaction, committed on a clean exit, rolled back on an exception or by `connection.rollback()`, after
        which nothing may follow. `read_only` saves a round trip.

        With `account`, row-level security shows no other account's rows; without, none of any account; with `EVERY`,
        the queue. A connection lost in the middle of the commit is resolved: another one tells whether it was kept.

        Raises:
            Away: nothing of it is kept. Only where the database comes not back within `SETTLE_SECONDS` after a
                commit was sent can that not be known.
        """
        with measures.timed("transaction"):
            connection = self._begun(account or "", read_only=read_only)
            try:
                try:
                    yield connection
                    self._commit(connection, read_only=read_only)
                finally:
                    self._give_back(connection)
            except _InDoubt as doubt:
                if not self._was_committed(doubt):
                    raise _away(psycopg.OperationalError("the connection was lost in the commit")) from doubt
                log.info("a connection was lost in a commit that was kept")
            except psycopg.Error as error:
                # That a transaction which said it only reads also writes is an error of ours.
                if not is_away(error) or (read_only and error.sqlstate == READ_ONLY):
                    raise
                if error.sqlstate == READ_ONLY:
                    self._pool.drain()
                raise _away(error) from error

    def clock(self, clock: Clock) -> Clock:
        """The database's clock, as measured with every transaction; `clock` until the first one, and for sleeping.

        Between two measures it goes by the monotonic clock, so that no step of the local one is felt.
        """
        return _SharedClock(self, clock)

    def close(self) -> None:
        self._pool.close()

    def now(self) -> datetime | None:
        """What the database's clock shows; None before the first transaction."""
        return None if self._measured is None else self._measured.now()

    def _begun(self, account: str, *, read_only: bool) -> Connection:
        """A connection with a transaction on it. Of those that are idle each may have died."""
        deadline = time.monotonic() + (PATIENCE_SECONDS if self._answers else BRIEF_SECONDS)
        for left in reversed(range(self._most + 1)):
            try:
                self._pool.open()
                connection = self._waited_for(deadline)
            except psycopg.OperationalError as error:
                self._answers = False
                raise _away(error) from error
            try:
                self._begin(connection, account, read_only=read_only)
            except psycopg.Error as error:
                connection.close()
                self._pool.putconn(connection)
                if not is_away(error):
                    raise
                if not left or time.monotonic() > deadline:
                    self._answers = False
                    raise _away(error) from error
            except BaseException:
                connection.close()
                self._pool.putconn(connection)
                raise
            else:
                self._answers = True
                return connection
        raise AssertionError("the last connection was given up or taken")

    def _waited_for(self, deadline: float) -> Connection:
        """Raises PoolTimeout."""
        while True:
            left = deadline - time.monotonic()
            try:
                return self._pool.getconn(max(0.01, min(RECONNECT_SECONDS, left)))
            except PoolTimeout:
                if left <= RECONNECT_SECONDS:
                    raise

    def _begin(self, connection: Connection, account: str, *, read_only: bool) -> None:
        settings = {
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{LOCK_SECONDS}s",
            "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
            "timezone": "UTC",
            "omi_mcp.account": account,
        }
        set_all = ", ".join(f"set_config('{name}', {sql.quote(value)}, true)" for name, value in settings.items())
        begin = f"begin isolation level read committed{' read only' if read_only else ''}; "
        begin += f"select {set_all}, clock_timestamp() as now"
        sent = time.monotonic()
        cursor = connection.execute(begin.encode())
        took = time.monotonic() - sent
        cursor.nextset()
        row = cursor.fetchone()
        assert row is not None
        self._measure(Measured(sent + took / 2, row["now"], took / 2))

    def _measure(self, new: Measured) -> None:
        """Keep the measure that knows more, unless the clocks have parted: another server, or another time."""
        old = self._measured
        if old is not None:
            within = old.within + DRIFT * (new.at - old.at)
            apart = abs((new.theirs - old.theirs).total_seconds() - (new.at - old.at))
            if new.within > within and apart <= within + new.within:
                return
        self._measured = new

    def _commit(self, connection: Connection, *, read_only: bool) -> None:
        if read_only or connection.info.transaction_status == TransactionStatus.IDLE:
            connection.commit()
            return
        connection.commits += 1
        row = connection.execute(_NOTE, {"id": connection.id, "commits": connection.commits}).fetchone()
        if row is not None and connection.commits == 1:
            connection.execute(_SWEEP)
        try:
            connection.commit()
        except psycopg.Error as error:
            if not connection.closed or row is None:
                raise
            raise _InDoubt(row["transaction"], connection.id, connection.commits) from error

    def _was_committed(self, doubt: _InDoubt) -> bool:
        """What became of a transaction whose end was not heard. One that hangs in the server is ended."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            with suppress(Away), self.transaction(read_only=True) as connection:
                if not connection.execute(_END, [doubt.transaction_id]).fetchall():
                    return connection.execute(_KEPT, [doubt.connection_id, doubt.commits]).fetchone() is not None
            time.sleep(0.1)
        log.warning("it could not be found out whether a transaction was kept: the database stayed away")
        return False

    def _give_back(self, connection: Connection) -> None:
        status = connection.info.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                connection.rollback()
            except psycopg.Error:
                connection.close()
        elif status != TransactionStatus.IDLE:
            connection.close()
        self._pool.putconn(connection)


class _SharedClock:
    """The database's clock, and `clock` as long as that was never asked."""

    def __init__(self, postgres: Postgres, clock: Clock) -> None:
        self._postgres = postgres
        self._clock = clock

    def now(self) -> datetime:
        return self._postgres.now() or self._clock.now()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


def _away(error: psycopg.Error) -> Away:
    log.warning("the database is away: %s", type(error).__name__)
    return Away(type(error).__name__)
