"""What strangers send: floods, guesses, forged forms, hostile names, and addresses that lead inside."""

import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signin_kit import (
    INVITE,
    ON_ONE_MACHINE,
    PUBLIC,
    REDIRECT,
    Browser,
    MovedClock,
    TestHost,
    answer_to_host,
    connected,
    forms,
    leads_to,
    listed,
    on_the_web,
    rows,
)

from omi_mcp.database import Database
from omi_mcp.sandbox import Sandbox
from omi_mcp.signin.documents import Documents, Unusable, is_public
from omi_mcp.signin.hosts import LONGEST_NAME, place, shown
from omi_mcp.signin.site import in_file
from omi_mcp.signin.store import Code, Grant

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

PAGES = ["/", "/signin", "/connections", "/authorize?client_id=nobody"]
DOCUMENT = "https://host.example/client.json"


async def test_registrations_have_a_bound_and_go_after_a_day_but_not_those_people_signed_in_with(
    tmp_path: Path,
) -> None:
    store = in_file(Database(tmp_path / "hosts.sqlite3"), most_unused=20)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    account = store.keep_account(None, b"mark", "https://api.omi.me", "sealed", "UTC", now)
    grant = Grant("grant", account, "used", "Assistant", "assistant.example", ("read",), PUBLIC, now, None)
    store.add_host("used", "{}", None, now)
    store.add_grant(grant, b"code", Code(grant, "", REDIRECT, True, now + timedelta(minutes=5)), "{}", now)
    store.use_code(b"code", b"access", b"refresh", now)
    for number in range(100):
        store.add_host(f"host-{number}", "{}", None, now + timedelta(seconds=number))
    kept = [number for number in range(100) if store.host(f"host-{number}")]
    assert kept == list(range(80, 100))
    assert store.host("used")
    store.add_host("later", "{}", None, now + timedelta(days=1, minutes=5))
    assert not any(store.host(f"host-{number}") for number in range(100))
    assert store.host("used")
    store.close()


@ON_ONE_MACHINE
async def test_nobody_registers_at_speed_nor_at_length(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web, web.client("192.0.2.1") as flood, web.client("192.0.2.2") as other:
        statuses = []
        for _ in range(65):
            answer = await flood.post("/register", json={"redirect_uris": [REDIRECT]})
            statuses.append(answer.status_code)
        assert statuses == [201] * 60 + [429] * 5
        assert answer.headers["cache-control"] == "no-store"
        assert 0 < int(answer.headers["retry-after"]) <= 600
        assert (await other.post("/register", json={"redirect_uris": [REDIRECT]})).status_code == 201
        for much in ({"redirect_uris": [f"{REDIRECT}/{number}" for number in range(50)]}, {"redirect_uris": []}):
            assert (await other.post("/register", json=much)).status_code == 400


def document(**changes: Any) -> dict[str, Any]:
    given = {
        "client_id": DOCUMENT,
        "client_name": "Documented",
        "redirect_uris": [REDIRECT, "http://127.0.0.1/callback"],
    } | changes
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"token_endpoint_auth_method": "none"},
        # As ChatGPT describes itself.
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "jwks_uri": "https://host.example/jwks.json",
        },
    ],
)
async def test_a_host_with_a_document_needs_no_registration(
    sandbox: Sandbox, tmp_path: Path, changes: dict[str, Any]
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=document(**changes))

    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, documents=httpx.MockTransport(answer), clock=clock) as web:
        host = TestHost(web, DOCUMENT)
        page = await Browser(web).opened(host)
        assert "Documented" in page.text
        assert "host.example" in page.text
        made = await connected(web, sandbox.key, host=host)
        assert (await listed(web, made["access_token"])).status_code == 200
        local = TestHost(web, DOCUMENT, redirect="http://127.0.0.1:54321/callback")
        assert (await Browser(web).opened(local)).status_code == 200
        assert len(asked) <= len(web.machines), "it is kept for a while"
        request = asked[0]
        # Where it was checked that it may, and with the certificate of the name.
        assert (request.url.host, request.headers["host"]) == ("93.184.216.34", "host.example")
        assert request.extensions["sni_hostname"] == "host.example"
        fetched = len(asked)
        clock.ahead = timedelta(hours=2)
        documents_gone = await host.refreshed(made["refresh_token"])
        assert documents_gone.status_code == 200, "no document is fetched for what was granted"
        assert len(asked) == fetched


async def nothing(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was asked")


class Endless(httpx.AsyncByteStream):
    sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1_000
            yield b"x" * 1_000


async def slow(request: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["::1"],
        ["fd00::1"],
        ["::ffff:192.168.0.1"],
        ["64:ff9b::10.0.0.1"],
        ["2002:7f00:1::"],
        ["0.0.0.0"],
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        [],
    ],
)
async def test_no_document_is_fetched_from_inside(addresses: list[str]) -> None:
    async def resolve(name: str) -> list[str]:
        return addresses

    documents = Documents(MovedClock(), resolve=resolve, transport=httpx.MockTransport(nothing))
    with pytest.raises(Unusable, match="public"):
        await documents.host(DOCUMENT)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/client.json",
        "https://[::1]/client.json",
        "https://host.example:8443/client.json",
        "https://someone@host.example/client.json",
        "https://host.example/",
        "https://host.example",
        "https://host.example/a/../client.json",
        "https://host.example/client.json#part",
        "https://host.example/" + "x" * 3_000,
        "https://[host/client.json",
        "https://host.example\\@evil.example/client.json",
        "https://host.example/\u0661",
    ],
)
async def test_no_document_is_fetched_from_an_address_that_is_none(url: str) -> None:
    async def resolve(name: str) -> list[str]:
        return [name] if is_public(name) or name[0] in "1:" else ["93.184.216.34"]

    with pytest.raises(Unusable):
        await Documents(MovedClock(), resolve=resolve, transport=httpx.MockTransport(nothing)).host(url)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx.Response(302, headers={"location": "http://169.254.169.254/"}),
        lambda _: httpx.Response(200, text="{"),
        lambda _: httpx.Response(200, text="[" * 5_000),
        lambda _: httpx.Response(200, json=[]),
        lambda _: httpx.Response(200, json=document(client_id="https://other.example/client.json")),
        lambda _: httpx.Response(200, json=document(redirect_uris=["javascript:alert(1)"])),
        lambda _: httpx.Response(200, json=document(redirect_uris=None)),
        lambda _: httpx.Response(200, json=document(redirect_uris="all")),
        lambda _: httpx.Response(200, json=document(client_name={"a": 1})),
        lambda _: httpx.Response(200, json=document(token_endpoint_auth_method="client_secret_post")),
        lambda _: httpx.Response(200, json=document(token_endpoint_auth_method="private_key_jwt")),
        lambda _: httpx.Response(404),
        lambda _: httpx.Response(200, json=document(client_name="x" * 6_000)),
        lambda _: httpx.Response(200, stream=Endless()),
        lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, content=b"\x1f\x8b\x08"),
        slow,
    ],
)
async def test_a_document_that_is_none_is_not_asked_for_again_and_again(answer: Any) -> None:
    asked = []

    async def noted(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        response = answer(request)
        return response if isinstance(response, httpx.Response) else await response

    async def resolve(name: str) -> list[str]:
        return ["93.184.216.34"]

    clock = MovedClock()
    documents = Documents(clock, resolve=resolve, transport=httpx.MockTransport(noted), seconds=0.05)
    for _ in range(3):
        with pytest.raises(Unusable) as refused:
            await documents.host(DOCUMENT)
        assert len(str(refused.value)) < 80
    assert len(asked) == 1
    clock.ahead = timedelta(minutes=1)
    with pytest.raises(Unusable):
        await documents.host(DOCUMENT)
    assert len(asked) == 2


async def test_a_person_whose_host_has_no_usable_document_is_told_so(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path, addresses=("127.0.0.1",)) as web:
        page = await Browser(web).opened(TestHost(web, DOCUMENT))
        assert page.status_code == 400
        assert "host.example: its address is not a public one" in page.text


async def test_keys_are_not_guessed_at_speed(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock, invite=INVITE, open=False) as web:
        host = await TestHost.registered(web)
        thief, owner = Browser(web, address="2001:db8::1"), Browser(web)
        page = await thief.opened(host)
        said = set()
        for number in range(21):
            answer = await thief.sent(page, key=f"omi_dev_{number}", timezone="UTC", invite="guessed-it")
            said.add((answer.status_code, "too many attempts" in answer.text))
        assert said == {(422, False), (429, True)}
        assert 0 < int(answer.headers["retry-after"]) <= 600
        assert sandbox.requests == [], "a stranger without the invitation has no key tried"
        neighbour = Browser(web, address="2001:db8::2")
        page = await neighbour.opened(host)
        assert (await neighbour.sent(page, key=sandbox.key, timezone="UTC", invite=INVITE)).status_code == 429
        assert await owner.signed_in(host, sandbox.key, invite=INVITE)
        clock.ahead = timedelta(minutes=11)
        assert await thief.signed_in(host, sandbox.key, invite=INVITE)


async def test_who_asks_is_taken_from_a_header_only_where_a_proxy_writes_it(sandbox: Sandbox, tmp_path: Path) -> None:
    for header, blocked in ((None, False), ("X-Forwarded-For", True)):
        async with on_the_web(sandbox, tmp_path, address_header=header) as web:
            host = await TestHost.registered(web)
            proxied = Browser(web, address="127.0.0.1")
            page = await proxied.opened(host)
            for number in range(21):
                # What is before the proxy's own word came with the request.
                proxied.client.headers["X-Forwarded-For"] = f"198.51.100.{number}, 192.0.2.77"
                answer = await proxied.sent(page, key="omi_dev_guess", timezone="UTC")
            assert (answer.status_code == 429) is blocked
            proxied.client.headers["X-Forwarded-For"] = "192.0.2.78"
            assert await proxied.signed_in(host, sandbox.key)


async def test_a_wrong_key_is_answered_alike_whoever_it_was(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        await connected(web, sandbox.key, host=host)
        once = sandbox.issue_key()
        await connected(web, once, host=host, access="read")
        sandbox.revoke_key(once)
        browser = Browser(web)
        page = await browser.opened(host)
        pages = [(await browser.sent(page, key=key, timezone="UTC")).text for key in (once, "omi_dev_never", "x" * 40)]
        assert len(set(pages)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "\"'><form action=https://evil.example>",
        "{{ 7*7 }}{% raw %}",
        "Claude\u202e\u2066\u200b\u0000\ufeff",
        "x" * 10_000,
        "Z" + "\u0301" * 500,
        "\n\r\t ",
        "",
    ],
)
async def test_a_hosts_name_is_text_and_short(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web, client_name=name)
        browser = Browser(web)
        page = await browser.opened(host)
        plain = await browser.opened(await TestHost.registered(web))
        for shown_page, usual in ((page, plain), (await browser.sent(page, key=sandbox.key, timezone="UTC"), None)):
            assert shown_page.status_code == 200
            if usual is not None:
                # No name adds an element: the same tags as with a plain one.
                tags = [re.findall(r"<[a-z/]+", each.text) for each in (shown_page, usual)]
                assert tags[0] == tags[1]
            assert not set("\u202e\u2066\u200b\u0000\ufeff") & set(shown_page.text)
            assert "x" * 70 not in shown_page.text
            assert "\u0301" * 3 not in shown_page.text


@given(st.text())
async def test_whatever_a_name_is_it_is_shown_on_one_short_line(name: str) -> None:
    line = shown(name)
    assert len(line) <= LONGEST_NAME
    assert line.isprintable()


def test_the_end_of_a_name_on_the_web_is_always_shown() -> None:
    assert place("https://" + "claude.ai." * 20 + "evil.example/callback").endswith(".evil.example")


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_is_framed_kept_or_told_of(sandbox: Sandbox, tmp_path: Path, path: str) -> None:
    async with on_the_web(sandbox, tmp_path) as web, web.client() as client:
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        for cookie in headers.get_list("set-cookie"):
            assert cookie.startswith("__Host-")
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(cookie.lower().split("; "))


FORGED: list[dict[str, Any]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"site": "cross-site"},
    {"site": "same-site"},
    {"token": ""},
    {"token": "0" * 64},
    {"token": "another browser's"},
    {"cookie": False},
]


async def test_a_form_is_taken_from_our_own_page_in_the_same_browser_only(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        browser = Browser(web)
        inside = await browser.connections(sandbox.key)
        page = await browser.opened(host)
        other = forms(await Browser(web).opened(host))[0][1]["form_token"]
        filled = [forms(page)[0], *forms(inside)]
        assert len(filled) == 6
        for forged in FORGED:
            headers = {"Origin": forged.get("origin", PUBLIC), "Sec-Fetch-Site": forged.get("site", "same-origin")}
            client = browser.client if forged.get("cookie", True) else web.client()
            for action, hidden in filled:
                form = hidden | {"key": sandbox.key, "timezone": "Europe/Paris", "sure": "yes"}
                if (token := forged.get("token")) is not None:
                    form["form_token"] = other if token.startswith("another") else token
                answer = await client.post(action, data=form, headers=headers, follow_redirects=False)
                assert answer.status_code == 403, (forged, hidden)
                assert "callback" not in answer.text
        assert (await listed(web, made["access_token"])).status_code == 200
        assert len(forms(await browser.client.get("/connections"))) == 5


@pytest.mark.parametrize("origin", ["https://inspector.example", "http://localhost:6274"])
async def test_hosts_that_run_in_a_browser_reach_what_they_need_and_no_page(
    sandbox: Sandbox, tmp_path: Path, origin: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web, web.client(headers={"Origin": origin}) as page:
        for method, path in (
            ("GET", "/.well-known/oauth-authorization-server"),
            ("POST", "/register"),
            ("POST", "/token"),
            ("POST", "/revoke"),
        ):
            answer = await page.request(method, path, json={"redirect_uris": [REDIRECT]})
            assert answer.status_code != 403
            assert answer.headers["access-control-allow-origin"] == "*"
            asked = await page.options(path, headers={"Access-Control-Request-Method": method})
            assert asked.status_code == 200
        for method, path in (("POST", "/signin"), ("POST", "/connections"), ("GET", "/connections"), ("POST", "/mcp")):
            answer = await page.request(method, path)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/signin", "/connections", "/register", "/token", "/revoke"])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_read(
    sandbox: Sandbox, tmp_path: Path, path: str, declared: bool
) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1_600):
            read += 65_536
            yield b"x" * 65_536

    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": PUBLIC}
    if declared:
        headers["Content-Length"] = str(1_600 * 65_536)
    async with on_the_web(sandbox, tmp_path) as web, web.client() as client:
        answer = await client.post(path, content=body(), headers=headers)
        assert answer.status_code == 413
        assert read < 1_000_000


@pytest.mark.parametrize("host_id", ["known", "https://[", "\0", "x" * 5_000, ""])
async def test_no_request_is_an_error_of_ours(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, host_id: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web, web.client() as client:
        host = await TestHost.registered(web)
        odd = {"client_id": host.id if host_id == "known" else host_id, "redirect_uri": "https://[", "state": "\0\xff"}
        query = urlencode(host.request() | odd)
        garbled = {"Content-Type": "multipart/form-data; boundary=x", "Origin": PUBLIC, "Authorization": "Basic !"}
        for method in ("GET", "HEAD", "POST", "PUT"):
            for path in (*PAGES, "/token", "/register", "/revoke"):
                for sent in ({"data": host.request() | odd}, {"content": b"--x\r\n\xff", "headers": garbled}):
                    whole = f"/authorize?{query}" if path.startswith("/authorize") else path
                    kept = {name: value for name, value in sent.items() if name == "headers" or method != "GET"}
                    answer = await client.request(method, whole, **kept)  # type: ignore[arg-type]
                    assert answer.status_code < 500, (method, path)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_page_that_was_open_for_too_long_or_made_up_leads_nowhere(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host = await TestHost.registered(web)
        browser = Browser(web)
        page = await browser.opened(host)
        _, hidden = forms(page)[0]
        for request in ("", "made-up", hidden["request"][:-8] + "AAAAAAA="):
            answer = await browser.sent(page, key=sandbox.key, timezone="UTC", request=request)
            assert answer.status_code == 400
            assert (await browser.client.get("/signin", params={"request": request})).status_code == 400
        await connected(web, sandbox.key, host=host)
        # A cookie of the connections is sealed as well, and is no request.
        await browser.connections(sandbox.key)
        session = browser.client.cookies["__Host-omi-session"]
        assert (await browser.client.get("/signin", params={"request": session})).status_code == 400
        clock.ahead = timedelta(minutes=31)
        assert (await browser.sent(page, key=sandbox.key, timezone="UTC")).status_code == 400
        assert "End" not in (await browser.client.get("/connections")).text


async def test_nothing_secret_is_logged_or_lies_open_in_the_file(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept_in: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with on_the_web(sandbox, tmp_path, invite=INVITE, open=False) as web:
        host = await TestHost.registered(web, token_endpoint_auth_method="client_secret_post")
        browser = Browser(web)
        page = await browser.opened(host)
        await browser.sent(page, key="omi_dev_mistyped", timezone="UTC", invite=INVITE)
        left = await browser.sent(page, key=sandbox.key, timezone="UTC", invite=INVITE, access="write")
        code = answer_to_host(left)["code"]
        first = (await host.tokens(code)).json()
        second = (await host.refreshed(first["refresh_token"])).json()
        await listed(web, second["access_token"])
        await browser.connections(sandbox.key)
        assert sandbox.key not in left.text + page.text
        secrets = [sandbox.key, "omi_dev_mistyped", INVITE, code, host.secret, host.verifier]
        secrets += [made[name] for made in (first, second) for name in ("access_token", "refresh_token")]
        logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("sign-in*"))
        if kept_in == "postgresql":
            tables = ("hosts", "accounts", "grants", "codes", "tokens")
            kept = "\n".join(str(row) for table in tables for row in rows(web, f"select * from {table}")).encode()
        assert len(kept) > 2_000
        for secret in secrets:
            assert secret
            assert secret not in logged
            assert secret.encode() not in kept
        assert "state-of-the-host" in leads_to(left)
