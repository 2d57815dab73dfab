"""What the tests keep accounts in: files, or with `OMI_TEST_STORE=postgresql` a PostgreSQL and copies of what it has.

The same tests run over both. Of one path there is one account, and each time it is opened is another machine.
"""

import os
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from omi_mcp.account import Files, Storage
from omi_mcp.database import Database
from omi_mcp.replica import Replica
from omi_mcp.settings import Settings
from tests.postgres_kit import add_account

if TYPE_CHECKING:
    from omi_mcp.postgres.connection import Postgres

SHARED = os.environ.get("OMI_TEST_STORE", "sqlite") == "postgresql"

files_only = pytest.mark.skipif(SHARED, reason="what becomes of a file that is all there is")

_machines = count(1)
_accounts: dict[Path, str] = {}
_url = ""


def use(url: str) -> None:
    """Keep everything in the database at `url` from now on."""
    global _url
    _url = url


def postgres() -> "Postgres":
    from omi_mcp.postgres.connection import Postgres

    return Postgres(_url, most=4)


def kept(path: Path | None) -> Database:
    """The account at `path`, opened once more; None is one that nobody else opens."""
    if not SHARED:
        return Database(path)
    from omi_mcp.postgres.primary import PostgresPrimary

    account = _account(path or Path(uuid4().hex))
    folder = path.parent if path else Path(tempfile.mkdtemp())
    return Replica(folder / f"{account}.{next(_machines)}.sqlite3", PostgresPrimary(_shared(), account))


def storage() -> Storage:
    """Where the files of accounts come from that are told by their settings."""
    if not SHARED:
        return Files()
    from omi_mcp.postgres.storage import Replicas

    class Signed(Replicas):
        def open(self, settings: Settings) -> tuple[Database, Database]:
            account = _account(settings.replica_file)
            return super().open(replace(settings, account_id=account))

    return Signed(_shared(), most=10**9)


def _account(path: Path) -> str:
    if path not in _accounts:
        _accounts[path] = add_account(_url, uuid4().hex)
    return _accounts[path]


_connected: "Postgres | None" = None


def _shared() -> "Postgres":
    global _connected
    _connected = _connected or postgres()
    return _connected
