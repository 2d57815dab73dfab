"""An account's file on one of several machines. The primary has what counts; the file can be thrown away at any time.

What is written here is written there first, in one transaction that has the account for itself and begins with what
others have changed. So the code above works as it does on one file that several processes share.
"""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from omi_mcp import measures
from omi_mcp.database import Away, Damaged, Database, fence, files
from omi_mcp.sharing import OUTBOX, Batch, Claim, Document, Place, Primary, Shared

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY})

log = logging.getLogger(__name__)


class Replica(Database):
    """Of this machine alone until `attach`: then every room above has said what it shares."""

    shared = True

    def __init__(self, path: Path | None, primary: Primary) -> None:
        self._primary = primary
        self._tables: list[Shared] = []
        self._attached = False
        self._watched: sqlite3.Connection | None = None
        self._current: sqlite3.Connection | None = None
        """That to the file which had all there was."""
        super().__init__(path)

    def share(self, *tables: Shared) -> None:
        self._tables.extend(tables)

    def keep_leases(self) -> None:
        """The primary does."""

    def take(self, claim: Claim, seconds: float, now: datetime) -> bool:
        return self._primary.take(claim, seconds, now)

    def give_back(self, claim: Claim) -> None:
        self._primary.give_back(claim)

    def attach(self) -> None:
        """Begin to share, with all that the primary has."""
        with measures.timed("warm_up"):
            self.prepare(_create_place)
            self._primary.join()
            self._attached = True
            self.catch_up()

    def catch_up(self) -> None:
        """Raises Away: the primary cannot be asked, or nothing can be written here."""
        more = self._attached
        while more:
            place = self._place()
            batch = self._primary.newer(place)
            with self._lock:
                self._take_over(batch, place)
                self._current = self._writer
            more = batch.more

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """As `Database.writing`. What has ended well is at the primary, whatever becomes of this machine."""
        if not self._attached:
            with super().writing() as connection:
                yield connection
            return
        kept = False
        with self._lock, ExitStack() as there:
            change = there.enter_context(self._primary.changing(fence()))
            more = True
            while more:
                place = self._place()
                batch = change.newer(place)
                self._take_over(batch, place)
                more = batch.more
            try:
                with self._transaction() as connection:
                    yield connection
                    if changed := self._changed(connection):
                        _set_place(connection, change.keep(changed), self._format)
                    there.close()  # there first: what is here and not there would be nobody else's
                    kept = True
            except (sqlite3.Error, Damaged) as error:
                if not kept:
                    raise
                log.warning("a copy is behind the primary: %s", type(error).__name__)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        self._follow()
        if self._attached and self._current is not self._writer:  # the file was lost while it was served from
            self.catch_up()
        with super().reading() as connection:
            yield connection

    @property
    def _format(self) -> str:
        """What is shared, by the release that made the file: one that shares more has to begin with all there is."""
        return " ".join(sorted(table.kind for table in self._tables))

    def _place(self) -> Place:
        with self._lock:
            self._follow()
            self._watch()
            place, shared = _kept(self._writer)
            if shared == self._format or not place.epoch:
                return place
            self._begin_anew()
            return Place()

    def _watch(self) -> None:
        if self._watched is not self._writer:
            self._writer.execute(OUTBOX)
            for table in self._tables:
                for trigger in table.watch():
                    self._writer.execute(trigger)
            self._watched = self._writer

    def _take_over(self, batch: Batch, place: Place) -> None:
        if batch.anew:
            self._begin_anew()
            place = Place()
        if batch.place == place:
            return
        documents: defaultdict[str, list[Document]] = defaultdict(list)
        for document in batch.documents:
            documents[document.kind].append(document)
        try:
            with self._transaction() as connection:
                if _kept(connection)[0] != place:
                    return  # another thread or process has taken over the same
                for table in self._tables:
                    table.take(connection, documents)
                connection.execute("delete from temp.outbox")
                _set_place(connection, batch.place, self._format)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_ROOM:
                raise
            raise Away("the copy on this machine cannot be written") from error

    def _changed(self, connection: sqlite3.Connection) -> list[Document]:
        """What this transaction has changed."""
        tables = {table.kind: table for table in self._tables}
        rows = connection.execute("select kind, id, max(text) from outbox group by kind, id").fetchall()
        connection.execute("delete from temp.outbox")
        return [tables[kind].document(connection, row_id, with_text=bool(text)) for kind, row_id, text in rows]

    def _begin_anew(self) -> None:
        self._disconnect()
        for file in files(self.path) if self.path else ():
            file.unlink(missing_ok=True)
        self._open()
        self._watch()


def _create_place(connection: sqlite3.Connection) -> None:
    connection.execute(
        "create table if not exists place(one integer primary key check (one), epoch text not null,"
        " change integer not null, whole integer not null, shared text not null) strict"
    )
    connection.execute("insert or ignore into place values (1, '', 0, 0, '')")


def _kept(connection: sqlite3.Connection) -> tuple[Place, str]:
    """Up to where, and what is shared by the release that took it over."""
    *place, shared = connection.execute("select epoch, change, whole, shared from place").fetchone()
    return Place(*place), shared


def _set_place(connection: sqlite3.Connection, place: Place, shared: str) -> None:
    values = (place.epoch, place.change, place.whole, shared)
    connection.execute("update place set epoch = ?, change = ?, whole = ?, shared = ?", values)
