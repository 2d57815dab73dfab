"""What is indexed of a conversation: its head, its action items, and passages of its transcript.

A passage is about 100 words of whole segments. The passages of a conversation, in order, are also how its
transcript is stored, so no text is kept twice.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from omi_mcp.api.models import Conversation, Segment
from omi_mcp.mirror.index.words import indexable, is_torn, storable, words
from omi_mcp.mirror.types import Field

PASSAGE_WORDS = 100
MOST_PASSAGES = 4_000
"""Passages of one conversation; a longer transcript has longer passages."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Piece(NamedTuple):
    """A segment, or a part of one too long for a passage. `place` is the segment's index in the transcript."""

    place: int
    text: str
    name: str | None
    number: int | None
    start: float
    end: float
    local_name: str | None = None

    @property
    def label(self) -> str:
        """What the API calls the speaker."""
        return _shown(self.name, self.number)

    @property
    def speaker(self) -> str:
        """The name to show."""
        return self.local_name or self.label


Passage = tuple[Piece, ...]


def split(segments: Sequence[Segment]) -> Iterator[Passage]:
    """The passages of a transcript, at most `MOST_PASSAGES`; segment ids are dropped."""
    weights = [_weight(segment.text) for segment in segments]
    size = max(PASSAGE_WORDS, sum(weights) // (MOST_PASSAGES // 2))
    passage: list[Piece] = []
    filled = 0
    for place, (segment, weight) in enumerate(zip(segments, weights, strict=True)):
        for text in _parts(segment.text, weight, size):
            who = (segment.speaker_name, segment.speaker_id)
            piece = Piece(place, text, *who, segment.start, segment.end, segment.local_name)
            passage.append(piece)
            filled += min(weight, size)
            if filled >= size:
                yield tuple(passage)
                passage, filled = [], 0
    if passage:
        yield tuple(passage)


def join(passages: Iterable[Passage]) -> tuple[Segment, ...]:
    """The transcript that was split."""
    pieces = (piece for passage in passages for piece in passage)
    return tuple(_segment(list(parts)) for _, parts in groupby(pieces, key=attrgetter("place")))


class Entry(NamedTuple):
    """What is kept of an entry of the index, and the text that is indexed of it, who speaks included."""

    body: bytes
    text: str


def entry_of(passage: Passage) -> Entry:
    return Entry(_pack(passage), _indexable("\n".join(f"{piece.speaker}: {piece.text}" for piece in passage)))


def written_entry(text: str) -> Entry:
    return Entry(_packed(text), text)


def _pack(passage: Passage) -> bytes:
    return _packed([passage[0].place, [piece[1:] if piece.local_name else piece[1:-1] for piece in passage]])


def unpack(body: bytes) -> Passage:
    first, rows = _unpacked(body)
    return tuple(Piece(place, *row) for place, row in enumerate(rows, first))


def said_by(body: bytes, speaks: Callable[[str | None, int | None, str | None], bool]) -> list[str]:
    """What those say in a packed passage for whom `speaks` holds, by name, number and name on this side."""
    _, rows = _unpacked(body)
    return [text for text, name, number, _, _, *local in rows if speaks(name, number, local[0] if local else None)]


def indexed_text(body: bytes) -> str:
    """The text that was indexed of an entry of which `body` is kept."""
    unpacked = _unpacked(body)
    if isinstance(unpacked, str):
        return unpacked
    _, rows = unpacked
    return _indexable(
        "\n".join(f"{local[0] if local else _shown(name, number)}: {text}" for text, name, number, _, _, *local in rows)
    )


def head_fields(conversation: Conversation) -> Iterator[tuple[Field, str]]:
    """The fields of the head in which a hit can be shown."""
    structured = conversation.structured
    yield "title", structured.title
    yield "overview", structured.overview
    for item in structured.action_items:
        yield "action_items", item.description


def written(conversation: Conversation) -> Iterator[str]:
    """What is indexed of the service's words: the head with the date (UTC) in words, and the action items, if any.

    Action items are apart because there can be many: in one text they would outweigh title and overview.
    """
    structured = conversation.structured
    lines = [structured.title, structured.overview, *(event.title for event in structured.events)]
    lines += [structured.category, structured.emoji, in_words(conversation.began)]
    if conversation.geolocation and conversation.geolocation.address:
        lines.append(conversation.geolocation.address)
    yield _indexable("\n".join(lines))
    if structured.action_items:
        yield _indexable("\n".join(item.description for item in structured.action_items))


def in_words(day: date) -> str:
    """Such as "Tuesday 4 March 2025", whatever the locale."""
    return f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]} {day.year}"


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _unpacked(body: bytes) -> Any:
    return json.loads(zlib.decompress(body))


def _indexable(text: str) -> str:
    return storable(indexable(text))


def _weight(text: str) -> int:
    return len((text if text.isascii() else indexable(text)).split())


def _parts(text: str, weight: int, size: int) -> Iterator[str]:
    if weight < 2 * size:
        yield text
        return
    starts = [word.start for word in words(text) if not is_torn(text, word.start)][size::size]
    for start, end in pairwise([0, *starts, len(text)]):
        yield text[start:end]


def _segment(parts: list[Piece]) -> Segment:
    first = parts[0]
    return Segment.model_construct(
        text="".join(part.text for part in parts),
        speaker_name=first.name,
        speaker_id=first.number,
        start=first.start,
        end=first.end,
        local_name=first.local_name,
    )


@lru_cache(maxsize=4096)
def _shown(name: str | None, number: int | None) -> str:
    return Segment(speaker_name=name, speaker_id=number).speaker
