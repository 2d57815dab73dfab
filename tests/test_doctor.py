"""The doctor names what is wrong, and what to do about it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from omi_mcp.clock import SystemClock
from omi_mcp.doctor import Finding, examine
from omi_mcp.hosts import entries
from omi_mcp.hosts.entries import Launch
from omi_mcp.hosts.known import HOSTS, Machine
from omi_mcp.sandbox import Sandbox
from omi_mcp.sandbox.faults import Faults
from omi_mcp.settings import Settings

pytestmark = pytest.mark.anyio


class Dated(httpx.AsyncBaseTransport):
    """The sandbox behind a front that stamps its answers, `ahead` of this computer."""

    def __init__(self, sandbox: Sandbox, ahead: timedelta = timedelta()) -> None:
        self._through = sandbox.transport()
        self._ahead = ahead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
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


async def examined(settings: Settings, machine: Machine, transport: httpx.AsyncBaseTransport) -> dict[str, Finding]:
    found = [finding async for finding in examine(settings, machine, SystemClock(), transport=transport)]
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


async def test_each_host_is_looked_at_where_its_configuration_lies(
    sandbox: Sandbox, settings: Settings, machine: Machine, tmp_path: Path
) -> None:
    there, key = tmp_path / "omi-mcp", tmp_path / "api-key"
    there.touch(mode=0o755)
    key.touch()
    now = SystemClock().now()
    for name, launch in (
        ("cursor", Launch(str(there), (), {"OMI_API_KEY_FILE": str(key)})),
        ("codex", Launch(str(tmp_path / "gone" / "omi-mcp"))),
        ("gemini", Launch("omi-mcp")),
        ("windsurf", Launch(str(there), (), {"OMI_API_KEY_FILE": str(tmp_path / "no-key")})),
    ):
        entries.install(HOSTS[name], HOSTS[name].config(machine), launch, now)
    HOSTS["claude-code"].config(machine).write_text('{"mcpServers": {}}')
    broken = HOSTS["vscode"].config(machine)
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    found = await examined(settings, machine, Dated(sandbox))
    assert {
        check: found[check].level for check in ("Cursor", "Codex", "Gemini CLI", "Windsurf", "VS Code", "Claude Code")
    } == {
        "Cursor": "ok",
        "Codex": "problem",
        "Gemini CLI": "problem",
        "Windsurf": "problem",
        "VS Code": "problem",
        "Claude Code": "note",
    }
    assert "command does not exist" in found["Codex"].found
    assert "key file does not exist" in found["Windsurf"].found
    assert "Claude Desktop" not in found
    assert "hosts" not in found


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
