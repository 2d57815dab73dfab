"""Renaming, hiding, bringing back and deleting at a terminal; ids by their beginning; a shell that completes."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_kit import Account, live, talk

from omi_mcp import cli
from omi_mcp.terminal import wrapped


def test_a_conversation_is_renamed_hidden_listed_and_brought_back_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour-one"), talk("kitchen")])
        await account.run("sync")
        assert "The new pier" in (await account.run("rename", "harb", "The", "new", "pier")).out
        assert "The new pier" in (await account.run("search", "pier")).out
        assert (await account.run("hide", "harb")).code == 0
        assert "harbour" not in (await account.run("search")).out
        assert "Hidden from lists" in (await account.run("show", "harbour-one")).out
        assert [each["id"] for each in (await account.run("restore", "--json")).json] == ["harbour-one"]
        assert (await account.run("restore", "harb")).code == 0
        assert "pier" in (await account.run("search")).out
        assert "knows of no hidden" in (await account.run("restore")).err

    live(story, tmp_path)


def test_read_only_means_read_only(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        for command in (["rename", "harbour", "x"], ["hide", "harbour"], ["restore", "harbour"]):
            assert (await account.run(*command, read_only=True)).code == 2
        refused = await account.run("delete", "harbour", "--yes", read_only=True)
        assert (refused.code, "OMI_MCP_READ_ONLY is on" in refused.err) == (2, True)
        assert account.sandbox.requests == []
        assert (await account.run("restore", read_only=True)).code == 0

    live(story, tmp_path)


def test_a_beginning_of_several_ids_is_refused_with_them_and_nothing_is_done(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("talk"), talk("talk-1"), talk("talk-2")])
        await account.run("sync")
        refused = await account.run("hide", "talk-")
        assert (refused.code, "talk-1, talk-2" in refused.err) == (1, True)
        assert (await account.run("hide", "talk")).code == 0  # a whole id is meant as it is
        assert {each["id"] for each in (await account.run("restore", "--json")).json} == {"talk"}

    live(story, tmp_path)


def test_a_deletion_is_asked_for_and_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen")])
        await account.run("sync")
        nobody = await account.run("delete", "harb")
        assert (nobody.code, "Nothing was deleted" in nobody.err) == (2, True)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("builtins.input", lambda question: "n" if "About the harbour" in question else "y")
        refused = await account.run("delete", "harb")
        assert (refused.code, "Nothing was deleted" in refused.err) == (1, True)
        assert "About the kitchen" in (await account.run("delete", "kit")).out
        assert (await account.run("show", "kitchen")).code == 1
        assert (await account.run("delete", "harb", "--yes")).code == 0
        assert (await account.run("search")).out == ""

    live(story, tmp_path)


def test_a_reading_that_cannot_open_prints_nothing_before_it_says_so(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        assert (await account.run("show", "harbour", "--at", "foo")).out == ""

    live(story, tmp_path)


@pytest.mark.parametrize(
    ("typed", "said"), [("serach", "did you mean search?"), ("zzz", "commands are serve, install")]
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([typed]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.exhaustive
@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_every_command(shell: str) -> None:
    done = subprocess.run([sys.executable, "-m", "omi_mcp", "completion", shell], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("columns", [20, 60, 120])
def test_lines_are_wrapped_between_words_and_lose_none(columns: int) -> None:
    line = "    [00:00:10] \x1b[36mAna:\x1b[0m the 会議 begins at noon, and nobody is to be late this time again"
    shown = wrapped(line, columns)
    assert shown.split() == line.split()
    assert all(len(each.encode("gb18030")) - 9 * ("\x1b" in each) <= columns for each in shown.splitlines())
    assert all(each.startswith("    ") for each in shown.splitlines())
