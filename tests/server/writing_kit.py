"""What the tests of writes share: a server over a sandbox in virtual time, and the truth to compare answers with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from hosting import first_cause, segments_of, text_of
from mcp import Client
from mcp.client.client import ConnectMode
from mcp.client.session import ElicitationFnT
from virtual_time import VirtualClock

from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

TOOLS = ("create_from_text", "create_from_segments")


class Account:
    """An account in a sandbox, and servers that use it; `break_down` says what goes wrong on the way."""

    def __init__(self, data_dir: Path, *, seed: int = 0) -> None:
        self.clock = VirtualClock()
        self.sandbox = Sandbox(now=self.clock.now, seed=seed)
        self._data_dir = data_dir

    def break_down(self, spec: str) -> None:
        self.sandbox.faults = Faults.parse(spec)

    @asynccontextmanager
    async def server(
        self,
        mode: ConnectMode = "auto",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        elicitation: ElicitationFnT | None = None,
        **changes: Any,
    ) -> AsyncIterator[Client]:
        """A client of a new server; `elicitation` answers for a person whose host can ask."""
        given: dict[str, Any] = {
            "timezone": ZoneInfo("Europe/Berlin"),
            "data_dir": self._data_dir,
            "api_key": self.sandbox.key,
            "base_url": self.sandbox.base_url,
        }
        settings = Settings(**(given | changes))
        server = build_server(settings, self.clock, transport=transport or self.sandbox.transport())
        client = Client(server, mode=mode, elicitation_callback=elicitation)
        try:
            async with client:
                yield client
        except BaseExceptionGroup as group:
            raise first_cause(group) from None

    def saved(self) -> list[str]:
        """Every conversation there is, hidden ones too."""
        return sorted(self.sandbox.ids(listable=False))

    def sent(self, method: str, ending: str = "") -> int:
        """How many requests of that kind arrived."""
        return sum(r.method == method and r.path.endswith(ending) for r in self.sandbox.requests)


def create(tool: str, subject: str) -> dict[str, Any]:
    """Arguments of a create that differ by subject."""
    if tool == "create_from_text":
        return {"text": f"Notes about {subject}. We sell the boat to the doctor."}
    return {"segments": segments_of(subject)}


async def said(client: Client, tool: str, **arguments: Any) -> str:
    """What the model is told, right or wrong."""
    return text_of(await client.call_tool(tool, arguments))


async def outcome(account: Account, client: Client, tool: str, **arguments: Any) -> str:
    """What the model is told in the end, if it makes the same call again as often and as late as it is told to."""
    while "Not finished yet" in (answer := await said(client, tool, **arguments)):
        await account.clock.sleep(120)
    return answer
