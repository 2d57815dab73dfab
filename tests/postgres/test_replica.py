"""Several machines serve one account: each has a copy of what PostgreSQL has, and none is needed."""

from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from pydantic_core import to_json

from omi_mcp import front
from omi_mcp.account import Hosted
from omi_mcp.accounts import NoSuchAccount
from omi_mcp.dates import Range
from omi_mcp.library import Library
from omi_mcp.mirror.sync.lease import Lease
from omi_mcp.mirror.types import Filters
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.postgres.storage import Replicas
from omi_mcp.replica import Replica
from omi_mcp.sharing import Batch, Place
from omi_mcp.views.cards import Detail
from tests.postgres.machines_kit import Machines, found
from tests.virtual_time import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def machines(database_url: str, tmp_path: Path) -> AsyncIterator[Machines]:
    machines = Machines(database_url, tmp_path)
    try:
        yield machines
    finally:
        machines.close()


async def test_what_one_machine_has_learnt_and_done_the_other_has_with_its_next_answer(machines: Machines) -> None:
    async with machines.machine("one") as one, machines.machine("two") as two:
        everything = await found(one, "plan")
        assert len(everything) == 30
        asked = len(machines.box.requests)
        assert await found(two, "plan") == everything
        assert len(machines.box.requests) == asked, "the other asks nothing of the API"
        await one.update_title("Ana-3", "A walrus")
        assert await found(two, "walrus") == ["A walrus"]
        await two.discard("Ana-4")
        assert list(await one.hidden()) == ["Ana-4"]
        assert len(await found(one, "plan")) == 29
        await two.name_speaker("Ana-5", "CleoAna", "Dora")
        assert (await one.search("plan", Filters(), limit=1)).results.total == 29
        assert [speaker.name for speaker in await one.speakers("Ana-5")] == [None, "Dora"]
        await one.delete("Ana-6")
        assert len(await found(two, "plan")) == 28
        assert await one.allowances() == await two.allowances()


async def test_every_machine_gives_the_same_answers_to_the_byte(machines: Machines) -> None:
    async def answers(library: Library) -> list[bytes]:
        said = []
        for words in ("Cleo Ana sentence", '"sentence 2" talk', "sentense", "", "nothing so"):
            for filters in (Filters(), Filters(speakers=(("CleoAna",),)), Filters(open_items=True)):
                for detail in get_args(Detail):
                    found = await library.search(words, filters, limit=5, every_hit=detail == "hits")
                    answer = front.search_answer(found, Range(), UTC, machines.clock.now(), detail=detail)
                    said.append(to_json(answer.dump()))
        return said

    async with machines.machine("one") as one, machines.machine("two") as two:
        await one.update_title("Ana-7", "A sentinel of plans")
        await two.name_speaker("Ana-9", "CleoAna", "Dora")
        await one.delete("Ana-8")
        await one.update_title("Ana-7", "Plan 7 once more")
        await machines.clock.sleep(3600)  # what is still to be copied is said too
        first = await answers(one)
        assert await answers(two) == first
        async with machines.machine("three") as three:
            assert await answers(three) == first


async def test_looks_that_bring_nothing_new_change_no_document_of_a_conversation(machines: Machines) -> None:
    def changes() -> dict[str, int]:
        with machines.postgres.transaction(machines.account, read_only=True) as connection:
            rows = connection.execute(
                "select id, change from documents where account = %s and kind = 'conversations'", (machines.account,)
            ).fetchall()
        return {row["id"]: row["change"] for row in rows}

    async with machines.machine("one") as one:
        await found(one, "plan")
        await machines.clock.sleep(24 * 3600)
        before, asked = changes(), len(machines.box.requests)
        for _ in range(24):
            await found(one, "plan")
            await machines.clock.sleep(3600)
        assert len(before) == 30
        assert len(machines.box.requests) > asked + 20
        assert changes() == before
        machines.box.edit("Ana-7", title="A walrus")
        await machines.clock.sleep(3600)
        assert await found(one, "walrus") == ["A walrus"]
        after = changes()
        assert {each for each in after if after[each] != before[each]} == {"Ana-7"}


async def test_a_copy_that_is_lost_while_it_is_served_from_is_made_anew(machines: Machines) -> None:
    async with machines.machine("one") as one:
        everything = await found(one, "plan")
        file = machines.settings("one").replica_file
        for lost in file.parent.iterdir():
            lost.unlink()
        assert await found(one, "plan") == everything
        file.write_bytes(b"no longer a database" * 1000)
        assert await found(one, "plan") == everything


async def test_who_slept_through_the_term_of_a_lease_writes_nothing_when_it_wakes(machines: Machines) -> None:
    primary = PostgresPrimary(machines.postgres, machines.account)
    with closing(Replica(machines.folder / "a.sqlite3", primary)) as here:
        here.prepare(lambda connection: connection.execute("create table if not exists notes(text)"))
        here.attach()
        begun, woken = anyio.Event(), anyio.Event()

        async def sleeper() -> None:
            async with Lease(here, machines.clock, "sync").held() as mine:
                assert mine
                begun.set()
                await woken.wait()
                with here.writing() as connection:
                    connection.execute("insert into notes values ('late')")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleeper)
            await begun.wait()
            with machines.postgres.transaction(machines.account) as connection:
                connection.execute("update leases set owner = 'another' where account = %s", (machines.account,))
            woken.set()
        with here.reading() as connection:
            assert connection.execute("select * from notes").fetchall() == []
        async with Lease(here, machines.clock, "sync").held() as mine:
            assert not mine, "what is another's was not given back"


async def test_of_who_was_forgotten_nothing_is_kept(machines: Machines) -> None:
    async with machines.machine("one") as one:
        await found(one, "plan")
        with machines.postgres.transaction() as connection:
            connection.execute("delete from accounts where id = %s", (machines.account,))
        with pytest.raises(NoSuchAccount):
            await found(one, "plan")
    with machines.postgres.transaction(machines.account) as connection:
        assert connection.execute("select * from documents where account = 'ana'").fetchall() == []


async def test_copies_give_way_to_others_and_are_made_anew(machines: Machines) -> None:
    storage = Replicas(machines.postgres, most=1)
    file = machines.settings("one").replica_file

    async def plans() -> list[str]:
        library = Library(
            machines.settings("one"),
            transport=machines.box.transport(),
            clock=machines.clock,
            hosted=Hosted(storage=storage),
        )
        async with library.running():
            titles = await found(library, "plan")
            assert file.exists(), "what is open stays"
            return titles

    file.parent.mkdir()
    other = file.with_name("replica-ben.sqlite3")
    other.write_bytes(b"of another account, which is not open")
    first = await plans()
    assert not other.exists()
    file.unlink()
    assert await plans() == first


async def test_a_call_that_gives_up_leaves_what_is_copied_to_the_next(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machines.machine("one") as one:
        everything = await found(one, "plan")
    monkeypatch.setattr("omi_mcp.postgres.primary.BATCH", 10)
    newer = PostgresPrimary.newer
    places: list[int] = []

    def noted(self: PostgresPrimary, place: Place) -> Batch:
        places.append(place.change)
        if len(places) == 2:
            anyio.from_thread.run_sync(scope.cancel)
        return newer(self, place)

    monkeypatch.setattr(PostgresPrimary, "newer", noted)
    with anyio.CancelScope() as scope:
        async with machines.machine("two") as two:
            await found(two, "plan")
    assert scope.cancelled_caught
    assert len(places) == 2
    async with machines.machine("two") as two:
        assert await found(two, "plan") == everything
    assert 0 == places[0] < places[1] < places[2], "it goes on where it was left"
