"""What a host may have: the SDK's endpoints ask here for codes and tokens, and the pages give them away."""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from mcp.server.auth.middleware.client_auth import AuthenticationError, ClientAuthenticator
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    RegistrationError,
    TokenError,
    construct_redirect_uri,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyUrl
from starlette.requests import Request

from omi_mcp import database
from omi_mcp.accounts import READ, WRITE, Admitted, SignInAgain
from omi_mcp.clock import Clock
from omi_mcp.signin import hosts
from omi_mcp.signin.documents import Documents, Unusable, is_document
from omi_mcp.signin.hosts import Host
from omi_mcp.signin.people import People
from omi_mcp.signin.store import ACCESS_LIFE, CODE_LIFE, Code, Grant, Store
from omi_mcp.signin.vault import Vault, digest

REQUEST = "request"
"""What a request of a host is sealed as, while its person reads the page."""
REQUEST_LIFE = timedelta(minutes=30)

LONGEST_STATE = 3_000
"""Characters; a request travels in the address of the page."""
LONGEST_REGISTRATION = 16_000

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""RFC 7636, 4.2: SHA-256 in base64."""


@dataclass(frozen=True)
class Asked:
    """What a host asks a person for, at which of the server's addresses. `writing`: it asks to write too."""

    host: str
    redirect_uri: str
    explicit: bool
    challenge: str
    state: str | None
    writing: bool
    resource: str


class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The SDK's `OAuthAuthorizationServerProvider` over the store. `issuer` is also where the pages are.

    Hosts connect to one of `resources`; the first is meant where they do not say to which.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        people: People,
        documents: Documents,
        clock: Clock,
        *,
        issuer: str,
        resources: Sequence[str],
    ) -> None:
        self._store = store
        self._vault = vault
        self._people = people
        self._documents = documents
        self._clock = clock
        self.issuer = issuer
        self.resource = resources[0]
        self._resources = resources

    async def get_client(self, client_id: str) -> Host | None:
        """The host with this id, its document fetched if it is known by one."""
        try:
            return await self.host(client_id)
        except Unusable:
            return None

    async def host(self, host_id: str) -> Host | None:
        """As `get_client`. Raises Unusable where the document cannot be used."""
        return await self._documents.host(host_id) if is_document(host_id) else await self.kept_host(host_id)

    async def kept_host(self, host_id: str) -> Host | None:
        """The host as it registered, or as its document was when somebody signed in; nothing is fetched."""
        kept = await database.run(self._store.host, host_id)
        return None if kept is None else hosts.read(kept[0])

    async def has_secret(self, host: Host, secret: str | None) -> bool:
        """Whether a host may ask for tokens with this secret."""
        if host.token_endpoint_auth_method == hosts.PUBLIC:
            return True
        kept = await database.run(self._store.host, host.client_id)
        hashed = None if kept is None else kept[1]
        return bool(hashed and secret and hmac.compare_digest(hashed, digest(secret)))

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        host = hosts.checked(Host.model_validate(client_info.model_dump()))
        metadata = host.metadata()
        if len(metadata) > LONGEST_REGISTRATION:
            raise RegistrationError("invalid_client_metadata", "it is too long")
        secret = digest(client_info.client_secret) if client_info.client_secret else None
        await database.run(self._store.add_host, host.client_id, metadata, secret, self._clock.now())

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """The address of the page on which the person decides."""
        if not _CHALLENGE.fullmatch(params.code_challenge):
            raise AuthorizeError("invalid_request", "code_challenge is not that of S256")
        if len(params.state or "") > LONGEST_STATE:
            raise AuthorizeError("invalid_request", f"state is longer than {LONGEST_STATE} characters")
        resource = self.resource_meant(params.resource)
        if resource is None:
            raise AuthorizeError("invalid_target", "resource is not this server")
        asked = Asked(
            host=client.client_id,
            redirect_uri=str(params.redirect_uri),
            explicit=params.redirect_uri_provided_explicitly,
            challenge=params.code_challenge,
            state=params.state,
            writing=params.scopes is None or WRITE in params.scopes,
            resource=resource,
        )
        sealed = self._vault.seal(REQUEST, asdict(asked), self._clock.now())
        return f"{self.issuer}/signin?request={sealed}"

    def asked(self, sealed: str) -> Asked:
        """What a page was opened for. Raises Unreadable when that is too long ago, or was made up."""
        content: dict[str, Any] = self._vault.open_sealed(REQUEST, sealed, self._clock.now(), life=REQUEST_LIFE)
        return Asked(**content)

    def resource_meant(self, resource: str | None) -> str | None:
        """Which address of this server tokens are asked for; None where it is another's. Hosts write it in several
        ways, or not at all."""
        written = self.issuer if resource is None else resource.rstrip("/").lower()
        return (
            self.resource
            if written == self.issuer
            else next((each for each in self._resources if each == written), None)
        )

    async def grant(self, asked: Asked, host: Host, account_id: str, *, writing: bool) -> str:
        """Allow the host what it asked for, or less. Where to send the person back, with a code for the host."""
        code = secrets.token_urlsafe(32)
        now = self._clock.now()
        grant = Grant(
            id=str(uuid4()),
            account=account_id,
            host=host.client_id,
            name=host.shown_name,
            place=hosts.place(asked.redirect_uri),
            scopes=(READ, WRITE) if writing and asked.writing else (READ,),
            resource=asked.resource,
            made=now,
            used=None,
        )
        details = Code(grant, asked.challenge, asked.redirect_uri, asked.explicit, now + CODE_LIFE)
        await database.run(self._store.add_grant, grant, digest(code), details, host.metadata(), now)
        return self.back(asked, code=code)

    def back(self, asked: Asked, **answer: str) -> str:
        """Where to send the person back to the host, with this answer (RFC 6749, 4.1.2; RFC 9207)."""
        return construct_redirect_uri(asked.redirect_uri, **answer, state=asked.state, iss=self.issuer)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        code = await database.run(self._store.code, digest(authorization_code), self._clock.now())
        if code is None or code.grant.host != client.client_id or code.grant.resource not in self._resources:
            return None
        return AuthorizationCode(
            code=authorization_code,
            scopes=list(code.grant.scopes),
            expires_at=code.expires.timestamp(),
            client_id=code.grant.host,
            code_challenge=code.challenge,
            redirect_uri=AnyUrl(code.redirect_uri),
            redirect_uri_provided_explicitly=code.explicit,
            resource=code.grant.resource,
            subject=code.grant.account,
        )

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        grant = await database.run(
            self._store.use_code, digest(authorization_code.code), digest(access), digest(refresh), self._clock.now()
        )
        if grant is None:
            raise TokenError("invalid_grant", "authorization code does not exist")
        return _answer(access, refresh, grant.scopes)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        token = await database.run(self._store.refresh, digest(refresh_token), self._clock.now())
        if token is None or token.grant.host != client.client_id or token.grant.resource not in self._resources:
            return None
        if not await self._people.served(token.grant.account):
            return None
        return RefreshToken(
            token=refresh_token,
            client_id=token.grant.host,
            scopes=list(token.scopes),
            expires_at=int(token.expires.timestamp()),
            resource=token.grant.resource,
            subject=token.grant.account,
        )

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        grant = await database.run(
            self._store.use_refresh,
            digest(refresh_token.token),
            tuple(scopes),
            digest(access),
            digest(refresh),
            self._clock.now(),
        )
        if grant is None:
            raise TokenError("invalid_grant", "refresh token does not exist")
        return _answer(access, refresh, tuple(scopes))

    async def load_access_token(self, token: str) -> AccessToken | None:
        known = await database.run(self._store.access, digest(token), self._clock.now())
        if known is None:
            return None
        found, account = known
        try:
            settings = self._people.settings_of(account)
        except SignInAgain:
            return None
        admitted = AccessToken(
            token=token,
            client_id=found.grant.host,
            scopes=list(found.scopes),
            expires_at=int(found.expires.timestamp()),
            resource=found.grant.resource,
            subject=found.grant.account,
            claims={"iss": self.issuer},
        )
        return Admitted.with_settings(settings, admitted)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The SDK's `TokenVerifier`."""
        return await self.load_access_token(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        """End the grant: what a host gives back one of, it gives back whole."""
        grant = await database.run(self._store.grant_of, digest(token.token))
        if grant is not None:
            await database.run(self._store.end_grant, grant.id)


def _answer(access: str, refresh: str, scopes: tuple[str, ...]) -> OAuthToken:
    return OAuthToken(
        access_token=access,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        scope=" ".join(scopes),
        refresh_token=refresh,
    )


class HostAuthenticator(ClientAuthenticator):
    """Knows a host that asks for tokens by the hash of its secret, wherever in the request it wrote it."""

    provider: Provider

    async def authenticate_request(self, request: Request) -> OAuthClientInformationFull:
        form = await request.form()
        named, secret = credentials(request.headers.get("authorization", ""))
        host_id = form.get("client_id")
        if not isinstance(host_id, str) or named not in (None, host_id):
            raise AuthenticationError("client_id is missing or given twice")
        in_form = form.get("client_secret")
        if secret is None and isinstance(in_form, str):
            secret = in_form
        host = await self.provider.kept_host(host_id)
        if host is None or not await self.provider.has_secret(host, secret):
            raise AuthenticationError("Unknown client, or a wrong secret")
        return host


def credentials(authorization: str) -> tuple[str | None, str | None]:
    """Id and secret of a host in an Authorization header (RFC 6749, 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        host_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None, None
    return unquote(host_id), unquote(secret)
