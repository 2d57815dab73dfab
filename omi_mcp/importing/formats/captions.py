"""WebVTT and SRT: cues with times, and a speaker in a voice tag or at the beginning of the words."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from omi_mcp.importing.speakers import split_labels
from omi_mcp.importing.transcript import STAMP, Line, Transcript, Unreadable, seconds_of, timed, with_preamble

_TIMING = re.compile(rf"\s*({STAMP})\s*-->\s*({STAMP})(?:\s+\S+:\S+)*\s*")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>]*)>(.*?)(?=<v[ .]|\Z)", re.DOTALL)
_TAG = re.compile(rf"</?(?:[cibuv]|ruby|rt|lang)(?:\.[^\s<>]*)?(?:[ \t][^<>]*)?>|<{STAMP}>")
_ROLLING = re.compile(rf"<{STAMP}>")
_SRT_STYLE = re.compile(r"</?(?:[biu]|font)(?: [^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)
_NAMING = re.compile(r'\d+ "(.+)" \(\d+\)')
"""The identifier of a cue as Webex writes it: 12 "Ana Lima" (3741296640)."""

_COMMENT = re.compile(r"(?<=\n\n)(?:NOTE|STYLE|REGION)(?:[ \t].*)?(?:\n(?!.*-->).+)*")
_HEADER = re.compile(r"\s*WEBVTT[ \t]*(.*)\n?((?:(?!.*-->).+\n)*)")
_FIELD = re.compile(r"(?:Kind|Language|Region|X-[A-Z-]+)[:=].*", re.IGNORECASE)


@dataclass(frozen=True)
class Cue:
    """The rows between one range of times and the next; `start` and `end` in seconds."""

    start: float
    end: float
    identifier: str
    rows: tuple[str, ...]


def read_captions(text: str, kind: Literal["vtt", "srt"]) -> Transcript:
    """One transcript, a line for each cue, or for each voice in it. Words above the first cue are nobody's.

    Raises:
        Unreadable: there is no cue in it.
    """
    headed = _HEADER.match(text) if kind == "vtt" else None
    title = headed[1].strip(" -\t") if headed else ""
    above: list[str] = [title] if title else []
    if kind == "vtt":
        if headed:
            above += [row for row in headed[2].splitlines() if not _FIELD.fullmatch(row)]
            text = text[headed.end() :]
        text = _COMMENT.sub("", f"\n\n{text}")
    preamble, cues = split_cues(text.split("\n"), identified=kind == "vtt")
    rolling = kind == "vtt" and _ROLLING.search(text) is not None
    lines = [line for cue in (_unrolled(cues) if rolling else cues) for line in _voices(cue, kind)]
    if not lines:
        known = headed is not None if kind == "vtt" else bool(cues)
        raise Unreadable(
            "there are no captions in it" if known else f"this is no {'WebVTT' if kind == 'vtt' else 'SRT'} file"
        )
    spoken = timed(list(_with_speakers(lines)))
    return with_preamble(Transcript(spoken, title=title or None), [*above, *preamble])


def split_cues(rows: Sequence[str], *, identified: bool = False) -> tuple[list[str], list[Cue]]:
    """The rows above the first cue, and the cues. Rows after an empty one are still the cue's: nothing is left out.

    A number above a cue is left out; where cues are `identified`, any word that stands there alone.
    """
    places = [place for place, row in enumerate(rows) if _TIMING.fullmatch(row)]
    marked = {place for place in places if _is_identifier(rows, place - 1, words=identified)}
    cues = []
    for place, following in pairwise([*places, len(rows)]):
        match = _TIMING.fullmatch(rows[place])
        assert match is not None
        until = following - (following in marked)
        identifier = rows[place - 1].strip() if place in marked else ""
        below = tuple(row.strip() for row in rows[place + 1 : until] if row.strip())
        cues.append(Cue(seconds_of(match[1]), seconds_of(match[2]), identifier, below))
    first = places[0] - (places[0] in marked) if places else len(rows)
    return [row.strip() for row in rows[:first]], cues


def _is_identifier(rows: Sequence[str], place: int, *, words: bool) -> bool:
    if place < 0 or not rows[place].strip() or _TIMING.fullmatch(rows[place]):
        return False
    row = rows[place].strip()
    lone = place == 0 or not rows[place - 1].strip()
    return row.isdigit() or (words and lone and (" " not in row or _NAMING.fullmatch(row) is not None))


def _unrolled(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Captions that roll (YouTube's own) without the rows that only stay on from the cue before."""
    before: tuple[str, ...] = ()
    for cue in cues:
        shown = tuple(_TAG.sub("", row).strip() for row in cue.rows)
        staying = next((n for n in range(len(shown), 0, -1) if before[-n:] == shown[:n]), 0)
        if staying < len(shown):
            yield replace(cue, rows=cue.rows[staying:])
        before = shown or before


def _voices(cue: Cue, kind: str) -> Iterator[Line]:
    """A cue's words, one line for each voice; several share its time by their length."""
    words_of_it = "\n".join(cue.rows)
    spoken: list[tuple[str | None, str]]
    if kind == "srt":
        spoken = [(None, _SRT_STYLE.sub("", words_of_it))]
    else:
        naming = _NAMING.fullmatch(cue.identifier)
        voices = [(name.strip(), words) for name, words in _VOICE.findall(words_of_it)]
        lead = _VOICE.sub("", words_of_it)
        spoken = [(naming and naming[1], lead), *voices] if lead.strip() else [*voices]
        spoken = [(name and html.unescape(name), html.unescape(_TAG.sub("", words))) for name, words in spoken]
    spoken = [(name, " ".join(words.split())) for name, words in spoken if words.strip()]
    total = sum(len(words) for _, words in spoken)
    at = cue.start
    for place, (name, words) in enumerate(spoken, 1):
        until = cue.end if place == len(spoken) else at + (cue.end - cue.start) * len(words) / total
        yield Line(words, round(at, 3), round(until, 3), name or None)
        at = until


def _with_speakers(lines: list[Line]) -> Iterator[Line]:
    """Lines with the speakers they begin with, where the file has no voice tags."""
    if any(line.speaker for line in lines):
        yield from lines
        return
    for line, said in zip(lines, split_labels([line.text for line in lines], captions=True), strict=True):
        if said.text:
            yield replace(line, text=said.text, speaker=said.speaker)
        else:
            yield line
