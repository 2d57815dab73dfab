"""Chats (WhatsApp and others): messages that each have a day and a time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import groupby

from omi_mcp.importing.speakers import looks_like_name
from omi_mcp.importing.transcript import Line, Transcript, hour_of, spoken_seconds, with_preamble

_SENT = re.compile(
    r"\u200e?\[?(?P<first>\d{1,4})(?P<dot>[./-])(?P<second>\d{1,2})(?P=dot)(?P<third>\d{1,4}),?[T\s]\s*"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<s>\d{2}))?(?:[\s\u202f]?(?P<half>[AaPp])\.?[\s\u202f]?[Mm]\.?)?"
    r"\]?\s*(?:[-\u2013]\s+)?(?P<text>.*)"
)
"""[14/03/2025, 09:30:12] Ana: words · 14.03.25, 09:30 - Ana: words (WhatsApp and other chats: each with its day)"""

_SENDER = re.compile(r"(?P<name>[^:\n]{1,120}?):\s+(?P<text>.*)")

FEW_WORDS = 50
"""Omi hides conversations in which it finds too little."""


def read_chat(rows: Sequence[str]) -> list[Transcript]:
    """A transcript for each day. Empty where these rows are no chat."""
    found = [match for row in rows if (match := _SENT.fullmatch(row))]
    written = sum(map(bool, rows))
    if not found or (len(found) < 2 and len(rows) > 4) or len(found) * 8 < written:
        return []
    day_first = _day_first(found)
    sent: list[tuple[datetime, Line]] = []
    above: list[str] = []
    for row in rows:
        match = _SENT.fullmatch(row)
        moment = _sent(match, day_first) if match else None
        if match and moment:
            sender = _SENDER.fullmatch(match["text"])
            name = sender["name"].strip(" *~\u200e\u202a\u202c\u00a0") if sender else ""
            proven = name and sum(f" {name}:" in f" {other['text']}" for other in found) > 1
            if sender and (proven or looks_like_name(name) or name.startswith("+")):
                sent.append((moment, Line(sender["text"].lstrip("\u200e"), speaker=name)))
            else:
                sent.append((moment, Line(match["text"].lstrip("\u200e"))))
        elif sent:
            moment, line = sent[-1]
            sent[-1] = moment, replace(line, text=f"{line.text} {row}".strip())
        else:
            above.append(row)
    transcripts = [
        Transcript(tuple(_posted(messages)), min(moment for moment, _ in messages), dated=True)
        for messages in _days(sent)
    ]
    return [with_preamble(transcripts[0], above), *transcripts[1:]] if transcripts else []


def _days(sent: Sequence[tuple[datetime, Line]]) -> list[list[tuple[datetime, Line]]]:
    """The messages of each day; with those of the next days, where there are few."""
    found: list[list[tuple[datetime, Line]]] = []
    for day, messages in groupby(sent, key=lambda message: message[0].date()):
        few = found and sum(len(line.text.split()) for _, line in found[-1]) < FEW_WORDS
        if few and timedelta() <= day - found[-1][0][0].date() < timedelta(days=7):
            found[-1] += messages
        else:
            found.append(list(messages))
    return found


def _posted(messages: Sequence[tuple[datetime, Line]]) -> Iterator[Line]:
    """Messages last as long as it takes to say them, and those of one minute follow each other."""
    began = min(moment for moment, _ in messages)
    end = before = -1.0
    for moment, line in messages:
        sent = (moment - began).total_seconds()
        start = end if sent == before else sent
        before, end = sent, round(start + spoken_seconds(line.text), 3)
        yield replace(line, start=start, end=end)


def _day_first(found: Sequence[re.Match[str]]) -> bool:
    """Whether 4/3/2025 is in March; where no day says so, those who write AM and PM put the month first."""
    if any(int(match["first"]) > 12 for match in found):
        return True
    if any(int(match["second"]) > 12 for match in found):
        return False
    return found[0]["dot"] != "/" or not any(match["half"] for match in found)


def _sent(match: re.Match[str], day_first: bool) -> datetime | None:
    first, second, third = int(match["first"]), int(match["second"]), int(match["third"])
    if len(match["first"]) == 4:
        year, month, day = first, second, third
    else:
        year, month, day = (third, second, first) if day_first else (third, first, second)
    hour = hour_of(int(match["hour"]), match["half"])
    try:
        at = time(hour, int(match["minute"]), int(match["s"] or 0))
        return datetime.combine(date(year + (2000 if year < 100 else 0), month, day), at)
    except ValueError:
        return None
