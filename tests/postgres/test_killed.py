"""A machine that is killed, or sleeps for two minutes, in the middle of its work: real processes, in real time."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omi_mcp.sandbox import Sandbox
from tests.accounts_kit import talks
from tests.postgres_kit import PostgresServer, add_account
from tests.virtual_time import START

pytestmark = pytest.mark.exhaustive

PROGRAM = Path(__file__).with_name("machine_process.py")
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
SIZE = 300
PATIENCE = 150.0


class Machine:
    """One that was started, with its way to the sandbox."""

    def __init__(self, url: str, folder: Path, name: str, *, seconds: float = 0.0, create_seconds: float = 0.0) -> None:
        arguments = [url, folder / name, folder / "api.sqlite3", seconds, create_seconds]
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=HERE,
        )  # fmt: skip
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self.hear() == {"ready": True}

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))

    def hear(self) -> dict[str, Any]:
        return self._said.get(timeout=PATIENCE)

    def tell(self, *what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n")
        self.process.stdin.flush()

    def ask(self, *what: str) -> Any:
        """What comes of it, asked again as hosts do where it fails."""
        while True:
            self.tell(*what)
            while "made" in (answer := self.hear()):
                self.made = True
            if "done" in answer:
                return answer["done"]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Scene:
    def __init__(self, server: PostgresServer, url: str, folder: Path) -> None:
        add_account(url, "ana")
        self.server, self.url, self.folder = server, url, folder
        self.box = Sandbox(folder / "api.sqlite3")
        self.box.load(talks("Ana", START, SIZE))
        self.machines: list[Machine] = []

    def machine(self, name: str, **options: float) -> Machine:
        self.machines.append(Machine(self.url, self.folder, name, **options))
        return self.machines[-1]

    def transcripts(self) -> int:
        statement = "select count(text) as copied from documents where kind = 'conversations'"
        (row,) = self.server.ask(statement, self.url.rpartition("/")[2])
        return int(str(row["copied"]))

    def until_copied(self, most: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.transcripts() < most:
            assert time.monotonic() < deadline, f"{self.transcripts()} are copied"
            time.sleep(0.1)

    def created(self) -> list[str]:
        return [each for each in self.box.ids() if not each.startswith("Ana-")]


@pytest.fixture
def scene(postgres_server: PostgresServer, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(postgres_server, database_url, tmp_path)
    try:
        yield made
    finally:
        for machine in made.machines:
            machine.end()
        made.box.close()


@pytest.mark.lasting
def test_what_a_killed_machine_was_copying_another_goes_on_with_by_itself(scene: Scene) -> None:
    one, _ = scene.machine("one", seconds=0.5), scene.machine("two")
    assert one.ask("search")
    scene.until_copied(50)
    one.process.kill()
    copied = scene.transcripts()
    assert copied < SIZE
    scene.until_copied(SIZE)


def test_a_create_whose_machine_is_killed_is_one_when_it_is_asked_for_again_elsewhere(scene: Scene) -> None:
    one, two = scene.machine("one", create_seconds=60), scene.machine("two")
    assert one.ask("search") == two.ask("search")
    one.tell("create", "The walrus was planned.")
    assert one.hear() == {"made": True}
    one.process.kill()
    again = two.ask("create", "The walrus was planned.")
    assert again["repeated"]
    assert scene.created() == [again["id"]]
    assert two.ask("create", "The walrus was planned.") == again


@pytest.mark.lasting
def test_a_machine_that_slept_for_two_minutes_does_no_harm_when_it_wakes(scene: Scene) -> None:
    one, two = scene.machine("one", seconds=0.5, create_seconds=20), scene.machine("two")
    assert one.ask("search")
    one.tell("create", "The walrus was planned.")
    assert one.hear() == {"made": True}
    scene.until_copied(25)
    with asleep(one):
        slept = time.monotonic()
        again = two.ask("create", "The walrus was planned.")
        assert two.ask("rename", "Ana-3", "A walrus") == "A walrus"
        scene.until_copied(SIZE)
        time.sleep(max(0.0, 120 - (time.monotonic() - slept)))
    answer = one.hear()
    assert answer.get("done", again)["id"] == again["id"], "it may also say that it does not know"
    assert one.ask("create", "The walrus was planned.")["id"] == again["id"]
    assert scene.created() == [again["id"]]
    assert one.ask("title", "Ana-3") == two.ask("title", "Ana-3") == "A walrus"
    assert one.ask("search") == two.ask("search")
    assert scene.transcripts() >= SIZE


@contextmanager
def asleep(machine: Machine) -> Iterator[None]:
    os.kill(machine.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(machine.process.pid, signal.SIGCONT)
