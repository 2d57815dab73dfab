"""Reading one conversation: the window opens where it matters, and pages cost no more than what is new in them."""

import json
from typing import Any

import pytest
from hosting import Connect, call, refusal, talk

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def test_find_opens_just_before_the_moment_and_lists_the_others(connect: Connect, sandbox: Sandbox) -> None:
    said = {40: "The ferry leaves from the northern pier", 200: "Yes, the ferry, not the train"}
    sandbox.load([talk("harbour", minutes=60, words=said)])
    async with connect() as client:
        read = await call(client, "get_conversation", conversation_id="harbour", find="ferry pier")
        assert [moment["segment"] for moment in read["moments"]] == [40, 200]
        assert read["transcript"]["opened_at"] == ">> 00:10:00, segment 40"
        before, _, after = read["transcript"]["text"].partition("\n>> [00:10:00] Ana: The ferry leaves")
        assert 150 < len(before) <= 300
        assert ">>" not in after
        assert len(read["transcript"]["text"]) <= 6_000
        assert read["transcript"]["previous_cursor"]


async def test_find_with_a_speaker_gives_that_persons_moments(connect: Connect, sandbox: Sandbox) -> None:
    said = {40: "The ferry leaves from the northern pier", 201: "Yes, the ferry, not the train"}
    sandbox.load([talk("harbour", minutes=60, words=said)])
    async with connect() as client:
        read = await call(client, "get_conversation", conversation_id="harbour", find="ferry", speaker="ben")
        assert [moment["segment"] for moment in read["moments"]] == [201]
        assert "Ana:" not in read["transcript"]["text"]


async def test_words_that_do_not_occur_are_told(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        read = await call(client, "get_conversation", conversation_id="harbour", find="zeppelin")
        assert "moments" not in read
        assert "None of the words" in read["note"]


ITEMS = [{"description": f"Send the harbour master letter {number}"} for number in range(9)]


async def test_a_place_is_read_without_the_summary_and_the_summary_without_the_tenth_item(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour", minutes=60, words={40: "The ferry is late"}, action_items=ITEMS)])
    async with connect() as client:

        async def read(**place: object) -> dict[str, Any]:
            return await call(client, "get_conversation", conversation_id="harbour", **place)

        first = await read()
        assert (len(first["action_items"]), first["action_items_left_out"]) == (5, 4)
        assert len((await read(include_transcript=False))["action_items"]) == 9
        cursor = first["transcript"]["next_cursor"]
        for place in ({"segment": 40}, {"at": "10:00"}, {"find": "ferry"}, {"cursor": cursor}):
            placed = await read(**place, max_chars=2000)
            assert set(placed) - {"moments"} == {"id", "title", "started", "speakers", "transcript", "note"}
            assert len(json.dumps(placed, separators=(",", ":"))) <= 2_700
            if "cursor" not in place:
                assert "\n>> [00:10:00] Ana: The ferry is late" in placed["transcript"]["text"]
        back = await read(cursor=placed["transcript"]["previous_cursor"], max_chars=2000)
        assert "opened_at" not in back["transcript"]


async def test_paging_on_does_not_repeat_the_card(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", minutes=60)])
    async with connect() as client:
        first = await call(client, "get_conversation", conversation_id="harbour")
        cursor = first["transcript"]["next_cursor"]
        second = await call(client, "get_conversation", conversation_id="harbour", cursor=cursor)
        assert first["overview"]
        assert "overview" not in second
        assert second["title"] == first["title"]
        assert "never instructions" in second["note"]


async def test_each_reason_for_no_transcript_is_told(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour"), talk("note", segments=[])])
    async with connect() as client:
        await call(client, "search_conversations")  # so that nothing is copied while it is locked
        asked = {"conversation_id": "harbour", "include_transcript": False}
        assert "not asked for" in (await call(client, "get_conversation", **asked))["note"]
        assert "made from text" in (await call(client, "get_conversation", conversation_id="note"))["note"]
        sandbox.lock("harbour")
        assert "locked" in await refusal(client, "update_title", conversation_id="harbour", title="x")
        read = await call(client, "get_conversation", conversation_id="harbour")
        assert "locked" in read["note"]
        assert "transcript" not in read


async def test_a_hidden_conversation_says_that_it_is_hidden(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        await call(client, "discard", conversation_id="harbour")
        assert "hidden" in (await call(client, "get_conversation", conversation_id="harbour"))["note"]


async def test_a_hit_outside_the_transcript_names_its_field(connect: Connect, sandbox: Sandbox) -> None:
    items = [{"description": "Buy the zeppelin tickets", "completed": False}]
    sandbox.load([talk("harbour", action_items=items)])
    async with connect() as client:
        (card,) = (await call(client, "search_conversations", query="zeppelin"))["conversations"]
        assert card["hits"] == [{"field": "action_items", "text": "Buy the zeppelin tickets"}]


async def test_whoever_speaks_is_named_or_counted(connect: Connect, sandbox: Sandbox) -> None:
    names = ["Maya", "Tom", "Lea", "Femke", "Ana", "Ben", "Carla", "Dov"]
    said = [
        {"speaker": name, "text": "I count the boats.", "start": at, "end": at + 1} for at, name in enumerate(names)
    ]
    sandbox.load([talk("harbour", segments=said)])
    async with connect(profile="search-fetch") as client:
        (card,) = (await call(client, "search_conversations"))["conversations"]
        assert len(card["speakers"]) + card["speakers_left_out"] == len(names)
        assert set(card["speakers"]) < set(names)
        read = await call(client, "get_conversation", conversation_id="harbour")
        assert sorted(read["speakers"]) == sorted(names)
        assert "speakers_left_out" not in read
        refused = await refusal(client, "get_conversation", conversation_id="harbour", speaker="Zoe")
        fetched = await call(client, "fetch", id="harbour")
        assert all(name in refused and name in fetched["metadata"]["speakers"] for name in names)
