"""What a request may carry, validated and refused as the real service does (FastAPI over pydantic)."""

import json
from datetime import datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, Field, StringConstraints, ValidationError
from starlette.requests import Request

from omi_mcp.sandbox.wire import Refusal

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
