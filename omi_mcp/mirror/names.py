"""Who is whom: names given to speakers on this side, for the API takes none and calls them `Speaker 1`.

A name belongs to one conversation and to what the API calls a speaker there, its label. So the API's own name for that
speaker, given later, is another label and wins.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from sqlite3 import Connection

from omi_mcp.api.models import Segment
from omi_mcp.clock import Clock
from omi_mcp.database import Database, FileWarning
from omi_mcp.mirror.types import Names
from omi_mcp.sharing import Rows


class SpeakerNames:
    """The names of an account's speakers, by conversation and label. All methods block.

    One that was taken back is kept as an empty one, so that no import gives it again.

    `database` is the one that is never lost; the mirror has a copy in each transcript, and follows by `changed_since`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        database.prepare(_create)
        database.share(Rows("speaker_names", ("conversation",)))

    @property
    def warning(self) -> FileWarning | None:
        """Why names are not kept, or where those of before are now."""
        return self._database.warning

    @property
    def lasting(self) -> bool:
        """Whether what is written outlives this process."""
        return self._database.path is not None

    def of(self, conversation_id: str) -> Names:
        """Label to name."""
        return self.of_all([conversation_id]).get(conversation_id, {})

    def of_all(self, ids: Iterable[str]) -> dict[str, Names]:
        """The names in each of these conversations that has any."""
        with self._database.reading() as connection:
            return given_in(connection, ids)

    def everywhere(self) -> dict[str, Names]:
        """The names in every conversation that has any, those changed last first."""
        with self._database.reading() as connection:
            rows = connection.execute("select * from speaker_names order by changed desc").fetchall()
        return {row["conversation"]: names for row in rows if (names := _given(row["names"]))}

    def changed_since(self, change: int) -> tuple[list[str], int]:
        """The conversations whose names changed after `change`, and the number of the last change of all."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "select conversation, changed from speaker_names where changed > ? order by changed", (change,)
            ).fetchall()
        return [row["conversation"] for row in rows], rows[-1]["changed"] if rows else change

    def give(self, conversation_id: str, names: Names) -> None:
        """Call speakers this from now on, by label; an empty name takes the one there is back."""
        self._write(conversation_id, names, over=True)

    def learn(self, conversation_id: str, names: Names) -> bool:
        """The same for those who were never named by hand here, nor by an earlier import. Whether any was."""
        return self._write(conversation_id, names, over=False)

    def forget(self, conversation_id: str) -> None:
        """The conversation was deleted."""
        if self.of_all([conversation_id]):
            with self._database.writing(durable=True) as connection:
                connection.execute("delete from speaker_names where conversation = ?", (conversation_id,))

    def _write(self, conversation_id: str, names: Names, *, over: bool) -> bool:
        with self._database.writing(durable=True) as connection:
            row = connection.execute(
                "select names from speaker_names where conversation = ?", (conversation_id,)
            ).fetchone()
            before: Names = json.loads(row["names"]) if row else {}
            after = {**before, **names} if over else {**names, **before}
            if after == before:
                return False
            # By the clock, so that a file that is begun anew goes on behind what a mirror has followed.
            (last,) = connection.execute("select max(changed) from speaker_names").fetchone()
            change = max((last or 0) + 1, int(self._clock.now().timestamp() * 1_000_000))
            connection.execute(
                "insert or replace into speaker_names values (?, ?, ?)", (conversation_id, json.dumps(after), change)
            )
        return True


def given_in(connection: Connection, ids: Iterable[str]) -> dict[str, Names]:
    """The names in each of these conversations that has any."""
    rows = connection.execute(
        "select conversation, names from speaker_names where conversation in (select value from json_each(?))",
        (json.dumps(list(ids)),),
    ).fetchall()
    return {row["conversation"]: _given(row["names"]) for row in rows}


def applied(segments: Sequence[Segment], names: Mapping[str, str]) -> Iterator[Segment]:
    """`segments` with just these names given on this side."""
    for segment in segments:
        name = names.get(segment.label) if names else None
        yield segment if segment.local_name == name else segment.model_copy(update={"local_name": name})


def _given(names: str) -> Names:
    return {label: name for label, name in json.loads(names).items() if name}


def _create(connection: Connection) -> None:
    connection.execute(
        "create table if not exists speaker_names("
        "conversation text primary key, names text not null, changed integer not null) strict, without rowid"
    )
