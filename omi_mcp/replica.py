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

from omi_mcp.database import Away, Damaged, Database, fence
from omi_mcp.sharing import OUTBOX, Batch, Claim, Document, Place, Primary, Shared

_UNUSABLE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN}
)

_TRIES = 3
"""Of a read that meets a copy which is behind what was there before: it may be lost again while it is made anew."""

log = logging.getLogger(__name__)


class Replica(Database):
    """Of this machine alone until `attach`: then every room above has said what it shares."""

    shared = True

    def __init__(self, path: Path | None, primary: Primary) -> None:
        self._primary = primary
        self._tables: list[Shared] = []
        self._attached = False
        self._watched: sqlite3.Connection | None = None
        self._reached = Place()
        """What was here, or at the primary: nobody reads from a copy that has less, whatever became of the file."""
        super().__init__(path)

    def share(self, *tables: Shared) -> None:
        self._tables.extend(tables)

    def keep_leases(self) -> None:
        """The primary does."""

    def take(self, claim: Claim, seconds: float, now: datetime) -> bool:
        return self._primary.take(claim, seconds, now)

    def give_back(self, claim: Claim) -> None:
        self._primary.give_back(claim)

    def attach(self, *, whole: bool = True) -> None:
        self.prepare(_create_place)
        self._primary.join()
        self._attached = True
        if whole:
            self.catch_up()

    def catch_up(self) -> None:
        """Raises Away: the primary cannot be asked, or nothing can be written here."""
        while self.catch_up_some():
            pass

    def catch_up_some(self) -> bool:
        """Raises as `catch_up`."""
        if not self._attached:
            return False
        place = self._place()
        batch = self._primary.newer(place)
        with self._lock:
            place = self._take_over(batch, place)
            # Another thread or process may have taken over what it asked for earlier, which is less.
            if batch.more or not place.covers(batch.place):
                return True
            self._reached = place
        return False

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """As `Database.writing`. What has ended well is at the primary, whatever becomes of this machine."""
        if not self._attached:
            with super().writing() as connection:
                yield connection
            return
        if not self._place().covers(self._reached):  # the file was lost: others are not to wait until it is made anew
            self.catch_up()
        kept = False
        with self._lock, ExitStack() as there:
            change = there.enter_context(self._primary.changing(fence()))
            place = self._place()
            while (batch := change.newer(place)).place != place:
                self._take_over(batch, place)
                place = self._place()
            self._reached = place
            try:
                with self._or_away(), self._transaction() as connection:
                    _check_place(connection, place)
                    yield connection
                    if changed := self._changed(connection):
                        place = change.keep(changed)
                        _set_place(connection, place, self._format)
                    there.close()  # there first: what is here and not there would be nobody else's
                    kept = True
                    self._reached = place
            except (sqlite3.Error, Damaged, Away) as error:
                if not kept:
                    raise
                log.warning("a copy is behind the primary: %s", type(error).__name__)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        if (within := self._within()) is not None:
            yield within
            return
        for _ in range(_TRIES):
            wanted = self._reached
            with ExitStack() as here:
                here.enter_context(self._or_away())
                connection = here.enter_context(super().reading())
                if not self._attached or _has(connection, wanted):
                    yield connection
                    return
            self.catch_up()
        raise Away("the copy on this machine is lost again and again")

    @property
    def _format(self) -> str:
        """What is shared, by the release that made the file: one that shares more has to begin with all there is."""
        return " ".join(sorted(table.kind for table in self._tables))

    def _place(self) -> Place:
        with self._lock:
            self._follow()
            if not _is_whole(self._writer):
                self._begin_anew()
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

    def _take_over(self, batch: Batch, place: Place) -> Place:
        """Have the batch, unless there is something else here by now; what there is."""
        if batch.anew:
            self._begin_anew()
            place = Place()
        if batch.place == place:
            return place
        documents: defaultdict[str, list[Document]] = defaultdict(list)
        for document in batch.documents:
            documents[document.kind].append(document)
        with self._or_away(), self._transaction() as connection:
            there, _ = _kept(connection)
            if there != place:
                return there  # another thread or process has taken over the same, or some of it
            for table in self._tables:
                table.take(connection, documents)
            connection.execute("delete from temp.outbox")
            _set_place(connection, batch.place, self._format)
        return batch.place

    @contextmanager
    def _or_away(self) -> Iterator[None]:
        """Where the copy cannot be used: Damaged where it was lost, so that the same again meets another; else Away."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if self._is_lost():
                raise Damaged from error
            if error.sqlite_errorcode & 0xFF not in _UNUSABLE:
                raise
            raise Away("the copy on this machine cannot be used") from error

    def _changed(self, connection: sqlite3.Connection) -> list[Document]:
        """What this transaction has changed."""
        tables = {table.kind: table for table in self._tables}
        rows = connection.execute("select kind, id, max(text) from outbox group by kind, id").fetchall()
        connection.execute("delete from temp.outbox")
        return [tables[kind].document(connection, row_id, with_text=bool(text)) for kind, row_id, text in rows]

    def _begin_anew(self) -> None:
        """Empty the file, in one transaction: others may be reading it, or have it open to write."""
        with self._or_away(), self._transaction() as connection:
            tables = "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'"
            # What is virtual takes its own tables along.
            for (name,) in connection.execute(f"{tables} order by sql not like 'create virtual%'").fetchall():
                connection.execute(f'drop table if exists "{name}"')
            self._claim(connection)
            self._prepare(connection)
        self._watched = None  # what was temporary went along
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


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Whether this is a file that was made here: one that was cut off reads as one with nothing in it."""
    return connection.execute("select 1 from sqlite_schema where name = 'place'").fetchone() is not None


def _has(connection: sqlite3.Connection, place: Place) -> bool:
    return _is_whole(connection) and _kept(connection)[0].covers(place)


def _check_place(connection: sqlite3.Connection, place: Place) -> None:
    """Raises Damaged: another process has begun the file anew."""
    if _kept(connection)[0] != place:
        raise Damaged


def _set_place(connection: sqlite3.Connection, place: Place, shared: str) -> None:
    values = (place.epoch, place.change, place.whole, shared)
    connection.execute("update place set epoch = ?, change = ?, whole = ?, shared = ?", values)
