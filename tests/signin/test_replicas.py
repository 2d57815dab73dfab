"""Several servers with the same secret and the same accounts: a host may reach any of them with any request."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import signin_kit
from accounts_kit import Town, town
from mcp import Client
from mcp.client import ClientRequestContext, advertise
from mcp.client.streamable_http import streamable_http_client
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from signin_kit import PUBLIC, Web, connected, on_the_web

from omi_mcp.signin.vault import new_secret

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

SECRET = new_secret()

eras = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture
def people(tmp_path: Path, kept_in: str) -> Iterator[Town]:
    with town(tmp_path, "ana", conversations=12) as built:
        yield built


class Alternating(httpx2.AsyncBaseTransport):
    """Sends each request to the next replica."""

    def __init__(self, *replicas: Web) -> None:
        self.replicas = replicas
        self.requests = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        replica = self.replicas[self.requests % len(self.replicas)]
        self.requests += 1
        return await httpx2.ASGITransport(replica.opened.app).handle_async_request(request)


class Person:
    """Someone who agrees, and is asked by a host that can."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"delete": True})


@asynccontextmanager
async def replicas(people: Town, data_dir: Path, count: int, **options: Any) -> AsyncIterator[list[Web]]:
    """In one folder; or with a folder each, where what they share is in PostgreSQL."""
    settings = {"mirror": "disk", "allow_delete": True}
    async with AsyncExitStack() as stack:
        webs = []
        for number in range(count):
            folder = data_dir if signin_kit.DATABASE is None else data_dir / f"machine-{number}"
            web = on_the_web(people.sandboxes, folder, settings=settings, secrets=(SECRET,), **options)
            webs.append(await stack.enter_async_context(web))
        yield webs


@asynccontextmanager
async def host(
    *webs: Web, key: str, mode: str, person: Person | None = None
) -> AsyncIterator[tuple[Client, Alternating]]:
    tokens = await connected(webs[0], key)
    spread = Alternating(*webs)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with (
        httpx2.AsyncClient(transport=spread, headers=headers) as wire,
        Client(
            streamable_http_client(f"{PUBLIC}/mcp", http_client=wire),
            mode=mode,
            elicitation_callback=person,
            extensions=[advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})],
        ) as client,
    ):
        yield client, spread


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, text(result)
    answer: dict[str, Any] = json.loads(text(result))
    return answer


@eras
async def test_each_request_of_a_conversation_may_reach_another_replica(
    people: Town, tmp_path: Path, mode: str
) -> None:
    async with (
        replicas(people, tmp_path, 2) as both,
        host(*both, key=people.boxes["ana"].key, mode=mode) as (client, spread),
    ):
        for _ in range(2):
            offered = {tool.name for tool in (await client.list_tools()).tools}
            assert {"search_conversations", "create_from_text", "show_conversation"} <= offered
            found = await call(client, "search_conversations", query="plan", limit=5)
            more = await call(client, "search_conversations", query="plan", limit=5, cursor=found["next_cursor"])
            ids = [each["id"] for page in (found, more) for each in page["conversations"]]
            assert len(set(ids)) == 10
            assert "sentence" in text(await client.call_tool("get_conversation", {"conversation_id": ids[0]}))
            shown = await client.call_tool("show_conversation", {"conversation_id": ids[0]})
            assert shown.meta
            assert (await client.list_resources()).resources
            assert (await client.get_prompt("catch_up", {"period": "today"})).messages
        note = "Ana writes down that the boat is sold to the doctor, and that the keeper teaches her to sail in May."
        first = await call(client, "create_from_text", text=note)
        again = await call(client, "create_from_text", text=note)
        assert first["id"] == again["id"]
        assert people.boxes["ana"].ids().count(first["id"]) == 1
        assert spread.requests > 15


async def test_a_question_of_one_replica_is_answered_at_another(people: Town, tmp_path: Path) -> None:
    person = Person()
    async with (
        replicas(people, tmp_path, 2, asks=False) as both,
        host(*both, key=people.boxes["ana"].key, mode="auto", person=person) as (client, _),
    ):
        for number in range(3):
            await call(client, "delete_conversation", conversation_id=f"ana-{number}")
    assert len(person.asked) == 3
    assert not {"ana-0", "ana-1", "ana-2"} & set(people.boxes["ana"].ids())


async def test_where_the_answer_might_reach_another_replica_the_title_confirms(people: Town, tmp_path: Path) -> None:
    """In the older era the answer is a request of its own."""
    person = Person()
    async with (
        replicas(people, tmp_path, 2, asks=False) as both,
        host(*both, key=people.boxes["ana"].key, mode="legacy", person=person) as (client, _),
    ):
        refused = await client.call_tool("delete_conversation", {"conversation_id": "ana-0"})
        assert refused.is_error
        assert "confirm_title" in text(refused)
        await call(client, "delete_conversation", conversation_id="ana-0", confirm_title="Plan 0 of ana")
    assert person.asked == []
    assert "ana-0" not in people.boxes["ana"].ids()
