"""The account's own list of action items: read once a day, and matched with what the conversations say of theirs."""

import os
import random
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sync_kit import Account, Process, holding, talk

from omi_mcp.api.models import ActionItem
from omi_mcp.database import Database
from omi_mcp.mirror.search import search_to_do
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters
from tests.stores import files_only

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

ITEMS = "/v1/dev/user/action-items"


def to_do(number: int, *descriptions: str) -> dict[str, object]:
    return talk(number, action_items=[{"description": each} for each in descriptions])


def asked(account: Account) -> int:
    return sum(request.path == ITEMS for request in account.sandbox.requests)


def items(process: Process, number: int) -> dict[str, bool]:
    stored = process.store.get(f"c{number:05}")
    assert stored
    return {item.description: item.completed for item in stored.conversation.structured.action_items}


def listed(account: Account, description: str) -> str:
    (found,) = [item["id"] for item in account.sandbox.action_items() if item["description"] == description]
    return str(found)


async def test_what_is_ticked_reworded_added_or_deleted_in_the_list_shows_in_the_conversation(account: Account) -> None:
    account.sandbox.load([to_do(1, "Call the bank", "Buy milk", "Sell the boat"), to_do(2, "Write to Ana")])
    async with account.copied() as process:
        await process.sync.refresh_items()
        assert items(process, 1) == {"Call the bank": False, "Buy milk": False, "Sell the boat": False}
        account.sandbox.change_item(listed(account, "Call the bank"), completed=True)
        account.sandbox.change_item(listed(account, "Buy milk"), description="Buy oat milk")
        account.sandbox.delete_item(listed(account, "Sell the boat"))
        account.sandbox.add_item("Renew the passport")
        account.sandbox.add_item("Tell Bo", conversation_id="c00001")
        await process.sync.refresh_items(anew=True)
        assert items(process, 1) == {"Call the bank": True, "Buy oat milk": False, "Tell Bo": False}
        assert [item.description for item in process.store.loose_items()] == ["Renew the passport"]
        # Comparing the conversations again changes nothing of it, whatever else is edited there.
        account.sandbox.edit("c00001", title="Another title")
        await process.sync.compare_all()
        await account.until(lambda: process.store.get("c00001").conversation.structured.title == "Another title")
        assert items(process, 1) == {"Call the bank": True, "Buy oat milk": False, "Tell Bo": False}
        account.sandbox.change_item(listed(account, "Call the bank"), completed=False)
        await process.sync.refresh_items(anew=True)
        assert items(process, 1)["Call the bank"] is False


async def test_the_list_is_read_once_a_day_and_when_asked(account: Account) -> None:
    account.sandbox.load([to_do(1, "Call the bank")])
    async with account.copied() as process:
        await account.until(lambda: asked(account) == 1)
        await account.clock.sleep(timedelta(hours=23).total_seconds())
        assert asked(account) == 1
        await account.until(lambda: asked(account) == 2, hours=2)
        for _ in range(3):
            await process.sync.refresh_items()
        assert asked(account) <= 3
        await process.sync.refresh_items(anew=True)
        await process.sync.refresh_items(anew=True)
        before = asked(account)
        await process.sync.refresh_items()
        assert asked(account) == before


async def test_a_key_without_the_scope_is_remembered_and_the_conversations_word_counts() -> None:
    account = Account()
    account.sandbox.key = account.sandbox.issue_key("conversations:read")
    account.sandbox.load([to_do(1, "Call the bank")])
    account.sandbox.change_item(listed(account, "Call the bank"), completed=True)
    async with account.copied() as process:
        await account.until(lambda: asked(account) == 1)
        for _ in range(3):
            await process.sync.refresh_items()
            await account.clock.sleep(timedelta(hours=20).total_seconds())
        assert asked(account) == 1
        assert process.sync.to_do().refused == "scope"
        assert process.sync.progress().blocked is None
        assert items(process, 1) == {"Call the bank": False}
        await account.clock.sleep(timedelta(days=6).total_seconds())
        assert asked(account) == 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(500, text="no"),
        httpx.Response(200, json={"a": 1}),
        httpx.Response(200, json=["nonsense", {"id": 3}, {"id": "", "description": 7}, None]),
        httpx.Response(200, text="<html>"),
    ],
    ids=["absent", "fault", "object", "rows", "page"],
)
async def test_a_list_that_fails_holds_nothing_else_up(account: Account, answer: httpx.Response) -> None:
    account.sandbox.load([to_do(number, "Call the bank") for number in range(3)])
    account.wire.instead = lambda request: answer if request.url.path == ITEMS else None
    async with account.copied() as process:
        before = account.requests
        await process.sync.refresh_items()
        await account.clock.sleep(timedelta(hours=2).total_seconds())
        assert process.sync.progress().blocked is None
        assert process.sync.progress().complete
        assert items(process, 1) == {"Call the bank": False}
        assert account.requests - before < 30
        assert process.sync.to_do().refused == ("absent" if answer.status_code == 404 else None)


async def test_an_empty_list_is_not_believed_where_there_was_a_long_one(account: Account) -> None:
    account.sandbox.load([to_do(1, *(f"Thing {number}" for number in range(11)))])
    async with account.copied() as process:
        await process.sync.refresh_items(anew=True)
        account.wire.instead = lambda request: httpx.Response(200, json=[]) if request.url.path == ITEMS else None
        await process.sync.refresh_items(anew=True)
        assert len(items(process, 1)) == 11


async def test_a_long_list_is_read_to_its_end_also_where_pages_are_short(account: Account) -> None:
    account.sandbox.load(to_do(number, *(f"Thing {number}.{each}" for each in range(300))) for number in range(8))
    account.sandbox.lock("c00003")
    for number in range(8):
        account.sandbox.change_item(listed(account, f"Thing {number}.299"), completed=True)
    async with account.copied() as process:
        await process.sync.refresh_items(anew=True)
        read = asked(account)
        assert read <= 4
        for number in set(range(8)) - {3}:
            assert [name for name, done in items(process, number).items() if done] == [f"Thing {number}.299"]


@files_only
@holding(size=0)
async def test_a_mirror_of_an_earlier_version_knows_what_is_open_in_it(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite3"
    conversations = [
        {"description": "Call the bank", "completed": True},
        {"description": "Buy milk"},
        {"description": " "},
    ]
    account.sandbox.load([talk(1, action_items=conversations), talk(2), talk(3, action_items=conversations[:1])])
    async with account.process(path) as process:
        await process.use()
        await account.synced(process)
    older = Database(path)
    with older.writing() as connection:
        connection.execute("drop index conversation_open")
        for column in ("action_items", "open_items"):
            connection.execute(f"alter table conversations drop column {column}")
    store = Store(older, account.clock)
    with older.reading() as connection:
        found = dict(connection.execute("select id, open_items from conversations").fetchall())
    assert found == {"c00001": 1, "c00002": 0, "c00003": 0}
    stored = store.get("c00001")
    assert stored
    assert stored.conversation.structured.action_items[1] == ActionItem(description="Buy milk")
    older.close()


async def test_a_slow_list_is_waited_for_once(account: Account) -> None:
    account.sandbox.load([to_do(1, "Call the bank")])
    async with account.copied() as process:
        await process.sync.refresh_items()
        account.wire.latency = 100
        for longest in (9, 1):
            before = account.clock.now()
            await process.sync.refresh_items(anew=longest > 1)
            assert account.clock.now() - before < timedelta(seconds=longest)
        assert items(process, 1) == {"Call the bank": False}


async def test_a_list_that_an_answer_reads_as_it_falls_due_is_not_read_twice(account: Account) -> None:
    account.sandbox.load([to_do(1, "Call the bank")])
    async with account.copied() as process:
        await account.until(lambda: process.sync.to_do().read is not None)
        due = process.sync.to_do().read + timedelta(days=1)
        await account.clock.sleep((due - account.clock.now()).total_seconds() - 1)
        account.wire.latency = 6
        before = asked(account)
        await process.sync.refresh_items(anew=True)
        await account.clock.sleep(600)
        assert asked(account) == before + 1


@pytest.mark.parametrize("seed", range(int(os.environ.get("OMI_TEST_SEEDS", "6"))))
@holding(size=0)
async def test_whatever_is_done_in_the_app_what_is_to_do_is_what_its_list_says(account: Account, seed: int) -> None:
    dice = random.Random(seed)
    sandbox = account.sandbox
    sandbox.load(
        to_do(number, *(f"Thing {dice.randrange(9)}" for _ in range(dice.randrange(4)))) for number in range(8)
    )
    hidden: set[str] = set()

    def change(store: Store) -> None:
        listed = sandbox.action_items()
        item = dice.choice(listed)["id"] if listed else None
        conversation = dice.choice(sandbox.ids(listable=False))
        match dice.randrange(7):
            case 0 | 1 if item:
                sandbox.change_item(item, completed=dice.random() < 0.7)
            case 2 if item:
                sandbox.change_item(item, description=f"Thing {dice.randrange(9)}")
            case 3 if item:
                sandbox.delete_item(item)
            case 4:
                sandbox.add_item(f"Thing {dice.randrange(9)}", conversation_id=dice.choice([None, conversation]))
            case 5 if conversation not in hidden:
                sandbox.edit(conversation, overview=f"Edited {dice.random()}")
                store.upsert([account.conversation(conversation)])
            case 6:
                hidden.symmetric_difference_update({conversation})
                store.set_hidden(conversation, conversation in hidden)

    async with account.copied() as process:
        for _ in range(30):
            await process.sync.refresh_items(anew=True)
            for _ in range(dice.randrange(1, 4)):
                change(process.store)
            await process.sync.refresh_items(anew=True)
            results, loose = search_to_do(process.store, "", Filters(), limit=50, offset=0)
            found = {
                (match.stored.conversation.id, item.description) for match in results.matches for item in match.to_do
            }
            still = [item for item in sandbox.action_items() if not item["completed"]]
            assert found == {
                (item["conversation_id"], item["description"])
                for item in still
                if item["conversation_id"] and item["conversation_id"] not in hidden
            }
            assert {item.id for item in loose} == {item["id"] for item in still if item["conversation_id"] is None}
