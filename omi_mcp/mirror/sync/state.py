"""How far the sync has come, as it stands in the mirror's database: any process can go on from there."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Obstacle

Depth = Literal["head", "week", "quarter", "whole"]
DEPTHS: tuple[Depth, ...] = ("head", "week", "quarter", "whole")

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Position(BaseModel):
    """Where the next page begins: `offset` rows below the newest that is not newer than `end` (None: from the top).

    `gaps` says that rows were dropped from a page of this reading, `short` that the last page was not full.
    """

    model_config = ConfigDict(frozen=True)

    end: datetime | None = None
    offset: int = 0
    empty: int = 0
    short: bool = False
    gaps: bool = False


class _State(BaseModel):
    """Frozen; kept as JSON under `KEY`."""

    model_config = ConfigDict(frozen=True)

    KEY: ClassVar[str]

    @classmethod
    def load(cls, store: Store) -> Self:
        """What was saved last; the defaults where there is nothing usable."""
        try:
            return cls.model_validate(store.read_state(cls.KEY) or {})
        except ValidationError:
            return cls()

    def save(self, store: Store, **changes: Any) -> None:
        """Keep it, with these fields changed."""
        store.write_state(self.KEY, self.model_copy(update=changes).model_dump(mode="json"))


class Missing(BaseModel):
    """A mirrored conversation that a page asked for at `noticed` should have listed and did not.

    `dropped`: the page was not full, so the row may be there and have been dropped from it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    noticed: datetime
    dropped: bool


class Pass(BaseModel):
    """One reading of the list from the top down to `floor` (None: to the end), compared with the mirror.

    `newest` is the first instant it saw, `stirred` whether anything was new or different, `backdated` whether anything
    was new that is older than what had been read before, `known` counts the mirrored rows it should have met, `missing`
    are those of them it did not.
    """

    model_config = ConfigDict(frozen=True)

    depth: Depth
    began: datetime
    floor: datetime | None
    position: Position = Position()
    newest: datetime | None = None
    stirred: bool = False
    backdated: bool = False
    known: int = 0
    missing: tuple[Missing, ...] = ()


class Head(_State):
    """The looks at the newest conversations.

    `seen` is the newest instant of the last complete look, `looked` when it was, `tried` when one was begun last,
    `quiet` how many in a row brought nothing, those that someone asked for not counted, `week` when the newest seven
    days were last compared, `demanded` when someone asked for a look at once, as long as none has been complete that
    began later.
    """

    KEY = "sync_head"

    seen: datetime | None = None
    looked: datetime | None = None
    tried: datetime | None = None
    quiet: int = 0
    week: datetime | None = None
    demanded: datetime | None = None
    current: Pass | None = None


class Passes(_State):
    """The long passes: `whole` and `quarter` say when the last complete one over all, or over 90 days, began.

    The first over all is the backfill. `stepped` is when a page was last asked for, `demanded` when someone asked for
    everything to be compared at once, as long as that is not done. `backdated` is when conversations were last seen
    that had been added with an old date.
    """

    KEY = "sync_passes"

    whole: datetime | None = None
    quarter: datetime | None = None
    stepped: datetime | None = None
    demanded: datetime | None = None
    backdated: datetime | None = None
    current: Pass | None = None


class Labels(_State):
    """What rows do not carry: when folders and stars were learnt, and the stars of an unfinished reading."""

    KEY = "sync_labels"

    folders: datetime | None = None
    stars: datetime | None = None
    position: Position | None = None
    starred: tuple[str, ...] = ()


class ActionItems(_State):
    """The readings of the account's own list of action items.

    `read` is when the last one that came to its end began, `failed` when the last page was asked for in vain, `refused`
    why the API gives none to this key. `began` and `offset` are of an unfinished reading.
    """

    KEY = "sync_action_items"

    read: datetime | None = None
    failed: datetime | None = None
    refused: Literal["scope", "absent"] | None = None
    began: datetime | None = None
    offset: int = 0


class Transcripts(_State):
    """`alone` are to be fetched one by one, `unreadable` not before the given time; `batch` is how many at once."""

    KEY = "sync_transcripts"

    alone: tuple[str, ...] = ()
    unreadable: dict[str, datetime] = {}
    batch: int = 25


class Wanted(_State):
    """When the conversations began whose transcripts are fetched first, because a search was about them."""

    KEY = "sync_wanted"

    start: datetime | None = None
    end: datetime | None = None


class Trouble(_State):
    """Why sync waits, until when, and after how many failures in a row."""

    KEY = "sync_trouble"

    obstacle: Obstacle | None = None
    until: datetime | None = None
    failures: int = 0

    def wait(self, now: datetime) -> float:
        """Seconds until sync may go on."""
        return max(0.0, (self.until - now).total_seconds()) if self.until else 0.0


class Suspicion(_State):
    """What a pass of `depth` found missing that was too much to be believed at once."""

    KEY = "sync_suspicion"

    depth: Depth = "head"
    since: datetime | None = None
    ids: frozenset[str] = frozenset()
    of: int = 0
