"""Where the files of accounts come from on one of several machines: PostgreSQL has them, and each machine copies."""

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

from omi_mcp import database
from omi_mcp.database import Database
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.replica import Replica
from omi_mcp.settings import Settings

TIDY_SECONDS = 60.0
"""Between two looks at what the copies take."""

log = logging.getLogger(__name__)


class Replicas:
    """One file of each account, in the data folder of the settings; PostgreSQL has all that is in it.

    Where they take more than `most` bytes together, those go that were opened longest ago, and none that is open.
    """

    def __init__(self, postgres: Postgres, *, most: int) -> None:
        self._postgres = postgres
        self._most = most
        self._open: WeakSet[Replica] = WeakSet()
        self._tidying = threading.Lock()
        self._tidied = -TIDY_SECONDS

    def open(self, settings: Settings) -> tuple[Database, Database]:
        replica = Replica(settings.replica_file, PostgresPrimary(self._postgres, settings.account))
        self._open.add(replica)
        with suppress(OSError):
            os.utime(settings.replica_file)
        self._make_room(settings.data_dir)
        return replica, replica

    def forget(self, settings: Settings) -> None:
        """What PostgreSQL has of the account goes with its sign-in."""
        _delete(settings.replica_file)

    def tidy(self, settings: Settings) -> None:
        """Of an account that was forgotten at another machine nobody asks here any more, and its copy is not opened."""
        here = {_account_of(file) for file in settings.data_dir.glob("replica-*.sqlite3*")}
        if not here:
            return
        with self._postgres.transaction(read_only=True) as connection:
            rows = connection.execute("select id from accounts where id = any(%s)", (list(here),)).fetchall()
        in_use = {_account_of(path) for path in self._in_use() if path}
        for account in here - in_use - {row["id"] for row in rows}:
            self.forget(replace(settings, account_id=account))

    def _in_use(self) -> set[Path | None]:
        return {replica.path for replica in list(self._open) if not replica.closed}

    def _make_room(self, folder: Path) -> None:
        with self._tidying:
            if time.monotonic() - self._tidied < TIDY_SECONDS:
                return
            self._tidied = time.monotonic()
            in_use = self._in_use()
            sizes = {file: _size(file) for file in folder.glob("replica-*.sqlite3")}
            taken = sum(sizes.values())
            for file in sorted(sizes.keys() - in_use, key=_opened):
                if taken <= self._most:
                    break
                _delete(file)
                taken -= sizes[file]
                log.info("the copy of an account gave way to others")


def _account_of(file: Path) -> str:
    return file.name.removeprefix("replica-").partition(".")[0]


def _delete(file: Path) -> None:
    for each in database.files(file):
        each.unlink(missing_ok=True)


def _opened(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_mtime
    return 0.0


def _size(file: Path) -> int:
    taken = 0
    for each in database.files(file):
        with suppress(OSError):
            taken += each.stat().st_size
    return taken
