"""`create_from_text` and `create_from_segments`: new conversations, each made once."""

from datetime import datetime
from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from omi_mcp import dates
from omi_mcp.api.drafts import (
    ACCEPTED_SOURCES,
    SEGMENT_LIMIT,
    TEXT_LIMIT,
    SegmentDraft,
    SegmentsDraft,
    draft_segments,
    draft_text,
)
from omi_mcp.api.models import TEXT_SOURCES
from omi_mcp.tools.arguments import Switch, Words, as_text, coordinates, moment
from omi_mcp.tools.calls import Ctx, answering, app_of, reply
from omi_mcp.views.models import LocalTime, View
from omi_mcp.writes import Created

FROM_TEXT = f"""\
Save text as a new Omi conversation: notes, a message, a summary the user wants to keep. Omi writes title, overview, \
category and action items itself; they cannot be given. The text itself cannot be read back later, only Omi's \
summary of it; for a transcript with speakers use create_from_segments. At most {TEXT_LIMIT:,} characters. The call \
waits while Omi works, 45 seconds at most; the same text within ten minutes returns the first conversation."""

FROM_SEGMENTS = f"""\
Save a diarised transcript (who said what, when) as a new Omi conversation that can be searched and read back. Omi \
writes title, overview and action items itself. 1 to {SEGMENT_LIMIT} segments; merge turns or split into parts beyond \
that. Sending the same transcript again returns the first conversation. Very short scraps are saved but hidden by \
Omi; the answer says so. Not for plain notes: use create_from_text."""

WAITING = "Waiting for Omi to save it"

Started = Annotated[
    Words,
    Field(description="When it began, local time: 2025-03-14T09:30, yesterday 3pm; a day is its midnight; default now"),
]
Finished = Annotated[Words, Field(description="When it ended; same form")]
Language = Annotated[Words, Field(description="Two-letter code such as en or de")]
Latitude = Annotated[float | None, Field(description="Degrees; with longitude")]
Longitude = Annotated[float | None, Field(description="Degrees; with latitude")]


class SegmentArgument(BaseModel):
    """One stretch of speech."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, BeforeValidator(as_text), Field(description="What was said")]
    start: Annotated[float, Field(description="Seconds from the start of the conversation")]
    end: Annotated[float, Field(description="Seconds, after start")]
    speaker: Annotated[str | None, BeforeValidator(as_text), Field(description="Label, e.g. SPEAKER_00")] = None
    is_user: Annotated[Switch, Field(description="true: the user is speaking")] = None
    person_id: Annotated[str | None, Field(description="Omi's id of this person, where known")] = None

    def draft(self) -> SegmentDraft:
        return SegmentDraft(
            text=self.text,
            start=self.start,
            end=self.end,
            speaker=self.speaker or "",
            is_user=bool(self.is_user),
            person_id=self.person_id,
        )


class Saved(View):
    id: str
    started: LocalTime | None = None
    status: Literal["created", "exists", "processing"]
    discarded: bool
    note: str | None = None


async def create_from_text(
    text: Annotated[str, BeforeValidator(as_text), Field(description="The text to save")],
    ctx: Ctx,
    started_at: Started = None,
    finished_at: Finished = None,
    text_source: Annotated[Words, Field(description=", ".join(TEXT_SOURCES))] = None,
    language: Language = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    allow_duplicate: Annotated[Switch, Field(description="true: save again what was just saved")] = None,
) -> Annotated[CallToolResult, Saved]:
    app = app_of(ctx)
    started = moment(ctx, "started_at", started_at)
    finished = moment(ctx, "finished_at", finished_at)
    async with answering(ctx, "duplicate" if allow_duplicate else "create", WAITING):
        draft = draft_text(
            text,
            now=app.clock.now(),
            started_at=started,
            finished_at=finished,
            text_source=text_source,
            language=language,
            **coordinates(latitude, longitude),
        )
        created = await app.library.create_from_text(
            draft, dated=started is not None, allow_duplicate=bool(allow_duplicate)
        )
    when = started and dates.local(draft.started_at, app.settings.timezone)
    return reply(ctx, _saved(created, when, again="allow_duplicate saves it again"))


async def create_from_segments(
    segments: Annotated[list[SegmentArgument], Field(description="In any order; sorted by start before saving")],
    ctx: Ctx,
    started_at: Started = None,
    finished_at: Finished = None,
    source: Annotated[Words, Field(description=f"{', '.join(ACCEPTED_SOURCES[:6])}, ...; default phone")] = None,
    language: Language = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    client_session_id: Annotated[
        Words, Field(description="Identifies this recording, up to 200 characters; default: from the content")
    ] = None,
) -> Annotated[CallToolResult, Saved]:
    app = app_of(ctx)
    started = moment(ctx, "started_at", started_at)
    finished = moment(ctx, "finished_at", finished_at)
    async with answering(ctx, "segments", WAITING):
        draft = draft_segments(
            [segment.draft() for segment in segments],
            now=app.clock.now(),
            started_at=started,
            finished_at=finished,
            source=source,
            language=language,
            **coordinates(latitude, longitude),
            client_session_id=client_session_id,
        )
        created = await app.library.create_from_segments(draft)
    when = started and dates.local(draft.started_at, app.settings.timezone)
    return reply(ctx, _saved(created, when, *_renaming(draft), again="another client_session_id saves it again"))


def _saved(created: Created, started: datetime | None, *notes: str, again: str) -> Saved:
    """`started` is said where it was given: words may have been understood in another way than they were meant."""
    receipt = created.receipt
    said = list(notes)
    processing = receipt.status not in ("", "completed")
    if created.repeated:
        said.insert(0, f"This had already been saved; nothing new was created ({again}).")
    elif created.recovered:
        said.insert(0, "The first request was not answered; asked again, the conversation exists, once.")
    if receipt.discarded:
        hidden = "It is hidden" if created.repeated else "Saved but hidden: Omi took it for too little to list"
        said.append(
            f"{hidden}, so search does not find it. "
            "get_conversation with this id reads it; discard with restore=true lists it."
        )
    elif processing:
        said.append(
            "Omi is still working on it: it is listed and searchable once that is done. If it is not in half an hour, "
            "make the same call again."
        )
    return Saved(
        id=receipt.id,
        started=started.isoformat() if started and not created.repeated else None,
        status="exists" if created.repeated else "processing" if processing else "created",
        discarded=receipt.discarded,
        note=" ".join(said) or None,
    )


def _renaming(draft: SegmentsDraft) -> list[str]:
    """Tells which speaker labels the API could not take, so that later answers can be understood."""
    named: list[tuple[str, Any]] = [(label, sent) for label, sent in draft.renamed if label]
    if not named:
        return []
    pairs = ", ".join(f"{label[:40]} as {sent}" for label, sent in named[:20])
    here = " On this side they keep their names." if draft.names else ""
    return [f"Omi takes numbered speakers only: saved {pairs}.{here}"]
