"""Conversations from outside into the store: JSON lines, one conversation each, in either of two shapes.

The sample library that comes with the package is dated relative to today: its lines are plain ones with `days_ago` and
`time` in place of `started_at`, `due_days_ago` in place of an action item's `due_at`, and `start_days_ago` and
`start_time` in place of an event's `start`. Days ahead are negative, times are UTC.
"""

import gzip
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from omi_mcp.sandbox.store import Item, Record, Store
from omi_mcp.sandbox.structuring import DEFAULT_EMOJI, emoji, structure
from omi_mcp.sandbox.wire import CATEGORIES, aware, format_moment

WORDS_A_SECOND = 2.5

DUE = "17:00"
"""When the action items of the sample library are due on their day."""

_MADE_BY_HAND = (
    (12, "Renew the passport before the summer", -20, False),
    (5, "Return the drill to Gareth", 2, False),
    (9, "Pay the dog's insurance", 6, True),
)
"""Days ago, what is to do, the days ago it is due, and whether it is done."""

_LABEL = re.compile(r"SPEAKER_(\d{1,4})")
_NAMESPACE = uuid.UUID("0f0e6a52-2f0c-4f4c-8f52-6b4b3f1d8a3e")


class BadLine(ValueError):
    """A line that is no conversation: which one (counted from 1), and why."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


def _known_category(category: str) -> str:
    if category not in CATEGORIES:
        raise ValueError("not one of the API's categories")
    return category


Category = Annotated[str, AfterValidator(_known_category)]
Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActionItem(_Strict):
    description: str
    completed: bool = False
    ticked: bool = False
    """Done in the account's list of action items, which the conversation does not know."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    due_at: datetime | None = None
    completed_at: datetime | None = None
    conversation_id: str | None = None


class Event(_Strict):
    title: str
    description: str = ""
    start: datetime
    duration: int = 30
    created: bool = False


class Structured(_Strict):
    title: str
    overview: str
    emoji: str = DEFAULT_EMOJI
    category: Category
    action_items: list[ActionItem] = []
    events: list[Event] = []


class SpokenLine(_Strict):
    """A segment. Without `start` it follows the one before, without `end` it lasts as long as speaking it takes, and
    without `speaker` it is of speaker 0.
    """

    id: str | None = None
    speaker: str = ""
    text: str
    start: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    end: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    is_user: bool = False

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError("end is before start")
        return self


class PlainLine(_Strict):
    """A conversation as a person would write it down; what is missing is made up by the structuring rules."""

    id: Id
    started_at: datetime
    title: str | None = None
    overview: str | None = None
    category: Category | None = None
    folder: str | None = None
    starred: bool = False
    language: str = "en"
    action_items: list[ActionItem] | None = None
    events: list[Event] | None = None
    segments: list[SpokenLine]

    def record(self, folder_id: str | None) -> Record:
        started = aware(self.started_at)
        segments = _segments(self.id, self.segments)
        length = timedelta(seconds=max((segment["end"] for segment in segments), default=0.0))
        return Record(
            id=self.id,
            created_at=format_moment(started),
            started_at=format_moment(started),
            finished_at=format_moment(started + length),
            structured=self._structured(),
            language=self.language,
            source="omi",
            segments=segments,
            folder_id=folder_id,
            starred=self.starred,
        )

    def _structured(self) -> dict[str, Any]:
        structured = structure("\n".join(segment.text for segment in self.segments))
        given = self.model_dump(include=set(structured))
        structured |= {name: value for name, value in given.items() if value is not None}
        return _wire(structured | {"emoji": emoji(structured["category"])})


class Segment(_Strict):
    id: str | None = None
    text: str
    speaker_id: int | None = None
    speaker_name: str | None = None
    start: float
    end: float


class ApiConversation(_Strict):
    """A conversation as the API answers it; `starred`, which it does not tell, may be added.

    So may `local_names`, which an export has where names were given outside the account; they become the account's.
    """

    id: Id
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    structured: Structured
    language: str | None = None
    source: str | None = None
    transcript_segments: list[Segment] | None = None
    geolocation: dict[str, Any] | None = None
    folder_id: str | None = None
    folder_name: str | None = None
    starred: bool | None = None
    local_names: dict[str, str] = {}

    def record(self) -> Record:
        return Record(
            id=self.id,
            created_at=format_moment(self.created_at),
            started_at=format_moment(self.started_at) if self.started_at else None,
            finished_at=format_moment(self.finished_at) if self.finished_at else None,
            structured=_wire(self.structured.model_dump()),
            language=self.language,
            source=self.source,
            segments=[segment.model_dump() for segment in self.transcript_segments or []],
            geolocation=self.geolocation,
            folder_id=self.folder_id,
            starred=bool(self.starred),
        )


def read_file(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON values of a .jsonl or .jsonl.gz file with their line numbers, blank lines left out."""
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        yield from _parsed(lines)


def read_sample(now: datetime, owner: str | None = None) -> Iterator[tuple[int, Any]]:
    """The shipped sample library, dated relative to `now`; with ids of its own for an `owner`."""
    with resources.files("omi_mcp.sandbox").joinpath("sample.jsonl").open(encoding="utf-8") as lines:
        today = now.astimezone(UTC).date()
        for number, line in _parsed(lines):
            if owner is not None:
                line["id"] = str(uuid.uuid5(_NAMESPACE, f"{owner} {line['id']}"))
            yield number, _dated(line, today)


def sample_items(now: datetime, owner: str | None = None) -> list[Item]:
    """The sample library's action items that were made by hand, as `read_sample`."""
    today = now.astimezone(UTC).date()

    def at(days_ago: int, clock: str) -> str:
        return format_moment(datetime.combine(today - timedelta(days=days_ago), time.fromisoformat(clock), UTC))

    return [
        Item(
            id=str(uuid.uuid5(_NAMESPACE, f"{owner} {description}" if owner else description)),
            description=description,
            created_at=at(days_ago, "18:30"),
            completed=completed,
            due_at=None if due is None else at(due, DUE),
            completed_at=at(days_ago - 1, "09:00") if completed else None,
        )
        for days_ago, description, due, completed in _MADE_BY_HAND
    ]


def _dated(line: dict[str, Any], today: date) -> dict[str, Any]:
    """A line of the sample library as a plain one."""

    def at(days_ago: float, clock: str) -> datetime:
        return datetime.combine(today - timedelta(days=days_ago), time.fromisoformat(clock), UTC)

    line["started_at"] = at(line.pop("days_ago"), line.pop("time"))
    for item in line.get("action_items", ()):
        if "due_days_ago" in item:
            item["due_at"] = at(item.pop("due_days_ago"), DUE)
    for event in line.get("events", ()):
        event["start"] = at(event.pop("start_days_ago"), event.pop("start_time"))
    return line


def _parsed(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                raise BadLine(number, "not JSON") from None


def load(store: Store, lines: Iterable[tuple[int, Any]], now: datetime) -> int:
    """Put every conversation into the store, or none of them when a line is bad. A known id is replaced."""
    count = 0
    with store.transaction():
        for number, line in lines:
            try:
                record = _record(store, line, now)
                store.extract_items(record)
                store.put([record])
            except ValidationError as error:
                raise BadLine(number, _reason(error)) from None
            except (OverflowError, ValueError) as error:
                raise BadLine(number, str(error)) from None
            count += 1
    return count


def _record(store: Store, line: Any, now: datetime) -> Record:
    if isinstance(line, dict) and "structured" in line:
        conversation = ApiConversation.model_validate(line)
        if conversation.folder_id and conversation.folder_name:
            store.put_folder(conversation.folder_id, conversation.folder_name, now)
        return conversation.record()
    plain = PlainLine.model_validate(line)
    return plain.record(store.folder(plain.folder, now) if plain.folder else None)


def _segments(conversation_id: str, spoken: list[SpokenLine]) -> list[dict[str, Any]]:
    """A label keeps its number; a display name gets one by order of appearance."""
    numbers: dict[str, int] = {}
    segments = []
    at = 0.0
    # Ids that look like the API's, at a fraction of the cost of a uuid each.
    stem = str(uuid.uuid5(_NAMESPACE, conversation_id))[:-12]
    for index, line in enumerate(spoken):
        label = _LABEL.fullmatch(line.speaker or "SPEAKER_00")
        number = int(label[1]) if label else numbers.setdefault(line.speaker, len(numbers))
        start = at if line.start is None else line.start
        at = max(start, start + len(line.text.split()) / WORDS_A_SECOND if line.end is None else line.end)
        name = line.speaker if not label else "User" if line.is_user else f"Speaker {number}"
        segments.append(
            {
                "id": f"{stem}{index:012x}",
                "text": line.text,
                "speaker_id": number,
                "speaker_name": name,
                "start": start,
                "end": at,
            }
        )
    return segments


def _wire(structured: dict[str, Any]) -> dict[str, Any]:
    for item in (*structured["action_items"], *structured["events"]):
        item.update({name: format_moment(at) for name, at in item.items() if isinstance(at, datetime)})
    return structured


def _reason(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
