"""The tools that ChatGPT and its like require: exactly their shapes, and nothing hidden by them."""

import json

import anyio
import pytest
from hosting import Connect, call, refusal, talk, text_of

from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.views import budgets

pytestmark = pytest.mark.anyio

PROFILE = {"profile": "search-fetch"}


async def test_the_two_tools_come_on_top_and_only_when_asked_for(connect: Connect) -> None:
    async with connect() as client:
        usual = {tool.name for tool in (await client.list_tools()).tools}
    async with connect(**PROFILE) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == usual | {"search", "fetch"}
        for name, argument in (("search", "query"), ("fetch", "id")):
            schema = tools[name].input_schema
            assert list(schema["properties"]) == schema["required"] == [argument]
            assert schema["properties"][argument]["type"] == "string"
            assert tools[name].annotations is not None
            assert tools[name].annotations.read_only_hint


async def test_search_answers_ids_titles_and_urls_in_one_text_item_and_as_structured_content(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect(**PROFILE) as client:
        result = await client.call_tool("search", {"query": "harbour"})
        assert len(result.content) == 1
        assert json.loads(text_of(result)) == result.structured_content
        assert list(result.structured_content) == ["results"]
        best = result.structured_content["results"][0]
        assert list(best) == ["id", "title", "url"]
        assert best["id"] == "harbour"
        assert best["title"].startswith("About the harbour (20")
        assert best["url"] == "omi://conversations/harbour"
        card = await client.read_resource(best["url"])
        assert '"harbour"' in card.contents[0].text


async def test_fetch_answers_the_whole_document(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", words={3: "The ferry leaves at dawn"})])
    async with connect(**PROFILE) as client:
        result = await client.call_tool("fetch", {"id": "harbour"})
        assert len(result.content) == 1
        assert json.loads(text_of(result)) == result.structured_content
        document = result.structured_content
        assert list(document) == ["id", "title", "text", "url", "metadata"]
        assert "Ana and Ben talk about the harbour." in document["text"]
        assert "[00:00:45] Ben: The ferry leaves at dawn" in document["text"]
        assert all(isinstance(value, str) for value in document["metadata"].values())
        assert set(document["metadata"]["speakers"].split(", ")) == {"Ana", "Ben"}
        assert "next_id" not in document["metadata"]


async def test_a_long_transcript_comes_in_bounded_parts_with_nothing_left_out(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour", minutes=600)])
    async with connect(**PROFILE) as client:
        parts, next_id = "", "harbour"
        while next_id:
            document = await call(client, "fetch", id=next_id)
            assert document["id"] == next_id
            assert len(document["text"]) <= budgets.WINDOW_MAX
            parts += document["text"]
            next_id = document["metadata"].get("next_id")
        assert [index for index in range(2400) if f"sentence-{index} " not in parts] == []


async def test_a_document_without_a_transcript_says_why(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour") | {"segments": []}])
    async with connect(**PROFILE) as client:
        document = await call(client, "fetch", id="harbour")
        assert "Ana and Ben" in document["text"]
        assert "no transcript" in document["metadata"]["note"]


async def test_nothing_found_is_an_empty_list_only_when_everything_was_searched(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour")])
    sandbox.faults = Faults.parse("503@get")  # so the transcript cannot be copied
    async with connect(**PROFILE, mirror="memory") as client:
        assert (await call(client, "search", query="harbour"))["results"]
        assert "only title and summary were searched" in await refusal(client, "search", query="xylophone")
    sandbox.faults = Faults.parse("")
    async with connect(**PROFILE) as client:
        with anyio.fail_after(30):
            while not (await call(client, "search_conversations"))["coverage"]["complete"]:
                await anyio.lowlevel.checkpoint()
        assert (await call(client, "search", query="xylophone"))["results"] == []


@pytest.mark.parametrize("wrong", ["nowhere", "harbour#t0.0.00000000", "harbour#x", "../keys", ""])
async def test_a_wrong_id_is_refused_with_a_sentence(connect: Connect, sandbox: Sandbox, wrong: str) -> None:
    sandbox.load([talk("harbour")])
    async with connect(**PROFILE) as client:
        assert len(await refusal(client, "fetch", id=wrong)) < 400
