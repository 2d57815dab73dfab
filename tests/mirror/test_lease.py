from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from virtual_time import VirtualClock

from omi_mcp.database import Database
from omi_mcp.mirror.sync.lease import RENEWAL, TERM, Lease

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "mirror.sqlite3")) as opened:
        yield opened


async def is_free(database: Database, clock: VirtualClock) -> bool:
    async with Lease(database, clock, "sync").held() as mine:
        return mine


async def test_one_holds_it_and_the_others_are_told_so_until_it_is_given_back(opened: Database) -> None:
    clock = VirtualClock()
    async with Lease(opened, clock, "sync").held() as mine:
        assert mine
        assert not await is_free(opened, clock)
        async with Lease(opened, clock, "look").held() as other:
            assert other
    assert await is_free(opened, clock)


async def test_it_is_kept_however_long_the_work_takes(opened: Database) -> None:
    clock = VirtualClock()
    async with Lease(opened, clock, "sync").held():
        for _ in range(20):
            await clock.sleep(TERM)
            assert not await is_free(opened, clock)


async def test_that_of_a_crashed_holder_is_free_within_a_minute(opened: Database) -> None:
    clock = VirtualClock()
    crashed = Lease(opened, clock, "sync")
    assert crashed._take()
    await clock.sleep(TERM - 1)
    assert not await is_free(opened, clock)
    await clock.sleep(2)
    assert await is_free(opened, clock)


async def test_work_whose_lease_was_lost_is_cancelled(opened: Database) -> None:
    clock = VirtualClock()
    finished = False
    async with Lease(opened, clock, "sync").held():
        with opened.writing() as connection:  # as another does when this machine has slept through its term
            connection.execute("update leases set owner = 'another'")
        await clock.sleep(2 * RENEWAL)
        finished = True
    assert not finished
    assert not await is_free(opened, clock), "what is another's is not given back"


async def test_who_slept_through_the_term_writes_nothing_when_it_wakes(opened: Database) -> None:
    clock = VirtualClock()
    opened.prepare(lambda connection: connection.execute("create table if not exists notes(text)"))
    woken = anyio.Event()

    async def sleeper() -> None:
        async with Lease(opened, clock, "sync").held() as mine:
            assert mine
            await woken.wait()
            with opened.writing() as connection:
                connection.execute("insert into notes values ('late')")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper)
        await anyio.wait_all_tasks_blocked()
        with opened.writing() as connection:
            connection.execute("update leases set owner = 'another'")
        woken.set()
    with opened.reading() as connection:
        assert connection.execute("select * from notes").fetchall() == []


async def test_a_term_from_a_clock_that_has_been_set_back_since_does_not_bind(opened: Database) -> None:
    clock = VirtualClock()
    async with Lease(opened, clock, "sync").held():
        with opened.writing() as connection:
            connection.execute("update leases set ends = ends + 86400")
        assert await is_free(opened, clock)


async def test_an_error_in_the_work_leaves_as_itself_and_gives_the_lease_back(opened: Database) -> None:
    clock = VirtualClock()
    with pytest.raises(ZeroDivisionError):
        async with Lease(opened, clock, "sync").held():
            raise ZeroDivisionError
    assert await is_free(opened, clock)


async def test_a_cancelled_holder_gives_it_back(opened: Database) -> None:
    clock = VirtualClock()
    with anyio.move_on_after(1):
        async with Lease(opened, clock, "sync").held():
            await clock.sleep(100)
    assert await is_free(opened, clock)


async def test_of_many_who_ask_at_once_one_gets_it(opened: Database) -> None:
    clock = VirtualClock()
    holders = 0

    async def work() -> None:
        nonlocal holders
        async with Lease(opened, clock, "sync").held() as mine:
            holders += mine
            await clock.sleep(5)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(work)
    assert holders == 1
