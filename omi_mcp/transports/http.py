"""Streamable HTTP: one server for many hosts. Nobody gets in without a token, and no web page of another origin."""

import hmac
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from omi_mcp.clock import Clock
from omi_mcp.server import OmiServer
from omi_mcp.settings import HttpAccess, SettingsError, is_loopback
from omi_mcp.transports.oauth import JwtVerifier

PATH = "/mcp"
HEALTH = "/health"

BODY_LIMIT = 2 * 1024 * 1024
"""Bytes of one request; the longest create is a third of it, with every character escaped."""

MIN_PUBLIC_TOKEN = 24
"""Characters of a token that is to hold against the network: 24 of a password generator are beyond guessing."""

SHUTDOWN_SECONDS = 3
"""How long requests in flight may still take when the server stops; streams that hosts hold open never end."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Door:
    """How requests are let in. `token_file` is where a host's configuration finds the token, if in a file."""

    auth: AuthSettings
    verifier: TokenVerifier
    hosts: tuple[str, ...]
    token_file: Path | None = None


class StaticToken:
    """Accepts one token, compared in constant time."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        if not hmac.compare_digest(token.encode(), self._token):
            return None
        return AccessToken(token=token, client_id="owner", scopes=[])


def listen(host: str, port: int) -> socket.socket:
    """Take the port; 0 takes a free one. Raises OSError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def door(
    access: HttpAccess,
    host: str,
    port: int,
    data_dir: Path,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Door:
    """Who may come in at `host` and `port`, by the settings; without any, whoever can read a file of the owner's.

    Raises:
        SettingsError: other computers could connect, and nothing was set to keep strangers out.
    """
    names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host)}
    names.update(access.hosts)
    if access.oauth is not None:
        names.add(urlsplit(access.oauth.audience).netloc.lower())
        auth = AuthSettings.model_validate(  # from text, so that issuer and audience stay as they were written
            {
                "issuer_url": access.oauth.issuer,
                "resource_server_url": access.oauth.audience,
                "required_scopes": [access.oauth.scope] if access.oauth.scope else None,
                "validate_token_resource": True,
            }
        )
        verifier = JwtVerifier(access.oauth, clock=clock, transport=transport)
        return Door(auth, verifier, tuple(sorted(names)))
    token, token_file = access.token, None
    if not is_loopback(host):
        if token is None:
            raise SettingsError(
                f"--host {host} lets other computers connect. Set OMI_MCP_HTTP_TOKEN (a long random token) or "
                "OMI_MCP_OAUTH_ISSUER first, or leave --host out."
            )
        if len(token) < MIN_PUBLIC_TOKEN:
            raise SettingsError(
                f"OMI_MCP_HTTP_TOKEN: too short for --host {host}. Accepted: {MIN_PUBLIC_TOKEN} characters and more."
            )
    if token is None:
        token_file = data_dir / "http-token"
        token = own_token(token_file)
    # Without a resource URL the SDK publishes no OAuth metadata, which would send hosts to sign in somewhere.
    auth = AuthSettings(issuer_url=AnyHttpUrl(f"http://127.0.0.1:{port}"), resource_server_url=None)
    return Door(auth, StaticToken(token), tuple(sorted(names)), token_file)


def own_token(file: Path) -> str:
    """The token in `file`, made on first use; only the owner can read it.

    Raises:
        SettingsError: the file cannot be used, or others could have read it.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as new:
                new.write(secrets.token_urlsafe(32) + "\n")
        token = file.read_text(encoding="ascii").strip()
        readable_by_others = os.name == "posix" and file.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a token"
        raise SettingsError(f"The token file {file} cannot be used ({reason}).") from None
    if not token or readable_by_others:
        reason = "other users can read it" if token else "it is empty"
        raise SettingsError(f"The token file {file} cannot be used: {reason}. Delete it; a new one is made.")
    return token


def app(server: OmiServer, hosts: Sequence[str]) -> Starlette:
    """The whole HTTP side of `server`, which was built with the door's `auth` and `verifier`."""
    own_origins = [f"http://{name}" for name in hosts]  # no page is served there; the conformance suite asks for it
    security = TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=own_origins)
    server.custom_route(HEALTH, methods=["GET"])(_health)
    application = server.streamable_http_app(
        streamable_http_path=PATH, max_request_body_size=BODY_LIMIT, transport_security=security
    )
    application.add_middleware(_Guard, security=security)
    return application


def run(server: OmiServer, listener: socket.socket, hosts: Sequence[str]) -> None:
    """Serve until Ctrl-C or SIGTERM, from the main thread."""
    config = uvicorn.Config(
        app(server, hosts),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class _Guard:
    """Checks Host and Origin before anything else. The SDK does so for its own path only, and after the token."""

    def __init__(self, application: ASGIApp, security: TransportSecuritySettings) -> None:
        self._application = application
        self._check = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := await self._check.validate_request(Request(scope))):
            await refusal(scope, receive, send)
            return
        await self._application(scope, receive, send)
