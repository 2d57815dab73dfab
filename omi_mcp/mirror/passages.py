"""What is indexed of a conversation: its head (what the service wrote about it) and passages of its transcript.

A passage is about 100 words of whole segments. The passages of a conversation, in order, are also how its
transcript is stored, so no text is kept twice.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from omi_mcp.api.models import Conversation, Segment
from omi_mcp.mirror.types import Field
from omi_mcp.mirror.words import indexable, storable, words

PASSAGE_WORDS = 100
MOST_PASSAGES = 4_000
"""Passages of one conversation; a longer transcript has longer passages."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A segment, or a part of one too long for a passage. `index` is the segment's place in the transcript."""

    index: int
    segment: Segment


Passage = tuple[Piece, ...]


def split(segments: Sequence[Segment]) -> Iterator[Passage]:
    """The passages of a transcript, at most `MOST_PASSAGES`; segment ids are dropped."""
    weights = [_weight(segment.text) for segment in segments]
    size = max(PASSAGE_WORDS, sum(weights) // (MOST_PASSAGES // 2))
    passage: list[Piece] = []
    filled = 0
    for index, (segment, weight) in enumerate(zip(segments, weights, strict=True)):
        for part in _parts(segment, weight, size):
            passage.append(Piece(index, part))
            filled += min(weight, size)
            if filled >= size:
                yield tuple(passage)
                passage, filled = [], 0
    if passage:
        yield tuple(passage)


def join(passages: Iterable[Passage]) -> tuple[Segment, ...]:
    """The transcript that was split."""
    segments: list[Segment] = []
    for passage in passages:
        for piece in passage:
            if piece.index == len(segments):
                segments.append(piece.segment)
            else:
                whole = segments[-1]
                segments[-1] = whole.model_copy(update={"text": whole.text + piece.segment.text})
    return tuple(segments)


def pack(passage: Passage) -> bytes:
    segments = [piece.segment for piece in passage]
    rows = [[each.text, each.speaker_name, each.speaker_id, each.start, each.end] for each in segments]
    return zlib.compress(json.dumps([passage[0].index, rows], separators=(",", ":")).encode(), 1)


def unpack(body: bytes) -> Passage:
    first, rows = json.loads(zlib.decompress(body))
    return tuple(
        Piece(
            first + place,
            Segment.model_construct(text=text, speaker_name=name, speaker_id=number, start=start, end=end),
        )
        for place, (text, name, number, start, end) in enumerate(rows)
    )


def passage_text(passage: Passage) -> str:
    """The text of a passage as it is indexed: who speaks is part of what is found."""
    return storable(indexable("\n".join(f"{piece.segment.speaker}: {piece.segment.text}" for piece in passage)))


def head_fields(conversation: Conversation) -> Iterator[tuple[Field, str]]:
    """The fields of the head in which a hit can be shown."""
    structured = conversation.structured
    yield "title", structured.title
    yield "overview", structured.overview
    for item in structured.action_items:
        yield "action_items", item.description


def head_text(conversation: Conversation) -> str:
    """The text of the head row as it is indexed, with the date (UTC) in words."""
    structured = conversation.structured
    lines = [text for _, text in head_fields(conversation)]
    lines += [event.title for event in structured.events]
    lines += [structured.category, structured.emoji, in_words(conversation.began)]
    if conversation.geolocation and conversation.geolocation.address:
        lines.append(conversation.geolocation.address)
    return storable(indexable("\n".join(lines)))


def in_words(moment: datetime) -> str:
    """Such as "Tuesday 4 March 2025", whatever the locale."""
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def _weight(text: str) -> int:
    return len((text if text.isascii() else indexable(text)).split())


def _parts(segment: Segment, weight: int, size: int) -> Iterator[Segment]:
    if weight < 2 * size:
        yield segment
        return
    starts = [word.start for word in words(segment.text)][size::size]
    for start, end in pairwise([0, *starts, len(segment.text)]):
        yield segment.model_copy(update={"text": segment.text[start:end]})
