"""`omi-mcp migrate`, as an operator types it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omi_mcp import cli
from omi_mcp.signin.vault import new_secret
from tests.postgres_kit import ESCAPED, PASSWORD, ROLE, PostgresServer

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command line with this database, and returns its exit code and all that it said."""

    def run(url: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("OMI_MCP_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("OMI_MCP_DATABASE_URL", url)
        code = cli.run(arguments)
        captured = capsys.readouterr()
        said = captured.out + captured.err
        assert not any(secret in said for secret in (PASSWORD, ESCAPED, "hidden"))
        return code, said

    return run


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.empty_database()
    yield url
    postgres_server.drop(url)


def test_it_shows_what_is_to_be_done_does_it_and_has_nothing_left(typed: Typed, empty: str) -> None:
    assert typed(empty, "migrate", "--check") == (1, "to be done: 0001 tables\n")
    assert typed(empty, "migrate") == (0, "done: 0001 tables\nThe database is up to date.\n")
    assert typed(empty, "migrate", "--check") == (0, "The database is up to date.\n")
    assert typed(empty, "migrate") == (0, "The database is up to date.\n")


def test_each_thing_that_can_be_wrong_is_said(
    typed: Typed, empty: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, expected, said in (
        ("", 2, "OMI_MCP_DATABASE_URL: needed here"),
        (empty.replace(ESCAPED, PASSWORD), 2, "special characters in the password"),
        (empty.replace("postgresql", "mysql"), 2, "Accepted: postgresql://"),
        (empty.replace(ESCAPED, "hidden"), 1, "password authentication failed"),
        (f"{empty}_other", 1, "does not exist"),
        ("postgresql://omi:hidden@127.0.0.1:1/omi", 1, "Connection refused"),
    ):
        code, words = typed(url, "migrate")
        assert (code, said in words) == (expected, True), words
    name = empty.rpartition("/")[2]
    postgres_server.ask(f"alter database {name} owner to postgres")
    postgres_server.ask("revoke create on schema public from public", name)
    assert typed(empty, "migrate")[0] == 2
    assert "permission denied for schema public" in typed(empty, "migrate")[1]
    for module in [name for name in sys.modules if name.startswith("omi_mcp.postgres")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    code, words = typed(empty, "migrate")
    assert (code, "pip install 'omi-conversations-mcp[postgres]'" in words) == (2, True), words


def test_a_role_that_row_level_security_does_not_bind_is_noticed(
    typed: Typed, empty: str, postgres_server: PostgresServer
) -> None:
    postgres_server.ask(f"alter role {ROLE} bypassrls")
    try:
        assert "row-level security does not bind this role" in typed(empty, "migrate", "--check")[1]
    finally:
        postgres_server.ask(f"alter role {ROLE} nobypassrls")


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--transport", "http"]])
def test_a_server_for_one_person_has_no_use_for_it(typed: Typed, arguments: list[str]) -> None:
    code, said = typed("postgresql://omi:hidden@127.0.0.1/omi", *arguments)
    assert code == 2
    assert "OMI_MCP_DATABASE_URL: " in said


def test_replicas_have_to_share_the_secret(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    public = ("serve", "--transport", "http", "--open", "--public-url", "https://omi.example")
    code, said = typed("postgresql://omi:hidden@127.0.0.1/omi", *public)
    assert (code, "OMI_MCP_SECRET_KEY: needed beside OMI_MCP_DATABASE_URL" in said) == (2, True)
    monkeypatch.setenv("OMI_MCP_SECRET_KEY", new_secret())
    assert "not the URL" in typed("mysql://omi:hidden@127.0.0.1/omi", *public)[1]
