"""Deleting is for good, so it has to be allowed, asked for and confirmed, and is never claimed falsely."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hosting import call, refusal, talk, text_of
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from virtual_time import VirtualLoop
from writing_kit import Account

pytestmark = pytest.mark.anyio

eras = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    account = Account(tmp_path)
    account.sandbox.load([talk("harbour"), talk("kitchen")])
    yield account
    account.sandbox.close()


class Person:
    """Someone at a host that can ask, with an answer ready."""

    def __init__(self, action: str, **content: Any) -> None:
        self._answer = ElicitResult.model_validate({"action": action, "content": content or None})
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return self._answer


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


@eras
async def test_what_has_no_title_is_named_by_its_first_words(account: Account, mode: str) -> None:
    account.sandbox.load([talk("attic", title="", overview="", words={0: "Good\nmorning, attic."})])
    shown = '(no title) "Good morning, attic."'
    async with account.server(mode, allow_delete=True) as client:
        found = await call(client, "search_conversations", query="attic")
        listed = await call(client, "search_conversations")
        read = await call(client, "get_conversation", conversation_id="attic")
        brief = await call(client, "get_conversation", conversation_id="attic", include_transcript=False)
        card = next(each for each in listed["conversations"] if each["id"] == "attic")
        assert {found["conversations"][0]["title"], card["title"], read["title"], brief["title"]} == {shown}
        attached = {str(each.uri): each.title or "" for each in (await client.list_resources()).resources}
        assert attached["omi://conversations/attic"].startswith(shown)
        assert "current title" in await refusal(
            client, "delete_conversation", conversation_id="attic", confirm_title="Good morning, attic."
        )
        await call(client, "delete_conversation", conversation_id="attic", confirm_title=read["title"])


@eras
async def test_the_tool_is_only_there_when_it_is_allowed(account: Account, mode: str) -> None:
    async with account.server(mode) as client:
        assert "delete_conversation" not in await names(client)
    async with account.server(mode, allow_delete=True, read_only=True) as client:
        assert "delete_conversation" not in await names(client)
    async with account.server(mode, allow_delete=True) as client:
        tool = next(t for t in (await client.list_tools()).tools if t.name == "delete_conversation")
    assert tool.annotations is not None
    assert tool.annotations.destructive_hint is True
    assert tool.annotations.read_only_hint is False
    assert sorted(tool.input_schema["properties"]) == ["confirm_title", "conversation_id"]


@eras
async def test_a_host_that_can_ask_asks_the_person(account: Account, mode: str) -> None:
    person = Person("accept", delete=True)
    async with account.server(mode, allow_delete=True, elicitation=person) as client:
        assert (await call(client, "search_conversations"))["matched"] == 2
        answer = await call(client, "delete_conversation", conversation_id="harbour")
        assert (await call(client, "search_conversations"))["matched"] == 1
    assert answer["status"] == "deleted"
    assert "Memories and action items" in answer["note"]
    assert len(person.asked) == 1
    assert '"About the harbour"' in person.asked[0]
    assert "cannot be brought back" in person.asked[0]
    assert account.saved() == ["kitchen"]


@eras
@pytest.mark.parametrize(
    "person", [Person("accept", delete=False), Person("decline"), Person("cancel")], ids=["no", "decline", "cancel"]
)
async def test_whoever_does_not_agree_keeps_the_conversation(account: Account, mode: str, person: Person) -> None:
    async with account.server(mode, allow_delete=True, elicitation=person) as client:
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
    assert said.endswith("Nothing was deleted.")
    assert account.saved() == ["harbour", "kitchen"]


@eras
async def test_a_form_that_is_filled_in_wrongly_deletes_nothing(account: Account, mode: str) -> None:
    async with account.server(mode, allow_delete=True, elicitation=Person("accept", delete="perhaps")) as client:
        said = await refusal(client, "delete_conversation", conversation_id="harbour")
    assert said.endswith("Nothing was deleted.")
    assert account.saved() == ["harbour", "kitchen"]


@eras
@pytest.mark.parametrize("content", [None, {}, {"other": 1}, {"delete": None}])
async def test_a_form_that_comes_back_empty_deletes_nothing(
    account: Account, mode: str, content: dict[str, Any] | None
) -> None:
    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult.model_validate({"action": "accept", "content": content})

    async with account.server(mode, allow_delete=True, elicitation=answer) as client:
        said = await refusal(client, "delete_conversation", conversation_id="harbour")
    assert said.endswith("Nothing was deleted.")
    assert "omi_mcp" not in said
    assert account.saved() == ["harbour", "kitchen"]


@eras
async def test_elsewhere_the_current_title_confirms(account: Account, mode: str) -> None:
    async with account.server(mode, allow_delete=True) as client:
        for wrong in ({}, {"confirm_title": "About the kitchen"}, {"confirm_title": ""}):
            said = await refusal(client, "delete_conversation", conversation_id="harbour", **wrong)
            assert said.endswith("Nothing was deleted.")
            assert "confirm_title" in said
            assert "About the harbour" not in said
        account.sandbox.edit("harbour", title="Renamed in the app")
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
        assert said.endswith("Nothing was deleted.")
        await call(client, "delete_conversation", conversation_id="harbour", confirm_title="Renamed in the app")
    assert account.saved() == ["kitchen"]


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "504", "html"])
async def test_a_lost_answer_is_resolved(account: Account, fault: str) -> None:
    account.break_down(f"{fault}@delete#1")
    async with account.server(allow_delete=True) as client:
        await call(client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour")
    assert account.saved() == ["kitchen"]


async def test_a_deletion_that_nothing_confirms_is_neither_claimed_nor_denied(account: Account) -> None:
    account.break_down("drop-before@delete")
    async with account.server(allow_delete=True) as client:
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
    assert "may or may not be gone" in said
    assert account.saved() == ["harbour", "kitchen"]


@pytest.mark.parametrize("spec", ["429=600@delete", "refuse@delete", "503@get"])
async def test_every_definite_failure_says_that_nothing_was_deleted(account: Account, spec: str) -> None:
    account.break_down(spec)
    async with account.server(allow_delete=True) as client:
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
    assert "Nothing was deleted." in said
    assert account.saved() == ["harbour", "kitchen"]


@pytest.mark.parametrize("conversation_id", ["nowhere", "../keys"])
async def test_what_is_not_there_is_not_deleted(account: Account, conversation_id: str) -> None:
    async with account.server(allow_delete=True) as client:
        said = await refusal(client, "delete_conversation", conversation_id=conversation_id, confirm_title="x")
    assert "Nothing was deleted." in said


async def test_a_locked_conversation_cannot_be_deleted(account: Account) -> None:
    account.sandbox.lock("harbour")
    async with account.server(allow_delete=True) as client:
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
    assert "Nothing was deleted." in said


async def test_a_key_that_may_not_write_deletes_nothing(account: Account) -> None:
    async with account.server(allow_delete=True, api_key=account.sandbox.read_only_key) as client:
        said = await refusal(
            client, "delete_conversation", conversation_id="harbour", confirm_title="About the harbour"
        )
    assert "conversations:write" in said
    assert "Nothing was deleted." in said


async def test_a_text_that_was_deleted_can_be_saved_again(account: Account) -> None:
    async with account.server(allow_delete=True) as client:
        first = await call(client, "create_from_text", text="Buy milk.")
        result = await client.call_tool(
            "delete_conversation", {"conversation_id": first["id"], "confirm_title": "Buy milk"}
        )
        assert not result.is_error, text_of(result)
        again = await call(client, "create_from_text", text="Buy milk.")
    assert again["status"] == "created"
    assert again["id"] in account.saved()
