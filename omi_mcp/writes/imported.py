"""What was imported from files: noted, so that an import that is run again sends nothing twice.

The API keeps the same promise by session id; this saves the requests, of which it allows 25 an hour.
"""

import json
from collections.abc import Iterable
from sqlite3 import Connection

from omi_mcp.database import Database


class Imported:
    """Session ids and the conversations they became. All methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_create)

    def known(self, sessions: Iterable[str]) -> dict[str, str]:
        """Session id to conversation id, for those of `sessions` that were imported."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "select session, conversation from imports where session in (select value from json_each(?))",
                (json.dumps(list(sessions)),),
            ).fetchall()
        return {row["session"]: row["conversation"] for row in rows}

    def note(self, session: str, conversation_id: str) -> None:
        with self._database.writing() as connection:
            connection.execute("insert or replace into imports values (?, ?)", (session, conversation_id))


def _create(connection: Connection) -> None:
    connection.execute(
        "create table if not exists imports(session text primary key, conversation text not null) strict, without rowid"
    )
