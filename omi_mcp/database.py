"""One SQLite file, shared safely by threads and processes: who may read, who may write, and when.

The rooms above keep their tables in it. Every method blocks: call it from a worker thread, through `run`.

A file that is damaged or another program's is moved aside to `<name>.corrupt-<time>` and begun anew, and where no file
can be used memory takes its place. `Database.warning` says which.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from omi_mcp.away import Away as Away
from omi_mcp.sharing import Claim, LeaseLost, Shared

APPLICATION_ID = 0x4F4D_694D
"""In the header of every file of ours ("OMiM"): tells them from other programs' files."""

BUSY_SECONDS = 30.0
"""How long a writer waits for another process before SQLite gives up; longer than any transaction of ours."""

THREADS = 8
"""Worker threads for database work. The transports have others: neither can starve the other."""

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Identity = tuple[int, int] | None

_lane: ContextVar[anyio.CapacityLimiter | None] = ContextVar("omi_mcp.database.lane", default=None)
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("omi_mcp.database")


@dataclass(frozen=True)
class FileWarning:
    """What became of the file called `name`.

    `replaced`: it was damaged or another program's; it was moved to `detail` and begun anew. Otherwise nothing is kept
    on disk: the file is of a `newer` release, `unusable`, or `stuck`, which is damaged and cannot be moved; `detail`
    says why.
    """

    name: str
    kind: Literal["replaced", "newer", "unusable", "stuck"]
    detail: str = ""


_fence: ContextVar[Claim | None] = ContextVar("omi_mcp.database.fence", default=None)


class Damaged(Exception):
    """The file was damaged. It has been moved aside, and the same call now meets an empty one."""


UNUSABLE = (sqlite3.Error, Damaged, Away)
"""What is raised where a file, or what machines share, cannot be used now."""


class _Foreign(Exception):
    """The file is not one of ours."""


class _Newer(Exception):
    """The file was written by a later release."""


def threads() -> anyio.CapacityLimiter:
    """What limits the worker threads of the running event loop for database work."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
        return limiter


@contextmanager
def lane(limiter: anyio.CapacityLimiter) -> Iterator[None]:
    """Let `run` keep to `limiter` in this block, and in the tasks begun in it: the threads are not for one alone."""
    before = _lane.set(limiter)
    try:
        yield
    finally:
        _lane.reset(before)


@contextmanager
def fenced(claim: Claim) -> Iterator[None]:
    """Let what this block writes, and the tasks begun in it, be written only while the lease is held: else `LeaseLost`.

    Whoever slept through the term of a lease does not know it yet when it wakes.
    """
    before = _fence.set(claim)
    try:
        yield
    finally:
        _fence.reset(before)


def fence() -> Claim | None:
    """The lease under which is written here and now."""
    return _fence.get()


async def run(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """`function(*arguments)` in a worker thread, to its end even when cancelled; once more when it met damage."""
    async with _lane.get() or nullcontext():
        try:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=threads())
        except Damaged:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=threads())


def files(path: Path) -> list[Path]:
    """Every file there is of the database at `path`, those moved aside included: what a purge has to delete."""
    return sorted(other for other in path.parent.glob("*") if other.name.startswith(path.name))


class Database:
    """Readers run side by side on connections of their own (WAL); writers queue for the one write connection.

    `path` None keeps everything in memory, on one connection that all share. On disk only the owner can read the
    file. Where another process replaced or removed it, the next transaction is in the file that is there now.

    `name` names it in warnings. `lazy`: where there is no file it reads as an empty one, and the first transaction that
    writes makes it. `migrations` are statements, separated by semicolons; those at index n lift a file from schema
    version n + 1 to n + 2.
    """

    shared = False
    """Whether other machines have the same rows."""

    def __init__(
        self,
        path: Path | None,
        *,
        migrations: Sequence[str] = (),
        name: str = "mirror",
        lazy: bool = False,
    ) -> None:
        self.path = path
        self.warning: FileWarning | None = None
        self._name = name
        self._lazy = lazy
        self._migrations = migrations
        self._preparations: list[Callable[[sqlite3.Connection], object]] = []
        self._lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._snapshot = threading.local()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._keeps_leases = False
        self._identity: Identity = None
        self._open()

    def prepare(self, create: Callable[[sqlite3.Connection], object]) -> None:
        """Run `create` in a transaction now, and again whenever the file is begun anew."""
        with self._transaction() as connection:
            create(connection)
        self._preparations.append(create)

    def share(self, *tables: Shared) -> None:
        """These rows are all machines' that serve the account; a file of one machine alone has nobody to tell."""

    def attach(self, *, whole: bool = True) -> None:
        """All rooms have said by now what they keep here, and what of it they share. `whole`: with all there is."""

    def catch_up(self) -> None:
        """Have what other machines have changed."""

    def catch_up_some(self) -> bool:
        """Have some of it; whether there is more. A machine that is new to an account can take a minute for all."""
        return False

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: committed on a clean exit, rolled back on an exception.

        A crash of the process loses nothing that is committed; a power cut loses nothing `durable`.
        """
        with self._lock:
            self._follow()
            if self._lazy and self.path is not None and self._identity is None:
                self._make_file(self.path)
            with self._transaction(durable=durable) as connection:
                if self._keeps_leases and (claim := fence()) and not _holds(connection, claim):
                    raise LeaseLost
                yield connection

    def keep_leases(self) -> None:
        """Be where leases are taken. What is written to other files does not depend on them."""
        self.prepare(_create_leases)
        self._keeps_leases = True

    def take(self, claim: Claim, seconds: float, now: datetime) -> bool:
        """Take or renew a lease for so long; False while it is another's."""
        with self.writing() as connection:
            taken = connection.execute(
                "insert into leases values (:name, :owner, :ends) on conflict(name) do update set owner = :owner,"
                # A term that ends too late was begun by a clock that has been set back since.
                " ends = :ends where owner = :owner or ends <= :now or ends > :ends",
                {
                    "name": claim.name,
                    "owner": claim.owner,
                    "ends": now.timestamp() + seconds,
                    "now": now.timestamp(),
                },
            )
            return taken.rowcount > 0

    def give_back(self, claim: Claim) -> None:
        with self.writing() as connection:
            connection.execute("delete from leases where name = ? and owner = ?", (claim.name, claim.owner))

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock, self._replacing_damage():
            self._writer.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            with _committing(self._writer):
                yield self._writer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent snapshot for reading, for as long as the block lasts."""
        if (within := self._within()) is not None:
            yield within
            return
        self._follow()
        if self._identity is None:
            with self._lock:
                yield self._writer
            return
        with self._replacing_damage(), self._reader() as connection:
            connection.execute("begin")
            yield connection
            connection.execute("rollback")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads in the block is of one moment, and one `reading`. It must not write meanwhile."""
        if self._within() is not None:
            yield
            return
        with self.reading() as connection:
            self._snapshot.connection = connection
            try:
                yield
            finally:
                del self._snapshot.connection

    def _within(self) -> sqlite3.Connection | None:
        """What this thread reads from in a `snapshot`."""
        connection: sqlite3.Connection | None = getattr(self._snapshot, "connection", None)
        return connection

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Close every connection; one still reading closes when its block ends."""
        with self._lock:
            self._closed = True
            self._disconnect()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            identity = self._identity
            connection = self._idle.pop() if self._idle else None
        connection = connection or _connect(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._pool_lock:
            keep = not self._closed and identity == self._identity
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def _open(self) -> None:
        """Open the file at the path, made anew where it cannot be used; memory where there can be none."""
        self._identity = None
        if self.path is not None and (self.path.exists() or not self._lazy):
            try:
                self._writer, self._identity = self._open_usable(self.path)
            except _Newer:
                self._give_up("newer")
            except (OSError, sqlite3.Error) as error:
                self._give_up("unusable", _reason(error))
        if self._identity is None:
            self._writer = _connect(None)
            with _committing(self._writer):
                self._prepare(self._writer)

    def _open_usable(self, path: Path) -> tuple[sqlite3.Connection, Identity]:
        identity = _identity(path)
        try:
            return self._open_file(path)
        except (_Foreign, sqlite3.DatabaseError) as error:
            if not (isinstance(error, _Foreign) or _is_damage(error)):
                raise
            self._move_aside(path, identity)
            return self._open_file(path)

    def _make_file(self, path: Path) -> None:
        """Leave memory for a file. An error of SQLite, as on a full disk, leaves it to the next transaction."""
        memory = self._writer
        try:
            self._writer, self._identity = self._open_file(path)
        except OSError as error:
            self._give_up("unusable", _reason(error))
        else:
            memory.close()

    def _open_file(self, path: Path) -> tuple[sqlite3.Connection, Identity]:
        """The write connection to the file, which is made if there is none, with everything prepared."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for file in (path, *_companions(path)):
            with suppress(FileNotFoundError, PermissionError):
                file.chmod(0o600)
        identity = _identity(path)
        connection = _connect(path)
        try:
            with _committing(connection):
                self._claim(connection)
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection, identity

    def _claim(self, connection: sqlite3.Connection) -> None:
        """Make sure that the file is ours and of this schema version; a new one becomes so."""
        (application_id,) = connection.execute("pragma application_id").fetchone()
        (version,) = connection.execute("pragma user_version").fetchone()
        (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
        current = 1 + len(self._migrations)
        if application_id == 0 and version == 0 and tables == 0:
            connection.execute(f"pragma application_id = {APPLICATION_ID}")
            version = current
        elif application_id != APPLICATION_ID:
            raise _Foreign
        if version > current:
            raise _Newer
        for script in self._migrations[version - 1 :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"pragma user_version = {current}")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for create in self._preparations:
            create(connection)

    def _follow(self) -> None:
        """Go on in the file that is at the path now."""
        if not self._is_lost():
            return
        with self._lock:
            # Who reads in the middle of a transaction of its own goes on where it is.
            if self._is_lost() and not self._writer.in_transaction:
                self._disconnect()
                self._open()

    def _is_lost(self) -> bool:
        """Whether there is another file at the path now, or none."""
        return self.path is not None and not self._closed and _identity(self.path) != self._identity

    @contextmanager
    def _replacing_damage(self) -> Iterator[None]:
        identity = self._identity
        try:
            yield
        except sqlite3.DatabaseError as error:
            if self.path is None or not _is_damage(error):
                raise
            with self._lock:
                if identity == self._identity and not self._closed:
                    self._disconnect()
                    try:
                        self._move_aside(self.path, identity)
                    except OSError as problem:
                        self._give_up("stuck", _reason(problem))
                    self._open()
            raise Damaged from error

    def _disconnect(self) -> None:
        with self._pool_lock:
            idle, self._idle = self._idle, []
        for connection in (*idle, self._writer):
            connection.close()

    def _move_aside(self, path: Path, identity: Identity) -> None:
        if _identity(path) != identity:
            return  # another process has done it
        aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        # The log first: SQLite would replay one that is left behind into the new file.
        for file in (*_companions(path), path):
            with suppress(FileNotFoundError):
                file.rename(aside.with_name(aside.name + file.name.removeprefix(path.name)))
        self._warn(FileWarning(self._name, "replaced", aside.name))

    def _give_up(self, kind: Literal["newer", "unusable", "stuck"], detail: str = "") -> None:
        self.path = self._identity = None
        self._warn(FileWarning(self._name, kind, detail))

    def _warn(self, warning: FileWarning) -> None:
        self.warning = warning
        log.warning("the %s file: %s (%s)", warning.name, warning.kind, warning.detail or "left alone")


def _create_leases(connection: sqlite3.Connection) -> None:
    connection.execute(
        "create table if not exists leases(name text primary key, owner text not null, ends real not null) strict"
    )


def _holds(connection: sqlite3.Connection, claim: Claim) -> bool:
    held = connection.execute("select 1 from leases where name = ? and owner = ?", (claim.name, claim.owner))
    return held.fetchone() is not None


def _connect(path: Path | None) -> sqlite3.Connection:
    # mode=rw: only _open_file may create the file, so that no other hand gives it other rights.
    connection = sqlite3.connect(
        ":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma foreign_keys = on")
        if path is not None:
            _use_wal(connection)
            connection.execute("pragma synchronous = normal")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _committing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        # SQLite itself rolls back after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging. SQLite does not wait here when another process does the same, so this does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _is_damage(error: Exception) -> bool:
    # The low byte is the kind of error, the others say where it was noticed.
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _reason(error: Exception) -> str:
    """Why, without naming a path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _identity(path: Path) -> Identity:
    """Tells one file from another that comes to lie at the same path; None when there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
