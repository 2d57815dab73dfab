"""An event loop whose time jumps to the next thing that is waited for, as soon as nothing else can go on.

With it hours of sync pass in the time its work takes, deadlines and sleeps included, and always in the same order.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from omi_mcp import database

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

Result = TypeVar("Result")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for time to pass, lets it pass; unless threads are at work that may bring something first."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.threads: tuple[anyio.CapacityLimiter, ...] = ()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if any(limiter.borrowed_tokens for limiter in self.threads):
            return super().select(0.05)
        ready = super().select(0)
        if not ready:
            self.elapsed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.elapsed


class VirtualClock:
    """The clock of the running `VirtualLoop`: starts at `START`, and may be read from any thread."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.jumping.threads = database.threads(), anyio.to_thread.current_default_thread_limiter()
        self._time = loop.time

    def now(self) -> datetime:
        return START + timedelta(seconds=self._time())

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def run(main: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
    """`anyio.run` in virtual time."""
    return anyio.run(main, *arguments, backend_options={"loop_factory": VirtualLoop})


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError
