"""From a transcript to the conversations that are made of it: speakers numbered, and no more segments than fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

from omi_mcp.api.drafts import (
    ACCEPTED_SOURCES,
    SEGMENT_LIMIT,
    SegmentDraft,
    SegmentsDraft,
    draft_segments,
    speaker_numbers,
)
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.api.models import LANGUAGES
from omi_mcp.importing.sources import Source
from omi_mcp.importing.speakers import NAMELESS, is_user
from omi_mcp.importing.transcript import Line, Origin, Unreadable
from omi_mcp.names import those_called

RESTORED_SOURCES = tuple(source for source in ACCEPTED_SOURCES if source != "desktop")
"""OMI API: on a free plan a recording of the desktop is not listed before it is opened in the app."""

LONGEST_TURN = 60.0
"""Seconds. Lines of one speaker are merged up to this, so that what was said can still be found by its time."""


@dataclass(frozen=True)
class Plan:
    """What becomes of one transcript: one conversation, or several numbered parts.

    `speakers` pairs each name with the label it is sent under; `me` is the name of the user, who was named, or whom the
    file calls Me or You.
    `merged_from` is the number of lines before lines of one speaker were merged, None where they were not.
    """

    source: Source
    parts: tuple[SegmentsDraft, ...]
    speakers: tuple[tuple[str, str], ...]
    me: str | None
    merged_from: int | None

    @property
    def segments(self) -> int:
        return sum(len(part.segments) for part in self.parts)

    @property
    def first_words(self) -> float:
        """Seconds from its beginning."""
        return self.parts[0].segments[0].start

    @property
    def seconds(self) -> float:
        """From its beginning to its last word."""
        last = self.parts[-1]
        return (last.started_at - self.parts[0].started_at).total_seconds() + last.segments[-1].end


def plan_import(source: Source, *, me: str | None = None) -> Plan:
    """How `source` is saved. `me` is the name of the user in it, or a word of that name.

    The session ids are made from the file's text, so that the same file is never saved twice, whatever it is called.

    Raises:
        Unreadable: a line is not what the API can take.
    """
    # In order of time, before they are cut into parts: no part may hold what was said before it began.
    lines = sorted((line for line in source.transcript.lines if line.text.strip()), key=lambda line: line.start or 0.0)
    origin = source.transcript.origin
    if not lines:
        locked = origin is not None and origin.locked
        raise Unreadable("its transcript was locked when it was exported" if locked else "there are no words in it")
    labels = _labels(lines)
    whole = len(lines)
    if whole > SEGMENT_LIMIT:
        lines = list(_merged(lines))
    names = list(dict.fromkeys(line.speaker for line in lines if line.speaker))
    user = None
    if me:
        called = those_called(names, me)
        user = called[0] if len(called) == 1 else None
    elif origin is None and not any(line.is_user for line in lines):
        user = next((name for name in names if is_user(name, names)), None)
    speakers = tuple((name, labels[name.casefold()]) for name in names)
    renamed = tuple((name, label) for name, label in speakers if name.casefold() not in NAMELESS)
    count = -(-len(lines) // SEGMENT_LIMIT)
    bounds = [len(lines) * part // count for part in range(count + 1)]
    parts = tuple(
        replace(_part(source, lines[first:last], labels, user, number, count), renamed=renamed)
        for number, (first, last) in enumerate(pairwise(bounds), 1)
    )
    return Plan(
        source=source,
        parts=parts,
        speakers=speakers,
        me=user,
        merged_from=whole if len(lines) < whole else None,
    )


def _labels(lines: Sequence[Line]) -> dict[str, str]:
    """The label of each speaker: by the number that Omi had for them where it had one for each, else a new one."""
    given = {(line.speaker or "").casefold(): line.number for line in lines}
    numbers = {name: number for name, number in given.items() if number is not None and 0 <= number < 10_000}
    if not len(given) == len(numbers) == len(set(numbers.values())):
        # Words of nobody are numbered last, so that a title does not become Speaker 0.
        numbers = speaker_numbers(sorted((line.speaker or "" for line in lines), key=lambda name: not name))
    return {speaker: f"SPEAKER_{number:02d}" for speaker, number in numbers.items()}


def _part(
    source: Source, lines: Sequence[Line], labels: dict[str, str], me: str | None, number: int, count: int
) -> SegmentsDraft:
    """One conversation; its times count from its own beginning, which is that of the whole for the first."""
    offset = 0.0 if number == 1 else lines[0].start or 0.0
    started = source.started_at + timedelta(seconds=offset)
    origin = source.transcript.origin or Origin("")
    language = source.transcript.language
    finished = origin.finished_at if number == count and (origin.finished_at or started) > started else None
    try:
        return draft_segments(
            [_segment(line, offset, labels, me) for line in lines],
            now=started,
            started_at=started,
            finished_at=finished,
            source=origin.source if origin.source in RESTORED_SOURCES else None,
            latitude=origin.latitude,
            longitude=origin.longitude,
            client_session_id=f"{source.session}-part-{number}-of-{count}",
            language=language if language and language.lower() in LANGUAGES else None,
        )
    except InvalidRequest as error:
        raise Unreadable(str(error)) from None


def _segment(line: Line, offset: float, labels: dict[str, str], me: str | None) -> SegmentDraft:
    start, end = line.start or 0.0, line.end or 0.0
    if offset:
        start, end = round(start - offset, 3), round(end - offset, 3)
    return SegmentDraft(
        text=line.text,
        start=start,
        end=end if end > start else round(start + 0.001, 3),
        speaker=labels[(line.speaker or "").casefold()],
        is_user=(line.speaker or "").casefold() == me.casefold() if me else line.is_user,
    )


def _merged(lines: Sequence[Line]) -> Iterator[Line]:
    """Lines with those of one speaker in a row made one, up to `LONGEST_TURN`."""
    turn: list[Line] = []
    for line in lines:
        if turn and (line.speaker != turn[0].speaker or (line.end or 0.0) - (turn[0].start or 0.0) > LONGEST_TURN):
            yield _one(turn)
            turn = []
        turn.append(line)
    yield _one(turn)


def _one(turn: Sequence[Line]) -> Line:
    end = max(line.end or 0.0 for line in turn)
    words = " ".join(line.text for line in turn)
    return Line(words, turn[0].start, end, turn[0].speaker, is_user=turn[0].is_user)
