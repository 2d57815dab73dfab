"""Copying goes on where the machine that did it is gone: no account waits for its own to come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from omi_mcp.accounts import Caller
from omi_mcp.database import Away
from omi_mcp.library import Library
from omi_mcp.mirror.types import Filters, Standing
from omi_mcp.pool import LibraryPool
from omi_mcp.postgres.connection import EVERY, Postgres
from omi_mcp.postgres.queue import CopyQueue
from omi_mcp.postgres.storage import Replicas
from omi_mcp.tasks import beside
from tests.accounts_kit import People, Town, town
from tests.postgres_kit import add_account
from tests.virtual_time import VirtualClock, VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Postgres]:
    add_account(database_url, "ana")
    add_account(database_url, "ben")
    postgres = Postgres(database_url)
    yield postgres
    postgres.close()


@asynccontextmanager
async def machine(here: Town, folder: Path, postgres: Postgres, clock: VirtualClock) -> AsyncIterator[LibraryPool]:
    pool = LibraryPool(
        People(folder, here.boxes),
        replace(here.settings, data_dir=folder),
        clock,
        transport=here.sandboxes.transport(),
        storage=Replicas(postgres, most=10**9),
        queue=CopyQueue(postgres),
    )
    async with beside(pool.run):
        await anyio.lowlevel.checkpoint()
        yield pool


def due(postgres: Postgres) -> dict[str, bool]:
    with postgres.transaction(EVERY) as connection:
        return {row["account"]: row["due"] is not None for row in connection.execute("select * from libraries")}


@pytest.mark.exhaustive
async def test_what_a_machine_has_left_another_finishes(tmp_path: Path, postgres: Postgres) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", conversations=900, now=clock.now, limits="real") as here:
        async with machine(here, tmp_path / "one", postgres, clock) as pool:
            async with pool.serving(Caller("ana")) as app:
                await app.library.search("plan", Filters(), limit=1)
                assert due(postgres) == {"ana": True}, "a machine may be killed before it has said anything"
            async with pool.serving(Caller("ben")):
                pass
            await clock.sleep(60)
            assert due(postgres) == {"ana": True}, "who has asked for nothing is not copied"
        with postgres.transaction(EVERY) as connection:  # the machine is believed to be at it for a while
            connection.execute("update libraries set due = clock_timestamp() where due is not null")
        async with machine(here, tmp_path / "two", postgres, clock) as pool:
            while any(due(postgres).values()):
                await clock.sleep(600)
            async with pool.serving(Caller("ana")) as app:
                assert (await app.library.standing()).counts.transcripts == 900


@pytest.mark.exhaustive
async def test_an_account_that_is_forgotten_elsewhere_holds_up_no_other(
    tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", conversations=1_000, now=clock.now, limits="real") as here:
        async with machine(here, tmp_path / "one", postgres, clock) as pool:
            for name in ("ana", "ben"):
                async with pool.serving(Caller(name)) as app:
                    await app.library.search("plan", Filters(), limit=1)
            with postgres.transaction() as connection:
                connection.execute("delete from accounts where id = 'ana'")
            with postgres.transaction(EVERY) as connection:
                connection.execute("update libraries set due = null")
            await clock.sleep(20)
            assert due(postgres) == {"ben": True}
            del pool._accounts.known["ana"]  # type: ignore[attr-defined]
            await pool.review()
            assert [file.name for file in (tmp_path / "one").iterdir() if "ana" in file.name] == []
    assert "could not be shared" not in caplog.text
    assert "not closed as it should" not in caplog.text


@pytest.mark.exhaustive
async def test_an_account_that_cannot_be_asked_for_a_moment_is_still_being_copied(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()

    async def away(library: Library) -> Standing:
        raise Away("for a moment")

    with town(tmp_path, "ana", conversations=1_000, now=clock.now, limits="real") as here:
        async with machine(here, tmp_path / "one", postgres, clock) as pool:
            async with pool.serving(Caller("ana")) as app:
                await app.library.search("plan", Filters(), limit=1)
            await clock.sleep(20)
            assert due(postgres)["ana"]
            monkeypatch.setattr(Library, "standing", away)
            await clock.sleep(20)
            assert due(postgres)["ana"], "another machine would not go on with it"
