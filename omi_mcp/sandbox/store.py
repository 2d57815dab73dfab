"""The service's own database: conversations and folders in SQLite, in memory or in one durable file."""

import json
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from omi_mcp.sandbox.wire import format_moment, microseconds

_SCHEMA = """
create table if not exists conversations (
    id text primary key,
    created_us integer not null,
    created_at text not null,
    started_at text,
    finished_at text,
    structured text not null,
    category text not null,
    language text,
    source text,
    segments text not null,
    geolocation text,
    folder_id text,
    status text not null,
    discarded integer not null,
    locked integer not null,
    starred integer not null,
    malformed integer not null,
    text text,
    claimed_us integer
);
create index if not exists listing on conversations (created_us desc, id desc, category, folder_id, starred)
    where status = 'completed' and discarded = 0;
create table if not exists folders (
    id text primary key,
    name text not null unique,
    description text,
    created_at text not null
);
create table if not exists action_items (
    id text primary key,
    description text not null,
    completed integer not null,
    conversation_id text,
    created_us integer not null,
    created_at text not null,
    updated_at text,
    due_at text,
    completed_at text
);
create index if not exists action_item_conversation on action_items (conversation_id);
create table if not exists keys (
    key text primary key,
    scopes text,
    name text unique
);
"""

_NAMESPACE = uuid.UUID("7d0b8f5e-8a37-4d0e-9a53-0f3f1c2b6e94")
_LISTED = "status = 'completed' and discarded = 0"
_MAX_OFFSET = 2**63 - 1


@dataclass
class Record:
    """One conversation as the service keeps it. Moments are in wire format.

    `segments` are `{id, text, speaker_id, speaker_name, start, end}`; None when they were not read from the database.
    `text` is what a text-created conversation was made from, which the API never gives back.
    """

    id: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    structured: dict[str, Any]
    language: str | None = None
    source: str | None = None
    segments: list[dict[str, Any]] | None = field(default_factory=list)
    geolocation: dict[str, Any] | None = None
    folder_id: str | None = None
    status: str = "completed"
    discarded: bool = False
    locked: bool = False
    starred: bool = False
    malformed: bool = False
    text: str | None = None
    claimed_us: int | None = None


@dataclass(frozen=True)
class Item:
    """One action item of the account's list, a copy of its own of what a conversation had when it was processed.

    Moments are in wire format. `conversation_id` is None for one that was made by hand.
    """

    id: str
    description: str
    created_at: str
    completed: bool = False
    conversation_id: str | None = None
    updated_at: str | None = None
    due_at: str | None = None
    completed_at: str | None = None


_FIELDS = [each.name for each in fields(Record)]
_ITEM_FIELDS = [each.name for each in fields(Item)]
_LIGHT = ", ".join(name for name in _FIELDS if name != "segments")
_COLUMNS = [*_FIELDS, "created_us", "category"]
_PUT = (
    f"insert or replace into conversations ({', '.join(_COLUMNS)})"
    f" values ({', '.join(f':{name}' for name in _COLUMNS)})"
)


@dataclass(frozen=True)
class Query:
    """The list route's filters; `start` and `end` are inclusive, on `created_at`."""

    limit: int
    offset: int
    start: datetime | None = None
    end: datetime | None = None
    categories: Sequence[str] = ()
    folder_id: str | None = None
    starred: bool | None = None


@dataclass(frozen=True)
class ItemQuery:
    """The filters of the list of action items; `start` and `end` are inclusive, on `created_at`."""

    limit: int
    offset: int
    conversation_id: str | None = None
    completed: bool | None = None
    start: datetime | None = None
    end: datetime | None = None


class Store:
    """All rows of one account. Every call is one short transaction, safe from any thread."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            if path is not None:
                self._connection.execute("pragma journal_mode = wal")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, for as long as the block lasts."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def put(self, records: Iterable[Record]) -> None:
        """Add the records; one with a known id replaces what was there."""
        with self.transaction() as connection:
            connection.executemany(_PUT, map(_row, records))

    def get(self, conversation_id: str, *, segments: bool = True) -> Record | None:
        columns = f"{_LIGHT}, segments" if segments else _LIGHT
        rows = self._read(f"select {columns} from conversations where id = ?", (conversation_id,))
        return _record(rows[0]) if rows else None

    def page(self, query: Query, *, segments: bool) -> list[Record]:
        """The rows of one page, `created_at` descending, among completed conversations that are not discarded."""
        terms, values = [_LISTED], list[Any]()
        if query.start is not None:
            terms.append("created_us >= ?")
            values.append(microseconds(query.start))
        if query.end is not None:
            terms.append("created_us <= ?")
            values.append(microseconds(query.end))
        if query.categories:
            terms.append(f"category in ({', '.join('?' * len(query.categories))})")
            values.extend(query.categories)
        if query.folder_id is not None:
            terms.append("folder_id = ?")
            values.append(query.folder_id)
        if query.starred is not None:
            terms.append("starred = ?")
            values.append(query.starred)
        columns = f"{_LIGHT}, segments" if segments else _LIGHT
        rows = self._read(
            f"select {columns} from conversations where id in (select id from conversations where {' and '.join(terms)}"
            " order by created_us desc, id desc limit ? offset ?) order by created_us desc, id desc",
            (*values, query.limit, min(query.offset, _MAX_OFFSET)),
        )
        return [_record(row) for row in rows]

    def ids(self, *, listed: bool) -> list[str]:
        where = f"where {_LISTED} and not locked" if listed else ""
        rows = self._read(f"select id from conversations {where} order by created_us desc, id desc")
        return [row["id"] for row in rows]

    def delete(self, conversation_id: str) -> bool:
        with self.transaction() as connection:
            return connection.execute("delete from conversations where id = ?", (conversation_id,)).rowcount > 0

    def put_items(self, items: Iterable[Item]) -> None:
        """Add action items; one with a known id replaces what was there."""
        rows = [{**vars(item), "created_us": microseconds(datetime.fromisoformat(item.created_at))} for item in items]
        with self.transaction() as connection:
            connection.executemany(
                f"insert or replace into action_items ({', '.join([*_ITEM_FIELDS, 'created_us'])})"
                f" values ({', '.join(f':{name}' for name in [*_ITEM_FIELDS, 'created_us'])})",
                rows,
            )

    def items(self, query: ItemQuery) -> list[tuple[Item, bool]]:
        """One page of action items, the newest first, each with whether it is locked."""
        terms, values = ["true"], list[Any]()
        if query.conversation_id is not None:
            terms.append("i.conversation_id = ?")
            values.append(query.conversation_id)
        if query.completed is not None:
            terms.append("i.completed = ?")
            values.append(query.completed)
        if query.start is not None:
            terms.append("i.created_us >= ?")
            values.append(microseconds(query.start))
        if query.end is not None:
            terms.append("i.created_us <= ?")
            values.append(microseconds(query.end))
        rows = self._read(
            f"select {', '.join(f'i.{name}' for name in _ITEM_FIELDS)}, coalesce(c.locked, 0) as locked"
            " from action_items i left join conversations c on c.id = i.conversation_id"
            f" where {' and '.join(terms)} order by i.created_us desc, i.id limit ? offset ?",
            (*values, query.limit, min(query.offset, _MAX_OFFSET)),
        )
        return [(_item(row), bool(row["locked"])) for row in rows]

    def extract_items(self, record: Record) -> None:
        """List the action items of a conversation, in place of those that were listed of it.

        OMI API: its processing does that once; what is ticked or deleted in the list later does not change the
        conversation. `ticked`, taken out here, says that this has happened to one.
        """
        items = [
            Item(
                id=str(uuid.uuid5(_NAMESPACE, f"{record.id}/{number}")),
                description=item["description"],
                created_at=record.created_at,
                completed=item.pop("ticked", False) or item["completed"],
                conversation_id=record.id,
                due_at=item.get("due_at"),
                completed_at=item.get("completed_at"),
            )
            for number, item in enumerate(record.structured["action_items"])
        ]
        with self.transaction() as connection:
            connection.execute("delete from action_items where conversation_id = ?", (record.id,))
            self.put_items(items)

    def delete_item(self, item_id: str) -> bool:
        with self.transaction() as connection:
            return connection.execute("delete from action_items where id = ?", (item_id,)).rowcount > 0

    def folder(self, name: str, now: datetime) -> str:
        """The id of the folder with that name, which is made when there is none yet."""
        with self.transaction() as connection:
            rows = self._read("select id from folders where name = ?", (name,))
            if rows:
                return str(rows[0]["id"])
            folder_id = str(uuid.uuid4())
            connection.execute(
                "insert into folders (id, name, created_at) values (?, ?, ?)", (folder_id, name, format_moment(now))
            )
            return folder_id

    def put_folder(self, folder_id: str, name: str, now: datetime) -> None:
        with self.transaction() as connection:
            connection.execute(
                "insert or replace into folders (id, name, created_at) values (?, ?, ?)",
                (folder_id, name, format_moment(now)),
            )

    def folder_names(self) -> dict[str, str]:
        return {row["id"]: row["name"] for row in self._read("select id, name from folders")}

    def folders(self) -> list[dict[str, Any]]:
        """As the API answers them, in the order they were made."""
        rows = self._read(
            "select f.*, (select count(*) from conversations c where c.folder_id = f.id and"
            " c.status = 'completed' and c.discarded = 0) as conversation_count from folders f order by f.rowid"
        )
        return [
            {
                "id": row["id"],
                "name": row["name"],
                "description": row["description"],
                "color": "#6B7280",
                "icon": "folder",
                "created_at": row["created_at"],
                "updated_at": row["created_at"],
                "order": order,
                "is_default": False,
                "is_system": False,
                "conversation_count": row["conversation_count"],
            }
            for order, row in enumerate(rows)
        ]

    def issued_keys(self) -> list[sqlite3.Row]:
        return self._read("select key, scopes, name from keys")

    def put_key(self, key: str, scopes: str | None, name: str | None) -> None:
        with self.transaction() as connection:
            connection.execute("insert into keys values (?, ?, ?)", (key, scopes, name))

    def delete_key(self, key: str) -> None:
        with self.transaction() as connection:
            connection.execute("delete from keys where key = ?", (key,))


def _row(record: Record) -> dict[str, Any]:
    return {
        **vars(record),
        "created_us": microseconds(datetime.fromisoformat(record.created_at)),
        "category": record.structured["category"],
        "structured": json.dumps(record.structured),
        "segments": zlib.compress(json.dumps(record.segments).encode(), 1),  # a thousand accounts fit into memory
        "geolocation": json.dumps(record.geolocation) if record.geolocation else None,
    }


def _item(row: sqlite3.Row) -> Item:
    columns = {name: row[name] for name in _ITEM_FIELDS}
    return Item(**columns | {"completed": bool(row["completed"])})


def _record(row: sqlite3.Row) -> Record:
    columns = dict(row)
    for name in ("discarded", "locked", "starred", "malformed"):
        columns[name] = bool(columns[name])
    for name in ("structured", "geolocation"):
        columns[name] = json.loads(columns[name]) if columns[name] else None
    columns["segments"] = _segments(columns["segments"]) if "segments" in columns else None
    return Record(**columns)


def _segments(kept: bytes | str) -> Any:
    """Files of earlier releases have them as text."""
    return json.loads(zlib.decompress(kept) if isinstance(kept, bytes) else kept)
