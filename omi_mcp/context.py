"""What every request to the server is served with: the SDK hands it to tools, resources and prompts."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from omi_mcp.accounts import Caller
from omi_mcp.clock import Clock
from omi_mcp.settings import Settings

if TYPE_CHECKING:  # loaded behind the handshake
    from omi_mcp.library import Library


@dataclass(frozen=True)
class AppContext:
    """The open library of whoever makes the request, and that account's settings."""

    settings: Settings
    clock: Clock
    library: "Library"


class Libraries(Protocol):
    """The libraries that a server serves: one, or one for each account."""

    async def run(self) -> None:
        """Run them until cancelled."""
        ...

    def serving(self, caller: Caller) -> AbstractAsyncContextManager[AppContext]:
        """The caller's, which stays open for as long as the block lasts.

        Raises:
            NotServed: the caller is not known any more, or too much is being done at once.
        """
        ...

    async def settings(self, caller: Caller) -> Settings:
        """The settings of the caller's account; no library is opened for it.

        Raises:
            SignInAgain: the caller is not known any more.
        """
        ...


class OneLibrary:
    """The library of the settings' own account, which runs from the first request on that is served with it."""

    def __init__(self, settings: Settings, clock: Clock, make: "Callable[[], Library]") -> None:
        self._settings = settings
        self._clock = clock
        self._make = make
        self._wanted = anyio.Event()
        self._runs = anyio.Event()

    async def run(self) -> None:
        await self._wanted.wait()
        library = self._make()
        self._app = AppContext(self._settings, self._clock, library)
        async with library.running():
            self._runs.set()
            await anyio.sleep_forever()

    @asynccontextmanager
    async def serving(self, caller: Caller) -> AsyncIterator[AppContext]:
        self._wanted.set()
        await self._runs.wait()
        yield self._app

    async def settings(self, caller: Caller) -> Settings:
        return self._settings
