"""The doctor names what is wrong, and what to do about it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

import omi_mcp
from omi_mcp import cli
from omi_mcp.clock import SystemClock
from omi_mcp.commands.doctor.findings import Finding
from omi_mcp.commands.doctor.here import Start, examine
from omi_mcp.hosts import HOSTS, Launch, Machine, entries, trial
from omi_mcp.hosts.trial import NoServer
from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.settings import Settings, SettingsError
from tests.postgres_kit import ESCAPED, PASSWORD, PostgresServer

pytestmark = pytest.mark.anyio


NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
DEAD = "https://dead.example"

TOOLS = ["search_conversations", "get_conversation"]


class Dated(httpx.AsyncBaseTransport):
    """The sandbox behind a front that stamps its answers, `ahead` of this computer; nothing answers at DEAD."""

    def __init__(self, sandbox: Sandbox, ahead: timedelta = timedelta()) -> None:
        self._through = sandbox.transport()
        self._ahead = ahead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "dead.example":
            raise httpx.ConnectError("no route", request=request)
        answer = await self._through.handle_async_request(request)
        answer.headers["date"] = format_datetime(SystemClock().now() + self._ahead, usegmt=True)
        return answer


class Down(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return Settings(
        timezone=ZoneInfo("UTC"), data_dir=tmp_path / "data", api_key=sandbox.key, base_url=sandbox.base_url
    )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine("linux", tmp_path, {})


async def starts(command: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """In place of a process, where it is not about that."""
    if "fails" in arguments:
        raise NoServer("it does not serve: out of order")
    return TOOLS


async def examined(
    settings: Settings | SettingsError,
    machine: Machine,
    transport: httpx.AsyncBaseTransport,
    start: Start = starts,
) -> dict[str, Finding]:
    found = [finding async for finding in examine(settings, machine, SystemClock(), transport=transport, start=start)]
    assert all(finding.remedy for finding in found if finding.level == "problem")
    return {finding.check: finding for finding in found}


async def test_a_healthy_installation_has_no_problem(sandbox: Sandbox, settings: Settings, machine: Machine) -> None:
    found = await examined(settings, machine, Dated(sandbox))
    assert [finding for finding in found.values() if finding.level == "problem"] == []
    assert "conversations:write" in found["account"].found
    assert "0 conversations" in found["copy"].found
    assert "of about 60" in found["limit of reads"].found


async def test_a_python_that_cannot_search_text_is_told_as_what_it_is(
    sandbox: Sandbox, settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omi_mcp.mirror.index.fts.TOKENIZER", "none of this SQLite")
    found = await examined(settings, machine, Dated(sandbox))
    assert found["search"].level == "problem"
    assert "python.org" in (found["search"].remedy or "")
    assert "account" not in found


async def test_the_families_of_keys_are_told_apart(sandbox: Sandbox, settings: Settings, machine: Machine) -> None:
    for key, level, said in (
        (None, "problem", "no key"),
        ("omi_mcp_0123456789abcdef", "problem", "an MCP key"),
        ("sk-0123456789abcdef", "note", "does not look like"),
        ("omi_dev_wrong", "ok", "a developer key"),
    ):
        found = await examined(replace(settings, api_key=key), machine, Dated(sandbox))
        assert (found["key"].level, said in found["key"].found) == (level, True)
        assert ("account" in found) == (key is not None)
        if key:
            assert found["account"].level == "problem"
            assert key not in repr(found)


async def test_a_key_that_may_only_read_is_worth_a_note_where_writing_is_on(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    limited = replace(settings, api_key=sandbox.read_only_key)
    assert (await examined(limited, machine, Dated(sandbox)))["account"].level == "note"
    assert (await examined(replace(limited, read_only=True), machine, Dated(sandbox)))["account"].level == "ok"


async def test_an_api_that_is_down_is_one_problem_and_the_copy_is_still_looked_at(
    settings: Settings, machine: Machine
) -> None:
    found = await examined(settings, machine, Down())
    assert [finding.check for finding in found.values() if finding.level == "problem"] == ["api"]
    assert found["copy"].level == "ok"


@pytest.mark.parametrize(
    ("minutes", "level", "way"), [(0, "ok", "right"), (10, "problem", "behind"), (-10, "problem", "ahead")]
)
async def test_a_wrong_clock_is_noticed(
    sandbox: Sandbox, settings: Settings, machine: Machine, minutes: int, level: str, way: str
) -> None:
    found = await examined(settings, machine, Dated(sandbox, timedelta(minutes=minutes)))
    assert (found["clock"].level, way in found["clock"].found) == (level, True)


COMMAND = sys.executable
RUN = ("-m", "omi_mcp")

ENTRIES: dict[str, tuple[Launch, str, str]] = {
    "good": (Launch(COMMAND, RUN, {}), "ok", "connected, 2 tools"),
    "a key of the other family": (
        Launch(COMMAND, RUN, {"OMI_API_KEY": "omi_mcp_1", "OMI_API_BASE_URL": DEAD}),
        "problem",
        "an MCP key",
    ),
    "a wrong key": (Launch(COMMAND, RUN, {"OMI_API_KEY": "omi_dev_wrong"}), "problem", "could not be used"),
    "no key": (Launch(COMMAND, RUN, {"OMI_API_KEY": ""}), "problem", "no key"),
    "a dead address": (Launch(COMMAND, RUN, {"OMI_API_BASE_URL": DEAD}), "problem", DEAD),
    "no Omi API": (Launch(COMMAND, RUN, {"OMI_API_BASE_URL": "http://127.0.0.1/api"}), "problem", "127.0.0.1/api"),
    "no key file": (Launch(COMMAND, RUN, {"OMI_API_KEY": "", "OMI_API_KEY_FILE": "/no"}), "problem", "/no cannot be"),
    "no command": (Launch("/gone/omi-mcp"), "problem", "command does not exist: /gone/omi-mcp"),
    "a home that hosts do not know": (Launch("~/omi-mcp"), "problem", "do not know ~"),
    "no server": (Launch(COMMAND, (*RUN, "fails"), {}), "problem", "out of order"),
    "the sample library": (Launch(COMMAND, (*RUN, "--demo"), {"OMI_API_KEY": ""}), "ok", "sample library"),
    "a key of this shell": (Launch(COMMAND, RUN, {"OMI_API_KEY": "${env:MY_KEY}"}), "ok", "connected"),
    "asks itself": (Launch(COMMAND, RUN, {"OMI_API_KEY": "${input:omi-api-key}"}), "ok", "asks for the key itself"),
}


@pytest.mark.parametrize("what", ENTRIES)
async def test_an_entry_is_tried_with_its_own_settings(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, what: str
) -> None:
    launch, level, said = ENTRIES[what]
    machine = Machine("linux", tmp_path, {"MY_KEY": sandbox.key})
    environment = {"OMI_API_KEY": sandbox.key, "OMI_API_BASE_URL": sandbox.base_url, **(launch.environment or {})}
    host = HOSTS["vscode"]
    config = host.config(machine)
    config.parent.mkdir(parents=True)
    config.write_text('{\n  // mine\n  "servers": {},\n}')
    entries.install(host, config, Launch(launch.command, launch.arguments, environment), NOW)
    finding = (await examined(settings, machine, Dated(sandbox)))["VS Code"]
    assert (finding.level, said in finding.found) == (level, True), finding
    assert sandbox.key not in repr(finding)


async def test_one_key_in_many_hosts_costs_one_read(sandbox: Sandbox, settings: Settings, machine: Machine) -> None:
    environment = {"OMI_API_KEY": sandbox.key, "OMI_API_BASE_URL": sandbox.base_url}
    for host in HOSTS.values():
        entries.install(host, host.config(machine), Launch(COMMAND, RUN, environment), NOW)
    found = await examined(settings, machine, Dated(sandbox))
    assert {found[host.title].level for host in HOSTS.values()} == {"ok"}
    assert "hosts" not in found
    assert len([request for request in sandbox.requests if request.status == 200]) == 1
    await examined(settings, machine, Dated(sandbox))
    assert len([request for request in sandbox.requests if request.status == 200]) == 2


async def test_what_is_no_configuration_and_who_is_not_connected_is_told(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    HOSTS["claude-code"].config(machine).write_text('{"mcpServers": {}}')
    script = machine.home / "omi-mcp"
    script.touch(mode=0o755)
    for name, text in (
        ("vscode", "{"),
        ("claude-desktop", '{"mcpServers": {}} // mine'),
        ("windsurf", json.dumps({"mcpServers": {"omi": {"command": COMMAND, "args": RUN, "disabled": True}}})),
        ("gemini", json.dumps({"mcpServers": {"omi": {"command": str(script), "args": 3}}})),
    ):
        path = HOSTS[name].config(machine)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    found = await examined(settings, machine, Dated(sandbox))
    assert (found["VS Code"].level, found["Claude Desktop"].level) == ("problem", "problem")
    assert "comments" in found["Claude Desktop"].found
    assert (found["Gemini CLI"].level, "its args" in found["Gemini CLI"].found) == ("problem", True)
    assert (found["Claude Code"].level, found["Windsurf"].level) == ("note", "note")
    assert "Cursor" not in found


async def test_a_command_is_really_started_and_its_words_are_told(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    for name, zone in (("cursor", "Mars"), ("gemini", "UTC")):
        environment = {
            "OMI_API_KEY": sandbox.key,
            "OMI_API_BASE_URL": sandbox.base_url,
            "OMI_MCP_TIMEZONE": zone,
            "PYTHONPATH": str(Path(omi_mcp.__file__).parents[1]),
        }
        launch = Launch(COMMAND, RUN, environment)
        entries.install(HOSTS[name], HOSTS[name].config(machine), launch, NOW)
    found = await examined(settings, machine, Dated(sandbox), trial.start)
    assert found["Cursor"].level == "problem"
    assert "OMI_MCP_TIMEZONE: not a known timezone" in found["Cursor"].found
    assert "uninstall cursor" in (found["Cursor"].remedy or "")
    assert found["Gemini CLI"].level == "ok"
    assert "6 tools" in found["Gemini CLI"].found


@pytest.mark.parametrize("path", ["/api", "/v2"])
async def test_an_address_at_which_the_api_is_not_is_a_problem(
    sandbox: Sandbox, settings: Settings, machine: Machine, path: str
) -> None:
    found = await examined(replace(settings, base_url=sandbox.base_url + path), machine, Dated(sandbox))
    assert found["api"].level == found["account"].level == "problem"
    assert "OMI_API_BASE_URL" in found["api"].remedy
    assert list(settings.data_dir.parent.iterdir()) == []


async def test_a_setting_that_cannot_be_used_does_not_hide_the_hosts(sandbox: Sandbox, machine: Machine) -> None:
    HOSTS["claude-code"].config(machine).write_text("{")
    found = await examined(SettingsError("OMI_MCP_MIRROR: no."), machine, Dated(sandbox))
    assert (found["settings"].level, found["Claude Code"].level) == ("problem", "problem")


async def test_a_wrong_key_leaves_no_file(sandbox: Sandbox, settings: Settings, machine: Machine) -> None:
    await examined(replace(settings, api_key="omi_dev_wrong"), machine, Dated(sandbox))
    assert not settings.data_dir.exists()


async def test_no_key_for_the_terminal_is_no_problem_where_a_host_has_one(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    environment = {"OMI_API_KEY": sandbox.key, "OMI_API_BASE_URL": sandbox.base_url}
    entries.install(HOSTS["codex"], HOSTS["codex"].config(machine), Launch(COMMAND, RUN, environment), NOW)
    found = await examined(replace(settings, api_key=None), machine, Dated(sandbox))
    assert (found["key"].level, found["Codex"].level) == ("note", "ok")


async def test_without_any_host_the_way_to_connect_one_is_told(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    found = await examined(settings, machine, Dated(sandbox))
    assert "omi-mcp install HOST" in (found["hosts"].remedy or "")


async def test_limits_that_are_used_up_are_told_with_the_wait(
    sandbox: Sandbox, settings: Settings, machine: Machine
) -> None:
    sandbox.faults = Faults.parse("429=1800@key")
    found = await examined(settings, machine, Dated(sandbox))
    assert found["account"].level == "problem"
    assert found["limit of reads"].level == "note"
    assert "31 min" in (found["limit of reads"].remedy or "")


def test_the_command_goes_on_to_the_hosts_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("OMI_MCP_MIROR", "off")
    (tmp_path / ".claude.json").write_text("{}")
    assert cli.run(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    found = {finding["check"]: finding for finding in report["findings"]}
    assert "OMI_MCP_MIRROR" in found["settings"]["found"]
    assert found["Claude Code"]["remedy"] == "omi-mcp install claude-code"


async def test_the_database_that_machines_share_is_looked_at_and_its_password_never_told(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    async def told(url: str) -> Finding:
        found = await examined(settings, Machine("linux", tmp_path, {"OMI_MCP_DATABASE_URL": url}), Dated(sandbox))
        assert PASSWORD not in str(found)
        assert ESCAPED not in str(found)
        return found["database"]

    ready, empty = postgres_server.fresh_database(), postgres_server.empty_database()
    found = await told(ready)
    assert (found.level, found.remedy) == ("ok", None)
    assert f" at 127.0.0.1 port {postgres_server.port} answers, at migration 0001" in found.found
    found = await told(empty)
    assert (found.level, found.remedy) == ("problem", "Run omi-mcp migrate.")
    assert "without any migration" in found.found
    found = await told(ready.replace(ESCAPED, "another-word"))
    assert "does not answer" in found.found
    assert "another-word" not in found.found
    assert (await told("mysql://omi@db/omi")).level == "problem"
    assert "database" not in await examined(settings, Machine("linux", tmp_path, {}), Dated(sandbox))
