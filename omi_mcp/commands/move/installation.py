"""What lies in the data folder of a server on one machine, read and never changed."""

import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from omi_mcp.account import Account, Files, Hosted
from omi_mcp.clock import SystemClock
from omi_mcp.database import APPLICATION_ID, Database
from omi_mcp.settings import Settings
from omi_mcp.sharing import Document, Shared
from omi_mcp.signin.store import FILE

PATIENCE_SECONDS = 1.0
"""How long another process may have a file before it counts as in use: `omi-mcp accounts` takes a moment."""

_IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

Values = Mapping[str, Any]


class InUse(Exception):
    """Another process has the file open."""


class Unusable(Exception):
    """What is wrong with a file, for a person."""


class _Told(Database):
    """Is told what an account shares, and keeps nothing."""

    def __init__(self) -> None:
        self.tables: list[Shared] = []
        super().__init__(None)

    def share(self, *tables: Shared) -> None:
        self.tables.extend(tables)


class _Listening(Files):
    """Files of an account that say what would be in each."""

    def __init__(self) -> None:
        self.mirror, self.kept = _Told(), _Told()

    def open(self, settings: Settings) -> tuple[Database, Database]:
        return self.mirror, self.kept


class Installation:
    """The files, as they are now; use inside `opened`. Methods raise Unusable and InUse."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: Sequence[Shared] = ()
        self._mirrored: Sequence[Shared] = ()
        self._alone = True

    @contextmanager
    def opened(self, *, alone: bool) -> Iterator[None]:
        """`alone`: nobody else may have the file of signing in open, which every server has, nor open it meanwhile. The
        system ends that with this process, however it ends."""
        self._alone = alone
        self._mirrored, self._kept = anyio.run(_shared, self._settings)
        with ExitStack() as stack:
            with _explained(self._settings.data_dir / FILE):
                self._signing_in = stack.enter_context(self._connected(self._settings.data_dir / FILE))
            yield

    def rows(self, table: str, owned: str = "true", account: str | None = None) -> list[Values]:
        """Those rows of a table of signing in that `owned` is true of, where `{}` stands for the account."""
        statement = f"select * from {table} where {owned.format('?')}"
        with _explained(self._settings.data_dir / FILE):
            return [dict(row) for row in self._signing_in.execute(statement, () if account is None else (account,))]

    def size(self, account: str) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self._paths(account) if path.exists())

    def conversations(self, account: str) -> int:
        """How many are copied."""
        path = self._own(account).mirror_file
        if not path.exists():
            return 0
        with self._reading(path) as connection:
            (count,) = connection.execute("select count(*) from conversations").fetchone()
            return int(count)

    def documents(self, account: str) -> Iterator[Document]:
        """All that is kept of an account, in an order in which it can be taken over: what others depend on first."""
        own = self._own(account)
        for path, tables in ((own.account_file, self._kept), (own.mirror_file, self._mirrored)):
            if path.exists():
                with self._reading(path) as connection:
                    for table in tables:
                        for row_id in table.ids(connection):
                            document = table.document(connection, row_id, with_text=True)
                            if document.body is not None:
                                yield document

    def copy(self, account: str, folder: Path) -> None:
        """The account's files, copied into `folder`."""
        for path in self._paths(account):
            if path.exists():
                with self._reading(path) as connection, closing(sqlite3.connect(folder / path.name)) as copied:
                    connection.execute("commit")  # SQLite copies no file in a transaction of its own
                    connection.backup(copied)

    def _own(self, account: str) -> Settings:
        return replace(self._settings, account_id=account)

    def _paths(self, account: str) -> tuple[Path, Path]:
        own = self._own(account)
        return own.account_file, own.mirror_file

    @contextmanager
    def _reading(self, path: Path) -> Iterator[sqlite3.Connection]:
        with _explained(path), self._connected(path) as connection:
            yield connection

    @contextmanager
    def _connected(self, path: Path) -> Iterator[sqlite3.Connection]:
        """One snapshot of the file, where it is one of ours."""
        mode = "rw" if self._alone else "ro"
        opened = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE_SECONDS, isolation_level=None
        )
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            if self._alone:
                # Whoever has a file with write-ahead logging open holds a lock on it that this does not go with.
                connection.execute("pragma locking_mode = exclusive")
            connection.execute("pragma query_only = on")
            connection.execute("begin")
            (found,) = connection.execute("pragma application_id").fetchone()
            (version,) = connection.execute("pragma user_version").fetchone()
            if found != APPLICATION_ID:
                raise Unusable(f"{path.name} is no file of this program")
            if version != 1:
                raise Unusable(f"{path.name} is of a later release: move it with that one")
            yield connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:  # a copy of it
            raise
        if code in _IN_USE:
            raise InUse(path.name) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Unusable(f"{path.name} is damaged") from error
        raise Unusable(f"{path.name} cannot be read ({error})") from error
    except (zlib.error, ValueError, EOFError) as error:
        raise Unusable(f"{path.name} is damaged") from error


async def _shared(settings: Settings) -> tuple[Sequence[Shared], Sequence[Shared]]:
    """What each room of an account says it shares: of the mirror, and of the file that is never lost."""
    listening = _Listening()
    async with anyio.create_task_group() as tasks:
        own = replace(settings, api_key="omi_dev_nobody", account_id="nobody", mirror="memory")
        account = Account.open(own, SystemClock(), None, Hosted(storage=listening), tasks)
        await account.close()
    return listening.mirror.tables, listening.kept.tables
