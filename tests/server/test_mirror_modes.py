"""Where the copy is kept, and what is served when the API cannot be asked."""

from pathlib import Path

import pytest
import virtual_time
from hosting import Connect, call, refusal, talk
from writing_kit import Account

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


def test_what_is_new_is_warned_of_only_where_it_could_be_meant(tmp_path: Path) -> None:
    async def story() -> None:
        account = Account(tmp_path)
        account.sandbox.load([talk("harbour", days_ago=0)])
        async with account.server() as client:
            await call(client, "search_conversations")
            account.break_down("refuse")
            await account.clock.sleep(4 * 3600)
            for asked, warned in (("harbour in March 2024", False), ("harbour since March 2024", True), ("", True)):
                answer = await call(client, "search_conversations", query=asked)
                assert ("may be missing" in answer["coverage"].get("note", "")) is warned, asked
                assert answer["coverage"]["complete"] is not warned
        account.sandbox.close()

    virtual_time.run(story)
