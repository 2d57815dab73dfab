"""`search_conversations`: find by words and filters, or list the newest."""

import base64
import hashlib
import json
from collections.abc import Set
from dataclasses import replace
from typing import Annotated, NamedTuple

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import front
from omi_mcp.api.models import known_categories
from omi_mcp.mirror.types import Filters, Match, Progress
from omi_mcp.names import people_asked
from omi_mcp.tools.arguments import MAX_LIMIT, Names, PageSize, Switch, Words, checked, time_range
from omi_mcp.tools.calls import WAITING, Ctx, answering, app_of, reply
from omi_mcp.views.cards import Detail
from omi_mcp.views.models import SearchAnswer

DEFAULT_LIMIT = 10

FARTHEST = 2**63 - 1
"""The largest integer SQLite takes: cursors come back from outside."""

DESCRIPTION = """\
Find the user's conversations by what was said, by title, people or dates; without a query, list the newest first. \
Use it first for any question about past conversations, and for "today" or "last week" with period. \
Any word may match, best first: add synonyms and related words. What has a "quoted phrase" comes first; only \
phrases: exactly those. unmatched names words that nothing searched has. \
Each hit gives the moment (at, segment) to open with get_conversation. \
Not for reading: hits are short snippets. coverage and note say what could not be searched."""


async def search_conversations(
    ctx: Ctx,
    query: Annotated[Words, Field(description='Words, "quoted phrases", names. Empty lists by date.')] = None,
    period: Annotated[
        Words,
        Field(description="today, last week, past month, june 2025, since monday, 2025-03-01 to 2025-03-14, ..."),
    ] = None,
    start: Annotated[Words, Field(description="Instead of period: first day or moment, e.g. 2025-03-14T09:30")] = None,
    end: Annotated[Words, Field(description="Last day or moment, inclusive")] = None,
    categories: Annotated[Names, Field(description="Any of these, e.g. work, health, family")] = None,
    folder: Annotated[Words, Field(description="Folder name or id")] = None,
    starred: Annotated[Switch, Field(description="true: only starred ones")] = None,
    speakers: Annotated[
        Names, Field(description="All of these speak in it, and query is what they say; me: the user")
    ] = None,
    open_items: Annotated[
        Switch,
        Field(description="true: what is still to do: open action items with due dates; query, period narrow it"),
    ] = None,
    limit: Annotated[
        PageSize, Field(description=f"Conversations per page: 1 to {MAX_LIMIT}, default {DEFAULT_LIMIT}")
    ] = None,
    cursor: Annotated[Words, Field(description="next_cursor of the same search")] = None,
    detail: Annotated[
        Detail,
        Field(description="concise (default); hits: every place, for lists; full: whole overviews and action items"),
    ] = "concise",
) -> Annotated[CallToolResult, SearchAnswer]:
    app = app_of(ctx)
    wanted = time_range(ctx, start, end, period)
    with checked("categories"):
        known = known_categories(categories or ())
    asked = people_asked(speakers or ())
    filters = Filters(
        start=wanted.first,
        end=wanted.last,
        categories=known,
        starred=starred or None,
        speakers=asked,
        open_items=bool(open_items),
    )
    binding = _binding(
        query or "", start, end, period, filters.categories, folder, filters.starred, asked, filters.open_items
    )
    place = _placed(cursor, binding) if cursor else _Place()
    copied = 0

    async def report(progress: Progress) -> None:
        nonlocal copied
        copied = progress.conversations

    def message() -> str:
        return f"Reading your conversations for the first time: {copied:,} so far" if copied else WAITING

    async with answering(ctx, "read", message):
        found = await app.library.search(
            query or "",
            filters,
            folder=folder,
            limit=limit or DEFAULT_LIMIT,
            offset=place.offset,
            every_hit=detail == "hits",
            report=report,
        )
    results = found.results
    if place.offset and not results.matches:
        raise ToolError(
            f"cursor: this page is gone, {results.total:,} match by now. Leave it out to start at the first page."
        )
    if place.marks:
        left = tuple(match for match in results.matches if _mark(match.stored.conversation.id) not in place.marks)
        found = replace(found, results=replace(results, matches=left), unworded=place.unworded)
    answer = front.search_answer(found, wanted, app.settings.timezone, app.clock.now(), detail=detail)
    shown = {card.id for card in answer.conversations}
    unshown = (each for each, match in enumerate(results.matches) if not _is_past(match, shown, place.marks))
    if (first := next(unshown, None)) is not None:
        results = replace(results, next_offset=place.offset + first)
    following = None
    if results.next_offset is not None:
        marks = place.marks | {_mark(match.stored.conversation.id) for match in found.by_meaning}
        following = _cursor(_Place(results.next_offset, found.unworded, marks), binding)
    return reply(ctx, answer.model_copy(update={"next_cursor": following}))


def _binding(*parts: object) -> str:
    """What a cursor belongs to: a hash of the search as it was asked, dates as written."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:10]


class _Place(NamedTuple):
    """Where a page begins. `marks` are of what the service's own search has shown before its turn, or without one:
    `unworded` of these."""

    offset: int = 0
    unworded: int = 0
    marks: frozenset[str] = frozenset()


def _is_past(match: Match, shown: Set[str], marks: Set[str]) -> bool:
    """Whether a match is on this page, or was on one before."""
    return match.stored.conversation.id in shown or _mark(match.stored.conversation.id) in marks


def _mark(conversation_id: str) -> str:
    return hashlib.sha256(conversation_id.encode()).hexdigest()[:6]


def _cursor(place: _Place, binding: str) -> str:
    bound = ".".join((binding, str(place.unworded), *sorted(place.marks))) if place.marks else binding
    return base64.urlsafe_b64encode(f"s:{place.offset}:{bound}".encode()).decode().rstrip("=")


def _placed(cursor: str, binding: str) -> _Place:
    try:
        decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        kind, offset, bound = decoded.split(":")
        bound, unworded, *marks = bound.split(".") if "." in bound else (bound, "0")
        place = _Place(int(offset), int(unworded), frozenset(marks))
    except ValueError:
        kind, bound, place = "", "", _Place()
    if kind != "s" or not 0 < place.offset <= FARTHEST or not 0 <= place.unworded <= len(place.marks):
        raise ToolError(
            "cursor: this is not a cursor of search_conversations. Leave it out to start at the first page."
        )
    if bound != binding:
        raise ToolError(
            "cursor: it belongs to another search. Repeat the query and filters it came from, or leave it out."
        )
    return place
