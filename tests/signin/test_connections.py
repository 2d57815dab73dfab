"""The pages, as a person uses them: what is wrong with a key, what is connected, and how to end it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from signin_kit import (
    INVITE,
    PUBLIC,
    Browser,
    MovedClock,
    TestHost,
    answer_to_host,
    called,
    connected,
    copies,
    forms,
    listed,
    on_the_web,
    rows,
)

from omi_mcp.sandbox import Sandbox
from omi_mcp.signin.pages import _zone
from omi_mcp.signin.vault import new_secret
from tests.postgres_kit import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

ON_DISK: dict[str, Any] = {"settings": {"mirror": "disk"}}
END, ZONE, REPLACE, FORGET, OUT = range(5)
"""The forms of the page, where one host is connected."""


def answering(status: int, detail: str = "") -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, json={"detail": detail}))


@pytest.mark.parametrize(
    ("key", "access", "said"),
    [
        ("", "read", "Paste your Omi key here"),
        ("omi_mcp_0123456789", "read", "This is an MCP key"),
        ("omi_dev_nobody", "read", "Omi does not know this key"),
        ("my omi key", "read", "This is no Omi key"),
        ("omi_dev_clé", "read", "This is no Omi key"),
        ("read-only", "write", "This key may only read"),
        ("write-only", "read", "This key may not read conversations"),
    ],
)
async def test_what_is_wrong_with_a_key_is_said_beside_it(
    sandbox: Sandbox, tmp_path: Path, key: str, access: str, said: str
) -> None:
    kinds = {"read-only": sandbox.read_only_key, "write-only": sandbox.issue_key("conversations:write")}
    async with on_the_web(sandbox, tmp_path) as web:
        browser = Browser(web)
        page = await browser.opened(await TestHost.registered(web))
        answer = await browser.sent(page, key=kinds.get(key, key), access=access, timezone="Europe/Berlin")
        assert answer.status_code == 422
        assert said in answer.text
        assert 'aria-invalid="true" aria-describedby="key-problem' in answer.text
        assert 'value="Europe/Berlin"' in answer.text, "what was right is kept"
        left = await browser.sent(answer, key=f" Bearer {sandbox.key}\n", access="write", timezone="Europe/Berlin")
        assert answer_to_host(left)["code"]


@pytest.mark.parametrize(
    ("omi", "said"),
    [
        (answering(503), "Omi does not answer"),
        (answering(200), "Omi does not answer"),
        (answering(429, "Rate limit exceeded. Try again in 1234s."), "takes no more requests with this key"),
        (answering(403, "Insufficient permissions. Required scope: conversations:read"), "may not read"),
    ],
)
async def test_what_is_wrong_with_omi_is_not_the_persons_fault(
    sandbox: Sandbox, tmp_path: Path, omi: httpx.MockTransport, said: str
) -> None:
    async with on_the_web(sandbox, tmp_path, omi=omi) as web:
        browser = Browser(web)
        page = await browser.opened(await TestHost.registered(web))
        answer = await browser.sent(page, key=sandbox.key, timezone="UTC")
        assert answer.status_code == 422
        assert said in answer.text


async def test_where_omi_does_not_tell_what_a_key_may_its_list_is_asked(sandbox: Sandbox, tmp_path: Path) -> None:
    way = sandbox.transport()

    async def older(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/dev/key":
            return httpx.Response(404, json={"detail": "Not Found"})
        return await way.handle_async_request(request)

    async with on_the_web(sandbox, tmp_path, omi=httpx.MockTransport(older)) as web:
        made = await connected(web, sandbox.key)
        assert (await listed(web, made["access_token"])).status_code == 200
        browser = Browser(web)
        page = await browser.opened(await TestHost.registered(web))
        answer = await browser.sent(page, key="omi_dev_nobody", timezone="UTC")
        assert "Omi does not know this key" in answer.text


async def test_the_same_key_again_takes_up_what_was_connected(sandbox: Sandbox, tmp_path: Path) -> None:
    """As after an hour in which Omi refused every key."""
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        people = web.opened.sign_in.people
        account = await people.known(sandbox.key)
        assert account is not None
        await people.refused(account.id, "a key from before")
        assert (await listed(web, made["access_token"])).status_code == 200
        await people.refused(account.id, sandbox.key)
        assert (await listed(web, made["access_token"])).status_code == 401
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"
        await connected(web, sandbox.key, host=host)
        assert (await listed(web, made["access_token"])).status_code == 200
        assert (await host.refreshed(made["refresh_token"])).status_code == 200


async def test_a_person_may_say_no(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        browser = Browser(web)
        left = await browser.sent(await browser.opened(await TestHost.registered(web)), cancel="yes")
        assert answer_to_host(left) == {"error": "access_denied", "state": "state-of-the-host", "iss": PUBLIC}
        assert sandbox.requests == []


async def test_who_is_not_invited_does_not_come_in(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path, invite=INVITE, open=False) as web:
        browser = Browser(web)
        page = await browser.opened(await TestHost.registered(web))
        for invite, said in (("", "Write the invitation code"), ("another-code", "not the invitation code")):
            answer = await browser.sent(page, key=sandbox.key, timezone="UTC", invite=invite)
            assert answer.status_code == 422
            assert said in answer.text
        assert answer_to_host(await browser.sent(page, key=sandbox.key, timezone="UTC", invite=INVITE))["code"]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [("read", "read"), ("read write", "read write"), (None, "read write"), ("openid offline_access", "read write")],
)
async def test_a_host_gets_no_more_than_it_asked_for(
    sandbox: Sandbox, tmp_path: Path, asked: str | None, granted: str
) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        browser = Browser(web)
        page = await browser.opened(host, scope=asked)
        assert ("Read and save" in page.text) is ("write" in granted)
        left = await browser.sent(page, key=sandbox.key, timezone="UTC", access="write")
        assert (await host.tokens(answer_to_host(left)["code"])).json()["scope"] == granted


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" europe/BERLIN ", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("UTC", "UTC"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("Berln", None),
        ("../../etc/passwd", None),
        ("posix/Europe/Berlin", None),
        ("x" * 1_000, None),
        ("\0", None),
        ("", None),
    ],
)
def test_a_time_zone_is_read_as_people_write_it(written: str, meant: str | None) -> None:
    assert _zone(written) == meant


async def test_what_is_connected_is_listed_and_ended(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        kept = await connected(web, sandbox.key, host=await TestHost.registered(web, client_name="Kept"), access="read")
        ended_host = await TestHost.registered(web, client_name="Ended")
        ended = await connected(web, sandbox.key, host=ended_host)
        # Nobody ever fetched the tokens of this one.
        await Browser(web).signed_in(await TestHost.registered(web, client_name="Begun"), sandbox.key)
        other = await connected(web, sandbox.issue_key("conversations:read"), access="read")
        browser = Browser(web)
        page = await browser.connections(sandbox.key)
        assert "Begun" not in page.text
        assert page.text.index("Ended") < page.text.index("Kept")
        assert "Reads only." in page.text
        assert "Reads and saves." in page.text
        page = await browser.sent(page, END)
        assert "Ended" not in page.text
        assert "Kept" in page.text
        assert (await listed(web, ended["access_token"])).status_code == 401
        assert (await ended_host.refreshed(ended["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await listed(web, kept["access_token"])).status_code == 200
        # The grant of somebody else's account is not theirs to end.
        (grant,) = rows(web, "select id from grants where scopes = 'read' order by made desc limit 1")
        await browser.sent(page, END, grant=grant["id"])
        assert (await listed(web, other["access_token"])).status_code == 200


async def test_only_the_key_opens_the_page_and_not_for_long(sandbox: Sandbox, tmp_path: Path) -> None:
    clock = MovedClock()
    async with on_the_web(sandbox, tmp_path, clock=clock) as web:
        made = await connected(web, sandbox.key)
        for key, said in (("omi_dev_nobody", "does not know this key"), (sandbox.issue_key(), "nobody has connected")):
            answer = await Browser(web).connections(key)
            assert answer.status_code == 422
            assert said in answer.text
        browser = Browser(web)
        page = await browser.connections(sandbox.key)
        clock.ahead = timedelta(minutes=31)
        assert "You were signed out" in (await browser.sent(page, FORGET, sure="yes")).text
        assert (await listed(web, made["access_token"])).status_code == 200
        page = await browser.connections(sandbox.key)
        assert "Assistant" in (await browser.client.get("/connections")).text
        await browser.sent(page, OUT)
        assert "Show that it is you" in (await browser.client.get("/connections")).text


async def test_a_new_key_on_the_page_keeps_everything_and_ends_other_sessions(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load_sample()
    async with on_the_web(sandbox, tmp_path, **ON_DISK) as web:
        made = await connected(web, sandbox.key)
        await called(web, made["access_token"], "search_conversations")
        browser, elsewhere = Browser(web), Browser(web)
        page = await browser.connections(sandbox.key)
        await elsewhere.connections(sandbox.key)
        new = sandbox.issue_key("conversations:read", "conversations:write")
        refused = await browser.sent(page, REPLACE, key=sandbox.read_only_key)
        assert "This key may only read" in refused.text, "a host that writes is connected"
        page = await browser.sent(page, REPLACE, key=new)
        assert page.status_code == 200
        sandbox.revoke_key(sandbox.key)
        found = await called(web, made["access_token"], "search_conversations")
        assert '"isError":true' not in found.text
        assert "Show that it is you" in (await elsewhere.client.get("/connections")).text
        assert "Assistant" in (await browser.client.get("/connections")).text
        assert len(copies(tmp_path)) == 1


class Either(httpx.AsyncBaseTransport):
    """Two accounts of the same Omi, each with the keys it has."""

    def __init__(self, *boxes: Sandbox) -> None:
        self._boxes = {box: box.transport() for box in boxes}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        known = next((way for box, way in self._boxes.items() if box.has_key(key)), None)
        return await (known or next(iter(self._boxes.values()))).handle_async_request(request)


def talks(count: int, *, prefix: str = "talk") -> list[dict[str, Any]]:
    return [
        {
            "id": f"{prefix}-{number}",
            "started_at": f"2026-03-{number % 28 + 1:02}T10:{number // 28:02}:00+00:00",
            "title": f"About {prefix} {number}",
            "overview": "We talk.",
            "segments": [{"speaker": "Ana", "text": f"This is {prefix} {number}.", "start": 0, "end": 5}],
        }
        for number in range(count)
    ]


async def test_a_key_of_another_account_or_in_use_replaces_none(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load(talks(3))
    with Sandbox() as another:
        another.load(talks(3, prefix="secret"))
        async with on_the_web(sandbox, tmp_path, omi=Either(sandbox, another), **ON_DISK) as web:
            made = await connected(web, sandbox.key)
            await called(web, made["access_token"], "search_conversations")
            browser = Browser(web)
            page = await browser.connections(sandbox.key)
            answer = await browser.sent(page, REPLACE, key=another.key)
            assert "belongs to another Omi account" in answer.text
            await connected(web, another.key)
            assert "already used here" in (await browser.sent(page, REPLACE, key=another.key)).text
            found = await called(web, made["access_token"], "search_conversations")
            assert "secret" not in found.text
            assert "talk-1" in found.text


@pytest.mark.parametrize(
    ("count", "change", "same"),
    [
        (25, "revoked", True),
        (25, "second", True),
        (25, "second reads only", True),
        (25, "revoked, one more since", True),
        (25, "revoked, one edited", False),
        (19, "revoked", False),
    ],
)
async def test_another_key_that_lists_the_same_conversations_is_the_same_account(
    sandbox: Sandbox, tmp_path: Path, count: int, change: str, same: bool
) -> None:
    sandbox.load(talks(count))
    async with on_the_web(sandbox, tmp_path, **ON_DISK) as web:
        made = await connected(web, sandbox.key)
        await called(web, made["access_token"], "search_conversations")
        new = (
            sandbox.read_only_key
            if "only" in change
            else sandbox.issue_key("conversations:read", "conversations:write")
        )
        if "edited" in change:
            sandbox.edit("talk-20", title="Another title")
        if "more" in change:
            sandbox.load([talks(1, prefix="later")[0] | {"started_at": "2026-04-20T10:00:00+00:00"}])
        if "revoked" in change:
            sandbox.revoke_key(sandbox.key)
        access = "read" if "only" in change else "write"
        second = await connected(web, new, access=access)
        assert len(rows(web, "select 1 from accounts")) == (1 if same else 2)
        assert '"isError":true' not in (await called(web, second["access_token"], "search_conversations")).text
        if same:  # what was connected before goes on, and with all that it may
            saved = await called(web, made["access_token"], "create_from_text", text="We decided to sell the boat.")
            assert '"isError":true' not in saved.text


@pytest.mark.parametrize("revoked", [True, False])
async def test_who_comes_to_the_page_with_another_key_of_the_account_is_known(
    sandbox: Sandbox, tmp_path: Path, revoked: bool
) -> None:
    sandbox.load(talks(25))
    async with on_the_web(sandbox, tmp_path, **ON_DISK) as web:
        made = await connected(web, sandbox.key)
        await called(web, made["access_token"], "search_conversations")
        if revoked:
            sandbox.revoke_key(sandbox.key)
        browser = Browser(web)
        assert "Assistant" in (await browser.connections(sandbox.read_only_key)).text
        assert "Assistant" in (await browser.client.get("/connections")).text
        found = await called(web, made["access_token"], "search_conversations")
        assert '"isError":true' not in found.text


async def test_who_is_forgotten_leaves_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load_sample()
    async with on_the_web(sandbox, tmp_path, **ON_DISK) as web:
        host = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        await called(web, made["access_token"], "search_conversations")
        assert copies(tmp_path)
        browser = Browser(web)
        page = await browser.connections(sandbox.key)
        assert "Tick the box first" in (await browser.sent(page, FORGET)).text
        assert (await listed(web, made["access_token"])).status_code == 200
        answer = await browser.sent(page, FORGET, sure="yes")
        assert "were deleted from this server" in answer.text
        assert (await listed(web, made["access_token"])).status_code == 401
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"
        for machine in web.machines:
            await machine.pool.review()
        left = {file.name.partition(".")[0] for file in tmp_path.rglob("*") if file.is_file()}
        assert left <= {"sign-in", "secret-key"}
        assert "Show that it is you" in (await browser.client.get("/connections")).text
        again = await connected(web, sandbox.key, host=host)
        assert (await listed(web, again["access_token"])).status_code == 200


async def test_times_are_each_persons_own(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load(talks(1))
    async with on_the_web(sandbox, tmp_path) as web:
        made = await connected(web, sandbox.key)
        assert "2026-03-01T11:00" in (await called(web, made["access_token"], "search_conversations")).text
        browser = Browser(web)
        page = await browser.connections(sandbox.key)
        assert 'value="Europe/Berlin"' in page.text
        assert "no such time zone" in (await browser.sent(page, ZONE, timezone="Nowhere")).text
        page = await browser.sent(page, ZONE, timezone="tokyo")
        assert 'value="Asia/Tokyo"' in page.text
        assert "2026-03-01T19:00" in (await called(web, made["access_token"], "search_conversations")).text


async def test_without_the_secret_people_sign_in_again_and_nothing_else_is_lost(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.load(talks(25))
    first, second = new_secret(), new_secret()
    async with on_the_web(sandbox, tmp_path, secrets=(first,), **ON_DISK) as web:
        host = await TestHost.registered(web)
        made = await connected(web, sandbox.key, host=host)
        await called(web, made["access_token"], "search_conversations")
    async with on_the_web(sandbox, tmp_path, secrets=(second,), **ON_DISK) as web:
        host.web = web
        assert (await listed(web, made["access_token"])).status_code == 401
        assert (await host.refreshed(made["refresh_token"])).json()["error"] == "invalid_grant"
    async with on_the_web(sandbox, tmp_path, secrets=(second, first), **ON_DISK) as web:
        assert (await listed(web, made["access_token"])).status_code == 200, "put back, it reads as before"
    async with on_the_web(sandbox, tmp_path, secrets=(second,), **ON_DISK) as web:
        await connected(web, sandbox.key)
        assert len(copies(tmp_path)) == 1
        assert (await listed(web, made["access_token"])).status_code == 200


async def test_pages_need_no_script_and_name_what_is_to_be_filled_in(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path, invite=INVITE, open=False) as web:
        browser = Browser(web)
        page = await browser.opened(await TestHost.registered(web))
        for name in ("key", "timezone", "invite"):
            assert f'<label for="{name}">' in page.text
        assert "style=" not in page.text
        assert " on" + "click" not in page.text
        assert [action for action, _ in forms(page)] == ["/signin"]
        for asset, kind in (("style.css", "text/css"), ("zone.js", "text/javascript")):
            answer = await browser.client.get(f"/signin/{asset}")
            assert answer.headers["content-type"].startswith(kind)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kept_in", ["postgresql"], indirect=True)
async def test_a_person_reads_why_there_is_no_page_while_the_database_is_away(
    sandbox: Sandbox, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web)
        browser = Browser(web)
        page = await browser.opened(host)
        postgres_server.stop("immediate")
        try:
            met = [
                await browser.opened(host),
                await browser.sent(page, key=sandbox.key, access="read", timezone="UTC"),
                await browser.client.get("/connections"),
            ]
        finally:
            postgres_server.start()
        for answer in met[:2]:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert "Wait half a minute" in answer.text
        assert met[2].status_code == 200, "who has not shown a key yet is asked for it"
        left = await browser.sent(page, key=sandbox.key, access="read", timezone="UTC")
        assert left.status_code == 503 or (await host.tokens(answer_to_host(left)["code"])).status_code == 200
