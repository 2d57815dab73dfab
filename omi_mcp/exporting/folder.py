"""The folder that conversations are exported to, and what of it is up to date."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import Literal, NamedTuple

from omi_mcp import files
from omi_mcp.exporting import names
from omi_mcp.exporting.markdown import FINGERPRINT, mark, markdown
from omi_mcp.exporting.records import document
from omi_mcp.mirror.types import Stored

Format = Literal["markdown", "json", "jsonl"]
Outcome = Literal["new", "updated", "unchanged"]

ENDINGS: dict[Format, str] = {"markdown": ".md", "json": ".json"}

_HEAD = 20_000
"""Characters of a file in which its fingerprint is looked for; speakers' names come before it."""

_UNFINISHED = re.compile(r"\.[0-9]{4}-[0-9]{2}-[0-9]{2}-.*-[0-9a-f]{12}\.(?:md|json)\..+")


class _Form(NamedTuple):
    """How one format is written, and how it is told whether a file is as it would be written now."""

    render: Callable[[Stored, tzinfo], str]
    current: Callable[[Path, Stored], bool]


def _same_mark(path: Path, stored: Stored) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        found = FINGERPRINT.match(file.read(_HEAD))
    return found is not None and found[1] == mark(stored)


def _same_content(path: Path, stored: Stored) -> bool:
    return path.read_bytes() == document(stored).encode()


FORMS: dict[Format, _Form] = {
    "markdown": _Form(markdown, _same_mark),
    "json": _Form(lambda stored, zone: document(stored), _same_content),
}


class Folder:
    """One file for each conversation, which keeps its name for ever. All methods block.

    Raises OSError where the folder cannot be read or written.
    """

    def __init__(self, path: Path, form: Format, zone: tzinfo) -> None:
        self._path = path
        self._form = FORMS[form]
        self._ending = ENDINGS[form]
        self._zone = zone
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob(".*"):
            if _UNFINISHED.fullmatch(leftover.name):
                with suppress(OSError):
                    leftover.unlink()
        self._files = self._present()

    def write(self, stored: Stored) -> Outcome:
        """Bring the file of one conversation up to date, all at once."""
        key = names.key(stored.conversation.id)
        path = self._files.get(key)
        # What was exported before a plan lapsed is worth more than the news that it did.
        if path is not None and (stored.transcript == "locked" or self._form.current(path, stored)):
            return "unchanged"
        outcome: Outcome = "updated" if path else "new"
        path = path or self._path / (names.stem(stored.conversation, self._zone) + self._ending)
        files.replace(path, self._form.render(stored, self._zone).encode())
        self._files[key] = path
        return outcome

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Which of these conversations have no file, by what lies in the folder now."""
        present = self._present()
        return [each for each in ids if names.key(each) not in present]

    def others(self, ids: Iterable[str]) -> list[str]:
        """The names of the files of other conversations: deleted or hidden ones, which are kept."""
        known = {names.key(each) for each in ids}
        return sorted(path.name for key, path in self._present().items() if key not in known)

    def _present(self) -> dict[str, Path]:
        found = {}
        for path in sorted(self._path.glob(f"*{self._ending}")):
            if match := names.KEY.search(path.stem):
                found[match[1]] = path
        return found
