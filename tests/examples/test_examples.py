"""Every example runs as its first lines say, against the sample library or a served sandbox."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mcp import Client

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

pytestmark = pytest.mark.exhaustive

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    ours = {"OMI_MCP_DATA_DIR": str(tmp_path / "data"), "OMI_MCP_TIMEZONE": "UTC", "PYTHONPATH": str(REPOSITORY)}
    return kept | ours | changes


def run(tmp_path: Path, example: str, *arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / example, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(tmp_path, **changes),
        check=False,
    )


@pytest.fixture
def account(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The address and key of a served sandbox."""
    command = [sys.executable, "-m", "omi_mcp", "sandbox", "--port", "0", "--limits", "off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(tmp_path)) as box:
        assert box.stdout is not None
        try:
            yield dict(box.stdout.readline().strip().split("=", 1) for _ in range(2))
        finally:
            box.terminate()


@asynccontextmanager
async def sample_client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server over the sample library, in this process."""
    with Sandbox() as box:
        box.load_sample()
        settings = Settings(timezone=ZoneInfo("UTC"), data_dir=tmp_path, api_key=box.key, base_url=box.base_url)
        async with Client(build_server(settings, transport=box.transport())) as client:
            yield client


def loaded(example: str) -> Any:
    """The module of an example."""
    spec = spec_from_file_location(example, EXAMPLES / f"{example}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[example] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
async def test_a_question_is_answered_with_citations_from_the_newest_match(tmp_path: Path) -> None:
    ask = loaded("ask")
    async with sample_client(tmp_path) as client:
        answer = await ask.answer("price euros decision", ask.quote, client)
        assert "(Launch Readiness: 54 Euros and Pre-orders at the Fair, " in answer
        assert ", 00:0" in answer
        assert "Otter Review: Suppliers, Price 59, Later Launch" in answer
        assert "Nobody says anything about this" in await ask.answer("xylophone zeppelin", ask.quote, client)


def test_a_question_without_a_key_is_answered_with_the_way_to_one(tmp_path: Path) -> None:
    keyless = run(tmp_path, "ask.py", "anything")
    assert (keyless.returncode, keyless.stdout) == (1, "")
    assert "Settings > Developer" in keyless.stderr


@pytest.mark.anyio
async def test_a_meeting_is_uploaded_once(tmp_path: Path) -> None:
    upload = loaded("upload_meeting").upload
    lines = ("We sell the boat in May.", "Then I tell the doctor today.", "And who teaches her to sail?", "I will.")
    segments = [{"speaker": "AB"[n % 2], "text": t, "start": n * 4, "end": n * 4 + 3} for n, t in enumerate(lines)]
    async with sample_client(tmp_path) as client:
        first = await upload(client, segments, "2025-03-14T09:30")
        again = await upload(client, segments, "2025-03-14T09:30")
        assert first["status"] == "created"
        assert first["id"] == again["id"]
        with pytest.raises(RuntimeError, match="at least one segment"):
            await upload(client, [], "2025-03-14T09:30")


def test_a_file_is_uploaded_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "meeting.json"
    file.write_text('[{"speaker": "A", "text": "Hm.", "start": 0, "end": 1}]')
    ended = run(tmp_path, "upload_meeting.py", file, "--started", "2025-03-14T09:30", "--demo")
    assert ended.stdout.startswith("created: "), ended.stderr
    assert "hidden" in ended.stdout


def test_the_nightly_export_says_what_it_needs(tmp_path: Path) -> None:
    ended = run(tmp_path, "nightly_export.py")
    assert ended.returncode == 2
    assert ended.stderr == "usage: nightly_export.py FOLDER\n"


def test_the_nightly_export_is_quiet_unless_something_is_wrong(tmp_path: Path, account: dict[str, str]) -> None:
    folder = tmp_path / "notes" / "omi"
    ended = run(tmp_path, "nightly_export.py", folder, **account)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(list(folder.glob("*.md"))) == 30
    assert "exit 0: 30 of 30" in (tmp_path / "notes" / "omi-export.log").read_text("utf-8")
    wrong = run(tmp_path, "nightly_export.py", folder, **account | {"OMI_API_KEY": "omi_dev_wrong"})
    assert wrong.returncode == 1
    assert "does not accept the key" in wrong.stderr


def test_the_claude_desktop_configuration_is_what_install_writes(tmp_path: Path) -> None:
    config = json.loads((EXAMPLES / "claude_desktop_config.json").read_text("utf-8"))
    (server,) = config["mcpServers"].values()
    assert set(server) == {"command", "args", "env"}
    assert set(server["env"]) == {"OMI_API_KEY"}
    assert Path(server["command"]).name == "omi-mcp"
    assert server["args"] == []


@pytest.mark.skipif(find_spec("agents") is None, reason="needs the package openai-agents")
def test_an_agent_of_the_openai_sdk_finds_the_tools_and_uses_them(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, Path(__file__).parent / "scripted_agent.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(tmp_path, OPENAI_AGENTS_DISABLE_TRACING="1"),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "search_conversations, get_conversation" in ended.stdout
    assert "54 Euros" in ended.stdout
