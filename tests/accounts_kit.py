"""What the tests of many accounts share: people who are known, their words, and a pool over their sandboxes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx

from omi_mcp.accounts import Caller, KeyRefused, NoSuchAccount
from omi_mcp.clock import Clock
from omi_mcp.mirror.types import Filters
from omi_mcp.pool import LibraryPool
from omi_mcp.sandbox import Sandbox, Sandboxes
from omi_mcp.settings import Settings
from omi_mcp.tasks import beside
from tests.stores import storage

ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/New_York")


def talks(name: str, now: datetime, count: int) -> list[dict[str, Any]]:
    """Conversations in which everything names whose they are."""
    return [
        {
            "id": f"{name}-{number}",
            "started_at": (now - timedelta(hours=number + 1)).isoformat(),
            "title": f"Plan {number} of {name}",
            "overview": f"{name} and Cleo{name} talk about the plan.",
            "segments": [
                {"speaker": speaker, "text": f"This is what {name} said of the plan, sentence {line} of the talk."}
                for line, speaker in enumerate((name, f"Cleo{name}", name))
            ],
        }
        for number in range(count)
    ]


class People:
    """Implements `Accounts`: those of the sandboxes, called ana, ben and so on, as if they had signed in."""

    def __init__(self, data_dir: Path, boxes: dict[str, Sandbox]) -> None:
        self.asked = 0
        self.refusals: list[str] = []
        self.slow: dict[str, float] = {}
        self.known = {
            name: Settings(
                timezone=ZoneInfo(ZONES[place % len(ZONES)]),
                data_dir=data_dir,
                api_key=box.key,
                base_url=box.base_url,
                account_id=name,
                user_name=name,
            )
            for place, (name, box) in enumerate(boxes.items())
        }

    async def settings(self, account_id: str) -> Settings:
        self.asked += 1
        await anyio.sleep(self.slow.get(account_id, 0))
        if account_id not in self.known:
            raise NoSuchAccount
        if self.known[account_id].api_key in self.refusals:
            raise KeyRefused
        return self.known[account_id]

    async def refused(self, account_id: str, api_key: str) -> None:
        self.refusals.append(api_key)

    def change(self, name: str, **fields: Any) -> None:
        self.known[name] = replace(self.known[name], **fields)


class Town:
    """Several accounts, the one address where their API is, and who signed in."""

    def __init__(self, data_dir: Path, *names: str, conversations: int = 3, **options: Any) -> None:
        self.boxes = {name: Sandbox(user=name, **options) for name in names}
        self.sandboxes = Sandboxes(list(self.boxes.values()))
        self.data_dir = data_dir
        self.people = People(data_dir, self.boxes)
        self.settings = Settings(timezone=ZoneInfo("UTC"), data_dir=data_dir)
        now = options["now"]() if "now" in options else datetime.now().astimezone()
        for name, box in self.boxes.items():
            box.load(talks(name, now, conversations))

    def pool(self, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> LibraryPool:
        return LibraryPool(
            self.people,
            self.settings,
            clock,
            transport=transport or self.sandboxes.transport(),
            storage=storage(),
            **options,
        )

    def files(self, name: str) -> list[str]:
        return sorted(file.name for file in self.data_dir.iterdir() if name in file.name)


@contextmanager
def town(data_dir: Path, *names: str, **options: Any) -> Iterator[Town]:
    built = Town(data_dir, *names, **options)
    try:
        yield built
    finally:
        built.sandboxes.close()


@asynccontextmanager
async def running(pool: LibraryPool) -> AsyncIterator[LibraryPool]:
    async with beside(pool.run):
        await anyio.lowlevel.checkpoint()
        yield pool


async def titles(pool: LibraryPool, name: str, words: str = "plan") -> list[str]:
    """What a search of this account finds."""
    async with pool.serving(Caller(name)) as app:
        found = await app.library.search(words, Filters(), limit=10)
    return sorted(str(match.stored.conversation.structured.title) for match in found.results.matches)
