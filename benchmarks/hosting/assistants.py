"""Assistants: MCP clients of both eras that search, read, list, rename and create, and check whose every answer is."""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio.lowlevel
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, TextContent

from benchmarks.hosting.accounts import SUBJECTS, THINGS, mark, marks, note

MODES = ("legacy", "2026-07-28")
"""With an initialize handshake, a session and a standing stream; and without any of it."""

SHARES = {"search": 52, "read": 28, "list": 12, "title": 3, "create": 3, "foreign": 2}
CALLS = (4, 8)
"""In one visit of an assistant to an account."""

WRITES_EACH = 20
"""Of the 25 an hour that the service allows an account; beyond these nothing is written for it."""

MOST_VISITORS = 12
"""Assistants that are at one account; a server takes 16 calls of one at once."""

PATIENCE_SECONDS = 90.0


class Failed(Exception):
    """A call without an answer: what became of it."""


@dataclass
class Tally:
    """What came of the calls; times in seconds."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    written: Counter[int] = field(default_factory=Counter)
    """Writes of each account."""
    visitors: Counter[int] = field(default_factory=Counter)
    created: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Of each account: what was said to be created, the text by its id."""

    def check(self, kind: str, text: str, number: int, *, empty: bool = False) -> None:
        """Count an answer that holds another's words, or, where it is not `empty`, none of the caller's."""
        found = marks(text)
        if found - {mark(number)}:
            self.wrong[f"{kind}: the words of another account"] += 1
        if not found and not empty:
            self.wrong[f"{kind}: none of the caller's own words"] += 1


class Host:
    """What one assistant connects with: an HTTP client of its own, as each host has."""

    def __init__(self, address: str) -> None:
        self._url = f"{address}/mcp"
        self._salt = address.rpartition(":")[2]
        self._wire = httpx2.AsyncClient(verify=False, timeout=httpx2.Timeout(PATIENCE_SECONDS, connect=5))

    async def __aenter__(self) -> "Host":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.aclose()

    @asynccontextmanager
    async def connected(self, token: str, mode: str) -> AsyncIterator["Connection"]:
        """Raises Failed, also where the connection breaks under the block."""
        self._wire.headers["Authorization"] = f"Bearer {token}"
        try:
            transport = streamable_http_client(self._url, http_client=self._wire)
            async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE_SECONDS) as client:
                yield Connection(client, self._salt)
        except BaseExceptionGroup as group:
            failures, others = group.split(lambda error: isinstance(error, (MCPError, httpx2.HTTPError, Failed)))
            if others is not None or failures is None:
                raise
            raise _failed(_first(failures)) from None
        except (MCPError, httpx2.HTTPError) as error:
            raise _failed(error) from None


class Connection:
    def __init__(self, client: Client, salt: str) -> None:
        """`salt`: in texts that no other server is told."""
        self.client = client
        self.salt = salt

    async def call(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """What the tool says, and whether that is an error. Raises Failed.

        As `Client.call_tool`, without checking the answer's schema: with it, four fifths of the time are the client's.
        """
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
        try:
            result = await self.client.session.send_request(request, CallToolResult)
        except (MCPError, httpx2.HTTPError) as error:
            raise _failed(error) from None
        return "".join(each.text for each in result.content if isinstance(each, TextContent)), bool(result.is_error)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _failed(error: BaseException) -> Failed:
    return error if isinstance(error, Failed) else Failed(f"{type(error).__name__}: {str(error)[:100]}")


async def assist(address: str, tokens: Sequence[str], tally: Tally, ends: float, seed: int) -> None:
    """One assistant: visits account after account until `ends`, a time of `time.monotonic`."""
    dice = random.Random(seed)
    async with Host(address) as host:
        while time.monotonic() < ends:
            number = dice.randrange(len(tokens))
            if tally.visitors[number] >= MOST_VISITORS:
                await anyio.lowlevel.checkpoint()
                continue
            tally.visitors[number] += 1
            began = time.perf_counter()
            try:
                async with host.connected(tokens[number], dice.choice(MODES)) as connection:
                    await connection.client.list_tools()
                    tally.times["connect"].append(time.perf_counter() - began)
                    await _Visit(connection, number, len(tokens), tally, dice).run()
            except Failed as error:
                tally.errors[str(error)] += 1
            finally:
                tally.visitors[number] -= 1


class _Visit:
    """A few calls for one account."""

    def __init__(self, connection: Connection, number: int, others: int, tally: Tally, dice: random.Random) -> None:
        self._connection = connection
        self._number = number
        self._others = others
        self._tally = tally
        self._dice = dice
        self._ids = [f"{mark(number)}-0"]

    async def run(self) -> None:
        kinds, weights = list(SHARES), list(SHARES.values())
        for _ in range(self._dice.randint(*CALLS)):
            (kind,) = self._dice.choices(kinds, weights)
            if kind in ("title", "create") and self._tally.written[self._number] >= WRITES_EACH:
                kind = "search"
            await getattr(self, f"_{kind}")()

    async def _search(self) -> None:
        words = f"{self._dice.choice(SUBJECTS)} {self._dice.choice(THINGS)}"
        self._note_ids(await self._call("search", "search_conversations", {"query": words, "limit": 5}))

    async def _list(self) -> None:
        self._note_ids(await self._call("list", "search_conversations", {"limit": 10}))

    async def _read(self) -> None:
        await self._call("read", "get_conversation", {"conversation_id": self._dice.choice(self._ids)})

    async def _title(self) -> None:
        title = f"Renamed {self._dice.randrange(10**9)} of {mark(self._number)}"
        conversation_id = f"{mark(self._number)}-{self._dice.randrange(10)}"
        self._tally.written[self._number] += 1
        arguments = {"conversation_id": conversation_id, "title": title}
        await self._call("title", "update_title", arguments)

    async def _create(self) -> None:
        text = note(self._number, f"{self._connection.salt} {self._dice.randrange(10**9)}", self._dice)
        self._tally.written[self._number] += 1
        made = await self._call("create", "create_from_text", {"text": text}, empty=True)
        self._tally.created[self._number][made["id"]] = text

    async def _foreign(self) -> None:
        """Another account's words are looked for, and one of its conversations is asked for: there must be none."""
        another = mark((self._number + self._dice.randrange(1, self._others)) % self._others)
        words = {"query": f'"{another}"'}
        await self._call("foreign", "search_conversations", words, empty=True, key="conversations")
        _, refused = await self._connection.call("get_conversation", {"conversation_id": f"{another}-1"})
        if not refused:
            self._tally.wrong["foreign: read"] += 1

    async def _call(
        self, kind: str, tool: str, arguments: dict[str, Any], *, empty: bool = False, key: str | None = None
    ) -> dict[str, Any]:
        """What is answered; of it `key` is looked at for others' words, or all of it: what was asked for is repeated
        in notes."""
        began = time.perf_counter()
        text, refused = await self._connection.call(tool, arguments)
        self._tally.times[kind].append(time.perf_counter() - began)
        if refused:
            raise Failed(f"{tool}: {text[:120]}")
        answer: dict[str, Any] = json.loads(text)
        self._tally.check(kind, json.dumps(answer[key]) if key else text, self._number, empty=empty)
        return answer

    def _note_ids(self, answer: dict[str, Any]) -> None:
        self._ids = [each["id"] for each in answer["conversations"]] or self._ids
