"""A database gets its tables once and whole, whoever starts first, and serves the release before as well."""

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from omi_mcp.database import Away
from omi_mcp.postgres import migrations
from omi_mcp.postgres.connection import Postgres
from omi_mcp.settings import SettingsError
from tests.postgres_kit import ESCAPED, ROLE, PostgresServer, add_account

STEPS = migrations.known()


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.empty_database()
    yield url
    postgres_server.drop(url)


def test_many_that_start_at_once_migrate_once(empty: str) -> None:
    done: list[tuple[migrations.Migration, ...]] = []
    threads = [threading.Thread(target=lambda: done.append(migrations.migrate(empty))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(step for steps in done for step in steps) == sorted(STEPS)
    assert len(done) == 6
    assert migrations.migrate(empty) == ()


def test_a_step_that_breaks_off_leaves_nothing_and_is_taken_anew(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    half = migrations.Migration(len(STEPS) + 1, "half", "create table half (id text); select 1 / 0;")
    monkeypatch.setattr(migrations, "known", lambda: (*STEPS, half))
    with pytest.raises(SettingsError, match="division by zero"):
        migrations.migrate(empty)
    assert migrations.standing(empty).missing == (half,)
    whole = migrations.Migration(half.number, "whole", "create table half (id text)")
    monkeypatch.setattr(migrations, "known", lambda: (*STEPS, whole))
    assert migrations.migrate(empty) == (whole,)


def test_a_release_goes_on_beside_one_that_is_ahead(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = migrations.Migration(len(STEPS) + 1, "more", "alter table hosts add column more text")
    with monkeypatch.context() as later:
        later.setattr(migrations, "known", lambda: (*STEPS, newer))
        assert migrations.migrate(database_url) == (newer,)
    assert migrations.migrate(database_url) == ()
    with closing(Postgres(database_url)) as postgres, postgres.transaction() as connection:
        assert migrations.missing(connection) == ()


def test_steps_are_numbered_without_a_gap_and_only_add() -> None:
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    for step in STEPS:
        words = " ".join(line.partition("--")[0] for line in step.script.splitlines()).lower()
        for taken in ("drop ", "rename ", "truncate ", " alter column", "delete from"):
            assert taken not in words.replace("on delete cascade", ""), step


def test_a_role_that_may_not_change_tables_serves_from_them(postgres_server: PostgresServer, empty: str) -> None:
    """As docs/hosting.md has it: the tables are another's, whom the second wall binds no less."""
    name = empty.rpartition("/")[2]
    with psycopg.connect(empty) as owner:
        postgres_server.ask(f"create role {name} login password 'word'")
        owner.execute(f"grant usage on schema public to {name}".encode())
        owner.execute(
            "alter default privileges in schema public grant select, insert, update, delete on tables to "
            f"{name}".encode()
        )
    migrations.migrate(empty)
    url = empty.replace(f"{ROLE}:{ESCAPED}", f"{name}:word")
    assert migrations.migrate(url) == ()
    assert migrations.standing(url) == migrations.Standing((), unbound=False)
    with closing(Postgres(url)) as postgres:
        for account in ("a", "b"):
            add_account(url, account)
            with postgres.transaction(account) as connection:
                connection.execute("insert into libraries (account) values (%s)", [account])
                connection.execute("insert into documents values (%s, 'kind', '1', 1, 'words')", [account])
        with postgres.transaction("a") as connection:
            assert connection.execute("select account from documents").fetchall() == [{"account": "a"}]
        with postgres.transaction() as connection:
            connection.execute("delete from accounts where id = 'a'")
    assert postgres_server.ask("select account from documents", name) == [{"account": "b"}]


def test_it_says_what_is_in_the_way(postgres_server: PostgresServer, empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("create table accounts (of_something_else text)")
    with pytest.raises(SettingsError, match=r'relation "accounts" already exists.*this server alone'):
        migrations.migrate(empty)
    name = empty.rpartition("/")[2]
    postgres_server.ask(f"alter database {name} owner to postgres")
    postgres_server.ask("drop table accounts; revoke create on schema public from public", name)
    with pytest.raises(SettingsError, match="permission denied for schema public"):
        migrations.migrate(empty)
    with pytest.raises(Away, match="does not exist"):
        migrations.migrate(f"{empty}_which_is_none")
    with pytest.raises(Away, match="refused"):
        migrations.migrate("postgresql://omi:x@127.0.0.1:1/omi")
