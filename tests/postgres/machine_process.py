"""Run as a program: one of several machines that serve `ana`, with the API of a sandbox in a file that all use.

A line on standard input is something to do: `["search"]`, `["create", TEXT]`, `["rename", ID, TITLE]`, `["title", ID]`.
Each is answered by a line of JSON when it is done. That the API has made a conversation is told at once, its answer
held back.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx

from omi_mcp.accounts import Caller
from omi_mcp.api.drafts import TextDraft
from omi_mcp.clock import SystemClock
from omi_mcp.library import Library
from omi_mcp.mirror.types import Filters
from omi_mcp.pool import LibraryPool
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.queue import CopyQueue
from omi_mcp.postgres.storage import Replicas
from omi_mcp.sandbox import Sandbox
from tests.accounts_kit import People, running
from tests.virtual_time import START


class Api(httpx.AsyncBaseTransport):
    """Takes its time with everything, and longer to answer a create than to carry it out."""

    def __init__(self, inner: httpx.AsyncBaseTransport, seconds: float, create_seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self._create_seconds = create_seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(self._seconds)
        answer = await self._inner.handle_async_request(request)
        if request.method == "POST":
            await answer.aread()
            say({"made": True})
            await anyio.sleep(self._create_seconds)
        return answer


def say(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


async def do(library: Library, what: str, *given: str) -> Any:
    if what == "search":
        found = await library.search("plan", Filters(), limit=50)
        return found.results.total
    if what == "create":
        draft = TextDraft(text=given[0], started_at=START, language="en")
        created = await library.create_from_text(draft, dated=True)
        return {"id": created.receipt.id, "repeated": created.repeated}
    if what == "rename":
        await library.update_title(*given)
        return given[1]
    return (await library.get(given[0], transcript=False)).stored.conversation.structured.title


async def main(url: str, folder: Path, api: Path, seconds: float, create_seconds: float) -> None:
    folder.mkdir(exist_ok=True)
    box = Sandbox(api)
    postgres = Postgres(url)
    people = People(folder, {"ana": box})
    pool = LibraryPool(
        people,
        replace(people.known["ana"], account_id=None),
        postgres.clock(SystemClock()),
        transport=Api(box.transport(), seconds, create_seconds),
        storage=Replicas(postgres, most=10**9),
        queue=CopyQueue(postgres),
    )

    async def answer(what: list[str]) -> None:
        try:
            async with pool.serving(Caller("ana")) as app:
                say({"done": await do(app.library, *what)})
        except Exception as error:
            say({"failed": type(error).__name__})

    async with running(pool), anyio.create_task_group() as tasks:
        say({"ready": True})
        async for line in anyio.wrap_file(sys.stdin):
            tasks.start_soon(answer, json.loads(line))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
