"""Keeping a host patient: some give up on a call that says nothing for a minute."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from mcp.server.mcpserver import Context

from omi_mcp.clock import Clock

BEAT_SECONDS = 10.0


@asynccontextmanager
async def kept_posted(ctx: Context, clock: Clock, message: str) -> AsyncIterator[None]:
    """Report progress, in seconds waited, for as long as the block runs."""

    async def beat() -> None:
        waited = 0.0
        while True:
            await clock.sleep(BEAT_SECONDS)
            waited += BEAT_SECONDS
            try:
                await ctx.report_progress(waited, None, message)
            except Exception:
                return  # the client has gone, which is not for progress to find out

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        try:
            yield
        except Exception as error:
            failure = error  # to leave as itself, not in the group of the tasks
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
