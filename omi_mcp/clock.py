"""Time, injected: what the code reads as "now" and how it waits, so that tests can own both."""

from datetime import UTC, datetime
from typing import Protocol

import anyio


class Clock(Protocol):
    """The one source of time for everything that books, waits or stamps."""

    def now(self) -> datetime:
        """The present as an aware UTC datetime."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; cancellable."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
