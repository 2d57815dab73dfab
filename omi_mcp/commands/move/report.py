"""What a move comes to: both sides of each kind, what kept an account from it, and what to do now."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omi_mcp.commands.move.moving import Moved, Obstacle, Side
from omi_mcp.commands.move.searches import Asked
from omi_mcp.settings import secret_keys
from omi_mcp.signin.vault import FILE as SECRET
from omi_mcp.terminal.output import Style

MOST_LISTED = 20
"""Accounts that are named of each thing that kept some from being moved."""

OBSTACLES: Mapping[Obstacle, str] = {
    "used": "used at the database since, by servers that were started on it. What they wrote was left alone; if it may "
    "go, run this with --overwrite",
    "forgotten": "forgotten at the database since, and not brought back. If that is meant, run this with --overwrite",
    "key taken": "somebody has signed in at the database with the same key, as a new account. That one has to be "
    "forgotten first: omi-mcp accounts forget, with OMI_MCP_DATABASE_URL",
    "left": "gone from the folder, but used at the database since, and left there. If it is to be forgotten, run this "
    "with --overwrite",
    "unusable": "a file is not to be read. A damaged mirror file is a copy only: move it away, and run this again",
}

Sides = tuple[Side, Side]


@dataclass(frozen=True)
class Report:
    """`results` are those of the accounts in the folder, `gone` of those that it has no more. `unreadable` are the
    accounts whose key the secret does not open that is here; None where there is none."""

    hosts: Sides
    results: Sequence[Moved]
    gone: Sequence[Moved]
    asked: Sequence[Asked]
    unreadable: Sequence[str] | None

    @property
    def is_whole(self) -> bool:
        """Nothing kept an account from being moved."""
        return all(each.obstacle is None for each in (*self.results, *self.gone))

    @property
    def is_equal(self) -> bool:
        """Both sides have the same, as far as it was compared."""
        return (
            self.is_whole
            and self.hosts[0] == self.hosts[1]
            and all(each.is_equal for each in self.results)
            and not any(each.different for each in self.asked)
        )

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "equal": self.is_equal,
            "hosts": _facts(self.hosts),
            "accounts": [
                {
                    "id": each.account,
                    "obstacle": each.obstacle,
                    "detail": each.detail or None,
                    "written": each.written,
                    "kinds": {kind: _facts(sides) for kind, sides in each.kinds.items()},
                }
                for each in self.results
            ],
            "gone": [{"id": each.account, "obstacle": each.obstacle} for each in self.gone],
            "searches": [asdict(each) for each in self.asked],
            "unreadable_keys": self.unreadable,
        }

    def lines(self, folder: Path, paint: Callable[[str, Style], str], *, ahead: bool) -> Iterator[str]:
        """For people. `ahead`: nothing was compared."""
        moved = [each for each in self.results if each.obstacle is None]
        written = sum(each.written for each in moved)
        yield f"{_counted(len(moved), 'account')} moved, {_counted(written, 'document')} written in this run."
        if forgotten := sum(each.obstacle is None for each in self.gone):
            yield f"{_counted(forgotten, 'account')} forgotten that the folder has no more."
        if not ahead:
            yield ""
            yield from self._table(moved)
            yield from self._searches()
        for obstacle, said in OBSTACLES.items():
            found = [each for each in (*self.results, *self.gone) if each.obstacle == obstacle]
            if found:
                yield ""
                yield paint(f"Not moved, {_counted(len(found), 'account')}: {said}.", "red")
                for each in found[:MOST_LISTED]:
                    yield f"  {each.account}{f': {each.detail}' if each.detail else ''}"
                if len(found) > MOST_LISTED:
                    yield f"  and {len(found) - MOST_LISTED:,} more"
        yield ""
        yield from self._next(folder, ahead=ahead)

    def _table(self, moved: Sequence[Moved]) -> Iterator[str]:
        """A line for each kind: how many in the files and in the database, a digest, and whether both are equal."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        digests: defaultdict[str, Any] = defaultdict(hashlib.sha256)
        for each in moved:
            for kind, (files, there) in each.kinds.items():
                counts[kind].update(files=files.count, there=there.count, different=files != there)
                digests[kind].update(files.digest.encode())
        yield f"{'':<14}{'files':>10}{'database':>10}  {'digest':<8}"
        files, there = self.hosts
        yield _line("hosts", files.count, there.count, files.digest, "differs" if files != there else "equal")
        for kind, count in counts.items():
            verdict = f"differs in {count['different']:,}" if count["different"] else "equal"
            yield _line(kind.replace("_", " "), count["files"], count["there"], digests[kind].hexdigest(), verdict)

    def _searches(self) -> Iterator[str]:
        if not self.asked:
            return
        different = [each for each in self.asked if each.different]
        verdict = f"differ in {_counted(len(different), 'account')}" if different else "the same answers"
        searches = sum(each.searches for each in self.asked)
        yield f"{searches:,} searches in {_counted(len(self.asked), 'account')}: {verdict}"
        for each in different:
            yield f"  {each.account}: {', '.join(map(repr, each.different[:3]))}"

    def _next(self, folder: Path, *, ahead: bool) -> Iterator[str]:
        """What the operator does now."""
        if self.unreadable:
            yield (
                f"The keys of {_counted(len(self.unreadable), 'account')} cannot be read with this secret: these "
                "people have to sign in again, here as there, unless the right one is found."
            )
        if ahead:
            yield "Now stop the server, and run this again without --ahead: that takes what is left."
            return
        if secret_keys(os.environ):
            secret = "the OMI_MCP_SECRET_KEY (or _FILE) that is set here"
        elif self.unreadable is None:
            secret = "the OMI_MCP_SECRET_KEY that the server has had so far; none is set here, and none in the folder"
        else:
            secret = (
                f"the secret in {folder / SECRET}: copy that file there and name it in OMI_MCP_SECRET_KEY_FILE, or "
                "give what is in it as OMI_MCP_SECRET_KEY"
            )
        yield f"Every server on the database needs {secret}. With another one nobody's key can be read."
        if self.is_equal:
            yield (
                f"{folder} is as it was: without OMI_MCP_DATABASE_URL a server there goes on from before this. When "
                "the new servers have proven themselves, its sign-in, account and mirror files can be deleted."
            )
        else:
            yield f"{folder} is as it was. When the above is settled, run this again: what is equal is skipped."


def _line(kind: str, files: int, there: int, digest: str, verdict: str) -> str:
    return f"{kind:<14}{files:>10,}{there:>10,}  {digest[:8]}  {verdict}"


def _facts(sides: Sides) -> dict[str, Any]:
    files, there = sides
    return {"files": asdict(files), "database": asdict(there), "equal": files == there}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
