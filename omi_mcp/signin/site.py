"""Signing in, whole: opened once for the server, beside it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
from mcp.server.auth.settings import AuthSettings
from starlette.routing import Route

from omi_mcp.accounts import READ, WRITE
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.database import Database
from omi_mcp.settings import Settings, SettingsError, SignInSettings
from omi_mcp.signin import endpoints
from omi_mcp.signin.addresses import Addresses
from omi_mcp.signin.documents import Documents
from omi_mcp.signin.pages import Forget, Pages
from omi_mcp.signin.people import People
from omi_mcp.signin.provider import Provider
from omi_mcp.signin.recognition import Copies, FileCopies
from omi_mcp.signin.store import FILE, MOST_UNUSED, SCHEMA, Store, Tables
from omi_mcp.signin.vault import Vault

SCOPES = (WRITE, READ)


class SignIn:
    """`people` are those who signed in, `provider` verifies tokens, `auth` is how the SDK guards the server,
    `vault` seals what hosts and browsers carry."""

    def __init__(
        self,
        settings: Settings,
        access: SignInSettings,
        *,
        resources: Sequence[str],
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        documents: Documents | None = None,
        tables: Tables | None = None,
        copies: Copies | None = None,
    ) -> None:
        """`resources` are what hosts connect to; `transport` reaches the Omi API in place of the network. `tables` and
        `copies` are where several machines have them, in place of the files of the data folder. Blocks.

        Raises:
            SettingsError: the file of signing in, or the secret, cannot be used.
        """
        self._clock = clock or SystemClock()
        self._settings = replace(settings, api_key=None)
        self._access = access
        self._transport = transport
        self.vault = Vault.open(settings.data_dir, access.secrets)
        self._store = open_store(settings.data_dir) if tables is None else Store(tables)
        self._copies = copies or FileCopies(self._store, self._settings)
        self.people = People(self._store, self.vault, self._settings, self._clock)
        self.provider = Provider(
            self._store,
            self.vault,
            self.people,
            documents or Documents(self._clock),
            self._clock,
            issuer=access.public_url,
            resources=resources,
        )
        self.auth: AuthSettings = endpoints.auth_settings(access.public_url, resources[0])

    def routes(self, forget: Forget) -> list[Route]:
        """What hosts and browsers ask; `forget` closes an account's library and deletes its files."""
        addresses = Addresses(self._access.address_header)
        pages = Pages(
            provider=self.provider,
            people=self.people,
            store=self._store,
            vault=self.vault,
            settings=self._settings,
            access=self._access,
            clock=self._clock,
            transport=self._transport,
            addresses=addresses,
            forget=forget,
            copies=self._copies,
        )
        return [
            *endpoints.routes(self.provider, self.auth, self._clock, addresses, refused=pages.refused),
            *pages.routes(),
        ]

    def close(self) -> None:
        self._store.close()


def open_store(data_dir: Path) -> Store:
    """The file of signing in. Blocks. Raises SettingsError where it cannot be kept: nobody would stay signed in."""
    database = Database(data_dir / FILE, name="sign-in")
    if database.warning is not None and database.warning.kind != "replaced":
        database.close()
        raise SettingsError(
            f"The file {data_dir / FILE} cannot be used ({database.warning.detail or database.warning.kind})."
        )
    return in_file(database)


def in_file(database: Database, *, most_unused: int = MOST_UNUSED) -> Store:
    """The tables in a file, made where they are not there yet. Blocks."""

    def create(connection: sqlite3.Connection) -> None:
        for statement in SCHEMA.split(";"):
            connection.execute(statement)

    database.prepare(create)
    return Store(database, most_unused=most_unused)
