"""Machines whose clocks are off, and whose database hangs, as hosts meet them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import pytest
from signin_kit import PUBLIC, SECRET, MovedClock, Web, called, connected

from omi_mcp.clock import Clock
from omi_mcp.postgres.connection import Postgres
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import HttpAccess, Settings, SignInSettings
from omi_mcp.transports.hosted import hosted
from tests.postgres_kit import PostgresServer, Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def machines(box: Sandbox, folder: Path, url: str, clocks: Sequence[Clock | None]) -> AsyncIterator[Web]:
    """One with each of these clocks, or with its own."""
    access = SignInSettings(public_url=PUBLIC, open=True, database_url=url, secrets=(SECRET,))
    async with AsyncExitStack() as stack:
        opened = []
        for number, clock in enumerate(clocks):
            settings = Settings(timezone=ZoneInfo("UTC"), data_dir=folder / str(number), base_url=box.base_url)
            made = hosted(
                settings, HttpAccess(sign_in=access), "127.0.0.1", 8765, clock=clock, transport=box.transport()
            )
            stack.callback(made.sign_in.close)
            await stack.enter_async_context(made.app.router.lifespan_context(made.app))
            opened.append(made)
        yield Web(opened, MovedClock())


async def test_machines_whose_clocks_are_ten_minutes_apart_take_each_others_codes_and_count_the_same_hours(
    database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        box = stack.enter_context(closing(Sandbox()))
        box.load_sample()
        clocks = []
        for minutes in (5, -5):
            wrong = MovedClock()
            wrong.ahead = timedelta(minutes=minutes)
            postgres = stack.enter_context(closing(Postgres(database_url)))
            with postgres.transaction():  # by which it is put right
                clocks.append(postgres.clock(wrong))
        web = await stack.enter_async_context(machines(box, tmp_path, database_url, clocks))
        for _ in range(2):  # each machine gives a code, and takes the other's
            tokens = await connected(web, box.key)
            next(web.turns)
        answers = [await called(web, tokens["access_token"], "create_from_text", text="A walrus.") for _ in range(4)]
        said = [answer.json()["result"]["structuredContent"] for answer in answers]
        assert [each["status"] for each in said] == ["created", "exists", "exists", "exists"]
        assert len({each["id"] for each in said}) == 1
        with postgres.transaction() as connection:
            (row,) = connection.execute("select id from accounts").fetchall()
        with postgres.transaction(row["id"]) as connection:
            (booked,) = connection.execute(
                "select body::json ->> 'spent' as spent from documents"
                " where account = %s and kind = 'allowances' and id = '[\"writes\"]'",
                (row["id"],),
            ).fetchall()
        assert booked["spent"] == "1"


async def test_while_the_database_hangs_it_is_answered_that_the_server_lives_and_all_is_answered_after(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than there are threads wait for a database that is reached and says nothing."""
    monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr("omi_mcp.postgres.connection.Connection.answer_seconds", 2.0)
    async with AsyncExitStack() as stack:
        box = stack.enter_context(closing(Sandbox()))
        box.load_sample()
        wire = stack.enter_context(closing(Wire(postgres_server.port)))
        web = await stack.enter_async_context(machines(box, tmp_path, wire.between(database_url), [None]))
        token = (await connected(web, box.key))["access_token"]
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await called(web, token, "search_conversations", query="walrus")).status_code)

        await ask()
        wire.stall()
        async with anyio.create_task_group() as tasks:
            for _ in range(80):
                tasks.start_soon(ask)
            await anyio.sleep(0.5)
            async with web.client() as client:
                for _ in range(5):
                    assert (await client.get("/health")).status_code == 200
            assert len(statuses) == 1, "nobody else was answered before"
        assert statuses[0] == 200
        assert set(statuses[1:]) == {503}
        wire.flow()
        while statuses[-1] != 200:
            await ask()
