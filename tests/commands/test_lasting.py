"""What is kept whatever becomes of the copy: creates under way, what was imported, and what was hidden."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from command_kit import Account, live, talk

from omi_mcp import cli
from omi_mcp.api.drafts import draft_text
from omi_mcp.api.errors import OutcomeUnknown
from omi_mcp.commands import mirror
from omi_mcp.database import Database
from omi_mcp.library import Library
from omi_mcp.sandbox import Faults
from omi_mcp.writes import Created
from omi_mcp.writes.journal import Entry, Journal
from omi_mcp.writes.lasting import Imported


def purge(account: Account) -> None:
    options = cli.parser("mirror").parse_args(["mirror", "purge", "--yes"])
    assert mirror.purge(account.settings, options) == 0
    assert not account.settings.mirror_file.exists()


async def create(account: Account) -> Created | None:
    """None where its outcome is not known."""
    library = Library(account.settings, transport=account.sandbox.transport(), clock=account.clock)
    async with library.running(syncing=False):
        with suppress(OutcomeUnknown):
            return await library.create_from_text(draft_text("Buy milk.", now=account.clock.now()), dated=False)
    return None


def test_a_purge_tells_of_open_creates_and_keeps_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(account: Account) -> None:
        await account.run("sync")
        account.sandbox.faults = Faults.parse("drop-after@writes, refuse@reads")
        assert await create(account) is None
        purge(account)
        assert "1 create is still open" in capsys.readouterr().out
        account.sandbox.faults = Faults.parse("")
        created = await create(account)
        assert created is not None
        assert created.repeated
        assert [created.receipt.id] == account.sandbox.ids()
        await account.run("sync")
        purge(account)
        assert "still open" not in capsys.readouterr().out

    live(story, tmp_path)


@pytest.mark.parametrize("purged", [False, True])
def test_what_an_earlier_release_kept_in_the_copy_is_taken_over(tmp_path: Path, purged: bool) -> None:
    async def story(account: Account) -> None:
        instant = account.clock.now() + timedelta(microseconds=7)
        account.sandbox.load([talk("harbour", began=instant.isoformat())])
        await account.run("sync")
        old = Database(account.settings.mirror_file)
        Journal(old, account.clock).book(Entry("lost", instant, account.clock.now()), again=False)
        Imported(old).note({"session": "harbour"})
        old.close()
        if purged:
            purge(account)
        library = Library(account.settings, transport=account.sandbox.transport(), clock=account.clock)
        async with library.running(syncing=False):
            assert await library.imported(["session"]) == {"session": "harbour"}
            await account.clock.sleep(3600)
        kept = Database(account.settings.account_file)
        found = Journal(kept, account.clock).earlier("lost")
        assert found is not None
        assert found.receipt is not None
        assert found.receipt.id == "harbour"
        kept.close()
        mirrored = Database(account.settings.mirror_file)
        with mirrored.reading() as connection:
            tables = {row["name"] for row in connection.execute("select name from sqlite_master")}
        assert not tables & {"creates", "imports"}
        mirrored.close()

    live(story, tmp_path)


def test_what_was_hidden_from_here_is_known_after_a_purge(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen")])
        await account.run("sync")
        await account.run("hide", "harbour")
        purge(account)
        account.sandbox.faults = Faults.parse("refuse")
        assert [each["id"] for each in (await account.run("restore", "--json")).json] == ["harbour"]
        assert "(not copied)" in (await account.run("restore")).out
        account.sandbox.faults = Faults.parse("")
        assert [each["title"] for each in (await account.run("restore", "--json")).json] == ["About the harbour"]
        await account.run("sync")
        assert "harbour" not in (await account.run("search", "winter")).out
        await account.run("restore", "harbour")
        purge(account)
        assert (await account.run("restore", "--json")).json == []

    live(story, tmp_path)
