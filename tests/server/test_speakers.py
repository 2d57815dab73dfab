"""What did they say about it: a search for some people's words finds, ranks and quotes what they said themselves."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hosting import Connect, call, copied, talk

from omi_mcp.names import People, nearest
from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


def spoken(name: str, *lines: tuple[str, str], days_ago: float = 1, **fields: Any) -> dict[str, Any]:
    said = [
        {"speaker": speaker, "text": text, "start": at * 5.0, "end": at * 5.0 + 4}
        for at, (speaker, text) in enumerate(lines)
    ]
    return talk(name, segments=said, days_ago=days_ago, **{"title": "A talk", "overview": "They talk."} | fields)


FERRY = spoken(
    "ferry",
    ("Ben", "The ferry, the ferry, always the ferry and its pier."),
    ("Ana", "I would rather take the night train."),
    ("Ben", "But the ferry has a pier of its own."),
    days_ago=2,
)
PIER = spoken("pier", ("Carla", "Good morning."), ("Ana", "The ferry leaves late from the pier."), days_ago=30)
TRIO = spoken("trio", ("Ana", "Nothing new."), ("Ben", "The ferry is late."), ("Carla", "Again?"), days_ago=60)
ITEMS = spoken(
    "items",
    ("Ana", "I write that down."),
    days_ago=5,
    action_items=[{"description": "Ana buys the ferry tickets at the pier"}],
)


async def test_hits_and_order_are_what_these_people_say(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([FERRY, PIER, TRIO, ITEMS])
    async with connect() as client:
        await copied(client, 4)
        by_ana = await call(client, "search_conversations", query="ferry pier", speakers=["ana"])
        assert [card["id"] for card in by_ana["conversations"]] == ["pier", "items"]
        assert by_ana["matched"] == 2
        (said,), (written,) = (card["hits"] for card in by_ana["conversations"])
        assert (said["speaker"], said["text"]) == ("Ana", "The ferry leaves late from the pier.")
        assert (written["field"], "speaker" in written) == ("action_items", False)
        assert "note" not in by_ana
        tickets = await call(client, "search_conversations", query="tickets", speakers=["ana"])
        assert "found by title, overview or action items" in tickets["note"]
        together = await call(client, "search_conversations", query="ferry", speakers="Ana, Ben")
        assert {card["id"] for card in together["conversations"]} == {"ferry", "trio"}
        assert {hit["speaker"] for card in together["conversations"] for hit in card["hits"]} == {"Ben"}
        assert [
            card["id"]
            for card in (await call(client, "search_conversations", speakers=["Carla", "Ana"]))["conversations"]
        ] == ["pier", "trio"]
        read = await call(client, "get_conversation", conversation_id="ferry", find="train pier", speaker="Ana")
        assert [moment["speaker"] for moment in read["moments"]] == ["Ana"]


async def test_a_search_that_finds_nobody_says_who_is_meant_and_when_they_spoke(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([FERRY, PIER, TRIO, spoken("alone", ("Dov", "The ferry."), days_ago=9)])
    async with connect() as client:
        await copied(client, 4)

        async def note(**asked: Any) -> str:
            answer = await call(client, "search_conversations", **asked)
            assert answer["matched"] == 0
            return str(answer["note"])

        misspelled = await note(query="ferry", speakers=["Karla"])
        assert 'Nobody called "Karla"' in misspelled
        assert "Carla" in misspelled
        dates = {
            each["id"]: datetime.fromisoformat(each["started_at"]).astimezone(ZoneInfo("Europe/Berlin")).date()
            for each in (PIER, TRIO)
        }
        outside = await note(query="ferry", speakers=["Carla"], period="last 7 days")
        assert f'"Carla" speaks in 2 conversations, from {dates["trio"]} to {dates["pier"]}' in outside
        assert "never speak in the same conversation" in await note(speakers=["Dov", "Ana"])
        unsaid = await note(query="ferry", speakers=["Carla"], period="last 45 days")
        assert '"Carla" speaks in one conversation within these filters, but says none of these words' in unsaid
        assert "without the speakers" in unsaid
        listed = await call(client, "search_conversations", query="Carla", speakers=["Carla"])
        assert [card["id"] for card in listed["conversations"]] == ["pier", "trio"]


async def test_who_got_a_name_later_is_still_the_one_without_it(connect: Connect, sandbox: Sandbox) -> None:
    unnamed = [spoken(f"old-{day}", ("User", "My boat."), ("Ben", "Yes."), days_ago=day) for day in range(10, 15)]
    named = [spoken(f"new-{day}", ("Maya", "My boat."), (f"Guest {day}", "Yes."), days_ago=day) for day in range(1, 5)]
    sandbox.load([*unnamed, *named])
    async with connect() as client:
        await copied(client, 9)
        for me in ("me", "You", "Maya", "user"):
            answer = await call(client, "search_conversations", query="boat", speakers=me)
            assert answer["matched"] == 9, me
            assert {hit["speaker"] for card in answer["conversations"] for hit in card["hits"]} == {"Maya", "You"}
        assert answer["user"] == "Maya"
        for conversation_id, name in (("old-10", "You"), ("new-1", "Maya")):
            for me in ("me", "maya"):
                read = await call(client, "get_conversation", conversation_id=conversation_id, speaker=me)
                assert read["transcript"]["text"] == f"[00:00:00] {name}: My boat."


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("Proffesor E", ["professor e"]),
        ("Katherine", ["catherine ruiz"]),
        ("Ferdinand Meyer", ["ferdinand"]),
        ("catrine ruiz", ["catherine ruiz"]),
        ("Zoe", []),
    ],
)
def test_the_nearest_names_are_those_that_can_be_meant(asked: str, near: list[str]) -> None:
    known = {"professor e": 3, "grad e": 40, "phd e": 40, "ferdinand": 1, "catherine ruiz": 2, "speaker 1": 90}
    assert nearest(asked, known, 1) == near


def test_a_talk_with_others_after_the_last_of_ones_own_names_nobody() -> None:
    mine = [["User", "Ben"]] * 20
    assert People.of([["Ben"]] * 3 + mine).user == "User"
    assert People.of([["Maya", "Ben"]] * 3 + [["Maya"]] * 3 + mine).user == "Maya"
    assert People.of([["Maya", "User Interface"], ["Maya"], ["Maya"]]).meant("me") == ("Maya", "User")
