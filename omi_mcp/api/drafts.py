"""What a create sends, checked before it is sent: the API refuses late, in general terms, or changes things silently.

Each `InvalidRequest` names the field, and the segment by its index from 0.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from omi_mcp.api.errors import InvalidRequest
from omi_mcp.api.models import LANGUAGES, SOURCES, TEXT_SOURCES, well_formed, wire_time

TEXT_LIMIT = 100_000
"""Characters after trimming (OMI API)."""

SEGMENT_LIMIT = 500
"""Segments in one create (OMI API)."""

ACCEPTED_SOURCES = tuple(source for source in SOURCES if source not in ("external_integration", "workflow", "unknown"))
"""OMI API: a create from segments fails with the first two; `unknown` is what the API makes of a mistake."""

SHORT_LIMIT = 200
"""Characters of an id, a label or a code (OMI API: `client_session_id`)."""

LONGEST = timedelta(days=7)
"""No recording is longer. The API has no limit, and would take milliseconds for seconds."""

USER_LABEL = "User"
"""OMI API: what the user is called in a transcript while their profile has no name."""

_SELF = frozenset({"user", "you", "me", "i"})
_NUMBERED = re.compile(r"(?:speaker[ _-]?)?([0-9]{1,4})")


@dataclass(frozen=True)
class TextDraft:
    """A conversation to be made from text. Datetimes are UTC."""

    text: str
    started_at: datetime
    text_source: str = "other_text"
    finished_at: datetime | None = None
    language: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    def body(self) -> dict[str, Any]:
        """The JSON object to send."""
        body = {
            "text": self.text,
            "text_source": self.text_source,
            "started_at": wire_time(self.started_at),
            "finished_at": wire_time(self.finished_at) if self.finished_at else None,
            "language": self.language,
            "geolocation": _geolocation(self.latitude, self.longitude),
        }
        return _without_nulls(body)


@dataclass(frozen=True)
class SegmentDraft:
    """One stretch of speech. `start` and `end` are seconds from the conversation's start.

    `speaker` is any label, and `speaker_id` is left out, until `draft_segments` numbers the speakers.
    """

    text: str
    start: float
    end: float
    speaker: str = ""
    speaker_id: int | None = None
    is_user: bool = False
    person_id: str | None = None

    def body(self) -> dict[str, Any]:
        return _without_nulls(vars(self))


@dataclass(frozen=True)
class SegmentsDraft:
    """A conversation to be made from a diarised transcript, in order of time.

    `renamed` pairs each speaker label that the API cannot take with the `SPEAKER_nn` sent instead, in order of
    appearance.
    """

    segments: tuple[SegmentDraft, ...]
    client_session_id: str
    started_at: datetime
    finished_at: datetime | None = None
    source: str = "phone"
    language: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """The names among the labels that were renamed, by what the API will call each speaker."""
        called = {sent: label for label, sent in reversed(self.renamed) if is_name(label)}
        names: dict[str, str] = {}
        for segment in self.segments:
            if segment.speaker in called:
                # OMI API: the user's own speech has the profile's name instead, where there is one.
                label = USER_LABEL if segment.is_user else f"Speaker {segment.speaker_id}"
                names.setdefault(label, called[segment.speaker])
        return names

    def body(self) -> dict[str, Any]:
        """The JSON object to send."""
        body = {
            "transcript_segments": [segment.body() for segment in self.segments],
            "client_session_id": self.client_session_id,
            "source": self.source,
            "started_at": wire_time(self.started_at),
            "finished_at": wire_time(self.finished_at) if self.finished_at else None,
            "language": self.language,
            "geolocation": _geolocation(self.latitude, self.longitude),
        }
        return _without_nulls(body)


def draft_text(
    text: str,
    *,
    now: datetime,
    text_source: str | None = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    language: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> TextDraft:
    """A checked draft. Without `started_at` the conversation starts `now`; without `finished_at` the API adds 300 s.

    Raises:
        InvalidRequest: a value that the API would refuse, or change without saying so.
    """
    content = not_blank("text", text)
    if len(content) > TEXT_LIMIT:
        raise InvalidRequest("text", f"has {len(content):,} characters, at most {TEXT_LIMIT:,} fit: split it")
    started, finished = _times(started_at, finished_at, now)
    if finished and finished < started:
        raise InvalidRequest("finished_at", "is before started_at")
    latitude, longitude = _position(latitude, longitude)
    return TextDraft(
        text=content,
        started_at=started,
        text_source=_choice("text_source", text_source, TEXT_SOURCES) or "other_text",
        finished_at=finished,
        language=_language(language),
        latitude=latitude,
        longitude=longitude,
    )


def draft_segments(
    segments: Sequence[SegmentDraft],
    *,
    now: datetime,
    client_session_id: str | None = None,
    source: str | None = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    language: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> SegmentsDraft:
    """A checked draft of segments in any order, sorted by start, with their speakers numbered.

    Without `started_at` the conversation starts `now`; without `finished_at` it ends with its last words. Without
    `client_session_id` one is derived from the content, and from the times that are given: the same again is then the
    same conversation.

    Raises:
        InvalidRequest: a value that the API would refuse, or change without saying so.
    """
    spoken, renamed = _numbered(_checked(segments))
    started, finished = _times(started_at, finished_at, now)
    if finished and finished <= started:
        raise InvalidRequest("finished_at", "is not after started_at")
    # OMI API: its own default is the end of the last element, which need not be the latest end.
    last_words = started + timedelta(seconds=max(segment.end for segment in spoken))
    latitude, longitude = _position(latitude, longitude)
    draft = SegmentsDraft(
        segments=spoken,
        client_session_id=_short("client_session_id", client_session_id) or "",
        started_at=started,
        finished_at=finished or last_words,
        source=_choice("source", source, ACCEPTED_SOURCES) or "phone",
        language=_language(language),
        latitude=latitude,
        longitude=longitude,
        renamed=renamed,
    )
    if draft.client_session_id:
        return draft
    times = [wire_time(moment) for moment in (started_at, finished_at) if moment]
    return replace(draft, client_session_id=_derived_session_id(draft, times))


def _checked(segments: Sequence[SegmentDraft]) -> list[SegmentDraft]:
    """The segments by time, their speakers still as they were given."""
    if not segments:
        raise InvalidRequest("segments", "must be a list of at least one segment object")
    if len(segments) > SEGMENT_LIMIT:
        raise InvalidRequest(
            "segments",
            f"has {len(segments):,}, at most {SEGMENT_LIMIT} fit: merge consecutive ones of the same speaker, or "
            f"create several conversations of at most {SEGMENT_LIMIT} each",
        )
    checked = [_segment(f"segments[{index}]", segment) for index, segment in enumerate(segments)]
    return sorted(checked, key=lambda segment: segment.start)


def _segment(field: str, given: SegmentDraft) -> SegmentDraft:
    start, end = _seconds(f"{field}.start", given.start), _seconds(f"{field}.end", given.end)
    if end <= start:
        raise InvalidRequest(f"{field}.end", "must be after start")
    return replace(
        given,
        text=not_blank(f"{field}.text", given.text),
        start=start,
        end=end,
        speaker=" ".join((_short(f"{field}.speaker", given.speaker) or "").split()),
        person_id=_short(f"{field}.person_id", given.person_id),
    )


def _numbered(segments: Sequence[SegmentDraft]) -> tuple[tuple[SegmentDraft, ...], tuple[tuple[str, str], ...]]:
    """The segments with the labels that the API takes, and those labels that had to be renamed."""
    numbers = speaker_numbers(segment.speaker for segment in segments)
    renamed: dict[str, str] = {}
    numbered = []
    for segment in segments:
        number = numbers[_same(segment.speaker)]
        label = f"SPEAKER_{number:02d}"
        if segment.speaker not in ("", label):
            renamed[segment.speaker] = label
        numbered.append(replace(segment, speaker=label, speaker_id=number))
    return tuple(numbered), tuple(renamed.items())


def speaker_numbers(labels: Iterable[str]) -> dict[str, int]:
    """A number for each label, by its casefolded form: its own, else the lowest that is free, in order of appearance.

    OMI API: a label that is not `SPEAKER_<number>` fails.
    """
    distinct = list(dict.fromkeys(_same(label) for label in labels))
    numbers = {label: int(match[1]) for label in distinct if (match := _NUMBERED.fullmatch(label))}
    taken = set(numbers.values())
    free = (number for number in count() if number not in taken)
    return {label: numbers[label] if label in numbers else next(free) for label in distinct}


def is_name(label: str) -> bool:
    """Whether a label tells more than a number, or that it is the user."""
    return bool(label) and _same(label) not in _SELF and not _NUMBERED.fullmatch(_same(label))


def _same(label: str) -> str:
    """What two spellings of one speaker's label have in common."""
    return label.casefold()


def _times(
    started_at: datetime | None, finished_at: datetime | None, now: datetime
) -> tuple[datetime, datetime | None]:
    if finished_at is None:
        return _moment("started_at", started_at or now), None
    if started_at is None:
        raise InvalidRequest("finished_at", "needs started_at too")
    return _moment("started_at", started_at), _moment("finished_at", finished_at)


def _moment(field: str, value: datetime) -> datetime:
    """In UTC, with room for a recording after it."""
    if value.utcoffset() is None:
        raise InvalidRequest(field, "must be a date and time with a timezone")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        utc = datetime.max.replace(tzinfo=UTC)
    if utc > datetime.max.replace(tzinfo=UTC) - LONGEST:
        raise InvalidRequest(field, "is out of range")
    return utc


def not_blank(field: str, value: str) -> str:
    """`value` trimmed, as every encoder takes it. Raises InvalidRequest for a blank one."""
    trimmed = well_formed(value).strip()
    if not trimmed:
        raise InvalidRequest(field, "must not be blank")
    return trimmed


def _short(field: str, value: str | None) -> str | None:
    """A trimmed text of at most `SHORT_LIMIT` characters; None where none or a blank one is given."""
    if value is None or not value.strip():
        return None
    trimmed = not_blank(field, value)
    if len(trimmed) > SHORT_LIMIT:
        raise InvalidRequest(field, f"has {len(trimmed):,} characters, at most {SHORT_LIMIT} are accepted")
    return trimmed


def _seconds(field: str, value: float) -> float:
    """A time within a recording."""
    if not math.isfinite(value):
        raise InvalidRequest(field, "must be a number")
    if value < 0:
        raise InvalidRequest(field, "must not be negative")
    if value > LONGEST.total_seconds():
        raise InvalidRequest(field, f"is more than {LONGEST.days} days; the unit is seconds")
    return float(value)


def _choice(field: str, value: str | None, accepted: tuple[str, ...]) -> str | None:
    """One of `accepted`, in any case; None where none is given."""
    chosen = (_short(field, value) or "").lower()
    if chosen and chosen not in accepted:
        raise InvalidRequest(field, f"must be one of {', '.join(accepted)}")
    return chosen or None


def _language(value: str | None) -> str | None:
    """An ISO 639-1 code; None where none is given."""
    code = (_short("language", value) or "").lower()
    if code and code not in LANGUAGES:
        raise InvalidRequest("language", "must be a two-letter ISO 639-1 code such as en, de or ja")
    return code or None


def _position(latitude: float | None, longitude: float | None) -> tuple[float, float] | tuple[None, None]:
    """Degrees: both or neither."""
    if latitude is None and longitude is None:
        return None, None
    if latitude is None or longitude is None:
        missing = "latitude" if latitude is None else "longitude"
        raise InvalidRequest(missing, "is missing: give both latitude and longitude, or neither")
    return _degrees("latitude", latitude, 90), _degrees("longitude", longitude, 180)


def _degrees(field: str, value: float, limit: int) -> float:
    if not math.isfinite(value):
        raise InvalidRequest(field, "must be a number")
    if abs(value) > limit:
        raise InvalidRequest(field, f"must be between -{limit} and {limit}")
    return float(value)


def _derived_session_id(draft: SegmentsDraft, times: list[str]) -> str:
    content = draft.body() | {"client_session_id": None, "started_at": None, "finished_at": None, "times": times}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _geolocation(latitude: float | None, longitude: float | None) -> dict[str, float] | None:
    return None if latitude is None or longitude is None else {"latitude": latitude, "longitude": longitude}


def _without_nulls(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
