"""What every request to the server is served with: the SDK hands it to tools, resources and prompts."""

from typing import TYPE_CHECKING

import anyio

from omi_mcp.clock import Clock
from omi_mcp.settings import Settings

if TYPE_CHECKING:  # loaded behind the handshake
    from omi_mcp.library import Library


class AppContext:
    """`library` is there, and runs, from the first request on that is no handshake."""

    library: "Library"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._given = anyio.Event()
        self._runs = anyio.Event()

    async def start(self, library: "Library") -> None:
        """Have `run` run the library, if it does not yet."""
        if not self._given.is_set():
            self.library = library
            self._given.set()
        await self._runs.wait()

    async def run(self) -> None:
        """Run the library, once it is given, until cancelled."""
        await self._given.wait()
        async with self.library.running():
            self._runs.set()
            await anyio.sleep_forever()
