"""The same conversations give the same answers, however a mirror came to them."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import history_kit
import pytest
from history_kit import Mirror, Searched, Step, differences, each_step, little_is_much, searches, steps
from hypothesis import given, settings
from hypothesis import strategies as st
from search_kit import NOON, find, ids, opened, talk

from omi_mcp.api.models import Folder, ListedItem
from omi_mcp.database import files
from omi_mcp.mirror.types import Replaced
from omi_mcp.replica import Replica
from tests.postgres_kit import PostgresServer, add_account

if TYPE_CHECKING:
    from omi_mcp.postgres.connection import Postgres
    from omi_mcp.postgres.primary import PostgresPrimary


@given(lived=steps, asked=searches, seed=st.integers(0, 9), much=st.booleans())
def test_what_a_mirror_lived_through_makes_no_difference(
    lived: list[Step], asked: list[Searched], seed: int, much: bool
) -> None:
    with Mirror.opened() as mirror, little_is_much() if much else nullcontext():
        for step in lived:
            mirror.live(step)
        with mirror.made_anew(random.Random(seed)) as other:
            assert not differences(mirror.store, other.store, asked)


Turn = tuple[Step, str, str]
"""What changes, which machine changes it, and which one takes over then or loses its copy."""

turns = st.lists(
    st.tuples(each_step, st.sampled_from("ab"), st.sampled_from(("", "", "", "a", "b", "lose a"))), max_size=40
)


class Machine:
    """One of those that serve an account, which can lose its copy."""

    def __init__(self, file: Path, primary: "PostgresPrimary") -> None:
        self._file = file
        self._primary = primary
        self._stack = ExitStack()
        self.begin()

    def begin(self) -> None:
        self.mirror = self._stack.enter_context(Mirror.opened(Replica(self._file, self._primary)))

    def lose(self) -> None:
        self._stack.close()
        for file in files(self._file):
            file.unlink()
        self.begin()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> "Iterator[tuple[Postgres, str]]":
    from omi_mcp.postgres.connection import Postgres

    url = postgres_server.fresh_database()
    with closing(Postgres(url)) as postgres:
        yield postgres, url


@settings(max_examples=max(1, settings.default.max_examples // 3))
@given(lived=turns, asked=searches, batch=st.sampled_from((1, 3, 200)))
def test_machines_answer_alike_whoever_wrote_and_whose_copy_was_lost(
    postgres: "tuple[Postgres, str]", lived: list[Turn], asked: list[Searched], batch: int
) -> None:
    from omi_mcp.postgres import primary

    connected, url = postgres
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(primary, "BATCH", batch)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        shared = primary.PostgresPrimary(connected, add_account(url, uuid4().hex))
        alone = stack.enter_context(Mirror.opened())
        machines = {name: stack.enter_context(closing(Machine(folder / name, shared))) for name in "ab"}
        for step, writer, then in lived:
            alone.live(step)
            machines[writer].mirror.live(step)
            if then.startswith("lose"):
                machines[then[-1]].lose()
            elif then:
                machines[then].mirror.store.database.catch_up()
        machines["anew"] = stack.enter_context(closing(Machine(folder / "anew", shared)))
        for machine in machines.values():
            machine.mirror.store.database.catch_up()
            assert not differences(alone.store, machine.mirror.store, asked)


def test_a_copy_that_is_made_in_many_steps_is_whole(
    postgres: "tuple[Postgres, str]", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from omi_mcp.postgres import primary

    monkeypatch.setattr(primary, "BATCH", 1)
    connected, url = postgres
    shared = primary.PostgresPrimary(connected, add_account(url, uuid4().hex))
    item = ListedItem(id="i", description="Call Ben", conversation_id="a", completed=True)
    with closing(Machine(tmp_path / "one", shared)) as one, closing(Machine(tmp_path / "two", shared)) as two:
        store = one.mirror.store
        store.upsert([talk("a", ("Ana", "Heliotrope."), items=["Call Ben"])])
        store.keep_items([item], began=NOON, last=True)
        store.replace_folders([Folder(id="f")])
        store.set_starred(["a"])
        store.keep_items([item], began=NOON + timedelta(hours=1), last=True)
        two.lose()
        assert not differences(store, two.mirror.store, [])


def test_a_word_that_is_gone_stands_in_for_none() -> None:
    with opened() as store:
        store.upsert([talk("a", ("Ana", "The heliotropes bloom.")), talk("b", ("Ana", "One heliotrope blooms."))])
        assert find(store, "heliotropesq").replaced == (Replaced("heliotropesq", ("heliotropes",)),)
        store.upsert([talk("a", ("Ana", "The roses bloom."))])
        found = find(store, "heliotropesq")
        assert (found.replaced, ids(found)) == ((Replaced("heliotropesq", ("heliotrope",)),), ["b"])
        store.set_hidden("b", True)
        assert not find(store, "heliotropesq").replaced
        store.set_hidden("b", False)
        assert ids(find(store, "heliotropesq")) == ["b"]
        store.remove(["b"])
        assert not find(store, "heliotropesq").replaced


def test_answers_do_not_depend_on_how_python_hashes() -> None:
    script = [sys.executable, history_kit.__file__]
    seeds = [
        os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(history_kit.__file__).parent)} for seed in "12"
    ]
    processes = [subprocess.Popen(script, env=environment, stdout=subprocess.PIPE) for environment in seeds]
    one, other = (process.communicate(timeout=60)[0] for process in processes)
    assert len(one) > 10_000
    assert one == other
