"""What every command line promises: it is documented, and its errors are one helpful line."""

import io
import os
import subprocess
import sys
from pathlib import Path

import command_line
import pytest
from command_kit import Account, live, talk

from omi_mcp import cli
from omi_mcp.api.errors import NotConfigured, OmiError, RateLimited, Refused
from omi_mcp.commands import mirror
from omi_mcp.sandbox import Faults
from omi_mcp.views.errors import explain
from omi_mcp.views.text import duration

COMMANDS = dict(command_line.commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for action in COMMANDS[name]._actions:
        assert action.help or action.dest == "action" or action.choices, action
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name].parse_args(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for action in COMMANDS[name]._actions for option in action.option_strings)


def test_the_page_has_every_command_and_option() -> None:
    assert command_line.documented() == command_line.document(), "python -m tests.commands.command_line writes it"


def test_the_page_has_every_exit_code() -> None:
    assert "3 not all could be done now" in cli.EPILOG
    page = command_line.PAGE.read_text("utf-8")
    assert all(f"| {code} |" in page for code in (0, 1, 2, 3))


WRONG = {
    "an unknown category": (["search", "x", "--category", "foo"], 2, "personal, education"),
    "a date nobody can read": (["search", "--start", "soonish"], 2, "--start"),
    "dates the wrong way round": (["search", "--start", "2025-02", "--end", "2025-01"], 2, "exchange"),
    "a limit out of range": (["search", "--limit", "0"], 2, "--limit"),
    "an unknown folder": (["search", "x", "--folder", "Attic"], 1, "no such folder"),
    "an unknown id": (["show", "nowhere"], 1, "no conversation with this id"),
    "a time nobody can read": (["show", "harbour", "--at", "noon"], 2, "--at"),
    "a time beyond the end": (["show", "harbour", "--at", "9:00:00"], 2, "long"),
    "a segment beyond the end": (["show", "harbour", "--segment", "99"], 2, "between 0 and"),
    "words nobody said": (["show", "harbour", "--find", "zeppelin"], 1, "nobody says"),
    "a speaker who is not there": (["show", "harbour", "--speaker", "Zoe"], 2, "Ana"),
    "a file that is not there": (["import", "nowhere.vtt"], 1, "No such file"),
    "a start for several files": (["import", "a.txt", "b.txt", "--started", "2025-01-01"], 2, "single file"),
    "a start nobody can read": (["import", "a.txt", "--started", "recently"], 2, "--started"),
    "an export into a file": (["export", __file__], 1, "is a file"),
    "an export since never": (["export", "out", "--since", "never"], 2, "--since"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_command_line_ends_with_one_line_that_helps(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, code, helps = WRONG[what]
    monkeypatch.chdir(tmp_path)

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        ended = await account.run(*arguments)
        assert ended.code == code
        (line,) = [line for line in ended.err.splitlines() if "omi-mcp: " in line or "No such file" in line]
        assert helps in line
        assert "Traceback" not in ended.err

    live(story, tmp_path)


def test_what_the_api_has_is_named_in_one_clean_sentence(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", folder="Trips\x1b[31m")])
        ended = await account.run("search", "x", "--folder", "Attic")
        assert ended.err.endswith("Folders: Trips[31m.\n")

    live(story, tmp_path)


def test_nobody_is_sent_to_copy_where_nothing_is_kept(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        account.sandbox.faults = Faults.parse("503@get")
        ended = await account.run("search", "harbour", mirror="memory")
        assert "1 transcript is not copied" in ended.err
        assert "omi-mcp sync" not in ended.err

    live(story, tmp_path)


def test_an_option_of_serving_before_another_command_is_refused_not_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["--demo", "search", "harbour"])
    assert ended.value.code == 2
    assert "unrecognized arguments: search harbour" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port=8765", "--host=127.0.0.1"])
def test_an_address_is_refused_where_nothing_is_served_at_one(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["serve", option]) == 2
    assert "--transport http" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["sandbox"], ["serve", "--transport", "http"]])
@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_there_is_not_is_refused_with_those_that_there_are(
    command: list[str], port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run([*command, f"--port={port}"])
    assert ended.value.code == 2
    assert "0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["search", "x"], ["show", "x"], ["sync"], ["export", "out"], ["import", "talk.txt"]]
)
def test_without_a_key_or_with_a_wrong_one_the_way_to_one_is_shown(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.txt").write_text("Ana: Shall we?\nBen: Yes.\nAna: Good.\nBen: Fine.\n")

    async def story(account: Account) -> None:
        for key in (None, "omi_dev_" + "0" * 32):
            ended = await account.run(*arguments, api_key=key)
            assert ended.code == 1
            assert "Settings > Developer" in ended.err
            assert "0" * 32 not in ended.err

    live(story, tmp_path)


def _all(kind: type[OmiError]) -> set[type[OmiError]]:
    return {kind}.union(*(_all(each) for each in kind.__subclasses__()))


def test_no_error_of_the_library_is_left_without_words() -> None:
    for kind in _all(OmiError):
        error = kind.__new__(kind)
        error.__dict__.update(retry_after=60.0, scope=None, wrong_family=False, status=500, problems=(), detail="")
        words = explain(error).person
        assert words.endswith(".")
        assert "\n" not in words


def test_words_of_an_error_say_what_was_wrong_and_make_nothing_up() -> None:
    space = NotConfigured("the Omi API key has a space")
    assert explain(space).person.startswith("the Omi API key has a space: create")
    assert "OMI_API_BASE_URL" in explain(Refused(404, "there is no such route: check OMI_API_BASE_URL")).person
    assert explain(RateLimited("")).person.endswith("run this again later.")
    assert explain(RateLimited("", retry_after=240.0)).person.endswith("run this again in 4 minutes.")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (3600, "60 minutes"), (7290, "2 hours 2 minutes")],
)
def test_waiting_times_are_rounded_up(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def run(
    tmp_path: Path, *arguments: str, stdout: int = subprocess.PIPE, **changes: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    env = {**kept, "OMI_MCP_DATA_DIR": str(tmp_path / "data"), "OMI_API_KEY": "omi_dev_x", **changes}
    env |= {"OMI_API_BASE_URL": "http://127.0.0.1:9", "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    command = [sys.executable, "-m", "omi_mcp", *arguments]
    return subprocess.run(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("arguments", [("doctor",), ("completion", "bash"), ("install", "cursor", "--print")])
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    nobody, written = os.pipe()
    os.close(nobody)
    ended = run(tmp_path, *arguments, stdout=written, HOME=str(tmp_path))
    os.close(written)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_real_process_ends_the_same_way(tmp_path: Path) -> None:
    ended = run(tmp_path, "search", "x")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("omi-mcp: the Omi API could not be reached")
    assert len(ended.stderr.splitlines()) == 1


def test_what_other_keys_left_is_told_and_deleted_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        await account.run("sync")
        assert "of other keys" not in (await account.run("mirror", "status")).out
        for key in ("omi_dev_mistyped", "omi_dev_other"):
            await account.run("search", "x", api_key=key)
        assert "2 copies" in (await account.run("mirror", "status")).out
        assert (await account.run("mirror", "status", "--json")).json["other_keys"]["copies"] == 2
        options = cli.parser().parse_args(["mirror", "purge", "--others", "--yes"])
        assert mirror.purge(account.settings, options) == 0
        assert "Deleted" in capsys.readouterr().out
        status = (await account.run("mirror", "status", "--json")).json
        assert (status["conversations"], status["other_keys"]) == (1, {"copies": 0, "bytes": 0})

    live(story, tmp_path)


def test_purging_needs_a_yes_and_takes_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    async def story(account: Account) -> None:
        def purge(*arguments: str) -> tuple[int, str, str]:
            options = cli.parser().parse_args(["mirror", "purge", *arguments])
            return mirror.purge(account.settings, options), *capsys.readouterr()

        data = account.settings.data_dir
        account.sandbox.load([talk("harbour")])
        await account.run("sync")
        (data / "mirror-0123456789abcdef.sqlite3").write_text("another account's")
        code, _, said = purge()
        assert code == 2
        assert "--yes" in said
        assert purge("--yes")[1].startswith("Deleted 1 file ")
        assert [file.name for file in data.iterdir()] == ["mirror-0123456789abcdef.sqlite3"]
        assert "no copy" in purge("--yes")[1]
        assert purge("--all", "--yes")[0] == 0
        assert list(data.iterdir()) == []

    live(story, tmp_path)
