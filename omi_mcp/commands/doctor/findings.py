"""What the doctor says of one thing it looked at."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A problem keeps something from working; a note is worth knowing."""

    check: str
    level: Level
    found: str
    remedy: str | None = None
