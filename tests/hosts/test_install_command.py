"""`omi-mcp install` and `uninstall` as a person runs them, in a home of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

PROJECT = Path(__file__).resolve().parents[2]
KEY = "omi_dev_0123456789abcdef"


def omi_mcp(home: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "XDG_"))}
    environment |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "APPDATA": str(home / "AppData" / "Roaming"),
        "LOCALAPPDATA": str(home / "AppData" / "Local"),
        "PYTHONPATH": str(PROJECT),
        **changes,
    }
    return subprocess.run(
        [sys.executable, "-m", "omi_mcp", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=60,
        check=False,
    )


def test_the_key_is_told_where_it_lies_and_stands_nowhere_else(tmp_path: Path) -> None:
    done = omi_mcp(tmp_path, "install", "cursor", OMI_API_KEY=KEY, OMI_MCP_READ_ONLY="on")
    assert done.returncode == 0, done.stderr
    config = tmp_path / ".cursor" / "mcp.json"
    entry = json.loads(config.read_text())["mcpServers"]["omi"]
    key_file = Path(entry["env"]["OMI_API_KEY_FILE"])
    assert key_file.read_text().strip() == KEY
    assert str(key_file) in done.stdout
    assert str(config) in done.stdout
    assert entry["env"]["OMI_MCP_READ_ONLY"] == "on"
    assert KEY not in config.read_text() + done.stdout + done.stderr
    gone = omi_mcp(tmp_path, "uninstall", "cursor")
    assert "disconnected" in gone.stdout
    assert str(key_file) in gone.stdout
    assert json.loads(config.read_text())["mcpServers"] == {}


@pytest.mark.anyio
async def test_the_entry_that_was_written_starts_a_server_that_answers(tmp_path: Path) -> None:
    assert omi_mcp(tmp_path, "install", "claude-desktop", "--demo").returncode == 0
    (config,) = tmp_path.rglob("claude_desktop_config.json")
    entry = json.loads(config.read_text())["mcpServers"]["omi"]
    assert Path(entry["command"]).is_absolute()
    parameters = StdioServerParameters(
        command=entry["command"],
        args=entry.get("args", []),
        env={**entry.get("env", {}), "PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
    )
    async with Client(parameters) as client:
        answer = await client.call_tool("search_conversations", {"query": "price"})
        assert not answer.is_error


def test_print_shows_what_to_paste_and_changes_nothing(tmp_path: Path) -> None:
    shown = omi_mcp(tmp_path, "install", "windsurf", "--print", OMI_API_KEY=KEY)
    assert json.loads(shown.stdout)["mcpServers"]["omi"]["env"] == {"OMI_API_KEY": "omi_dev_..."}
    assert KEY not in shown.stdout
    assert list(tmp_path.rglob("*api-key*")) == []
    assert list(tmp_path.rglob("*.json")) == []


def test_a_broken_configuration_is_left_alone_with_what_to_add_by_hand(tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {}')
    done = omi_mcp(tmp_path, "install", "cursor", "--demo", "--config", str(config))
    assert done.returncode == 1
    assert "was left as it is" in done.stderr
    assert '"--demo"' in done.stderr
    assert config.read_text() == '{"mcpServers": {}'


def test_without_a_key_the_host_is_connected_and_the_person_told_how_to_add_one(tmp_path: Path) -> None:
    done = omi_mcp(tmp_path, "install", "gemini")
    assert done.returncode == 0
    assert "There is no key yet" in done.stdout
    assert "env" not in json.loads((tmp_path / ".gemini" / "settings.json").read_text())["mcpServers"]["omi"]


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_unknown_host_is_answered_with_those_there_are(tmp_path: Path, command: str) -> None:
    done = omi_mcp(tmp_path, command, "emacs")
    assert done.returncode == 2
    assert "claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf" in done.stderr
