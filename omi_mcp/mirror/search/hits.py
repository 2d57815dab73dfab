"""Hits: where in a conversation the words of a query are, and the text cut down to around them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from omi_mcp.api.models import Conversation
from omi_mcp.mirror.index import Passage, Piece, head_fields, is_torn, words
from omi_mcp.mirror.search.matcher import Occurrence, TermMatcher
from omi_mcp.mirror.search.query import parse
from omi_mcp.mirror.search.voices import EVERYBODY, Voices
from omi_mcp.mirror.types import Field, Hit

SNIPPET_CHARACTERS = 200
CUT = "..."

_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


def occurrences(query: str, text: str) -> list[tuple[int, int]]:
    """Where in `text` (from, to; characters) the words stand that a search takes for those of `query`."""
    return [(found.word.start, found.word.end) for found in TermMatcher.of(parse(query)).find(text)]


class Held(NamedTuple):
    """A text that holds something sought: a piece of a transcript, in which of its passages, or a field of the head."""

    terms: Set[str]
    text: str
    field: Field
    piece: Piece | None
    passage: int


def hold(
    matcher: TermMatcher, conversations: Sequence[tuple[Conversation, Mapping[int, Passage]]], voices: Voices
) -> list[list[Held]]:
    """Of each conversation the texts that hold something, in the order they were said and written.

    Of each, the passages are those that may. All texts are gone through at once: that takes less than each by itself.
    """
    looked_at: list[list[tuple[str, Field, Piece | None, int]]] = [
        [
            *((piece.text, "transcript", piece, n) for n, passage in passages.items() for piece in voices.own(passage)),
            *((text, field, None, 0) for field, text in head_fields(conversation)),
        ]
        for conversation, passages in conversations
    ]
    terms = iter(matcher.terms_of_each([text for texts in looked_at for text, *_ in texts]))
    return [[Held(found, *each) for each in texts if (found := next(terms))] for texts in looked_at]


def best_hits(
    matcher: TermMatcher, transcript: Iterable[Passage], limit: int, voices: Voices = EVERYBODY
) -> tuple[Hit, ...]:
    """The best hits of a transcript, at most one of each passage, best first."""
    return best_of_each(matcher, map(voices.own, transcript), limit)


def best_of_each(matcher: TermMatcher, passages: Iterable[Sequence[Piece]], limit: int) -> tuple[Hit, ...]:
    """The best hits of these pieces of passages, at most one of each, best first."""
    best = [found for passage in passages if (found := _best_piece(matcher, passage)) is not None]
    best.sort(key=lambda each: -each.worth)
    return tuple(_said(matcher, each.piece, each.found) for each in best[:limit])


def best_said(matcher: TermMatcher, pieces: Iterable[Piece]) -> Hit | None:
    """The best hit of pieces of one passage; None when no word is found."""
    best = _best_piece(matcher, pieces)
    return None if best is None else _said(matcher, best.piece, best.found)


def best_written(matcher: TermMatcher, held: Iterable[Held]) -> Hit | None:
    """The best field of the head; None when no word is found in one."""
    best, hit = 0.0, None
    for each in held:
        if each.piece is not None:
            continue
        found = matcher.find(each.text)
        value = matcher.value(found)
        if value > best:
            best, hit = value, _written(matcher, each, found)
    return hit


class Sought(NamedTuple):
    """Which index terms make a text a hit: a strong one, or two weak ones. A quoted phrase does too."""

    strong: Set[str]
    weak: Set[str] = frozenset()

    def is_in(self, matcher: TermMatcher, text: str, terms: Set[str]) -> bool:
        """Whether `text`, in which these `terms` are, is one."""
        if not self.strong.isdisjoint(terms) or len(self.weak & terms) > 1:
            return True
        return any(terms >= {*each.terms} for each in matcher.phrases) and bool(matcher.whole(matcher.find(text)))


def every_hit(matcher: TermMatcher, sought: Sought, held: Iterable[Held], limit: int) -> tuple[tuple[Hit, ...], int]:
    """The best hits of a conversation, at most `limit`, in the order they were said and written; and the number of all.

    A segment, an action item and the overview are one hit each.
    """
    every = [each for each in held if each.field != "title" and sought.is_in(matcher, each.text, each.terms)]
    if not limit:
        return (), len(every)
    found = [matcher.find(each.text) for each in every]
    best = sorted(range(len(every)), key=lambda place: -matcher.value(found[place]))[:limit]
    hits = (
        _written(matcher, each, words) if each.piece is None else _said(matcher, each.piece, words)
        for each, words in ((every[place], found[place]) for place in sorted(best))
    )
    return tuple(hits), len(every)


def best_sentence(matcher: TermMatcher, text: str) -> str | None:
    """The sentence that holds most of what is sought, cut as a snippet; None where none holds anything."""
    best, chosen = 0.0, None
    for sentence in _SENTENCE_END.split(text):
        found = matcher.find(sentence)
        if (value := matcher.value(found)) > best:
            best, chosen = value, snippet(matcher, sentence, found)
    return chosen


def snippet(matcher: TermMatcher, text: str, found: Sequence[Occurrence]) -> str:
    """At most `SNIPPET_CHARACTERS` of `text` around its best words, and "..." where it is cut; on one line."""
    if len(text) <= SNIPPET_CHARACTERS:
        return " ".join(text.split())
    start, end = _widened(text, *_best_span(matcher, found))
    return f"{CUT if start else ''}{' '.join(text[start:end].split())}{CUT if end < len(text) else ''}"


class _Best(NamedTuple):
    worth: float
    piece: Piece
    found: Sequence[Occurrence]


def _best_piece(matcher: TermMatcher, pieces: Iterable[Piece]) -> _Best | None:
    best = None
    for piece in pieces:
        found = matcher.find(piece.text)
        if not found:
            continue
        named = {each.term for each in matcher.find(piece.speaker)}
        value = matcher.value(found) + matcher.worth(named - {each.term for each in found})
        if value > (best.worth if best else 0.0):
            best = _Best(value, piece, found)
    return best


def _said(matcher: TermMatcher, piece: Piece, found: Sequence[Occurrence]) -> Hit:
    named = {each.term for each in matcher.find(piece.speaker)}
    text = snippet(matcher, piece.text, found)
    return Hit("transcript", text, piece.place, piece.start, piece.speaker, matcher.by_words(found, named))


def _written(matcher: TermMatcher, held: Held, found: Sequence[Occurrence]) -> Hit:
    return Hit(held.field, snippet(matcher, held.text, found), words=matcher.by_words(found))


def _best_span(matcher: TermMatcher, found: Sequence[Occurrence]) -> tuple[int, int]:
    """The stretch worth most that fits in a snippet, from the start of a found word to the end of one."""
    best, span, end = 0.0, (0, 0), 0
    for start, first in enumerate(found):
        end = max(end, start + 1)
        while end < len(found) and found[end].word.end <= first.word.start + SNIPPET_CHARACTERS:
            end += 1
        value = matcher.value(found[start:end])
        if value > best:
            best, span = value, (first.word.start, found[end - 1].word.end)
    return span


def _widened(text: str, first: int, last: int) -> tuple[int, int]:
    """A span filled up with the words around it. Only a word longer than a snippet is cut within."""
    spare = max(0, SNIPPET_CHARACTERS - (last - first))
    lowest = max(0, min(first - spare // 2, len(text) - SNIPPET_CHARACTERS))
    spoken = list(words(text))
    starts = (word.start for word in spoken if lowest <= word.start <= first and not is_torn(text, word.start))
    start = min(starts, default=first) if lowest else 0
    highest = start + SNIPPET_CHARACTERS
    if highest >= len(text):
        return start, len(text)
    ends = [word.end for word in spoken if start < word.end <= highest]
    end = max((end for end in ends if end == last or not is_torn(text, end)), default=0)
    return start, end or _before_marks(text, highest)


def _before_marks(text: str, cut: int) -> int:
    """The nearest place at or before `cut` that does not part a character from its marks."""
    while cut and (unicodedata.combining(text[cut]) or text[cut] in "\u200d\ufe0f" or text[cut - 1] == "\u200d"):
        cut -= 1
    return cut
