"""Watching the copy being made: a bar at a terminal, and patience with the hourly limits."""

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta

from omi_mcp.commands.desk import CommandFailed, Desk
from omi_mcp.commands.failures import duration
from omi_mcp.commands.terminal import Bar, bar
from omi_mcp.library import Standing
from omi_mcp.mirror.sync.engine import ALLOWANCE_SPENT

LOOK_SECONDS = 0.5
WAIT_SECONDS = 30.0
"""How often it is looked how far the copy is: while it grows, and while it waits."""

WORTH_TELLING = 10.0
"""Seconds of a pause before a person is told."""

PATIENCE = timedelta(minutes=5)
"""How long the API may fail before a command gives up; the hourly limit is waited for however long it takes."""

A_PAGE, PAGES_AN_HOUR = 25, 24
"""OMI API: transcripts in one request, and such requests an hour, nearly."""

Step = Callable[[Standing], Awaitable[bool]]
"""Called at each look; True ends it."""


async def follow(desk: Desk, *, wait: bool, step: Step | None = None) -> Standing:
    """Watch until everything is copied or `step` has enough, or until it cannot go on and `wait` is False.

    Raises:
        CommandFailed: the API has been failing for longer than `PATIENCE`.
    """
    failing_since = told = None
    with bar(desk.err) as progress:
        while True:
            standing = await desk.library.standing()
            _show(progress, standing)
            enough = await step(standing) if step is not None else False
            if enough or standing.remains is None:
                return standing
            blocked = standing.progress.blocked
            if standing.remains > WORTH_TELLING or (blocked and blocked != ALLOWANCE_SPENT):
                if not wait:
                    return standing
                reason = blocked or ALLOWANCE_SPENT
                if reason != told:
                    told = reason
                    desk.note(_waiting(reason, standing))
            else:
                told = None
            if blocked is None or blocked == ALLOWANCE_SPENT:
                failing_since = None
            else:
                failing_since = failing_since or desk.clock.now()
                if desk.clock.now() - failing_since > PATIENCE:
                    raise CommandFailed(f"{blocked}; what was copied is kept, run this again to go on")
            await desk.clock.sleep(min(max(standing.remains, LOOK_SECONDS), WAIT_SECONDS))


def _show(progress: Bar, standing: Standing) -> None:
    counts = standing.counts
    if standing.progress.complete:
        progress.show("Transcripts", counts.transcripts + counts.locked, counts.conversations)
    else:
        progress.show("Summaries", counts.conversations, None)


def _waiting(reason: str, standing: Standing) -> str:
    pause = f"Waiting {duration(standing.remains or 1)}: {reason}."
    pages = math.ceil(standing.counts.pending / A_PAGE)
    if standing.progress.complete and pages > PAGES_AN_HOUR:
        pause += f" All transcripts will be here in about {duration(pages / PAGES_AN_HOUR * 3600)}."
    return pause + " Ctrl-C stops; nothing is lost."
