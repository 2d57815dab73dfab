"""Every size a model is asked to read, in characters, and how text is cut to it: between words, and saying so."""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

WINDOW = 16_000
"""A transcript window when nothing is asked for; about 17 minutes of speech."""
FIND_WINDOW = 6_000
"""The same around words that were looked for: one place is wanted, and the others are listed."""
WINDOW_MIN = 2_000
WINDOW_MAX = 40_000

WHOLE = 2_000_000
"""A whole transcript, for a person who attaches it; 24 hours of speech are about 1.4 million."""

RUN = 2_000
"""A line of one speaker longer than this gets a fresh time at its next segment, so that what is said can be cited."""
SPLIT = 1_000
"""Space at the end of a window worth splitting a segment for; anything smaller is left empty."""

SPEAKER_NAME = 40
NAME = 40
TITLE = 120
FIRST_WORDS = 60
"""What is shown of a conversation without a title."""
SPEAKERS = 6
"""Names on the card of a search, of those who say most."""
EVERYONE = 40
"""Names where one conversation is read: all, but for a crowd."""
SNIPPET = 220
REPLY = 120
"""Of what was said right after a question that was found."""
WORDS = 80
"""The words of a query by which one hit was found."""
UNMATCHED = 12
"""Words of a query named that nothing has."""
HITS = 8
"""How many places `find` lists."""
MOMENTS = 4
"""They take this part of the window at most, and the text what they leave."""
CARD_ITEMS = 5
"""Action items shown with a transcript; without it, all that fit in `ITEMS`."""

PASSAGE = 1_500
"""What a model reads of a transcript that the user is shown; it has `get_conversation` for more."""
GLANCE = 400
"""And of the overview."""

OVERVIEW = 4_000
ITEM = 300
ITEMS = 4_000
EVENTS = 2_000
NOTE = 400

SENTENCE = 40
BEGINNING = 50
"""The least worth showing of a sentence of the overview that matches, and of the beginning before it."""


@dataclass(frozen=True)
class CardSize:
    """How much of a conversation its card in a search may show; `items` is for all its action items together."""

    overview: int
    hits: int = 3
    items: int = 0
    title: int = TITLE
    speakers: int = SPEAKERS


CONCISE = (
    CardSize(overview=240),
    CardSize(overview=160),
    CardSize(overview=160, speakers=4),
    CardSize(overview=100, title=80, speakers=3),
    CardSize(overview=0, title=80, speakers=2),
    CardSize(overview=0, hits=2, title=60, speakers=2),
    CardSize(overview=0, hits=1, title=60, speakers=2),
    CardSize(overview=0, hits=0, title=40, speakers=0),
)
"""From what a card shows where there is room, to what it keeps where there is none. What was said
gives way last, and hits are left out, not cut shorter: what was sought may be anywhere in them."""
CONCISE_CARD = 525
"""Ten of them, with the coverage and every note, are a list in 6,000 characters."""
FOUND_CARD = 360
"""The same of a search by words, in 4,300: of what was found, the first few are what was sought, or none is."""
BEST = 3
"""That many first cards keep what they have until all others are down to their headings."""

FULL = (
    CardSize(overview=4_000, items=2_000),
    CardSize(overview=1_500, items=1_000),
    CardSize(overview=600, items=500),
    *CONCISE,
)
FULL_PAGE = 40_000

TO_DO_ITEM = 500
"""One open action item in full. OMI API: those made by hand have no more."""
TO_DO_ITEMS = (2_000, 1_000, 600)
"""Characters for the open action items of one conversation: the largest of these with which the page fits."""
TO_DO_PAGE = 9_000
"""The page with them, and with ten conversations at most; more share as much as concise cards do."""
TO_DO_OTHERS = 2_000

HITS_PAGE = 5_250
"""A page of nothing but hits: as many conversations as fit, one at least."""

_ROOMY_PAGE = 10
_GAP = " ... "
_SENTENCE_END = re.compile(
    r"[.!?\u2026][\"')\]\u201d\u2019]*(?=\s)|[\u3002\uff01\uff1f\u061f\u06d4\u0964][\u300d\u300f\u201d]*"
)
_SPACE = re.compile(r"\s+")


def concise_page(cards: int, *, found: bool = False) -> int:
    """The characters that many concise cards share; a short page leaves each of them more room. `found`: by words."""
    return (FOUND_CARD if found else CONCISE_CARD) * max(cards, _ROOMY_PAGE)


def to_do_page(cards: int) -> int:
    """The characters that many cards with open action items share."""
    return TO_DO_PAGE * max(cards, _ROOMY_PAGE) // _ROOMY_PAGE


def shorten(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, cut after a word and ended with "..."."""
    if len(text) <= limit:
        return text
    return text[: _word_end(text, limit - 3)].rstrip() + "..."


def excerpt(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, cut after a sentence or word and ended with the number left out.

    Empty where there is no room for more than that number.
    """
    if len(text) <= limit:
        return text
    room = limit - len(_left_out(len(text)))
    if room < 1:
        return ""
    kept = text[: break_before(text, room)].rstrip(" .\n")
    return kept + _left_out(len(text) - len(kept))


def excerpt_with(text: str, sentence: str, limit: int) -> str:
    """`excerpt`, but for a part of `text` that is in it: `sentence`, cut to fit, behind as much of the beginning as
    there is room for."""
    beginning = excerpt(text, limit)
    if not sentence or len(text) <= limit or sentence.strip(".") in beginning:
        return beginning
    room = limit - len(_left_out(len(text))) - len(_GAP)
    if room < SENTENCE:
        return beginning
    shown = shorten(sentence.removeprefix(_GAP.strip()), room)
    rest = room - len(shown)
    first = text[: break_before(text, rest)].rstrip(" .\n") if rest >= BEGINNING else ""
    return (
        f"{first}{_GAP if first else _GAP.lstrip()}{shown.rstrip(' .')}{_left_out(len(text) - len(first) - len(shown))}"
    )


def break_before(text: str, limit: int) -> int:
    """Where to end a first part of at most `limit` characters: after the last sentence that fills at least half of
    it, else after the last word, else between two characters as a reader sees them. At least 1.
    """
    if len(text) <= limit:
        return len(text)
    ends = [match.end() for match in _SENTENCE_END.finditer(text, limit // 2, limit + 1) if match.end() <= limit]
    return ends[-1] if ends else _word_end(text, limit)


def break_after(text: str, limit: int) -> int:
    """Where to begin a last part of at most `limit` characters: the mirror image of `break_before`."""
    if len(text) <= limit:
        return 0
    earliest = len(text) - limit
    for boundary in (_SENTENCE_END, _SPACE):
        if match := boundary.search(text, earliest, earliest + limit // 2):
            last_part = text[match.end() :].lstrip()
            if last_part:
                return len(text) - len(last_part)
    return next((at for at in range(earliest, len(text)) if not _attached(text, at)), earliest)


def compact_json(value: Any) -> str:
    """`value` as it is sent, without a space that says nothing."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_size(value: Any) -> int:
    """How many characters `value` takes as it is sent."""
    return len(compact_json(value))


def _left_out(count: int) -> str:
    return f"... [+{count:,} characters]"


def _word_end(text: str, limit: int) -> int:
    """The end of the last word within `limit`, unless that gives up more than half of it."""
    if text[limit : limit + 1].isspace():
        return limit
    space = max(text.rfind(" ", limit // 2, limit), text.rfind("\n", limit // 2, limit))
    if space > 0:
        return space
    return next((at for at in range(limit, max(1, limit - 64), -1) if not _attached(text, at)), max(1, limit))


def _attached(text: str, at: int) -> bool:
    """Whether the character at `at` is shown as part of the one before it."""
    char, before = text[at], text[at - 1]
    if unicodedata.category(char).startswith("M") or "\u200d" in (char, before) or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    if "\u1160" <= char <= "\u11ff":  # the vowel or the end of a Korean syllable
        return True
    if not ("\U0001f1e6" <= char <= "\U0001f1ff"):
        return False
    flags = 0
    while flags < at and "\U0001f1e6" <= text[at - 1 - flags] <= "\U0001f1ff":
        flags += 1
    return flags % 2 == 1
