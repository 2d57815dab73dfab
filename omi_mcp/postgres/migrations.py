"""The tables, in numbered steps: the files of the folder `migrations`, and a ledger in the database of those taken.

A step only adds. So a release goes on beside one that has taken the next step, and a database that is ahead is fine.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg.rows import DictRow, dict_row

from omi_mcp.database import Away
from omi_mcp.postgres.connection import Connection, is_away, parameters
from omi_mcp.settings import SettingsError

OLDEST = 140_000
"""The oldest server, as libpq numbers them."""

LOCK = 0x4F4D_694D
"""Of the advisory lock ("OMiM"): many replicas start at once, and one migrates."""

TURN_SECONDS = 60
"""How long a start waits for another's migration."""

TABLE_SECONDS = 5
"""How long a step waits for a table: whoever comes after it waits as well."""

LEDGER = """
    create table if not exists omi_mcp_migrations (
        number integer primary key,
        name text not null,
        done timestamptz not null default now()
    )
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Migration:
    number: int
    name: str
    script: str

    def __str__(self) -> str:
        return f"{self.number:04} {self.name}"


@dataclass(frozen=True)
class Standing:
    """How a database stands: the steps it lacks, and whether its role is one that row-level security does not bind."""

    missing: tuple[Migration, ...]
    unbound: bool


def known() -> tuple[Migration, ...]:
    """Every step of this release, in order."""
    files = resources.files(__package__) / "migrations"
    named = sorted(file.name for file in files.iterdir() if file.name.endswith(".sql"))
    return tuple(
        Migration(int(name[:4]), name[5:-4].replace("_", " "), (files / name).read_text("utf-8")) for name in named
    )


def missing(connection: psycopg.Connection[DictRow]) -> tuple[Migration, ...]:
    """The steps that this release knows and the database has not taken."""
    row = connection.execute("select to_regclass('omi_mcp_migrations') as ledger").fetchone()
    done = set()
    if row is not None and row["ledger"] is not None:
        done = {row["number"] for row in connection.execute("select number from omi_mcp_migrations")}
    return tuple(step for step in known() if step.number not in done)


def standing(url: str) -> Standing:
    """How the database at `url` stands. Raises as `migrate` does."""
    with _connected(url) as connection:
        return _standing(connection)


def migrate(url: str) -> tuple[Migration, ...]:
    """Take the steps that are missing; returns those that were. Each is whole or not there at all.

    Raises:
        SettingsError: it is no URL, or the database does not let its role do this.
        Away: it cannot be reached, or is too busy.
    """
    taken = []
    with _connected(url) as connection:
        if _standing(connection).unbound:
            log.warning(
                "row-level security does not bind the role of OMI_MCP_DATABASE_URL: take one that is no "
                "superuser and has no BYPASSRLS"
            )
        while missing(connection):
            with connection.transaction():
                connection.answer_seconds = None
                _wait_at_most(connection, TURN_SECONDS)
                connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
                left = missing(connection)  # others may have gone on meanwhile
                if left:
                    _wait_at_most(connection, TABLE_SECONDS)
                    connection.execute(LEDGER)
                    connection.execute(left[0].script.encode())
                    connection.execute(
                        "insert into omi_mcp_migrations (number, name) values (%s, %s)", [left[0].number, left[0].name]
                    )
                    taken.append(left[0])
    return tuple(taken)


def _standing(connection: psycopg.Connection[DictRow]) -> Standing:
    row = connection.execute(
        "select rolsuper or rolbypassrls as unbound from pg_roles where rolname = current_user"
    ).fetchone()
    return Standing(missing(connection), bool(row and row["unbound"]))


def _wait_at_most(connection: psycopg.Connection[DictRow], seconds: int) -> None:
    connection.execute("select set_config('lock_timeout', %s, true)", [f"{seconds}s"])


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection of its own: a step may take longer than what people wait for."""
    options = parameters(url)
    try:
        with Connection.connect(**options, autocommit=True, row_factory=dict_row) as connection:
            if connection.info.server_version < OLDEST:
                raise SettingsError(
                    f"OMI_MCP_DATABASE_URL: PostgreSQL {OLDEST // 10_000} or later is needed; this one is "
                    f"{connection.info.server_version // 10_000}."
                )
            yield connection
    except psycopg.Error as error:
        if is_away(error):
            raise Away(" ".join(str(error).split())) from error
        raise SettingsError(
            f"OMI_MCP_DATABASE_URL: the database refuses what is needed ({error.diag.message_primary}). Its role has "
            "to own the database, or to be allowed to create tables in it; and the database is for this server alone."
        ) from error
