"""Where conversations are exported to, kept up to date: a folder with a file for each, or one file of lines.

The names of files are readable, valid on every system, and the same on every run.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from omi_mcp import dates, files
from omi_mcp.api.models import Conversation
from omi_mcp.exporting.markdown import FINGERPRINT, mark, markdown
from omi_mcp.exporting.records import json_document, json_line
from omi_mcp.mirror.types import Stored

Format = Literal["markdown", "json", "jsonl"]
Outcome = Literal["new", "updated", "unchanged"]

STREAM = "conversations.jsonl"

LONGEST_TITLE = 80
"""Bytes. Most file systems take 255 for a whole name."""

_KEY = re.compile(r"-([0-9a-f]{12})\Z")
_NOT_IN_NAMES = re.compile(r"[\W_]+")

_HEAD = 20_000
"""Characters of a file in which its fingerprint is looked for; speakers' names come before it."""

_UNFINISHED = re.compile(r"\.[0-9]{4}-[0-9]{2}-[0-9]{2}-.*-[0-9a-f]{12}\.(?:md|json)\..+")


class _Form(NamedTuple):
    """How one format is written, and how it is told whether a file is as it would be written now."""

    ending: str
    render: Callable[[Stored, tzinfo], str]
    current: Callable[[Path, Stored], bool]


def _same_mark(path: Path, stored: Stored) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        found = FINGERPRINT.match(file.read(_HEAD))
    return found is not None and found[1] == mark(stored)


def _same_content(path: Path, stored: Stored) -> bool:
    return path.read_bytes() == json_document(stored).encode()


_FORMS: dict[Format, _Form] = {
    "markdown": _Form(".md", markdown, _same_mark),
    "json": _Form(".json", lambda stored, zone: json_document(stored), _same_content),
}


class Folder:
    """One file for each conversation, which keeps its name for ever. All methods block.

    Raises OSError where the folder cannot be read or written.
    """

    def __init__(self, path: Path, form: Format, zone: tzinfo) -> None:
        self._path = path
        self._form = _FORMS[form]
        self._zone = zone
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob(".*"):
            if _UNFINISHED.fullmatch(leftover.name):
                with suppress(OSError):
                    leftover.unlink()
        self._files = self._present()

    def write(self, stored: Stored) -> Outcome:
        """Bring the file of one conversation up to date, all at once."""
        key = _key(stored.conversation.id)
        path = self._files.get(key)
        if path is not None and (_is_worse(stored) or self._form.current(path, stored)):
            return "unchanged"
        outcome: Outcome = "updated" if path else "new"
        path = path or self._path / (_stem(stored.conversation, self._zone) + self._form.ending)
        files.replace(path, self._form.render(stored, self._zone).encode())
        self._files[key] = path
        return outcome

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Which of these conversations have no file, by what lies in the folder now."""
        present = self._present()
        return [each for each in ids if _key(each) not in present]

    def others(self, ids: Iterable[str]) -> list[str]:
        """The names of the files of other conversations: deleted or hidden ones, which are kept."""
        known = {_key(each) for each in ids}
        return sorted(path.name for key, path in self._present().items() if key not in known)

    def _present(self) -> dict[str, Path]:
        found = {}
        for path in sorted(self._path.glob(f"*{self._form.ending}")):
            if match := _KEY.search(path.stem):
                found[match[1]] = path
        return found


class Stream:
    """A file in `folder` with a line for each conversation, in the order in which they began. All methods block.

    Raises OSError where it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / STREAM
        self._lines: dict[str, str] = {}
        self._began: dict[str, datetime] = {}
        self._foreign: list[str] = []
        if self._path.exists():
            for each in self._path.read_text("utf-8", "replace").split("\n"):
                self._take(each)

    def write(self, conversations: Iterable[Stored]) -> dict[str, Outcome]:
        """Bring the lines of these up to date, all at once; every other line stays."""
        outcomes: dict[str, Outcome] = {}
        for stored in conversations:
            identity, written = stored.conversation.id, json_line(stored)
            before = self._lines.get(identity)
            if before is not None and (_is_worse(stored) or before == written):
                outcomes[identity] = "unchanged"
                continue
            outcomes[identity] = "updated" if before else "new"
            self._lines[identity], self._began[identity] = written, stored.conversation.began
        if not self._path.exists() or set(outcomes.values()) - {"unchanged"}:
            ordered = sorted(self._lines, key=lambda each: (self._began[each], each))
            content = "".join([*self._foreign, *(self._lines[each] for each in ordered)])
            files.replace(self._path, content.encode())
        return outcomes

    def others(self, ids: Iterable[str]) -> list[str]:
        """The ids of the lines of other conversations: deleted or hidden ones, which are kept."""
        return sorted(self._lines.keys() - set(ids))

    def _take(self, text: str) -> None:
        try:
            value: Any = json.loads(text)
            conversation = Conversation.model_validate(value | {"transcript_segments": None})
        except (ValueError, TypeError, ValidationError):
            if text.strip():
                self._foreign.append(f"{text}\n")
        else:
            self._lines[conversation.id] = f"{text}\n"
            self._began[conversation.id] = conversation.began


def _is_worse(stored: Stored) -> bool:
    """What was exported before a plan lapsed is worth more than the news that it did."""
    return stored.transcript == "locked"


def _key(conversation_id: str) -> str:
    """What ends the name of a conversation's file, and tells it from all others: never changes."""
    return hashlib.sha256(conversation_id.encode()).hexdigest()[:12]


def _stem(conversation: Conversation, zone: tzinfo) -> str:
    """The name without its ending: 2025-03-14-0930-pricing-with-ana-4f1c2b9d8e7a.

    Letters, digits and hyphens only, beginning with a digit: nothing in it is special to any system.
    """
    title = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", conversation.structured.title.casefold()))
    short = title.encode()[:LONGEST_TITLE].decode(errors="ignore").strip("-")
    began = dates.local(conversation.began, zone)
    return "-".join(filter(None, (f"{began:%Y-%m-%d-%H%M}", short, _key(conversation.id))))
