"""What goes wrong on several machines, and what holds all the same: nothing is lost, done twice, or told by halves."""

import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest

from omi_mcp.account import Hosted
from omi_mcp.api.budget import BASE_LIMITS
from omi_mcp.api.drafts import TextDraft
from omi_mcp.api.errors import BudgetSpent, OutcomeUnknown, RateLimited
from omi_mcp.clock import SystemClock
from omi_mcp.database import Away, Damaged, Database, fenced
from omi_mcp.library import Library
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.postgres.queue import CopyQueue
from omi_mcp.postgres.storage import Replicas
from omi_mcp.replica import Replica
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import Settings
from omi_mcp.sharing import Batch, Claim, LeaseLost, Place
from omi_mcp.writes import Created
from omi_mcp.writes.journal import Entry
from tests.postgres.machines_kit import Copy, Forgetful, Machines, found, talk
from tests.postgres_kit import PostgresServer, Wire, add_account
from tests.virtual_time import START, VirtualLoop

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def machines(database_url: str, tmp_path: Path) -> AsyncIterator[Machines]:
    with closing(Machines(database_url, tmp_path)) as made:
        yield made


@pytest.fixture
def postgres(database_url: str) -> Iterator[Postgres]:
    add_account(database_url, "ana")
    with closing(Postgres(database_url)) as opened:
        yield opened


@pytest.fixture
def copy(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[[str], Copy]]:
    """Makes copies of one account, by the name of their file."""
    with ExitStack() as made:
        yield lambda name: made.enter_context(closing(Copy.of(postgres, "ana", tmp_path / name, CLOCK)))


def talks_in(copy: Copy) -> set[str]:
    """What a call answers from: all that there is, by the primary's word."""
    copy.replica.catch_up()
    return set(copy.store.fingerprints(None, None))


def spent(copy: Copy) -> int:
    copy.replica.catch_up()
    return next(each.spent for each in copy.budget.allowances() if each.bucket == "reads")


def booked(copy: Copy, entry: Entry) -> Entry | None:
    """As `database.run` has it done."""
    try:
        return copy.lasting.journal.book(entry, again=False)
    except Damaged:
        return copy.lasting.journal.book(entry, again=False)


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_booked_in_a_commit_that_is_cut_is_booked_once(
    postgres_server: PostgresServer, postgres: Postgres, database_url: str, copy: Callable[[str], Copy],
    tmp_path: Path, when: Literal["before", "after"],
) -> None:  # fmt: skip
    """Whether the primary heard of the end or not: who booked knows, and another machine knows the same."""
    other = copy("other")
    entry = Entry("content", START, CLOCK.now())
    with closing(Wire(postgres_server.port)) as wire, closing(Postgres(wire.between(database_url))) as through:
        one = Copy.of(through, "ana", tmp_path / "one", CLOCK)
        with closing(one):
            wire.armed = when
            if when == "before":
                with pytest.raises(Away):
                    booked(one, entry)
                assert talks_in(other) == set()
                assert other.lasting.journal.open() == []
            assert booked(one, entry) is None
            assert wire.armed is None
            other.replica.catch_up()
            assert other.lasting.journal.open() == one.lasting.journal.open() == [entry]
            wire.armed = when
            booking = partial(one.budget._book, ["reads"], False)
            if when == "before":
                with pytest.raises(Away):
                    booking()
                assert spent(other) == 0
            else:
                booking()
                assert spent(other) == spent(one) == 1


def test_who_asked_earlier_does_not_make_another_pass_over_what_it_has_not(
    postgres: Postgres, copy: Callable[[str], Copy], tmp_path: Path
) -> None:
    """Two libraries of one machine have the same file while one of them closes, and take over at the same instant."""
    other = copy("other")
    other.store.upsert([talk(1)])
    asked, go_on = threading.Event(), threading.Event()

    class Slow(PostgresPrimary):
        slow = False

        def newer(self, place: Place) -> Batch:
            batch = super().newer(place)
            if self.slow:
                asked.set()
                assert go_on.wait(20)
            return batch

    class Overtaken(PostgresPrimary):
        def newer(self, place: Place) -> Batch:
            batch = super().newer(place)
            if not go_on.is_set() and asked.is_set():
                go_on.set()
                slow.join()
            return batch

    lagging = Slow(postgres, "ana")
    first = Copy(tmp_path / "shared", lagging, CLOCK)
    second = Copy(tmp_path / "shared", Overtaken(postgres, "ana"), CLOCK)
    with closing(first), closing(second):
        other.store.upsert([talk(2)])
        lagging.slow = True
        slow = threading.Thread(target=first.replica.catch_up)
        slow.start()
        assert asked.wait(20)
        other.store.upsert([talk(3)])
        second.replica.catch_up()
        lagging.slow = False
        assert set(second.store.fingerprints(None, None)) == {"talk-1", "talk-2", "talk-3"}
        assert talks_in(first) == {"talk-1", "talk-2", "talk-3"}


@pytest.mark.exhaustive
def test_a_change_of_very_many_documents_is_kept_however_long_it_takes_the_server(
    copy: Callable[[str], Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.postgres.connection.Connection.answer_seconds", 1.5)
    one, other = copy("one"), copy("other")
    sessions = {f"session {number}": "of a conversation" for number in range(40_000)}
    one.lasting.imported.note(sessions)
    other.replica.catch_up()
    assert other.lasting.imported.known(sessions) == sessions


@pytest.mark.parametrize("epoch", ["gen_random_uuid()", "epoch"])
def test_copies_that_are_ahead_of_a_backup_that_was_restored_go_back_with_it(
    postgres_server: PostgresServer, database_url: str, copy: Callable[[str], Copy], epoch: str
) -> None:
    """Another library of the same machine has the file open, and reads on in what it began with."""
    ask = partial(postgres_server.ask, database=database_url.rpartition("/")[2])
    one, same, other = copy("one"), copy("one"), copy("other")
    one.store.upsert([talk(1)])
    one.lasting.names.give("talk-1", {"SPEAKER_00": "Dora"})
    one.store.follow_names()
    for table in ("documents", "libraries"):
        ask(f"create table {table}_then as select * from {table}")
    one.store.remove(["talk-1"])
    one.store.upsert([talk(2)])
    assert talks_in(one) == talks_in(same) == talks_in(other) == {"talk-2"}
    ask("delete from documents")
    ask("insert into documents select * from documents_then")
    ask(f"update libraries set epoch = {epoch}, change = (select change from libraries_then)")
    with same.replica.reading() as reader:
        assert reader.execute("select count(*) from conversations").fetchone()[0] == 1
        assert talks_in(one) == {"talk-1"}
        assert [row["id"] for row in reader.execute("select id from conversations")] == ["talk-2"]
    assert talks_in(same) == talks_in(other) == {"talk-1"}
    other.store.upsert([talk(3)])
    same.store.upsert([talk(4)])
    for each in (one, same, other):
        assert talks_in(each) == {"talk-1", "talk-3", "talk-4"}
        assert each.lasting.names.of("talk-1") == {"SPEAKER_00": "Dora"}


def emptied(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(0)


def halved(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def scribbled(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(0)
        opened.write(b"scribble" * (file.stat().st_size // 8))


def without_its_log(file: Path) -> None:
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)


def an_older_one(file: Path) -> None:
    older = file.with_name("older")
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)
    older.replace(file)


@pytest.mark.parametrize("lose", [Path.unlink, emptied, halved, scribbled, without_its_log, an_older_one])
def test_a_copy_that_is_spoilt_while_it_is_served_from_answers_right_or_not_at_all(
    copy: Callable[[str], Copy], tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    one, other = copy("one"), copy("other")
    wanted = {f"talk-{number}" for number in range(40)}
    one.store.upsert([talk(number) for number in range(20)])
    checkpoint(one)
    shutil.copy(tmp_path / "one", tmp_path / "older")
    one.store.upsert([talk(number) for number in range(20, 40)])
    assert talks_in(one) == wanted
    checkpoint(one)
    lose(tmp_path / "one")
    for _ in range(4):  # as often as something else about it is noticed
        try:
            assert set(one.store.fingerprints(None, None)) == wanted
            assert talks_in(one) == wanted
            break
        except Damaged:
            continue
    else:
        pytest.fail("it does not come back by itself")
    one.store.upsert([talk(40)])
    assert talks_in(other) == talks_in(one) == {*wanted, "talk-40"}


def checkpoint(copy: Copy) -> None:
    """Have everything in the file itself."""
    with copy.replica._lock:
        copy.replica._writer.execute("pragma wal_checkpoint(truncate)")


@pytest.mark.parametrize("pragma", ["max_page_count = 1", "query_only = on"])
def test_a_machine_whose_disk_is_full_or_broken_says_nothing_wrong_and_books_nothing_beside_the_ledger(
    copy: Callable[[str], Copy], pragma: str
) -> None:
    one, other = copy("one"), copy("other")
    one.store.upsert([talk(1)])
    assert talks_in(one) == {"talk-1"}
    with unwritable(one, pragma):
        if pragma.startswith("query_only"):
            with pytest.raises(Away):
                anyio.run(partial(one.budget.book, ["reads"], background=False))
        other.store.upsert([talk(number) for number in range(2, 200)])
        with pytest.raises(Away):
            talks_in(one)
        with pytest.raises(Away):
            anyio.run(partial(one.budget.book, ["reads"], background=False))
    assert spent(other) == 0
    assert len(talks_in(one)) == 199
    anyio.run(partial(one.budget.book, ["reads"], background=False))
    assert spent(other) == 1


@contextmanager
def unwritable(copy: Copy, pragma: str) -> Iterator[None]:
    """No room for one page more, by SQLite's own count; or nothing can be written."""
    writer = copy.replica._writer
    (before,) = writer.execute("pragma max_page_count").fetchone()
    writer.execute(f"pragma {pragma}")
    try:
        yield
    finally:
        writer.execute(f"pragma max_page_count = {before}")
        writer.execute("pragma query_only = off")


def test_what_could_not_be_written_here_after_it_was_there_is_not_read_around(copy: Callable[[str], Copy]) -> None:
    """It is at the primary: whoever reads here next has it, or is told that it cannot be read now."""
    one = copy("one")
    breaks = Forgetful.of(one)
    one.replica.catch_up()
    entry = Entry("content", START, CLOCK.now())
    breaks.forgets = True
    assert booked(one, entry) is None
    assert not breaks.forgets
    assert one.lasting.journal.find(entry) == entry


def test_a_lease_that_is_lost_while_a_write_waits_for_its_turn_lets_nothing_be_written(
    postgres: Postgres, copy: Callable[[str], Copy]
) -> None:
    one = copy("one")
    claim = Claim("sync", "sleeper")
    assert one.replica.take(claim, 45, CLOCK.now())
    failures: list[Exception] = []

    def write() -> None:
        try:
            with fenced(claim):
                one.store.upsert([talk(1)])
        except Exception as error:
            failures.append(error)

    with postgres.transaction("ana") as holder:
        holder.execute("select * from libraries where account = 'ana' for update")
        writer = threading.Thread(target=write)
        writer.start()
        while not waits(postgres):
            pass
        with postgres.transaction("ana") as thief:
            thief.execute("update leases set owner = 'another' where account = 'ana'")
    writer.join()
    assert [type(failure) for failure in failures] == [LeaseLost]
    assert talks_in(one) == set()


def waits(postgres: Postgres) -> bool:
    """Whether somebody waits for a lock in this database."""
    with postgres.transaction() as connection:
        return bool(
            connection.execute(
                "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            ).fetchall()
        )


def test_two_machines_that_spend_at_once_stay_within_the_allowance_together(
    copy: Callable[[str], Copy],
) -> None:
    copies = [copy("one"), copy("other")]
    refused = []
    start = threading.Barrier(4)

    def spend(copy: Copy) -> None:
        start.wait()
        for _ in range(BASE_LIMITS["writes"]):
            try:
                copy.budget._book(["writes"], False)
            except BudgetSpent:
                refused.append(copy)

    # What the API names is the limit; a belief is probed.
    copies[0].budget._book(["writes"], False)
    copies[0].budget._refused(["writes"], RateLimited("", retry_after=1.0, limit=BASE_LIMITS["writes"]))
    with copies[0].budget._changing() as (ledger, _):
        ledger["writes"] = replace(ledger["writes"], spent=0, blocked=0.0, closes=0.0)
    threads = [threading.Thread(target=spend, args=(copy,)) for copy in copies for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3 * BASE_LIMITS["writes"]


class Set(SystemClock):
    """The machine's clock, and how far it is off."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


def test_who_waits_for_its_turn_to_book_books_by_the_time_of_its_turn(postgres: Postgres, tmp_path: Path) -> None:
    """Else it takes the hour that another has begun meanwhile for one of a clock that was set back, and counts anew."""
    clock = Set()
    one, other = (Copy.of(postgres, "ana", tmp_path / name, clock) for name in ("one", "other"))
    with closing(one), closing(other):
        with other.budget._changing() as (ledger, _):
            late = threading.Thread(target=one.budget._book, args=(["reads"], False))
            late.start()
            while not waits(postgres):
                pass
            clock.off = timedelta(minutes=2)
            ledger["reads"] = ledger["reads"].booked(clock.now().timestamp(), background=False)
        late.join()
        assert spent(other) == spent(one) == 2


@pytest.mark.parametrize("apart", [-5.0, -0.05, 0.05, 5.0])
def test_clocks_that_are_a_little_apart_count_the_same_hour(postgres: Postgres, tmp_path: Path, apart: float) -> None:
    clock = Set()
    clock.off = timedelta(seconds=apart)
    one = Copy.of(postgres, "ana", tmp_path / "one", CLOCK)
    other = Copy.of(postgres, "ana", tmp_path / "other", clock)
    with closing(one), closing(other):
        one.budget._book(["reads"], False)
        other.budget._book(["reads"], False)
        one.budget._book(["reads"], False)
        assert spent(one) == spent(other) == 3


class Api(httpx.AsyncBaseTransport):
    """The way to the sandbox; `answered` is told of each answer to a create before it arrives."""

    def __init__(self, box: Sandbox, answered: Callable[[], None], *, loses: bool = False) -> None:
        self._inner = box.transport()
        self._answered = answered
        self._loses = loses
        self.creates = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if request.method == "POST":
            await answer.aread()
            self.creates += 1
            await anyio.to_thread.run_sync(self._answered)
            if self._loses:
                raise httpx.ReadError("lost")
        return answer


@pytest.mark.parametrize("loses", [False, True])
async def test_a_create_that_the_database_did_not_live_through_is_one(
    machines: Machines, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, loses: bool
) -> None:
    """It is answered, or its answer is lost, and the database is gone: whoever asks again elsewhere gets the same."""
    monkeypatch.setattr("omi_mcp.postgres.connection.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("omi_mcp.postgres.connection.BRIEF_SECONDS", 0.1)
    api = Api(machines.box, partial(postgres_server.stop, "immediate"), loses=loses)
    draft = TextDraft(text="We planned the garden.", started_at=START, language="en")
    async with machines.machine("one", api=api) as one:
        await found(one, "plan")
        try:
            if loses:
                with pytest.raises(OutcomeUnknown):
                    await one.create_from_text(draft, dated=True)
            else:
                created = await one.create_from_text(draft, dated=True)
                assert created.receipt.id in machines.box.ids()
        finally:
            postgres_server.start()
        async with machines.machine("two") as two:
            await until_it_answers(two)
            again = await two.create_from_text(draft, dated=True)
            assert again.repeated
            assert len(machines.box.ids()) == 31
            assert loses or again.receipt.id == created.receipt.id


async def until_it_answers(library: Library) -> None:
    for _ in range(50):
        try:
            await found(library, "plan")
        except Away:
            continue
        return
    pytest.fail("it does not come back")


async def test_of_who_is_forgotten_elsewhere_no_copy_stays_on_a_machine_that_does_not_serve_them(
    machines: Machines,
) -> None:
    add_account(machines.url, "ben")
    storage = Replicas(machines.postgres, most=10**9)
    settings = machines.settings("one")
    for account in ("ana", "ben"):
        for opened in set(storage.open(replace(settings, account_id=account))):
            opened.attach()
            opened.close()
    spoilt = settings.data_dir / "replica-ana.sqlite3.corrupt-1"
    spoilt.write_text("words of ana")
    storage.tidy(settings)
    assert spoilt.exists()
    with machines.postgres.transaction() as connection:
        connection.execute("delete from accounts where id = 'ana'")
    storage.tidy(settings)
    assert {file.name.partition(".")[0] for file in settings.data_dir.iterdir()} == {"replica-ben"}


async def test_copying_goes_on_elsewhere_whatever_is_wrong_with_one_account(machines: Machines) -> None:
    """Nobody waits for an account that is written to, and none for whose files cannot be opened."""
    queue = CopyQueue(machines.postgres)
    add_account(machines.url, "ben")
    for account in ("ana", "ben"):
        PostgresPrimary(machines.postgres, account).join()
    with machines.postgres.transaction("ana") as connection:
        connection.execute("select * from libraries where account = 'ana' for update")
        await queue.keep(["ana", "ben"], -1.0)
        assert await queue.claim(4, 50.0) == ["ben"]


async def test_two_machines_that_work_at_the_same_instant_do_each_thing_once(machines: Machines) -> None:
    """Both copy, both create the same, one names and deletes what the other reads."""
    draft = TextDraft(text="We planned the garden.", started_at=START, language="en")
    created: list[Created] = []
    titles: list[int] = []

    async def create(library: Library) -> None:
        created.append(await library.create_from_text(draft, dated=True))

    async def read(library: Library) -> None:
        for _ in range(5):
            titles.append(sum(title.startswith("Plan ") for title in await found(library, "plan")))

    async with machines.machine("one") as one, machines.machine("two") as two:
        async with anyio.create_task_group() as tasks:
            for library in (one, two):
                tasks.start_soon(found, library, "plan")
        listed = [served.query for served in machines.box.requests if served.query.get("include_transcript") == "true"]
        assert len(listed) == len({json.dumps(query) for query in listed}), "one of them copies"
        async with anyio.create_task_group() as tasks:
            for library in (one, two):
                tasks.start_soon(create, library)
                tasks.start_soon(read, library)
            tasks.start_soon(one.name_speaker, "Ana-5", "CleoAna", "Dora")
            tasks.start_soon(two.name_speaker, "Ana-5", "Ana", "Anna")
            tasks.start_soon(two.delete, "Ana-6")
        assert sorted(each.repeated for each in created) == [False, True]
        assert len({each.receipt.id for each in created}) == 1
        assert sum(served.method == "POST" for served in machines.box.requests) == 1
        assert set(titles) <= {29, 30}
        for library in (one, two):
            assert [speaker.name for speaker in await library.speakers("Ana-5")] == ["Anna", "Dora"]
            assert await found(library, "plan") == await found(one, "plan")
            assert (await library.allowances())[2].spent == 2


async def test_calls_of_one_account_ask_the_database_side_by_side(machines: Machines) -> None:
    """Where each takes long, they do not take as long as all of them together."""
    meet = threading.Barrier(2)

    class Asked(PostgresPrimary):
        together = False

        def newer(self, place: Place) -> Batch:
            if self.together:
                meet.wait(10)
            return super().newer(place)

    primary = Asked(machines.postgres, machines.account)

    class Storage(Replicas):
        def open(self, settings: Settings) -> tuple[Database, Database]:
            replica = Replica(settings.replica_file, primary)
            return replica, replica

    library = Library(
        machines.settings("one"),
        transport=machines.box.transport(),
        clock=machines.clock,
        hosted=Hosted(storage=Storage(machines.postgres, most=10**9)),
    )
    async with library.running(syncing=False):
        await library.allowances()
        primary.together = True
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(library.allowances)
