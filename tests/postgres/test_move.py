"""`omi-mcp move`: a server on one machine becomes several on a database, and no host and no person notices."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from omi_mcp import cli
from omi_mcp.accounts import Caller
from omi_mcp.database import Database
from omi_mcp.library import Library
from omi_mcp.signin.site import in_file
from omi_mcp.signin.vault import new_secret
from tests.accounts_kit import Town, talks, town
from tests.isolation import watched
from tests.postgres_kit import ESCAPED, PASSWORD, PostgresServer
from tests.signin.signin_kit import MovedClock, Web, called, connected, on_the_web

pytestmark = pytest.mark.anyio

NAMES = ("ana", "ben")
NOTE = "{} writes down that the boat is sold to the doctor, and that the keeper teaches her to sail in May."
SEARCHES = ("", "plan", "sentence talk", "Cleo{}", "boat doctor", '"what {} said"', "walrus", "Dora")


class Still(MovedClock):
    """A clock that stands, so that answers can be equal to the byte."""

    def __init__(self) -> None:
        super().__init__()
        self._stands_at = datetime.now(UTC)

    def now(self) -> datetime:
        return self._stands_at + self.ahead


class Moving:
    """A server on one machine, in the folder `one`, and the machines on the database that it is moved to."""

    def __init__(self, people: Town, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.people = people
        self.folder = folder
        self.url = url
        self.clock = Still()
        self.secret = new_secret()
        self.tokens: dict[str, str] = {}
        self._setenv = monkeypatch.setenv
        for name, value in {
            "OMI_MCP_DATA_DIR": str(folder / "one"),
            "OMI_MCP_DATABASE_URL": url,
            "OMI_MCP_TIMEZONE": "UTC",
            "OMI_API_BASE_URL": people.sandboxes.base_url,
        }.items():
            self._setenv(name, value)
        self.use_secret(self.secret)

    def use_secret(self, secret: str) -> None:
        """For the command, from now on."""
        self._setenv("OMI_MCP_SECRET_KEY", secret)

    @asynccontextmanager
    async def one(self, name: str = "one", **options: Any) -> AsyncIterator[Web]:
        async with on_the_web(
            self.people.sandboxes,
            self.folder / name,
            settings={"mirror": "disk"},
            clock=self.clock,
            secrets=(self.secret,),
            **options,
        ) as web:
            yield web

    @asynccontextmanager
    async def replica(self, name: str) -> AsyncIterator[Web]:
        async with self.one(name, database_url=self.url) as web:
            yield web

    async def used(self, web: Web) -> None:
        """Everybody signs in, searches, writes, hides, and calls a speaker by a name."""
        for name, box in self.people.boxes.items():
            self.tokens[name] = (await connected(web, box.key))["access_token"]
            await self.ask(web, name, "search_conversations", query="plan")
            await self.ask(web, name, "create_from_text", text=NOTE.format(name))
            await self.ask(web, name, "discard", conversation_id=f"{name}-4")
            await self.ask(web, name, "update_title", conversation_id=f"{name}-2", title=f"A walrus of {name}")
            async with self.library(web, name) as library:
                await library.name_speaker(f"{name}-5", f"Cleo{name}", "Dora")

    @asynccontextmanager
    async def library(self, web: Web, name: str) -> AsyncIterator[Library]:
        async with web.opened.pool.serving(Caller(await self.account(web, name))) as app:
            yield app.library

    async def settled(self, web: Web, name: str) -> None:
        """Wait until nothing is copied any more: till then an answer says so."""
        await self.ask(web, name, "search_conversations", query="plan")
        async with self.library(web, name) as library:
            while (await library.standing()).remains is not None:  # noqa: ASYNC110 - no other sign
                await anyio.sleep(0.05)

    async def account(self, web: Web, name: str) -> str:
        token = await web.opened.sign_in.provider.load_access_token(self.tokens[name])
        assert token
        assert token.subject
        return token.subject

    async def ask(self, web: Web, name: str, tool: str, **arguments: Any) -> str:
        answer = await called(web, self.tokens[name], tool, **arguments)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        assert not result.get("isError"), result
        return str(result["content"][0]["text"])

    async def answers(self, web: Web) -> dict[str, list[str]]:
        """What everybody is answered to the searches, and to a create that is repeated."""
        found = {}
        for name in self.people.boxes:
            await self.settled(web, name)
            asked = [await self.ask(web, name, "search_conversations", query=words.format(name)) for words in SEARCHES]
            asked.append(await self.ask(web, name, "get_conversation", conversation_id=f"{name}-5"))
            again = json.loads(await self.ask(web, name, "create_from_text", text=NOTE.format(name)))
            found[name] = [*asked, again["id"]]
        return found


@pytest.fixture
def moving(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moving]:
    clock = Still()
    with town(tmp_path, *NAMES, conversations=12, now=clock.now, limits="off") as people:
        yield Moving(people, tmp_path, database_url, monkeypatch)


Typed = Callable[..., Any]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command line, and returns its exit code and all that it said."""

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await anyio.to_thread.run_sync(cli.run, arguments)
        captured = capsys.readouterr()
        said = captured.out + captured.err
        assert not any(secret in said for secret in (PASSWORD, ESCAPED))
        return code, said

    return run


async def test_after_a_move_hosts_go_on_with_their_tokens_and_get_the_same_answers_to_the_byte(
    moving: Moving, typed: Typed, postgres_server: PostgresServer
) -> None:
    with watched(postgres_server, moving.url):
        async with moving.one() as web:
            await moving.used(web)
            code, said = await typed("move")
            assert (code, "Stop it" in said) == (1, True), said
            code, said = await typed("move", "--ahead")
            assert (code, "2 accounts moved" in said) == (3, True), said
            await moving.ask(web, "ben", "update_title", conversation_id="ben-3", title="A second walrus")
            async with moving.library(web, "ben") as library:
                await library.delete("ben-7")
            before = await moving.answers(web)
        code, said = await typed("move")
        assert (code, "the same answers" in said, "differ" in said) == (0, True, False), said
    async with moving.replica("two") as two, moving.replica("three") as three:
        assert await moving.answers(two) == before
        assert await moving.answers(three) == before
        assert "A second walrus" in before["ben"][6]
        assert "Plan 7" not in before["ben"][0]
        await moving.ask(three, "ana", "update_title", conversation_id="ana-1", title="Changed where it is now")
    code, said = await typed("move")
    assert (code, "used at the database since" in said) == (1, True), said
    async with moving.replica("four") as four:
        assert "Changed where it is now" in await moving.ask(four, "ana", "search_conversations", query="changed")
    for name, box in moving.people.boxes.items():
        assert sum(not each.startswith(name) for each in box.ids()) == 1, "each note was created once"


async def test_each_thing_that_can_be_wrong_is_said(
    moving: Moving, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = moving.folder / "one"
    code, said = await typed("move")
    assert (code, "nobody has signed in" in said) == (1, True), said
    assert not folder.exists(), "nothing is made where nothing is"
    folder.mkdir()
    file = folder / "sign-in.sqlite3"
    file.write_bytes(b"no longer a database" * 1000)
    code, said = await typed("move")
    assert (code, "sign-in.sqlite3 is damaged" in said) == (1, True), said
    with closing(sqlite3.connect(folder / "another.sqlite3")) as other:
        other.execute("create table accounts (id)")
    (folder / "another.sqlite3").replace(file)
    code, said = await typed("move")
    assert (code, "is no file of this program" in said) == (1, True), said
    in_file(Database(file)).close()
    hidden = moving.url.replace(ESCAPED, "hidden")
    for to, expected, words in (
        (moving.url.replace("postgresql", "mysql"), 2, "--to: not the URL"),
        (moving.url.replace(ESCAPED, PASSWORD), 2, "special characters in the password"),
        (hidden, 1, "password authentication failed"),
        ("postgresql://omi:hidden@127.0.0.1:1/omi", 1, "Connection refused"),
        (moving.url, 0, "0 accounts moved"),
    ):
        code, said = await typed("move", "--to", to)
        assert (code, words in said, "hidden" in said) == (expected, True, False), said
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
        code, said = await typed("move")
        assert (code, "is another user's" in said) == (2, True), said
        os.chown(file, 0, -1)
    monkeypatch.setenv("OMI_MCP_DATABASE_URL", "")
    assert await typed("move") == (2, NOWHERE)


NOWHERE = (
    "omi-mcp: move: where to? Set OMI_MCP_DATABASE_URL to the database, postgresql://user:password@host:5432/database, "
    "or name it with --to.\n"
)


def command(*arguments: str) -> subprocess.Popen[bytes]:
    """`omi-mcp move` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "omi_mcp", "move", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.exhaustive
async def test_killed_at_any_moment_and_run_again_it_brings_everything(
    moving: Moving, typed: Typed, postgres_server: PostgresServer
) -> None:
    name = moving.url.rpartition("/")[2]
    now = moving.clock.now()
    for person, box in moving.people.boxes.items():
        box.load(talks(f"{person}-more", now, 300))
    async with moving.one() as web:
        await moving.used(web)
        before = await moving.answers(web)

    def written() -> int:
        return int(str(postgres_server.ask("select coalesce(sum(change), 0) as all from libraries", name)[0]["all"]))

    dice = random.Random(0)
    kills = 0
    while kills < 8:
        last = written()
        with command("--searches", "1") as process:
            wanted = last + dice.randint(0, 2)
            while process.poll() is None and written() < wanted:  # noqa: ASYNC110 - no other sign
                await anyio.sleep(0.002)
            await anyio.sleep(dice.random() * 0.05)
            process.send_signal(dice.choice([signal.SIGKILL, signal.SIGINT]))
            if process.wait() == 0:
                break
        kills += 1
    assert kills, "it was stopped at least once"
    code, said = await typed("move")
    assert (code, "the same answers" in said, "differ" in said) == (0, True, False), said
    assert not (moving.folder / "one" / "move-compares").exists()
    async with moving.replica("two") as two:
        assert await moving.answers(two) == before


@pytest.mark.exhaustive
async def test_what_was_forgotten_on_either_side_stays_forgotten(
    moving: Moving, typed: Typed, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = moving.url.rpartition("/")[2]
    async with moving.one() as web:
        await moving.used(web)
        ana, ben = [await moving.account(web, each) for each in NAMES]
        assert (await typed("move", "--ahead"))[0] == 3
        with monkeypatch.context() as on_one_machine:
            on_one_machine.delenv("OMI_MCP_DATABASE_URL")
            assert (await typed("accounts", "forget", ana, "--yes"))[0] == 0
    code, said = await typed("move")
    assert (code, "1 account forgotten" in said) == (0, True), said
    assert postgres_server.ask("select id from accounts", name) == [{"id": ben}]
    assert {each["account"] for each in postgres_server.ask("select account from documents", name)} == {ben}
    postgres_server.ask(f"delete from accounts where id = '{ben}'", name)
    code, said = await typed("move")
    assert (code, "forgotten at the database since" in said) == (1, True), said
    assert postgres_server.ask("select id from accounts", name) == []
    assert (await typed("move", "--overwrite"))[0] == 0
    assert postgres_server.ask("select id from accounts", name) == [{"id": ben}]


@pytest.mark.exhaustive
async def test_what_machines_have_written_goes_only_where_that_is_said(moving: Moving, typed: Typed) -> None:
    async with moving.one() as web:
        await moving.used(web)
        ids = [await moving.account(web, each) for each in NAMES]
        before = await moving.answers(web)
    assert (await typed("move"))[0] == 0
    async with moving.replica("two") as two:
        await moving.ask(two, "ana", "update_title", conversation_id="ana-1", title="Changed where it is now")
    code, said = await typed("move", "--json")
    report = json.loads(said)
    ana, ben = (next(each for each in report["accounts"] if each["id"] == account) for account in ids)
    assert (code, ana["obstacle"], ben["obstacle"]) == (1, "used", None)
    assert all(sides["equal"] for sides in ben["kinds"].values())
    code, said = await typed("move", "--overwrite")
    assert (code, "2 accounts moved" in said) == (0, True), said
    async with moving.replica("three") as three:
        assert (await moving.answers(three))["ben"] == before["ben"]
        assert "Changed" not in (await moving.answers(three))["ana"][0]


@pytest.mark.exhaustive
async def test_a_key_that_signed_in_at_the_database_by_itself_is_told(moving: Moving, typed: Typed) -> None:
    async with moving.one() as web:
        await moving.used(web)
    async with moving.replica("two") as two:
        await connected(two, moving.people.boxes["ana"].key)
    code, said = await typed("move")
    assert (code, "with the same key" in said, "1 account moved" in said) == (1, True, True), said


@pytest.mark.exhaustive
async def test_what_fails_half_way_is_told_and_the_rest_goes_on(
    moving: Moving, typed: Typed, postgres_server: PostgresServer
) -> None:
    name = moving.url.rpartition("/")[2]
    async with moving.one() as web:
        await moving.used(web)
        ana = await moving.account(web, "ana")
    mirror = moving.folder / "one" / f"mirror-{ana}.sqlite3"
    whole = mirror.read_bytes()
    mirror.write_bytes(whole[: len(whole) // 2] + os.urandom(len(whole) - len(whole) // 2))
    code, said = await typed("move")
    assert (code, f"mirror-{ana}.sqlite3 is damaged" in said, "1 account moved" in said) == (1, True, True), said
    mirror.write_bytes(whole)
    postgres_server.ask(
        "create function full_() returns trigger language plpgsql as"
        " $$ begin raise exception 'no space left' using errcode = '53100'; end $$",
        name,
    )
    postgres_server.ask("create trigger full_ before insert on documents for each row execute function full_()", name)
    code, said = await typed("move")
    assert (code, "its disk is full" in said, "run this again" in said) == (1, True, True), said
    postgres_server.ask("drop trigger full_ on documents", name)
    postgres_server.ask(
        "create function other() returns trigger language plpgsql as"
        " $$ begin new.text := replace(new.text, 'sentence', 'word'); return new; end $$",
        name,
    )
    postgres_server.ask("create trigger other before insert on documents for each row execute function other()", name)
    code, said = await typed("move")
    assert (code, "differs in 1" in said, "differ in 1 account" in said) == (1, True, True), said
    postgres_server.ask("drop trigger other on documents", name)
    moving.use_secret(new_secret())
    code, said = await typed("move")
    assert (code, "The keys of 2 accounts cannot be read" in said, "the same answers" in said) == (0, True, True), said
