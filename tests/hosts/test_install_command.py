"""`omi-mcp install` and `uninstall` as a person runs them, in a home of their own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from omi_mcp import cli
from omi_mcp.hosts import HOSTS, Machine, Saved, entries

PROJECT = Path(__file__).resolve().parents[2]
KEY = "omi_dev_0123456789abcdef"
NOBODY = "http://127.0.0.1:9"
"""Nothing is served at the port for discarding."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where a sandbox is served that accepts KEY."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    command = [sys.executable, "-m", "omi_mcp", "sandbox", "--port", "0", "--limits", "off", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**kept, "PYTHONPATH": str(PROJECT)}) as box:
        assert box.stdout is not None
        try:
            yield box.stdout.readline().strip().split("=", 1)[1]
        finally:
            box.terminate()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("OMI_", "XDG_")) or name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME"):
            monkeypatch.delenv(name)
    for name, folder in (("HOME", "."), ("USERPROFILE", "."), ("APPDATA", "roaming"), ("LOCALAPPDATA", "local")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(entries, "starts", lambda *_: True)  # it starts a process, and has a test of its own
    return tmp_path


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Done]


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, **variables: str) -> Done:
        with monkeypatch.context() as changed:
            for name, value in variables.items():
                changed.setenv(name, value)
            code = cli.run(arguments)
        return Done(code, *capsys.readouterr())

    return run


def entry(name: str = "cursor") -> dict[str, Any]:
    host = HOSTS[name]
    return dict(entries.installed(host, host.config(Machine.this())) or {})


def test_the_key_is_told_where_it_lies_and_stands_nowhere_else(home: Path, run: Run, address: str) -> None:
    done = run("install", "cursor", OMI_API_KEY=f'"{KEY}"', OMI_API_BASE_URL=address, OMI_MCP_READ_ONLY="on")
    assert done.code == 0, done.err
    config = home / ".cursor" / "mcp.json"
    assert entry()["env"] == {
        "OMI_API_BASE_URL": address,
        "OMI_API_KEY_FILE": str(Saved.here().key_file),
        "OMI_MCP_READ_ONLY": "on",
    }
    assert Saved.here().key_file.read_text().strip() == KEY
    assert str(Saved.here().key_file) in done.out
    assert str(config) in done.out
    assert KEY not in config.read_text() + done.out + done.err
    gone = run("uninstall", "cursor")
    assert "disconnected" in gone.out
    assert str(Saved.here().key_file) in gone.out
    assert json.loads(config.read_text())["mcpServers"] == {}


def test_the_terminal_uses_the_saved_key_at_its_address_and_says_so(run: Run, address: str, tmp_path: Path) -> None:
    data = {"OMI_MCP_DATA_DIR": str(tmp_path / "data")}
    assert "no Omi API key is set" in run("search", "price", **data).err
    run("install", "codex", OMI_API_KEY=KEY, OMI_API_BASE_URL=address)
    found = run("search", "price", "--json", **data)
    assert found.code == 0, found.err
    assert json.loads(found.out)["conversations"]
    assert f"`install` keeps for {address} is used" in found.err
    elsewhere = run("search", "price", OMI_API_BASE_URL=NOBODY, **data)
    assert "no Omi API key is set" in elsewhere.err
    assert f"is for {address}, and is not used elsewhere" in elsewhere.err
    other = run("search", "price", OMI_API_KEY="omi_dev_other", OMI_API_BASE_URL=address, **data)
    assert "does not accept the key" in other.err


@pytest.mark.parametrize("key", ["omi_dev_mistyped", "omi_mcp_0123456789abcdef"])
def test_a_key_that_is_not_accepted_replaces_none_and_is_installed_nowhere(run: Run, address: str, key: str) -> None:
    run("install", "cursor", OMI_API_KEY=KEY, OMI_API_BASE_URL=address)
    for place in (address, NOBODY, f"{address}/elsewhere"):
        done = run("install", "gemini", OMI_API_KEY=key, OMI_API_BASE_URL=place)
        assert done.code == 1
        assert "Nothing was installed." in done.err
        assert key not in done.err
        assert (Saved.here().key_file.read_text().strip(), Saved.here().base_url) == (KEY, address)
        assert entry("gemini") == {}


def test_a_key_that_cannot_be_tried_now_is_kept_where_there_is_no_other(run: Run) -> None:
    done = run("install", "cursor", OMI_API_KEY=KEY, OMI_API_BASE_URL=NOBODY)
    assert done.code == 0
    assert "could not be tried" in done.err
    again = run("install", "gemini")
    assert again.code == 0
    assert entry("gemini")["env"] == entry("cursor")["env"]


def test_a_second_run_changes_what_changed_and_nothing_else(run: Run, address: str) -> None:
    first = {"OMI_API_KEY": KEY, "OMI_API_BASE_URL": address}
    run("install", "cursor", "codex", **first, OMI_MCP_READ_ONLY="on", OMI_MCP_TIMEZONE="UTC")
    same = run("install", "cursor", OMI_MCP_READ_ONLY="on", OMI_MCP_TIMEZONE="UTC")
    assert "was connected already" in same.out
    off = run("install", "cursor", OMI_MCP_READ_ONLY="off", OMI_MCP_TIMEZONE="UTC")
    assert "OMI_MCP_READ_ONLY is now off" in off.out
    unset = run("install", "cursor")
    assert "OMI_MCP_READ_ONLY is no longer set" in unset.out
    assert set(entry()["env"]) == {"OMI_API_KEY_FILE", "OMI_API_BASE_URL"}
    moved = address.replace("127.0.0.1", "localhost")
    done = run("install", "cursor", OMI_API_BASE_URL=moved)
    assert f"OMI_API_BASE_URL is now {moved}" in done.out
    assert entry()["env"]["OMI_API_BASE_URL"] == Saved.here().base_url == moved
    assert "to bring it along: omi-mcp install codex" in done.out


def test_what_was_added_by_hand_stays_and_is_told(home: Path, run: Run, address: str) -> None:
    run("install", "cursor", OMI_API_KEY=KEY, OMI_API_BASE_URL=address)
    config = home / ".cursor" / "mcp.json"
    config.write_text(config.read_text().replace('"env": {', '"env": {\n        "OMI_MCP_READ_ONLY": "on",'))
    again = run("install", "cursor")
    assert "kept from the entry: OMI_MCP_READ_ONLY=on" in again.out
    assert entry()["env"]["OMI_MCP_READ_ONLY"] == "on"
    demo = run("install", "cursor", "--demo")
    assert "changed in" in demo.out
    assert entry()["args"][-1] == "--demo"
    run("install", "cursor")
    assert "--demo" not in entry().get("args", [])


def test_a_key_in_the_entry_itself_stays_where_there_is_no_other(home: Path, run: Run) -> None:
    config = home / ".gemini" / "settings.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"mcpServers": {"omi": {"command": "/old/omi-mcp", "env": {"OMI_API_KEY": KEY}}}}))
    done = run("install", "gemini")
    assert "in the entry itself" in done.out
    assert KEY not in done.out
    assert entry("gemini")["env"] == {"OMI_API_KEY": KEY}
    assert entry("gemini")["command"] != "/old/omi-mcp"


@pytest.mark.anyio
async def test_the_entry_that_was_written_starts_a_server_that_answers(home: Path, run: Run) -> None:
    assert run("install", "claude-desktop", "--demo").code == 0
    found = entry("claude-desktop")
    assert Path(found["command"]).is_absolute()
    parameters = StdioServerParameters(
        command=found["command"],
        args=found.get("args", []),
        env={**found.get("env", {}), "PYTHONPATH": str(PROJECT)},
        cwd=home,
    )
    async with Client(parameters) as client:
        answer = await client.call_tool("search_conversations", {"query": "price"})
        assert not answer.is_error


def test_print_shows_what_to_paste_and_changes_nothing(home: Path, run: Run) -> None:
    shown = run("install", "windsurf", "--print", OMI_API_KEY=KEY, OMI_API_BASE_URL=NOBODY)
    env = json.loads(shown.out)["mcpServers"]["omi"]["env"]
    assert env == {"OMI_API_KEY": "omi_dev_...", "OMI_API_BASE_URL": NOBODY}
    assert KEY not in shown.out
    assert list(home.iterdir()) == []


def test_a_broken_configuration_is_left_alone_with_what_to_add_by_hand(tmp_path: Path, run: Run) -> None:
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {}')
    done = run("install", "cursor", "--demo", "--config", str(config))
    assert done.code == 1
    assert "was left as it is" in done.err
    assert '"--demo"' in done.err
    assert config.read_text() == '{"mcpServers": {}'


def test_without_a_key_the_host_is_connected_and_the_person_told_how_to_add_one(run: Run) -> None:
    done = run("install", "gemini")
    assert done.code == 0
    assert "There is no key yet" in done.out
    assert "env" not in entry("gemini")


def test_a_setting_that_no_host_could_use_is_refused(run: Run) -> None:
    done = run("install", "gemini", OMI_MCP_TIMEZONE="Mars")
    assert done.code == 2
    assert "OMI_MCP_TIMEZONE" in done.err
    assert entry("gemini") == {}


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_unknown_host_is_answered_with_those_there_are(run: Run, command: str) -> None:
    done = run(command, "emacs")
    assert done.code == 2
    assert "claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf" in done.err


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_host_those_that_are_here_are_offered(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none was found here" in run("install").err
    for folder in (".cursor", ".gemini", ".codex"):
        (home / folder).mkdir()
    (home / ".claude.json").write_text("{}")
    told = run("install")
    assert told.code == 2
    assert "Found here: claude-code, cursor, codex, gemini." in told.err
    monkeypatch.setattr("sys.stdin", Typed("2, gemini\n"))
    picked = run("install", "--demo")
    assert picked.code == 0
    assert [name for name in HOSTS if entry(name)] == ["cursor", "gemini"]
    monkeypatch.setattr("sys.stdin", Typed("all\n"))
    assert run("uninstall").out.count("disconnected") == 2
    monkeypatch.setattr("sys.stdin", Typed(""))
    assert run("install").code == 2


def test_a_typed_key_that_is_not_accepted_is_asked_for_again(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["omi_dev_mistyped", f" {KEY} "])
    monkeypatch.setattr("sys.stdin", Typed())
    monkeypatch.setattr("omi_mcp.commands.install.getpass", lambda _: next(answers))
    done = run("install", "cursor", OMI_API_BASE_URL=address)
    assert done.code == 0
    assert "does not accept this key" in done.err
    assert Saved.here().key_file.read_text().strip() == KEY
