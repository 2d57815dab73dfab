"""What the commands' tests share: a person's account in a sandbox, and command lines run on it in virtual time."""

import io
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import virtual_time

from omi_mcp import cli
from omi_mcp.commands import mirror
from omi_mcp.library import Library
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import Settings
from omi_mcp.terminal import Session, Terminal, in_session


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ended:
    """How a command line ended: its exit code, the answer, and what was said beside it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Account:
    """An account in a sandbox, and a computer on which its owner types commands. Use inside `live`."""

    def __init__(self, folder: Path, *, limits: Literal["real", "off"] = "off") -> None:
        self.folder = folder
        self.clock = virtual_time.VirtualClock()
        self.sandbox = Sandbox(now=self.clock.now, limits=limits)
        self.settings = Settings(
            timezone=ZoneInfo("Europe/Berlin"),
            data_dir=folder / "data",
            api_key=self.sandbox.key,
            base_url=self.sandbox.base_url,
        )

    async def run(self, *arguments: str | Path, screen: bool = False, **changes: Any) -> Ended:
        """One command line, as after `omi-mcp`, with `changes` to the settings; with a `screen`, `err` is one."""
        name, *rest = (str(argument) for argument in arguments)
        options = cli.parser(name).parse_args([name, *rest])
        settings = replace(self.settings, **changes)
        out, err = io.StringIO(), _Screen() if screen else io.StringIO()
        library = Library(settings, transport=self.sandbox.transport(), clock=self.clock)
        session = Session(settings, library, self.clock, Terminal(out), Terminal(err))
        work = mirror.status if options.command is mirror else options.command.main
        syncing = name not in ("import", "mirror", "name", "rename", "hide", "restore", "delete")
        code = await in_session(session, work, options, syncing)
        return Ended(code, out.getvalue(), err.getvalue())


def live(story: Callable[[Account], Awaitable[None]], folder: Path, *, limits: Literal["real", "off"] = "off") -> None:
    """Let `story` happen to an account, in virtual time."""

    async def happen() -> None:
        account = Account(folder, limits=limits)
        try:
            await story(account)
        finally:
            account.sandbox.close()

    virtual_time.run(happen)


def talk(name: str, *, began: str = "2026-02-14T09:30:00+00:00", lines: int = 6, **fields: Any) -> dict[str, Any]:
    """A conversation to load, each line with a number of its own in its words."""
    segments = [
        {
            "speaker": ("Ana", "Ben")[place % 2],
            "text": f"At the {name} we counted sentence-{place} of our plan for the winter season.",
            "start": place * 15.25,
            "end": place * 15.25 + 14.5,
        }
        for place in range(lines)
    ]
    return {"id": name, "started_at": began, "title": f"About the {name}", "segments": segments, **fields}


def talks(count: int, *, lines: int = 2) -> Iterator[dict[str, Any]]:
    """Many small ones, an hour apart."""
    began = virtual_time.START - timedelta(days=30)
    for number in range(count):
        yield talk(f"talk-{number}", began=(began + timedelta(hours=number)).isoformat(), lines=lines)
