"""The file of an account that is never lost: what nobody could give again, whatever becomes of the mirror."""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

import anyio

from omi_mcp import database
from omi_mcp.clock import Clock
from omi_mcp.database import BUSY_SECONDS, Database
from omi_mcp.mirror.names import SpeakerNames
from omi_mcp.sharing import Rows
from omi_mcp.writes.journal import Journal

NOTED_AGAIN = (1.0, 3.0)
"""Seconds between tries where machines share what is noted: a database that is started anew is back by then."""

log = logging.getLogger(__name__)


def lasting_file(path: Path | None) -> Database:
    """The file at `path`, which is made with the first of what it is for; None keeps that in memory."""
    return Database(path, name="account", lazy=True)


class Lasting:
    """Names of speakers, creates under way, what was imported and what was hidden. All methods block."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.names = SpeakerNames(database, clock)
        self.journal = Journal(database, clock)
        self.imported = Imported(database)
        self.hidden = Hidden(database)

    def take_over(self, mirror: Path) -> None:
        """Move here what an earlier release kept in the mirror's file. Cut off half way, it can be done again."""
        if self._database.path is None or not mirror.exists():
            return
        try:
            with closing(sqlite3.connect(mirror, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.row_factory = sqlite3.Row
                if not _old_tables(connection):
                    return
                connection.execute("begin immediate")
                for table in _old_tables(connection):
                    (self.journal if table == "creates" else self.imported).adopt(connection)
                    connection.execute(f"drop table {table}")
                connection.execute("commit")
        except (sqlite3.Error, database.Damaged) as error:
            log.warning("what the mirror's file holds of earlier writes could not be read: %s", type(error).__name__)

    def close(self) -> None:
        self._database.close()


class Imported:
    """What was imported from files, so that an import that is run again sends nothing twice. All methods block.

    The API keeps the same promise by session id; this saves the requests, of which it allows 25 an hour.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_create_imports)
        database.share(Rows("imports", ("session",)))

    def known(self, sessions: Iterable[str]) -> dict[str, str]:
        """Session id to conversation id, for those of `sessions` that were imported."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "select session, conversation from imports where session in (select value from json_each(?))",
                (json.dumps(list(sessions)),),
            ).fetchall()
        return {row["session"]: row["conversation"] for row in rows}

    def note(self, conversations: Mapping[str, str]) -> None:
        """These sessions became these conversations."""
        with self._database.writing(durable=True) as connection:
            connection.executemany("insert or replace into imports values (?, ?)", conversations.items())

    def adopt(self, connection: sqlite3.Connection) -> None:
        """Take over what is noted in the table of the same name of another database."""
        self.note({row["session"]: row["conversation"] for row in connection.execute("select * from imports")})


class Hidden:
    """Which conversations were hidden from here: the API lists none of them. All methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_create_hidden)
        database.share(Rows("hidden", ("place",)))

    def ids(self) -> list[str]:
        """The one hidden last first."""
        with self._database.reading() as connection:
            return [row["id"] for row in connection.execute("select id from hidden order by place desc")]

    def note(self, conversation_id: str, hidden: bool) -> None:
        """It was hidden; or it was brought back or deleted."""
        if hidden == (conversation_id in self.ids()):
            return
        with self._database.writing(durable=True) as connection:
            if hidden:
                connection.execute("insert or ignore into hidden(id) values (?)", (conversation_id,))
            else:
                connection.execute("delete from hidden where id = ?", (conversation_id,))


async def noted(note: Callable[[], object]) -> None:
    """Note what has happened, even while being stopped. Where it cannot be noted, it has happened all the same."""
    with anyio.CancelScope(shield=True):
        for pause in (*NOTED_AGAIN, None):
            try:
                await database.run(note)
            except database.UNUSABLE as error:
                if pause is None or not isinstance(error, database.Away):
                    log.warning("what became of a write could not be noted: %s", type(error).__name__)
                    return
            else:
                return
            await anyio.sleep(pause)


def _old_tables(connection: sqlite3.Connection) -> list[str]:
    names = "select name from sqlite_master where type = 'table' and name in ('creates', 'imports')"
    return [row["name"] for row in connection.execute(names)]


def _create_imports(connection: sqlite3.Connection) -> None:
    connection.execute(
        "create table if not exists imports(session text primary key, conversation text not null) strict, without rowid"
    )


def _create_hidden(connection: sqlite3.Connection) -> None:
    connection.execute("create table if not exists hidden(place integer primary key, id text not null unique) strict")
