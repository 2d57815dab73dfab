"""Reading all of a list that has no cursor: where to ask next, and what a page proves.

OMI API: the list is ordered by `created_at`, newest first; `limit` and `offset` are applied before locked and
malformed rows are dropped, so a short or empty page proves nothing; there is no total. Offsets slip when rows come
and go. So the way down goes by value, each page beginning at the oldest instant of the one before, and by offset only
where the value does not change.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from omi_mcp.api.client import LIST_LIMIT, Page

EMPTY_PAGES = 3
"""Empty pages in a row that are taken for the end of the list: rows that were dropped can fill some. One less does
where no page has shown a gap."""

STRIDE = LIST_LIMIT - 10
"""How far an offset goes on: rows that disappear meanwhile pull those below them up, out of the next page."""

_MICROSECOND = timedelta(microseconds=1)


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


class Span(BaseModel):
    """A stretch of `created_at`, both ends inclusive (None: without end), of which a page has listed everything."""

    model_config = ConfigDict(frozen=True)

    newest: datetime | None
    oldest: datetime | None


def advance(position: Position, page: Page, *, patience: int | None = None) -> tuple[Position | None, Span | None]:
    """The position after `page`, None at the end of the list; and the span it has listed completely, if any.

    `patience` is how many empty pages in a row are taken for the end, where that is known better than from the pages.
    """
    below = position.offset == 0  # else rows at the instant `end` itself were passed over
    newest = position.end if position.end is None or below else position.end - _MICROSECOND
    if not page.conversations:
        empty = position.empty + (page.received == 0)
        enough = patience or (EMPTY_PAGES if position.gaps or position.end is None else EMPTY_PAGES - 1)
        if empty >= enough:
            return None, Span(newest=newest, oldest=None)
        return position.model_copy(update={"offset": position.offset + STRIDE, "empty": empty}), None
    oldest = min(conversation.created_at for conversation in page.conversations)
    if position.end is not None and oldest >= position.end:
        return position.model_copy(update={"offset": position.offset + STRIDE, "empty": 0, "short": False}), None
    span = Span(newest=newest, oldest=oldest + _MICROSECOND)  # the page can have been cut amid rows of one instant
    short = page.received < LIST_LIMIT
    gaps = position.gaps or position.short or position.empty > 0
    if short and not gaps:
        # Most likely the end: then the next page, from just behind these rows, is empty.
        listed = sum(conversation.created_at == oldest for conversation in page.conversations)
        return Position(end=oldest, offset=listed, short=True), span
    return Position(end=oldest, gaps=gaps), span
