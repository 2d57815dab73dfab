"""Moments: which words of a text a query finds, and the text cut down to around them."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from omi_mcp.api.models import Conversation
from omi_mcp.mirror.passages import Passage, head_fields
from omi_mcp.mirror.query import Query
from omi_mcp.mirror.types import Hit
from omi_mcp.mirror.words import Word, bare, stems, words

SNIPPET_CHARACTERS = 200
CUT = "..."


class Found(NamedTuple):
    """A word of a text that was sought: its place among the words, the word, and the term it counts for."""

    place: int
    word: Word
    term: str


@dataclass(frozen=True)
class Sought:
    """Index terms and beginnings of words (folded), each with its weight: rare is heavy."""

    terms: Mapping[str, float]
    beginnings: Mapping[str, float]

    @classmethod
    def of(cls, query: Query) -> "Sought":
        every = (*query.phrases, *query.terms)
        terms = set(stems(word for term in every for word in term.words).values())
        beginnings = {term.words[-1] for term in every if term.prefix}
        return cls(dict.fromkeys(terms, 1.0), dict.fromkeys(beginnings, 1.0))

    def find(self, text: str) -> list[Found]:
        spoken = list(words(text))
        known = stems(word.folded for word in spoken)
        found = []
        for place, word in enumerate(spoken):
            term = known.get(word.folded, "")
            if term in self.terms:
                found.append(Found(place, word, term))
            elif self.beginnings:
                found += [Found(place, word, start) for start in self.beginnings if word.folded.startswith(start)][:1]
        return found

    def worth(self, found: Iterable[Found]) -> float:
        """The weights of the terms found, each counted once."""
        return sum(self._weight(term) for term in {each.term for each in found})

    def _weight(self, term: str) -> float:
        return self.terms[term] if term in self.terms else self.beginnings[term]


def best_moments(query: Query, spoken: Sequence[Passage], limit: int) -> tuple[Hit, ...]:
    """The best moments of a transcript, at most one of each passage, best first."""
    texts = ["\n".join(piece.segment.text for piece in passage) for passage in spoken]
    sought = Sought.of(query)
    ranked = sorted(
        ((sought.worth(sought.find(text)), place) for place, text in enumerate(texts)),
        key=lambda each: (-each[0], each[1]),
    )
    hits = (transcript_hit(sought, spoken[place]) for value, place in ranked[:limit] if value)
    return tuple(hit for hit in hits if hit is not None)


def transcript_hit(sought: Sought, passage: Passage, speaker: str | None = None) -> Hit | None:
    """The best moment of a passage, from a segment of `speaker` where one matches; None when no word is found."""
    best, moment = 0.0, None
    for piece in passage:
        found = sought.find(piece.segment.text)
        value = sought.worth(found)
        if speaker is not None and value and speaks(piece.segment.speaker, speaker):
            value += 1_000.0
        if value > best:
            best, moment = value, (piece, found)
    if moment is None:
        return None
    piece, found = moment
    text = snippet(sought, piece.segment.text, found)
    return Hit("transcript", text, piece.index, piece.segment.start, piece.segment.speaker)


def head_hit(sought: Sought, conversation: Conversation) -> Hit | None:
    """The best field of the head; None when no word is found in one."""
    best, hit = 0.0, None
    for field, text in head_fields(conversation):
        found = sought.find(text)
        value = sought.worth(found)
        if value > best:
            best, hit = value, Hit(field, snippet(sought, text, found))
    return hit


def speaks(speaker: str, sought: str) -> bool:
    """Whether `sought` is this speaker's whole name or a word of it, without regard to case and accents."""
    return f" {bare(sought)} " in f" {bare(speaker)} "


def snippet(sought: Sought, text: str, found: Sequence[Found]) -> str:
    """At most `SNIPPET_CHARACTERS` of `text` (and the marks of a cut) around its best words, on one line."""
    if len(text) <= SNIPPET_CHARACTERS:
        return " ".join(text.split())
    first, last = _best_span(sought, found)
    start, end = _widen(text, first, last)
    return f"{CUT if start else ''}{' '.join(text[start:end].split())}{CUT if end < len(text) else ''}"


def _best_span(sought: Sought, found: Sequence[Found]) -> tuple[int, int]:
    """The stretch that fits in a snippet and is worth most, from the start of a found word to the end of one."""
    best, span = 0.0, (0, 0)
    for index, first in enumerate(found):
        fitting = [each for each in found[index:] if each.word.end <= first.word.start + SNIPPET_CHARACTERS]
        value = sought.worth(fitting)
        if value > best:
            best, span = value, (first.word.start, fitting[-1].word.end)
    return span


def _widen(text: str, first: int, last: int) -> tuple[int, int]:
    """Fill a span up with the words around it; only a word longer than a snippet is cut within."""
    spare = max(0, SNIPPET_CHARACTERS - (last - first))
    lowest = max(0, min(first - spare // 2, len(text) - SNIPPET_CHARACTERS))
    spoken = list(words(text))
    start = min((word.start for word in spoken if lowest <= word.start <= first), default=first) if lowest else 0
    highest = start + SNIPPET_CHARACTERS
    if highest >= len(text):
        return start, len(text)
    end = max((word.end for word in spoken if start < word.end <= highest), default=0)
    return start, end or _before_marks(text, highest)


def _before_marks(text: str, cut: int) -> int:
    """The nearest place at or before `cut` that does not part a character from its marks."""
    while cut and (unicodedata.combining(text[cut]) or text[cut] in "\u200d\ufe0f" or text[cut - 1] == "\u200d"):
        cut -= 1
    return cut
