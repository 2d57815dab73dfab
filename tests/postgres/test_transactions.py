"""A transaction is kept or it is not, its end is known, and nothing waits for long: a real server, and its faults."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal

import psycopg
import pytest

from omi_mcp.clock import SystemClock
from omi_mcp.database import Away
from omi_mcp.postgres.connection import Connection, Postgres
from omi_mcp.settings import SettingsError
from tests.postgres_kit import ESCAPED, PASSWORD, PostgresServer, Wire, add_account


@pytest.fixture
def postgres(database_url: str) -> Iterator[Postgres]:
    with closing(Postgres(database_url)) as opened:
        yield opened


def run(postgres: Postgres, *steps: str | Callable[[Connection], object]) -> None:
    """One transaction of these steps."""
    with postgres.transaction() as connection:
        for step in steps:
            if isinstance(step, str):
                connection.execute(step.encode())
            else:
                step(connection)


def add_host(postgres: Postgres, name: str) -> None:
    run(postgres, f"insert into hosts values ('{name}', null, 0, null, '')")


def hosts(postgres: Postgres) -> set[str]:
    with postgres.transaction(read_only=True) as connection:
        return {row["id"] for row in connection.execute("select id from hosts")}


@contextmanager
def through(server: PostgresServer, url: str) -> Iterator[tuple[Postgres, Wire]]:
    with closing(Wire(server.port)) as wire, closing(Postgres(wire.between(url), most=1)) as postgres:
        yield postgres, wire


def test_what_is_left_with_an_error_was_never_there(postgres: Postgres) -> None:
    with pytest.raises(ZeroDivisionError):
        run(postgres, "insert into hosts values ('lost', null, 0, null, '')", lambda _: 1 / 0)
    run(
        postgres, "insert into hosts values ('taken back', null, 0, null, '')", lambda connection: connection.rollback()
    )
    with pytest.raises(psycopg.errors.UndefinedTable), postgres.transaction() as connection:
        connection.execute("select * from nothing")
    add_host(postgres, "kept")
    assert hosts(postgres) == {"kept"}
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), postgres.transaction(read_only=True) as connection:
        connection.execute("delete from hosts")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_lost_in_a_commit_leaves_no_doubt(
    postgres_server: PostgresServer, database_url: str, when: Literal["before", "after"]
) -> None:
    """The server has heard of the end or not; either way what is said of it is so, and its locks are not held on.

    There is one connection in all: what became of it is asked without it.
    """
    with through(postgres_server, database_url) as (postgres, wire):
        add_host(postgres, "first")
        wire.armed = when
        if when == "after":
            add_host(postgres, "second")
        else:
            with pytest.raises(Away):
                add_host(postgres, "second")
        assert wire.armed is None
        assert hosts(postgres) == {"first"} | ({"second"} if when == "after" else set())
        with postgres.transaction() as connection:
            connection.execute("lock table hosts in access exclusive mode nowait")


def test_connections_that_died_while_idle_are_not_felt(postgres_server: PostgresServer, postgres: Postgres) -> None:
    with postgres.transaction(), postgres.transaction(), postgres.transaction():
        pass
    postgres_server.restart("immediate")
    add_host(postgres, "after")
    assert hosts(postgres) == {"after"}


def test_a_server_that_is_gone_hangs_or_refuses_is_away_and_then_there_again(
    postgres_server: PostgresServer, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.postgres.connection.Connection.answer_seconds", 0.5)
    monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 0.5)
    add_host(postgres, "first")
    with pytest.raises(Away):
        run(postgres, lambda _: postgres_server.pause(), "insert into hosts values ('hung', null, 0, null, '')")
    postgres_server.resume()
    with pytest.raises(Away):
        run(
            postgres,
            "insert into hosts values ('cut', null, 0, null, '')",
            lambda _: postgres_server.stop("immediate"),
            "select 1",
        )
    with pytest.raises(Away):
        hosts(postgres)
    postgres_server.start()
    monkeypatch.undo()
    for attempt in range(20):
        try:
            assert hosts(postgres) == {"first"}
        except Away:
            assert attempt < 19
        else:
            return


def test_who_waits_for_a_lock_or_a_turn_is_sent_away_in_time(
    postgres: Postgres, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_host(postgres, "first")
    hold = "select * from hosts for update"
    monkeypatch.setattr("omi_mcp.postgres.connection.LOCK_SECONDS", 0.1)
    with postgres.transaction() as holder:
        holder.execute(hold)
        with pytest.raises(Away, match="LockNotAvailable"):
            run(postgres, "update hosts set made = 1")

    def until_it_is_ended(holder: Connection) -> None:
        backend = holder.info.backend_pid
        while holder_is_there(database_url, backend):
            pass

    monkeypatch.setattr("omi_mcp.postgres.connection.IDLE_SECONDS", 0.1)
    with pytest.raises(Away, match=r"IdleInTransaction|AdminShutdown|Operational"):
        run(postgres, hold, until_it_is_ended, "update hosts set made = 2")
    monkeypatch.setattr("omi_mcp.postgres.connection.IDLE_SECONDS", 30)
    with closing(Postgres(database_url, most=1)) as narrow, narrow.transaction():
        monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 0.1)
        with pytest.raises(Away, match="PoolTimeout"), narrow.transaction():
            pass


def holder_is_there(url: str, backend: int) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select 1 from pg_stat_activity where pid = %s", [backend]).fetchone() is not None


@pytest.mark.parametrize(
    ("code", "away"),
    [
        ("53100", True),  # the disk is full
        ("53200", True),  # out of memory
        ("53300", True),  # too many connections
        ("57P01", True),  # an administrator shuts down
        ("57014", True),  # a statement took too long
        ("40001", True),  # serialization failure
        ("40P01", True),  # deadlock
        ("58030", True),  # the disk is broken
        ("23505", False),  # a row that is there already
        ("22012", False),  # division by zero
        ("42501", False),  # the role may not
    ],
)
def test_what_the_database_cannot_do_now_is_away_and_what_is_wrong_is_not(
    postgres: Postgres, code: str, away: bool
) -> None:
    add_host(postgres, "first")
    with pytest.raises(Away if away else psycopg.Error):
        run(postgres, "delete from hosts", f"do $$ begin raise exception using errcode = '{code}'; end $$")
    assert hosts(postgres) == {"first"}


def test_a_database_that_only_reads_now_is_away(
    postgres_server: PostgresServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 0.5)
    with closing(Postgres(database_url)) as postgres:
        add_host(postgres, "first")
        with pytest.raises(Away, match="ReadOnly"):
            run(postgres, "set transaction read only", "delete from hosts")
    name = database_url.rpartition("/")[2]
    postgres_server.ask(f"alter database {name} set default_transaction_read_only = on")
    with closing(Postgres(database_url)) as postgres, pytest.raises(Away), postgres.transaction():
        pass


def test_who_is_forgotten_leaves_nothing_and_nobody_can_put_it_back(postgres: Postgres, database_url: str) -> None:
    add_account(database_url, "a")
    with postgres.transaction("a") as connection:
        connection.execute("insert into libraries (account) values ('a')")
        connection.execute("insert into leases values ('a', 'copying', 'me', now())")
        connection.execute("insert into documents values ('a', 'conversations', '1', 1, 'words')")
    with postgres.transaction() as connection:
        connection.execute("delete from accounts where id = 'a'")
    with postgres.transaction("a") as connection:
        for table in ("libraries", "leases", "documents"):
            assert connection.execute(f"select 1 from {table}".encode()).fetchall() == []
    with pytest.raises(psycopg.errors.ForeignKeyViolation), postgres.transaction("a") as connection:
        connection.execute("insert into libraries (account) values ('a')")


class Skewed(SystemClock):
    """A clock that is wrong by so much."""

    error = timedelta(minutes=5)

    def now(self) -> datetime:
        return super().now() + self.error


def test_a_clock_that_is_five_minutes_off_goes_by_the_databases(postgres: Postgres) -> None:
    local = Skewed()
    clock = postgres.clock(local)
    assert abs(clock.now() - local.now()) < timedelta(minutes=1)
    with postgres.transaction(read_only=True) as connection:
        before = clock.now()
        row = connection.execute("select clock_timestamp() as now").fetchone()
        assert row is not None
        after = clock.now()
    within = timedelta(seconds=1)
    assert before - within < row["now"] < after + within
    assert clock.now().tzinfo is UTC or clock.now().utcoffset() == timedelta(0)
    local.error = -timedelta(hours=3)  # somebody sets it, meanwhile
    assert after <= clock.now() < after + timedelta(minutes=1)


def test_a_password_is_in_no_word_that_is_said(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 0.5)
    caplog.set_level(logging.DEBUG)
    said = []
    for wrong in (
        database_url.replace(ESCAPED, PASSWORD),
        database_url.replace(ESCAPED, "se/cret"),
        database_url.replace(ESCAPED, "se@cret"),
        database_url.replace("postgresql:", "mysql:"),
        f"{database_url}?colour=red",
    ):
        with pytest.raises(SettingsError, match="OMI_MCP_DATABASE_URL") as refused:
            Postgres(wrong)
        said.append(str(refused.value))
    with closing(Postgres(database_url.replace(ESCAPED, "hidden"))) as postgres:
        said.append(repr(postgres))
        with pytest.raises(Away) as away, postgres.transaction():
            pass
        said.append(repr(away.value))
    everything = "\n".join((*said, caplog.text))
    assert "password authentication failed" in everything
    for secret in (PASSWORD, ESCAPED, "se/cret", "cret", "hidden", "100%"):
        assert secret not in everything


def test_a_process_that_uses_sqlite_does_not_pay_for_it() -> None:
    """Not a module of psycopg is loaded by what serves without a database."""
    code = (
        "import sys; import omi_mcp.transports.hosted, omi_mcp.server, omi_mcp.commands.serve, omi_mcp.tools, "
        "omi_mcp.commands.accounts, omi_mcp.commands.doctor; "
        "print([name for name in sys.modules if name.startswith(('psycopg', 'omi_mcp.postgres'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


@pytest.mark.exhaustive
def test_through_crashes_all_that_was_said_to_be_kept_is_and_nothing_else(
    postgres_server: PostgresServer, postgres: Postgres
) -> None:
    """Twenty threads write all the time, more than there are connections; the server crashes again and again."""
    kept: list[set[str]] = [set() for _ in range(20)]
    away: list[int] = [0] * 20
    enough = threading.Event()

    def write(mine: int) -> None:
        for number in range(100_000):
            if enough.is_set():
                return
            try:
                add_host(postgres, f"{mine}-{number}")
            except Away:
                away[mine] += 1
            else:
                kept[mine].add(f"{mine}-{number}")

    threads = [threading.Thread(target=write, args=(each,)) for each in range(20)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        before = sum(map(len, kept))
        while sum(map(len, kept)) < before + 500:
            threads[0].join(0.01)
        postgres_server.restart("immediate")
    enough.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    there, said = hosts(postgres), set().union(*kept)
    assert (there - said, said - there) == (set(), set())
    assert sum(away) > 0
