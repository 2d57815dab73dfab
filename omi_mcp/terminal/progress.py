"""How far long work is: a bar at a terminal, and watching the copy grow within the hourly limits."""

import argparse
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from omi_mcp.api.budget import Allowance
from omi_mcp.api.client import TRANSCRIPT_LIST_LIMIT
from omi_mcp.mirror.types import Obstacle, Standing
from omi_mcp.terminal.output import Terminal
from omi_mcp.terminal.session import CommandFailed, Session
from omi_mcp.views.notes import OBSTACLES
from omi_mcp.views.text import duration

BAR_WIDTH = 24

LOOK_SECONDS = 0.5
WAIT_SECONDS = 30.0
"""How often it is looked how far the copy is: while it grows, and while it waits."""

WORTH_TELLING = 10.0
"""Seconds of a pause before a person is told."""

ALLOWANCE: tuple[Obstacle, ...] = ("reserved", "spent")
GIVE_UP_AFTER = timedelta(minutes=5)
"""How long the API may fail before a command gives up; the hourly limit is waited for however long it takes."""

Step = Callable[[Standing], Awaitable[bool]]
"""Called at each look; True ends it."""


class Bar:
    """A status line that shows how far long work is, how fast it goes, and how long it will take."""

    def __init__(self, terminal: Terminal, elapsed: Callable[[], float]) -> None:
        self._terminal = terminal
        self._elapsed = elapsed
        self._what, self._first, self._began = "", 0, 0.0

    def show(self, what: str, done: int, total: int | None, *, instead: str | None = None) -> None:
        """`done` of `total` (None: not known). Speed is measured anew when `what` changes.

        `instead` of speed and time left is shown where work does not go on steadily, or waits.
        """
        now = self._elapsed()
        if what != self._what:
            self._what, self._first, self._began = what, done, now
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        if total is None:
            self._terminal.status(f"{what} {done:,}{_speed(rate) if instead is None else instead}")
            return
        filled = BAR_WIDTH if not total else BAR_WIDTH * done // total
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        left = f", {_clock((total - done) / rate)} left" if rate and done < total else ""
        pace = f"{_speed(rate)}{left}" if instead is None else instead
        self._terminal.status(f"{what} [{bar}] {done:,} of {total:,}{pace}")


@contextmanager
def bar(terminal: Terminal, elapsed: Callable[[], float] = time.monotonic) -> Iterator[Bar]:
    """A bar that disappears at the end."""
    try:
        yield Bar(terminal, elapsed)
    finally:
        terminal.status("")


def add_no_wait(parser: argparse.ArgumentParser) -> None:
    """The option of commands that wait for the hourly limits."""
    parser.add_argument(
        "--no-wait", action="store_true", help="stop at the hourly limit with exit code 3, instead of waiting"
    )


async def follow(session: Session, *, wait: bool, step: Step | None = None) -> Standing:
    """Watch until everything is copied or `step` has enough, or until it cannot go on and `wait` is False.

    Raises:
        CommandFailed: the API has been failing for longer than `GIVE_UP_AFTER`.
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
                if session.clock.now() - failing_since > GIVE_UP_AFTER:
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
    pages = math.ceil(standing.counts.pending / TRANSCRIPT_LIST_LIMIT)
    an_hour = next(allowance.limit for allowance in allowances if allowance.bucket == "transcripts")
    if standing.progress.complete and pages > an_hour:
        pause += f" All transcripts will be here in about {duration(pages / an_hour * 3600)}."
    return pause + " Ctrl-C stops; nothing is lost."


def _speed(rate: float) -> str:
    if not rate:
        return ""
    return f", {rate:.1f} a second" if rate >= 1 else f", {rate * 60:.1f} a minute"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
