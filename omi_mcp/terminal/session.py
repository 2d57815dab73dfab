"""What the commands for people work at: the library, two outputs, and one way to end when something fails."""

import argparse
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from omi_mcp import dates, environment
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.database import Damaged
from omi_mcp.library import Library
from omi_mcp.settings import Settings
from omi_mcp.terminal.output import Terminal, discard_output
from omi_mcp.views.errors import explain

DONE, FAILED, USAGE, INCOMPLETE = 0, 1, 2, 3


class CommandFailed(Exception):
    """Ends a command with a line for the person, and `code`."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def argument(option: str) -> Iterator[None]:
    """Refuse the value of `option` that cannot be read.

    Raises:
        CommandFailed: the block raised ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise CommandFailed(f"{option}: {error}", USAGE) from None


@dataclass(frozen=True)
class Session:
    """`out` takes the answer, `err` everything said beside it."""

    settings: Settings
    library: Library
    clock: Clock
    out: Terminal
    err: Terminal

    def json(self, value: Any) -> None:
        """`value` as the whole answer, for programs."""
        self.out.print(json.dumps(value, ensure_ascii=False, indent=2))

    def note(self, text: str | None) -> None:
        """A word beside the answer."""
        if text:
            self.err.print(self.err.paint(text, "dim"))

    def check_writable(self, instead: str = "nothing was changed") -> None:
        """Raises CommandFailed where the settings let nothing be written; `instead` is what becomes of it."""
        if self.settings.read_only:
            raise CommandFailed(f"OMI_MCP_READ_ONLY is on: {instead}", USAGE)

    def span(self, option: str, text: str | None) -> dates.Span | None:
        """The stretch of time that the value of `option` names.

        Raises:
            CommandFailed: it cannot be read.
        """
        with argument(option):
            return dates.parse_span(text, self.clock.now(), self.settings.timezone) if text else None

    def range(self, start: str | None, end: str | None, period: str | None) -> dates.Range:
        """What is meant by `--start` and `--end`, or by `--period`.

        Raises:
            CommandFailed: it cannot be read.
        """
        try:
            return dates.parse_range(start, end, period, self.clock.now(), self.settings.timezone, option="--")
        except ValueError as error:
            raise CommandFailed(str(error), USAGE) from None


Work = Callable[[Session, argparse.Namespace], Awaitable[int]]


def run_command(work: Work, options: argparse.Namespace, *, syncing: bool = True) -> int:
    """Do `work` with the library of the environment open, and return its exit code.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    settings = environment.settings()
    out, err = Terminal(sys.stdout), Terminal(sys.stderr)
    clock = SystemClock()
    session = Session(settings, Library(settings, clock=clock), clock, out, err)
    return anyio.run(in_session, session, work, options, syncing)


async def in_session(session: Session, work: Work, options: argparse.Namespace, syncing: bool = True) -> int:
    """`work` with the library open; whatever it fails at is told in one line."""
    async with session.library.running(syncing=syncing):
        try:
            code = await work(session, options)
        except CommandFailed as failure:
            session.err.fail(str(failure))
            return failure.code
        except OmiError as error:
            session.err.fail(explain(error).person)
            return FAILED
        except BrokenPipeError:
            discard_output()
            return DONE
        except OSError as error:
            session.err.fail(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
            return FAILED
        except (sqlite3.Error, Damaged):
            session.err.fail(f"the copy in {session.settings.data_dir} cannot be used: perhaps the disk is full.")
            return FAILED
    return code
