"""Transcripts as turns, read in windows that tile them exactly.

One line is one turn: `[hh:mm:ss] Name: words`. Nothing that was said can start a line or look like such a time. In a
window that was opened at a place, the line there begins with `MARK`.
Segments are counted from 0 in time order, which is how a `Conversation` holds them.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

from omi_mcp.api.models import Segment
from omi_mcp.dates import format_offset
from omi_mcp.mirror.types import Hit
from omi_mcp.names import those_called, unaccented
from omi_mcp.views import budgets
from omi_mcp.views.models import TranscriptWindow
from omi_mcp.views.text import clean_line, clean_name, enumerated

LEAD_IN = 300
"""Characters shown before a place that was asked for: what it answers is mostly said just before."""

MARK = ">> "

_STAMP = re.compile(r"\[(\s*\d{1,6}(?:\s*:\s*\d{1,6}){1,2}[^\[\]]{0,8})\]")
_CONTINUED = " (continued)"
_PROFILE_FALLBACK = "user"
_CURSOR = re.compile(r"t(\d{1,9})\.(\d{1,9})(?:-(\d{1,9})\.(\d{1,9}))?(?:~([\w-]+))?\.([0-9a-f]{8})", re.ASCII)


def speaker_name(name: str) -> str:
    """How a speaker is shown. OMI API: the person's own speech is named `User` while their profile has no name."""
    if name.casefold() == _PROFILE_FALLBACK:
        return "You"
    return budgets.shorten(clean_name(name), budgets.SPEAKER_NAME) or "Speaker"


def user_name(user: str | None) -> str | None:
    """What the user is called, where that needs to be told: "You" tells itself."""
    name = user and speaker_name(user)
    return None if name == "You" else name


@dataclass(frozen=True)
class Place:
    """Where a window opens: before character `offset` of a segment's cleaned words.

    It ends at `until` (segment, offset) at the latest, and shows only the turns of `speaker` when one is named. The
    line of segment `mark` is marked, or the next one that is shown.
    """

    segment: int = 0
    offset: int = 0
    until: tuple[int, int] | None = None
    speaker: str | None = None
    mark: int | None = None


START = Place()


@dataclass(frozen=True)
class Window:
    """Turns from `first_segment` to `last_segment`, inclusive; either may be shown in part and go on in a neighbour.

    `begins` and `ends` are the seconds it covers of `seconds`. `following` and `previous` are None at the ends, and
    `marked`, a segment, where no line is marked.
    """

    text: str
    first_segment: int
    last_segment: int
    total: int
    begins: float
    ends: float
    seconds: float
    following: Place | None
    previous: Place | None
    marked: int | None = None


class Transcript:
    """The transcript of one conversation, to be read in windows. Words are cleaned only where a window shows them."""

    def __init__(self, conversation_id: str, segments: Sequence[Segment], seconds: float = 0.0) -> None:
        """`seconds` is the conversation's length where it is known; its last word may come later than that."""
        self._id = conversation_id
        self._segments = sorted(segments, key=lambda segment: segment.start)
        self._names = [speaker_name(segment.speaker) for segment in self._segments]
        self._cleaned: dict[int, str] = {}
        self._seconds = max((seconds, *(segment.end for segment in self._segments)))

    def __len__(self) -> int:
        return len(self._segments)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Everyone who speaks, by words spoken, most first."""
        spoken: Counter[str] = Counter()
        for name, segment in zip(self._names, self._segments, strict=True):
            spoken[name] += len(segment.text.split())
        return tuple(name for name, _ in spoken.most_common())

    @property
    def seconds(self) -> float:
        """How long it is, to its last word at least."""
        return self._seconds

    def speech(self) -> Iterable[tuple[str, Segment]]:
        """Every segment in order, with who speaks in it."""
        return zip(self._names, self._segments, strict=True)

    def user(self, name: str | None) -> str | None:
        """Which of the speakers is the user, who is called `name` in transcripts where that is known."""
        for shown, segment in zip(self._names, self._segments, strict=True):
            if segment.label.casefold() == _PROFILE_FALLBACK:
                return shown  # whatever they are called on this side
        return next((speaker for speaker in self.speakers if name and speaker == speaker_name(name)), None)

    def speaks(self, name: str) -> bool:
        """Whether somebody of that name says anything."""
        return bool(self._called(name))

    def hits_of(self, speaker: str | None, hits: Iterable[Hit]) -> list[Hit]:
        """Those of the hits that lie in the transcript, of `speaker` alone where one is named, and no more than fit."""
        names = self._called(speaker or None)
        said = [hit for hit in hits if hit.segment is not None and self._names[hit.segment] in names]
        return said[: budgets.HITS]

    def at_segment(self, index: int, speaker: str | None = None) -> Place:
        """Raises ValueError outside the transcript, and for a speaker who is not in it."""
        if not 0 <= index < len(self):
            raise ValueError(f"segment must be between 0 and {len(self) - 1}.")
        return self._only(speaker, Place(index))

    def at_time(self, seconds: float, speaker: str | None = None) -> Place:
        """The segment spoken `seconds` from the start, or the next one. Raises ValueError beyond the end, and for a
        speaker who is not in it.
        """
        if not 0 <= seconds <= self._seconds:
            raise ValueError(f"the conversation is {format_offset(self._seconds)} long.")
        index = max(0, bisect_right(self._segments, seconds, key=lambda segment: segment.start) - 1)
        if self._segments[index].end <= seconds and index + 1 < len(self):
            index += 1
        return self._only(speaker, Place(index))

    def leading_to(self, place: Place) -> Place:
        """A little before `place`, which is marked then."""
        opening = self._previous(place, self._called(place.speaker), LEAD_IN) or place
        return replace(opening, until=place.until, mark=place.segment)

    def at_cursor(self, cursor: str) -> Place:
        """Raises ValueError for a cursor of another conversation, or of a transcript that has changed since."""
        place = _parse_cursor(cursor)
        if place is None or place.segment >= len(self) or self.cursor(place) != cursor:
            raise ValueError(
                "this cursor does not belong to this conversation as it is now. "
                "Leave it out to read from the start, or open at a time or segment."
            )
        return place

    def cursor(self, place: Place) -> str:
        """`place` as a short string that only this transcript reads back."""
        until = "-{}.{}".format(*place.until) if place.until else ""
        speaker = "~" + urlsafe_b64encode(place.speaker.encode()).decode().rstrip("=") if place.speaker else ""
        text = f"t{place.segment}.{place.offset}{until}{speaker}"
        segment = self._segments[place.segment]
        sealed = f"{self._id}\n{text}\n{len(self)}\n{segment.start}\n{segment.text}"
        return f"{text}.{blake2b(sealed.encode(errors='surrogatepass'), digest_size=4).hexdigest()}"

    def window(self, place: Place = START, max_chars: int = budgets.WINDOW) -> Window:
        """The turns from `place` on that fit in `max_chars` (at least 100) characters."""
        names = self._called(place.speaker)
        end = place.until or (len(self), 0)
        page = _Page(max_chars)
        marked = None
        index, offset = place.segment, place.offset
        while (index, offset) < end:
            if self._names[index] not in names:
                page.interrupt()
            elif words := self._words(index)[offset : end[1] if index == end[0] else None]:
                mark = place.mark is not None and index >= place.mark and marked is None
                taken = page.add(self._segments[index], self._names[index], words, continued=offset > 0, marked=mark)
                marked = index if mark and taken else marked
                if taken < len(words):
                    offset += taken
                    break
            index, offset = (index, end[1]) if index == end[0] else (index + 1, 0)
        following = self._following(replace(place, segment=index, offset=offset, until=None, mark=None), names)
        last = len(self) - 1 if following is None else following.segment - (following.offset == 0)
        opening = self._segments[place.segment].start
        return Window(
            text=page.text,
            first_segment=place.segment,
            last_segment=max(last, place.segment),
            total=len(self),
            begins=opening if page.begins is None else page.begins,
            ends=max(opening, page.ends),
            seconds=self._seconds,
            following=following,
            previous=self._previous(place, names, max_chars),
            marked=marked,
        )

    def view(self, window: Window) -> TranscriptWindow:
        covers = f"{format_offset(window.begins)}-{format_offset(window.ends)} of {format_offset(window.seconds)}"
        marked = None if window.marked is None else self._segments[window.marked].start
        return TranscriptWindow(
            opened_at=None if marked is None else f"{MARK}{format_offset(marked)}, segment {window.marked}",
            text=window.text,
            segments=f"{window.first_segment}-{window.last_segment} of {window.total}",
            covers=covers,
            next_cursor=self.cursor(window.following) if window.following else None,
            previous_cursor=self.cursor(window.previous) if window.previous else None,
        )

    def whole(self) -> str:
        """Every turn, however long; one that is longer than any day is cut, and says so."""
        if not self._segments:
            return ""
        window = self.window(START, max_chars=budgets.WHOLE)
        if window.following is None:
            return window.text
        return f"{window.text}\n[Cut here: get_conversation with segment={window.last_segment} reads on.]"

    def _only(self, speaker: str | None, place: Place) -> Place:
        if speaker is None:
            return place
        if not self._called(speaker):
            known = enumerated(self.speakers[: budgets.EVERYONE], max(0, len(self.speakers) - budgets.EVERYONE))
            raise ValueError(f"nobody of that name speaks in this conversation. Speakers: {known}.")
        return replace(place, speaker=unaccented(speaker))

    def _called(self, speaker: str | None) -> frozenset[str]:
        """The names that `speaker` means: all of them for None, else that name, else those it is a part of."""
        names = frozenset(self._names)
        if speaker is None:
            return names
        wanted = speaker_name(speaker)
        return frozenset(those_called(names, wanted)) or self._labelled(unaccented(wanted))

    def _labelled(self, wanted: str) -> frozenset[str]:
        """The names given on this side to whom the API calls so."""
        pairs = zip(self._names, self._segments, strict=True)
        return frozenset(name for name, segment in pairs if unaccented(speaker_name(segment.label)) == wanted)

    def _words(self, index: int) -> str:
        if index not in self._cleaned:
            self._cleaned[index] = _STAMP.sub(r"(\1)", clean_line(self._segments[index].text))
        return self._cleaned[index]

    def _following(self, place: Place, names: frozenset[str]) -> Place | None:
        """`place`, moved on to the next words to show; None when there are none."""
        for index in range(place.segment, len(self)):
            offset = place.offset if index == place.segment else 0
            if self._names[index] in names and len(self._words(index)) > offset:
                return replace(place, segment=index, offset=offset)
        return None

    def _previous(self, place: Place, names: frozenset[str], max_chars: int) -> Place | None:
        """Where to open so that a window of `max_chars` ends just before `place`; None when nothing comes before."""
        opening: tuple[int, int] | None = None
        # Reckoned as if each segment were a line of its own, so that what is filled forwards from there fits.
        room = max_chars - len(_CONTINUED)
        for index in range(place.segment, -1, -1):
            words = self._words(index)[: place.offset if index == place.segment else None]
            if not words or self._names[index] not in names:
                continue
            room -= len(_head(self._segments[index], self._names[index])) + 1
            if len(words) > room:
                if opening is None or room >= _worth_splitting(max_chars):
                    opening = (index, budgets.break_after(words, room))
                break
            room -= len(words)
            opening = (index, 0)
        else:
            opening = None if opening is None else (0, 0)
        if opening is None:
            return None
        return replace(place, segment=opening[0], offset=opening[1], until=(place.segment, place.offset), mark=None)


class _Page:
    """The lines of one window as they fill up."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._room = max_chars
        self._parts: list[str] = []
        self._speaking = ""
        self._run = 0
        self.begins: float | None = None
        self.ends = 0.0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def interrupt(self) -> None:
        """Somebody speaks who is not shown: the next words are a new turn."""
        self._speaking = ""

    def add(self, segment: Segment, name: str, words: str, *, continued: bool, marked: bool) -> int:
        """How many characters of `words` were taken: all, a first part where none or little is left, or none."""
        goes_on = name == self._speaking and self._run < budgets.RUN and not marked
        mark = MARK if marked else ""
        lead = " " if goes_on else ("\n" if self._parts else "") + mark + _head(segment, name, continued=continued)
        room = self._room - len(lead)
        taken = len(words)
        if taken > room:
            if self._parts and room < _worth_splitting(self._max_chars):
                return 0
            taken = budgets.break_before(words, room)
        shown = words[:taken].rstrip()
        self._parts += (lead, shown)
        self._room -= len(lead) + len(shown)
        self._run = len(shown) + (self._run + 1 if goes_on else 0)
        self._speaking = name
        self.begins = segment.start if self.begins is None else self.begins
        self.ends = max(self.ends, segment.end)
        return taken + len(words[taken:]) - len(words[taken:].lstrip())


def _head(segment: Segment, name: str, *, continued: bool = False) -> str:
    return f"[{format_offset(segment.start)}] {name}{_CONTINUED if continued else ''}: "


def _worth_splitting(max_chars: int) -> int:
    return min(budgets.SPLIT, max_chars // 4)


def _parse_cursor(cursor: str) -> Place | None:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        return None
    segment, offset, until_segment, until_offset, speaker, _ = match.groups()
    try:
        name = urlsafe_b64decode(speaker + "=" * (-len(speaker) % 4)).decode() if speaker else None
    except ValueError:
        return None
    until = (int(until_segment), int(until_offset)) if until_segment else None
    return Place(int(segment), int(offset), until, name)
