"""Where the files of accounts come from on one of several machines: PostgreSQL has them, and each machine a copy."""

from omi_mcp import database
from omi_mcp.database import Database
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.replica import Replica
from omi_mcp.settings import Settings


class Replicas:
    """One file of each account, in the data folder of the settings; PostgreSQL has all that is in it."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def open(self, settings: Settings) -> tuple[Database, Database]:
        replica = Replica(settings.replica_file, PostgresPrimary(self._postgres, settings.account))
        return replica, replica

    def forget(self, settings: Settings) -> None:
        """What PostgreSQL has of the account goes with its sign-in."""
        for file in database.files(settings.replica_file):
            file.unlink(missing_ok=True)
