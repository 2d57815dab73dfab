"""Questions over many conversations, as a model asks them: phrases, premises that are false, lists."""

import pytest
from hosting import Connect, call, talk

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def test_a_phrase_helps_and_never_hides_what_the_words_find(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load(
        [
            talk("harbour", words={4: "Mira wants the red boat before the winter is over"}),
            talk("kitchen", words={4: "that is the end of the story, said the cook"}, days_ago=9),
        ]
    )
    async with connect() as client:
        answer = await call(client, "search_conversations", query='Mira red boat "the end of the story"')
        assert [card["id"] for card in answer["conversations"]] == ["kitchen", "harbour"]
        assert answer["note"] == 'Conversations with "the end of the story": 1.'
        assert [card["hits"][0]["words"] for card in answer["conversations"]] == [
            '"the end of the story"',
            "mira red boat",
        ]
        alternatives = await call(client, "search_conversations", query='"the red boat" "end of the story"')
        assert alternatives["matched"] == 2
        late = await call(client, "search_conversations", query='"end of the story"', period="past 3 days")
        assert late["matched"] == 0
        assert late["note"].startswith('Within the filters, conversations with "end of the story": none.')
        assert late["note"].endswith("There would be 1 without the dates.")


async def test_a_false_premise_shows_in_one_call(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", words={4: "We sold the boat to Mira"}), talk("kitchen", days_ago=9)])
    async with connect() as client:
        question = "When did Mira crash the boat in Zanzibar this winter?"
        answer = await call(client, "search_conversations", query=question)
        assert answer["unmatched"] == ["crash", "zanzibar"]
        assert answer["conversations"][0]["hits"][0]["words"] == "mira boat"
        answer = await call(client, "search_conversations", query="kitchen boat", period="past 3 days")
        assert (answer["unmatched"], answer["note"]) == (["kitchen"], 'Outside the filters "kitchen" does occur.')
        answer = await call(client, "search_conversations", query="boat")
        assert {"unmatched", "note", "words"}.isdisjoint(answer | answer["conversations"][0]["hits"][0])


async def test_what_emptied_a_search_is_named_with_what_there_is_without_it(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", category="work"), talk("pier", days_ago=30)])
    async with connect() as client:
        search = {"query": "winter", "speakers": "Ana", "categories": ["work"], "end": "20 days ago"}
        answer = await call(client, "search_conversations", **search)
        assert answer["matched"] == 0
        assert answer["note"].endswith("There would be 1 without the dates, 1 without the categories.")
        assert "speakers" not in answer["note"]
        answer = await call(client, "search_conversations", **search | {"starred": True})
        assert answer["note"].endswith("There would be 2 without all of these filters.")
