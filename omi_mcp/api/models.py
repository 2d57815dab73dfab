"""What the Omi Developer API sends, parsed once: aware datetimes, no surprises, unknown fields dropped.

The upstream is not trusted to keep its types: a value that cannot be used becomes the field's default where
the rest of the record is still worth having. A record without an id or a start is refused by validation, and
the client skips it.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

CATEGORIES: tuple[str, ...] = (
    "personal", "education", "health", "finance", "legal", "philosophy", "spiritual", "science",
    "entrepreneurship", "parenting", "romantic", "travel", "inspiration", "technology", "business", "social",
    "work", "sports", "politics", "literature", "history", "architecture", "music", "weather", "news",
    "entertainment", "psychology", "real", "design", "family", "economics", "environment", "other",
)  # fmt: skip
"""The 33 values of the API's category enum."""


def known_categories(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in the API's spelling, each once. Raises ValueError that lists them all, where one is not known."""
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in names))
    if not set(wanted) <= set(CATEGORIES):
        raise ValueError(f"there is no such category. Categories: {', '.join(CATEGORIES)}.")
    return wanted


SOURCES: tuple[str, ...] = (
    "friend", "omi", "fieldy", "bee", "plaud", "frame", "friend_com", "apple_watch", "phone", "phone_call",
    "desktop", "openglass", "screenpipe", "workflow", "sdcard", "external_integration", "limitless",
    "rayban_meta", "onboarding", "unknown",
)  # fmt: skip
"""The API's source enum. An unknown string is silently stored as `unknown`, so it is checked on this side."""

TEXT_SOURCES: tuple[str, ...] = ("audio_transcript", "message", "other_text")

_ISO_639_1 = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka
    kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng
    nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su
    sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
LANGUAGES = frozenset(_ISO_639_1.split())
"""The 183 codes of ISO 639-1. OMI API: `language` is not validated there."""


def well_formed(text: str) -> str:
    """`text` with lone surrogates (half an emoji, cut by someone) replaced: no encoder or database takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


ID_LIMIT = 256
"""Characters; the API's own ids are UUIDs of 36."""

_RESERVED_IDS = frozenset({".", "..", "search", "from-segments"})


def is_conversation_id(text: str) -> bool:
    """Whether `text` can stand for a conversation in a path, and cannot lead anywhere else."""
    return (
        0 < len(text) <= ID_LIMIT
        and text not in _RESERVED_IDS
        and "/" not in text
        and text.isprintable()
        and not text.isspace()
    )


def wire_time(moment: datetime) -> str:
    """An aware datetime as the API takes it: ISO 8601 in UTC with `Z`, microseconds kept."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _aware(value: Any) -> Any:
    """A datetime string without an offset is UTC (OMI API: naive stored values come out with no suffix)."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise ValueError("out of range") from None
    raise ValueError("not a datetime")


def _aware_or_none(value: Any) -> Any:
    try:
        return _aware(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return well_formed(value) if isinstance(value, str) else ""


def _conversation_id(text: str) -> str:
    if not is_conversation_id(text):
        raise ValueError("no id")
    return text


def _text_or_none(value: Any) -> str | None:
    return _text(value) or None


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number >= 0 else 0.0


def _int_or_none(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None


def _float_or_none(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def _list_of_objects(value: Any) -> list[Any]:
    return [item for item in value if isinstance(item, dict | BaseModel)] if isinstance(value, list | tuple) else []


def _list_of_objects_or_none(value: Any) -> list[Any] | None:
    return None if value is None else _list_of_objects(value)


def _in_time_order(segments: tuple["Segment", ...] | None) -> tuple["Segment", ...] | None:
    """Segments are counted by time everywhere: a hit's number must be the same in the transcript it points into."""
    return None if segments is None else tuple(sorted(segments, key=lambda segment: segment.start))


def _object_or_empty(value: Any) -> Any:
    return value if isinstance(value, dict | BaseModel) else {}


def _object_or_none(value: Any) -> Any:
    return value if isinstance(value, dict | BaseModel) else None


ConversationId = Annotated[str, AfterValidator(_conversation_id)]
Moment = Annotated[datetime, BeforeValidator(_aware)]
OptionalMoment = Annotated[datetime | None, BeforeValidator(_aware_or_none)]
Text = Annotated[str, BeforeValidator(_text)]
OptionalText = Annotated[str | None, BeforeValidator(_text_or_none)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
OptionalFloat = Annotated[float | None, BeforeValidator(_float_or_none)]
OptionalInt = Annotated[int | None, BeforeValidator(_int_or_none)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Segment(_Record):
    """One stretch of speech. `start` and `end` are seconds from the conversation's start."""

    id: OptionalText = None
    text: Text = ""
    speaker_id: OptionalInt = None
    speaker_name: OptionalText = None
    start: Seconds = 0.0
    end: Seconds = 0.0
    local_name: Annotated[str | None, BeforeValidator(lambda _: None)] = None
    """What the speaker is called on this side; never from the API."""

    @property
    def label(self) -> str:
        """What the API calls the speaker: `speaker_name`, else `Speaker N`, else `Speaker`."""
        if self.speaker_name:
            return self.speaker_name
        return "Speaker" if self.speaker_id is None else f"Speaker {self.speaker_id}"

    @property
    def speaker(self) -> str:
        """The name to show: the one given on this side, else the API's."""
        return self.local_name or self.label


class ActionItem(_Record):
    description: Text = ""
    completed: Annotated[bool, BeforeValidator(lambda value: value is True)] = False
    due_at: OptionalMoment = None


class ListedItem(ActionItem):
    """An action item of the account's own list; `conversation_id` is None for one that was made by hand."""

    id: Annotated[str, AfterValidator(well_formed), Field(min_length=1, max_length=ID_LIMIT)]
    created_at: OptionalMoment = None
    conversation_id: OptionalText = None


class Event(_Record):
    """A calendar event heard in the conversation. `duration` is in minutes."""

    title: Text = ""
    description: Text = ""
    start: OptionalMoment = None
    duration: OptionalInt = 30


class Structured(_Record):
    """What the service's model made of the conversation."""

    title: Text = ""
    overview: Text = ""
    emoji: Text = ""
    category: Text = "other"
    action_items: Annotated[tuple[ActionItem, ...], BeforeValidator(_list_of_objects)] = ()
    events: Annotated[tuple[Event, ...], BeforeValidator(_list_of_objects)] = ()


class Geolocation(_Record):
    """Where it was; degrees."""

    latitude: OptionalFloat = None
    longitude: OptionalFloat = None
    address: OptionalText = None


class Conversation(_Record):
    """One conversation. `transcript_segments` is None when not asked for, empty when there is none; by start."""

    id: ConversationId
    created_at: Moment
    started_at: OptionalMoment = None
    finished_at: OptionalMoment = None
    structured: Annotated[Structured, BeforeValidator(_object_or_empty)] = Structured()
    language: OptionalText = None
    source: OptionalText = None
    transcript_segments: Annotated[
        tuple[Segment, ...] | None, BeforeValidator(_list_of_objects_or_none), AfterValidator(_in_time_order)
    ] = None
    geolocation: Annotated[Geolocation | None, BeforeValidator(_object_or_none)] = None
    folder_id: OptionalText = None
    folder_name: OptionalText = None

    @property
    def began(self) -> datetime:
        """When it began: `started_at`, or `created_at` where the API has no start. UTC."""
        return self.started_at or self.created_at

    @property
    def seconds(self) -> float:
        """How long it lasted, in seconds; 0 when the end is unknown."""
        return max(0.0, (self.finished_at - self.began).total_seconds()) if self.finished_at else 0.0


class Folder(_Record):
    id: Annotated[str, Field(min_length=1)]
    name: Text = ""
    description: OptionalText = None
    conversation_count: OptionalInt = None


class Receipt(_Record):
    """The answer to a create. `discarded` means saved but hidden; `status` "processing" means not listed yet."""

    id: ConversationId
    status: Text = "completed"
    discarded: Annotated[bool, BeforeValidator(lambda value: value is True)] = False
