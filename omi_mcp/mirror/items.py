"""The account's own list of action items, beside what the conversations say of theirs.

OMI API: the list is a copy, made when a conversation is processed. What is ticked, reworded or deleted in it later does
not change the conversation, whose items have no id: the two are matched by conversation and description. The list can
also hold items of conversations that are gone, and some that were made by hand and belong to none.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from omi_mcp.api.models import ActionItem, ListedItem
from omi_mcp.mirror.index import storable

SCHEMA = """
    create table if not exists listed_items(
        id text not null,
        same_as text not null,
        conversation text,
        item text not null,
        read integer not null,
        gone integer not null default 0,
        primary key (id, same_as)
    ) without rowid;
    create index if not exists listed_conversation on listed_items(conversation)
"""
"""`same_as` is the description as it is compared. A row stays when the list has it no more: then it is `gone`, deleted
or reworded there, which the conversation does not know."""


FEW = 10
"""A list with more than that is not believed to have nothing any more."""


def keep(connection: sqlite3.Connection, items: Iterable[ListedItem], read: int) -> set[str]:
    """Keep rows of the list, read at `read`. The ids of the conversations for which something is different."""
    changed: set[str] = set()
    for item in items:
        key = (storable(item.id), _same_as(item.description))
        conversation = None if item.conversation_id is None else storable(item.conversation_id)
        kept = storable(json.dumps(item.model_dump(mode="json", exclude_defaults=True)))
        before = connection.execute(
            "select conversation, item, gone from listed_items where id = ? and same_as = ?", key
        ).fetchone()
        if before is None or tuple(before) != (conversation, kept, 0):
            changed.update({conversation or "", (before and before["conversation"]) or ""} - {""})
        connection.execute(
            "insert or replace into listed_items(id, same_as, conversation, item, read) values (?, ?, ?, ?, ?)",
            (*key, conversation, kept, read),
        )
    return changed


def settle(connection: sqlite3.Connection, began: int) -> set[str]:
    """The list was read to its end, from `began` on: what it did not bring is gone. The ids of its conversations."""
    (had, brought) = connection.execute(
        "select count(*), coalesce(sum(read >= ?), 0) from listed_items where gone = 0", (began,)
    ).fetchone()
    if not brought and had > FEW:
        return set()
    where = "where read < ? and gone = 0 and conversation is not null"
    changed = {
        row["conversation"] for row in connection.execute(f"select conversation from listed_items {where}", (began,))
    }
    connection.execute(f"update listed_items set gone = 1 {where}", (began,))
    connection.execute("delete from listed_items where read < ? and conversation is null", (began,))
    return changed


def resolved(
    connection: sqlite3.Connection, conversation_id: str, own: Sequence[ActionItem]
) -> tuple[ActionItem, ...] | None:
    """A conversation's action items as the list has them; None where that is no different from its `own`.

    What the list never had is as the conversation says; what it has besides was added or reworded there.
    """
    rows = connection.execute(
        "select same_as, item, gone from listed_items where conversation = ? order by id, same_as",
        (storable(conversation_id),),
    ).fetchall()
    if not rows:
        return None
    known = {row["same_as"] for row in rows}
    current: defaultdict[str, list[ListedItem]] = defaultdict(list)
    for row in rows:
        if not row["gone"]:
            current[row["same_as"]].append(_item(row))
    shown = []
    for item in own:
        key = _same_as(item.description)
        if key not in known:
            shown.append(item)
        elif listed := current.get(key):
            shown.append(_one(listed))
    known_own = {_same_as(item.description) for item in own}
    shown += [_one(listed) for key, listed in current.items() if key not in known_own]
    return None if shown == list(own) else tuple(shown)


def loose(connection: sqlite3.Connection) -> list[ListedItem]:
    """What is still to do of the list and belongs to no conversation that is known, the newest first."""
    rows = connection.execute(
        "select item from listed_items where gone = 0"
        " and (conversation is null or conversation not in (select id from conversations)) order by id, same_as"
    ).fetchall()
    items = [item for row in rows if is_open(item := _item(row))]
    return sorted(items, key=lambda item: -(item.created_at.timestamp() if item.created_at else 0.0))


def is_open(item: ActionItem | ListedItem) -> bool:
    """Whether it is still to do."""
    return not item.completed and bool(item.description.strip())


def _one(listed: Sequence[ListedItem]) -> ActionItem:
    """Several of one description are done when all of them are."""
    item = next((each for each in listed if not each.completed), listed[0])
    return ActionItem(description=item.description, completed=item.completed, due_at=item.due_at)


def _item(row: sqlite3.Row) -> ListedItem:
    return ListedItem.model_validate(json.loads(row["item"]))


def _same_as(description: str) -> str:
    return storable(" ".join(description.casefold().split()).rstrip(". "))
