"""The server on the web: many people, each signed in with a key of their own."""

from dataclasses import dataclass

import httpx
from mcp.server.mcpserver import RequestStateSecurity
from starlette.applications import Starlette

from omi_mcp import files
from omi_mcp.account import Storage
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.database import Away
from omi_mcp.pool import LibraryPool, Queue, places
from omi_mcp.server import build_server
from omi_mcp.settings import HttpAccess, Settings, SettingsError, SignInSettings, is_loopback
from omi_mcp.signin import SCOPES, SHARED, SignIn
from omi_mcp.signin.documents import Documents
from omi_mcp.signin.recognition import Copies
from omi_mcp.signin.store import Tables
from omi_mcp.transports import http
from omi_mcp.transports.operating import Readiness, Step
from omi_mcp.transports.sessions import SealedState

FILES = 2_048
"""Open at once: connections, and those of the libraries. Shells and services commonly begin with 1,024 or fewer."""


@dataclass(frozen=True)
class Hosted:
    """What answers, and what has to be closed after it."""

    app: Starlette
    sign_in: SignIn
    pool: LibraryPool


@dataclass(frozen=True)
class _Kept:
    """Where everything is kept, and by whose clock: in the files of the data folder where nothing else is said."""

    clock: Clock
    tables: Tables | None = None
    copies: Copies | None = None
    storage: Storage | None = None
    queue: Queue | None = None
    prepare: Step | None = None
    """What is still to be done before anything can be served."""
    probe: Step | None = None


def _in_database(signing_in: SignInSettings, url: str, clock: Clock | None) -> _Kept:
    """In PostgreSQL, by its clock unless another is given. It gets the tables of this release, now or once it is there.

    Raises SettingsError: it does not let us.
    """
    from omi_mcp.postgres import migrations  # who has files alone does not pay for it
    from omi_mcp.postgres.connection import Postgres
    from omi_mcp.postgres.queue import CopyQueue
    from omi_mcp.postgres.signing_in import SharedCopies, SharedTables
    from omi_mcp.postgres.storage import Replicas

    def migrate() -> None:
        migrations.migrate(url)
        answer()  # so that the clock is right with the first request

    def answer() -> None:
        with postgres.transaction(read_only=True):
            pass

    postgres = Postgres(url)
    try:
        migrate()
        prepare = None
    except Away:
        prepare = migrate
    return _Kept(
        clock or postgres.clock(SystemClock()),
        SharedTables(postgres),
        SharedCopies(postgres),
        Replicas(postgres, most=signing_in.copies_mb * 1_000_000),
        CopyQueue(postgres),
        prepare,
        answer,
    )


def hosted(
    settings: Settings,
    access: HttpAccess,
    host: str,
    port: int,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    documents: Documents | None = None,
    asks: bool = True,
) -> Hosted:
    """The server at `host` and `port`, for whoever signs in. `transport` reaches the Omi API in place of the network.

    `asks` is for `http.app`: whether this is the only process.

    Blocks. Raises:
        SettingsError: strangers could sign in without being meant to, or the files or the database cannot be used.
    """
    signing_in = access.sign_in
    if signing_in is None:
        raise SettingsError("OMI_MCP_PUBLIC_URL: needed where people sign in.")
    if not (is_loopback(host) or signing_in.invite or signing_in.open):
        raise SettingsError(
            f"--host {host} lets other computers connect. Set OMI_MCP_INVITE to a code that people must know to sign "
            "in, or OMI_MCP_OPEN=on (--open) to let in everyone who has an Omi key."
        )
    if signing_in.database_url is None:
        kept = _Kept(clock or SystemClock())
    else:
        kept = _in_database(signing_in, signing_in.database_url, clock)
    resources = {signing_in.public_url + path: profile for path, profile in http.PROFILES.items()}
    sign_in = SignIn(
        settings,
        signing_in,
        resources=list(resources),
        clock=kept.clock,
        transport=transport,
        documents=documents,
        tables=kept.tables,
        copies=kept.copies,
    )
    spare = files.may_open(FILES) - http.MAX_CONNECTIONS
    pool = LibraryPool(
        sign_in.people,
        settings,
        kept.clock,
        transport=transport,
        storage=kept.storage,
        queue=kept.queue,
        most=places(spare),
    )
    policy = http.hosted_policy(sign_in.auth, sign_in.provider, access, host, port, scopes=SCOPES, resources=resources)
    server = build_server(
        settings,
        kept.clock,
        transport=transport,
        auth=policy.auth,
        token_verifier=policy.verifier,
        caller=policy.caller,
        libraries=pool,
        request_state=RequestStateSecurity(codec=SealedState(sign_in.vault, kept.clock)),
    )
    server.register()
    readiness = Readiness(kept.prepare, kept.probe)
    app = http.app(
        server,
        policy.hosts,
        policy.scopes,
        resources=resources,
        routes=sign_in.routes(pool.forget),
        shared=SHARED,
        vault=sign_in.vault,
        clock=kept.clock,
        asks=asks and signing_in.database_url is None,
        readiness=readiness,
    )
    return Hosted(app, sign_in, pool)
