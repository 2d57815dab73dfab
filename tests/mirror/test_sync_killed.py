"""Killed at any instant, the next process goes on where the last one was."""

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sync_kit import mirrored, talk

from omi_mcp.api.models import Conversation
from omi_mcp.clock import SystemClock
from omi_mcp.database import Database
from omi_mcp.mirror.rows import fingerprint
from omi_mcp.mirror.store import Store
from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.exhaustive

KILLS = int(os.environ.get("OMI_TEST_KILLS", "4"))
SIZE = 2000 if KILLS > 10 else 600
PROGRAM = Path(__file__).with_name("mirroring_process.py")
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def start(folder: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(number)], env=HERE)


def requests(folder: Path) -> int:
    notes = folder / "requests.txt"
    return notes.read_bytes().count(b"\n") if notes.exists() else 0


def prepare(folder: Path) -> dict[str, str]:
    folder.mkdir()
    with Sandbox(folder / "api.sqlite3") as sandbox:
        sandbox.load(talk(number) for number in range(SIZE))
        return {each: fingerprint(Conversation.model_validate(sandbox.record(each))) for each in sandbox.ids()}


def test_a_backfill_that_is_killed_again_and_again_repeats_one_page_each_time_at_most(tmp_path: Path) -> None:
    prepare(tmp_path / "clean")
    assert start(tmp_path / "clean", 0).wait(120) == 0
    uninterrupted = requests(tmp_path / "clean")

    folder = tmp_path / "killed"
    listable = prepare(folder)
    rng = random.Random(KILLS)
    kills = 0
    for number in range(KILLS):
        process = start(folder, number)
        # Some are killed while they start, most in the midst of the work.
        target = requests(folder) + rng.choice([0, 1, 1, 2, uninterrupted // KILLS])
        while requests(folder) < target and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.03)
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert start(folder, KILLS).wait(120) == 0

    assert kills > KILLS // 2
    assert requests(folder) <= uninterrupted + kills
    with closing(Database(folder / "mirror.sqlite3")) as database:
        store = Store(database, SystemClock())
        assert database.warning is None
        assert mirrored(store) == listable
        assert store.counts().transcripts == SIZE
