"""From a path to sources: which files are transcripts, how each is read, and what its name says of its start."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Literal

from omi_mcp.importing.formats import FORMATS
from omi_mcp.importing.transcript import Transcript, Unreadable

LARGEST = 100_000_000
"""Bytes; a day of speech has about one."""

StartedFrom = Literal["option", "file", "name", "date of the file"]

_DAY = re.compile(
    r"(?<!\d)(?P<gmt>GMT)?(?P<year>20\d\d)(?P<dash>[-_.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)(?!\d)"
    r"(?:[T _-]+(?:at )?(?P<hour>\d\d)(?P<colon>[-_.:h]?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d))?(?!\d))?"
)


@dataclass(frozen=True)
class Source:
    """One transcript of a file. `session` tells it from all others, whatever the file is called and wherever it is."""

    path: Path
    number: int
    """From 1, where the file has several transcripts; else 0."""
    session: str
    transcript: Transcript
    started_at: datetime
    started_from: StartedFrom

    @property
    def key(self) -> tuple[str, int]:
        """Tells it from the other sources of one run."""
        return str(self.path), self.number

    @property
    def name(self) -> str:
        """The file's name, and which of its transcripts this is when there are several."""
        return self.path.name + (f" #{self.number}" if self.number else "")


def find_files(given: Iterable[Path]) -> list[Path]:
    """The files that were named, and every transcript in the folders that were; hidden ones are passed over."""
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            found[path] = None
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix.lower() in FORMATS and file.is_file() and not hidden:
                found[file] = None
    return list(found)


def read_file(path: Path, zone: tzinfo, started_at: datetime | None = None) -> list[Source]:
    """The transcripts of one file. A start without an offset is in `zone`; `started_at` overrides what the file says.

    Raises:
        Unreadable: it is no transcript, and why.
        OSError: it cannot be opened.
    """
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(f"what ends in {path.suffix or 'nothing'} is not read; {', '.join(FORMATS)} are")
    if path.stat().st_size > LARGEST:
        raise Unreadable(f"more than {LARGEST // 1_000_000} MB")
    text = _decoded(path.read_bytes())
    transcripts = reader(text)
    numbers = range(1, len(transcripts) + 1) if len(transcripts) > 1 else [0]
    return [
        Source(path, number, _session(text, each, number), each, *_start(path, each, zone, started_at))
        for number, each in zip(numbers, transcripts, strict=True)
    ]


def _session(text: str, transcript: Transcript, number: int) -> str:
    """By the conversation it was exported from, in whatever form; else by the file's text."""
    told_by = transcript.origin.id if transcript.origin else text
    digest = hashlib.sha256(told_by.encode()).hexdigest()[:40]
    return f"export-{digest}" if transcript.origin else f"import-{digest}-{number}"


def _decoded(content: bytes) -> str:
    """Text with `\\n` line ends: the same words give the same digest on every system."""
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if b"\0" in content:
            raise Unreadable("this is not text") from None
        text = content.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _start(path: Path, transcript: Transcript, zone: tzinfo, given: datetime | None) -> tuple[datetime, StartedFrom]:
    """When it began, by the most reliable witness."""
    if given is not None:
        return given, "option"
    if transcript.started_at is not None:
        return _aware(transcript.started_at, zone), "file"
    for name in (path.stem, path.resolve().parent.name):
        if (named := _start_in_name(name, zone, transcript.clock)) is not None:
            return named, "name"
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(microsecond=0), "date of the file"


def _start_in_name(name: str, zone: tzinfo, clock: time | None) -> datetime | None:
    """The date, and the time if there is one, in a file's name: 2025-03-14 09.30, 20250314_093000, GMT20250314-..."""
    match = _DAY.search(name)
    if match is None:
        return None
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
        if match["hour"] is None:
            return datetime.combine(day, clock or time(), zone)
        at = time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))
    except ValueError:
        return None
    # Zoom names its recordings by Greenwich time, and says so.
    return datetime.combine(day, at, UTC if match["gmt"] else zone)


def _aware(moment: datetime, zone: tzinfo) -> datetime:
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
