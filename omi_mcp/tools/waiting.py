"""Keeping a host patient, and answering before it gives up: most do after a call has taken a minute."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import Context

from omi_mcp.api.errors import TimeUp
from omi_mcp.clock import Clock
from omi_mcp.tasks import beside

WAITING = "Waiting for Omi"

BEAT_SECONDS = 10.0

ANSWER_SECONDS = 45.0
"""How long a call may take."""


@asynccontextmanager
async def kept_posted(
    ctx: Context[Any],
    clock: Clock,
    message: str | Callable[[], str],
    *,
    seconds: float = ANSWER_SECONDS,
    after: float = 0.0,
) -> AsyncIterator[None]:
    """Report progress, in seconds waited, for as long as the block runs, which is `seconds` at most.

    `after` is how long the same call may have waited before: what is reported has to grow.

    Raises:
        TimeUp: the block took too long.
    """
    late = False

    async def beat() -> None:
        waited = after
        while True:
            await clock.sleep(BEAT_SECONDS)
            waited += BEAT_SECONDS
            try:
                await ctx.report_progress(waited, None, message if isinstance(message, str) else message())
            except Exception:
                return  # the client has gone, which is not for progress to find out

    async def limit() -> None:
        nonlocal late
        await clock.sleep(seconds)
        late = True
        scope.cancel()

    done = False
    async with beside(beat, limit) as scope:
        yield
        done = True
    if late and not done:
        raise TimeUp(f"not done in {seconds:.0f} seconds")
