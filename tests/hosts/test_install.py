"""Installing into hosts: each host's own file, as it really looks, keeps everything that is not ours."""

import json
import os
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.hosts import HOSTS, Change, Host, Launch, Machine, TemporaryInstall, UnusableConfig, document, entries

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
LAUNCH = Launch("/opt/omi/bin/omi-mcp", (), {"OMI_API_KEY_FILE": "/home/ana/.config/omi-mcp/api-key"})
ASKING = Launch("/opt/omi/bin/omi-mcp", (), {"OMI_API_KEY": "${input:omi-api-key}"})

# What these hosts' files look like in use: other servers, settings that are not about servers, several styles.
REAL: dict[str, str] = {
    "claude-desktop": """{
  "mcpServers": {
    "filesystem": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/ana/Desktop"]}
  },
  "globalShortcut": "Ctrl+Space",
  "preferences": {"menuBarEnabled": false, "sidebarMode": "chat"}
}
""",
    "claude-code": json.dumps(
        {
            "numStartups": 184,
            "installMethod": "native",
            "tipsHistory": {"new-user-warmup": 3},
            "projects": {
                "/home/ana/work": {
                    "allowedTools": [],
                    "history": [{"display": "gr\u00fc\u00dfe \U0001f600", "pastedContents": {}}],
                    "mcpServers": {"local": {"type": "stdio", "command": "node", "args": ["x.js"], "env": {}}},
                    "lastCost": 0.1234567890123,
                }
            },
            "oauthAccount": {"accountUuid": "00000000-0000-4000-8000-000000000000"},
            "mcpServers": {"sentry": {"type": "http", "url": "https://mcp.example/mcp"}},
        },
        indent=2,
        ensure_ascii=False,
    ),
    "cursor": """{
\t"mcpServers": {
\t\t"remote": {
\t\t\t"url": "https://mcp.example/mcp",
\t\t\t"headers": {"Authorization": "Bearer ${env:TOKEN}"}
\t\t}
\t}
}""",
    "vscode": """{
    "inputs": [
        {"type": "promptString", "id": "gh", "description": "GitHub token", "password": true}
    ],
    "servers": {
        "github": {"type": "http", "url": "https://mcp.example/", "headers": {"Authorization": "Bearer ${input:gh}"}}
    }
}
""",
    "codex": """# my settings
model = "gpt-5-codex"   # the good one
approval_policy = "on-request"

[mcp_servers.docs]
command = "npx"
args = ["-y", "docs-server"]  # pinned below
startup_timeout_sec = 20

[mcp_servers.docs.env]
TOKEN = "x"

[projects."/home/ana/work"]
trust_level = "trusted"
""",
    "gemini": """{
  "security": {"auth": {"selectedType": "oauth-personal"}},
  "ui": {"theme": "Default"},
  "mcpServers": {"tools": {"httpUrl": "https://mcp.example/mcp", "timeout": 5000, "trust": false}}
}""",
    "windsurf": """{
  "mcpServers": {
    "git": {"command": "uvx", "args": ["mcp-server-git"], "disabled": true, "disabledTools": ["git_push"]}
  }
}
""",
}


def launch_for(host: Host) -> Launch:
    return ASKING if host.asks_for_key else LAUNCH


def install(host: Host, path: Path) -> Change:
    return entries.install(host, path, launch_for(host), NOW)


def read(host: Host, path: Path) -> dict[str, Any]:
    text = path.read_bytes().decode("utf-8")
    found: dict[str, Any] = tomllib.loads(text) if host.format == "toml" else json.loads(text)
    return found


def without_ours(host: Host, document: dict[str, Any]) -> dict[str, Any]:
    document[host.section].pop("omi", None)
    if "inputs" in document:
        document["inputs"] = [one for one in document["inputs"] if one["id"] != "omi-api-key"]
    return document


@pytest.fixture(params=list(HOSTS))
def host(request: pytest.FixtureRequest) -> Host:
    return HOSTS[request.param]


@pytest.fixture
def config(host: Host, tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_bytes(REAL[host.name].encode())
    return path


def test_there_is_a_real_file_for_every_host() -> None:
    assert set(REAL) == set(HOSTS)


def test_the_entry_comes_in_and_everything_else_stays(host: Host, config: Path) -> None:
    before = read(host, config)
    change = install(host, config)
    after = read(host, config)
    entry = after[host.section]["omi"]
    assert change.changed
    assert entry["command"] == "/opt/omi/bin/omi-mcp"
    assert entry["env"] == launch_for(host).environment
    assert entry.get("type") == ("stdio" if host.typed else None)
    assert without_ours(host, after) == before


def test_the_file_before_is_kept_beside_it_byte_for_byte(host: Host, config: Path) -> None:
    change = install(host, config)
    assert change.backup == config.with_name("config.20260314T092653.backup")
    assert change.backup.read_bytes().decode() == REAL[host.name]


def test_doing_it_again_changes_nothing_and_makes_no_backup(host: Host, config: Path) -> None:
    install(host, config)
    once = config.read_bytes()
    assert install(host, config) == Change(config, changed=False)
    assert config.read_bytes() == once
    assert len(list(config.parent.iterdir())) == 2


def test_uninstall_undoes_it(host: Host, config: Path) -> None:
    before = read(host, config)
    install(host, config)
    assert entries.installed(host, config)
    assert entries.uninstall(host, config, NOW).changed
    assert read(host, config) == before
    assert entries.installed(host, config) is None
    assert entries.uninstall(host, config, NOW) == Change(config, changed=False)


def test_a_host_that_has_no_file_yet_gets_one_that_only_the_owner_reads(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "config"
    assert entries.uninstall(host, path, NOW) == Change(path, changed=False)
    assert not path.parent.exists()
    assert install(host, path) == Change(path, changed=True)
    assert list(read(host, path)[host.section]) == ["omi"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_style_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for text, expected in (
        (REAL["cursor"], '\n\t\t"omi": {\n\t\t\t"command"'),
        (REAL["vscode"], '\n        "omi": {\n            "type"'),
        ('{"a": "gr\u00fc\u00dfe"}', "gr\u00fc\u00dfe"),
        (r'{"a": "gr\u00fc\u00dfe"}', r"gr\u00fc\u00dfe"),
    ):
        path.write_text(text, encoding="utf-8")
        install(HOSTS["vscode" if "servers" in text else "cursor"], path)
        written = path.read_text(encoding="utf-8")
        assert expected in written
        assert written.endswith("\n") == text.endswith("\n")


def test_the_comments_of_a_toml_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(REAL["codex"])
    install(HOSTS["codex"], path)
    written = path.read_text()
    assert [line for line in REAL["codex"].splitlines() if line not in written.splitlines()] == []


COMMENTED = """\
// My servers. "mcpServers" of other hosts: https://example//
{
    /* the token is asked for */
    "inputs": [
        {"type": "promptString", "id": "gh", "description": "a // token", "password": true}, // once
    ],
    "servers": {
        // "old": {"command": "omi-mcp"},
        "github": {"type": "http", "url": "https://mcp.example/"} // no comma here
        /* "omi": {} */
    },
    "version": 1.0, // as it was written
}
"""


def test_comments_and_last_commas_stay_where_the_host_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(COMMENTED)
    install(HOSTS["vscode"], path)
    written = path.read_text()
    assert entries.installed(HOSTS["vscode"], path) == entries.entry(HOSTS["vscode"], ASKING)
    assert '"url": "https://mcp.example/"}, // no comma here\n        /* "omi": {} */\n        "omi": {\n' in written
    assert '        },\n    ],\n    "servers"' in written
    entries.uninstall(HOSTS["vscode"], path, NOW)
    assert path.read_text() == COMMENTED


GAPS = st.sampled_from(("", " ", "\n", "\r\n\t", ' // x " , }\n', '/* { , " */', "\n  // a\n\n  /*b\n*/ "))
SCALARS = st.sampled_from(("1.0", "-2e3", "true", "null", '"a // b"', '"\\u00fc, }"', '"omi"', "[]", "{}"))


@st.composite
def members(draw: st.DrawFn, opening: str, values: list[str]) -> str:
    text = opening
    for place, value in enumerate(values):
        last = place == len(values) - 1
        comma = draw(st.sampled_from(("", ","))) if last else ","
        text += draw(GAPS) + value + draw(GAPS) + comma
    return text + draw(GAPS) + {"{": "}", "[": "]"}[opening]


@st.composite
def configurations(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(("a", "b", "omi2")), unique=True, max_size=3))
    servers = draw(members("{", [f'"{name}"{draw(GAPS)}:{draw(GAPS)}{draw(SCALARS)}' for name in names]))
    inputs = draw(members("[", draw(st.lists(SCALARS, max_size=2))))
    parts = draw(st.permutations([f'"servers":{draw(GAPS)}{servers}', f'"inputs": {inputs}', '"c": [1, {"d": 2}]']))
    return draw(GAPS) + draw(members("{", parts)) + draw(GAPS)


@given(configurations(), st.booleans())
def test_whatever_a_file_looks_like_it_is_the_same_again_without_the_entry(text: str, renewed: bool) -> None:
    host, launch = HOSTS["vscode"], Launch("/bin/omi-mcp", ("--demo",), {"OMI_API_KEY": "${input:omi-api-key}"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mcp.json"
        path.write_bytes(text.encode())
        before = document.parse(text, "jsonc")
        entries.install(host, path, launch, NOW)
        if renewed:
            launch = Launch("/bin/python", ("-m", "omi_mcp", "--profile", "full"), launch.environment)
            entries.install(host, path, launch, NOW)
        assert entries.installed(host, path) == entries.entry(host, launch)
        for comment in ('// x " , }', '/* { , " */', "  // a", "/*b"):
            assert path.read_bytes().decode().count(comment) == text.count(comment)
        entries.uninstall(host, path, NOW)
        after = path.read_bytes().decode()
        assert document.parse(after, "jsonc") == before
        assert "".join(after.split()) == "".join(text.split())


def test_nothing_else_in_a_file_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for text in (
        '{"mcpServers": {"x": {}, "x": {"command": "y"}}, "n": 1.50e2}',
        '{"a": "\\ud800\u00fc\\/",\n"mcpServers": {"b": {}}}',
        '{\r\n"a": 1,\n\n\n  "mcpServers": {"b": {"command": "c"}\n}}',
    ):
        path.write_bytes(text.encode())
        assert install(HOSTS["claude-desktop"], path).changed
        entries.uninstall(HOSTS["claude-desktop"], path, NOW)
        assert path.read_bytes().decode() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        'model = "x"\n# the end',
        'mcp_servers = { docs = { command = "x" } }\n',
        '[mcp_servers]\ndocs.command = "x"\n\n',
        '[mcp_servers.docs]\ncommand="x"\n[projects."/a"]\ntrust = "y"\n[mcp_servers.b]\ncommand="y"\n',
        '[mcp_servers.docs]\r\ncommand = "x"\r\n\r\n[other]\r\na = 1\r\n',
    ],
)
def test_a_toml_file_of_any_order_takes_the_entry_and_gives_it_back(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode())
    for arguments in (("--demo",), ("--profile", "full")):
        launch = Launch(LAUNCH.command, arguments, LAUNCH.environment)
        change = entries.install(HOSTS["codex"], path, launch, NOW)
        assert change.after == entries.entry(HOSTS["codex"], launch)
        assert read(HOSTS["codex"], path)["mcp_servers"]["omi"] == change.after
    entries.uninstall(HOSTS["codex"], path, NOW)
    assert path.read_bytes().decode().split() == text.split()


def test_windows_line_ends_stay_and_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xef\xbb\xbf" + REAL["gemini"].replace("\n", "\r\n").encode())
    assert install(HOSTS["gemini"], path).changed
    written = path.read_bytes()
    assert written.count(b"\r\n") == written.count(b"\n") > 3
    assert json.loads(written)["mcpServers"]["omi"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "mcp.json", tmp_path / "mcp.json"
    real.parent.mkdir()
    real.write_text(REAL["cursor"])
    real.chmod(0o640)
    link.symlink_to(real)
    change = install(HOSTS["cursor"], link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert change.backup is not None
    assert change.backup.stat().st_mode & 0o777 == 0o640


BROKEN: tuple[tuple[str, str, str], ...] = (
    ("cursor", '{"mcpServers": {', "not valid JSON"),
    ("cursor", "hello", "not valid JSON"),
    ("cursor", '{"a": NaN}', "not valid JSON"),
    ("cursor", "[1, 2]", "other than a JSON object"),
    ("cursor", '{"mcpServers": []}', "not a table"),
    ("claude-desktop", '// mine\n{"mcpServers": {"url": {"url": "https://x//y"}}}', "comments"),
    ("claude-code", '{"mcpServers": {"a": {"command": "b"},},}', "trailing commas"),
    ("vscode", '{"servers": {"a" /* b */ 1}}', "not valid JSON"),
    ("vscode", '{"servers": {}} // end\n{}', "not valid JSON"),
    ("vscode", '{"servers": {} /* no end', "not valid JSON"),
    ("vscode", '{"servers": ' + 100_000 * "[" + 100_000 * "]" + "}", "not valid JSON"),
    ("vscode", '{"servers": {}, "inputs": {}}', "inputs"),
    ("codex", "[mcp_servers\nx = 1", "not valid TOML"),
    ("codex", "mcp_servers = 3", "not a table"),
    ("gemini", '{"mcpServers": {"omi": {"httpUrl": "https://api.example/mcp"}}}', "another server"),
    ("gemini", '{"mcpServers": {"omi": "x"}}', "another server"),
)


@pytest.mark.parametrize(("name", "text", "why"), BROKEN)
def test_a_file_that_cannot_be_changed_without_harm_is_left_as_it_is(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnusableConfig, match=why):
        install(HOSTS[name], path)
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("broken", [{"env": None}, {"env": []}, {"args": 3}, {"args": "-m omi_mcp"}])
def test_an_entry_in_no_form_that_hosts_take_is_mended(tmp_path: Path, broken: dict[str, Any]) -> None:
    path = tmp_path / "config"
    for text in ({"mcpServers": {"omi": {"command": "/x/omi-mcp", **broken}}}, {"mcpServers": None}):
        path.write_text(json.dumps(text))
        assert install(HOSTS["cursor"], path).changed
        assert entries.installed(HOSTS["cursor"], path) == entries.entry(HOSTS["cursor"], LAUNCH)


def test_a_file_that_was_made_read_only_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("{}")
    path.chmod(0o444)
    with pytest.raises(UnusableConfig, match="read-only"):
        install(HOSTS["cursor"], path)
    assert path.read_text() == "{}"


def test_what_is_not_text_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe{\x00}\x00")
    with pytest.raises(UnusableConfig, match="UTF-8"):
        install(HOSTS["cursor"], path)


def test_what_a_person_added_to_the_entry_stays_when_it_is_renewed(host: Host, config: Path) -> None:
    install(host, config)
    text = config.read_text(encoding="utf-8")
    if host.format == "toml":
        text = text.replace(
            "[mcp_servers.omi.env]", 'startup_timeout_sec = 30\n\n[mcp_servers.omi.env]\nOMI_MCP_READ_ONLY = "on"'
        )
    else:
        document = json.loads(text)
        document[host.section]["omi"] |= {"startup_timeout_sec": 30, "args": ["--old"]}
        document[host.section]["omi"]["env"]["OMI_MCP_READ_ONLY"] = "on"
        text = json.dumps(document)
    config.write_text(text, encoding="utf-8")
    renewed = Launch("/new/python", ("-m", "omi_mcp"), {"OMI_API_KEY_FILE": "/new/key"})
    assert entries.install(host, config, renewed, NOW).changed
    entry = read(host, config)[host.section]["omi"]
    assert entry["command"] == "/new/python"
    assert entry["args"] == ["-m", "omi_mcp"]
    assert entry["startup_timeout_sec"] == 30
    assert entry["env"] == {"OMI_MCP_READ_ONLY": "on", "OMI_API_KEY_FILE": "/new/key"}


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ({"command": "/x/.venv/bin/omi-mcp"}, True),
        ({"command": "C:\\Users\\ana\\omi\\Scripts\\omi-mcp.exe"}, True),
        ({"command": "/usr/bin/python3", "args": ["-m", "omi_mcp", "--demo"]}, True),
        ({"command": "uvx", "args": ["omi-conversations-mcp"]}, True),
        ({"command": "/x/other-omi-mcp"}, False),
        ({"url": "https://api.omi.me/v1/mcp"}, False),
        ({"command": None, "args": None}, False),
        ("omi-mcp", False),
        (None, False),
    ],
)
def test_only_an_entry_that_starts_this_server_is_its_own(entry: Any, own: bool) -> None:
    assert entries.is_own(entry) is own


LINUX = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
}
MACOS = LINUX | {
    "claude-desktop": "Library/Application Support/Claude/claude_desktop_config.json",
    "vscode": "Library/Application Support/Code/User/mcp.json",
}
WINDOWS = LINUX | {
    "claude-desktop": "AppData/Roaming/Claude/claude_desktop_config.json",
    "vscode": "AppData/Roaming/Code/User/mcp.json",
}


@pytest.mark.parametrize(("platform", "places"), [("linux", LINUX), ("darwin", MACOS), ("win32", WINDOWS)])
def test_each_host_is_looked_for_where_it_looks_itself(
    host: Host, tmp_path: Path, platform: str, places: dict[str, str]
) -> None:
    assert host.config(Machine(platform, tmp_path, {})) == tmp_path / places[host.name]


@pytest.mark.parametrize(
    ("name", "platform", "variable", "relative"),
    [
        ("claude-desktop", "linux", "XDG_CONFIG_HOME", "Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "APPDATA", "Claude/claude_desktop_config.json"),
        ("vscode", "win32", "APPDATA", "Code/User/mcp.json"),
        ("claude-code", "linux", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "darwin", "CODEX_HOME", "config.toml"),
    ],
)
def test_a_folder_that_was_moved_by_a_variable_is_found(
    tmp_path: Path, name: str, platform: str, variable: str, relative: str
) -> None:
    moved = tmp_path / "elsewhere"
    assert HOSTS[name].config(Machine(platform, tmp_path, {variable: str(moved)})) == moved / relative


def test_the_packaged_claude_desktop_of_windows_is_found_where_it_can_see(tmp_path: Path) -> None:
    package = tmp_path / "AppData" / "Local" / "Packages" / "Claude_abc123" / "LocalCache" / "Roaming"
    package.mkdir(parents=True)
    found = HOSTS["claude-desktop"].config(Machine("win32", tmp_path, {}))
    assert found == package / "Claude" / "claude_desktop_config.json"


@pytest.fixture
def bin_folder(tmp_path: Path) -> Callable[..., Path]:
    def made(*names: str) -> Path:
        for name in names:
            (tmp_path / name).touch()
        return tmp_path

    return made


def test_the_command_is_absolute_and_prefers_the_script_beside_python(bin_folder: Callable[..., Path]) -> None:
    folder = bin_folder("python")
    assert entries.own_command(folder / "python") == (str(folder / "python"), ("-m", "omi_mcp"))
    bin_folder("omi-mcp", "python.exe", "omi-mcp.exe")
    assert entries.own_command(folder / "python") == (str(folder / "omi-mcp"), ())
    assert entries.own_command(folder / "python.exe") == (str(folder / "omi-mcp.exe"), ())


def test_a_throw_away_environment_is_not_installed_anywhere() -> None:
    with pytest.raises(TemporaryInstall):
        entries.own_command(Path("/home/ana/.cache/uv/archive-v0/x1/bin/python"))


def test_a_command_is_tried_before_a_host_is_told_to_use_it() -> None:
    assert entries.starts(sys.executable, ("-c", "print('omi-mcp 1.0')"))
    assert not entries.starts(sys.executable, ("-c", "print('something else')"))
    assert not entries.starts(sys.executable, ("-c", "print('omi-mcp 1.0'); raise SystemExit(1)"))
    assert not entries.starts(str(Path(sys.executable).with_name("no-such-command")), ())
