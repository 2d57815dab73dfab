"""Access tokens over HTTP: an issuer made here, good tokens, and every way in which one can be wrong."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hosting import talk
from http_kit import bearer, initialize, reached

from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import HttpAccess, OAuth, SettingsError

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example/tenant/"
RESOURCE = "https://omi.example/mcp"
BASE_URL = "https://omi.example"
SET = {"OMI_MCP_OAUTH_ISSUER": ISSUER, "OMI_MCP_OAUTH_AUDIENCE": RESOURCE}
OWNER = frozenset({"owner"})
OAUTH = HttpAccess(oauth=OAuth(ISSUER, RESOURCE, OWNER, scope="omi:use"))


class Issuer:
    """An authorization server as far as a resource server sees it: metadata, keys, and tokens signed with them."""

    def __init__(self) -> None:
        self.keys = {"one": ec.generate_private_key(ec.SECP256R1())}
        self.metadata: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": "https://issuer.example/keys"}
        self.odd: list[Any] = []
        self.weak: dict[str, rsa.RSAPrivateKey] = {}
        self.asked: list[str] = []
        self.down = False
        self.answering = anyio.Event()
        self.answering.set()
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
            (self.keys | self.weak)[key],
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
        ] + [
            {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": "RS256"}
            for name, key in self.weak.items()
        ]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        await self.answering.wait()
        if self.down:
            raise httpx.ConnectError("down", request=request)
        match request.url.path:
            case "/tenant/.well-known/openid-configuration":
                return httpx.Response(200, json=self.metadata)
            case "/keys":
                return httpx.Response(200, json={"keys": [*self.odd, *self.published()]})
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
    access = HttpAccess(oauth=OAuth(ISSUER, RESOURCE, OWNER))
    async with reached(sandbox, tmp_path, access, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token()) == 200
        assert await status(client, issuer.token(sub="somebody")) == 401


async def test_several_persons_or_everyone_get_in_only_where_that_was_set(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    for subjects, somebody in (("owner, partner|7", 401), ("*", 200)):
        access = HttpAccess.from_env({**SET, "OMI_MCP_OAUTH_SUBJECT": subjects})
        async with reached(sandbox, tmp_path, access, issuer=issuer.transport, base_url=BASE_URL) as client:
            assert [await status(client, issuer.token(sub=sub)) for sub in ("owner", "partner|7")] == [200, 200]
            assert await status(client, issuer.token(sub="somebody")) == somebody


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


async def test_good_tokens_never_wait_for_the_issuer(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    """Neither for a stranger's token with an invented key, nor when the keys are due to be fetched anew."""
    clock = SteppedClock()
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL, clock=clock) as client:
        assert await status(client, issuer.token()) == 200
        refused: list[int] = []

        async def stranger() -> None:
            refused.append(await status(client, issuer.token(header={"kid": "invented"})))

        for pause in (31, 3600):
            clock.step(seconds=pause)
            issuer.answering = anyio.Event()
            fetches = len(issuer.asked)
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stranger)
                    while len(issuer.asked) == fetches:
                        await anyio.lowlevel.checkpoint()
                    assert [await status(client, issuer.token()) for _ in range(3)] == [200] * 3
                    assert len(refused) == (pause > 31)
                    issuer.answering.set()
        assert refused == [401, 401]


async def test_a_host_that_hangs_up_does_not_stop_the_fetch_that_others_wait_for(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        issuer.answering = anyio.Event()
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await status(client, issuer.token()))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as patient:
                async with anyio.create_task_group() as hanging_up:
                    hanging_up.start_soon(ask)
                    while not issuer.asked:
                        await anyio.lowlevel.checkpoint()
                    patient.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    hanging_up.cancel_scope.cancel()
                issuer.answering.set()
        assert answers == [200]


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


@pytest.mark.parametrize(
    "claims", [{"scope": 7}, {"scope": ["omi:use", 7]}, {"scope": {"omi:use": 1}}, {"scope": True}]
)
async def test_a_scope_claim_that_is_no_text_grants_nothing_and_breaks_nothing(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, claims: dict[str, Any]
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token(**claims)) == (200 if isinstance(claims["scope"], list) else 403)


@pytest.mark.parametrize(
    "claims", [{"exp": float("inf")}, {"exp": []}, {"sub": 7}, {"aud": 7}, {"iss": []}, {"iat": {}}]
)
async def test_a_claim_of_a_wrong_type_is_refused(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, claims: dict[str, Any]
) -> None:
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        claims = jwt.decode(issuer.token(), options={"verify_signature": False}) | claims
        token = jwt.PyJWS().encode(json.dumps(claims).encode(), issuer.keys["one"], "ES256", headers={"kid": "one"})
        assert await status(client, token) == 401


async def test_a_token_nested_too_deep_is_refused(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    deep = urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, f"{deep}.{deep}.x") == 401


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")  # said where the test signs
async def test_rsa_keys_that_are_too_short_are_not_used(sandbox: Sandbox, tmp_path: Path, issuer: Issuer) -> None:
    issuer.weak = {"short": rsa.generate_private_key(65537, 1024), "long": rsa.generate_private_key(65537, 2048)}
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token(key="short", algorithm="RS256")) == 401
        assert await status(client, issuer.token(key="long", algorithm="RS256")) == 200


async def test_keys_nobody_understands_do_not_spoil_the_others(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    issuer.odd = [7, {}, {"kty": "RSA", "n": 5, "e": "AQAB"}, {"kty": "new"}, {"kty": "EC", "crv": "P-256", "x": "?"}]
    async with reached(sandbox, tmp_path, OAUTH, issuer=issuer.transport, base_url=BASE_URL) as client:
        assert await status(client, issuer.token()) == 200


TWO_SCOPES = HttpAccess(oauth=OAuth(ISSUER, RESOURCE, OWNER, scope="omi:use", read_scope="omi:read"))
WRITING = {"create_from_text", "create_from_segments", "update_title", "discard"}
ERAS = ("2025-11-25", "2026-07-28")


async def asked(client: httpx.AsyncClient, era: str, token: str, method: str, session: str = "", **params: Any) -> Any:
    """The result of one MCP request with `token`, as the era does it; in the `session` of another token if given."""
    headers = {**bearer(token), "MCP-Protocol-Version": era, "Mcp-Method": method}
    if era == ERAS[0]:
        headers["Mcp-Session-Id"] = session or (await initialize(client, **bearer(token))).headers["mcp-session-id"]
    else:
        prefix = "io.modelcontextprotocol"
        params["_meta"] = {f"{prefix}/protocolVersion": era, f"{prefix}/clientCapabilities": {}}
        headers |= {"Mcp-Name": params["name"]} if "name" in params else {}
    message = {"jsonrpc": "2.0", "id": 2, "method": method, "params": params}
    answer = await client.post("/mcp", json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    data = next((line[6:] for line in answer.text.splitlines() if line.startswith("data: {")), answer.text)
    return json.loads(data)["result"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_for_reading_sees_and_calls_no_tool_that_writes(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, era: str
) -> None:
    reading, writing = issuer.token(scope="openid omi:read"), issuer.token(scope="omi:use")
    create = {"name": "create_from_text", "arguments": {"text": "The harbour opens in May."}}
    async with reached(sandbox, tmp_path, TWO_SCOPES, issuer=issuer.transport, base_url=BASE_URL) as client:
        # The session is the writing token's, and of the same person and host: what counts is the request's token.
        session = (await initialize(client, **bearer(writing))).headers["mcp-session-id"]
        for shared in ("", session):
            listed = {
                token: {tool["name"] for tool in (await asked(client, era, token, "tools/list", shared))["tools"]}
                for token in (reading, writing)
            }
            assert listed[writing] - listed[reading] == WRITING
            assert "search_conversations" in listed[reading]
            refused = await asked(client, era, reading, "tools/call", shared, **create)
            assert refused["isError"]
            assert "nothing was done" in refused["content"][0]["text"]
            assert not [request for request in sandbox.requests if request.method != "GET"]
            search = {"name": "search_conversations", "arguments": {"query": "harbour"}}
            assert not (await asked(client, era, reading, "tools/call", shared, **search)).get("isError")
        assert not (await asked(client, era, writing, "tools/call", session, **create)).get("isError")
        assert await status(client, issuer.token(scope="openid")) == 403


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_for_reading_is_not_told_how_to_write(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer, era: str
) -> None:
    async with reached(sandbox, tmp_path, TWO_SCOPES, issuer=issuer.transport, base_url=BASE_URL) as client:
        told = {}
        for scope in ("omi:read", "omi:use"):
            token = issuer.token(scope=scope)
            if era == ERAS[0]:
                told[scope] = (await initialize(client, **bearer(token))).text
            else:
                told[scope] = str(await asked(client, era, token, "server/discover"))
        assert "read-only" in told["omi:read"]
        assert "read-only" not in told["omi:use"]


async def test_the_challenge_and_the_metadata_name_both_scopes(
    sandbox: Sandbox, tmp_path: Path, issuer: Issuer
) -> None:
    async with reached(sandbox, tmp_path, TWO_SCOPES, issuer=issuer.transport, base_url=BASE_URL) as client:
        for answer in (await initialize(client), await initialize(client, **bearer(issuer.token(scope="openid")))):
            assert answer.headers["www-authenticate"].endswith(', scope="omi:use omi:read"')
        metadata = (await client.get("/.well-known/oauth-protected-resource/mcp")).json()
        assert metadata["scopes_supported"] == ["omi:use", "omi:read"]


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
        assert refused.headers["www-authenticate"].endswith(', scope="omi:use"')
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
        "params": {"name": "search_conversations", "arguments": {}},
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
        ({"OMI_MCP_OAUTH_READ_SCOPE": "omi"}, "OMI_MCP_OAUTH_ISSUER"),
        (SET, "OMI_MCP_OAUTH_SUBJECT"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": " , "}, "OMI_MCP_OAUTH_SUBJECT"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": "owner,*"}, "OMI_MCP_OAUTH_SUBJECT"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": "owner", "OMI_MCP_OAUTH_READ_SCOPE": "r"}, "OMI_MCP_OAUTH_SCOPE"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": "owner", "OMI_MCP_OAUTH_SCOPE": "a b"}, "OMI_MCP_OAUTH_SCOPE"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": "owner", "OMI_MCP_OAUTH_SCOPE": 'a"b'}, "OMI_MCP_OAUTH_SCOPE"),
        ({**SET, "OMI_MCP_OAUTH_SUBJECT": "owner", "OMI_MCP_HTTP_TOKEN": "x" * 40}, "OMI_MCP_HTTP_TOKEN"),
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
