"""Several people at one server on the web, through the whole app: whose words each of them gets, and which tools."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from accounts_kit import Town, town
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import PromptReference, ResourceTemplateReference, TextContent
from signin_kit import ACCEPT, PUBLIC, Browser, TestHost, Web, answer_to_host, called, listed, on_the_web

from omi_mcp.accounts import Busy, Caller
from omi_mcp.clock import SystemClock
from omi_mcp.context import AppContext
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

pytestmark = pytest.mark.anyio

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}},
}


@pytest.fixture
def people(tmp_path: Path, kept_in: str) -> Iterator[Town]:
    with town(tmp_path, "ana", "ben", conversations=12) as built:
        yield built


async def token_of(
    web: Web,
    key: str,
    *,
    zone: str = "Europe/Berlin",
    access: str = "write",
    path: str = "/mcp",
    host: TestHost | None = None,
) -> str:
    """What a host may ask with whose person signed in to connect it to this path."""
    host = host or await TestHost.registered(web)
    browser = Browser(web)
    page = await browser.opened(host, resource=f"{PUBLIC}{path}")
    left = await browser.sent(page, key=key, access=access, timezone=zone)
    answer = await host.tokens(answer_to_host(left)["code"], resource=f"{PUBLIC}{path}")
    return str(answer.json()["access_token"])


@asynccontextmanager
async def at(web: Web, token: str, mode: str, path: str = "/mcp") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(web.opened.app), headers={"Authorization": f"Bearer {token}"}
        ) as wire,
        Client(streamable_http_client(f"{PUBLIC}{path}", http_client=wire), mode=mode) as client,
    ):
        yield client


async def tool(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def everything(client: Client, name: str, other: str) -> str:
    """All that a host can get to read of this account, with what it asks for of the other's."""
    said = [client.instructions or ""]
    found = json.loads(await tool(client, "search_conversations", query="plan", limit=5))
    said.append(json.dumps(found))
    said.append(await tool(client, "search_conversations", query="plan", limit=5, cursor=found["next_cursor"]))
    said.append(await tool(client, "search_conversations", query=f"what {other} said", speaker=f"Cleo{other}"))
    said += [await tool(client, "get_conversation", conversation_id=f"{each}-1") for each in (name, other)]
    said += [str(each) for each in (await client.list_resources()).resources]
    for kind in ("", "/transcript"):
        said.append(str(await client.read_resource(f"omi://conversations/{name}-1{kind}")))
        with pytest.raises(MCPError):
            await client.read_resource(f"omi://conversations/{other}-1{kind}")
    template = ResourceTemplateReference(uri="omi://conversations/{conversation_id}")
    ids = await client.complete(template, {"name": "conversation_id", "value": "plan"})
    names = await client.complete(PromptReference(name="prepare_for"), {"name": "person_or_topic", "value": "cleo"})
    assert names.completion.values == [f"Cleo{name}"]
    assert ids.completion.values
    said += ids.completion.values
    said.append(str(await client.get_prompt("catch_up", {"period": "today"})))
    return "\n".join(said)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_no_door_leads_to_another_account(people: Town, tmp_path: Path, mode: str) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web:
        ana = await token_of(web, people.boxes["ana"].key, zone="Asia/Tokyo")
        ben = await token_of(web, people.boxes["ben"].key, zone="America/New_York", access="read")
        async with at(web, ana, mode) as hers, at(web, ben, mode) as his:
            seen = {"ana": await everything(hers, "ana", "ben"), "ben": await everything(his, "ben", "ana")}
            assert len(re.findall(r"\bana\b|Cleoana", seen["ana"])) > 50
            assert len(re.findall(r"\bben\b|Cleoben", seen["ben"])) > 50
            assert not re.search(r"of ben|Cleoben|ben talk", seen["ana"])
            assert not re.search(r"of ana|Cleoana|ana talk", seen["ben"])
            assert "(Asia/Tokyo)" in seen["ana"]
            assert "(America/New_York)" in seen["ben"]
            assert "+09:00" in seen["ana"]
            assert "-05:00" in seen["ben"] or "-04:00" in seen["ben"]

            assert "read-only" in seen["ben"]
            assert "read-only" not in seen["ana"]
            tools = {each.name for each in (await hers.list_tools()).tools}
            assert tools - {each.name for each in (await his.list_tools()).tools} == {
                "create_from_text",
                "create_from_segments",
                "update_title",
                "discard",
            }
            assert "reading only" in await tool(his, "update_title", conversation_id="ben-1", title="Mine")

            page = json.loads(await tool(hers, "search_conversations", query="plan", limit=5))
            lent = await tool(his, "search_conversations", query="plan", limit=5, cursor=page["next_cursor"])
            assert "of ana" not in lent
            assert "of ben" in lent


async def test_a_session_of_one_account_is_none_to_another(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web, web.client(headers=ACCEPT) as client:
        host = await TestHost.registered(web)  # all who use an assistant on the web connect the same host
        ana, ben = [
            {"Authorization": f"Bearer {await token_of(web, people.boxes[name].key, host=host)}"}
            for name in ("ana", "ben")
        ]
        session = (await client.post("/mcp", json=INITIALIZE, headers=ana)).headers["mcp-session-id"]
        asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
        swapped = await client.post("/mcp", json=asked, headers=ben | {"Mcp-Session-Id": session})
        assert swapped.status_code == 404
        still = await client.post("/mcp", json=asked, headers=ana | {"Mcp-Session-Id": session})
        assert still.status_code == 200
        assert "search_conversations" in still.text


async def test_a_question_asked_of_one_person_is_not_answered_by_another(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path, settings={"allow_delete": True}) as web:
        host = await TestHost.registered(web)
        ana, ben = [await token_of(web, people.boxes[name].key, host=host) for name in ("ana", "ben")]
        same = {"id": "ana-1", "started_at": "2026-03-01T09:00:00Z", "title": "Plan 1 of ana", "segments": []}
        people.boxes["ben"].insert(same)
        asked = await delete(web, ana, "ana-1")
        (question,) = asked["inputRequests"]
        yes = {question: {"action": "accept", "content": {"delete": True}}}
        swapped = await delete(web, ben, "ana-1", inputResponses=yes, requestState=asked["requestState"])
        assert "isError" not in swapped
        assert "error" in swapped
        assert all("ana-1" in box.ids() for box in people.boxes.values())
        done = await delete(web, ana, "ana-1", inputResponses=yes, requestState=asked["requestState"])
        assert done["structuredContent"]["status"] == "deleted"
        assert "ana-1" in people.boxes["ben"].ids()


async def delete(web: Web, token: str, conversation_id: str, **more: Any) -> dict[str, Any]:
    """What a host of 2026 is answered that can ask its person."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
    }
    name = "delete_conversation"
    params = {"name": name, "arguments": {"conversation_id": conversation_id}, "_meta": meta, **more}
    headers = {
        **ACCEPT,
        "Authorization": f"Bearer {token}",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with web.client() as client:
        answer = await client.post("/mcp", json=body, headers=headers)
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")][-1]
    message: dict[str, Any] = json.loads(text)
    return dict(message["result"]) if "result" in message else message


async def test_no_stream_is_opened_that_nothing_would_come_on(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web, web.client(headers=ACCEPT) as client:
        token = await token_of(web, people.boxes["ana"].key)
        for method in ("GET", "DELETE"):
            answer = await client.request(method, "/mcp", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (await client.get("/mcp")).status_code == 401


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_path_tells_which_tools_there_are(people: Town, tmp_path: Path, mode: str) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web:
        key = people.boxes["ana"].key
        plain, other = await token_of(web, key), await token_of(web, key, path="/mcp/search-fetch")
        async with at(web, plain, mode) as client:
            assert not {"search", "fetch"} & {each.name for each in (await client.list_tools()).tools}
        async with at(web, other, mode, "/mcp/search-fetch") as client:
            assert {"search", "fetch", "search_conversations"} <= {
                each.name for each in (await client.list_tools()).tools
            }
            results = json.loads(await tool(client, "search", query="plan of ana"))["results"]
            assert "of ana" in await tool(client, "fetch", id=results[0]["id"])


async def test_each_path_is_a_resource_with_tokens_of_its_own(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web, web.client(headers=ACCEPT) as client:
        key = people.boxes["ana"].key
        for path, another in (("/mcp", "/mcp/search-fetch"), ("/mcp/search-fetch", "/mcp")):
            token = await token_of(web, key, path=path)
            right = await client.post(path, json=INITIALIZE, headers={"Authorization": f"Bearer {token}"})
            assert right.status_code == 200
            wrong = await client.post(another, json=INITIALIZE, headers={"Authorization": f"Bearer {token}"})
            assert wrong.status_code == 401
            told = re.search(r'resource_metadata="([^"]+)"', wrong.headers["www-authenticate"])
            assert told
            metadata = (await client.get(told[1])).json()
            assert metadata["resource"] == f"{PUBLIC}{another}"
            assert set(metadata["scopes_supported"]) == {"read", "write"}


async def test_a_revoked_key_is_told_and_then_sends_the_host_to_sign_in_again(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web:
        key = people.boxes["ana"].key
        ana, ben = [await token_of(web, people.boxes[name].key) for name in ("ana", "ben")]
        assert "Plan" in (await called(web, ana, "search_conversations", query="plan")).text
        people.boxes["ana"].revoke_key(key)
        first = await called(web, ana, "create_from_text", text="We decided to sell the boat to the doctor.")
        assert first.status_code == 200
        assert "sign in again" in first.text
        assert 'isError":true' in first.text.replace(" ", "")
        assert "OMI_API_KEY" not in first.text
        refused = await listed(web, ana)
        assert refused.status_code == 401
        assert "resource_metadata=" in refused.headers["www-authenticate"]
        assert (await listed(web, ben)).status_code == 200


async def test_an_attached_conversation_says_so_as_well(people: Town, tmp_path: Path) -> None:
    async with on_the_web(people.sandboxes, tmp_path) as web:
        key = people.boxes["ana"].key
        async with at(web, await token_of(web, key), "auto") as client:
            await tool(client, "search_conversations", query="plan")
            people.boxes["ana"].revoke_key(key)
            with pytest.raises(MCPError, match="sign in again"):
                await client.read_resource("omi://conversations/not-copied")


class Full:
    """Libraries that are all in use."""

    async def run(self) -> None:
        pass

    @asynccontextmanager
    async def serving(self, caller: Caller) -> AsyncIterator[AppContext]:
        raise Busy(own=False, seconds=10)
        yield

    async def settings(self, caller: Caller) -> Settings:
        return Settings(timezone=ZoneInfo("UTC"), data_dir=Path("nowhere"))


async def test_a_model_is_told_when_a_busy_server_is_worth_asking_again(tmp_path: Path) -> None:
    settings = Settings(timezone=ZoneInfo("UTC"), data_dir=tmp_path)
    async with Client(build_server(settings, SystemClock(), libraries=Full())) as client:
        result = await client.call_tool("search_conversations", {"query": "plan"})
        assert result.is_error
        assert "Wait 10 seconds" in str(result.content)
        with pytest.raises(MCPError) as refused:
            await client.list_resources()
        assert refused.value.error.data == {"retry_after": 10}
        assert len((await client.list_tools()).tools) > 5
