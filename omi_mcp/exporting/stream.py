"""Every conversation as a line of one file, which is kept up to date like a folder of files."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from omi_mcp import files
from omi_mcp.api.models import Conversation
from omi_mcp.exporting.folder import Outcome
from omi_mcp.exporting.records import line
from omi_mcp.mirror.types import Stored

NAME = "conversations.jsonl"


class Stream:
    """The file in `folder`. All methods block.

    Raises OSError where it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
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
            identity, written = stored.conversation.id, line(stored)
            before = self._lines.get(identity)
            # What was exported before a plan lapsed is worth more than the news that it did.
            if before is None:
                outcomes[identity] = "new"
            elif before == written or stored.transcript == "locked":
                outcomes[identity] = "unchanged"
                continue
            else:
                outcomes[identity] = "updated"
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
