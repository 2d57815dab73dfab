"""What hosts hold: whom a code and a token serve, for how long, and what ends when one turns up twice."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from signin_kit import PUBLIC, Browser, MovedClock, Statements, TestHost, called, connected, listed, on_the_web, rows

from omi_mcp.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example/callback",
        "https://assistant.example/callback/",
        "https://assistant.example/callback?more=1",
        "https://assistant.example/callback#part",
        "https://assistant.example.evil.example/callback",
        "https://someone@assistant.example/callback",
        "https://assistant.example:8443/callback",
        "http://assistant.example/callback",
        "http://127.0.0.1:4000/callback",
        "javascript:alert(1)",
    ],
)
async def test_nobody_is_sent_to_another_redirect_than_the_hosts(
    sandbox: Sandbox, tmp_path: Path, redirect: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        page = await Browser(web).opened(await TestHost.registered(web), redirect_uri=redirect)
        assert page.status_code == 400
        assert not page.history
        assert "Nothing was given to it" in page.text


async def test_a_host_on_the_computer_itself_may_listen_at_any_port(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web, redirect_uris=["http://127.0.0.1:1234/callback", "cursor://omi/callback"])
        for redirect, status in (
            ("http://127.0.0.1:60001/callback", 200),
            ("http://localhost:1234/callback", 400),
            ("http://127.0.0.1:60001/other", 400),
            ("cursor://omi/callback", 200),
            ("cursor://omi:80/callback", 400),
        ):
            assert (await Browser(web).opened(host, redirect_uri=redirect)).status_code == status, redirect


@pytest.mark.parametrize(
    "uri",
    [
        "http://evil.example/callback",
        "javascript:alert(1)//",
        "data:text/html,hello",
        "https://someone:secret@assistant.example/callback",
        "https://assistant.example/callback#part",
        "https://assistant.example/" + "x" * 3_000,
        "file:///etc/passwd",
    ],
)
async def test_no_host_registers_a_redirect_that_is_not_its_own(sandbox: Sandbox, tmp_path: Path, uri: str) -> None:
    async with on_the_web(sandbox, tmp_path) as web, web.client() as client:
        answer = await client.post("/register", json={"redirect_uris": [uri]})
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_redirect_uri"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"state": "x" * 5_000}, "invalid_request"),
    ],
)
async def test_a_request_that_may_not_be_is_answered_to_the_host(
    sandbox: Sandbox, tmp_path: Path, changes: dict[str, str | None], error: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        async with web.client() as client:
            answer = await client.get("/authorize", params=host.request(**changes))
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(host.redirect)
        said = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert (said["error"], said["iss"]) == (error, PUBLIC)


async def test_a_code_serves_its_own_host_with_its_own_verifier_and_redirect(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host = await TestHost.registered(web, token_endpoint_auth_method="client_secret_post")
        other = await TestHost.registered(web)
        code = await Browser(web).signed_in(host, sandbox.key)
        for asked in (
            other.tokens(code, code_verifier=host.verifier),
            host.tokens(code, code_verifier="x" * 50),
            host.tokens(code, code_verifier=None),
            host.tokens(code, redirect_uri="https://evil.example/callback"),
            host.tokens(code, redirect_uri=None),
            host.tokens(code, resource="https://other.example/mcp"),
            host.tokens(code, client_secret="made-up"),
            host.tokens(code, client_id=other.id),
            host.tokens("made-up"),
        ):
            answer = await asked
            assert answer.status_code in (400, 401), answer.text
            assert "access_token" not in answer.text
        clock.ahead = timedelta(minutes=6)
        assert (await host.tokens(code)).json()["error"] == "invalid_grant"
        clock.ahead = timedelta(0)
        assert (await host.tokens(code)).status_code == 200


async def test_a_code_that_is_used_again_ends_what_came_of_it(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        code = await Browser(web).signed_in(host, sandbox.key)
        made = (await host.tokens(code)).json()
        assert (await listed(web, made["access_token"])).status_code == 200
        assert (await host.tokens(code)).json()["error"] == "invalid_grant"
        assert (await listed(web, made["access_token"])).status_code == 401
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_code_that_two_ask_for_at_once_is_given_to_neither_for_long(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        code = await Browser(web).signed_in(host, sandbox.key)
        answers = []

        async def ask() -> None:
            answers.append(await host.tokens(code))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert sorted(answer.status_code for answer in answers) == [200, 400]
        (made,) = (answer.json() for answer in answers if answer.is_success)
        assert (await listed(web, made["access_token"])).status_code == 401


async def test_an_access_token_lives_an_hour_and_for_this_server_only(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        assert made["expires_in"] == 3_600
        for token in (made["refresh_token"], made["access_token"] + "x", ""):
            assert (await listed(web, token)).status_code == 401
        clock.ahead = timedelta(minutes=59)
        assert (await listed(web, made["access_token"])).status_code == 200
        clock.ahead = timedelta(minutes=61)
        assert (await listed(web, made["access_token"])).status_code == 401
        made = (await host.refreshed(made["refresh_token"])).json()
        assert (await listed(web, made["access_token"])).status_code == 200
    moved = "https://moved.example"
    async with on_the_web(sandbox, tmp_path, clock=clock, public_url=moved) as web, web.client() as at:
        headers = {"Authorization": f"Bearer {made['access_token']}", "Host": "moved.example"}
        assert (await at.post("/mcp", json={}, headers=headers)).status_code == 401
        form = {"grant_type": "refresh_token", "refresh_token": made["refresh_token"], "client_id": host.id}
        answer = await at.post("/token", data=form, headers={"Host": "moved.example"})
        assert answer.json()["error"] == "invalid_grant"


async def test_one_statement_tells_whose_request_it_is_and_what_goes_for_it(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        made = await connected(web, sandbox.key)
        statements = Statements.of(web)
        await listed(web, made["access_token"])
        assert len(statements) == 1
        # Nothing is copied yet, which would ask as well, before each of its requests.
        refused = await called(web, made["access_token"], "search_conversations", made_up="x")
        assert "Unknown argument" in refused.text
        assert len(statements) == 2


async def test_what_has_run_out_is_deleted_and_what_is_in_use_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        used, left, begun = [await TestHost.registered(web) for _ in range(3)]
        made = await connected(web, sandbox.key, host=used)
        await connected(web, sandbox.key, host=left)
        await Browser(web).signed_in(begun, sandbox.key)
        for day in (50, 100, 150, 200):
            clock.ahead = timedelta(days=day)
            made = (await used.refreshed(made["refresh_token"])).json()
        await connected(web, sandbox.key)
        await TestHost.registered(web)
        hosts = {row["id"] for row in rows(web, "select id from hosts")}
        counts = [len(rows(web, f"select 1 from {name}")) for name in ("grants", "codes", "tokens")]
        assert used.id in hosts
        assert not {left.id, begun.id} & hosts
        assert counts == [2, 1, 5], "two grants; the code of one; their tokens, and the one that was just replaced"
        assert (await listed(web, made["access_token"])).status_code == 200


async def test_two_that_refresh_at_the_same_instant_both_go_on(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host = await TestHost.registered(web)
        first = await connected(web, sandbox.key, host=host)
        both = []

        async def ask() -> None:
            both.append((await host.refreshed(first["refresh_token"])).json())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert len({made["refresh_token"] for made in both} | {first["refresh_token"]}) == 3
        for made in both:
            assert (await listed(web, made["access_token"])).status_code == 200
        clock.ahead = timedelta(minutes=30)
        for made in both:
            assert (await host.refreshed(made["refresh_token"])).status_code == 200


async def test_a_refresh_token_stolen_and_used_after_it_was_replaced_ends_the_grant(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host = await TestHost.registered(web)
        first = await connected(web, sandbox.key, host=host)
        second = (await host.refreshed(first["refresh_token"])).json()
        other = await connected(web, sandbox.key)
        clock.ahead = timedelta(seconds=61)
        assert (await host.refreshed(first["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await listed(web, second["access_token"])).status_code == 401
        assert (await host.refreshed(second["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await listed(web, other["access_token"])).status_code == 200


async def test_a_refresh_token_serves_its_own_host_and_no_more_than_was_granted(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        host, other = await TestHost.registered(web), await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host, access="read")
        assert made["scope"] == "read"
        assert "create_from_text" not in (await listed(web, made["access_token"])).text
        assert (await other.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await host.refreshed(made["refresh_token"], scope="read write")).json()["error"] == "invalid_scope"
        clock.ahead = timedelta(days=80)
        made = (await host.refreshed(made["refresh_token"])).json()
        clock.ahead = timedelta(days=160)
        assert (await host.refreshed(made["refresh_token"])).status_code == 200
        clock.ahead = timedelta(days=260)
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_host_that_gives_a_token_back_gives_back_the_grant(
    sandbox: Sandbox, tmp_path: Path, method: str, which: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web, token_endpoint_auth_method=method)
        other = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        assert (await other.ask("/revoke", token=made[which])).status_code == 200
        assert (await listed(web, made["access_token"])).status_code == 200
        assert (await host.ask("/revoke", token=made[which])).status_code == 200
        assert (await listed(web, made["access_token"])).status_code == 401
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_host_with_a_secret_is_nobody_without_it(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        for method in ("client_secret_post", "client_secret_basic"):
            host = await TestHost.registered(web, token_endpoint_auth_method=method)
            made = await connected(web, sandbox.key, host=host)
            for secret in ("made-up", None):
                thief = TestHost(web, host.id, secret=secret)
                assert (await thief.refreshed(made["refresh_token"])).status_code == 401
            assert (await host.refreshed(made["refresh_token"])).status_code == 200
