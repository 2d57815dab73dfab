"""Where one task is worked on: a sandbox of its own, and what an assistant has in one arm.

`build` makes the base once: a sandbox's file and a mirror that the server itself has copied from it. A room is a copy
of both, so that what one assistant writes is in nobody else's way, and costs no copying through the API.
"""

import json
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import anyio
import anyio.lowlevel
import httpx
from mcp import Client
from mcp.types import TextContent

from benchmarks.assistants import raw
from benchmarks.assistants.corpus import TODAY, ZONE
from benchmarks.assistants.keys import State
from benchmarks.assistants.tasks import Task
from omi_mcp.library import Library
from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

Arm = Literal["tools", "raw"]
ARMS: tuple[Arm, ...] = get_args(Arm)

KEY = "omi_dev_evaluation"
BEFORE = timedelta(hours=48)
"""How long before the evaluation's day and time the mirror is begun."""

LEFT = timedelta(hours=2)
"""How long before it was last kept in step."""

BEFOREHAND = "titles.json"
"""The titles in a room before anything was done there."""

LONG = 30.0
"""A wait of so many seconds while copying means that the API wants no more for now."""

SPENT_ELSEWHERE = 18
"""Reads with transcripts that another program has made with the same key in the hour of a young mirror."""

INTRODUCTION = f"""\
It is {TODAY:%A, %d %B %Y, %H:%M} in Hamburg ({ZONE.key}). The user is Maya Lindqvist; "I" in a question is her.\
"""


class RunningClock:
    """The evaluation's time: it goes on as real time does."""

    def __init__(self, start: datetime) -> None:
        self._start = start.astimezone(UTC)
        self._opened = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._opened)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class SkippingClock(RunningClock):
    """While copying: up to `until` waiting takes no time. From then on it does, and `held_up` tells of a long wait."""

    def __init__(self, start: datetime, until: datetime) -> None:
        super().__init__(start)
        self._until = until
        self.held_up = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        if left := max(0.0, (self._until - self.now()).total_seconds()):
            self._start += timedelta(seconds=min(seconds, left))
            await anyio.lowlevel.checkpoint()
            return
        if seconds > LONG:
            self.held_up.set()
        await anyio.sleep(seconds)


def settings(sandbox: Sandbox, folder: Path) -> Settings:
    return Settings(timezone=ZONE, data_dir=folder, api_key=sandbox.key, base_url=sandbox.base_url, mirror="disk")


async def copied(sandbox: Sandbox, folder: Path) -> None:
    """Have the server copy all of the account into a mirror in `folder`."""
    clock = SkippingClock(TODAY - BEFORE, TODAY - LEFT)
    library = Library(settings(sandbox, folder), transport=sandbox.transport(), clock=clock)
    async with library.running():
        await library.sync()
        while (await library.standing()).remains is not None:  # noqa: ASYNC110 - no other sign
            await anyio.sleep(0.05)
        await clock.held_up.wait()


async def build(base: Path, lines: Iterable[dict[str, Any]], *, meetings: bool = False) -> int:
    """Make the base in `base`, of the sample library and `lines`; gives the number of conversations."""
    _empty(base)
    with Sandbox(base / "sandbox.sqlite3", now=lambda: TODAY, key=KEY) as sandbox:
        count = sandbox.load_sample() + sandbox.load(lines)
        await copied(sandbox, base / "whole")
    (base / "base.json").write_text(json.dumps({"conversations": count, "meetings": meetings}), "utf-8")
    begun = TODAY - timedelta(minutes=6)
    clock = SkippingClock(begun, begun)
    with Sandbox(base / "sandbox.sqlite3", now=clock.now, limits="real", key=KEY) as sandbox:
        async with httpx.AsyncClient(transport=sandbox.transport(), base_url=sandbox.base_url) as other:
            for _ in range(SPENT_ELSEWHERE):
                await other.get(raw.PATH, params={"include_transcript": "true"}, headers=raw.headers(sandbox.key))
        library = Library(settings(sandbox, base / "young"), transport=sandbox.transport(), clock=clock)
        async with library.running():
            await library.sync()
            await clock.held_up.wait()
    return count


@dataclass(frozen=True)
class Answered:
    """What one call gave: the text as the model gets it, and the requests it cost."""

    text: str
    error: bool
    requests: int


class Offer(Protocol):
    """What an arm offers."""

    async def definitions(self) -> list[dict[str, Any]]: ...

    async def instructions(self) -> str: ...

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]: ...


class ToolsOffer:
    """The server's tools, as a host lists and calls them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def definitions(self) -> list[dict[str, Any]]:
        return [
            {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
            for tool in (await self._client.list_tools()).tools
        ]

    async def instructions(self) -> str:
        return self._client.instructions or ""

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        result = await self._client.call_tool(name, arguments)
        text = "".join(block.text for block in result.content if isinstance(block, TextContent))
        return text, bool(result.is_error)


class Room:
    """One task's sandbox and one arm's offer over it."""

    def __init__(self, offer: Offer, sandbox: Sandbox) -> None:
        self.offer = offer
        self.sandbox = sandbox
        self._counted = len(sandbox.requests)

    async def call(self, name: str, arguments: dict[str, Any]) -> Answered:
        try:
            text, error = await self.offer.call(name, arguments)
        except Exception as failure:  # a host shows it to the model as well
            text, error = f"{type(failure).__name__}: {failure}", True
        requests, self._counted = len(self.sandbox.requests) - self._counted, len(self.sandbox.requests)
        return Answered(text, error, requests)


def _empty(base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)


def _furnished(folder: Path, base: Path, arm: Arm, task: Task) -> tuple[bool, timedelta]:
    """Whether the room is new, and how long ago it was opened first."""
    first = not folder.exists()
    if first:
        folder.mkdir(parents=True)
        shutil.copy(base / "sandbox.sqlite3", folder)
        if arm == "tools":
            shutil.copytree(base / ("young" if task.young else "whole"), folder / "data")
        (folder / "opened").write_text(str(time.time()), "utf-8")
    return first, timedelta(seconds=time.time() - float((folder / "opened").read_text("utf-8")))


@asynccontextmanager
async def opened(folder: Path, base: Path, arm: Arm, task: Task) -> AsyncIterator[Room]:
    """The room of `task` in `folder`, as it was left when it is there already."""
    first, since = _furnished(folder, base, arm, task)
    clock = RunningClock(TODAY + since)
    with Sandbox(folder / "sandbox.sqlite3", now=clock.now, limits="real", key=KEY) as sandbox:
        if first:
            task.arrange(sandbox)
            sandbox.faults = Faults.parse(task.faults)
            _note_titles(folder, sandbox)
        if arm == "tools":
            server = build_server(settings(sandbox, folder / "data"), clock, transport=sandbox.transport())
            async with Client(server) as client:
                yield Room(ToolsOffer(client), sandbox)
        else:
            async with raw.offer(sandbox) as offer:
                yield Room(offer, sandbox)


def state(folder: Path) -> State:
    """How the sandbox of a room that is closed differs from what it was."""
    before: dict[str, str] = json.loads((folder / BEFOREHAND).read_text("utf-8"))
    with Sandbox(folder / "sandbox.sqlite3", key=KEY) as sandbox:
        now = set(sandbox.ids(listable=False))
        unlisted = (before.keys() & now) - set(sandbox.ids())
        hidden = sorted(each for each in unlisted if sandbox.record(each)["discarded"])  # others may be processed yet
        records = {each: sandbox.record(each) for each in now - before.keys()}
        titles = _titles(sandbox)
    return State(
        created=[_summary(record) for record in records.values()],
        renamed={each: title for each, title in titles.items() if each in before and title != before[each]},
        hidden=hidden,
        deleted=sorted(before.keys() - now),
    )


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    said = [f"{each['speaker_name']}: {each['text']}" for each in record["transcript_segments"] or ()]
    return {
        "id": record["id"],
        "title": record["structured"]["title"],
        "text": record["text"] or "\n".join(said),
        "started_at": record["started_at"],
        "discarded": record["discarded"],
    }


def _note_titles(folder: Path, sandbox: Sandbox) -> None:
    (folder / BEFOREHAND).write_text(json.dumps(_titles(sandbox)), "utf-8")


def _titles(sandbox: Sandbox) -> dict[str, str]:
    return {each: sandbox.record(each)["structured"]["title"] for each in sandbox.ids(listable=False)}


def conversations_in(text: str) -> Iterable[tuple[str, int]]:
    """The conversations an answer shows in its JSON, each with the characters it takes there."""
    try:
        answer = json.loads(text)
    except ValueError:
        return []
    shown: Sequence[Any] = answer if isinstance(answer, list) else answer.get("conversations") or [answer]
    return [
        (each["id"], len(json.dumps(each, ensure_ascii=False, separators=(",", ":"))))
        for each in shown
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    ]
