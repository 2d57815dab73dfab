"""What is still to do: conversations with open action items, and open items that belong to none of them."""

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from omi_mcp.api.models import ActionItem, ListedItem
from omi_mcp.mirror.index import fts
from omi_mcp.mirror.items import is_open
from omi_mcp.mirror.search.engine import search, without_hits
from omi_mcp.mirror.search.expansion import expand
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import Query, any_of, parse
from omi_mcp.mirror.search.scope import Scope
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters, Match, Results

Item = TypeVar("Item", ActionItem, ListedItem)


def search_to_do(
    store: Store, query: str, filters: Filters, *, limit: int, offset: int
) -> tuple[Results, tuple[ListedItem, ...]]:
    """One page of the conversations that pass `filters` and have open items, the newest first, and the open items that
    belong to none; all of these on the first page.

    With words those come first of which an open item matches, the best before others, then what matches elsewhere.
    """
    filters = replace(filters, open_items=True)
    with store.database.reading() as connection:
        asked = expand(connection, parse(query)).query if query.strip() else None
        matcher = TermMatcher.of(asked) if asked else None
        first = _by_items(connection, asked, matcher, Scope.of(connection, filters)) if asked and matcher else []
    # As many more as could be among the first ones.
    most, skipped = (limit + offset, 0) if matcher else (limit, offset)
    found = search(store, query, filters, limit=most, offset=skipped, mixed=True)
    results = found
    if matcher:
        known = {match.stored.conversation.id for match in first}
        others = [match for match in found.matches if match.stored.conversation.id not in known]
        page = [*first, *others][offset : offset + limit]
        total = max(found.total, len(first))
        following = offset + len(page)
        results = replace(
            found,
            matches=tuple(page),
            total=total,
            close=max(found.close, len(first)),
            loosely=False,
            next_offset=following if page and following < total else None,
        )
    matches = tuple(replace(match, to_do=_ordered(matcher, _open(match))) for match in results.matches)
    return replace(results, matches=matches), () if offset else _loose(store, query, filters)


def _by_items(connection: sqlite3.Connection, asked: Query, matcher: TermMatcher, scope: Scope) -> list[Match]:
    """The conversations of which an open item matches, best first, without hits."""
    if not asked.everything:
        return []
    rows = connection.execute(
        f"select * from conversations where {scope.condition} and row in (select rowid >> {fts.ENTRY_BITS} from entries"
        f" where entries match ? and rowid & {fts.LAST_PASSAGE} = {fts.ITEMS}) order by began desc, id",
        (*scope.values, any_of(asked.everything)),
    )
    worths: list[tuple[float, Match]] = []
    for row in rows:
        match = without_hits(connection, row)
        if worth := max((_worth(matcher, item) for item in _open(match)), default=0.0):
            worths.append((worth, match))
    return [match for _, match in sorted(worths, key=lambda each: -each[0])]


def _loose(store: Store, query: str, filters: Filters) -> tuple[ListedItem, ...]:
    """Of the items without a conversation those that can pass: they have a time, and nothing else to filter by."""
    if replace(filters, start=None, end=None, open_items=False) != Filters():
        return ()
    matcher = TermMatcher.of(parse(query)) if query.strip() else None  # their words are in no index
    items = [
        item
        for item in store.loose_items()
        if (filters.start is None or (item.created_at and item.created_at >= filters.start))
        and (filters.end is None or (item.created_at and item.created_at <= filters.end))
        and (matcher is None or _worth(matcher, item))
    ]
    return _ordered(matcher, items)


def _open(match: Match) -> list[ActionItem]:
    return [item for item in match.stored.conversation.structured.action_items if is_open(item)]


def _ordered(matcher: TermMatcher | None, items: Iterable[Item]) -> tuple[Item, ...]:
    """Those that match best first, else as they were."""
    if matcher is None:
        return tuple(items)
    return tuple(sorted(items, key=lambda item: -_worth(matcher, item)))


def _worth(matcher: TermMatcher, item: ActionItem) -> float:
    return matcher.value(matcher.find(item.description))
