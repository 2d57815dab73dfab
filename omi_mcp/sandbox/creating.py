"""How a conversation comes to be: checks, defaults, idempotency and the processing that names or hides it."""

import math
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from omi_mcp.sandbox.store import Record, Store
from omi_mcp.sandbox.structuring import DEFAULT_EMOJI, discarded, structure
from omi_mcp.sandbox.wire import (
    Crash,
    Geolocation,
    Refusal,
    SegmentForm,
    SegmentsForm,
    Source,
    TextForm,
    aware,
    format_moment,
    microseconds,
)

CLAIM_LIFETIME = timedelta(minutes=15)
"""OMI API: a create that is still processing after this is given up, and its session id is free again."""

_NAMESPACE = uuid.UUID("5d0ca1f0-6f6d-4a6b-9c39-0b0a5a6f7c11")
_FAILING_SOURCES = (Source.external_integration, Source.workflow)
_FINISHED_EARLY = "finished_at must be after started_at"


class Creator:
    """Both creates. `pause` stands for the model's thinking time: it is awaited while a create is in progress."""

    def __init__(
        self, store: Store, now: Callable[[], datetime], pause: Callable[[], Awaitable[None]], user: str
    ) -> None:
        self._store = store
        self._user = user
        self._now = now
        self._pause = pause
        self._claiming: set[str] = set()

    async def from_text(self, form: TextForm) -> dict[str, Any]:
        text = form.text.strip()
        if not text:
            raise Refusal(422, "text cannot be empty")
        started, finished = self._span(form.started_at, form.finished_at, timedelta(seconds=300))
        if _earlier(finished, started):
            raise Refusal(422, _FINISHED_EARLY)
        record = _draft(str(uuid.uuid4()), started, finished, form.language, form.geolocation)
        record.source = Source.external_integration.value
        record.text = text
        await self._pause()
        record.structured = structure(text)
        record.discarded = not record.structured["title"]
        self._store.extract_items(record)
        self._store.put([record])
        return _receipt(record)

    async def from_segments(self, form: SegmentsForm) -> dict[str, Any]:
        for index, segment in enumerate(form.transcript_segments):
            _check(index, segment)
        segments = [_segment(segment) for segment in form.transcript_segments]
        try:
            length = timedelta(seconds=form.transcript_segments[-1].end)
        except OverflowError:
            raise Crash from None
        started, finished = self._span(form.started_at, form.finished_at, length)
        if not _earlier(started, finished):
            raise Refusal(422, _FINISHED_EARLY)
        session = form.client_session_id
        conversation_id = str(uuid.uuid4() if session is None else session_conversation_id(self._user, session))
        if session is not None and (receipt := self._repeated(conversation_id)):
            return receipt
        record = _draft(conversation_id, started, finished, form.language, form.geolocation)
        record.source = (form.source or Source.phone).value
        record.segments = segments
        return await self._process(record, form.source)

    def _span(
        self, started: datetime | None, finished: datetime | None, length: timedelta
    ) -> tuple[datetime, datetime]:
        started = self._now() if started is None else started
        try:
            return started, started + length if finished is None else finished
        except OverflowError:
            raise Crash from None

    def _repeated(self, conversation_id: str) -> dict[str, Any] | None:
        """The stored receipt of a session id seen before."""
        if conversation_id in self._claiming:
            raise Refusal(409, "Conversation creation already in progress")
        record = self._store.get(conversation_id, segments=False)
        if record is None:
            return None
        if record.claimed_us is not None and record.claimed_us < microseconds(self._now() - CLAIM_LIFETIME):
            self._store.delete(conversation_id)
            return None
        return _receipt(record)

    async def _process(self, record: Record, source: Source | None) -> dict[str, Any]:
        self._claiming.add(record.id)
        try:
            await self._pause()
            record.status, record.claimed_us = "processing", microseconds(self._now())
            self._store.put([record])
        finally:
            self._claiming.discard(record.id)
        try:
            await self._pause()
            _finish(record, source)
            self._store.extract_items(record)
            self._store.put([record])
        except BaseException:
            self._store.delete(record.id)
            raise
        return _receipt(record)


def _finish(record: Record, source: Source | None) -> None:
    if source in _FAILING_SOURCES:
        raise Refusal(500, "Error processing conversation, please try again later")
    record.claimed_us = None
    # OMI API: on a free plan a desktop recording is deferred until it is opened in the app.
    if source is not Source.desktop:
        complete(record)


def complete(record: Record) -> None:
    """Finish the processing of a recording: name it, or hide it with an empty title."""
    words = "\n".join(segment["text"] for segment in record.segments or [])
    record.status = "completed"
    record.discarded = discarded(words)
    if not record.discarded:
        record.structured = structure(words)


def session_conversation_id(user: str, session: str) -> uuid.UUID:
    """OMI API: the id made from `client_session_id`; the same session of a user always gives the same conversation."""
    return uuid.uuid5(_NAMESPACE, user + session)


def blank_structure() -> dict[str, Any]:
    return {
        "title": "",
        "overview": "",
        "emoji": DEFAULT_EMOJI,
        "category": "other",
        "action_items": [],
        "events": [],
    }


def _earlier(first: datetime, second: datetime) -> bool:
    """`first < second`, which fails upstream when only one of them has an offset."""
    try:
        return first < second
    except TypeError:
        raise Crash from None


def _check(index: int, segment: SegmentForm) -> None:
    if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
        raise Crash
    if segment.end <= segment.start:
        raise Refusal(422, f"Segment {index}: end time must be after start time")
    if segment.start < 0:
        raise Refusal(422, f"Segment {index}: start time cannot be negative")
    if not segment.text.strip():
        raise Refusal(422, f"Segment {index}: text cannot be empty")


def _segment(form: SegmentForm) -> dict[str, Any]:
    """OMI API: `speaker_id` is taken from the label `SPEAKER_<int>`, whatever was sent; other labels crash it."""
    try:
        speaker_id = int((form.speaker or "SPEAKER_00").split("_")[1])
    except (IndexError, ValueError):
        raise Crash from None
    return {
        "id": str(uuid.uuid4()),
        "text": form.text.strip(),
        "speaker_id": speaker_id,
        "speaker_name": "User" if form.is_user else f"Speaker {speaker_id}",
        "start": form.start,
        "end": form.end,
    }


def _draft(
    conversation_id: str, started: datetime, finished: datetime, language: str | None, place: Geolocation | None
) -> Record:
    try:
        started_at, finished_at = format_moment(aware(started)), format_moment(aware(finished))
    except OverflowError:
        raise Crash from None
    return Record(
        id=conversation_id,
        created_at=started_at,
        started_at=started_at,
        finished_at=finished_at,
        structured=blank_structure(),
        language=language or "en",
        geolocation=place.model_dump() if place and _on_earth(place) else None,
    )


def _on_earth(place: Geolocation) -> bool:
    return -90 <= place.latitude <= 90 and -180 <= place.longitude <= 180


def _receipt(record: Record) -> dict[str, Any]:
    return {"id": record.id, "status": record.status, "discarded": record.discarded}
