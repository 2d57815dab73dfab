"""From the records of assistants to the report: what passed, and what it cost, by kind and arm."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.assistants.keys import Answer, State, faults
from benchmarks.assistants.rooms import ARMS
from benchmarks.assistants.tasks import TASKS, Kind
from benchmarks.assistants.worker import Worker, read_shown, records

Z = 1.96


LOOKUPS = (Kind.FACT, Kind.DATE, Kind.NEWEST, Kind.WHO)
"""The kinds that ask for one thing that is there."""


@dataclass(frozen=True)
class Result:
    """One task as one assistant did it. `over` is what was read in conversations that are not cited."""

    task: str
    kind: Kind
    arm: str
    wrong: tuple[str, ...]
    calls: int
    characters: int
    requests: int
    over: int


def results(folder: Path) -> list[Result]:
    """Of all assistants whose folders lie in `folder`."""
    found = []
    for file in sorted(folder.rglob("worker.json")):
        worker = Worker.at(file.parent)
        calls = records(file.parent / "calls.jsonl")
        for answered in records(file.parent / "answers.jsonl"):
            found.append(_result(worker.arm, answered, [each for each in calls if each["task"] == answered["task"]]))
    return found


def _result(arm: str, answered: dict[str, Any], calls: Sequence[dict[str, Any]]) -> Result:
    task = TASKS[answered["task"]]
    answer = Answer(answered["answer"], tuple(answered["cited"]), answered["not_found"])
    read = [shown for call in calls for shown in read_shown(call)]
    return Result(
        task=task.id,
        kind=task.kind,
        arm=arm,
        wrong=tuple(faults(task.keys, answer, State(**answered["state"]))),
        calls=len(calls),
        characters=sum(call["characters"] for call in calls),
        requests=sum(call["requests"] for call in calls),
        over=sum(size for name, size in read if name not in answer.cited),
    )


def wilson(passed: int, asked: int) -> tuple[float, float]:
    """The 95 per cent interval of a share."""
    if not asked:
        return 0.0, 1.0
    share, square = passed / asked, Z * Z
    middle = share + square / (2 * asked)
    spread = Z * math.sqrt(share * (1 - share) / asked + square / (4 * asked * asked))
    return (middle - spread) / (1 + square / asked), (middle + spread) / (1 + square / asked)


def figures(found: Sequence[Result]) -> dict[str, Any]:
    passed = sum(not result.wrong for result in found)
    low, high = wilson(passed, len(found))
    return {
        "asked": len(found),
        "passed": passed,
        "interval": [round(100 * low), round(100 * high)],
        **{name: _median(getattr(result, name) for result in found) for name in COSTS},
    }


COSTS = ("calls", "characters", "requests", "over")


def _median(values: Iterable[int]) -> float:
    listed = list(values)
    return median(listed) if listed else 0


def report(found: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Figures by arm and then by kind, of all lookups, and `in all`; costs are medians a task."""
    arms = [arm for arm in ARMS if any(result.arm == arm for result in found)]
    return {
        arm: {kind.value: figures([each for each in found if each.arm == arm and each.kind is kind]) for kind in Kind}
        | {"lookups": figures([each for each in found if each.arm == arm and each.kind in LOOKUPS])}
        | {"in all": figures([each for each in found if each.arm == arm])}
        for arm in arms
    }


def table(found: Sequence[Result]) -> str:
    lines = [f"{'':22}{'arm':7}{'passed':>8}{'95 %':>11}" + "".join(f"{name:>12}" for name in COSTS)]
    by_arm = report(found)
    for kind in [*(kind.value for kind in Kind), "lookups", "in all"]:
        label = kind
        for arm, kinds in by_arm.items():
            row = kinds[kind]
            if not row["asked"]:
                continue
            low, high = row["interval"]
            share = f"{row['passed']}/{row['asked']}"
            costs = "".join(f"{row[name]:>12,.0f}" for name in COSTS)
            lines.append(f"{label:22}{arm:7}{share:>8}{f'{low}-{high}':>11}{costs}")
            label = ""
    lines.append("Costs are medians a task; over: characters read in conversations that are not cited.")
    lines += [f"{each.arm:6} {each.task}  {'; '.join(each.wrong)}" for each in found if each.wrong]
    return "\n".join(lines)
