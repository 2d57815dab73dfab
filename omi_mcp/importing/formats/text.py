"""Transcripts written as text: Zoom, Teams, Otter, Markdown, chats, plain paragraphs.

The first that fits is taken: a chat, ranges of time, turns that begin with a time and a name, turns without times.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from itertools import pairwise

from omi_mcp.importing.formats.captions import read_captions, split_cues
from omi_mcp.importing.formats.chats import read_chat
from omi_mcp.importing.formats.markdown import TRANSCRIPT_HEADING, Row, front_matter, plain, row_of
from omi_mcp.importing.speakers import (
    LONGEST_NAME,
    Labelled,
    label_of,
    looks_like_name,
    same,
    split_labels,
    without_asides,
)
from omi_mcp.importing.transcript import (
    Line,
    Transcript,
    Unreadable,
    hour_of,
    moment_of,
    seconds_of,
    spoken_seconds,
    timed,
    untimed,
    with_preamble,
)

_STAMP = r"(?:\d{1,3}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?"
_HALF = r"(?:[ \u202f]?(?P<half>[AaPp])\.?[Mm]\.?)?"
_NAME = rf"[^\n:\[\]<>*]{{1,{LONGEST_NAME}}}?"
_SPAN = rf"[\[(]?(?P<at>{_STAMP}){_HALF}(?:\s*(?:-->|[-\u2013])\s*(?P<end>{_STAMP}))?[\])]?"


@dataclass(frozen=True)
class _Form:
    """How a turn begins, as a pattern with some of the groups at, half, end, bold, boxed, name, whom and text."""

    pattern: str
    named: bool = True
    """It has the speaker's name."""
    any_name: bool = False
    """A name need not look like one, and the time is one of the day."""
    below: bool = False
    """The words stand below it."""
    exact: bool = False
    """Nothing else is written like this."""


_FORMS = (
    # [00:41:03] Ana: words · [00:41:03] **Ana:** words · 00:41:03<tab>Ana: words
    _Form(
        rf"{_SPAN}\s*[-\u2013|]?\s*(?:\*\*(?P<bold>.+?):?\*\*:?|(?P<name>{_NAME}):)(?:\s+(?P<text>.*)|(?P<nothing>))"
    ),
    # Ana (00:41:03): words · **Ana** [41:03] words
    _Form(rf"(?:\*\*)?(?P<name>{_NAME})(?:\*\*)?\s*[\[(](?P<at>{_STAMP}){_HALF}[\])]\s*:?(?:\*\*)?\s*(?P<text>.*)"),
    # Ana   0:03, the words below it (Otter, Teams) · [Ana] 10:02:15 (Zoom, time of day)
    _Form(
        rf"(?:\[(?P<boxed>{_NAME})\]|(?:\*\*)?(?P<name>{_NAME})(?:\*\*)?)[\s|,\u2013-]+(?P<at>{_STAMP}){_HALF}\s*",
        below=True,
    ),
    # 00:03 - Ana, the words below it (Fireflies)
    _Form(rf"{_SPAN}(?:\s*[-\u2013|]\s*|\s+)(?:\*\*)?(?P<name>{_NAME})(?:\*\*)?", below=True),
    # 10:02:15 From Ana to Everyone: words (the chat of Zoom)
    _Form(
        rf"(?P<at>{_STAMP}){_HALF}\s+(?i:From)\s+(?P<name>.+?)(?:\s+(?i:to)\s+(?P<whom>[^:]+?))?\s*:\s*(?P<text>.*)",
        any_name=True,
    ),
    # [09:30] <ana> words (IRC)
    _Form(rf"\[?(?P<at>{_STAMP}){_HALF}\]?\s+<(?P<name>[^<>]{{1,60}})>\s+(?P<text>.*)", any_name=True, exact=True),
    # [00:00.000 --> 00:02.000] words (Whisper at a terminal), of nobody in particular
    _Form(
        rf"(?:[\[(](?P<at>{_STAMP})(?:\s*(?:-->|[-\u2013])\s*(?P<end>{_STAMP}))?[\])]"
        rf"|(?P<from>{_STAMP})\s*-->\s*(?P<to>{_STAMP}))\s*:?\s+(?P<text>\S.*)",
        named=False,
    ),
)

_ALONE = re.compile(rf"[\[(]?(?P<at>{_STAMP})[\])]?")
_ENTRY = re.compile(r"[^:]{1,40}:\s")
"""A line of a list, more likely than of a sentence that goes on."""

_CREDIT = re.compile(
    r"Transcribed by https?://\S+|.{1,120} (?:started|stopped) transcription|Meeting ended after .*", re.IGNORECASE
)
"""What the program says, and none of those who speak."""

NEAR_THE_BEGINNING = 300.0
"""Seconds. Stamps of two numbers that begin this small are minutes of a recording; others may be hours of a day."""

LONGEST_GUESS = 60.0
"""Seconds that a message of a chat lasts at most, if the next one comes later and it has no more words than that."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    rf"\b(?P<month>{'|'.join(_MONTHS)})[a-z]*\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}),?"
    r"(?:\s+(?:at )?(?P<hour>\d{1,2}):(?P<minute>\d{2})\s*(?P<half>[ap]m)?)?",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"(?P<day>20\d\d-\d\d-\d\d)[ T,]+(?P<time>\d\d:\d\d)(?:\s*(?:GMT|UTC)(?P<sign>[+-])(?P<offset>\d{1,2})\b)?"
)
_KEYWORDS = ("SPEAKERS", "SUMMARY KEYWORDS")
_PRESENT = re.compile(r"(?:attendees|participants|present|speakers|invited)\b[:\s]*(.*)", re.IGNORECASE)


def read_text(text: str, *, markdown: bool = False) -> list[Transcript]:
    """One transcript, or one for each day of a chat. Text of nobody in particular becomes one line a paragraph.

    Where the file has no times they are guessed. What stands above the first words of a speaker, and headings, are
    kept as words of nobody.

    Raises:
        Unreadable: there are no words in it.
    """
    front, above, body = front_matter(text) if markdown else ({}, [], text)
    if "fingerprint" in front and (marked := TRANSCRIPT_HEADING.search(body)):
        body = body[marked.end() :]  # our own export: what is above it, Omi writes anew
    if body.lstrip().startswith("WEBVTT"):
        return [read_captions(body, "vtt")]
    rows = [row_of(row, markdown) for row in body.splitlines()]
    transcripts = read_chat([row.text for row in rows]) or [_ranges(body, rows) or _stamped(rows) or _untimed(rows)]
    if above:
        transcripts[0] = with_preamble(transcripts[0], above)
    transcripts = [
        replace(
            transcript,
            lines=tuple(plain(transcript.lines)) if markdown else transcript.lines,
            started_at=(moment_of(front.get("started")) if len(transcripts) == 1 else None) or transcript.started_at,
            title=front.get("title") or (transcript.title and transcript.title[:200]),
            language=front.get("language"),
        )
        for transcript in transcripts
    ]
    if not any(line.text for transcript in transcripts for line in transcript.lines):
        raise Unreadable("there are no words in it")
    return transcripts


def paragraphs(text: str) -> Transcript:
    """Words alone, a line for each paragraph."""
    lines = timed([Line(" ".join(each.split())) for each in re.split(r"\n\s*\n", text) if each.strip()])
    return Transcript(lines, estimated=True)


def _ranges(body: str, rows: Sequence[Row]) -> Transcript | None:
    """Ranges of time on lines of their own: SRT, or Teams (older form), where the speaker stands above the words."""
    above, cues = split_cues([row.text for row in rows])
    if not any(cue.rows for cue in cues):
        return None
    names = [cue.rows[0] if len(cue.rows) > 1 and looks_like_name(cue.rows[0]) else None for cue in cues]
    named = [name for name in names if name]
    if len(named) * 2 < len(cues) or (len(cues) > 2 and len(set(map(same, named))) == len(named)):
        return read_captions(body, "srt")
    lines = []
    for cue, name in zip(cues, names, strict=True):
        if words := " ".join(cue.rows[1:] if name else cue.rows):
            lines.append(Line(words, cue.start, cue.end, name))
    return _transcript(lines, above) if lines else None


@dataclass(frozen=True)
class _Head:
    """The beginning of a turn; `at` and `end` in seconds."""

    at: float
    end: float | None
    name: str | None
    text: str
    clock: bool
    """A time of day."""
    exact: bool
    """Its time can be nothing but one of a recording, or of a day with seconds."""

    def without_asides(self, names: Collection[str]) -> "_Head":
        if self.name is None:
            return self
        name, text = without_asides(self.name, self.text, names)
        return replace(self, name=name, text=text)


def _stamped(rows: Sequence[Row]) -> Transcript | None:
    """Turns that begin with a time and a name, in the first form that the file uses at least twice, in order."""
    spoken = sum(bool(row.text) for row in rows)
    for form in _FORMS:
        heads = {place: head for place, row in enumerate(rows) if (head := _head(form, row.text))}
        if form.below:
            heads = {place: head for place, head in heads.items() if _words_below(rows, place, heads)}
        times = [head.at for head in heads.values()]
        backwards = sum(later < earlier for earlier, later in pairwise(times))
        midnights = any(head.clock for head in heads.values())
        orderly = backwards <= max(int(midnights), len(times) // 10)
        enough = (len(heads) > 1 or len(rows) < 5) if form.named else len(heads) * 2 >= spoken
        if heads and orderly and enough and _believable(list(heads.values())):
            return _turns(rows, heads)
    return None


def _words_below(rows: Sequence[Row], place: int, heads: dict[int, _Head]) -> bool:
    below = next((n for n in range(place + 1, len(rows)) if rows[n].text), None)
    return below is not None and below not in heads


def _believable(heads: Sequence[_Head]) -> bool:
    """Whether these are times of a recording, and not the hours of somebody's day: `12:30 Lunch`."""
    names = [same(head.name) for head in heads if head.name]
    return heads[0].exact or len(set(names)) < len(names) or (not heads[0].clock and heads[0].at < NEAR_THE_BEGINNING)


def _head(form: _Form, row: str) -> _Head | None:
    match = re.fullmatch(form.pattern, row)
    if match is None or _DATE.match(row):
        return None
    groups = match.groupdict()
    name = groups.get("bold") or groups.get("boxed") or groups.get("name")
    name = name and " ".join(name.strip(" *").split())
    if name and not groups.get("bold") and not form.any_name and not looks_like_name(name):
        return None
    at, half = groups.get("at") or groups.get("from") or "", groups.get("half")
    end = groups.get("end") or groups.get("to")
    text = (groups.get("text") or "").strip()
    if (whom := groups.get("whom")) and whom.strip().casefold() != "everyone":
        text = f"(to {whom.strip()}) {text}"
    clock = half is not None or groups.get("boxed") is not None or form.any_name
    return _Head(
        at=_time_of_day(at, half) if clock else seconds_of(at),
        end=seconds_of(end) if end else None,
        name=name or None,
        text=text,
        clock=clock,
        exact=at.count(":") == 2 or "." in at or form.exact,
    )


def _time_of_day(stamp: str, half: str | None) -> float:
    hours, *rest = stamp.replace(",", ".").split(":")
    minutes, seconds = (*map(float, rest), 0.0)[:2]
    return hour_of(int(hours), half) * 3600 + minutes * 60 + seconds


def _turns(rows: Sequence[Row], heads: dict[int, _Head]) -> Transcript:
    written = {head.name for head in heads.values() if head.name}
    heads = {place: head.without_asides(written) for place, head in heads.items()}
    lines: list[Line] = []
    for place, following in pairwise([*heads, len(rows)]):
        lines += _turn(heads[place], rows[place + 1 : following], written)
    if not written:
        said = split_labels([line.text for line in lines], captions=True)
        lines = [
            replace(line, text=each.text or line.text, speaker=each.speaker if each.text else None)
            for line, each in zip(lines, said, strict=True)
        ]
    first = next(iter(heads))
    began = heads[first].at
    if not heads[first].clock:
        return _transcript(lines, [row.text for row in rows[:first]])
    midnight = 86_400
    lines = [replace(line, start=((line.start or 0.0) - began) % midnight) for line in lines]
    lines = [
        replace(line, end=min(line.end or 0.0, (line.start or 0.0) + max(LONGEST_GUESS, spoken_seconds(line.text))))
        for line in timed(lines)
    ]
    clock = time(int(began) // 3600 % 24, int(began) // 60 % 60, int(began) % 60)
    return replace(_transcript(lines, [row.text for row in rows[:first]]), clock=clock)


def _turn(head: _Head, below: Sequence[Row], written: Collection[str]) -> Iterator[Line]:
    """What one head begins: its words and those below it. Headings are nobody's; a name known may have no time."""
    names = {same(name) for name in written}
    speaker, words = head.name, [head.text]
    end = head.end
    for row in below:
        label = label_of(row.text)
        if row.heading or _CREDIT.fullmatch(row.text):
            yield from _said(words, head.at, end, speaker)
            yield from _said([row.text], head.at, None, None)
            speaker, words, end = None, [], None
        elif label and label.key in names:
            yield from _said(words, head.at, end, speaker)
            label = label.without_asides(written)
            speaker, words, end = label.name, [label.text], None
        else:
            words.append(row.text)
    yield from _said(words, head.at, end, speaker)


def _said(words: Sequence[str], at: float, end: float | None, speaker: str | None) -> Iterator[Line]:
    text = " ".join(" ".join(words).split())
    if text or speaker:  # where somebody says nothing, still nobody else is speaking
        yield Line(text, at, end, speaker)


def _transcript(lines: Sequence[Line], above: Sequence[str]) -> Transcript:
    """With the title and the date that stand above the first turn; what stands there is kept, too."""
    rows = [row for row in above if row]
    title = next(
        (row for row in rows if not _DATE.search(row) and not row.startswith(_KEYWORDS)), rows[0] if rows else None
    )
    transcript = Transcript(timed(lines), _dated(rows), title=title)
    return with_preamble(transcript, above)


def _untimed(rows: Sequence[Row]) -> Transcript:
    """Names before words, or paragraphs; at most with times on lines of their own (Google Meet)."""
    title = next((row.text for row in rows[:20] if row.heading), None)
    stamps = [match["at"] for row in rows if (match := _ALONE.fullmatch(row.text))]
    times = [seconds_of(stamp) for stamp in stamps]
    if len(times) > 1 and times == sorted(times) and (stamps[0].count(":") == 2 or times[0] < NEAR_THE_BEGINNING):
        first = next(place for place, row in enumerate(rows) if _ALONE.fullmatch(row.text))
        if lines := _spoken(rows[first:], clocked=True, listed=_listed(rows)):
            transcript = _transcript(lines, [row.text for row in rows[:first]])
            return replace(transcript, title=title or transcript.title)
    spoken = _spoken(rows, clocked=False, listed=_listed(rows))
    return Transcript(timed(spoken), title=title, estimated=untimed(spoken))


@dataclass
class _Speech:
    """The lines so far, and the words of the one that is not ended yet."""

    at: float | None
    speaker: str | None = None
    words: list[str] = field(default_factory=list)
    alone: str = ""
    """A name without any words yet, as it is written."""
    lines: list[Line] = field(default_factory=list)

    def end(self) -> None:
        if self.words:
            self.lines.append(Line(" ".join(self.words), self.at, speaker=self.speaker))
        elif self.alone:
            self.lines.append(Line(self.alone, self.at))
        self.words, self.alone = [], ""


def _spoken(rows: Sequence[Row], *, clocked: bool, listed: Collection[str]) -> list[Line]:
    """The lines; `start` is known where the rows are `clocked`."""
    marks = [clocked and _ALONE.fullmatch(row.text) is not None for row in rows]
    labelled = _labelled([row for row, mark in zip(rows, marks, strict=True) if row.words and not mark], listed)
    taking_turns = any(each.begins for each in labelled)
    following = iter(labelled)
    speech = _Speech(0.0 if clocked else None)
    for before, row, mark in zip([None, *rows], rows, marks, strict=False):
        if not row.text:
            if not speech.alone:
                speech.end()
        elif mark:
            speech.end()
            speech.at = seconds_of(_ALONE.sub(r"\g<at>", row.text))
        elif row.heading:
            speech.end()
            speech.lines.append(Line(row.text, speech.at))
            speech.speaker = None
        elif (said := next(following)).begins:
            speech.end()
            speech.speaker = said.speaker
            if said.text:
                speech.words = [said.text]
            else:
                speech.alone = row.text
        else:
            if speech.alone and said.speaker is None:
                speech.end()
            if speech.words and (taking_turns or row.item or _ENTRY.match(row.text)):
                speech.end()
            stands_apart = row.item and before is not None and not before.text
            if said.speaker is None or stands_apart or _CREDIT.fullmatch(row.text):
                speech.speaker = None
            speech.words.append(row.text)
            speech.alone = ""
    speech.end()
    return speech.lines


def _labelled(rows: Sequence[Row], listed: Collection[str]) -> list[Labelled]:
    """Each row with its speaker. The items of a list are no turns, unless nothing else is and their names are bold."""
    labelled = split_labels([row.text if not row.item else "" for row in rows], listed=listed)
    if not any(each.begins for each in labelled):
        labelled = split_labels([row.text if row.text.startswith("**") else "" for row in rows], listed=listed)
    return [each if each.begins else each._replace(text=row.text) for each, row in zip(labelled, rows, strict=True)]


def _listed(rows: Sequence[Row]) -> set[str]:
    """The words of the names that a list of those present has."""
    words: set[str] = set()
    for place, row in enumerate(rows):
        if match := _PRESENT.fullmatch(row.text):
            below = " ".join(each.text for each in rows[place + 1 : place + 2])
            words |= set(re.findall(r"[^\s,;]+", (match[1] or below).casefold()))
    return words


def _dated(rows: Sequence[str]) -> datetime | None:
    """The date and time that one of the rows has: May 4, 2024, 10:00AM (Otter, Teams); 2025-03-14 09:30 GMT+1."""
    for row in rows:
        if match := _ISO.search(row):
            moment = moment_of(f"{match['day']}T{match['time']}")
            hours = int(f"{match['sign']}{match['offset']}") if match["sign"] else None
            if moment and hours is not None and abs(hours) < 24:
                return moment.replace(tzinfo=timezone(timedelta(hours=hours)))
            return moment
        if match := _DATE.search(row):
            return _written(match)
    return None


def _written(match: re.Match[str]) -> datetime | None:
    if match["hour"] is None:
        return None
    month = _MONTHS.index(match["month"].lower()) + 1
    try:
        day = date(int(match["year"]), month, int(match["day"]))
        half = match["half"]
        return datetime.combine(day, time(hour_of(int(match["hour"]), half and half[0]), int(match["minute"])))
    except ValueError:
        return None
