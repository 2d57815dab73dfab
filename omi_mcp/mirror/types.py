"""What the mirror holds and what a search in it answers: plain frozen values, no I/O."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from omi_mcp.api.models import ActionItem, Conversation, ListedItem
from omi_mcp.database import FileWarning as FileWarning  # a value like the others here
from omi_mcp.names import Person

TranscriptState = Literal["stored", "none", "pending", "locked"]
"""`stored`: segments are here; `none`: the API says there are none; `pending`: not fetched yet; `locked`: by plan."""

Names = dict[str, str]
"""What the API calls each speaker of a conversation, and the name given on this side."""

Field = Literal["transcript", "title", "overview", "action_items"]
Phase = Literal["idle", "summaries", "transcripts"]
Obstacle = Literal["reserved", "spent", "key", "scope", "offline", "failing", "disk"]
"""Why copying waits. `reserved`: what is left of the hourly allowance is kept for the person; `spent`: none is left;
`key`, `scope`: the API key is not accepted, or may not read; `offline`, `failing`: the API cannot be reached, or does
not answer as it should; `disk`: the mirror cannot be written."""

Narrowing = Literal["dates", "categories", "folder", "starred", "speakers", "open_items"]
"""What a search can be narrowed by."""

Method = Literal["listed", "ranked", "unquoted", "prefix", "trigram"]
"""How matches were found: by date without words; by the words; by the words of a quoted phrase that occurs nowhere as
one; by words beginning with those asked for; by words spelled alike. The loosest reading that was needed is named."""


@dataclass(frozen=True)
class Stored:
    """One mirrored conversation.

    `conversation.transcript_segments` is filled when `transcript` is "stored", empty when it is "none", else None;
    a light row has None always. `starred` is None until the starred ones were enumerated. `synced_at` is when the API
    last returned it to this machine, or to another one with something new. `opening` is the beginning of what was said,
    of one without a title.
    """

    conversation: Conversation
    transcript: TranscriptState
    starred: bool | None
    hidden: bool
    synced_at: datetime
    opening: str = ""


@dataclass(frozen=True)
class Filters:
    """What a conversation must satisfy to be ranked or listed at all; None and () mean no condition.

    `start` and `end` are inclusive and apply to `began`. All of `speakers` speak in it, each under any of their names;
    words are then looked for in what they say themselves.
    """

    start: datetime | None = None
    end: datetime | None = None
    categories: tuple[str, ...] = ()
    folder_id: str | None = None
    starred: bool | None = None
    speakers: tuple[Person, ...] = ()
    open_items: bool = False
    """Something of it is still to do."""
    ids: tuple[str, ...] = ()
    """One of these."""

    @property
    def narrowings(self) -> tuple[Narrowing, ...]:
        """The filters that are set."""
        return tuple(name for name in _FIELDS if self.without(name) != self)

    def without(self, narrowing: Narrowing) -> "Filters":
        """All but one of them."""
        unset = {field: getattr(NO_FILTERS, field) for field in _FIELDS[narrowing]}
        return replace(self, **unset)


_FIELDS: dict[Narrowing, tuple[str, ...]] = {
    "dates": ("start", "end"),
    "categories": ("categories",),
    "folder": ("folder_id",),
    "starred": ("starred",),
    "speakers": ("speakers",),
    "open_items": ("open_items",),
}
NO_FILTERS = Filters()


@dataclass(frozen=True)
class Hit:
    """One moment that matched: a snippet cut at word ends, "..." where something was cut.

    `segment` is the 0-based index of the transcript segment and `at` its start in seconds; both, like `speaker`,
    are None outside the transcript. `words` are those of the query by which it was found, quoted phrases in quotes;
    empty where it has all of them. `then` is who said what right after a question.
    """

    field: Field
    text: str
    segment: int | None = None
    at: float | None = None
    speaker: str | None = None
    words: tuple[str, ...] = ()
    then: tuple[str, str] | None = None


@dataclass(frozen=True)
class Match:
    """One conversation of a result, light. `speakers` are ordered by words spoken, most first."""

    stored: Stored
    speakers: tuple[str, ...]
    segments: int
    hits: tuple[Hit, ...]
    found: int = 0
    """Hits there are."""
    sentence: str | None = None
    """The one of the overview that matches best."""
    by_meaning: bool = False
    """Found by the service's own search, and not among what matches by words on this page."""
    to_do: tuple[ActionItem, ...] = ()
    """Its open action items, where they were asked for, those that match first."""


@dataclass(frozen=True)
class Replaced:
    """A word of a query that occurs nowhere, and the known words that were searched in its place."""

    word: str
    by: tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """A quoted phrase of a query, and how many conversations within the filters hold it."""

    text: str
    conversations: int


@dataclass(frozen=True)
class Results:
    """One page. `total` counts every match, `close` those that match closely: they come first, and no page has both
    them and others. `method` names how they were found; `next_offset` is None at the end.

    `loosely`: this page has the others. `unmatched` are the words of the query that nothing within the filters has, and
    `elsewhere` those of them that something else has. Where a filter or a phrase emptied the
    result, `without` has how many would match closely without each filter, and `unfiltered` without any.
    """

    matches: tuple[Match, ...]
    total: int
    close: int
    method: Method
    next_offset: int | None
    replaced: tuple[Replaced, ...] = ()
    loosely: bool = False
    unmatched: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    without: tuple[tuple[Narrowing, int], ...] = ()
    unfiltered: int = 0


@dataclass(frozen=True)
class ToDo:
    """What is known from the account's own list of action items, beside the conversations.

    `read` is when it was last read to its end, None where never; `refused` is why it cannot be: the key lacks the
    scope, or the service has no such list. `loose` are open items of it that belong to no mirrored conversation.
    """

    read: datetime | None
    refused: Literal["scope", "absent"] | None
    loose: tuple[ListedItem, ...] = ()


@dataclass(frozen=True)
class Span:
    """So many conversations, the first and the last of which began then."""

    conversations: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Heard:
    """Of one who was asked for, or of all of them together: where they speak.

    `asked` are the names as they were asked for; `everywhere` is None where they speak nowhere. `within` are the
    conversations that pass the other filters too. `alike` are known names near to one that nobody has.
    """

    asked: tuple[str, ...]
    everywhere: Span | None
    within: int
    alike: tuple[str, ...] = ()


@dataclass(frozen=True)
class CatalogueEntry:
    """One line of the catalogue; `synced_at` is when the API last returned it."""

    id: str
    began: datetime
    transcript: TranscriptState
    synced_at: datetime


@dataclass(frozen=True)
class Counts:
    """How much is mirrored, of all or of what passes a search's filters, hidden ones left out.

    `transcripts` are those with nothing left to fetch.
    """

    conversations: int
    transcripts: int
    pending: int
    locked: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class Unlisted:
    """The API no longer lists `count` of the `of` conversations checked: too many to be believed at once. They are kept
    until a later check confirms it."""

    count: int
    of: int


@dataclass(frozen=True)
class Progress:
    """How far the mirror has come.

    `phase` is what is still to be copied, `oldest` how far back the summaries reach, `complete` whether they are all
    there, `synced` when the newest ones were last looked at. `blocked` is why copying waits and `retry_at` until when,
    or, with nothing in the way, when news is looked for next. `compared` is when the comparison of everything that was
    last finished began, `overdue` whether there should have been another since. `warnings` are what the user should
    know besides.
    """

    phase: Phase
    conversations: int
    oldest: datetime | None
    complete: bool
    synced: datetime | None
    blocked: Obstacle | None
    retry_at: datetime | None
    compared: datetime | None
    overdue: bool
    warnings: tuple[FileWarning | Unlisted, ...] = ()


@dataclass(frozen=True)
class Standing:
    """How the copy stands. `remains` is None when all is copied, else the seconds until copying can go on.

    `looking`: what is new is still to be looked for, as `sync` was asked to. `comparing`: the whole list is still to be
    read, for the first time or as it was asked to. `settling`: what became of some that are missing there is not known.
    """

    counts: Counts
    progress: Progress
    remains: float | None
    looking: bool
    comparing: bool
    settling: bool


Listener = Callable[[Progress], Awaitable[None]]
"""Is told how far the mirror has come."""
