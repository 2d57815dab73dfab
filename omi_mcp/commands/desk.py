"""What the commands for people work at: the library, two consoles, and one way to end when something fails."""

import argparse
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio
from rich.console import Console

from omi_mcp import dates
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.commands import environment
from omi_mcp.commands.failures import in_words
from omi_mcp.library import Library
from omi_mcp.settings import Settings

DONE, FAILED, USAGE, INCOMPLETE = 0, 1, 2, 3

UNWRAPPED = 10_000
"""Columns of an output that is no terminal: programs get each line whole."""


class CommandFailed(Exception):
    """Ends a command with a line for the person, and `code`."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Desk:
    """`out` takes the answer, `err` everything said beside it."""

    settings: Settings
    library: Library
    clock: Clock
    out: Console
    err: Console

    def json(self, value: Any) -> None:
        """`value` as the whole answer, for programs."""
        self.out.file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def note(self, text: str | None) -> None:
        """A word beside the answer."""
        if text:
            self.err.print(text, style="dim")

    def span(self, option: str, text: str | None) -> dates.Span | None:
        """The stretch of time that the value of `option` names.

        Raises:
            CommandFailed: it cannot be read.
        """
        try:
            return dates.parse_span(text, self.clock.now(), self.settings.timezone) if text else None
        except ValueError as error:
            raise CommandFailed(f"{option}: {error}", USAGE) from None

    def moments(self, start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
        """The first and the last instant meant by `--start` and `--end`."""
        first, last = self.span("--start", start), self.span("--end", end)
        if first and last and last.last < first.first:
            raise CommandFailed("--end lies before --start: exchange them. Both are inclusive.", USAGE)
        return first and first.first, last and last.last


class _Console(Console):
    """Leaves a broken pipe to the command, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


Work = Callable[[Desk, argparse.Namespace], Awaitable[int]]


def run(work: Work, options: argparse.Namespace, *, syncing: bool = True, settings: Settings | None = None) -> int:
    """Do `work` with the library of the environment open, and return its exit code.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    settings = settings or environment.settings()
    out, err = console(sys.stdout), console(sys.stderr)
    clock = SystemClock()
    desk = Desk(settings, Library(settings, clock=clock), clock, out, err)
    return anyio.run(at_desk, desk, work, options, syncing)


async def at_desk(desk: Desk, work: Work, options: argparse.Namespace, syncing: bool = True) -> int:
    """`work` with the library open; whatever it fails at is told in one line."""
    async with desk.library.running(syncing=syncing):
        try:
            code = await work(desk, options)
            desk.out.file.flush()
        except CommandFailed as failure:
            fail(desk.err, str(failure))
            return failure.code
        except OmiError as error:
            fail(desk.err, in_words(error))
            return FAILED
        except BrokenPipeError:
            # The reader has seen enough. What is still buffered must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except OSError as error:
            fail(desk.err, f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
            return FAILED
    return code


def fail(err: Console, message: str) -> None:
    """The one line that says why a command ends without having done its work."""
    err.print(f"omi-mcp: {message}", style="red", soft_wrap=True)


def console(stream: Any) -> Console:
    """A console that writes plain, unwrapped text where `stream` is no terminal."""
    terminal = stream.isatty()
    if hasattr(stream, "reconfigure"):
        # Windows pipes have a code page that lacks most of what people say.
        stream.reconfigure(errors="replace", **({} if terminal else {"encoding": "utf-8"}))
    return _Console(file=stream, width=None if terminal else UNWRAPPED, highlight=False, markup=False, emoji=False)
