"""What do I still have to do? Open action items through the search."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hosting import Connect, call, talk

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

ITEMS = "/v1/dev/user/action-items"


def day(ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(days=ahead)).isoformat()


def to_do(name: str, *descriptions: str, due: float | None = None, **fields: Any) -> dict[str, Any]:
    items: list[dict[str, Any]] = [{"description": each} for each in descriptions]
    if due is not None:
        items[0]["due_at"] = day(due)
    return talk(name, action_items=items, **fields)


def descriptions(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {card["id"]: [item["description"] for item in card["action_items"]] for card in answer["conversations"]}


def tick(sandbox: Sandbox, description: str) -> None:
    (item,) = [item["id"] for item in sandbox.action_items() if item["description"] == description]
    sandbox.change_item(item, completed=True)


async def test_open_items_are_given_in_full_newest_first_with_what_is_overdue(
    connect: Connect, sandbox: Sandbox
) -> None:
    long = "Write to the harbour master about " + "every one of the ropes and " * 12 + "the lamp"
    sandbox.load(
        [
            to_do("harbour", long, "Buy rope", due=-2, days_ago=3),
            to_do("kitchen", "Order tiles", due=3, days_ago=1),
            to_do("garden", "Plant the tree", days_ago=2),
            talk("office"),
        ]
    )
    tick(sandbox, "Plant the tree")
    async with connect() as client:
        answer = await call(client, "search_conversations", open_items="true")
        assert list(descriptions(answer).items()) == [("kitchen", ["Order tiles"]), ("harbour", [long, "Buy rope"])]
        assert answer["matched"] == 2
        tiles, ropes = (card["action_items"][0] for card in answer["conversations"])
        assert "overdue" not in tiles
        assert ropes["overdue"] is True
        assert datetime.fromisoformat(ropes["due"]).date().isoformat() < answer["today"].split()[1]
        assert "note" not in answer
        first = await call(client, "search_conversations", open_items=True, limit=1)
        second = await call(client, "search_conversations", open_items=True, limit=1, cursor=first["next_cursor"])
        assert [*descriptions(first), *descriptions(second)] == ["kitchen", "harbour"]
        listed = await call(client, "search_conversations", open_items=False)
        assert listed["matched"] == 4
        read = await call(client, "get_conversation", conversation_id="garden", include_transcript=False)
        assert read["action_items"] == [{"description": "Plant the tree", "completed": True}]


async def test_with_words_the_items_that_match_come_first(connect: Connect, sandbox: Sandbox) -> None:
    said = {4: "The boat, the boat, and again the boat: everything was about the boat."}
    sandbox.load(
        [
            to_do("harbour", "Buy milk", days_ago=1, words=said),
            to_do("kitchen", "Call the plumber", "Sell the boat", days_ago=5),
            to_do("garden", "Plant the tree", days_ago=2),
        ]
    )
    async with connect() as client:
        answer = await call(client, "search_conversations", open_items=True, query="boat")
        assert list(descriptions(answer).items()) == [
            ("kitchen", ["Sell the boat", "Call the plumber"]),
            ("harbour", ["Buy milk"]),
        ]
        assert "boat" in answer["conversations"][1]["hits"][0]["text"]
        pages, cursor = [], None
        for _ in range(2):
            page = await call(
                client,
                "search_conversations",
                open_items=True,
                query="boat",
                limit=1,
                **({"cursor": cursor} if cursor else {}),
            )
            pages += list(descriptions(page))
            cursor = page.get("next_cursor")
        assert (pages, cursor) == (["kitchen", "harbour"], None)


async def test_all_other_filters_combine(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load(
        [
            to_do("harbour", "Buy rope", days_ago=3, category="work"),
            to_do("kitchen", "Order tiles", days_ago=3, category="family"),
            to_do("garden", "Plant the tree", days_ago=30, category="work"),
            talk("office", days_ago=3, category="work"),
        ]
    )
    sandbox.add_item("Renew the passport")
    async with connect() as client:
        work = await call(client, "search_conversations", open_items=True, categories=["work"], period="last 7 days")
        assert list(descriptions(work)) == ["harbour"]
        assert "other_action_items" not in work
        week = await call(client, "search_conversations", open_items=True, period="last 7 days")
        assert sorted(descriptions(week)) == ["harbour", "kitchen"]
        assert week["other_action_items"] == [{"description": "Renew the passport"}]
        past = await call(client, "search_conversations", open_items=True, end=day(-20)[:10])
        assert list(descriptions(past)) == ["garden"]
        assert "other_action_items" not in past


async def test_items_of_no_conversation_are_among_what_is_to_do_once(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([to_do("harbour", "Buy rope"), to_do("kitchen", "Order tiles")])
    sandbox.add_item("Renew the passport", due_at=day(-1))
    sandbox.discard("kitchen")
    async with connect() as client:
        first = await call(client, "search_conversations", open_items=True)
        assert list(descriptions(first)) == ["harbour"]
        passport = first["other_action_items"][0]
        assert (passport["description"], passport["overdue"]) == ("Renew the passport", True)
        alone = await call(client, "search_conversations", open_items=True, query="passport")
        assert [item["description"] for item in alone["other_action_items"]] == ["Renew the passport"]
        assert (alone["matched"], alone["conversations"], "note" in alone) == (0, [], False)
        other = await call(client, "search_conversations", open_items=True, query="rope")
        assert "other_action_items" not in other


async def test_where_the_list_cannot_be_read_the_conversations_word_counts_and_that_is_said(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([to_do("harbour", "Buy rope")])
    tick(sandbox, "Buy rope")
    async with connect(api_key=sandbox.issue_key("conversations:read")) as client:
        for _ in range(2):
            answer = await call(client, "search_conversations", open_items=True)
            assert descriptions(answer) == {"harbour": ["Buy rope"]}
            assert answer["note"].startswith("Done or open as each conversation says")
            assert "action_items:read" in answer["note"]
        assert "note" not in await call(client, "search_conversations")
    assert sum(request.path == ITEMS for request in sandbox.requests) == 1


async def test_a_page_of_many_items_stays_readable(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load(to_do(f"talk {number}", *(f"Thing {each} " + "x" * 80 for each in range(30))) for number in range(10))
    async with connect() as client:
        answer = await call(client, "search_conversations", open_items=True)
        assert len(str(answer)) < 12_000
        assert all(card["open_action_items"] == 30 and card["action_items"] for card in answer["conversations"])
