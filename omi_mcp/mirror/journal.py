"""The writes under way: each create is booked here before it is sent, so that no crash forgets what was asked."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Connection

from omi_mcp.api.models import Receipt
from omi_mcp.clock import Clock
from omi_mcp.database import Database

KEPT = timedelta(days=7)
"""How long settled entries are kept; far longer than any repeat is looked for."""


@dataclass(frozen=True)
class Entry:
    """One create. `content` is a hash of what was to be created; `started_at` is the instant that finds it again."""

    id: str
    content: str
    started_at: datetime
    asked_at: datetime
    receipt: Receipt | None


def _create_tables(connection: Connection) -> None:
    connection.execute("""
        create table if not exists creates (
            id text primary key,
            content text not null,
            started_at text not null,
            asked_at text not null,
            conversation_id text,
            status text,
            discarded integer
        ) strict
    """)
    connection.execute("create index if not exists creates_by_content on creates (content, asked_at)")


class Journal:
    """Creates from text, by content. All methods block."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        database.prepare(_create_tables)

    def begin(self, content: str, started_at: datetime) -> Entry:
        """Book a create that is about to be sent."""
        now = self._clock.now()
        entry = Entry(uuid.uuid4().hex, content, started_at, now, None)
        with self._database.writing() as connection:
            connection.execute(
                "insert into creates (id, content, started_at, asked_at) values (?, ?, ?, ?)",
                (entry.id, content, started_at.isoformat(), now.isoformat()),
            )
            connection.execute(
                "delete from creates where conversation_id is not null and asked_at < ?", ((now - KEPT).isoformat(),)
            )
        return entry

    def created(self, entry: Entry, receipt: Receipt) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "update creates set conversation_id = ?, status = ?, discarded = ? where id = ?",
                (receipt.id, receipt.status, receipt.discarded, entry.id),
            )

    def forget(self, entry: Entry) -> None:
        """Nothing was created."""
        with self._database.writing() as connection:
            connection.execute("delete from creates where id = ?", (entry.id,))

    def latest(self, content: str) -> Entry | None:
        """The last create of this content, settled or not."""
        entries = self._select("where content = ? order by asked_at desc limit 1", (content,))
        return entries[0] if entries else None

    def unsettled(self) -> list[Entry]:
        """Creates whose outcome is not known yet, oldest first."""
        return self._select("where conversation_id is null order by asked_at", ())

    def _select(self, where: str, parameters: tuple[str, ...]) -> list[Entry]:
        with self._database.reading() as connection:
            rows = connection.execute(f"select * from creates {where}", parameters).fetchall()
        return [
            Entry(
                id=row["id"],
                content=row["content"],
                started_at=datetime.fromisoformat(row["started_at"]),
                asked_at=datetime.fromisoformat(row["asked_at"]),
                receipt=Receipt(id=row["conversation_id"], status=row["status"], discarded=bool(row["discarded"]))
                if row["conversation_id"]
                else None,
            )
            for row in rows
        ]
