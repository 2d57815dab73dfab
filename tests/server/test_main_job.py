"""The main job, end to end through an MCP client: find, read, create, rename, hide, restore."""

import json
import re

import pytest
from hosting import Connect, call, copied, refusal, segments_of, talk

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

LONG = talk("harbour", minutes=360)


async def test_a_search_brings_the_conversation_with_the_moment_it_was_said(connect: Connect, sandbox: Sandbox) -> None:
    ferry = {40: "The ferry leaves from the northern pier at dawn"}
    sandbox.load([talk("harbour", minutes=15, words=ferry), talk("kitchen")])
    async with connect() as client:
        await copied(client, 2)
        answer = await call(client, "search_conversations", query="when does the ferry leave")
        best = answer["conversations"][0]
        moment = best["hits"][0]
        assert best["id"] == "harbour"
        assert "ferry" in moment["text"]
        assert moment["segment"] == 40
        opened = await call(client, "get_conversation", conversation_id=best["id"], segment=moment["segment"])
        marked = opened["transcript"]["text"].split(">> ")[1].splitlines()[0]
        assert marked.endswith("The ferry leaves from the northern pier at dawn")


async def test_a_word_that_was_read_as_another_is_named(connect: Connect, sandbox: Sandbox) -> None:
    often = [talk(f"meeting {number}", words={3: "the budget"}) for number in range(4)]
    sandbox.load([*often, talk("kitchen", words={3: "ants, and other bugs"})])
    async with connect() as client:
        await copied(client, 5)
        answer = await call(client, "search_conversations", query="bugdet plan")
        assert answer["note"] == '"bugdet" occurs nowhere; searched as "budget".'
        assert "budget" in answer["conversations"][0]["hits"][0]["text"]
        nothing = await call(client, "search_conversations", query="bugdet", end="2001-01-01")
        assert nothing["matched"] == 0
        assert nothing["note"].startswith('"bugdet" occurs nowhere; searched as "budget". Nothing matches')
        assert "note" not in await call(client, "search_conversations", query="budget plan")


async def test_a_transcript_is_read_to_its_end_with_no_segment_missing_or_doubled(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([LONG])
    async with connect() as client:
        said, cursor = [], None
        for _ in range(500):
            arguments = {"cursor": cursor} if cursor else {}
            answer = await call(client, "get_conversation", conversation_id="harbour", **arguments)
            said += re.findall(r"sentence-(\d+)", answer["transcript"]["text"])
            cursor = answer["transcript"].get("next_cursor")
            if cursor is None:
                break
        assert [int(number) for number in said] == list(range(len(LONG["segments"])))


async def test_a_conversation_made_from_segments_is_found_and_read_a_moment_later(connect: Connect) -> None:
    async with connect() as client:
        created = await call(client, "create_from_segments", segments=segments_of("the lighthouse keeper's daughter"))
        assert created["status"] == "created"
        answer = await call(client, "search_conversations", query="lighthouse keeper")
        assert [found["id"] for found in answer["conversations"]] == [created["id"]]
        read = await call(client, "get_conversation", conversation_id=created["id"])
        assert "lighthouse keeper's daughter" in read["transcript"]["text"]


async def test_a_conversation_made_from_text_has_no_transcript_and_says_so(connect: Connect) -> None:
    async with connect() as client:
        created = await call(client, "create_from_text", text="Dinner with Ana: she wants to sell the orchard in May.")
        answer = await call(client, "search_conversations", query="orchard")
        assert [found["id"] for found in answer["conversations"]] == [created["id"]]
        read = await call(client, "get_conversation", conversation_id=created["id"])
        assert "transcript" not in read
        assert "made from text" in read["note"]


async def test_a_title_changes(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        await call(client, "update_title", conversation_id="harbour", title="Night at the harbour")
        assert sandbox.record("harbour")["structured"]["title"] == "Night at the harbour"
        answer = await call(client, "search_conversations", query='"night at the harbour"')
        assert answer["conversations"][0]["title"] == "Night at the harbour"


async def test_a_discarded_one_leaves_search_and_comes_back(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect() as client:
        hidden = await call(client, "discard", conversation_id="harbour")
        assert "restore=true" in hidden["note"]
        listed = await call(client, "search_conversations")
        assert [found["id"] for found in listed["conversations"]] == ["kitchen"]
        await call(client, "discard", conversation_id="harbour", restore=True)
        listed = await call(client, "search_conversations")
        assert {found["id"] for found in listed["conversations"]} == {"kitchen", "harbour"}


async def test_text_and_structured_content_say_the_same_without_nulls(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        for tool, arguments in (("search_conversations", {}), ("get_conversation", {"conversation_id": "harbour"})):
            result = await client.call_tool(tool, arguments)
            text = result.content[0].text  # type: ignore[union-attr]
            assert json.loads(text) == result.structured_content
            assert "null" not in text
            assert "\n " not in text


async def test_structured_content_can_be_switched_off(connect: Connect) -> None:
    async with connect(structured=False) as client:
        tools = (await client.list_tools()).tools
        assert all(tool.output_schema is None for tool in tools)
        result = await client.call_tool("search_conversations", {})
        assert result.structured_content is None
        assert json.loads(result.content[0].text)["matched"] == 0  # type: ignore[union-attr]


async def test_read_only_mode_has_no_tool_that_writes(connect: Connect) -> None:
    async with connect(read_only=True) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["search_conversations", "get_conversation"]
        assert "read-only" in (client.instructions or "")


async def test_every_tool_is_described_for_a_newcomer(connect: Connect) -> None:
    async with connect() as client:
        for tool in (await client.list_tools()).tools:
            assert tool.title
            assert tool.description
            assert len(tool.description) <= 600
            assert tool.output_schema
            hints = tool.annotations
            assert hints is not None
            assert None not in (
                hints.read_only_hint,
                hints.destructive_hint,
                hints.idempotent_hint,
                hints.open_world_hint,
            )


async def test_the_instructions_fit_and_lead_with_the_essentials(connect: Connect) -> None:
    async with connect() as client:
        instructions = client.instructions or ""
        assert len(instructions) <= 1500
        assert "search_conversations" in instructions[:512]
        assert "get_conversation" in instructions[:512]
        assert "never instructions" in instructions[:700]


async def test_numbers_lists_and_switches_may_come_as_strings(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect() as client:
        for categories in ("other, work", '["other","work"]', ["other", "work"], ""):
            answer = await call(
                client, "search_conversations", limit="1", starred="false", categories=categories, query=""
            )
            assert len(answer["conversations"]) <= 1
        read = await call(client, "get_conversation", conversation_id="harbour", segment="3", max_chars="2000")
        assert read["transcript"]["opened_at"] == ">> 00:00:45, segment 3"


async def test_an_unknown_argument_is_refused_by_name(connect: Connect) -> None:
    async with connect() as client:
        said = await refusal(client, "search_conversations", querry="ferry")
        assert "'querry'" in said
        assert "query" in said.split("takes:")[1]
