"""`omi-mcp doctor --url`: the real app behind proxies that break it, each told by name and with what to do."""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from http_kit import TOKEN, listening, running

from omi_mcp.commands.doctor.findings import Finding
from omi_mcp.commands.doctor.outside import examine
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import HttpAccess, OAuth, Settings, SignInSettings
from omi_mcp.transports import http
from omi_mcp.transports.hosted import hosted

pytestmark = pytest.mark.anyio

ORIGIN = "https://omi.example.com"
URL = f"{ORIGIN}/mcp"
ISSUER = "https://login.example.com/tenant"
FIXED = HttpAccess(token=TOKEN, hosts=("omi.example.com",))
SIGN_IN = HttpAccess(sign_in=SignInSettings(public_url=ORIGIN, open=True))
FOREIGN = HttpAccess(oauth=OAuth(ISSUER, URL, frozenset({"owner"}), scope="omi"))

Change = Callable[[httpx.Request], httpx.Response | None]
Answered = Callable[[httpx.Request, httpx.Response], httpx.Response]


class Proxy(httpx.AsyncBaseTransport):
    """Stands before the app: may change a request or answer it, and change an answer. The issuer is behind it too."""

    def __init__(
        self, through: httpx.AsyncBaseTransport, request: Change | None = None, answer: Answered | None = None
    ) -> None:
        self._through = through
        self._request = request or (lambda _: None)
        self._answer = answer or (lambda _, response: response)
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if request.url.host == "login.example.com":
            return issuer(request)
        if request.url.scheme == "http" and request.url.host == "omi.example.com":
            raise httpx.ConnectError("closed", request=request)
        if (answered := self._request(request)) is not None:
            return answered
        response = await self._through.handle_async_request(request)
        await response.aread()
        return self._answer(request, response)


METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["S256"],
}


def issuer(request: httpx.Request) -> httpx.Response:
    if str(request.url) == "https://login.example.com/.well-known/openid-configuration/tenant":
        return httpx.Response(200, json=METADATA)
    return httpx.Response(404)


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these tests have a proxy that hands on whole answers only."""
    monkeypatch.setattr(http, "PART_SECONDS", 0.05)


@asynccontextmanager
async def served(tmp_path: Path, access: HttpAccess) -> AsyncIterator[httpx.AsyncBaseTransport]:
    sandbox = Sandbox()
    if access.sign_in is None:
        async with running(sandbox, tmp_path, access) as app:
            yield httpx.ASGITransport(app)
    else:
        settings = Settings(timezone=ZoneInfo("UTC"), data_dir=tmp_path, base_url=sandbox.base_url)
        opened = hosted(settings, access, "127.0.0.1", 8765, transport=sandbox.transport())
        async with opened.app.router.lifespan_context(opened.app):
            yield httpx.ASGITransport(opened.app)
        opened.sign_in.close()
    sandbox.close()


async def seen(transport: httpx.AsyncBaseTransport, url: str = ORIGIN) -> dict[str, Finding]:
    found = [finding async for finding in examine(url, transport=transport)]
    assert all(finding.remedy for finding in found if finding.level != "ok")
    return {finding.check: finding for finding in found}


def problems(found: dict[str, Finding]) -> list[str]:
    return [check for check, finding in found.items() if finding.level == "problem"]


async def test_a_server_to_sign_in_at_is_gone_through_up_to_the_page(tmp_path: Path) -> None:
    async with served(tmp_path, SIGN_IN) as server:
        proxy = Proxy(server)
        found = await seen(proxy)
    assert problems(found) == []
    assert [found[check].level for check in ("registration", "page", "redirects", "token endpoint")] == ["ok"] * 4
    registered = [json.loads(request.content) for request in proxy.sent if request.url.path == "/register"]
    assert {host["token_endpoint_auth_method"] for host in registered} == {
        "none",
        "client_secret_post",
        "client_secret_basic",
    }
    assert {uri for host in registered for uri in host["redirect_uris"]} == {"https://doctor.invalid/callback"}


async def test_of_a_fixed_token_it_says_which_hosts_can_connect(tmp_path: Path) -> None:
    async with served(tmp_path, FIXED) as server:
        found = await seen(server)
    assert problems(found) == []
    assert "ChatGPT and Claude on the web cannot" in found["challenge"].found
    assert found["long requests"].level == "ok"


async def test_at_a_foreign_issuer_nothing_is_registered_or_opened(tmp_path: Path) -> None:
    async with served(tmp_path, FOREIGN) as server:
        proxy = Proxy(server)
        found = await seen(proxy)
    assert problems(found) == []
    assert "lets no host register" in found["authorization server"].found
    assert ISSUER in found["sign-in"].found
    assert {request.method for request in proxy.sent if request.url.host == "login.example.com"} == {"GET"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": f"{ISSUER}/"}, "calls itself"),
        ({"token_endpoint": "http://login.example.com/token"}, "token_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "S256"),
    ],
)
async def test_what_keeps_hosts_from_a_foreign_issuer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
) -> None:
    for name, value in change.items():
        monkeypatch.setitem(METADATA, name, value)
    async with served(tmp_path, FOREIGN) as server:
        found = await seen(Proxy(server))
    assert problems(found) == ["authorization server"]
    assert said in found["authorization server"].found


def unreachable(cause: Exception | None) -> Change:
    def change(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("no", request=request) from cause

    return change


def wrong_certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "no")
    error.verify_message = "certificate has expired"
    return error


def renamed(request: httpx.Request) -> None:
    request.headers["host"] = "127.0.0.1:9000"


def without(header: str) -> Answered:
    def answer(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        response.headers.pop(header, None)
        return response

    return answer


def always(status: int, **headers: str) -> Change:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, headers=named, request=request)


def only(path: str, answer: httpx.Response) -> Change:
    return lambda request: answer if request.url.path == path else None


def limited(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(413, text="<html>") if len(request.content) > 100_000 else None


def rewritten(path: str, **changes: object) -> Answered:
    def answer(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.url.path != path:
            return response
        return httpx.Response(response.status_code, json=json.loads(response.content) | changes)

    return answer


def warned(request: httpx.Request) -> httpx.Response | None:
    """Some tunnels show people a page of their own first."""
    if "Mozilla" not in request.headers["user-agent"]:
        return None
    return httpx.Response(200, html="<h1>You are about to visit</h1><form></form>")


def origin_changed(request: httpx.Request) -> None:
    if "origin" in request.headers:
        request.headers["origin"] = "http://10.0.0.7"


AS = "/.well-known/oauth-authorization-server"

BROKEN_SIGN_IN: dict[str, tuple[Change | None, Answered | None, str, str]] = {
    "no metadata of the resource": (
        only("/.well-known/oauth-protected-resource/mcp", httpx.Response(404)),
        None,
        "resource",
        "status 404",
    ),
    "another resource": (
        None,
        rewritten("/.well-known/oauth-protected-resource/mcp", resource=f"{ORIGIN}/"),
        "resource",
        "calls itself https://omi.example.com/;",
    ),
    "no metadata of the server": (only(AS, httpx.Response(404)), None, "authorization server", "no metadata"),
    "another issuer": (None, rewritten(AS, issuer=f"{ORIGIN}/"), "authorization server", "calls itself"),
    "http behind https": (
        None,
        rewritten(AS, token_endpoint="http://omi.example.com/token"),
        "authorization server",
        "token_endpoint",
    ),
    "an endpoint elsewhere": (
        None,
        rewritten(AS, authorization_endpoint="https://127.0.0.1:8765/authorize"),
        "authorization server",
        "not at https://omi.example.com",
    ),
    "no S256": (None, rewritten(AS, code_challenge_methods_supported=[]), "authorization server", "S256"),
    "secrets only": (
        None,
        rewritten(AS, token_endpoint_auth_methods_supported=["client_secret_post"]),
        "authorization server",
        "none, client_secret_basic",
    ),
    "no documents": (
        None,
        rewritten(AS, client_id_metadata_document_supported=False),
        "authorization server",
        "make themselves known",
    ),
    "a page of the tunnel's": (warned, None, "page", "another page"),
    "a page without its policy": (None, without("content-security-policy"), "page", "frame-ancestors"),
    "a page in a cache": (None, without("cache-control"), "page", "no-store"),
    "no cookies": (None, without("set-cookie"), "page", "form is refused"),
    "another Origin": (origin_changed, None, "page", "form is refused"),
    "a door to everywhere": (
        lambda request: (
            httpx.Response(302, headers={"location": request.url.params["redirect_uri"]})
            if "elsewhere" in str(request.url)
            else None
        ),
        None,
        "redirects",
        "no host registered",
    ),
    "no forms": (only("/token", httpx.Response(405, html="no")), None, "token endpoint", "status 405"),
}


@pytest.mark.parametrize("what", BROKEN_SIGN_IN)
async def test_what_keeps_people_from_signing_in_is_told_by_name(tmp_path: Path, what: str) -> None:
    request, answer, check, said = BROKEN_SIGN_IN[what]
    async with served(tmp_path, SIGN_IN) as server:
        found = await seen(Proxy(server, request, answer))
    assert check in problems(found)
    assert said in found[check].found


async def test_each_address_that_hosts_connect_to_can_be_looked_at(tmp_path: Path) -> None:
    async with served(tmp_path, SIGN_IN) as server:
        found = await seen(Proxy(server), f"{URL}/search-fetch")
    assert problems(found) == []
    assert f"{URL}/search-fetch" in found["resource"].found


async def test_a_server_started_for_another_address_is_told(tmp_path: Path) -> None:
    elsewhere = SignInSettings(public_url="https://other.example.com", open=True)
    async with served(tmp_path, HttpAccess(sign_in=elsewhere, hosts=("omi.example.com",))) as server:
        found = await seen(Proxy(server))
    assert problems(found) == ["challenge"]
    assert "https://other.example.com" in found["challenge"].found
    assert f"--public-url {ORIGIN}" in (found["challenge"].remedy or "")


async def test_a_public_address_of_this_computer_with_tls_takes_its_own_form(tmp_path: Path) -> None:
    own = "https://localhost:8443"
    async with served(tmp_path, HttpAccess(sign_in=SignInSettings(public_url=own))) as server:
        found = await seen(Proxy(server), own)
    assert problems(found) == []
    assert "takes its form" in found["page"].found


async def test_registrations_that_are_refused_for_now_are_no_problem(tmp_path: Path) -> None:
    async with served(tmp_path, SIGN_IN) as server:
        found = await seen(Proxy(server, only("/register", httpx.Response(429, headers={"retry-after": "77"}))))
    assert problems(found) == []
    assert "in 77 s" in (found["registration"].remedy or "")


BROKEN: dict[str, tuple[Change | None, Answered | None, str, str]] = {
    "no such name": (unreachable(socket.gaierror(-2, "no")), None, "server", "not known"),
    "an old certificate": (unreachable(wrong_certificate()), None, "server", "certificate has expired"),
    "no TLS": (unreachable(ssl.SSLError(1, "wrong version number")), None, "server", "no TLS is spoken"),
    "nothing there": (unreachable(None), None, "server", "cannot be reached"),
    "another Host": (renamed, None, "server", "changes Host"),
    "no server behind": (always(502), None, "server", "does not reach the server"),
    "another sign-in first": (always(302, location="https://sso.example/login"), None, "server", "sign-in of its own"),
    "bot protection": (always(403, cf_mitigated="challenge"), None, "server", "whether a person is there"),
    "another site": (always(200, content_type="text/html"), None, "server", "not this server's answer"),
    "slashes": (
        only("/mcp/", httpx.Response(308, headers={"location": "/mcp"})),
        None,
        "challenge",
        "lose what they send",
    ),
    "out of https": (
        only("/mcp/", httpx.Response(307, headers={"location": "http://omi.example.com/mcp"})),
        None,
        "challenge",
        "out of https",
    ),
    "a token of its own": (only("/mcp", httpx.Response(200, json={})), None, "challenge", "without a token"),
    "no challenge": (None, without("www-authenticate"), "challenge", "WWW-Authenticate"),
    "short requests only": (limited, None, "long requests", "too many"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_stands_in_between_is_told_by_name(tmp_path: Path, what: str) -> None:
    request, answer, check, said = BROKEN[what]
    async with served(tmp_path, FOREIGN) as server:
        found = await seen(Proxy(server, request, answer))
    assert problems(found) == [check]
    assert said in found[check].found


@pytest.mark.parametrize("url", ["", "https://", "http://omi.example.com", "https://a:b@omi.example.com", "https://[:"])
async def test_what_is_no_address_of_a_hosted_server_is_not_asked(url: str) -> None:
    proxy = Proxy(httpx.MockTransport(lambda _: httpx.Response(200)))
    assert problems(await seen(proxy, url)) == ["address"]
    assert proxy.sent == []


@pytest.mark.parametrize("url", [f"{ORIGIN}/", "omi.example.com", f"{URL}/", "HTTPS://Omi.Example.COM:443/mcp"])
async def test_an_address_may_be_written_in_many_ways(tmp_path: Path, url: str) -> None:
    async with served(tmp_path, FOREIGN) as server:
        assert problems(await seen(Proxy(server), url)) == []


async def test_a_proxy_that_holds_back_streams_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    sandbox = Sandbox()
    async with running(sandbox, tmp_path, FIXED) as app:
        held = await seen(httpx.ASGITransport(app))  # it hands on whole answers only
        async with listening(app, http.Connection) as port:
            found = await seen(Renamed(httpx.AsyncHTTPTransport(), port))
    sandbox.close()
    assert (held["streaming"].level, "holds answers back" in held["streaming"].found) == ("note", True)
    assert found["streaming"].level == "ok"


class Renamed(httpx.AsyncBaseTransport):
    """Takes requests for the public name to a port of this computer, as a proxy with TLS does."""

    def __init__(self, through: httpx.AsyncBaseTransport, port: int) -> None:
        self._through = through
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return await self._through.handle_async_request(request)

    async def aclose(self) -> None:
        await self._through.aclose()


async def test_no_secret_is_sent(tmp_path: Path) -> None:
    async with served(tmp_path, FIXED) as server:
        proxy = Proxy(server)
        await seen(proxy)
    assert not [request for request in proxy.sent if "authorization" in request.headers or "cookie" in request.headers]
    assert TOKEN not in json.dumps([str(request.url) for request in proxy.sent])
