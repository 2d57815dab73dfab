"""Watching the copy being made: a bar at a terminal, and patience with the hourly limits."""

import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from omi_mcp.api.budget import Allowance
from omi_mcp.library import Standing
from omi_mcp.mirror.types import Obstacle
from omi_mcp.terminal.output import Bar, bar
from omi_mcp.terminal.session import CommandFailed, Session
from omi_mcp.views.notes import OBSTACLES
from omi_mcp.views.text import duration

LOOK_SECONDS = 0.5
WAIT_SECONDS = 30.0
"""How often it is looked how far the copy is: while it grows, and while it waits."""

WORTH_TELLING = 10.0
"""Seconds of a pause before a person is told."""

ALLOWANCE: tuple[Obstacle, ...] = ("reserved", "spent")
PATIENCE = timedelta(minutes=5)
"""How long the API may fail before a command gives up; the hourly limit is waited for however long it takes."""

A_PAGE = 25
"""OMI API: transcripts in one request."""

Step = Callable[[Standing], Awaitable[bool]]
"""Called at each look; True ends it."""


async def follow(session: Session, *, wait: bool, step: Step | None = None) -> Standing:
    """Watch until everything is copied or `step` has enough, or until it cannot go on and `wait` is False.

    Raises:
        CommandFailed: the API has been failing for longer than `PATIENCE`.
    """
    failing_since = told = None
    with bar(session.err) as progress:
        while True:
            standing = await session.library.standing()
            _show(progress, standing)
            enough = await step(standing) if step is not None else False
            if enough or standing.remains is None:
                return standing
            blocked = standing.progress.blocked
            failing = None if blocked in ALLOWANCE else blocked
            if standing.remains > WORTH_TELLING or failing:
                if not wait:
                    return standing
                if blocked and blocked != told:
                    session.note(_waiting(blocked, standing, await session.library.allowances()))
                told = blocked
            else:
                told = None
            if failing is None:
                failing_since = None
            else:
                failing_since = failing_since or session.clock.now()
                if session.clock.now() - failing_since > PATIENCE:
                    raise CommandFailed(f"{OBSTACLES[failing]}; what was copied is kept, run this again to go on")
            await session.clock.sleep(min(max(standing.remains, LOOK_SECONDS), WAIT_SECONDS))


def _show(progress: Bar, standing: Standing) -> None:
    counts = standing.counts
    if standing.progress.complete:
        progress.show("Transcripts", counts.transcripts + counts.locked, counts.conversations)
    else:
        progress.show("Summaries", counts.conversations, None)


def _waiting(obstacle: Obstacle, standing: Standing, allowances: Iterable[Allowance]) -> str:
    pause = f"Waiting {duration(standing.remains or 1)}: {OBSTACLES[obstacle]}."
    pages = math.ceil(standing.counts.pending / A_PAGE)
    an_hour = next(allowance.limit for allowance in allowances if allowance.bucket == "transcripts")
    if standing.progress.complete and pages > an_hour:
        pause += f" All transcripts will be here in about {duration(pages / an_hour * 3600)}."
    return pause + " Ctrl-C stops; nothing is lost."
