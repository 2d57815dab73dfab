"""The rows of mirrored conversations: how one is made of what the API says, and what is read out of it."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from omi_mcp.api.models import ActionItem, Conversation, Segment
from omi_mcp.mirror import items
from omi_mcp.mirror.index import fts, storable
from omi_mcp.mirror.types import Counts, Stored, TranscriptState
from omi_mcp.names import unaccented

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INSERT = """
    insert into conversations(
        row, id, began, created, title, category, folder, synced, fingerprint, light, action_items, open_items
    ) values (
        :row, :id, :began, :created, :title, :category, :folder, :synced, :fingerprint, :light,
        :action_items, :open_items
    )
"""
_UPDATE = """
    update conversations set began = :began, created = :created, title = :title, category = :category,
        folder = :folder, synced = :synced, fingerprint = :fingerprint, light = :light, action_items = :action_items,
        open_items = :open_items, hidden = 0
    where id = :id
"""


def count(connection: sqlite3.Connection, condition: str, values: Sequence[object]) -> Counts:
    """How much is mirrored of the conversations that meet `condition`."""
    where = f"from conversations where {condition}"
    tally = connection.execute(f"select transcript, count(*) {where} group by transcript", values).fetchall()
    states: dict[str, int] = dict(tally)
    oldest, newest = (
        connection.execute(f"select {extreme}(created) {where}", values).fetchone()[0] for extreme in ("min", "max")
    )
    return Counts(
        conversations=sum(states.values()),
        transcripts=states.get("stored", 0) + states.get("none", 0),
        pending=states.get("pending", 0),
        locked=states.get("locked", 0),
        oldest=None if oldest is None else moment(oldest),
        newest=None if newest is None else moment(newest),
    )


def ticks(moment: datetime) -> int:
    """Microseconds since 1970 began, UTC: how times are stored."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(ticks: int) -> datetime:
    """The UTC datetime of `ticks`."""
    return _EPOCH + ticks * _MICROSECOND


def write(
    connection: sqlite3.Connection, conversation: Conversation, synced: int, *, number: int | None = None
) -> sqlite3.Row:
    """Have this summary in a row, which is visible then, synced at those `ticks`. A new row gets that `number`, or the
    next one. Returns the row as it is now."""
    light = light_json(conversation)
    values = {
        "row": number,
        "id": storable(conversation.id),
        "began": ticks(conversation.began),
        "created": ticks(conversation.created_at),
        "title": storable(unaccented(conversation.structured.title)),
        "category": storable(conversation.structured.category),
        "folder": None if conversation.folder_id is None else storable(conversation.folder_id),
        "synced": synced,
        "fingerprint": digest(light),
        "light": light,
        **resolved(connection, conversation),
    }
    if not connection.execute(_UPDATE, values).rowcount:
        connection.execute(_INSERT, values)
    row = find(connection, conversation.id)
    assert row is not None
    return row


def remove(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    fts.forget(connection, row["row"], indexed=not row["hidden"])
    connection.execute("delete from conversations where row = ?", (row["row"],))


def fingerprint(conversation: Conversation) -> str:
    """A hash of the light row: equal when nothing but the transcript can differ."""
    return digest(light_json(conversation))


def stored_from(connection: sqlite3.Connection, row: sqlite3.Row) -> Stored:
    """The light `Stored` of a row of `conversations`."""
    return Stored(
        conversation=shown(row),
        transcript=row["transcript"],
        starred=None if row["starred"] is None else bool(row["starred"]),
        hidden=bool(row["hidden"]),
        synced_at=moment(row["synced"]),
        opening="" if row["title"].strip() else fts.opening(connection, row["row"]),
    )


def light_json(conversation: Conversation) -> str:
    fields = conversation.model_dump(mode="json", exclude={"transcript_segments"}, exclude_defaults=True)
    return json.dumps(fields, separators=(",", ":"), sort_keys=True)


def digest(light: str) -> str:
    return hashlib.blake2b(light.encode(), digest_size=16).hexdigest()


def light_of(row: sqlite3.Row) -> Conversation:
    return Conversation.model_validate(json.loads(row["light"]))


def shown(row: sqlite3.Row) -> Conversation:
    """The conversation of a row, its action items as the account's list has them."""
    return with_items(light_of(row), row["action_items"])


def with_items(conversation: Conversation, listed: str | None) -> Conversation:
    if listed is None:
        return conversation
    action_items = tuple(ActionItem.model_validate(item) for item in json.loads(listed))
    structured = conversation.structured.model_copy(update={"action_items": action_items})
    return conversation.model_copy(update={"structured": structured})


def resolve(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Show the action items of a row as the account's list has them now."""
    conversation = light_of(row)
    values = resolved(connection, conversation)
    if values == {name: row[name] for name in values}:
        return
    connection.execute(
        "update conversations set action_items = :action_items, open_items = :open_items where row = :row",
        values | {"row": row["row"]},
    )
    written = with_items(conversation, values["action_items"])
    fts.replace_written(connection, row["row"], written, indexed=not row["hidden"])


def resolved(connection: sqlite3.Connection, conversation: Conversation) -> dict[str, Any]:
    """What the list makes of its action items: null where it changes nothing, and how many are still to do."""
    own = conversation.structured.action_items
    listed = items.resolved(connection, conversation.id, own)
    return {
        "action_items": None if listed is None else json.dumps([item.model_dump(mode="json") for item in listed]),
        "open_items": sum(map(items.is_open, own if listed is None else listed)),
    }


def find(connection: sqlite3.Connection, conversation_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "select * from conversations where id = ?", (storable(conversation_id),)
    ).fetchone()
    return row


def find_all(connection: sqlite3.Connection, ids: Iterable[str]) -> Iterator[sqlite3.Row]:
    for conversation_id in ids:
        row = find(connection, conversation_id)
        if row is not None:
            yield row


def set_transcript(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    segments: Sequence[Segment],
    state: TranscriptState,
    *,
    indexed: bool,
) -> bool:
    """Store a transcript or the reason for none; False when nothing is different."""
    replaced = fts.replace_transcript(connection, row["row"], segments, indexed=indexed)
    if not replaced and state == row["transcript"]:
        return False
    connection.execute(
        "update conversations set transcript = ?, speakers = ?, segments = ? where row = ?",
        (state, json.dumps(fts.by_words_spoken(segments)), len(segments), row["row"]),
    )
    return True
