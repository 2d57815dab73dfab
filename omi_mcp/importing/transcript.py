"""What every format is read into: who said what, when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from itertools import groupby

SECONDS_PER_WORD = 0.4
"""How long words are taken to last where a file does not say: 150 a minute."""

SHORTEST = 0.5
"""Seconds that anything said lasts at least, where it has to be guessed."""


STAMP = r"(?:\d{1,4}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?"
"""What `seconds_of` reads."""


class Unreadable(Exception):
    """A file that is no transcript; `str()` says why, without its text."""


@dataclass(frozen=True)
class Line:
    """One stretch of speech. `start` and `end` are seconds from the beginning; None where the file does not say.

    `speaker` is the name or label the file has, None where it has none; `number` the one Omi had for them.
    """

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    is_user: bool = False
    number: int | None = None


@dataclass(frozen=True)
class Origin:
    """The conversation of an Omi account that a file was exported from, and what can be set where it is created anew.

    `local_names` are those given outside the account. `summed_up`: there was no transcript, the lines are what Omi
    wrote about it. `locked`: there is one, which the account's plan did not show.
    """

    id: str
    finished_at: datetime | None = None
    source: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    folder: str | None = None
    local_names: dict[str, str] = field(default_factory=dict)
    summed_up: bool = False
    locked: bool = False


@dataclass(frozen=True)
class Transcript:
    """One conversation of a file. A naive `started_at` is in the person's timezone; `clock` is a start without a day.

    `estimated`: the times were guessed from the number of words. `dated`: each line had a day of its own. `origin` is
    there where an export wrote the file.
    """

    lines: tuple[Line, ...]
    started_at: datetime | None = None
    clock: time | None = None
    title: str | None = None
    language: str | None = None
    estimated: bool = False
    dated: bool = False
    origin: Origin | None = None


def untimed(lines: Sequence[Line]) -> bool:
    """Whether there is no time for all of `lines`, so that it has to be guessed."""
    return any(line.start is None for line in lines)


def timed(lines: Sequence[Line]) -> tuple[Line, ...]:
    """`lines` with a start and an end each.

    A start without an end lasts until the next one; several at one instant share the time. Lines without any time
    follow each other at the pace of `SECONDS_PER_WORD`.
    """
    if untimed(lines):
        return tuple(_paced(lines))
    if all(line.end is not None and line.end > (line.start or 0.0) for line in lines):
        return tuple(lines)
    return tuple(_ended(lines))


def with_preamble(transcript: Transcript, rows: Sequence[str]) -> Transcript:
    """`transcript` with what stands above its first words, kept as words of nobody: a line for each paragraph."""
    paragraphs = ("\n".join(rows)).split("\n\n")
    above = tuple(Line(" ".join(each.split()), 0.0, SHORTEST) for each in paragraphs if each.strip())
    return replace(transcript, lines=(*above, *transcript.lines))


def seconds_of(stamp: str) -> float:
    """`41:03`, `00:41:03.5` or `00:41:03,500`."""
    seconds = 0.0
    for part in stamp.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def hour_of(hour: int, half: str | None) -> int:
    """Of 24, where `half` may be the first letter of AM or PM."""
    return hour if half is None or hour > 12 else hour % 12 + (12 if half in "pP" else 0)


def moment_of(text: object) -> datetime | None:
    """An instant in ISO 8601, None where it is none."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def spoken_seconds(text: str) -> float:
    """How long `text` takes to say, about."""
    return max(SHORTEST, len(text.split()) * SECONDS_PER_WORD)


def _paced(lines: Sequence[Line]) -> Iterator[Line]:
    at = 0.0
    for line in lines:
        end = at + spoken_seconds(line.text)
        yield replace(line, start=round(at, 3), end=round(end, 3))
        at = end


def _ended(lines: Sequence[Line]) -> Iterator[Line]:
    groups = [list(group) for _, group in groupby(_rising(lines), key=lambda line: line.start)]
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        start = group[0].start or 0.0
        until = following[0].start if following else None
        share = spoken_seconds(group[0].text) if until is None else (until - start) / len(group)
        for place, line in enumerate(group):
            begin = start + place * share
            known = line.end if line.end is not None and line.end > begin else begin + share
            yield replace(line, start=round(begin, 3), end=round(known, 3))


def _rising(lines: Sequence[Line]) -> Iterator[Line]:
    """In a file of starts only, a time that goes back is a mistake of the file: the order of the lines is right."""
    latest = 0.0
    for line in lines:
        latest = max(latest, line.start or 0.0)
        yield replace(line, start=latest)
