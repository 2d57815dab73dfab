"""Omi's own search by meaning, asked where ours by words finds nothing or only loosely."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hosting import Connect, call, first_cause, talk
from mcp import Client

from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

SEARCH = "/v1/dev/user/conversations/search"


def asked(sandbox: Sandbox) -> int:
    return sum(request.path == SEARCH for request in sandbox.requests)


def ids(answer: dict[str, Any]) -> list[str]:
    return [card["id"] for card in answer["conversations"]]


def by_meaning(answer: dict[str, Any]) -> list[str]:
    return [card["id"] for card in answer["conversations"] if card.get("method") == "meaning"]


@pytest.fixture
def library(sandbox: Sandbox) -> Sandbox:
    """Of what is asked for, `clinic` says it in other words, `weekend` has one of the words, `boat` none."""
    sandbox.load(
        [
            talk("clinic", title="At the clinic", overview="Blood is taken.", category="health"),
            talk("weekend", days_ago=2, overview="An appointment to look at the van.", category="family"),
            talk("boat", days_ago=3),
        ]
    )
    return sandbox


async def test_what_is_said_in_other_words_comes_behind_what_has_the_words_and_is_marked(
    connect: Connect, library: Sandbox
) -> None:
    async with connect() as client:
        loose = await call(client, "search_conversations", query="physician appointment")
        assert (ids(loose), by_meaning(loose)) == (["weekend", "clinic"], ["clinic"])
        assert (loose["matched"], loose["matched_loosely"]) == (1, 1)
        assert "Omi's own search by meaning" in loose["note"]
        nothing = await call(client, "search_conversations", query="physician")
        assert (ids(nothing), by_meaning(nothing)) == (["clinic"], ["clinic"])
        assert (nothing["matched"], nothing["matched_loosely"]) == (0, 1)
        assert asked(library) == 2
        for query in ("look at the van", '"physician appointment"', "", "van"):
            answer = await call(client, "search_conversations", query=query)
            assert not by_meaning(answer)
        assert asked(library) == 2


async def test_every_filter_holds_for_it_and_hidden_ones_never_come(connect: Connect, library: Sandbox) -> None:
    library.move("clinic", "People")
    library.star("clinic")
    async with connect() as client:
        held = {
            "categories": ["health"],
            "folder": "People",
            "starred": True,
            "speakers": ["Ana"],
            "period": "last 7 days",
        }
        found = await call(client, "search_conversations", query="physician", **held)
        assert by_meaning(found) == ["clinic"]
        for other in ({"categories": ["work"]}, {"speakers": ["Nobody"]}, {"end": "2001-01-01"}):
            assert ids(await call(client, "search_conversations", query="physician", **other)) == []
        await call(client, "discard", conversation_id="clinic")
        library.discard("clinic", False)  # the app shows it again, and this computer has not seen that yet
        assert ids(await call(client, "search_conversations", query="physician")) == []


async def test_a_service_without_it_is_asked_once(connect: Connect, sandbox: Sandbox, tmp_path: Path) -> None:
    with Sandbox(without=["search"]) as older:
        older.load([talk("boat")])
        async with connected(older, tmp_path) as client:
            for query in ("physician", "zeppelin", "physician"):
                answer = await call(client, "search_conversations", query=query)
                assert answer["matched"] == 0
        async with connected(older, tmp_path) as client:  # the next day's start would ask again, this one does not
            await call(client, "search_conversations", query="physician")
        assert asked(older) == 1


@pytest.mark.parametrize("fault", ["429=1800", "500", "503", "504", "drop-after", "truncate", "html", "refuse"])
async def test_a_search_never_fails_with_it_and_it_is_tried_once(
    connect: Connect, library: Sandbox, fault: str
) -> None:
    library.faults = Faults.parse(f"{fault}@search")
    async with connect() as client:
        for _ in range(2):
            answer = await call(client, "search_conversations", query="physician appointment")
            assert (ids(answer), "note" in answer) == (["weekend"], False)
        assert asked(library) == 1


NONSENSE = [
    {"conversations": []},
    [1, None, "x", {"score": 1}, {"conversation": 3}, {"conversation": {"id": "../../x", "created_at": 7}}],
    [{"conversation": {"id": "no-such-conversation", "created_at": "2025-01-01T00:00:00Z"}, "score": 0.9}],
]


@pytest.mark.parametrize("body", NONSENSE, ids=["object", "rows", "unknown"])
async def test_what_it_says_is_only_believed_of_conversations_that_are_there(
    library: Sandbox, tmp_path: Path, body: Any
) -> None:
    class Lying(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == SEARCH:
                return httpx.Response(200, json=body)
            return await self.inner.handle_async_request(request)

    async with connected(library, tmp_path, transport=Lying(library.transport())) as client:
        assert ids(await call(client, "search_conversations", query="physician appointment")) == ["weekend"]


async def test_pages_have_each_conversation_once(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load(
        talk(f"van {number:02}", days_ago=number, overview="An appointment at the van.") for number in range(9)
    )
    sandbox.load([talk("both", days_ago=20, overview="The appointment at the clinic about the tiredness.")])
    sandbox.load([talk("other", days_ago=30, overview="The clinic is far, and the tiredness is back.")])
    async with connect() as client:
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await call(client, "search_conversations", query="medical illness appointment", limit=3, **cursor)
            assert cursor == {} or not by_meaning(page)
            assert (page["matched"], page["matched_loosely"]) == (10, 1)
            seen += ids(page)
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == 11
        assert asked(sandbox) == 1


async def test_it_can_be_turned_off(connect: Connect, library: Sandbox) -> None:
    async with connect(omi_search=False) as client:
        assert ids(await call(client, "search_conversations", query="physician")) == []
    assert asked(library) == 0


async def test_questions_in_words_of_ones_own_are_helped(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load_sample()
    async with connect() as client:
        for query, expected in (
            ("hiring decision", "Deniz Said Yes"),
            ("flooding in our basement", "Water in the Cellar"),
        ):
            answer = await call(client, "search_conversations", query=query)
            assert any(expected in card["title"] for card in answer["conversations"] if card.get("method"))


@asynccontextmanager
async def connected(
    sandbox: Sandbox, folder: Path, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Client]:
    settings = Settings(
        timezone=ZoneInfo("Europe/Berlin"), data_dir=folder, api_key=sandbox.key, base_url=sandbox.base_url
    )
    try:
        async with Client(build_server(settings, transport=transport or sandbox.transport())) as client:
            yield client
    except BaseExceptionGroup as group:
        raise first_cause(group) from None
