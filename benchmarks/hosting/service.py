"""The Omi API of all accounts, as a process of its own; afterwards it tells what it holds and what it refused.

python -m benchmarks.hosting.service PORT ACCOUNTS CONVERSATIONS PAUSE BOOST
"""

import json
import logging
import random
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from benchmarks.hosting import accounts
from omi_mcp.sandbox import Sandbox, Sandboxes
from omi_mcp.sandbox.serve import serving

HELD = "/benchmark/held"


class Service:
    """The sandboxes with the service's hourly limits. `pause`: how long it works on a create, seconds, at most."""

    def __init__(self, count: int, conversations: int, pause: float, boost: int) -> None:
        now = datetime.now(UTC)
        dice = random.Random(count)
        self._boxes = []
        for number in range(count):
            box = Sandbox(limits="real", boost=boost, user=f"user-{number}", key=accounts.key(number))
            box.load(accounts.talks(number, conversations, now))
            if pause:
                box.pause = lambda: anyio.sleep(dice.uniform(0, pause))
            self._boxes.append(box)
        self._by_key = {box.key: number for number, box in enumerate(self._boxes)}
        self._answered: dict[int, Counter[str]] = defaultdict(Counter)
        self.sandboxes = Sandboxes(self._boxes)
        self._app = self.sandboxes.app
        self.sandboxes.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HELD:
            await JSONResponse(self._held(Request(scope)))(scope, receive, send)
            return
        bearer = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        told = self._answered[self._by_key.get(bearer, -1)]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                told[f"{scope['method']} {message['status']}"] += 1
            await send(message)

        await self._app(scope, receive, noting)

    def _held(self, request: Request) -> list[dict[str, Any]]:
        """Of some accounts: what was created since, whose words are where they must not be, the answers."""
        told = []
        for number in range(int(request.query_params["first"]), int(request.query_params["end"])):
            box, own = self._boxes[number], {accounts.mark(number)}
            records = {each: box.record(each) for each in box.ids(listable=False)}
            told.append(
                {
                    "created": {
                        each: record["text"] or record["structured"]["title"]
                        for each, record in records.items()
                        if not each.startswith("own")
                    },
                    "strangers": sum(accounts.marks(json.dumps(record)) != own for record in records.values()),
                    "answers": self._answered[number],
                }
            )
        return told


async def main(port: int, count: int, conversations: int, pause: float, boost: int) -> None:
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it reports each request whose client was killed
    service = Service(count, conversations, pause, boost)
    async with serving(service.sandboxes, port):
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *map(int, sys.argv[1:4]), float(sys.argv[4]), int(sys.argv[5]))
