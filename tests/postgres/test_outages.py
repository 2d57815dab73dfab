"""PostgreSQL is restarted, gone, hangs, is full or far away while people read and create: in real time."""

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest
from anyio.abc import TaskStatus

from omi_mcp.api.drafts import TextDraft
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import SystemClock
from omi_mcp.database import Away
from omi_mcp.library import Library
from omi_mcp.postgres.connection import Postgres
from tests.postgres.machines_kit import Copy, Machines, found
from tests.postgres_kit import PostgresServer, Wire
from tests.virtual_time import START

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

CREATES = 24
GONE = float(os.environ.get("OMI_TEST_GONE", "60"))
"""Seconds for which the database is gone."""

BACK = 60.0
"""Seconds after which everything has to be answered again."""


@dataclass
class Traffic:
    """People who read and create at two machines, and ask again at either until they are answered."""

    machines: Machines
    server: PostgresServer
    wires: list[Wire]
    libraries: list[Library]
    answered: dict[str, str] = field(default_factory=dict)
    turned_away: Counter[str] = field(default_factory=Counter)
    reads: int = 0

    async def create(self, number: int) -> None:
        text = f"The walrus number {number} was planned."
        while True:
            library = random.choice(self.libraries)
            try:
                with anyio.fail_after(40):  # as hosts do
                    created = await library.create_from_text(drafted(text), dated=True)
            except (Away, OmiError, TimeoutError) as error:
                self.turned_away[type(error).__name__] += 1
                await anyio.sleep(0.3)
            else:
                self.answered[text] = created.receipt.id
                return

    async def read(self) -> None:
        while True:
            try:
                titles = await found(random.choice(self.libraries), "plan")
            except Away:
                self.turned_away["read"] += 1
            else:
                assert sum(title.startswith("Plan ") for title in titles) == 30, "an answer that is not whole"
                self.reads += 1
            await anyio.sleep(0.05)


def drafted(text: str) -> TextDraft:
    return TextDraft(text=text, started_at=START, language="en")


Fault = Callable[[Traffic], Awaitable[None]]


async def restarted(traffic: Traffic) -> None:
    for mode in ("fast", "immediate", "fast", "immediate"):
        await anyio.to_thread.run_sync(traffic.server.restart, mode)
        await anyio.sleep(0.5)


async def gone(traffic: Traffic) -> None:
    await anyio.to_thread.run_sync(traffic.server.stop, "immediate")
    await anyio.sleep(GONE)
    await anyio.to_thread.run_sync(traffic.server.start)


async def hanging(traffic: Traffic) -> None:
    traffic.server.pause()
    await anyio.sleep(20)
    traffic.server.resume()


async def slow(traffic: Traffic) -> None:
    for wire in traffic.wires:
        wire.latency = 0.1
    await anyio.sleep(10)
    for wire in traffic.wires:
        wire.latency = 0.0


async def silent(traffic: Traffic) -> None:
    """Each machine's way to it in turn."""
    for wire in traffic.wires:
        wire.stall()
        await anyio.sleep(8)
        wire.flow()


async def cut(traffic: Traffic) -> None:
    """Again and again, in the middle of commits, whose outcome nobody hears."""
    for number in range(30):
        wire = traffic.wires[number % 2]
        wire.armed = "before" if number % 3 else "after"
        await anyio.sleep(0.15)
        if number % 5 == 0:
            wire.cut()


async def crowded(traffic: Traffic) -> None:
    """No connection is to be had: others have them all."""
    others: list[psycopg.Connection] = []
    traffic.server.ask("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'omi'")
    url = traffic.machines.url
    for _ in range(200):
        try:
            others.append(await anyio.to_thread.run_sync(partial(psycopg.connect, url)))
        except psycopg.OperationalError:
            break
    await anyio.sleep(8)
    for connection in others:
        connection.close()


@asynccontextmanager
async def traffic_over(server: PostgresServer, url: str, folder: Path) -> AsyncIterator[Traffic]:
    with ExitStack() as stack:
        made = stack.enter_context(closing(Machines(url, folder, SystemClock())))
        wires = [stack.enter_context(closing(Wire(server.port))) for _ in range(2)]
        ways = [stack.enter_context(closing(Postgres(wire.between(url)))) for wire in wires]
        async with anyio.create_task_group() as tasks:
            libraries: list[Library] = []

            async def serve(number: int, *, task_status: TaskStatus[None]) -> None:
                clock = ways[number].clock(made.clock)
                async with made.machine(f"machine {number}", postgres=ways[number], clock=clock) as library:
                    libraries.append(library)
                    task_status.started()
                    await anyio.sleep_forever()

            for number in range(2):
                await tasks.start(serve, number)
            yield Traffic(made, server, wires, libraries)
            tasks.cancel_scope.cancel()


async def endure(traffic: Traffic, fault: Fault) -> None:
    for library in traffic.libraries:
        await found(library, "plan")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(traffic.read)
        async with anyio.create_task_group() as creating:
            for number in range(CREATES // 2):
                creating.start_soon(traffic.create, number)
            await anyio.sleep(0.2)
            await fault(traffic)
            with anyio.fail_after(BACK):
                await back(traffic)
            for number in range(CREATES // 2, CREATES):
                creating.start_soon(traffic.create, number)
        tasks.cancel_scope.cancel()


async def back(traffic: Traffic) -> None:
    for library in traffic.libraries:
        while True:
            try:
                await found(library, "plan")
            except Away:
                await anyio.sleep(0.2)
            else:
                break


async def judge(traffic: Traffic) -> None:
    """Each create is there once, and told again to who asks again; each request was booked before it was sent."""
    box = traffic.machines.box
    for number, (text, created) in enumerate(traffic.answered.items()):
        again = await traffic.libraries[number % 2].create_from_text(drafted(text), dated=True)
        assert again.repeated
        assert again.receipt.id == created
    made = {each: box.record(each) for each in box.ids() if not each.startswith("Ana-")}
    assert len(made) == len(traffic.answered) >= CREATES
    assert sorted(traffic.answered.values()) == sorted(made)
    sent = Counter(served.method for served in box.requests)
    with closing(Postgres(traffic.machines.url)) as postgres:
        copy = Copy.of(postgres, "ana", traffic.machines.folder / "judge", SystemClock())
        with closing(copy):
            spent = {each.bucket: each.spent for each in copy.budget.allowances()}
    assert spent["writes"] >= sent["POST"]
    items = sum("action-items" in served.path for served in box.requests)
    assert spent["reads"] >= sent["GET"] - items
    assert traffic.reads


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    "fault", [restarted, pytest.param(gone, marks=pytest.mark.lasting), hanging, slow, silent, cut, crowded]
)
async def test_whatever_becomes_of_the_database_each_create_is_one_and_no_answer_is_by_halves(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path, fault: Fault
) -> None:
    async with traffic_over(postgres_server, database_url, tmp_path) as traffic:
        await endure(traffic, fault)
        await judge(traffic)


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own."""
    at.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount nothing: what fills a disk is left out")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


def crammed(disk: Path) -> Path:
    """The file that takes all the room there was."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


async def test_a_machine_whose_disk_is_full_answers_right_or_not_at_all_and_comes_back_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    with closing(Machines(database_url, tmp_path, SystemClock())) as machines, small_disk(tmp_path / "one", 4) as disk:
        async with machines.machine("one") as one, machines.machine("two") as two:
            assert len(await found(one, "plan")) == 30
            ballast = crammed(disk)
            away = 0
            for number in range(20):
                await two.update_title(f"Ana-{number}", f"A walrus {'of the plan ' * 30}")
                try:
                    assert len(await found(one, "walrus")) == number + 1
                    assert len(await found(one, "plan")) == 30
                except Away:
                    away += 1
            assert away, "there was room all along"
            ballast.unlink()
            assert await found(one, "walrus") == await found(two, "walrus")
            await one.name_speaker("Ana-5", "CleoAna", "Dora")
            assert [speaker.name for speaker in await two.speakers("Ana-5")] == [None, "Dora"]


async def test_while_the_disk_of_the_database_is_full_what_there_is_is_read_and_then_it_goes_on(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async def full(traffic: Traffic) -> None:
        ballast = crammed(disk)
        with pytest.raises(Away):
            await anyio.to_thread.run_sync(fill, traffic.machines)
        async with anyio.create_task_group() as creating:
            for number in range(100, 104):
                creating.start_soon(traffic.create, number)
            await anyio.sleep(2)
            assert await found(traffic.libraries[0], "plan")
            ballast.unlink()

    with small_disk(postgres_server.folder / "disk", 40) as disk:
        url = postgres_server.fresh_database(on=disk)
        async with traffic_over(postgres_server, url, tmp_path) as traffic:
            await endure(traffic, full)
            await judge(traffic)
        postgres_server.drop(url)


def fill(machines: Machines) -> None:
    """Have what room is left in the database's own pages taken."""
    with closing(Postgres(machines.url)) as postgres:
        copy = Copy.of(postgres, "ana", machines.folder / "filling", SystemClock())
        with closing(copy):
            for number in range(100_000):
                copy.lasting.imported.note({f"session {number}": f"{number} {random.randbytes(3_000).hex()}"})
