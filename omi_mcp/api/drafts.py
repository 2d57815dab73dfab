"""What a create sends, checked before it is sent: the API refuses late, in general terms, or changes things silently.

The builders take raw values, as they come from a model or a file, and name the field, and the segment by its index from
0, in each `InvalidRequest`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from omi_mcp.api import fields
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.api.models import SOURCES, TEXT_SOURCES, wire_time

TEXT_LIMIT = 100_000
"""Characters after trimming (OMI API)."""

SEGMENT_LIMIT = 500
"""Segments in one create (OMI API)."""

ACCEPTED_SOURCES = tuple(source for source in SOURCES if source not in ("external_integration", "workflow", "unknown"))
"""OMI API: a create from segments fails with the first two; `unknown` is what the API makes of a mistake."""

SEGMENT_FIELDS = frozenset(
    {"text", "start", "end", "speaker", "speaker_id", "speaker_name", "is_user", "person_id", "id"}
)
"""What a segment may have: what the API takes, and what it gives, so that a transcript read from it can be sent."""

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
    """One stretch of speech. `start` and `end` are seconds from the conversation's start."""

    text: str
    start: float
    end: float
    speaker: str = "SPEAKER_00"
    speaker_id: int | None = 0
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
    text: Any,
    *,
    now: datetime,
    text_source: Any = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    language: Any = None,
    latitude: Any = None,
    longitude: Any = None,
) -> TextDraft:
    """A checked draft. Without `started_at` the conversation starts `now`; without `finished_at` the API adds 300 s.

    Raises:
        InvalidRequest: a value that the API would refuse, or change without saying so.
    """
    content = fields.text("text", text)
    if len(content) > TEXT_LIMIT:
        raise InvalidRequest("text", f"has {len(content):,} characters, at most {TEXT_LIMIT:,} fit: split it")
    started, finished = _times(started_at, finished_at, now)
    if finished and finished < started:
        raise InvalidRequest("finished_at", "is before started_at")
    latitude, longitude = fields.coordinates(latitude, longitude)
    return TextDraft(
        text=content,
        started_at=started,
        text_source=fields.choice("text_source", text_source, TEXT_SOURCES) or "other_text",
        finished_at=finished,
        language=fields.language(language),
        latitude=latitude,
        longitude=longitude,
    )


def draft_segments(
    segments: Any,
    *,
    now: datetime,
    client_session_id: Any = None,
    source: Any = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    language: Any = None,
    latitude: Any = None,
    longitude: Any = None,
) -> SegmentsDraft:
    """A checked draft of a list of segment objects (`SEGMENT_FIELDS`), sorted by start.

    Without `started_at` the conversation starts `now`; without `finished_at` it ends with its last words. Without
    `client_session_id` one is derived from the content, and from the times that are given: the same again is then the
    same conversation.

    Raises:
        InvalidRequest: a value that the API would refuse, or change without saying so.
    """
    spoken, renamed = _segments(segments)
    started, finished = _times(started_at, finished_at, now)
    if finished and finished <= started:
        raise InvalidRequest("finished_at", "is not after started_at")
    # OMI API: its own default is the end of the last element, which need not be the latest end.
    last_words = started + timedelta(seconds=max(segment.end for segment in spoken))
    latitude, longitude = fields.coordinates(latitude, longitude)
    draft = SegmentsDraft(
        segments=spoken,
        client_session_id=fields.short_text("client_session_id", client_session_id) or "",
        started_at=started,
        finished_at=finished or last_words,
        source=fields.choice("source", source, ACCEPTED_SOURCES) or "phone",
        language=fields.language(language),
        latitude=latitude,
        longitude=longitude,
        renamed=renamed,
    )
    if draft.client_session_id:
        return draft
    times = [wire_time(moment) for moment in (started_at, finished_at) if moment]
    return replace(draft, client_session_id=_derived_session_id(draft, times))


def _segments(values: Any) -> tuple[tuple[SegmentDraft, ...], tuple[tuple[str, str], ...]]:
    """The segments by time, and the speaker labels that had to be renamed."""
    if not isinstance(values, list | tuple) or not values:
        raise InvalidRequest("segments", "must be a list of at least one segment object")
    if len(values) > SEGMENT_LIMIT:
        raise InvalidRequest(
            "segments",
            f"has {len(values):,}, at most {SEGMENT_LIMIT} fit: merge consecutive ones of the same speaker, or create "
            f"several conversations of at most {SEGMENT_LIMIT} each",
        )
    checked = [_segment(f"segments[{index}]", value) for index, value in enumerate(values)]
    checked.sort(key=lambda segment: segment.start)
    numbers = speaker_numbers(segment.speaker for segment in checked)
    renamed: dict[str, str] = {}
    numbered = []
    for segment in checked:
        number = numbers[_same(segment.speaker)]
        label = f"SPEAKER_{number:02d}"
        if segment.speaker not in ("", label):
            renamed[segment.speaker] = label
        numbered.append(replace(segment, speaker=label, speaker_id=number))
    return tuple(numbered), tuple(renamed.items())


def _segment(field: str, value: Any) -> SegmentDraft:
    """One checked segment, `speaker` still as it was given."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(field, "must be an object with text, start and end")
    if not set(value) <= SEGMENT_FIELDS:
        raise InvalidRequest(field, f"has an unknown field; known are {', '.join(sorted(SEGMENT_FIELDS))}")
    start = fields.seconds(f"{field}.start", value.get("start"))
    end = fields.seconds(f"{field}.end", value.get("end"))
    if end <= start:
        raise InvalidRequest(f"{field}.end", "must be after start")
    return SegmentDraft(
        text=fields.text(f"{field}.text", value.get("text")),
        start=start,
        end=end,
        speaker=_speaker(field, value),
        is_user=fields.flag(f"{field}.is_user", value.get("is_user")),
        person_id=fields.short_text(f"{field}.person_id", value.get("person_id")),
    )


def _speaker(field: str, value: Mapping[Any, Any]) -> str:
    """The label: `speaker`, or `speaker_name` or `speaker_id` as the API itself gives them, or ""."""
    for name in ("speaker", "speaker_name", "speaker_id"):
        given = value.get(name)
        if type(given) is int:
            given = str(given)
        if label := fields.short_text(f"{field}.{name}", given):
            return " ".join(label.split())
    return ""


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
        return fields.moment("started_at", started_at or now), None
    if started_at is None:
        raise InvalidRequest("finished_at", "needs started_at too")
    return fields.moment("started_at", started_at), fields.moment("finished_at", finished_at)


def _derived_session_id(draft: SegmentsDraft, times: list[str]) -> str:
    content = draft.body() | {"client_session_id": None, "started_at": None, "finished_at": None, "times": times}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _geolocation(latitude: float | None, longitude: float | None) -> dict[str, float] | None:
    return None if latitude is None or longitude is None else {"latitude": latitude, "longitude": longitude}


def _without_nulls(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
