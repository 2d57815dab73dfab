"""The shapes of what the reading tools answer. Absent means unknown or none: dump them without nulls."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class View(BaseModel):
    """A frozen answer whose JSON schema says only what its dump can hold: no nulls, no titles."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        schema.pop("title", None)
        schema.pop("description", None)
        schema["properties"] = {name: _lean(field) for name, field in schema.get("properties", {}).items()}
        return schema

    def dump(self) -> dict[str, Any]:
        """JSON-ready, without nulls."""
        return self.model_dump(mode="json", exclude_none=True)


def _lean(field: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in field.items() if key not in ("title", "default", "anyOf")}
    options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
    return {**options[0], **kept} if len(options) == 1 else {**kept, **({"anyOf": options} if options else {})}


LocalTime = Annotated[str, Field(description="Local time and offset.")]


class Hit(View):
    """One moment that matched, in the transcript or in the `field` that is named."""

    field: Literal["title", "overview", "action_items"] | None = None
    at: Annotated[str | None, Field(description="hh:mm:ss from the start.")] = None
    segment: int | None = None
    speaker: str | None = None
    text: str
    words: Annotated[str | None, Field(description="Its words of query that text does not show.")] = None
    then: Annotated[str | None, Field(description="Said right after.")] = None


class ActionItem(View):
    description: str
    completed: bool | None = None
    due: str | None = None
    overdue: bool | None = None


class Event(View):
    title: str
    description: str | None = None
    start: str | None = None
    minutes: int | None = None


class Heading(View):
    """Which conversation it is, and when it was."""

    id: str
    title: str
    started: LocalTime
    weekday: str | None = None
    minutes: int | None = None
    category: str | None = None
    folder: str | None = None
    starred: bool | None = None


class ConversationCard(Heading):
    """One conversation of a search."""

    method: Annotated[
        Literal["meaning"] | None, Field(description="Found by Omi's own search by meaning, not by these words.")
    ] = None
    speakers: list[str] | None = None
    speakers_left_out: int | None = None
    overview: str | None = None
    open_action_items: int | None = None
    action_items: list[ActionItem] | None = None
    hits: list[Hit] | None = None
    hits_total: Annotated[int | None, Field(description='All hits, where more than shown: detail="hits".')] = None


class TranscriptWindow(View):
    """A stretch of a transcript and where it lies in the whole."""

    opened_at: Annotated[str | None, Field(description="The place asked for: its line begins with >>.")] = None
    text: str
    segments: Annotated[str, Field(description="First-last shown, counted from 0, of how many.")]
    covers: Annotated[str, Field(description="Time shown, from the start, of the whole.")]
    next_cursor: str | None = None
    previous_cursor: str | None = None


class ConversationDetail(Heading):
    """One conversation to read."""

    hidden: Annotated[bool | None, Field(description="true: hidden from lists and search.")] = None
    language: str | None = None
    place: str | None = None
    speakers: list[str] | None = None
    speakers_left_out: int | None = None
    user: Annotated[str | None, Field(description="The speaker who is the user.")] = None
    overview: str | None = None
    action_items: list[ActionItem] | None = None
    action_items_left_out: int | None = None
    events: list[Event] | None = None
    events_left_out: int | None = None
    moments: Annotated[list[Hit] | None, Field(description="Where the words of `find` were said, best first.")] = None
    transcript: TranscriptWindow | None = None
    note: str | None = None


class ShownConversation(View):
    """What the user is shown, in short."""

    id: str
    title: str
    started: str
    minutes: int | None = None
    speakers: list[str] | None = None
    overview: str | None = None
    transcript: TranscriptWindow | None = None
    note: str | None = None


class RangeBlock(View):
    """The time that a search was limited to, both ends inclusive: whole days as dates, all else with its offset."""

    start: str | None = None
    end: str | None = None


class CoverageBlock(View):
    """How much of the person's conversations a search could see."""

    conversations: int
    transcripts: int
    complete: bool
    oldest: str | None = None
    synced: str | None = None
    note: str | None = None


class SearchAnswer(View):
    range: Annotated[RangeBlock | None, Field(description="How start, end or period were understood.")] = None
    user: Annotated[str | None, Field(description="The speaker who is the user.")] = None
    conversations: list[ConversationCard]
    other_action_items: Annotated[
        list[ActionItem] | None, Field(description="open_items: open ones that belong to no conversation.")
    ] = None
    other_action_items_left_out: int | None = None
    today: str | None = None
    matched: Annotated[int, Field(description="How many match closely, on all pages.")]
    matched_loosely: Annotated[int | None, Field(description="How many more match loosely; they follow.")] = None
    unmatched: Annotated[list[str] | None, Field(description="Words of query that nothing searched has.")] = None
    next_cursor: str | None = None
    note: str | None = None
    coverage: CoverageBlock
