"""Whatever happens to them and in whatever order, the copies of an account come to be what one file would be."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from omi_mcp.api.budget import Budget
from omi_mcp.api.errors import BudgetSpent
from omi_mcp.api.models import Folder, Receipt
from omi_mcp.database import Away, Damaged, Database
from omi_mcp.mirror.store import Store
from omi_mcp.postgres.connection import Postgres
from omi_mcp.sharing import Claim
from omi_mcp.writes import Lasting
from omi_mcp.writes.journal import Entry
from tests.postgres.machines_kit import Copy, Forgetful, talk
from tests.postgres_kit import PostgresServer, Wire, add_account
from tests.virtual_time import START, Now

MACHINES = 3
EXAMPLES = int(os.environ.get("OMI_TEST_EXAMPLES", "40"))

SHARED = {
    "conversations": "row, id, began, starred, hidden, transcript, speakers, segments, light",
    "texts": "entry, body",
    "speaker_names": "*",
    "creates": "*",
    "imports": "*",
    "hidden": "*",
    "folders": "*",
    "own_changes": "*",
    "state": "*",
    "allowances": "*",
}
"""What of each table has to be the same."""


UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A history takes a second: the first that fails is told as it is."""


class Model:
    """The rooms over one file, that of no machine."""

    def __init__(self, clock: Now) -> None:
        self.replica = Database(None)
        self.lasting = Lasting(self.replica, clock)
        self.store = Store(self.replica, clock, self.lasting.names)
        self.budget = Budget(self.replica, clock)
        self.leases: dict[str, tuple[str, datetime]] = {}


Rooms = Model | Copy
Step = Callable[[Rooms], object]


def dumped(rooms: Rooms) -> dict[str, list[Any]]:
    with rooms.replica.reading() as connection:
        tables = {
            table: [tuple(row) for row in connection.execute(f"select {columns} from {table} order by 1, 2")]
            for table, columns in SHARED.items()
        }
        matches = connection.execute("select rowid from entries where entries match 'plan' order by rowid").fetchall()
    tables["state"] = [row for row in tables["state"] if row[0].startswith("sync_")]
    return tables | {"matches": [row[0] for row in matches]}


def book(buckets: list[Any], background: bool) -> Step:
    def step(rooms: Rooms) -> None:
        with suppress(BudgetSpent):
            rooms.budget._book(buckets, background)

    return step


ids = st.integers(0, 7)
many = st.sets(ids, max_size=5)
said = st.sampled_from(["It is about the plan.", "It is about the garden.", "Nothing was said."])


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Something that is done to an account."""
    number, some, words = draw(ids), draw(many), draw(said)
    name = f"talk-{number}"
    entry = Entry(f"content {number}", START, START, id=f"entry-{number}")
    receipt = Receipt(id=name)
    choices: list[Step] = [
        lambda at: at.store.upsert([talk(each, words) for each in sorted(some)]),
        lambda at: at.store.upsert([talk(number, words).model_copy(update={"transcript_segments": None})]),
        lambda at: at.store.remove([name]),
        lambda at: at.store.set_hidden(name, bool(some)),
        lambda at: at.store.set_starred([f"talk-{each}" for each in some]),
        lambda at: at.store.set_transcript_state([name], "locked"),
        lambda at: at.store.note_change(name),
        lambda at: at.store.replace_folders([Folder(id=f"f{each}", name=words) for each in sorted(some)]),
        lambda at: at.store.write_state("sync_head", {"some": sorted(some)}),
        lambda at: at.store.write_state("of this machine", number),
        lambda at: (at.lasting.names.give(name, {"Speaker 0": words}), at.store.follow_names()),
        lambda at: (at.lasting.names.give(name, {"Speaker 0": ""}), at.store.follow_names()),
        lambda at: at.lasting.names.forget(name),
        lambda at: at.lasting.hidden.note(name, bool(some)),
        lambda at: at.lasting.imported.note({f"session {each}": name for each in some}),
        lambda at: at.lasting.journal.book(entry, again=False),
        lambda at: at.lasting.journal.keep(Entry(entry.content, START, START, receipt=receipt, id=entry.id)),
        lambda at: at.lasting.journal.heard(name),
        lambda at: at.lasting.journal.forget(entry),
        book(["reads", "transcripts"], bool(some)),
        book(["writes"], False),
    ]
    return draw(st.sampled_from(choices))


@dataclass
class Lease:
    """Somebody takes a lease, or gives it back."""

    holder: int
    taken: bool


faults = st.sampled_from(
    ["none"] * 6 + ["before", "after", "lost", "crash", "crash and lost", "forgotten", "twice", "emptied", "renewed"]
)
doings = st.tuples(
    st.integers(0, MACHINES - 1), st.one_of(steps(), st.builds(Lease, ids, st.booleans())), faults, st.integers(0, 40)
)


class World:
    """Machines with a way to PostgreSQL of their own, the copies they have now, and what should be in them."""

    def __init__(self, server: PostgresServer, url: str, folder: Path) -> None:
        self.wires = [Wire(server.port) for _ in range(MACHINES)]
        self.ways = [Postgres(wire.between(url), most=2) for wire in self.wires]
        self.url = url
        self.folder = folder
        self.accounts = count(1)

    def begin(self) -> None:
        self.account = add_account(self.url, f"account-{next(self.accounts)}")
        self.clock = Now()
        self.model = Model(self.clock)
        self.left: list[Copy] = []
        self.copies = [self.opened(machine) for machine in range(MACHINES)]
        self.forgetful: Forgetful | None = None
        self.change = 0

    def end(self) -> None:
        for copy in (*self.copies, *self.left):
            copy.close()
        self.model.replica.close()

    def close(self) -> None:
        for each in (*self.ways, *self.wires):
            each.close()

    def path(self, machine: int) -> Path:
        return self.folder / f"{self.account}-{machine}.sqlite3"

    def opened(self, machine: int) -> Copy:
        return Copy.of(self.ways[machine], self.account, self.path(machine), self.clock)

    def suffer(self, machine: int, fault: str) -> None:
        """What happens before something is done."""
        wire, file = self.wires[machine], self.path(machine)
        as_it_is_run(self.copies[machine].replica.catch_up)
        if fault in ("before", "after"):
            wire.armed = fault  # type: ignore[assignment]
        if "crash" in fault or fault == "twice":  # nothing is closed
            self.left.append(self.copies[machine])
        if "lost" in fault:
            for each in file.parent.glob(f"{file.name}*"):
                each.unlink()
        if fault == "emptied":
            with file.open("r+b") as opened:
                opened.truncate(0)
        if "crash" in fault or fault == "twice":
            self.copies[machine] = self.opened(machine)
        if fault == "renewed":
            with self.ways[machine].transaction(self.account) as connection:
                statement = "update libraries set epoch = gen_random_uuid() where account = %s"
                connection.execute(statement, (self.account,))
        if fault == "forgotten":
            self.forgetful = Forgetful.of(self.copies[machine])
            self.forgetful.forgets = True

    def do(self, machine: int, step: Step | Lease, fault: str, seconds: int) -> None:
        self.clock.moment += timedelta(seconds=seconds)
        self.suffer(machine, fault)
        copy = self.copies[machine]
        if isinstance(step, Lease):
            self.lease(copy, step)
            return
        try:
            as_it_is_run(lambda: step(copy))
        except Away:
            assert fault == "before", "what is there is reached"
        else:
            step(self.model)
        self.recover()

    def recover(self) -> None:
        """What could have gone wrong and did not will not either."""
        for wire in self.wires:
            wire.armed = None
        if self.forgetful is not None:
            self.forgetful.forgets = False

    def lease(self, copy: Copy, lease: Lease) -> None:
        held = self.model.leases.get("sync")
        claim = Claim("sync", f"holder {lease.holder}")
        if lease.taken:
            free = held is None or held[0] == claim.owner or held[1] <= self.clock.moment
            if free:
                self.model.leases["sync"] = (claim.owner, self.clock.moment + timedelta(seconds=45))
            self.reached(lambda: copy.replica.take(claim, 45, self.clock.moment), free)
        else:
            self.reached(lambda: copy.replica.give_back(claim), None)
            if held and held[0] == claim.owner:
                del self.model.leases["sync"]

    def reached(self, ask: Callable[[], object], expected: object) -> None:
        self.recover()
        assert ask() == expected

    def check(self) -> None:
        wanted = dumped(self.model)
        for copy in self.copies:
            as_it_is_run(copy.replica.catch_up)
            assert as_it_is_run(lambda copy=copy: dumped(copy)) == wanted
            assert copy.replica._reached.change >= self.change, "changes are not counted back"
            self.change = copy.replica._reached.change


def as_it_is_run(function: Callable[[], Any]) -> Any:
    """As `database.run` does: once more where the copy was damaged."""
    try:
        return function()
    except Damaged:
        return function()


@pytest.fixture(scope="module")
def world(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url = postgres_server.fresh_database()
    with closing(World(postgres_server, url, tmp_path_factory.mktemp("copies"))) as made:
        yield made
    postgres_server.drop(url)


def play(world: World, history: list[tuple[int, Step | Lease, str, int]]) -> None:
    world.begin()
    try:
        for machine, step, fault, seconds in history:
            world.do(machine, step, fault, seconds)
            world.check()
    finally:
        world.end()


@pytest.mark.exhaustive
@settings(max_examples=EXAMPLES, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
@given(history=st.lists(doings, min_size=8, max_size=25))
def test_each_copy_is_what_was_done_whatever_befell_the_machines(
    world: World, history: list[tuple[int, Step | Lease, str, int]]
) -> None:
    play(world, history)
