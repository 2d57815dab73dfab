"""A PostgreSQL of the tests' own: a real server in a temporary folder, at a free loopback port."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

ROLE = "omi"
PASSWORD = "a pass/word@100%"
"""Which must be escaped in a URL, and found nowhere else."""

ESCAPED = "a%20pass%2Fword%40100%25"

GUARD = 'read _; kill -CONT $(head -n 1 "$2/postmaster.pid"); "$1" stop -m immediate -D "$2"; rm -rf "$3"'
"""Waits for the end of the tests' process, however it comes, and clears up."""

MARK = "@@"
"""Around the database and the process, at the beginning of every entry of the server's log."""

_TABLES = """
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
"""

_ACCOUNT = re.compile(r"set_config\('omi_mcp\.account', '((?:[^']|'')*)', true\)")

Mode = Literal["smart", "fast", "immediate"]


def programs() -> Path | None:
    """The folder of the server's programs, the latest where there are several."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@dataclass(frozen=True)
class Sent:
    """A statement that the server was sent, and the account that its transaction named: "" for none."""

    account: str
    statement: str


class PostgresServer:
    """A server with one role that is no superuser, and its databases.

    Speed is bought from the disk: nothing survives a crash of the machine, all of it a crash of the server, and so a
    test can still `stop("immediate")` it.
    """

    def __init__(self) -> None:
        found = programs()
        if found is None or not hasattr(os, "geteuid"):
            pytest.skip("PostgreSQL's programs (initdb) are not on this machine: what needs a database is left out")
        pytest.importorskip("psycopg", reason="psycopg is not installed: what needs a database is left out")
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="omi-pg-"))
        self._data = self._folder / "data"
        self._user = _unprivileged()
        self._names = count(1)
        self._template = False
        self._paused: list[int] = []
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._run(
            "initdb", "--no-sync", "--no-instructions", "--username=postgres", "--auth-local=trust",
            "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pgdata={self._data}",
        )  # fmt: skip
        self.port = _free_port()
        # Kathmandu: nothing must rely on the server's time zone.
        settings = f"""
            listen_addresses = '127.0.0.1'
            port = {self.port}
            unix_socket_directories = '{self._folder}'
            fsync = off
            full_page_writes = off
            shared_buffers = 32MB
            max_connections = 60
            timezone = 'Asia/Kathmandu'
            log_parameter_max_length = 0
            log_line_prefix = '{MARK}%d %p{MARK}'
        """
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings)
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", self._programs / "pg_ctl", self._data, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            start_new_session=True,
            cwd="/",
        )
        self.start()
        self.ask(f"create role {ROLE} login password '{PASSWORD}'")

    def close(self) -> None:
        """Stop the server and delete its folder."""
        self._guard.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", f"--log={self._folder / 'log'}")

    def stop(self, mode: Mode = "fast") -> None:
        """`immediate` is what a crash is: what was under way is lost, what was committed is not."""
        self.resume()
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}", f"--pgdata={self._data}")

    def restart(self, mode: Mode = "fast") -> None:
        self.stop(mode)
        self.start()

    def pause(self) -> None:
        """Let the server hang: it is reached, and says nothing."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(server, signal.SIGSTOP)
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in listed.splitlines()]
        self._paused = [server, *(int(pid) for pid, parent in pairs if int(parent) == server)]
        for pid in self._paused[1:]:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._paused:
            os.kill(pid, signal.SIGCONT)
        self._paused = []

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}:{ESCAPED}@127.0.0.1:{self.port}/{database}"

    def empty_database(self) -> str:
        """The URL of a database without a table, which the role owns."""
        name = f"empty_{next(self._names)}"
        self.ask(f"create database {name} owner {ROLE}")
        return self.url(name)

    @property
    def folder(self) -> Path:
        """What the server has to itself, whoever it runs as."""
        return self._folder

    def fresh_database(self, *, on: Path | None = None) -> str:
        """The URL of a database with all tables, and nothing in them. `on` is where its files are, in the folder.

        A later release has been there, as during an update: each has a column that this one does not know.
        """
        if not self._template:
            from omi_mcp.postgres.migrations import migrate

            self.ask(f"create database ready owner {ROLE}")
            migrate(self.url("ready"))
            for row in self.ask(_TABLES, "ready"):
                self.ask(f"alter table {row['name']} add column of_a_later_release text default 'later'", "ready")
            self._template = True
        name = f"test_{next(self._names)}"
        place = ""
        if on is not None:
            if self._user is not None:
                shutil.chown(on, self._user)
            self.ask(f"create tablespace {name} location '{on}'")
            place = f"tablespace {name}"
        self.ask(f"create database {name} template ready owner {ROLE} {place}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.ask(f"drop database if exists {url.rpartition('/')[2]} with (force)")

    def ask(self, statement: str, database: str = "postgres") -> list[dict[str, object]]:
        """Run one statement as the superuser, whom no row-level security binds."""
        import psycopg
        from psycopg.rows import dict_row

        where = {"host": str(self._folder), "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**where, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def record(self, url: str) -> int:
        """From its next connection on, the server writes down every statement that this database is sent.

        Returns the place from where that is to be read.
        """
        self.ask(f"alter database {url.rpartition('/')[2]} set log_statement = 'all'")
        return (self._folder / "log").stat().st_size

    def recorded(self, url: str, since: int) -> list[Sent]:
        """What this database was sent since that place, by anyone: the server's word, whatever sent it."""
        name = url.rpartition("/")[2]
        entry = re.compile(
            rf"^{MARK}{name} (\d+){MARK}LOG:  (?:statement|execute [^:]*): (.*?)(?=^{MARK}|\Z)",
            re.MULTILINE | re.DOTALL,
        )
        accounts: dict[str, str] = {}
        found = []
        with (self._folder / "log").open("rb") as log:
            log.seek(since)
            written = log.read().decode("utf-8", "replace")
        for process, text in entry.findall(written):
            statement = " ".join(text.split())
            if statement.startswith("begin"):
                named = _ACCOUNT.search(statement)
                accounts[process] = named[1] if named else ""
            found.append(Sent(accounts.get(process, ""), statement))
        return found

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr} {_tail(self._folder / 'log')}"


def add_account(url: str, account: str) -> str:
    """Have somebody signed in: without them, nothing can be kept of an account."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into accounts (id, mark, base_url, key, timezone, made, used) "
            "values (%s, %s, 'https://omi.example', 'sealed', 'UTC', 0, 0)",
            [account, account.encode()],
        )
    return account


def _unprivileged() -> str | None:
    """Whom the server runs as where that would be root, which it refuses."""
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return pytest.skip("there is no user here whom a PostgreSQL could run as: what needs a database is left out")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _tail(file: Path) -> str:
    return "\n".join(file.read_text("utf-8", "replace").splitlines()[-5:]) if file.exists() else ""


class Wire:
    """What stands between a client and a server: slow, silent or cut, where a test says so.

    `armed` for the next commit: it is cut "before" the server hears it, which then waits on, or "after" it was heard,
    with the answer lost. Every message takes `latency` seconds; none comes through while it is `stalled`.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._held: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.armed: Literal["before", "after"] | None = None
        self.commits = 0
        self.latency = 0.0
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def between(self, url: str) -> str:
        """`url`, reached through this."""
        return url.replace(f":{self._server}/", f":{self.port}/") + "?sslmode=disable&gssencmode=disable"

    def stall(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Cut every connection there is."""
        for client, server in self._pairs:
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.flow()
        self.cut()
        for each in self._held:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._server)) as server:
            self._pairs.append((client, server))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for end in ready:
                    data = end.recv(65_536)
                    if not data:
                        return
                    self._flows.wait()
                    time.sleep(self.latency)
                    ends = end is client and b"COMMIT" in data
                    self.commits += ends
                    if ends and self.armed == "before":
                        self.armed = None
                        self._held.append(server.dup())  # the server hears nothing of the end
                        return
                    (server if end is client else client).sendall(data)
                    if ends and self.armed == "after":
                        self.armed = None
                        server.recv(65_536)
                        return
