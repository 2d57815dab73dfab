"""Where the copy is kept, and what is served when the API cannot be asked."""

from pathlib import Path

import pytest
from hosting import Connect, call, refusal, talk

from omi_mcp.sandbox import Faults, Sandbox

pytestmark = pytest.mark.anyio


async def test_the_copy_on_disk_outlives_the_server_and_is_its_owners_alone(
    connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        await call(client, "search_conversations")
        await call(client, "get_conversation", conversation_id="harbour")
    asked = len(sandbox.requests)
    sandbox.faults = Faults.parse("503")
    async with connect() as client:
        assert (await call(client, "search_conversations", query="winter season"))["matched"] == 1
        assert "sentence-3" in (await call(client, "get_conversation", conversation_id="harbour"))["transcript"]["text"]
    (file,) = tmp_path.glob("*.sqlite3")
    assert file.stat().st_mode & 0o077 == 0
    assert sandbox.key not in file.name
    assert sandbox.key.encode() not in file.read_bytes()
    assert asked > 0


async def test_nothing_is_written_to_disk_with_the_copy_in_memory(
    connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.load([talk("harbour")])
    async with connect(mirror="memory") as client:
        assert (await call(client, "search_conversations", query="harbour"))["matched"] == 1
    assert list(tmp_path.iterdir()) == []


async def test_without_a_copy_titles_and_summaries_are_searched_and_it_says_so(
    connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.load([talk(f"walk-{number}", days_ago=number) for number in range(1, 151)])
    async with connect(mirror="off") as client:
        answer = await call(client, "search_conversations", query='"walk-140"')
        assert answer["conversations"][0]["id"] == "walk-140"
        assert answer["coverage"]["conversations"] == 150
        assert answer["coverage"]["transcripts"] == 0
        assert "OMI_MCP_MIRROR=off" in answer["coverage"]["note"]
        assert "try again" not in answer["coverage"]["note"]
        read = await call(client, "get_conversation", conversation_id="walk-140", find="sentence-7")
        assert read["moments"][0]["segment"] == 7
        created = await call(client, "create_from_text", text="Dinner with Ana: she wants to sell the orchard in May.")
        assert created["status"] == "created"
        await call(client, "discard", conversation_id="walk-1")
        assert (await call(client, "search_conversations"))["matched"] == 150
    assert list(tmp_path.iterdir()) == []


async def test_without_a_copy_what_the_allowance_leaves_is_searched_and_the_wait_is_told(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk(f"walk-{number}", days_ago=number) for number in range(1, 151)])
    async with connect(mirror="off") as client:
        for _ in range(13):
            assert (await call(client, "search_conversations"))["matched"] == 150
        for _ in range(2):
            answer = await call(client, "search_conversations")
            assert answer["matched"] == 100
            assert "none of the older ones" in answer["coverage"]["note"]
            assert "kept for searching and reading, which go on. Try again at" in answer["coverage"]["note"]


async def test_without_a_copy_nobody_is_told_to_wait_for_one(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect(mirror="off", profile="search-fetch") as client:
        said = await refusal(client, "search", query="zeppelin")
        assert "OMI_MCP_MIRROR=off" in said
        assert "Copying" not in said


async def test_where_sqlite_cannot_search_text_the_way_out_is_told(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.mirror.index.fts.TOKENIZER", "none of this SQLite")
    async with connect() as client:
        assert "Run the server with a Python that has it" in await refusal(client, "search_conversations")
        assert "Nothing was created" in await refusal(client, "create_from_text", text="Buy milk.")


async def test_with_the_api_down_and_nothing_copied_the_reason_is_told(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.faults = Faults.parse("refuse")
    async with connect() as client:
        assert "could not be reached" in await refusal(client, "search_conversations")
        sandbox.faults = Faults.parse("")
        sandbox.load([talk("harbour")])
        assert (await call(client, "search_conversations"))["matched"] == 1


async def test_with_the_hourly_limit_reached_what_is_copied_is_served_and_the_wait_is_told(
    connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        await call(client, "search_conversations")
        sandbox.load([talk("kitchen")])
        sandbox.faults = Faults.parse("429=1800")
        said = await refusal(client, "get_conversation", conversation_id="kitchen")
        assert "hourly limit" in said
        assert "30 minutes" in said
        assert (await call(client, "search_conversations", query="harbour"))["matched"] == 1


async def test_a_login_page_in_place_of_the_api_is_named(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.faults = Faults.parse("html")
    async with connect() as client:
        told = await refusal(client, "search_conversations")
        assert "What answered is not the Omi API" in told
        assert "OMI_API_BASE_URL" in told
