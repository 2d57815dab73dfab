"""One SQLite file, shared safely by threads and processes: who may read, who may write, and when.

The rooms above keep their tables in it. Every method blocks: call it from a worker thread.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_SECONDS = 30.0
"""How long a writer waits for another process before SQLite gives up; longer than any transaction of ours."""


class Database:
    """Readers run side by side on connections of their own (WAL); writers queue for the one write connection.

    `path` None keeps everything in memory, on one connection that all share.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._write_lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._writer = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self.path is None else self.path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("pragma foreign_keys = on")
        if self.path is not None:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: committed on a clean exit, rolled back on an exception."""
        with self._write_lock:
            self._writer.execute("begin immediate")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("rollback")
                raise
            self._writer.execute("commit")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent snapshot for reading, for as long as the block lasts."""
        if self.path is None:
            with self._write_lock:
                yield self._writer
            return
        with self._pool_lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        connection.execute("begin")
        try:
            yield connection
        finally:
            connection.execute("rollback")
            with self._pool_lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close every connection; one still reading closes when its block ends."""
        with self._pool_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._write_lock:
            self._writer.close()
