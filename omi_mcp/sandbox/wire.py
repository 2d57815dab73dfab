"""What goes over the wire, as the Omi Developer API (FastAPI over pydantic) has it.

The bodies and queries it takes, the errors it refuses the others with, and its timestamps.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, Field, StringConstraints, ValidationError
from starlette.requests import Request

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CATEGORIES: tuple[str, ...] = (
    "personal", "education", "health", "finance", "legal", "philosophy", "spiritual", "science",
    "entrepreneurship", "parenting", "romantic", "travel", "inspiration", "technology", "business", "social",
    "work", "sports", "politics", "literature", "history", "architecture", "music", "weather", "news",
    "entertainment", "psychology", "real", "design", "family", "economics", "environment", "other",
)  # fmt: skip
"""OMI API: the 33 values of its category enum."""


class Refusal(Exception):
    """The request ends here with `status` and `{"detail": detail}`: a string, an object or a list."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers


class Crash(Exception):
    """The service fails as it does on an exception nobody handles: 500, text/plain."""


def aware(moment: datetime) -> datetime:
    """OMI API: a moment without an offset is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Since the epoch; the precision that `created_at` sorts and filters with."""
    return (aware(moment) - _EPOCH) // timedelta(microseconds=1)


def format_moment(moment: datetime) -> str:
    """`2025-01-06T09:00:00Z`, a fraction only where it is not zero, no suffix on a stored naive moment."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


TextSource = StrEnum("TextSource", ["audio_transcript", "message", "other_text"])


class Source(Enum):
    """OMI API: a string it does not know becomes `unknown`, without a complaint."""

    friend = "friend"
    omi = "omi"
    fieldy = "fieldy"
    bee = "bee"
    plaud = "plaud"
    frame = "frame"
    friend_com = "friend_com"
    apple_watch = "apple_watch"
    phone = "phone"
    phone_call = "phone_call"
    desktop = "desktop"
    openglass = "openglass"
    screenpipe = "screenpipe"
    workflow = "workflow"
    sdcard = "sdcard"
    external_integration = "external_integration"
    limitless = "limitless"
    rayban_meta = "rayban_meta"
    onboarding = "onboarding"
    unknown = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Source | None":
        return cls.unknown if isinstance(value, str) else None


class ListQuery(BaseModel):
    start_date: datetime | None = None
    end_date: datetime | None = None
    categories: str | None = None
    folder_id: Annotated[str | None, Field(min_length=1)] = None
    starred: bool | None = None
    limit: int = 25
    offset: int = 0
    include_transcript: bool = False


class ItemsQuery(BaseModel):
    conversation_id: str | None = None
    completed: bool | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    limit: int = 100
    offset: int = 0


class SearchQuery(BaseModel):
    query: Annotated[str, Field(min_length=1)]
    limit: int = 10
    start_date: datetime | None = None
    end_date: datetime | None = None


class GetQuery(BaseModel):
    include_transcript: bool = False


class Geolocation(BaseModel):
    latitude: float
    longitude: float
    google_place_id: str | None = None
    address: str | None = None
    location_type: str | None = None


class TextForm(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    text_source: TextSource = TextSource.other_text
    text_source_spec: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    language: str | None = "en"
    geolocation: Geolocation | None = None


class SegmentForm(BaseModel):
    text: str
    speaker: str | None = "SPEAKER_00"
    speaker_id: int | None = None
    is_user: bool = False
    person_id: str | None = None
    start: float
    end: float


class SegmentsForm(BaseModel):
    transcript_segments: Annotated[list[SegmentForm], Field(min_length=1, max_length=500)]
    client_session_id: Annotated[
        str | None,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
        Field(validation_alias=AliasChoices("client_session_id", "client_conversation_id", "session_id", "client_id")),
    ] = None
    source: Source | None = Source.phone
    started_at: datetime | None = None
    finished_at: datetime | None = None
    language: str | None = "en"
    geolocation: Geolocation | None = None
    client_device_id: str | None = None
    client_platform: str | None = None


class PatchForm(BaseModel):
    title: Annotated[str | None, Field(min_length=1, max_length=500)] = None
    discarded: bool | None = None


Form = TypeVar("Form", bound=BaseModel)

_NO_BODY = object()


async def read_json(request: Request) -> Any:
    """The body as the framework sees it: parsed when its content type is JSON, raw text when not.

    Broken JSON is refused here, which comes before authentication.
    """
    body = await request.body()
    if not body:
        return _NO_BODY
    essence = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        return body.decode(errors="replace")
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ["body", error.pos], "msg": "JSON decode error", "input": {}}
        raise Refusal(422, [{**problem, "ctx": {"error": error.msg}}]) from None
    except (UnicodeDecodeError, RecursionError):
        raise Refusal(400, "There was an error parsing the body") from None


def parse_body(form: type[Form], body: Any) -> Form:
    if body is _NO_BODY:
        raise Refusal(422, [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    return _parse(form, body, "body")


def parse_query(form: type[Form], request: Request) -> Form:
    """Query parameters; unknown ones are ignored, of a repeated one the last counts."""
    return _parse(form, dict(request.query_params), "query")


def _parse(form: type[Form], value: Any, where: str) -> Form:
    try:
        return form.model_validate(value, from_attributes=True)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise Refusal(422, [{**problem, "loc": [where, *problem["loc"]]} for problem in problems])
