"""No statement without an account: every table, every statement that is sent, and row-level security behind them."""

import ast
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from omi_mcp.account import Hosted
from omi_mcp.library import Library
from omi_mcp.mirror.types import Filters
from omi_mcp.postgres import connection as rooms
from omi_mcp.postgres.connection import EVERY, Postgres
from omi_mcp.postgres.storage import Replicas
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import Settings
from omi_mcp.signin import store as signing_in
from tests.accounts_kit import talks
from tests.isolation import COVERED, forgets, is_kept, touched
from tests.postgres_kit import PostgresServer, add_account
from tests.virtual_time import START, VirtualClock, VirtualLoop

WITHOUT = {
    "hosts": "registrations of programs, which belong to no account",
    "accounts": "the account of a request is found by it",
    "grants": "the account of a token is found by it",
    "codes": "the grant of a code is found by it",
    "tokens": "the grant of a token is found by it",
    "attempts": "who tries to sign in has no account yet",
    "connections": "knows no account",
    "omi_mcp_migrations": "knows no account",
}
"""The tables that row-level security does not cover, and why. A new one needs a reason here and in docs/hosting.md."""

OWN = "(account = current_setting('omi_mcp.account'::text, true))"
QUEUE = "(current_setting('omi_mcp.account'::text, true) = '*'::text)"
POLICIES = {
    ("documents", "own"): ("ALL", OWN),
    ("leases", "own"): ("ALL", OWN),
    ("moves", "own"): ("ALL", OWN),
    ("libraries", "own"): ("ALL", OWN),
    ("leases", "queue"): ("ALL", QUEUE),
    ("libraries", "queue"): ("ALL", QUEUE),
    ("documents", "newest"): ("SELECT", f"((kind = 'newest'::text) AND {QUEUE})"),
}

NOT_LED_BY_ACCOUNT = {
    "library_due": "the queue goes by time, over all accounts",
    "document_newest": "by it is found whose the conversations are that a key lists",
}


BY_AGE = (
    "select grant_id as id from tokens where refreshes and expires < ?",
    "select id from grants where used is null and made < ?",
    "select id from hosts where signed_in < ?",
)
"""How the statements begin that look for what is out of date, whose ever it is."""


def test_every_table_keeps_accounts_apart_or_is_on_the_list(postgres_server: PostgresServer, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    tables = postgres_server.ask(
        "select relname as table, relispartition as part, relrowsecurity and relforcerowsecurity as covered "
        "from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm', 'v', 'f')",
        name,
    )
    assert {row["table"] for row in tables if not row["covered"]} == set(WITHOUT)
    assert {row["table"] for row in tables if row["covered"] and not row["part"]} == set(COVERED)
    policies = postgres_server.ask("select * from pg_policies", name)
    assert {(row["tablename"], row["policyname"]): (row["cmd"], row["qual"]) for row in policies} == POLICIES
    assert all(row["with_check"] is None and row["roles"] == ["public"] for row in policies)
    leading = postgres_server.ask(
        "select indexrelid::regclass::text as index, attname as column from pg_index join pg_attribute "
        "on attrelid = indrelid and attnum = indkey[0] "
        f"where indrelid in ({', '.join(f'{table!r}::regclass' for table in COVERED)})",
        name,
    )
    assert {row["index"] for row in leading if row["column"] != "account"} == set(NOT_LED_BY_ACCOUNT)


def test_a_statement_that_forgets_the_account_meets_its_own_rows_only(
    postgres_server: PostgresServer, database_url: str
) -> None:
    with closing(Postgres(database_url)) as postgres:
        for account in ("a", "b"):
            add_account(database_url, account)
            with postgres.transaction(account) as connection:
                connection.execute("insert into libraries (account) values (%s)", [account])
                connection.execute("insert into leases values (%s, 'copying', 'me', now())", [account])
                connection.execute("insert into documents values (%s, 'kind', '1', 1, 'words')", [account])
                connection.execute("insert into moves values (%s, 'folder', 1, '')", [account])
        sees = {
            None: {table: set() for table in COVERED},
            "a": {table: {"a"} for table in COVERED},
            "c": {table: set() for table in COVERED},
            EVERY: {"documents": set(), "leases": {"a", "b"}, "libraries": {"a", "b"}, "moves": set()},
        }
        for named, seen in sees.items():
            with postgres.transaction(named) as connection:
                for table, expected in seen.items():
                    rows = connection.execute(f"select account from {table}".encode()).fetchall()
                    assert {row["account"] for row in rows} == expected, (named, table)
                for part in range(16):
                    assert connection.execute(f"select 1 from documents_{part:02}".encode()).fetchall() == []
        with postgres.transaction("a") as connection:
            for table in COVERED:
                assert connection.execute(f"update {table} set account = account".encode()).rowcount == 1
        for table, values in (
            ("documents", "'b', 'kind', '2', 1, 'words'"),
            ("leases", "'b', 'another', 'me', now()"),
            ("moves", "'b', 'folder', 1, ''"),
            ("libraries", "'b'"),
        ):
            for statement in (f"insert into {table} values ({values})", f"update {table} set account = 'b'"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), postgres.transaction("a") as connection:
                    connection.execute(statement.encode())
        with postgres.transaction("a") as connection:
            for table in ("documents", "leases", "moves", "libraries"):
                assert connection.execute(f"delete from {table}".encode()).rowcount == 1
    name = database_url.rpartition("/")[2]
    for table in COVERED:
        assert postgres_server.ask(f"select account from {table}", name) == [{"account": "b"}]


def test_who_looks_at_all_accounts_sees_of_their_documents_the_digests_alone(database_url: str) -> None:
    with closing(Postgres(database_url)) as postgres:
        for account in ("a", "b"):
            add_account(database_url, account)
            with postgres.transaction(account) as connection:
                connection.execute("insert into libraries (account) values (%s)", [account])
                for kind in ("conversations", "newest"):
                    connection.execute("insert into documents values (%s, %s, '', 1, 'words')", [account, kind])
        with postgres.transaction(EVERY) as connection:
            rows = connection.execute("select account, kind from documents order by account").fetchall()
            assert [tuple(row.values()) for row in rows] == [("a", "newest"), ("b", "newest")]
            assert connection.execute("update documents set body = ''").rowcount == 0
            assert connection.execute("delete from documents").rowcount == 0


def test_every_statement_that_is_written_names_the_account() -> None:
    """In the source: also those that no test happens to send."""
    found = [text for text in texts(Path(rooms.__file__).parent) if touched(text)]
    assert len(found) > 5
    assert [text for text in found if forgets(text)] == []


def test_who_signed_in_is_only_asked_for_by_what_names_them() -> None:
    """The tables without row-level security: by an account, a key's mark, what a host holds, or by age."""
    found = [" ".join(text.split()) for text in texts(Path(signing_in.__file__))]
    asked = [
        text for text in found if re.search(r"\b(?:from|join|into|update) (?:accounts|grants|codes|tokens)\b", text)
    ]
    assert len(asked) > 20
    named = re.compile(r"\b(?:id|account|mark|hash|grant_id) = (?:coalesce\()?\?|\binsert into \w+\(")
    whole = [text for text in asked if text.startswith(("select ", "update ", "delete ", "insert "))]
    assert {text for text in whole if not named.search(text) and not text.startswith(BY_AGE)} == set()


def texts(place: Path) -> Iterator[str]:
    """Every text in a file, or in the files of a folder."""
    for file in [place] if place.is_file() else place.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_a_statement_without_an_account_is_noticed() -> None:
    for statement in (
        "select * from documents where id = $1",
        "update libraries set due = null",
        "delete from leases where ends < now()",
        "select * from libraries join documents on true where documents.account = $1",
        "insert into documents select * from documents where account = $1",
    ):
        assert forgets(statement)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualLoop})])
async def test_every_statement_that_is_sent_names_the_account_of_its_transaction(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    """By the server's own log, of what two machines do for somebody. The tests that run over both stores are held to
    the same."""
    account = add_account(database_url, "ana")
    since = postgres_server.record(database_url)
    clock = VirtualClock()
    with closing(Sandbox(now=clock.now)) as box, closing(Postgres(database_url)) as postgres:
        box.load(talks("Ana", START, 5))
        for machine in ("one", "two"):
            library = Library(
                Settings(ZoneInfo("UTC"), tmp_path / machine, box.key, box.base_url, account_id=account),
                transport=box.transport(),
                clock=clock,
                hosted=Hosted(storage=Replicas(postgres, most=10**9)),
            )
            async with library.running():
                await library.search("plan", Filters(), limit=5)
                await library.update_title("Ana-3", f"A walrus of machine {machine}")
    sent = postgres_server.recorded(database_url, since)
    assert {table for each in sent for table in touched(each.statement)} == {*COVERED} - {"moves"}
    assert {each.account for each in sent if touched(each.statement)} == {account}
    assert [each for each in sent if not is_kept(each)] == []
