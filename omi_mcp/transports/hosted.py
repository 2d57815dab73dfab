"""The server on the web: many people, each signed in with a key of their own."""

from dataclasses import dataclass

import httpx
from mcp.server.mcpserver import RequestStateSecurity
from starlette.applications import Starlette

from omi_mcp import files
from omi_mcp.account import Storage
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.pool import LibraryPool, places
from omi_mcp.server import build_server
from omi_mcp.settings import HttpAccess, Settings, SettingsError, is_loopback
from omi_mcp.signin import SCOPES, SHARED, SignIn
from omi_mcp.signin.documents import Documents
from omi_mcp.signin.recognition import Copies
from omi_mcp.signin.store import Tables
from omi_mcp.transports import http
from omi_mcp.transports.sessions import SealedState

FILES = 2_048
"""Open at once: connections, and those of the libraries. Shells and services commonly begin with 1,024 or fewer."""


@dataclass(frozen=True)
class Hosted:
    """What answers, and what has to be closed after it."""

    app: Starlette
    sign_in: SignIn
    pool: LibraryPool


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
        SettingsError: strangers could sign in without being meant to, or the files cannot be used.
    """
    signing_in = access.sign_in
    if signing_in is None:
        raise SettingsError("OMI_MCP_PUBLIC_URL: needed where people sign in.")
    if not (is_loopback(host) or signing_in.invite or signing_in.open):
        raise SettingsError(
            f"--host {host} lets other computers connect. Set OMI_MCP_INVITE to a code that people must know to sign "
            "in, or OMI_MCP_OPEN=on (--open) to let in everyone who has an Omi key."
        )
    tables: Tables | None = None
    copies: Copies | None = None
    storage: Storage | None = None
    if signing_in.database_url is not None:
        from omi_mcp.postgres.connection import Postgres  # who has files alone does not pay for it
        from omi_mcp.postgres.signing_in import SharedCopies, SharedTables
        from omi_mcp.postgres.storage import Replicas

        postgres = Postgres(signing_in.database_url)
        tables, copies, storage = SharedTables(postgres), SharedCopies(postgres), Replicas(postgres)
        clock = clock or postgres.clock(SystemClock())
    clock = clock or SystemClock()
    resources = {signing_in.public_url + path: profile for path, profile in http.PROFILES.items()}
    sign_in = SignIn(
        settings,
        signing_in,
        resources=list(resources),
        clock=clock,
        transport=transport,
        documents=documents,
        tables=tables,
        copies=copies,
    )
    spare = files.may_open(FILES) - http.MAX_CONNECTIONS
    pool = LibraryPool(sign_in.people, settings, clock, transport=transport, storage=storage, most=places(spare))
    policy = http.hosted_policy(sign_in.auth, sign_in.provider, access, host, port, scopes=SCOPES, resources=resources)
    server = build_server(
        settings,
        clock,
        transport=transport,
        auth=policy.auth,
        token_verifier=policy.verifier,
        caller=policy.caller,
        libraries=pool,
        request_state=RequestStateSecurity(codec=SealedState(sign_in.vault, clock)),
    )
    server.register()
    app = http.app(
        server,
        policy.hosts,
        policy.scopes,
        resources=resources,
        routes=sign_in.routes(pool.forget),
        shared=SHARED,
        vault=sign_in.vault,
        clock=clock,
        asks=asks,
    )
    return Hosted(app, sign_in, pool)
