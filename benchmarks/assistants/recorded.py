"""Calls that assistants made, with what their answers may cost. Made again in CI, over all but the meetings."""

import json
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.assistants.corpus import own
from benchmarks.assistants.rooms import Answered, build, opened
from benchmarks.assistants.tasks import TASKS
from benchmarks.assistants.worker import Worker, records

FILE = Path(__file__).parent / "recorded.json"

ROOM_TO_GROW = 0.02
"""Times and counts in an answer vary by a few characters with what an engineer does not mean to change."""

BESIDE = 1
"""Requests that copying in the background may make while a call is answered; and three in all."""

A_TASK = 2
"""Calls that are taken from one task of one assistant's records."""


@dataclass(frozen=True)
class Recorded:
    """One call and its ceilings."""

    name: str
    arguments: dict[str, Any]
    characters: int = 0
    requests: int = 0


def load() -> list[Recorded]:
    return [Recorded(**each) for each in json.loads(FILE.read_text("utf-8"))]


async def replayed(calls: Sequence[Recorded], base: Path) -> list[Answered]:
    """What each costs now, one after the other in one account: a copy of `base`, which has no meetings."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "room", base, "tools", TASKS["t01"]) as room:
            return [await room.call(each.name, each.arguments) for each in calls]


def grown(calls: Iterable[Recorded], answers: Iterable[Answered]) -> list[str]:
    """Which calls cost more than they may, and by how much."""
    found = []
    for call, answer in zip(calls, answers, strict=True):
        said = f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}"
        if len(answer.text) > call.characters:
            by = len(answer.text) - call.characters
            found.append(f"{said}: {len(answer.text):,} characters, {by:,} more than its ceiling {call.characters:,}")
        if answer.requests > call.requests + BESIDE:
            found.append(f"{said}: {answer.requests} API requests, its ceiling is {call.requests}")
    return found


def more_requests(calls: Iterable[Recorded], answers: Iterable[Answered]) -> int:
    """How many API requests more all calls together cost than they may."""
    return sum(answer.requests for answer in answers) - sum(call.requests for call in calls) - 3 * BESIDE


async def record(folder: Path | None = None) -> str:
    """Set all ceilings to what the calls cost now; with `folder`, of the calls that assistants below it made."""
    calls = _made(folder) if folder else load()
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        await build(base, own())
        made = list(zip(calls, await replayed(calls, base), strict=True))
    kept = [
        Recorded(call.name, call.arguments, _ceiling(len(answer.text)), answer.requests)
        for call, answer in made
        if not answer.error
    ]
    lines = ",\n".join(json.dumps(asdict(each), ensure_ascii=False) for each in kept)
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")
    refused = "".join(f"\nleft out: {call.arguments}: {answer.text}" for call, answer in made if answer.error)
    return f"{len(kept)} calls, {sum(each.characters for each in kept):,} characters{refused}"


def _ceiling(characters: int) -> int:
    return math.ceil(characters * (1 + ROOM_TO_GROW) / 10) * 10


def _made(folder: Path) -> list[Recorded]:
    """The first calls of each task that can be made again: none with a cursor, about meetings or of a special room."""
    found: dict[str, Recorded] = {}
    for file in sorted(folder.rglob("worker.json")):
        taken: dict[str, int] = {}
        for call in records(file.parent / "calls.jsonl") if Worker.at(file.parent).arm == "tools" else ():
            task = TASKS[call["task"]]
            special = task.meetings or task.young or task.faults or "cursor" in call["arguments"] or call["error"]
            if not special and taken.setdefault(task.id, 0) < A_TASK:
                taken[task.id] += 1
                made = Recorded(call["name"], call["arguments"])
                found.setdefault(json.dumps([made.name, made.arguments], sort_keys=True), made)
    return list(found.values())
