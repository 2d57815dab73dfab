"""What an operator sees: whether a server is ready, its measures and its log."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from accounts_kit import Town, town
from postgres_kit import PostgresServer
from signin_kit import Web, called, connected, listed, on_the_web, rpc

from omi_mcp import logs
from omi_mcp.accounts import Caller
from omi_mcp.pool import MOST_CALLS
from omi_mcp.transports.metrics import Metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path, "ana", conversations=3) as built:
        yield built


async def token_of(web: Web, people: Town) -> str:
    return str((await connected(web, people.boxes["ana"].key))["access_token"])


@contextmanager
def written() -> Iterator[list[dict[str, Any]]]:
    """The lines of JSON that were logged in the block, once it has ended."""
    stream = io.StringIO()
    lines: list[dict[str, Any]] = []
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        lines += [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_readiness_is_asked_by_address_and_told_in_a_word(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web, web.client() as proxy:
        ready = await proxy.get("/ready", headers={"Host": "10.0.0.7:8765"})
        assert (ready.status_code, ready.json(), ready.headers["cache-control"]) == (
            200,
            {"status": "ready"},
            "no-store",
        )
        assert "connection" not in ready.headers
        web.opened.app.state.readiness.stopping = True
        stopping = await proxy.get("/ready", headers={"Host": "10.0.0.7:8765"})
        assert (stopping.status_code, stopping.json()) == (503, {"status": "stopping"})
        assert stopping.headers["retry-after"]
        alive = await proxy.get("/health")
        assert (alive.status_code, alive.headers["connection"]) == (200, "close")
        assert (await proxy.get("/health", headers={"Host": "10.0.0.7:8765"})).status_code == 421


async def test_measures_say_what_was_asked_and_how_it_ended_and_of_whom_nothing(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web, web.client() as client:
        pool = web.opened.pool
        with Metrics(pool).serving("127.0.0.1", 0) as port:
            token = await token_of(web, people)
            await listed(web, token)
            await listed(web, "a-wrong-token")
            await called(web, token, "search_conversations", query="harbour-words")
            await called(web, token, "search_conversations", quarry="x")
            await called(web, token, "no-such-tool-" + "x" * 50)
            await client.get("/nowhere-" + "x" * 50)
            async with httpx.AsyncClient() as prometheus:
                shown = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
    for count in (
        'omi_mcp_request_seconds_count{route="/mcp",status="200"} 4.0',
        'omi_mcp_request_seconds_count{route="/mcp",status="401"} 1.0',
        'omi_mcp_request_seconds_count{route="other",status="404"} 1.0',
        'omi_mcp_call_seconds_count{call="search_conversations",outcome="ok"} 1.0',
        'omi_mcp_call_seconds_count{call="search_conversations",outcome="refused"} 1.0',
        'omi_mcp_call_seconds_count{call="other",outcome="refused"} 1.0',
        'omi_mcp_call_seconds_count{call="tools/list",outcome="ok"} 1.0',
        'omi_mcp_libraries{state="open"} 1.0',
        'omi_mcp_libraries{state="waiting"} 0.0',
    ):
        assert count in shown, count
    assert not re.search("ana|harbour|quarry|xxxx|omi_dev", shown)


async def test_each_request_has_a_line_with_its_id_and_nothing_that_was_said(people: Town, tmp_path: Path) -> None:
    with written() as lines:
        async with on_the_web(people.sandboxes, tmp_path) as web, web.client() as client:
            token = await token_of(web, people)
            await called(web, token, "search_conversations", query="harbour-words")
            await called(web, token, "get_conversation", conversation_id="ana-1")
            given = await client.get("/connections?secret=sesame", headers={"X-Request-Id": "edge-1234.abc"})
            unsafe = await client.get("/connections", headers={"X-Request-Id": "<script>" + "x" * 100})
    asked = [line for line in lines if line["logger"] == "omi_mcp.access"]
    search = next(line for line in asked if line.get("call") == "search_conversations")
    assert search["message"] == "request"
    assert {"time", "level", "request", "ms"} < set(search)
    assert (search["method"], search["route"], search["status"], search["outcome"]) == ("POST", "/mcp", 200, "ok")
    assert given.headers["x-request-id"] == "edge-1234.abc"
    assert re.fullmatch("[0-9a-f]{16}", unsafe.headers["x-request-id"])
    assert [line["request"] for line in asked[-2:]] == ["edge-1234.abc", unsafe.headers["x-request-id"]]
    assert all(
        line["route"] in ("/mcp", "/register", "/authorize", "/signin", "/token", "/connections") for line in asked
    )
    everything = json.dumps(lines)
    assert not re.search("harbour|sesame|script|Plan|sentence", everything)
    assert people.boxes["ana"].key not in everything
    assert token not in everything


async def test_an_error_is_logged_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mcp.somewhere")  # whatever level other tests have left above it
    with written() as lines:
        try:
            try:
                int("words of a person")
            except ValueError as error:
                raise LookupError("more words") from error
        except LookupError:
            logging.getLogger("omi_mcp.somewhere").exception("it broke")
            logging.getLogger("mcp.somewhere").warning("dropped %r", "words of a person")
    (ours, foreign) = lines
    assert (ours["message"], ours["error"]) == ("it broke", "LookupError from ValueError")
    assert ours["at"][0].endswith("test_an_error_is_logged_without_what_it_says")
    assert foreign["message"] == "dropped %r"
    assert "words" not in json.dumps(lines)


async def test_where_no_tool_is_called_a_proxy_sees_that_it_is_too_much(people: Town, tmp_path: Path) -> None:
    """A tool's answer stays one, for the model to read."""
    async with on_the_web(people.sandboxes, tmp_path) as web, AsyncExitStack() as calls:
        token = await token_of(web, people)
        account = await web.opened.sign_in.people.known(people.boxes["ana"].key)
        assert account is not None
        for _ in range(MOST_CALLS):
            await calls.enter_async_context(web.opened.pool.serving(Caller(account.id)))
        refused = await rpc(web, token, "resources/list", {})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert refused.json()["error"]["data"] == {"retry_after": 2}
        told = await called(web, token, "search_conversations", query="plan")
        assert told.status_code == 200
        assert "Wait 2 seconds" in told.json()["result"]["content"][0]["text"]
        await calls.aclose()
        assert (await rpc(web, token, "resources/list", {})).status_code == 200


@contextmanager
def without(server: PostgresServer) -> Iterator[None]:
    """In this block the database is gone, as after a crash."""
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


async def until_ready(proxy: httpx.AsyncClient) -> None:
    with anyio.fail_after(30):
        while (await proxy.get("/ready")).status_code != 200:
            await anyio.lowlevel.checkpoint()


@pytest.mark.exhaustive
async def test_a_server_may_start_before_its_database_and_goes_on_when_it_is_back(
    people: Town, tmp_path: Path, postgres_server: PostgresServer, database_url: str
) -> None:
    async with AsyncExitStack() as open_ones:
        with without(postgres_server):
            web = await open_ones.enter_async_context(on_the_web(people.sandboxes, tmp_path, database_url=database_url))
            proxy = await open_ones.enter_async_context(web.client())
            assert (await proxy.get("/ready")).json() == {"status": "migrating"}
            assert (await proxy.get("/health")).status_code == 200
            early = await listed(web, None)
            assert (early.status_code, early.headers["retry-after"]) == (503, "5")
        await until_ready(proxy)
        token = await token_of(web, people)
        assert (await listed(web, token)).status_code == 200
        with without(postgres_server):
            for answer in (await listed(web, token), await refreshed(proxy)):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert (await proxy.get("/ready")).json() == {"status": "database away"}
        await until_ready(proxy)
        assert (await listed(web, token)).status_code == 200


async def refreshed(client: httpx.AsyncClient) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": "x" * 40, "client_id": "somebody"}
    return await client.post("/token", data=form)


@pytest.mark.exhaustive
async def test_a_create_whose_database_goes_away_is_told_how_to_go_on_and_exists_once(
    people: Town, tmp_path: Path, postgres_server: PostgresServer, database_url: str
) -> None:
    box = people.boxes["ana"]
    creating, released = anyio.Event(), anyio.Event()

    async def pause() -> None:
        creating.set()
        await released.wait()

    box.pause = pause
    note = "Ana writes down that the boat is sold to the doctor, and that the keeper teaches her to sail in May."
    before = set(box.ids())
    said: list[str] = []
    async with on_the_web(people.sandboxes, tmp_path, database_url=database_url) as web:
        token = await token_of(web, people)

        async def create() -> None:
            answer = (await called(web, token, "create_from_text", text=note)).text
            data = answer if answer.startswith("{") else answer.rpartition("data: ")[2]
            said.append(json.loads(data)["result"]["content"][0]["text"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create)
            await creating.wait()
            with without(postgres_server):
                released.set()
                while not said:
                    await anyio.lowlevel.checkpoint()
        async with web.client() as proxy:
            await until_ready(proxy)
        await create()
    (created,) = set(box.ids()) - before
    assert created in said[0] or "exactly the same call again" in said[0]
    assert json.loads(said[1])["id"] == created
