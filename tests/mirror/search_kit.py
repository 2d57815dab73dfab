"""What the tests of the store and of search share: small made-up conversations, and a store to put them in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from omi_mcp.api.models import ActionItem, Conversation, Segment, Structured
from omi_mcp.mirror.search import search
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters, Results
from tests.stores import kept

NOON = datetime(2025, 3, 4, 12, tzinfo=UTC)
"""A Tuesday."""


class StandingClock:
    """Always the same instant, until it is set."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the store never waits")


@contextmanager
def opened(path: Path | None = None) -> Iterator[Store]:
    database = kept(path)
    try:
        store = Store(database, StandingClock())
        database.attach()
        yield store
    finally:
        database.close()


def talk(
    name: str,
    *lines: tuple[str, str],
    days_ago: float = 0,
    title: str = "",
    overview: str = "",
    items: Sequence[str] = (),
    category: str = "other",
    folder: str | None = None,
    transcript: bool = True,
) -> Conversation:
    """A conversation with the id `name`; `lines` are (speaker, text), ten seconds each."""
    began = NOON - timedelta(days=days_ago)
    segments = tuple(
        Segment(text=text, speaker_name=speaker, start=10.0 * index, end=10.0 * index + 9.0)
        for index, (speaker, text) in enumerate(lines)
    )
    return Conversation(
        id=name,
        created_at=began,
        started_at=began,
        structured=Structured(
            title=title,
            overview=overview,
            category=category,
            action_items=tuple(ActionItem(description=item) for item in items),
        ),
        folder_id=folder,
        transcript_segments=segments if transcript else None,
    )


def find(store: Store, text: str, limit: int = 10, offset: int = 0, **filters: object) -> Results:
    return search(store, text, Filters(**filters), limit=limit, offset=offset)  # type: ignore[arg-type]


def ids(results: Results) -> list[str]:
    return [match.stored.conversation.id for match in results.matches]
