"""Access tokens of an OAuth 2.1 authorization server, verified here by the keys it publishes.

This server is a resource server only: it signs nobody in, and the tokens go nowhere else.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from mcp.server.auth.provider import AccessToken

from omi_mcp.clock import Clock, SystemClock
from omi_mcp.settings import ANYONE, OAuth, is_secure

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only: with a shared secret among them, a public key could be passed off as that secret."""

FRESH = timedelta(minutes=10)
"""How long fetched keys are used without asking again."""
USABLE = timedelta(hours=12)
"""How long they are used until newer ones are there; a key that was withdrawn lives no longer than this."""
COOLDOWN = timedelta(seconds=30)
"""Between two fetches, whatever tokens arrive: nobody can make this server flood the issuer."""

RSA_BITS = 2048
"""RFC 7518, 3.3: the least that may be used."""

LEEWAY_SECONDS = 30
TIMEOUT_SECONDS = 10.0
"""For all the requests that one fetch of the keys takes."""

log = logging.getLogger(__name__)


class IssuerUnavailable(Exception):
    """The issuer's keys cannot be had now. `str()` says why in plain words."""


class IssuerKeys:
    """The issuer's signing keys, found through its metadata (RFC 8414, else OpenID Connect), cached and rotated."""

    def __init__(self, issuer: str, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._issuer = issuer
        self._clock = clock
        self._transport = transport
        self._keys: list[jwt.PyJWK] = []
        self._fetched: datetime | None = None
        self._tried: datetime | None = None
        self._fetch: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key that signed with `key_id`; None when the issuer publishes no such key. None asks for the only one.

        A key that is known is never waited for; the keys are fetched anew beside it.

        Raises:
            IssuerUnavailable: there are no usable keys, and they cannot be fetched.
        """
        key = self._pick(key_id)
        if key is None or self._age(self._fetched) > FRESH:
            self._start_fetch()
        if self._fetch is not None and (key is None or self._age(self._fetched) > USABLE):
            await asyncio.shield(self._fetch)  # others wait for the same one, so it outlives a request that is dropped
            key = self._pick(key_id)
        if self._age(self._fetched) > USABLE:
            raise IssuerUnavailable("its signing keys could not be fetched")
        return key

    def _pick(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _age(self, moment: datetime | None) -> timedelta:
        return timedelta.max if moment is None else self._clock.now() - moment

    def _start_fetch(self) -> None:
        underway = self._fetch is not None and not self._fetch.done()
        if not underway and self._age(self._tried) >= COOLDOWN:
            self._tried = self._clock.now()
            self._fetch = asyncio.create_task(self._refresh(self._tried))

    async def _refresh(self, started: datetime) -> None:
        try:
            with anyio.fail_after(TIMEOUT_SECONDS):
                async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_SECONDS) as client:
                    published = (await _get_json(client, await self._keys_url(client))).get("keys")
            keys = [key for item in published if (key := _signing_key(item))] if isinstance(published, list) else []
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            log.warning("OMI_MCP_OAUTH_ISSUER: its signing keys could not be fetched (%s)", type(error).__name__)
            return
        if not keys:
            log.warning("OMI_MCP_OAUTH_ISSUER: it publishes no signing keys that can be used")
            return
        self._keys, self._fetched = keys, started

    async def _keys_url(self, client: httpx.AsyncClient) -> str:
        for url in _metadata_urls(self._issuer):
            try:
                metadata = await _get_json(client, url)
            except (httpx.HTTPStatusError, ValueError):
                continue
            keys_url = metadata.get("jwks_uri")
            if metadata.get("issuer") == self._issuer and isinstance(keys_url, str):
                return _secure(keys_url)
        raise ValueError("no metadata of this issuer")


class JwtVerifier:
    """Accepts the JWT access tokens (RFC 9068) that the issuer made for this server."""

    def __init__(
        self, oauth: OAuth, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._oauth = oauth
        self._keys = IssuerKeys(oauth.issuer, clock or SystemClock(), transport)

    async def verify_token(self, token: str) -> AccessToken | None:
        """What `token` allows; None when it is not one of the issuer's, not for this server, or out of date."""
        try:
            key = await self._keys.find(_key_id(token))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._oauth.audience,
                issuer=self._oauth.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except IssuerUnavailable as error:
            log.warning("a token was refused because OMI_MCP_OAUTH_ISSUER cannot be used: %s", error)
            return None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            # PyJWT lets through what some claims of a wrong type, and a header nested too deep, raise.
            log.info("a token was refused (%s)", type(error).__name__)
            return None
        if self._oauth.subjects.isdisjoint((ANYONE, claims["sub"])):
            log.info("a token was refused (its subject is not among OMI_MCP_OAUTH_SUBJECT)")
            return None
        return AccessToken(
            token=token,
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=self._scopes(claims),
            expires_at=int(claims["exp"]) + LEEWAY_SECONDS,
            resource=self._oauth.audience,
            subject=claims["sub"],
            claims={"iss": claims["iss"]},
        )

    def _scopes(self, claims: Mapping[str, Any]) -> list[str]:
        """What was granted; who may write may read."""
        granted = _scopes(claims)
        if self._oauth.read_scope is not None and self._oauth.scope in granted:
            granted.append(self._oauth.read_scope)
        return granted


def _key_id(token: str) -> str | None:
    key_id = jwt.get_unverified_header(token).get("kid")
    return key_id if isinstance(key_id, str) else None


def _signing_key(published: object) -> jwt.PyJWK | None:
    """One key of the issuer's set; None for those that are not for signatures, not understood, or too weak."""
    if not isinstance(published, dict):
        return None
    try:
        key = jwt.PyJWK(published)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < RSA_BITS:
        log.warning("OMI_MCP_OAUTH_ISSUER: an RSA key of fewer than %s bits is not used", RSA_BITS)
        return None
    return key if key.algorithm_name in ALGORITHMS and key.public_key_use in ("sig", None) else None


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """RFC 9068: `scope`, words separated by spaces. Some issuers write `scp`, as words or as a list.

    Whatever else is written there grants nothing.
    """
    granted = claims.get("scope", claims.get("scp"))
    words = granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else []
    return [word for word in words if isinstance(word, str)]


def _metadata_urls(issuer: str) -> tuple[str, str]:
    url = urlsplit(issuer)
    origin, path = f"{url.scheme}://{url.netloc}", url.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def _secure(url: str) -> str:
    parts = urlsplit(url)
    if is_secure(parts.scheme, parts.hostname):
        return url
    raise ValueError("jwks_uri is not https")


async def _get_json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Raises httpx.HTTPError or ValueError when there is no JSON object at `url`."""
    response = await client.get(url, headers={"Accept": "application/json"})
    response.raise_for_status()
    answer = response.json()
    if not isinstance(answer, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (bad data, not a bad argument)
    return answer
