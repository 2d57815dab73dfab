"""Transcripts written as text: Zoom, Teams, Otter, Markdown (also what `export` writes), and plain paragraphs."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time
from itertools import pairwise

from omi_mcp.importing.recordings import Line, Recording, Unreadable, timed
from omi_mcp.importing.speakers import LONGEST_NAME, has_labels, is_name, split_labels

_STAMP = r"(?:\d{1,2}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?"
_NAME = rf"[^\n:\[\]<>*]{{1,{LONGEST_NAME}}}?"

_STAMPED = re.compile(
    rf"[\[(]?(?P<at>{_STAMP})(?: ?[AaPp][Mm])?[\])]?\s*[-\u2013|]?\s*"
    rf"(?:\*\*(?P<bold>.+?):?\*\*:?|(?P<name>{_NAME}):)\s*(?P<text>.*)"
)
"""[00:41:03] Ana: words · [00:41:03] **Ana:** words · 00:41:03<tab>Ana: words"""

_NAMED = re.compile(rf"(?:\*\*)?(?P<name>{_NAME})(?:\*\*)?\s*[\[(](?P<at>{_STAMP})[\])]\s*:?\s*(?P<text>.*)")
"""Ana (00:41:03): words · **Ana** [41:03] words"""

_HEADED = re.compile(
    rf"(?:\[(?P<boxed>{_NAME})\]|(?:\*\*)?(?P<name>{_NAME})(?:\*\*)?)[\s|,\u2013-]+(?P<at>{_STAMP})\s*(?P<text>)"
)
"""Ana   0:03, the words below it (Otter, Teams) · [Ana] 10:02:15 (Zoom, time of day)"""

_RANGE = re.compile(rf"(?P<at>{_STAMP})\s*-->\s*(?P<end>{_STAMP})")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    rf"\b(?P<month>{'|'.join(_MONTHS)})[a-z]*\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}),?"
    r"(?:\s+(?:at )?(?P<hour>\d{1,2}):(?P<minute>\d{2})\s*(?P<half>[ap]m)?)?",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_FRONT = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_TRANSCRIPT = re.compile(r"^## Transcript\n", re.MULTILINE)
_MARKUP = re.compile(r"^(?:#{1,6} +|> ?|[-*+] (?:\[[ xX]\] )?|\d{1,3}[.)] )")
_KEYWORDS = ("SPEAKERS", "SUMMARY KEYWORDS")

Turns = Iterator[Line]


def read_text(text: str, *, markdown: bool = False) -> Recording:
    """One recording. Text of nobody in particular becomes one line a paragraph, its times guessed.

    Raises:
        Unreadable: there are no words in it.
    """
    front, body = _front_matter(text) if markdown else ({}, text)
    if markdown and (marked := _TRANSCRIPT.search(body)):
        body = body[marked.end() :]
    rows = [row.strip() for row in body.splitlines()]
    for form in (_ranges, _stamped):
        if found := form(rows):
            recording = found
            break
    else:
        recording = _untimed(rows, markdown=markdown)
    if markdown:
        recording = replace(recording, lines=tuple(_unescaped(recording.lines)))
    if not any(line.text for line in recording.lines):
        raise Unreadable("there are no words in it")
    return replace(
        recording,
        started_at=_moment(front.get("started")) or recording.started_at,
        title=front.get("title") or recording.title,
        language=front.get("language"),
    )


def _ranges(rows: Sequence[str]) -> Recording | None:
    """Teams, older form: a range of time, then the speaker, then the words, each on a line of its own."""
    places = [place for place, row in enumerate(rows) if _RANGE.fullmatch(row)]
    lines = []
    for place, following in pairwise([*places, len(rows)]):
        match = _RANGE.fullmatch(rows[place])
        assert match is not None
        below = [row for row in rows[place + 1 : following] if row]
        speaker = below[0] if len(below) > 1 and is_name(below[0]) else None
        words = " ".join(below[1:] if speaker else below)
        if words:
            lines.append(Line(words, _seconds(match["at"]), _seconds(match["end"]), speaker))
    return _recording(lines, rows[: places[0]]) if lines else None


def _stamped(rows: Sequence[str]) -> Recording | None:
    """Turns that begin with a name and a time, in the first form that the file uses at least twice, in order."""
    for pattern in (_STAMPED, _NAMED, _HEADED):
        heads = {place: match for place, row in enumerate(rows) if (match := _head(pattern, row))}
        times = [_seconds(match["at"]) for match in heads.values()]
        backwards = sum(later < earlier for earlier, later in pairwise(times))
        midnights = any(match.groupdict().get("boxed") for match in heads.values())
        orderly = backwards <= max(int(midnights), len(times) // 10)
        if heads and orderly and (len(heads) > 1 or len(rows) < 5):
            return _turns(rows, heads)
    return None


def _head(pattern: re.Pattern[str], row: str) -> re.Match[str] | None:
    match = pattern.fullmatch(row)
    return match if match and (("bold" in match.groupdict() and match["bold"]) or is_name(_name(match))) else None


def _name(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return (groups.get("bold") or groups.get("boxed") or groups.get("name") or "").strip(" *")


def _turns(rows: Sequence[str], heads: dict[int, re.Match[str]]) -> Recording:
    lines = []
    places = list(heads)
    for place, following in pairwise([*places, len(rows)]):
        match = heads[place]
        words = " ".join(filter(None, [match["text"].strip(), *rows[place + 1 : following]]))
        lines.append(Line(words, _seconds(match["at"]), None, _name(match)))
    recording = _recording(lines, rows[: places[0]])
    if not heads[places[0]].groupdict().get("boxed"):
        return recording
    # Zoom writes the time of day.
    first = lines[0].start or 0.0
    midnight = 86_400
    lines = [replace(line, start=((line.start or 0.0) - first) % midnight) for line in lines]
    clock = time(int(first) // 3600 % 24, int(first) // 60 % 60, int(first) % 60)
    return replace(recording, lines=timed(lines)[0], clock=clock)


def _recording(lines: list[Line], preamble: Sequence[str]) -> Recording:
    """With the title and the date that stand above the first turn."""
    above = [row for row in preamble if row and not row.startswith(_KEYWORDS)]
    dated = next((match for row in above if (match := _DATE.search(row))), None)
    title = next((row.lstrip("# ") for row in above if not _DATE.search(row)), None)
    return Recording(timed(lines)[0], _written(dated), title=title and title[:200]) if lines else Recording(())


def _untimed(rows: Sequence[str], *, markdown: bool) -> Recording:
    if markdown:
        rows = [_MARKUP.sub("", row).replace("**", "") for row in rows]
    spoken = [row for row in rows if row]
    if has_labels(spoken):
        said = [Line(each.text, speaker=each.speaker) for each in _joined(spoken)]
    else:
        paragraphs = "\n".join(rows).split("\n\n")
        said = [Line(" ".join(paragraph.split())) for paragraph in paragraphs if paragraph.strip()]
    lines, _ = timed(said)
    return Recording(lines, estimated=True)


def _joined(rows: Sequence[str]) -> Turns:
    """Lines with speakers; one whose name stands alone takes the words below it."""
    speaker, words = None, ""
    for each in split_labels(rows):
        if each.speaker == speaker and not words:
            words = each.text
            continue
        if words:
            yield Line(words, speaker=speaker)
        speaker, words = each
    if words:
        yield Line(words, speaker=speaker)


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """The simple values of a YAML front matter, and the text behind it."""
    match = _FRONT.match(text)
    if match is None:
        return {}, text
    values = {}
    for row in match[1].splitlines():
        name, separator, value = row.partition(":")
        if separator and name == name.strip():
            values[name] = _scalar(value.strip())
    return values, text[match.end() :]


def _scalar(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return ""
    return value.strip("'")


def _unescaped(lines: Sequence[Line]) -> Turns:
    """Without Markdown's escapes."""
    for line in lines:
        speaker = line.speaker and _ESCAPED.sub(r"\1", line.speaker)
        yield replace(line, text=_ESCAPED.sub(r"\1", line.text), speaker=speaker)


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _written(match: re.Match[str] | None) -> datetime | None:
    """A date as Otter and Teams write it: May 4, 2024, 10:00AM."""
    if match is None or match["hour"] is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    month = _MONTHS.index(match["month"].lower()) + 1
    try:
        return datetime(int(match["year"]), month, int(match["day"]), hour, int(match["minute"]))  # noqa: DTZ001
    except ValueError:
        return None


def _seconds(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
