"""Mirrored conversations that the API no longer lists: which of them to doubt, and what has become of each.

A conversation can be deleted, discarded, locked by the plan or back in processing. OMI API: all four are missing from
lists; reading one answers 404 when it is deleted or locked, else the conversation.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from sqlite3 import Connection

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import AnswerLost, InvalidRequest, NotFound, ServerFault
from omi_mcp.clock import Clock
from omi_mcp.mirror.rows import moment, ticks
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync.state import DEPTHS, Missing, Pass, Suspicion
from omi_mcp.mirror.types import Stored, Unlisted
from omi_mcp.sharing import Rows

HANDFUL = 10
SHARE = 0.1
"""A pass that misses more than a handful, and more than this share of what it compared, is not believed at once."""

SECOND_THOUGHT = timedelta(hours=1)
"""How much later another pass has to miss the same to be believed."""

TRIES = 3
"""Failed readings after which a conversation counts as unreadable (a malformed record is a 500 every time)."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Absence:
    id: str
    noticed: datetime
    dropped: bool
    tries: int


class Absences:
    """The doubtful ones, kept in the mirror's database until each is settled. Methods that are not async block."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        store.database.prepare(_create)
        store.database.share(Rows("absences", ("id",)))

    def judge(self, finished: Pass) -> None:
        """Doubt what a finished pass missed; unless that is so much that the API is rather to be doubted."""
        suspicion = Suspicion.load(self._store)
        ids = frozenset(missing.id for missing in finished.missing)
        if len(ids) > max(HANDFUL, SHARE * finished.known):
            confirmed = len(ids & suspicion.ids) >= (1 - SHARE) * len(ids)
            if not confirmed:
                Suspicion(depth=finished.depth, since=finished.began, ids=ids, of=finished.known).save(self._store)
            if not (confirmed and suspicion.since and finished.began - suspicion.since >= SECOND_THOUGHT):
                return
        if suspicion.ids and DEPTHS.index(finished.depth) >= DEPTHS.index(suspicion.depth):
            Suspicion().save(self._store)
        self.notice(finished.missing)

    def unlisted(self) -> Unlisted | None:
        """What is being doubted at large."""
        suspicion = Suspicion.load(self._store)
        return Unlisted(len(suspicion.ids), suspicion.of) if suspicion.ids else None

    def notice(self, missing: Iterable[Missing]) -> None:
        """Doubt these; those doubted already stay as they are."""
        rows = [(each.id, ticks(each.noticed), each.dropped) for each in missing]
        with self._store.database.writing() as connection:
            connection.executemany(
                "insert into absences(id, noticed, dropped) values (?, ?, ?) on conflict(id) do update"
                " set noticed = excluded.noticed, dropped = excluded.dropped, locked = 0 where locked",
                rows,
            )

    def listed(self, ids: Iterable[str]) -> None:
        """These were listed: nothing is wrong with them."""
        with self._store.database.writing() as connection:
            connection.execute(
                "delete from absences where id in (select value from json_each(?))", (json.dumps(list(ids)),)
            )

    def doubted(self) -> frozenset[str]:
        return self._ids("locked = 0")

    def locked(self) -> frozenset[str]:
        return self._ids("locked = 1")

    async def settle(self) -> None:
        """Find out about one of the doubtful, in two requests at most; all further ones wait for the next call.

        Raises:
            OmiError: the API cannot be asked.
        """
        absence = await database.run(self._next)
        if absence is None:
            return
        stored = await database.run(self._store.get, absence.id)
        if stored is None or stored.hidden or stored.synced_at > absence.noticed:
            await database.run(self.listed, [absence.id])
            return
        try:
            found = await self._client.get_conversation(absence.id, background=True)
        except NotFound:
            locked = absence.dropped and await self._is_locked(stored)
            await database.run(self._lose, absence, locked)
        except InvalidRequest:
            await database.run(self._lose, absence, False)
        except (ServerFault, AnswerLost):
            if not await database.run(self._gave_up, absence):
                raise
        else:
            asked = self._clock.now()
            page = await self._client.list_conversations(start=found.created_at, end=found.created_at, background=True)
            await database.run(partial(self._store.upsert, page.conversations, asked=asked))
            await database.run(self._hide, absence)

    async def _is_locked(self, stored: Stored) -> bool:
        """Whether a conversation that reads as 404 is locked rather than deleted.

        OMI API: a locked row takes its place in a page and is dropped then. So a page of one row that begins at its
        instant is empty; had it been deleted, the row would be the next older one.
        """
        created_at = stored.conversation.created_at
        if not await database.run(self._store.fingerprints, None, created_at - _MICROSECOND):
            return False
        page = await self._client.list_conversations(limit=1, end=created_at, background=True)
        return page.received == 0

    def _next(self) -> _Absence | None:
        with self._store.database.reading() as connection:
            row = connection.execute(
                "select id, noticed, dropped, tries from absences where locked = 0 order by tries, noticed limit 1"
            ).fetchone()
        return row and _Absence(row["id"], moment(row["noticed"]), bool(row["dropped"]), row["tries"])

    def _lose(self, absence: _Absence, locked: bool) -> None:
        if locked:
            self._store.set_transcript_state([absence.id], "locked")
            with self._store.database.writing() as connection:
                connection.execute("update absences set locked = 1 where id = ?", (absence.id,))
        else:
            self._store.remove([absence.id])
            self.listed([absence.id])

    def _hide(self, absence: _Absence) -> None:
        stored = self._store.get(absence.id)
        brought_back = absence.id in self._store.changed_since(absence.noticed)
        if stored and stored.synced_at <= absence.noticed and not brought_back:
            self._store.set_hidden(absence.id, True)
        self.listed([absence.id])

    def _gave_up(self, absence: _Absence) -> bool:
        if absence.tries + 1 >= TRIES:
            self._hide(absence)
            return True
        with self._store.database.writing() as connection:
            connection.execute("update absences set tries = tries + 1 where id = ?", (absence.id,))
        return False

    def _ids(self, condition: str) -> frozenset[str]:
        with self._store.database.reading() as connection:
            return frozenset(row["id"] for row in connection.execute(f"select id from absences where {condition}"))


def _create(connection: Connection) -> None:
    connection.execute(
        "create table if not exists absences(id text primary key, noticed integer not null, dropped integer not null,"
        " tries integer not null default 0, locked integer not null default 0) strict"
    )
