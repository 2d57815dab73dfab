"""Questions over many conversations, as a model asks them: phrases, premises that are false, lists."""

import json

import pytest
from hosting import Connect, call, copied, talk

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
        await copied(client, 2)
        answer = await call(client, "search_conversations", query='Mira red boat "the end of the story"')
        assert [card["id"] for card in answer["conversations"]] == ["kitchen", "harbour"]
        assert answer["note"] == 'Conversations with "the end of the story": 1.'
        assert all("words" not in card["hits"][0] for card in answer["conversations"])  # it is plain to see
        alternatives = await call(client, "search_conversations", query='"the red boat" "end of the story"')
        assert alternatives["matched"] == 2
        late = await call(client, "search_conversations", query='"end of the story"', period="past 3 days")
        assert late["matched"] == 0
        assert late["note"].startswith('Within the filters, conversations with "end of the story": none.')
        assert late["note"].endswith("There would be 1 without the dates.")


async def test_a_false_premise_shows_in_one_call(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", words={4: "We sold the boat to Mira"}), talk("kitchen", days_ago=9)])
    async with connect() as client:
        await copied(client, 2)
        question = "When did Mira crash the boat in Zanzibar this winter?"
        answer = await call(client, "search_conversations", query=question)
        assert answer["unmatched"] == ["crash", "zanzibar"]
        answer = await call(client, "search_conversations", query="kitchen boat", period="past 3 days")
        assert (answer["unmatched"], answer["note"]) == (["kitchen"], 'Outside the filters "kitchen" does occur.')
        answer = await call(client, "search_conversations", query="boat")
        assert {"unmatched", "note", "words"}.isdisjoint(answer | answer["conversations"][0]["hits"][0])


async def test_a_hit_names_the_words_that_its_text_does_not_show(connect: Connect, sandbox: Sandbox) -> None:
    aside = "and so on about the weather of that year, " * 12
    keeper = talk("harbour", words={4: f"Mira sold the boat {aside} to the lighthouse keeper"})
    sandbox.load([keeper, talk("kitchen", days_ago=9)])
    async with connect() as client:
        await copied(client, 2)
        answer = await call(client, "search_conversations", query="Mira boat keepers kitchen")
        hit = answer["conversations"][0]["hits"][0]
        assert "Mira sold the boat" in hit["text"]
        assert hit["words"] == "keepers"


async def test_what_emptied_a_search_is_named_with_what_there_is_without_it(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", category="work"), talk("pier", days_ago=30)])
    async with connect() as client:
        await copied(client, 2)
        search = {"query": "winter", "speakers": "Ana", "categories": ["work"], "end": "20 days ago"}
        answer = await call(client, "search_conversations", **search)
        assert answer["matched"] == 0
        assert answer["note"].endswith("There would be 1 without the dates, 1 without the categories.")
        assert "speakers" not in answer["note"]
        answer = await call(client, "search_conversations", **search | {"starred": True})
        assert answer["note"].endswith("There would be 2 without all of these filters.")


async def test_a_list_is_read_to_its_end_hit_by_hit(connect: Connect, sandbox: Sandbox) -> None:
    films = {2 * at: f"On that evening number {at} we saw a film about the sea and {at} sailors" for at in range(9)}
    sandbox.load([talk(f"cinema {n}", words=films, days_ago=n, overview="They talk about a film.") for n in range(6)])
    sandbox.load([talk("festival", words=dict.fromkeys(range(20), "another film"), days_ago=9)])
    async with connect() as client:
        await copied(client, 7)
        first = await call(client, "search_conversations", query="film")
        assert first["matched"] == 7
        for card in first["conversations"]:
            assert card["hits_total"] > len(card["hits"])
        seen: dict[str, list[int]] = {}
        cursor: dict[str, str] = {}
        pages = 0
        while True:
            page = await call(client, "search_conversations", query="film", detail="hits", **cursor)
            assert len(json.dumps(page, ensure_ascii=False)) <= 6_500  # with spaces, that are not sent
            pages += 1
            for card in page["conversations"]:
                assert card["id"] not in seen
                assert "overview" not in card
                seen[card["id"]] = [hit["segment"] for hit in card["hits"] if "segment" in hit]
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert pages > 1
        assert seen.pop("festival") == list(range(12))
        assert seen == {f"cinema {n}": list(films) for n in range(6)}
        assert page["matched"] == 7


async def test_the_sentence_of_an_overview_that_matches_is_shown(connect: Connect, sandbox: Sandbox) -> None:
    padding = "They go through the agenda of the week and drink a lot of coffee with it. "
    overview = padding * 5 + "The landlord ends the lease of the workshop in September. " + padding * 3
    sandbox.load([talk("harbour", overview=overview)])
    async with connect() as client:
        await copied(client, 1)
        (card,) = (await call(client, "search_conversations", query="when does the lease end"))["conversations"]
        assert "The landlord ends the lease of the workshop in September" in card["overview"]
        assert card["overview"].startswith("They go through the agenda")
        assert len(card["overview"]) <= 240
        assert card["overview"].endswith("characters]")
        assert "hits_total" not in card


@pytest.mark.parametrize("padding", [0, 30], ids=["same passage", "next passage"])
async def test_a_question_that_is_found_comes_with_what_was_said_right_after(
    connect: Connect, sandbox: Sandbox, padding: int
) -> None:
    words = {4: "well " * padding + "Where would you take the Dutch customers for dinner?", 5: "To Zur Eiche " * 30}
    sandbox.load([talk("evening", words=words)])
    async with connect() as client:
        await copied(client, 1)
        for more in ({}, {"detail": "hits"}, {"speakers": "Ana"}):
            answer = await call(client, "search_conversations", query="Dutch dinner", **more)
            hit = answer["conversations"][0]["hits"][0]
            assert hit["then"].startswith("Ben: To Zur Eiche To Zur Eiche"), more
            assert len(hit["then"]) < 150
        stated = await call(client, "search_conversations", query="Eiche")
        assert "then" not in stated["conversations"][0]["hits"][0]


async def test_the_best_of_a_long_page_keep_their_hits_and_the_others_their_headings(
    connect: Connect, sandbox: Sandbox
) -> None:
    said = {2 * at: f"The film number {at} is one of those {'very ' * 20}long ones" for at in range(9)}
    sandbox.load([talk(f"cinema {n}", words=said, days_ago=n, overview="A film. " * 40) for n in range(10)])
    async with connect() as client:
        await copied(client, 10)
        answer = await call(client, "search_conversations", query="film")
        cards = answer["conversations"]
        assert len(cards) == 10
        assert len(json.dumps(cards, ensure_ascii=False, separators=(",", ":"))) <= 3_600
        assert all(card["hits"] for card in cards[:3])
        assert all(card["title"] and card["started"] and card["hits_total"] == 10 for card in cards)
        listed = await call(client, "search_conversations")
        assert all(card["overview"] for card in listed["conversations"])
