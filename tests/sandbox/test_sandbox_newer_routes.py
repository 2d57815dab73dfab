"""The routes that older services do not have: the list of action items, and the search by meaning."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, Clock, client_of, plain

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

ITEMS = "/v1/dev/user/action-items"
SEARCH = f"{CONVERSATIONS}/search"


def to_do(conversation_id: str, *descriptions: str, **fields: Any) -> dict[str, Any]:
    return plain(conversation_id, action_items=[{"description": each} for each in descriptions], **fields)


async def described(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get(ITEMS, params=query)
    assert answer.status_code == 200, answer.text
    return [item["description"] for item in answer.json()]


async def test_action_items_are_listed_by_themselves_and_ticked_without_the_conversation_knowing(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load([to_do("a", "Call the bank", "Buy milk"), to_do("b", "Sell the boat")])
    by_hand = sandbox.add_item("Renew the passport", due_at="2026-04-01T09:00:00Z")
    first = (await client.get(ITEMS, params={"conversation_id": "a"})).json()[0]
    assert set(first) == {
        "id", "description", "completed", "created_at", "updated_at", "due_at", "completed_at", "conversation_id"
    }  # fmt: skip
    sandbox.change_item(first["id"], completed=True)
    assert sorted(await described(client)) == ["Buy milk", "Call the bank", "Renew the passport", "Sell the boat"]
    assert await described(client, completed="true") == [first["description"]]
    assert sandbox.record("a")["structured"]["action_items"][0]["completed"] is False
    assert (await client.get(ITEMS)).json()[0]["id"] == by_hand
    assert (await client.get(ITEMS)).json()[0]["conversation_id"] is None
    assert await described(client, start_date="2026-03-02T00:00:00Z") == ["Renew the passport"]
    assert (await client.delete(f"{CONVERSATIONS}/a")).status_code == 200
    assert len(await described(client)) == 4, "OMI API: deleting a conversation leaves its action items"


async def test_locked_action_items_leave_a_page_short_and_the_limit_is_cut(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load(to_do(f"c{number}", *(f"item {number}.{each}" for each in range(210))) for number in range(5))
    sandbox.lock("c3")
    assert 0 < len(await described(client)) < 100
    everything = [*await described(client, limit=99999), *await described(client, limit=1000, offset=1000)]
    assert len(everything) == len(set(everything)) == 840
    assert len(await described(client, limit=0, offset=-5)) <= 1


async def test_action_items_have_a_scope_and_an_allowance_of_their_own(clock: Clock) -> None:
    with Sandbox(now=clock, limits="real") as sandbox:
        async with client_of(sandbox, sandbox.issue_key("conversations:read")) as client:
            answer = await client.get(ITEMS)
            assert (answer.status_code, answer.json()) == (
                403,
                {"detail": "Insufficient permissions. Required scope: action_items:read"},
            )
        async with client_of(sandbox, sandbox.issue_key("action_items:read")) as client:
            statuses = [(await client.get(ITEMS)).status_code for _ in range(121)]
            assert (statuses.count(200), statuses[-1]) == (120, 429)
            assert (await client.get(CONVERSATIONS)).status_code == 403
        async with client_of(sandbox) as client:
            assert [(await client.get(ITEMS)).status_code for _ in range(120)].count(200) == 120
            assert (await client.get(CONVERSATIONS)).status_code == 200


async def test_the_search_finds_by_related_words_best_first_and_leaves_out_locked_and_hidden_ones(
    sandbox: Sandbox, client: httpx.AsyncClient, clock: Clock
) -> None:
    sandbox.load(
        [
            plain("job", title="Interview with Deniz", overview="The decision is for Deniz."),
            plain("job-2", title="Candidates", overview="Nobody decided."),
            plain("boat", title="The boat", overview="It is sold."),
        ]
    )
    answer = (await client.get(SEARCH, params={"query": "hiring decision"})).json()
    assert [found["conversation"]["id"] for found in answer] == ["job", "job-2"]
    assert answer[0]["score"] >= answer[1]["score"] > 0
    assert answer[0]["conversation"]["transcript_segments"] is None
    sandbox.lock("job")
    sandbox.discard("job-2")
    assert (await client.get(SEARCH, params={"query": "hiring decision"})).json() == []
    later = {"query": "boat", "start_date": (clock() + timedelta(days=1)).isoformat()}
    assert (await client.get(SEARCH, params=later)).json() == []
    assert (await client.get(SEARCH, params=later | {"end_date": "2020-01-01"})).status_code == 422
    assert (await client.get(SEARCH)).status_code == 422


async def test_an_older_service_has_neither() -> None:
    with Sandbox(without=["search", "action-items"]) as sandbox:
        async with client_of(sandbox) as client:
            answer = await client.get(SEARCH, params={"query": "price"})
            assert (answer.status_code, answer.json()) == (404, {"detail": "Conversation not found"})
            assert ((await client.get(ITEMS)).status_code, (await client.get(ITEMS)).json()) == (
                404,
                {"detail": "Not Found"},
            )


async def test_the_sample_library_has_items_that_are_done_in_the_list_alone_and_some_made_by_hand(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load_sample()
    items = (await client.get(ITEMS, params={"limit": 1000})).json()
    known = {
        (each, item["description"]): item["completed"]
        for each in sandbox.ids()
        for item in sandbox.record(each)["structured"]["action_items"]
    }
    done = [
        item
        for item in items
        if item["completed"] and known.get((item["conversation_id"], item["description"])) is False
    ]
    assert len(done) == 3
    assert sum(item["conversation_id"] is None for item in items) == 3
    assert all(
        "ticked" not in item for each in sandbox.ids() for item in sandbox.record(each)["structured"]["action_items"]
    )
