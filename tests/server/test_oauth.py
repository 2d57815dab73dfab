"""Access tokens over HTTP: an issuer made here, good tokens, and every way in which one can be wrong."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hosting import talk
from http_kit import bearer, initialize, reached

from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import HttpAccess, OAuth, SettingsError

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example/tenant/"
RESOURCE = "https://omi.example/mcp"
BASE_URL = "https://omi.example"
OAUTH = HttpAccess(oauth=OAuth(ISSUER, RESOURCE, scope="omi:use"))


class Issuer:
    """An authorization server as far as a resource server sees it: metadata, keys, and tokens signed with them."""

    def __init__(self) -> None:
        self.keys = {"one": ec.generate_private_key(ec.SECP256R1())}
        self.metadata: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": "https://issuer.example/keys"}
        self.asked: list[str] = []
        self.down = False
        self.transport = httpx.MockTransport(self._answer)

    def token(
        self, *, key: str = "one", algorithm: str = "ES256", header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        given = {
            "iss": ISSUER,
            "aud": RESOURCE,
            "sub": "owner",
            "client_id": "web-host",
            "scope": "openid omi:use",
            "exp": int(time.time()) + 300,
        } | claims
        return jwt.encode(
            {name: value for name, value in given.items() if value is not None},
            self.keys[key],
            algorithm=algorithm,
            headers={"kid": key, **(header or {})},
        )

    def published(self) -> list[dict[str, Any]]:
        return [
            {
                **jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True),
                "kid": name,
                "use": "sig",
                "alg": "ES256",
            }
            for name, key in self.keys.items()
        ]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.down:
            raise httpx.ConnectError("down", request=request)
        match request.url.path:
            case "/tenant/.well-known/openid-configuration":
                return httpx.Response(200, json=self.metadata)
            case "/keys":
                return httpx.Response(200, json={"keys": self.published()})
        return httpx.Response(404)


class SteppedClock:
    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def now(self) -> datetime:
        return self._now

    def step(self, **by: float) -> None:
        self._now += timedelta(**by)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def signed_with_the_public_key(body: str, key: bytes) -> str:
    """What a verifier would accept that took the algorithm from the token."""
    head = urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    signature = hmac.digest(key, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


async def status(client: httpx.AsyncClient, token: str) -> int:
    return (await initialize(client, **bearer(token))).status_code


async def test_a_token_of_the_issuer_for_this_server_gets_in(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token()) == 200
        assert await status(client, issuer.token(aud=["https://other.example", RESOURCE])) == 200
        assert await status(client, issuer.token(scope=None, scp=["omi:use"])) == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 600},
        {"exp": None},
        {"nbf": int(time.time()) + 600},
        {"aud": "https://other.example/mcp"},
        {"aud": None},
        {"aud": "https://omi.example"},
        {"iss": "https://evil.example/"},
        {"iss": ISSUER.rstrip("/")},
        {"iss": None},
        {"sub": None},
    ],
    ids=[
        "expired",
        "endless",
        "not yet",
        "of another",
        "of none",
        "of a part",
        "by another",
        "almost",
        "by none",
        "none",
    ],
)
async def test_an_expired_or_foreign_token_is_refused(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, claims: dict[str, Any]
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token(**claims)) == 401


async def test_a_token_without_the_scope_is_told_which_one_is_missing(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        answer = await initialize(client, **bearer(issuer.token(scope="openid")))
        assert answer.status_code == 403
        assert "insufficient_scope" in answer.headers["www-authenticate"]
        assert "omi:use" in answer.headers["www-authenticate"]


async def test_a_token_of_another_person_is_refused_where_one_was_named(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    access = HttpAccess(oauth=OAuth(ISSUER, RESOURCE, subject="owner"))
    async with reached(sandbox, tmp_path, access, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token()) == 200
        assert await status(client, issuer.token(sub="somebody")) == 401


async def test_forged_signatures_are_refused(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    good = issuer.token()
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = ec.generate_private_key(ec.SECP256R1())
    public = issuer.keys["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = [
        jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "one"}),
        jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
        signed_with_the_public_key(body, pem),
        signed_with_the_public_key(body, json.dumps(issuer.published()[0]).encode()),
        f"{head}.{body}.",
        f"{head}.{body[:-2]}.{signature}",
        f"{head}.{body}",
        "not.a.token",
        "x",
    ]
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, good) == 200
        assert [await status(client, token) for token in forged] == [401] * len(forged)


async def test_keys_are_fetched_once_and_again_when_the_issuer_rotates_them(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    clock = SteppedClock()
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL, clock=clock) as client:
        for _ in range(3):
            assert await status(client, issuer.token()) == 200
        assert issuer.asked.count("https://issuer.example/keys") == 1
        withdrawn = issuer.token()
        issuer.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
        clock.step(seconds=31)
        assert await status(client, issuer.token(key="two")) == 200
        assert await status(client, withdrawn) == 401


async def test_tokens_with_invented_keys_do_not_make_the_server_flood_the_issuer(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        for number in range(20):
            assert await status(client, issuer.token(header={"kid": f"invented-{number}"})) == 401
        assert issuer.asked.count("https://issuer.example/keys") == 1


async def test_an_issuer_that_is_down_is_bridged_for_half_a_day_and_no_longer(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    clock = SteppedClock()
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL, clock=clock) as client:
        assert await status(client, issuer.token()) == 200
        issuer.down = True
        clock.step(hours=11)
        assert await status(client, issuer.token()) == 200
        clock.step(hours=2)
        assert await status(client, issuer.token()) == 401
        issuer.down = False
        clock.step(minutes=1)
        assert await status(client, issuer.token()) == 200


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example/", "jwks_uri": "https://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER},
    ],
)
async def test_metadata_that_is_not_the_issuers_own_is_not_used(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, metadata: dict[str, Any]
) -> None:
    issuer.metadata = metadata
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token()) == 401


async def test_a_host_without_a_token_is_told_where_to_get_one(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    """RFC 9728: the 401 names the metadata; that names resource, issuer and scope exactly as they were set."""
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        refused = await initialize(client)
        assert refused.status_code == 401
        url = "https://omi.example/.well-known/oauth-protected-resource/mcp"
        assert f'resource_metadata="{url}"' in refused.headers["www-authenticate"]
        metadata = (await client.get(url)).json()
        assert metadata["resource"] == RESOURCE
        assert metadata["authorization_servers"] == [ISSUER]
        assert metadata["scopes_supported"] == ["omi:use"]
        assert issuer.asked == []


async def test_the_hosts_token_is_never_passed_on_to_omi(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    sandbox.load([talk("harbour")])
    sent: list[str] = []
    through = sandbox.transport()

    class Watched(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(repr(request.headers.raw) + str(request.url))
            return await through.handle_async_request(request)

    search = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "search_conversations", "arguments": {"query": "winter"}},
    }
    token = issuer.token()
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, omi=Watched(), base_url=BASE_URL) as client:
        session = {"Mcp-Session-Id": (await initialize(client, **bearer(token))).headers["mcp-session-id"]}
        answer = await client.post("/mcp", json=search, headers={**bearer(token), **session})
        assert "harbour" in answer.text
    assert sent
    assert all(sandbox.key in request and token not in request for request in sent)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"OMI_MCP_OAUTH_ISSUER": ISSUER}, "OMI_MCP_OAUTH_AUDIENCE"),
        ({"OMI_MCP_OAUTH_SCOPE": "omi"}, "OMI_MCP_OAUTH_ISSUER"),
        ({"OMI_MCP_OAUTH_ISSUER": "http://issuer.example", "OMI_MCP_OAUTH_AUDIENCE": RESOURCE}, "OMI_MCP_OAUTH_ISSUER"),
        ({"OMI_MCP_OAUTH_ISSUER": ISSUER, "OMI_MCP_OAUTH_AUDIENCE": "omi"}, "OMI_MCP_OAUTH_AUDIENCE"),
        (
            {"OMI_MCP_OAUTH_ISSUER": "https://u:p@issuer.example", "OMI_MCP_OAUTH_AUDIENCE": RESOURCE},
            "OMI_MCP_OAUTH_ISSUER",
        ),
    ],
)
def test_half_a_setting_is_refused_with_what_is_missing(env: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        HttpAccess.from_env(env)


def test_a_placeholder_that_a_host_left_unfilled_counts_as_unset() -> None:
    assert (
        HttpAccess.from_env({"OMI_MCP_OAUTH_ISSUER": "${user_config.issuer}", "OMI_MCP_HTTP_TOKEN": " "})
        == HttpAccess()
    )
