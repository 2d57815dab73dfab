"""Streamable HTTP: one server for many hosts. Every request needs a token, and pages of other origins are refused."""

import asyncio
import hmac
import ipaddress
import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import httpx
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from omi_mcp.accounts import Admitted, Caller
from omi_mcp.clock import Clock, SystemClock
from omi_mcp.files import made_once
from omi_mcp.server import OmiServer
from omi_mcp.settings import HttpAccess, Profile, SettingsError, is_loopback
from omi_mcp.signin.vault import Vault, new_secret
from omi_mcp.tasks import beside
from omi_mcp.transports import connecting
from omi_mcp.transports.oauth import JwtVerifier
from omi_mcp.transports.operating import HEALTH, READY, Operated, Readiness, Server
from omi_mcp.transports.sessions import Sessions

PATH = "/mcp"
PROFILES: Mapping[str, Profile] = {PATH: "full", f"{PATH}/search-fetch": "search-fetch"}
"""Where people sign in, which tools a connection has is told by the path that the host connects to."""

BODY_LIMIT = 2 * 1024 * 1024
"""Bytes of one request; the longest create is a third of it, with every character escaped."""

MIN_TOKEN = 24
"""Characters of a token: 24 of a password generator are beyond guessing, also for a program on this computer."""

REQUEST_SECONDS = 30.0
"""How long a request may take to arrive, from the first byte of its head to the last of its body."""

MAX_CONNECTIONS = 500
"""At once, below the files a process may commonly open (1,024): the mirror and the way to Omi need some as well."""

SHUTDOWN_SECONDS = 50
"""How long requests in flight may still take when the server stops: every call is answered within 45."""

PART_SECONDS = 0.3
"""Between the two parts of the answer of `HEALTH` that is sent in parts."""

LOGGED = 80
"""Characters of a header."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[0-9a-z_.-]+)(?::(?P<port>[0-9]{0,5}))?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccessPolicy:
    """Who may connect: how the SDK verifies tokens, and the `hosts` that this server answers to.

    `token_file` is where a host's configuration finds the token, if it is in a file.
    """

    auth: AuthSettings
    verifier: TokenVerifier
    hosts: tuple[str, ...]
    token_file: Path | None = None
    scopes: tuple[str, ...] = ()
    """What hosts ask the issuer for. Of two, the first is for tokens that may write."""
    resources: Mapping[str, Profile] = field(default_factory=dict)
    """What tokens are for where people sign in here, and which tools each has; else they are for the one account."""

    def caller(self) -> Caller:
        """Who makes the request that is being answered, by its token."""
        token = get_access_token()
        may_write = token is not None and set(self.scopes[:1]) <= set(token.scopes)
        if not self.resources:
            return Caller(may_write=may_write)
        if token is None:
            return Caller(may_write=False)
        settings = token.served if isinstance(token, Admitted) else None
        return Caller(token.subject, may_write, self.resources[token.resource or ""], settings)


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
    listener = socket.create_server((host, port), family=family)
    # Connections inherit it; asyncio would set it, but not where the protocol goes without saying. Without it the body
    # of a short answer waits until its head is acknowledged, which the other side puts off for 40 milliseconds.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def access_policy(
    access: HttpAccess,
    host: str,
    port: int,
    data_dir: Path,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AccessPolicy:
    """Who may connect at `host` and `port`, by the settings; without any, whoever can read a file of the owner's.

    Raises:
        SettingsError: other computers could connect, and nothing was set to keep strangers out.
    """
    names = _own_names(host, port)
    if access.oauth is not None:
        names.append(urlsplit(access.oauth.audience).netloc)
        scopes = tuple(scope for scope in (access.oauth.scope, access.oauth.read_scope) if scope)
        auth = AuthSettings.model_validate(  # from text, so that issuer and audience stay as they were written
            {
                "issuer_url": access.oauth.issuer,
                "resource_server_url": access.oauth.audience,
                "required_scopes": scopes[-1:] or None,
                "validate_token_resource": True,
            }
        )
        verifier = JwtVerifier(access.oauth, clock=clock, transport=transport)
        return AccessPolicy(auth, verifier, _allowed_hosts(names, access.hosts), scopes=scopes)
    token, token_file = _static_token(access.token, host, data_dir)
    # Without a resource URL the SDK publishes no OAuth metadata, which would send hosts to sign in somewhere.
    auth = AuthSettings(issuer_url=AnyHttpUrl(f"http://127.0.0.1:{port}"), resource_server_url=None)
    return AccessPolicy(auth, StaticToken(token), _allowed_hosts(names, access.hosts), token_file)


def hosted_policy(
    auth: AuthSettings,
    verifier: TokenVerifier,
    access: HttpAccess,
    host: str,
    port: int,
    *,
    scopes: tuple[str, ...],
    resources: Mapping[str, Profile],
) -> AccessPolicy:
    """Who may connect where people sign in to this server itself: whoever has a token that `verifier` knows."""
    names = [*_own_names(host, port), urlsplit(str(auth.issuer_url)).netloc]
    return AccessPolicy(auth, verifier, _allowed_hosts(names, access.hosts), scopes=scopes, resources=resources)


def _own_names(host: str, port: int) -> list[str]:
    address, _, _ = host.partition("%")  # an IPv6 zone is not part of the name
    bound = f"[{address}]" if ":" in host else host
    return [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", bound) if name]


def _static_token(given: str | None, host: str, data_dir: Path) -> tuple[str, Path | None]:
    """The token that is accepted, and the file it lies in; None for one that was set."""
    if given is None and not is_loopback(host):
        raise SettingsError(
            f"--host {host} lets other computers connect. Set OMI_MCP_HTTP_TOKEN (a long random token) or "
            "OMI_MCP_OAUTH_ISSUER first, or leave --host out."
        )
    if given is None:
        file = data_dir / "http-token"
        return own_token(file), file
    if len(given) < MIN_TOKEN:
        raise SettingsError(
            f"OMI_MCP_HTTP_TOKEN: too short. Accepted: {MIN_TOKEN} characters and more. Without it, one is made and "
            "kept in a file."
        )
    return given, None


def _allowed_hosts(own: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    for name in others:
        if authority(name) is None:
            raise SettingsError(
                f"OMI_MCP_HTTP_HOSTS: {name!r} is no name. Accepted: names as hosts write them, with the port if "
                "the address has one, such as nas.local:8765 or omi.example.com."
            )
    return tuple(sorted({known for name in (*own, *others) if (known := authority(name))}))


def authority(text: str) -> str | None:
    """A host and port in the one form that all their spellings share; None when `text` is something else.

    The ports that a scheme implies go unsaid, as a proxy with TLS and a host may differ in saying them.
    """
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    host, port = match["host"].removesuffix("."), match["port"]
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return f"{host}:{int(port)}" if port and int(port) not in (80, 443) else host


def own_token(file: Path) -> str:
    """The token in `file`, made on first use; only the owner can read it.

    Raises:
        SettingsError: the file cannot be used, or others could have read it.
    """
    try:
        token = made_once(file, secrets.token_urlsafe(32))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a token"
        raise SettingsError(f"The token file {file} cannot be used: {reason}.") from None
    if len(token) < MIN_TOKEN:
        raise SettingsError(
            f"The token file {file} cannot be used: the token in it is too short. Delete it; a new one is made."
        )
    return token


def app(
    server: OmiServer,
    hosts: Iterable[str],
    scopes: Sequence[str] = (),
    *,
    resources: Iterable[str] = (),
    routes: Sequence[Route] = (),
    shared: Iterable[str] = (),
    vault: Vault | None = None,
    clock: Clock | None = None,
    asks: bool = True,
    readiness: Readiness | None = None,
) -> Starlette:
    """The whole HTTP side of `server`, which was built with the policy's `auth`, `verifier` and `caller`.

    Where people sign in here, `resources` are the addresses that hosts connect to, each with tokens of its own, and
    `routes` those of signing in; pages of any origin may ask for the paths that are `shared`. Whoever has the secrets
    of `vault` serves the same sessions; without one they end with this process. `asks`: whether it is the only process
    that does, so that hosts of the older era can be asked for something in the middle of a call. `readiness` tells a
    proxy whether to send requests here.

    Raises:
        ValueError: the server has no `auth`.
    """
    auth = server.settings.auth
    if auth is None:
        raise ValueError("over HTTP a server needs auth")
    readiness = readiness or Readiness()
    server.custom_route(HEALTH, methods=["GET"])(_health)
    server.custom_route(READY, methods=["GET"])(readiness.answer)
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=BODY_LIMIT,
        # The guard checks them: also on the other paths, before the token, and in all their spellings.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    if auth.resource_server_url is not None:
        # Before the SDK's own, which names no scope but those that every token must have.
        for url in [AnyHttpUrl(resource) for resource in resources] or [auth.resource_server_url]:
            application.router.routes[:0] = create_protected_resource_routes(
                url, [auth.issuer_url], list(scopes) or None
            )
    vault = vault or Vault([new_secret()])
    sessions = Sessions(server, vault, clock or SystemClock(), body_limit=BODY_LIMIT, asks=asks)
    application.router.routes[:0] = connecting.routes(sessions, auth, PATH, resources)
    application.router.routes.extend(routes)
    application.router.redirect_slashes = False  # it would lead from https behind a proxy to http
    paths = frozenset(route.path for route in application.routes if isinstance(route, Route))
    application.add_middleware(
        _Guard,
        hosts=frozenset(hosts),
        paths=paths,
        scopes=scopes,
        shared=frozenset(shared),
        origins=frozenset(urlsplit(resource).scheme + "://" + urlsplit(resource).netloc for resource in resources),
    )
    application.state.readiness = readiness
    application.router.lifespan_context = _beside(application.router.lifespan_context, readiness)
    application.add_middleware(Operated, readiness=readiness, paths=paths)
    return application


def _beside(lifespan: Lifespan[Any], readiness: Readiness) -> Lifespan[Any]:
    """`lifespan`, with what is still to be prepared beside it."""

    @asynccontextmanager
    async def running(application: Starlette) -> AsyncIterator[Any]:
        async with lifespan(application) as state, beside(readiness.run):
            yield state

    return running


def run(application: Starlette, listener: socket.socket, *, drain_seconds: float = 0.0) -> None:
    """Serve until Ctrl-C or SIGTERM, from the main thread. What is under way then ends as it would have."""
    Server(config(application), application.state.readiness, drain_seconds).run(sockets=[listener])


def config(application: ASGIApp, connection: type["Connection"] | None = None) -> uvicorn.Config:
    """How the HTTP server runs; `connection` is its protocol."""
    return uvicorn.Config(
        application,
        http=connection or Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


class Connection(H11Protocol):
    """uvicorn's own, bounded: by itself it takes any number of connections, and waits for ever for a whole request."""

    request_seconds = REQUEST_SECONDS
    most = MAX_CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            log.warning("a connection was closed: %s others are open", self.most)
            transport.abort()
        else:
            self._deadline = self.loop.call_later(self.request_seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._arrived()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _health(request: Request) -> Response:
    accept = request.headers.get("accept", "")
    if "text/event-stream" in accept and "application/json" not in accept:
        # From outside it shows whether a proxy holds back what is sent in parts, as answers with progress are.
        return StreamingResponse(
            _parts(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
    return JSONResponse({"status": "ok"})


async def _parts() -> AsyncIterator[str]:
    yield "data: ok\n\n"
    await asyncio.sleep(PART_SECONDS)
    yield "data: ok\n\n"


class _Guard:
    """Checks the headers before anything else does, and names the scopes in challenges."""

    def __init__(
        self,
        application: ASGIApp,
        hosts: frozenset[str],
        paths: frozenset[str],
        scopes: Sequence[str],
        shared: frozenset[str],
        origins: frozenset[str],
    ) -> None:
        """`origins`: where browsers reach the pages, behind a proxy with TLS also at an address of this computer."""
        self._application = application
        self._hosts = hosts
        self._paths = paths
        self._scopes = " ".join(scopes)
        self._shared = shared
        self._origins = {_origin(each) for each in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        scope = self._at_its_path(scope)
        # Who looks after a server asks by its address, and is told nothing else.
        if scope["path"] != READY and (
            refusal := self._refusal(Headers(scope=scope), shared=scope["path"] in self._shared)
        ):
            await refusal(scope, receive, send)
            return
        with suppress(ClientDisconnect):
            await self._application(scope, _whole(receive), self._naming_scopes(send))

    def _refusal(self, headers: Headers, *, shared: bool) -> Response | None:
        """The answer to a Host or Origin of another server: a page of another site may have led a browser here."""
        if any(_CONTROL.search(value) for value in headers.values()):
            return PlainTextResponse("Invalid header", status_code=400)
        for host in headers.getlist("host") or [""]:
            if authority(host) not in self._hosts:
                log.warning("a request to %s was refused: OMI_MCP_HTTP_HOSTS does not name it", _loggable(host))
                return PlainTextResponse("Invalid Host header", status_code=421)
        for origin in headers.getlist("origin"):
            if not (shared or self._is_own(origin)):
                log.warning("a request of a page of %s was refused", _loggable(origin))
                return PlainTextResponse("Invalid Origin header", status_code=403)
        return None

    def _is_own(self, origin: str) -> bool:
        """Whether `origin` is this server: its pages to sign in at, and the conformance suite, send its own.

        At loopback addresses there is no TLS, unless the public URL says so.
        """
        if _origin(origin) in self._origins:
            return True
        scheme, _, rest = origin.lower().partition("://")
        name = authority(rest)
        if name is None or name not in self._hosts:
            return False
        return scheme == "http" or (scheme == "https" and not is_loopback(urlsplit(f"//{name}").hostname or ""))

    def _at_its_path(self, scope: Scope) -> Scope:
        """`scope` with the path that is served, where the two differ by a slash at the end only."""
        path = scope["path"]
        other = path[:-1] if path.endswith("/") else path + "/"
        return {**scope, "path": other} if path not in self._paths and other in self._paths else scope

    def _naming_scopes(self, send: Send) -> Send:
        """`send`, with the scopes in every challenge: they say what to ask the issuer for (RFC 6750, 3)."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                headers = MutableHeaders(raw=message["headers"])
                if challenge := headers.get("www-authenticate"):
                    headers["www-authenticate"] = f'{challenge}, scope="{self._scopes}"'
            await send(message)

        return sent if self._scopes else send


def _origin(text: str) -> tuple[str, str | None]:
    """Scheme and host of an origin, in the one form that all its spellings share."""
    scheme, _, rest = text.lower().partition("://")
    return scheme, authority(rest)


def _whole(receive: Receive) -> Receive:
    """`receive`, which hands on no part of a body that breaks off.

    Raises:
        ClientDisconnect: the client went away before the body was complete.
    """
    complete = False

    async def received() -> Message:
        nonlocal complete
        message = await receive()
        if message["type"] == "http.disconnect" and not complete:
            raise ClientDisconnect
        complete = complete or not message.get("more_body", False)
        return message

    return received


def _loggable(header: str) -> str:
    """A header as a stranger sent it: short, and without what a terminal would take for a command."""
    return ascii(header if len(header) <= LOGGED else header[:LOGGED] + "...")
