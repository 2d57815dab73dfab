"""Run as a program: mirrors the sandbox account in a folder, notes each request in a file, ends when all is copied."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import httpx

from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.clock import SystemClock
from omi_mcp.database import Database
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync import Scheduler
from omi_mcp.sandbox import Sandbox


class LaterClock(SystemClock):
    """Runs ahead, so that a lease of the process before this one is over."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


class NotingTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, notes: Path) -> None:
        self._inner = inner
        self._notes = notes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._notes.open("a") as notes:
            notes.write(f"{request.url.query.decode()}\n")
        return await self._inner.handle_async_request(request)


async def main(folder: Path, start: int) -> None:
    clock = LaterClock(timedelta(minutes=start))
    sandbox = Sandbox(folder / "api.sqlite3")
    database = Database(folder / "mirror.sqlite3")
    store = Store(database, clock)
    transport = NotingTransport(sandbox.transport(), folder / "requests.txt")
    client = OmiClient(sandbox.base_url, sandbox.key, clock=clock, transport=transport)
    sync = Scheduler(client, store, Budget(database, clock), clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sync.run)
        while (await sync.standing()).remains is not None:  # noqa: ASYNC110 - that is what it is for
            await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    await client.aclose()
    database.close()
    sandbox.close()


anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
