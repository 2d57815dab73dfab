"""Many libraries in one process: when they open and close, and what one account's trouble is to the others."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from accounts_kit import Town, running, titles, town
from virtual_time import VirtualClock, VirtualLoop

from omi_mcp import database
from omi_mcp.account import Files, Hosted
from omi_mcp.accounts import Busy, Caller, KeyRefused, NoSuchAccount
from omi_mcp.api.errors import OmiError
from omi_mcp.database import Database
from omi_mcp.library import Library
from omi_mcp.mirror.types import Filters
from omi_mcp.pool import COPIERS, IDLE, MOST_CALLS, PATIENCE_SECONDS, REVIEW_SECONDS, THREADS, LibraryPool
from omi_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualLoop]]]:
    return "asyncio", {"loop_factory": VirtualLoop}


def is_open(pool: LibraryPool) -> int:
    return int(str(pool).split()[1])


class Wire(httpx.AsyncBaseTransport):
    """The way to a town's API: slow for everyone, and for some keys without an answer."""

    def __init__(self, town: Town, clock: VirtualClock) -> None:
        self._inner = town.sandboxes.transport()
        self._clock = clock
        self.latency = 0.2
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(key)
        await self._clock.sleep(10_000 if key in self.silent else self.latency)
        return await self._inner.handle_async_request(request)


async def test_a_library_closes_when_nobody_uses_it_and_opens_again_with_what_it_had(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", now=clock.now) as built:
        async with running(built.pool(clock)) as pool:
            assert await titles(pool, "ana") == ["Plan 0 of ana", "Plan 1 of ana", "Plan 2 of ana"]
            assert await titles(pool, "ben") == ["Plan 0 of ben", "Plan 1 of ben", "Plan 2 of ben"]
            assert is_open(pool) == 2
            await clock.sleep(IDLE.total_seconds() - REVIEW_SECONDS)
            await titles(pool, "ana")
            await clock.sleep(3 * REVIEW_SECONDS)
            assert is_open(pool) == 1
            asked = len(built.boxes["ben"].requests)
            await clock.sleep(6 * 3600)
            assert is_open(pool) == 0
            assert len(built.boxes["ben"].requests) == asked, "nobody's conversations are copied while nobody asks"
            assert len(await titles(pool, "ben")) == 3


async def test_a_library_stays_open_while_its_account_is_being_copied(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", now=clock.now, conversations=30) as built:
        wire = Wire(built, clock)
        wire.latency = 4.0
        async with running(built.pool(clock, transport=wire)) as pool:
            await titles(pool, "ana")
            wire.silent = {built.boxes["ana"].key}
            await clock.sleep(2 * IDLE.total_seconds())
            assert is_open(pool) == 1
            wire.silent = set()
            await clock.sleep(IDLE.total_seconds())
            assert is_open(pool) == 0
            async with pool.serving(Caller("ana")) as app:
                assert (await app.library.standing()).counts.transcripts == 30


async def test_the_library_whose_last_use_is_longest_ago_gives_way(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", "cleo", now=clock.now) as built:
        async with running(built.pool(clock, most=2)) as pool:
            for name in ("ana", "ben", "ana", "cleo"):
                await titles(pool, name)
                await clock.sleep(1)
            assert is_open(pool) == 2
            for name in ("ana", "cleo", "ben"):
                built.boxes[name].insert({"id": f"{name}-new", "started_at": clock.now().isoformat(), "segments": []})
            before = {name: len(box.requests) for name, box in built.boxes.items()}
            await clock.sleep(20 * 60)
            await titles(pool, "ana")
            assert len(built.boxes["ana"].requests) > before["ana"]
            assert len(built.boxes["ben"].requests) == before["ben"], "ben's was the one that closed"


async def test_libraries_in_use_never_give_way_and_the_one_too_many_is_told_when_to_come_back(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", "cleo", now=clock.now) as built:
        async with running(built.pool(clock, most=2)) as pool:
            async with pool.serving(Caller("ana")) as ana, pool.serving(Caller("ben")):
                before = clock.now()
                with pytest.raises(Busy) as refused:
                    await titles(pool, "cleo")
                assert not refused.value.own
                assert refused.value.seconds > 0
                assert clock.now() - before == timedelta(seconds=PATIENCE_SECONDS)
                await ana.library.search("plan", Filters(), limit=1)
                assert is_open(pool) == 2
            assert len(await titles(pool, "cleo")) == 3


async def test_who_waits_for_a_place_gets_the_first_that_is_free(tmp_path: Path) -> None:
    clock = VirtualClock()
    names = [f"p{number}x" for number in range(8)]
    with town(tmp_path, *names, now=clock.now) as built:
        wire = Wire(built, clock)
        found: dict[str, list[str]] = {}

        async def search(name: str) -> None:
            found[name] = await titles(pool, name)

        async with running(built.pool(clock, transport=wire, most=4)) as pool, anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(search, name)
        assert {name: len(titles) for name, titles in found.items()} == dict.fromkeys(names, 3)
        assert all(name in title for name, titles in found.items() for title in titles)


async def test_nobody_who_comes_later_takes_the_place_of_one_who_waits(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", "cleo", "dora", now=clock.now) as built:
        served: list[str] = []

        async def use(name: str) -> None:
            async with pool.serving(Caller(name)):
                served.append(name)
                await clock.sleep(1)

        async with (
            running(built.pool(clock, most=2)) as pool,
            anyio.create_task_group() as tasks,
            pool.serving(Caller("ben")),
        ):
            async with pool.serving(Caller("ana")):
                built.people.slow = {"cleo": 0.5}
                tasks.start_soon(use, "cleo")
                await clock.sleep(1)
            await clock.sleep(0.2)
            tasks.start_soon(use, "dora")
            await clock.sleep(3)
        assert served == ["cleo", "dora"]


async def test_a_few_places_are_kept_free_for_who_comes_next(tmp_path: Path) -> None:
    clock = VirtualClock()
    names = [f"p{number}x" for number in range(20)]
    with town(tmp_path, *names, now=clock.now, conversations=1) as built:
        async with running(built.pool(clock, most=16)) as pool:
            for name in names:
                await titles(pool, name)
            await clock.sleep(1)
            assert is_open(pool) == 14


async def test_one_account_has_so_many_calls_at_once_and_the_others_do_not_notice(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", now=clock.now) as built:
        wire = Wire(built, clock)
        wire.silent = {built.boxes["ana"].key}
        outcomes: Counter[str] = Counter()

        async def search() -> None:
            try:
                await titles(pool, "ana")
                outcomes["answered in the end"] += 1
            except Busy as busy:
                outcomes["told to wait" if busy.own else "refused for others"] += 1

        async with running(built.pool(clock, transport=wire)) as pool, anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(search)
            await clock.sleep(1)
            assert outcomes == {"told to wait": 100 - MOST_CALLS}
            before = clock.now()
            assert len(await titles(pool, "ben")) == 3
            assert clock.now() - before < timedelta(seconds=5), "some of it is what a first search waits for itself"
        assert outcomes["answered in the end"] == MOST_CALLS


async def test_files_that_are_held_by_another_program_hold_up_their_own_accounts_only(tmp_path: Path) -> None:
    clock = VirtualClock()
    held, names = ("ana", "ben", "cleo"), ("p1x", "p2x")
    with town(tmp_path, *held, *names, now=clock.now) as built:
        async with running(built.pool(clock)) as pool:
            for name in (*held, *names):
                await titles(pool, name)
            await clock.sleep(30)  # all is copied, and nothing is looked for: the clock stands still from here on
            with ExitStack() as holding:
                for name in held:
                    other = sqlite3.connect(built.people.known[name].mirror_file, isolation_level=None)
                    holding.callback(other.close)
                    other.execute("begin immediate")

                async def wait(name: str) -> None:
                    async with pool.serving(Caller(name)) as app:
                        await app.library.sync()

                async with anyio.create_task_group() as tasks:
                    for name in held * MOST_CALLS:
                        tasks.start_soon(wait, name)
                    for _ in range(10):
                        await anyio.lowlevel.checkpoint()
                    for name in names:
                        assert len(await titles(pool, name)) == 3
                    assert len(held) <= database.threads().borrowed_tokens < THREADS, (
                        "they still wait, and keep to their threads"
                    )
                    holding.close()


async def test_to_forget_ends_what_is_under_way_and_leaves_no_file(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", now=clock.now) as built:
        wire = Wire(built, clock)
        async with running(built.pool(clock, transport=wire)) as pool:
            for name in ("ana", "ben"):
                async with pool.serving(Caller(name)) as app:
                    await app.library.search("plan", Filters(), limit=1)
                    await app.library.name_speaker(f"{name}-0", name, "Dora")
            assert [file.partition("-")[0] for file in built.files("ana") if file.endswith("3")] == [
                "account",
                "mirror",
            ]
            wire.silent = {built.boxes["ana"].key}
            ended: list[str] = []

            async def ask() -> None:
                try:
                    async with pool.serving(Caller("ana")) as app:
                        await app.library.current("ana-0")
                except NoSuchAccount:
                    ended.append("told")

            async def write() -> None:
                try:
                    async with pool.serving(Caller("ana")) as app:
                        await app.library.update_title("ana-0", "Too late")
                except NoSuchAccount:
                    ended.append("told")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(write)
                await clock.sleep(1)
                before = clock.now()
                settings = built.people.known.pop("ana")
                await pool.forget("ana")
                assert clock.now() - before < timedelta(seconds=10)
            assert ended == ["told", "told"]
            assert built.files("ana") == []
            await clock.sleep(3600)
            assert built.files("ana") == []
            with pytest.raises(NoSuchAccount):
                await titles(pool, "ana")
            assert len(await titles(pool, "ben")) == 3

            wire.silent = set()
            built.people.known["ana"] = settings
            assert len(await titles(pool, "ana")) == 3, "who comes back is new"


async def test_an_account_that_another_process_forgot_is_closed_and_not_copied_anew(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", now=clock.now) as built:
        async with running(built.pool(clock)) as pool:
            await titles(pool, "ana")
            del built.people.known["ana"]
            await clock.sleep(2 * REVIEW_SECONDS)
            assert is_open(pool) == 0
            assert built.files("ana") == []


async def test_a_revoked_key_is_told_once_it_is_met_and_a_new_one_goes_on_with_the_same_copy(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", now=clock.now) as built:
        ana = built.boxes["ana"]
        async with running(built.pool(clock)) as pool:
            await titles(pool, "ana")
            old = ana.key
            ana.revoke_key(old)
            await clock.sleep(5 * 60)
            with pytest.raises(KeyRefused):
                await titles(pool, "ana")
            assert built.people.refusals == [old]
            with pytest.raises(KeyRefused):
                await titles(pool, "ana")
            asked = len(ana.requests)
            await clock.sleep(3600)
            assert len(ana.requests) == asked, "a refused key is not sent again"

            built.people.change("ana", api_key=ana.issue_key("conversations:read"))
            assert len(await titles(pool, "ana")) == 3
            assert [file for file in built.files("ana") if file.endswith("3")] == ["mirror-ana.sqlite3"]
            assert len(ana.requests) - asked <= 3, "it was not copied a second time"


async def test_a_new_key_counts_from_the_next_call_on_while_the_last_one_ends_with_the_old(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", now=clock.now) as built:
        wire = Wire(built, clock)
        async with running(built.pool(clock, transport=wire)) as pool:
            await titles(pool, "ana")
            new = built.boxes["ana"].issue_key("conversations:read")
            async with pool.serving(Caller("ana")) as before:
                built.people.change("ana", api_key=new)
                async with pool.serving(Caller("ana")) as after:
                    wire.asked.clear()
                    await before.library.current("ana-0")
                    await after.library.current("ana-0")
                    assert wire.asked == [built.boxes["ana"].key, new]
            await clock.sleep(1)
            assert is_open(pool) == 1


async def test_accounts_copy_a_few_at_a_time_and_in_turn(tmp_path: Path) -> None:
    clock = VirtualClock()
    names = [f"p{number}x" for number in range(7)]
    with town(tmp_path, *names, now=clock.now, conversations=99) as built:
        wire = Wire(built, clock)
        wire.latency = 10.0
        wire.silent = {built.boxes[names[0]].key}
        async with running(built.pool(clock, transport=wire)) as pool, anyio.create_task_group() as tasks:

            async def use(name: str) -> None:
                try:
                    await titles(pool, name)
                except OmiError:
                    assert name == names[0]

            for name in names:
                tasks.start_soon(use, name)
            await clock.sleep(20)
            wire.asked.clear()
            await clock.sleep(40)
            asked = Counter(wire.asked)
            counts = [asked[built.boxes[name].key] for name in names[1:]]
            assert max(counts) - min(counts) <= 2, "in turn"
            assert COPIERS * 40 / wire.latency / 2 <= sum(counts) <= COPIERS * 40 / wire.latency, "a few at a time"
            await clock.sleep(600)
            for name in names[1:]:
                async with pool.serving(Caller(name)) as app:
                    assert (await app.library.standing()).counts.transcripts == 99


async def test_what_another_process_forgot_is_not_there_again_after_a_shutdown(tmp_path: Path) -> None:
    clock = VirtualClock()
    with town(tmp_path, "ana", "ben", now=clock.now) as built:
        async with running(built.pool(clock)) as pool:
            for name in ("ana", "ben"):
                await titles(pool, name)
            Files().forget(built.people.known.pop("ana"))
            await clock.sleep(1)
        assert built.files("ana") == []
        assert "mirror-ben.sqlite3" in built.files("ben")


async def test_an_account_that_is_being_opened_while_its_library_closes_is_closed_too(tmp_path: Path) -> None:
    begun, closed = anyio.Event(), threading.Event()
    files: list[Database] = []

    class Slow(Files):
        def open(self, settings: Settings) -> tuple[Database, Database]:
            files.extend(super().open(settings))
            anyio.from_thread.run_sync(begun.set)
            closed.wait(10)
            return files[0], files[1]

    async def look() -> None:
        with pytest.raises(RuntimeError, match="inside running"):
            await library.standing()

    clock = VirtualClock()
    with town(tmp_path, "ana", now=clock.now) as built:
        hosted = Hosted(storage=Slow())
        transport = built.sandboxes.transport()
        library = Library(built.people.known["ana"], transport=transport, clock=clock, hosted=hosted)
        async with anyio.create_task_group() as outside:
            async with library.running():
                outside.start_soon(look)
                await begun.wait()
            closed.set()
    assert [file.closed for file in files] == [True, True]
