"""A hundred thousand calls with faults, in one process: does the server grow?

    python benchmarks/soak.py [--calls 100000] [--seed 0]

One server and one client in process, on a sandbox with the sample library that breaks requests at random; reads,
searches, renames, hiding and restoring, creates (each deleted again, so that the account does not grow), resources,
wrong arguments and cancelled calls, in virtual time. The sandbox keeps its last 10,000 requests in the same process; it
is filled up before the first call. Resident memory, open files and threads are read after the first
5,000 calls and at the end. The last line is JSON; exits with 1 when memory has grown by more than 10 %, or files,
threads or temporary files at all.
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent

from omi_mcp.sandbox import REMEMBERED_REQUESTS, Faults, Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from virtual_time import VirtualClock, run

FAULTS = (
    "refuse*0.01, drop-before*0.01, drop-during=20*0.01, drop-after*0.02, reset*0.01, hang*0.005, delay=5*0.01, "
    "500*0.01, 503*0.01, 504*0.01, truncate*0.01, html*0.01, mistype*0.01"
)
WARM = 5_000
GROWTH_BAR = 1.10
WORDS = ("budget", "doctor", "launch", "dinner", "pricing", "garden", "school", "server", "holiday", "ferry")


class Footprint:
    """What the process holds now. On systems without /proc only threads and temporary files are counted."""

    def __init__(self) -> None:
        gc.collect()
        proc = Path("/proc/self")
        pages = int((proc / "statm").read_text().split()[1]) if proc.exists() else 0
        self.memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else 0.0
        self.files = len(list((proc / "fd").iterdir())) if proc.exists() else 0
        self.threads = threading.active_count()
        self.temporary = sum(1 for _ in Path(tempfile.gettempdir()).rglob("*"))


class Mix:
    """The calls, as they come."""

    def __init__(self, sandbox: Sandbox, client: Client, rng: random.Random) -> None:
        self._sandbox = sandbox
        self._client = client
        self._rng = rng
        self._known = sandbox.ids()
        self.count: Counter[str] = Counter()

    async def one(self) -> None:
        kind = self._rng.choices(
            ("search", "get", "resource", "rename", "hide", "create", "wrong", "cancelled"), (30, 30, 10, 6, 5, 9, 5, 5)
        )[0]
        self.count[kind] += 1
        await getattr(self, f"_{kind}")()

    async def _call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await self._client.call_tool(tool, arguments)
        self.count["refused" if result.is_error else "answered"] += 1
        return result

    async def _search(self) -> None:
        await self._call("search_conversations", query=" ".join(self._rng.sample(WORDS, 2)))

    async def _get(self) -> None:
        await self._call("get_conversation", conversation_id=self._rng.choice(self._known), find="launch")

    async def _resource(self) -> None:
        try:
            await self._client.read_resource(f"omi://conversations/{self._rng.choice(self._known)}/transcript")
        except MCPError:
            self.count["refused"] += 1

    async def _rename(self) -> None:
        number = self._rng.randrange(1_000)
        await self._call("update_title", conversation_id=self._rng.choice(self._known), title=f"Title {number}")

    async def _hide(self) -> None:
        conversation_id = self._rng.choice(self._known)
        await self._call("discard", conversation_id=conversation_id)
        await self._call("discard", conversation_id=conversation_id, restore=True)

    async def _create(self) -> None:
        """Make one and delete it; what a lost answer left behind is taken away in the app."""
        number = self._rng.randrange(1_000)
        if number % 2:
            title = f"Report {number} on the garden"
            result = await self._call("create_from_text", text=f"{title}.", allow_duplicate=True)
        else:
            title = f"Recording {number} of the talk about the garden"
            result = await self._call("create_from_segments", segments=[{"text": f"{title}.", "start": 0, "end": 4}])
        if isinstance(made := result.content[0], TextContent) and not result.is_error:
            await self._call("delete_conversation", conversation_id=json.loads(made.text)["id"], confirm_title=title)
        for conversation_id in set(self._sandbox.ids(listable=False)) - set(self._known):
            self._sandbox.delete(conversation_id)

    async def _wrong(self) -> None:
        await self._call("get_conversation", conversation_id="../keys")

    async def _cancelled(self) -> None:
        with anyio.move_on_after(self._rng.random() * 0.01):
            await self._search()


async def soak(calls: int, seed: int, data_dir: Path) -> dict[str, Any]:
    clock = VirtualClock()
    sandbox = Sandbox(now=clock.now, seed=seed)
    sandbox.load_sample()
    settings = Settings(
        timezone=ZoneInfo("UTC"),
        data_dir=data_dir,
        api_key=sandbox.key,
        base_url=sandbox.base_url,
        allow_delete=True,
        log_level="ERROR",
    )
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url=sandbox.base_url) as filling:
        for _ in range(REMEMBERED_REQUESTS):
            await filling.get("/v1/dev/user/conversations", params={"start_date": "2025-03-14T09:30:00.000456Z"})
    sandbox.faults = Faults.parse(FAULTS)
    async with Client(build_server(settings, clock, transport=sandbox.transport()), mode="legacy") as client:
        mix = Mix(sandbox, client, random.Random(seed))
        for _ in range(min(WARM, calls)):
            await mix.one()
        warm = Footprint()
        for done in range(WARM, calls):
            await mix.one()
            if done % 10_000 == 0:
                print(f"{done:>7} calls, {Footprint().memory:.1f} MB", file=sys.stderr)
        end = Footprint()
    sandbox.close()
    return {
        "calls": calls,
        "kinds": dict(sorted(mix.count.items())),
        "memory_warm_mb": round(warm.memory, 1),
        "memory_end_mb": round(end.memory, 1),
        "files": [warm.files, end.files],
        "threads": [warm.threads, end.threads],
        "temporary_files": [warm.temporary, end.temporary],
        "passed": end.memory <= warm.memory * GROWTH_BAR
        and end.files <= warm.files
        and end.threads <= warm.threads
        and end.temporary <= warm.temporary,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # only what this process leaves is counted
        data_dir = Path(folder) / "data"
        report = run(soak, options.calls, options.seed, data_dir)
    report["seconds"] = round(time.monotonic() - began, 1)
    for name, value in report.items():
        print(f"{name:<18} {value}")
    print(json.dumps(report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
