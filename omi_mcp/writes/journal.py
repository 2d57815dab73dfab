"""The creates under way: each is booked here before it is sent, so that no crash forgets what was asked."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sqlite3 import Connection

from omi_mcp.api.models import Receipt
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.sharing import Rows

REPEAT_WINDOW = timedelta(minutes=10)
"""A create of the same content within this time is a host's retry, not a second conversation."""

UNHEARD_WINDOW = timedelta(days=1)
"""The same where nobody has been told of the conversation: whoever asked for it may ask again late."""

KEPT = timedelta(days=7)
"""How long entries are kept."""


@dataclass(frozen=True)
class Entry:
    """One create. It is open until it has a receipt.

    `content` is a hash of what was to be created, `started_at` the instant that finds it again. `lost_at` is when the
    sender learned that no answer would come; None while it waits, and for ever where it was killed. `heard_at` is when
    whoever asked was told that the conversation exists.
    """

    content: str
    started_at: datetime
    asked_at: datetime
    lost_at: datetime | None = None
    heard_at: datetime | None = None
    receipt: Receipt | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def answers(self, now: datetime) -> bool:
        """Whether a create of the same content that is asked for `now` is meant to be this one."""
        if self.heard_at:
            return now - self.heard_at <= REPEAT_WINDOW
        return now - self.asked_at <= UNHEARD_WINDOW


def _create_tables(connection: Connection) -> None:
    connection.execute("""
        create table if not exists creates (
            id text primary key,
            content text not null,
            started_at text not null,
            asked_at text not null,
            lost_at text,
            heard_at text,
            conversation_id text,
            status text,
            discarded integer
        ) strict
    """)
    connection.execute("create index if not exists creates_by_content on creates (content, asked_at)")


class Journal:
    """Creates by content, shared by all processes of an account. All methods block."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        database.prepare(_create_tables)
        database.share(Rows("creates", ("id",)))

    def book(self, entry: Entry, *, again: bool) -> Entry | None:
        """Book a create that is about to be sent, unless it was asked for before: then the earlier entry is returned.

        `again` books it all the same. Once this has returned, not even a power cut forgets the entry.
        """
        now = self._clock.now()
        with self._database.writing(durable=True) as connection:
            earlier = None if again else _latest(connection, entry.content)
            if earlier and earlier.answers(now):
                return earlier
            connection.execute("delete from creates where asked_at < ?", (_text(now - KEPT),))
            _write(connection, entry)
        return None

    def adopt(self, connection: Connection) -> None:
        """Take over the entries of the table of the same name of another database."""
        entries = _select(connection, "order by asked_at")
        with self._database.writing(durable=True) as own:
            for entry in entries:
                _write(own, entry)

    def keep(self, entry: Entry) -> None:
        """Write down what has become of an entry. What another process found out meanwhile stays."""
        with self._database.writing() as connection:
            _write(connection, entry)

    def heard(self, conversation_id: str) -> None:
        """Whoever asked for this conversation is being told of it."""
        with self._database.writing() as connection:
            connection.execute(
                "update creates set heard_at = coalesce(heard_at, ?) where conversation_id = ?",
                (_text(self._clock.now()), conversation_id),
            )

    def forget(self, entry: Entry) -> None:
        """Nothing was created; unless another process found meanwhile that it was."""
        with self._database.writing() as connection:
            connection.execute("delete from creates where id = ? and conversation_id is null", (entry.id,))

    def forget_conversation(self, conversation_id: str) -> None:
        """It was deleted: the same create is a new one again."""
        with self._database.writing() as connection:
            connection.execute("delete from creates where conversation_id = ?", (conversation_id,))

    def find(self, entry: Entry) -> Entry | None:
        """The entry as it is now; None when it was forgotten."""
        with self._database.reading() as connection:
            return next(iter(_select(connection, "where id = ?", entry.id)), None)

    def earlier(self, content: str) -> Entry | None:
        """The entry that a create of this content, asked for now, is meant to be."""
        with self._database.reading() as connection:
            entry = _latest(connection, content)
        return entry if entry and entry.answers(self._clock.now()) else None

    def open(self) -> list[Entry]:
        """Creates whose outcome is not known yet, oldest first."""
        with self._database.reading() as connection:
            return _select(connection, "where conversation_id is null order by asked_at")


def _write(connection: Connection, entry: Entry) -> None:
    receipt = entry.receipt
    connection.execute(
        "insert into creates values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict(id) do update set lost_at = excluded.lost_at,"
        " conversation_id = coalesce(excluded.conversation_id, conversation_id),"
        " status = coalesce(excluded.status, status), discarded = coalesce(excluded.discarded, discarded)",
        (
            entry.id,
            entry.content,
            _text(entry.started_at),
            _text(entry.asked_at),
            _text(entry.lost_at) if entry.lost_at else None,
            _text(entry.heard_at) if entry.heard_at else None,
            receipt and receipt.id,
            receipt and receipt.status,
            receipt and receipt.discarded,
        ),
    )


def _latest(connection: Connection, content: str) -> Entry | None:
    return next(iter(_select(connection, "where content = ? order by asked_at desc limit 1", content)), None)


def _select(connection: Connection, where: str, *parameters: str) -> list[Entry]:
    return [
        Entry(
            id=row["id"],
            content=row["content"],
            started_at=datetime.fromisoformat(row["started_at"]),
            asked_at=datetime.fromisoformat(row["asked_at"]),
            lost_at=datetime.fromisoformat(row["lost_at"]) if row["lost_at"] else None,
            heard_at=datetime.fromisoformat(row["heard_at"]) if row["heard_at"] else None,
            receipt=Receipt(id=row["conversation_id"], status=row["status"], discarded=bool(row["discarded"]))
            if row["conversation_id"]
            else None,
        )
        for row in connection.execute(f"select * from creates {where}", parameters)
    ]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
