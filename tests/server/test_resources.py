"""What a person attaches: cards, transcripts, the list of the recent ones, and completion of ids."""

import json

import pytest
from hosting import Connect, call, refusal, talk
from mcp import MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def test_the_card_is_what_the_tool_says_without_the_transcript(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", folder="Trips")])
    async with connect() as client:
        (content,) = (await client.read_resource("omi://conversations/harbour")).contents
        assert isinstance(content, TextResourceContents)
        card = json.loads(content.text)
        tool = await call(client, "get_conversation", conversation_id="harbour", include_transcript=False)
        assert card == {key: value for key, value in tool.items() if key != "note"}
        assert card["folder"] == "Trips"
        assert content.mime_type == "application/json"


async def test_the_transcript_is_whole(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", minutes=300)])
    async with connect() as client:
        (content,) = (await client.read_resource("omi://conversations/harbour/transcript")).contents
        assert isinstance(content, TextResourceContents)
        assert content.mime_type == "text/plain"
        assert "sentence-0 " in content.text
        assert "sentence-1199 " in content.text
        assert content.text.startswith("[00:00:00] Ana: ")


async def test_the_recent_ones_are_listed_page_by_page_with_title_and_date(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk(f"walk-{number}", days_ago=number, segments=[]) for number in range(1, 121)])
    async with connect() as client:
        listed, cursor = [], None
        while True:
            page = await client.list_resources(cursor=cursor)
            listed += page.resources
            if (cursor := page.next_cursor) is None:
                break
        assert [str(resource.uri) for resource in listed if "transcript" not in str(resource.uri)] == [
            f"omi://conversations/walk-{number}" for number in range(1, 121)
        ]
        assert listed[0].title is not None
        assert listed[0].title.startswith("About the walk-1 (20")
        assert listed[0].annotations is not None


@pytest.mark.parametrize(
    "uri", ["omi://conversations/nowhere", "omi://conversations/nowhere/transcript", "omi://other"]
)
async def test_what_is_not_there_is_not_found(connect: Connect, uri: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
        assert refused.value.error.code == -32602
        assert refused.value.error.data == {"uri": uri}


@pytest.mark.parametrize("uri", ["omi://conversations/..%2Fkeys", "omi://conversations/../keys"])
async def test_an_address_cannot_leave_its_route(connect: Connect, sandbox: Sandbox, uri: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError):
            await client.read_resource(uri)
    assert all(served.path.startswith("/v1/dev/user/") for served in sandbox.requests)


async def test_a_conversation_made_from_text_has_no_transcript_to_attach(connect: Connect) -> None:
    async with connect() as client:
        created = await call(client, "create_from_text", text="Dinner with Ana: she wants to sell the orchard in May.")
        uri = f"omi://conversations/{created['id']}"
        assert [str(r.uri) for r in (await client.list_resources()).resources] == [uri]
        with pytest.raises(MCPError, match="made from text"):
            await client.read_resource(f"{uri}/transcript")


async def test_a_locked_transcript_is_said_to_be_locked(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        await call(client, "get_conversation", conversation_id="harbour", include_transcript=False)
        sandbox.lock("harbour")
        assert "locked" in await refusal(client, "update_title", conversation_id="harbour", title="x")
        with pytest.raises(MCPError, match="locked by the plan"):
            await client.read_resource("omi://conversations/harbour/transcript")


async def test_a_foreign_cursor_of_the_list_is_refused(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match="cursor"):
            await client.list_resources(cursor="x'; drop table")


async def test_an_id_is_completed_by_words_of_the_title(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect() as client:
        await call(client, "search_conversations")
        for template in ("omi://conversations/{conversation_id}", "omi://conversations/{conversation_id}/transcript"):
            completed = await client.complete(
                ref=ResourceTemplateReference(type="ref/resource", uri=template),
                argument={"name": "conversation_id", "value": "about kitch"},
            )
            assert completed.completion.values == ["kitchen"]
