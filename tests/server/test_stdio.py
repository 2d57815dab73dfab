"""What only a real process shows: the wire, the probes of hosts, signals, and what is logged."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hosting import call, segments_of
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from omi_mcp.clock import SystemClock
from omi_mcp.database import Database
from omi_mcp.sandbox import Sandbox
from omi_mcp.sandbox.serve import serving as served
from omi_mcp.transports.stdio import refusal
from omi_mcp.writes.journal import Journal

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
}
DISCOVER = {"jsonrpc": "2.0", "id": "probe", "method": "server/discover", "params": {"_meta": ENVELOPE}}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    return {**kept, "OMI_MCP_DATA_DIR": str(tmp_path), "OMI_MCP_TIMEZONE": "UTC", **changes}


@contextmanager
def serving(tmp_path: Path, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "omi_mcp", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(tmp_path, **changes),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def send(process: subprocess.Popen[str], *messages: dict[str, Any]) -> None:
    assert process.stdin is not None
    for message in messages:
        process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def receive(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    message: dict[str, Any] = json.loads(process.stdout.readline())
    return message


@pytest.mark.exhaustive
@pytest.mark.parametrize("pipelined", [True, False])
def test_a_probe_before_the_handshake_on_one_pipe_is_survived(tmp_path: Path, pipelined: bool) -> None:
    with serving(tmp_path, "--demo") as server:
        if pipelined:
            send(server, DISCOVER, INITIALIZE)
            discovered = receive(server)
        else:
            send(server, DISCOVER)
            discovered = receive(server)
            send(server, INITIALIZE)
        assert discovered["id"] == "probe"
        assert "2026-07-28" in discovered["result"]["supportedVersions"]
        assert receive(server)["result"]["protocolVersion"] == "2025-06-18"
        send(server, INITIALIZED, request(2, "tools/list"))
        assert len(receive(server)["result"]["tools"]) == 6


def test_the_answer_to_a_probe_is_what_the_sdk_itself_would_say(tmp_path: Path) -> None:
    """The probe is answered outside the SDK; a second one, after a real request, is answered inside."""
    with serving(tmp_path, "--demo") as server:
        send(server, DISCOVER)
        outside = receive(server)["result"]
        listing = request(2, "tools/list", _meta=ENVELOPE)
        send(server, listing)
        receive(server)
        send(server, DISCOVER)
        assert outside == receive(server)["result"]


def test_a_modern_connection_still_refuses_a_late_handshake(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        send(server, request(2, "tools/list", _meta=ENVELOPE))
        assert receive(server)["result"]["tools"]
        send(server, INITIALIZE)
        assert receive(server)["error"]["code"] == -32022


def test_the_end_of_input_ends_the_process_cleanly(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        send(server, INITIALIZE, INITIALIZED, request(2, "tools/call", name="search_conversations", arguments={}))
        receive(server)
        output, errors = server.communicate(timeout=30)
        assert server.returncode == 0
        assert errors == ""
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in output.splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_with_the_database_closed(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(tmp_path, OMI_API_KEY="omi_dev_x", OMI_API_BASE_URL="http://127.0.0.1:9") as server:
        search = request(2, "tools/call", name="search_conversations", arguments={})
        send(server, INITIALIZE, INITIALIZED, search)
        receive(server)
        assert "could not be reached" in receive(server)["result"]["content"][0]["text"]
        server.send_signal(number)
        assert server.wait(timeout=30) == code  # before the input is closed, which ends it too
        _, errors = server.communicate()
        assert "Traceback" not in errors
    assert list(tmp_path.glob("*.sqlite3"))
    assert not list(tmp_path.glob("*-wal"))


def test_garbage_on_the_wire_does_not_end_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        assert server.stdin is not None
        server.stdin.write("\n{]\n[]\n" + "x" * 100_000 + "\n")
        send(server, INITIALIZE)
        assert [receive(server)["error"]["code"] for _ in range(3)] == [-32700, -32600, -32700]
        assert receive(server)["result"]["serverInfo"]["name"] == "omi"


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (
            '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{"query":"\\ud83d"}}}',
            -32602,
            7,
        ),
        ('{"method":"tools/call","params":{"query":"\\ud83d"},"jsonrpc":"2.0","id":"seven"}', -32602, "seven"),
        ('{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":', -32700, 8),
        ('{"method":"tools/call","params":{"name":},"jsonrpc":"2.0","id":9}', -32700, 9),
        ("{]", -32700, None),
        ("[]", -32600, None),
        ('{"jsonrpc":"2.0","id":10,"method":5}', -32600, 10),
    ],
)
def test_a_line_that_cannot_be_read_is_answered(line: str, code: int, number: int | str | None) -> None:
    answer = refusal(line)
    assert answer is not None
    assert (answer.error.code, answer.id) == (code, number)


@pytest.mark.parametrize(
    "line",
    ['{"jsonrpc":"2.0","method":"x","params":"\\ud83d"}', '{"jsonrpc":"2.0","id":3,"result":{"a":"\\ud83d"}}'],
)
def test_a_line_that_nobody_waits_for_is_not_answered(line: str) -> None:
    assert refusal(line) is None


@pytest.mark.exhaustive
def test_half_a_character_in_a_query_is_answered_on_the_wire(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        send(server, INITIALIZE, INITIALIZED)
        receive(server)
        send(server, request(2, "tools/call", name="search_conversations", arguments={"query": "\ud83d boat"}))
        answer = receive(server)
        assert (answer["id"], answer["error"]["code"]) == (2, -32602)
        send(server, request(3, "tools/list"))
        assert receive(server)["id"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("both", [True, False])
def test_a_host_that_dies_leaves_nothing_behind(tmp_path: Path, both: bool) -> None:
    """It closes what it reads, and with it, or never, what it writes; with a call under way, which goes nowhere."""
    with serving(tmp_path, "--demo") as server:
        send(server, INITIALIZE, INITIALIZED)
        receive(server)
        search = request(2, "tools/call", name="search_conversations", arguments={})
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stderr is not None
        send(server, search)
        server.stdout.close()
        if both:
            server.stdin.close()
        assert server.wait(timeout=30) == 0
        assert server.stderr.read() == ""


@pytest.mark.exhaustive
def test_a_wrong_setting_is_refused_at_start_with_its_name_and_what_is_accepted(tmp_path: Path) -> None:
    for name, value, accepted in (
        ("OMI_MCP_MIRROR", "ram", "disk, memory"),
        ("OMI_MCP_TIMEZONE", "Mars/Base", "Europe/Berlin"),
        ("OMI_MCP_READ_ONLY", "maybe", "on, off"),
        ("OMI_MCP_LOG_LEVEL", "loud", "WARNING"),
        ("OMI_API_BASE_URL", "http://example.com", "https"),
    ):
        with serving(tmp_path, OMI_API_KEY="omi_dev_secret", **{name: value}) as server:
            output, errors = server.communicate(timeout=30)
            assert server.returncode == 2
            assert output == ""
            assert name in errors
            assert accepted in errors
            assert value not in errors or name == "OMI_API_BASE_URL"
            assert "secret" not in errors


@pytest.fixture
def account(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The address and key of a sandbox that another process serves."""
    box = subprocess.Popen(
        [sys.executable, "-m", "omi_mcp", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with box:
        assert box.stdout is not None
        try:
            yield dict(box.stdout.readline().strip().split("=", 1) for _ in range(2))
        finally:
            box.terminate()


@pytest.mark.anyio
async def test_the_whole_path_over_a_network_with_nothing_secret_in_the_log(
    account: dict[str, str], tmp_path: Path
) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "omi_mcp"],
        env=environment(tmp_path, **account, OMI_MCP_LOG_LEVEL="DEBUG"),
    )
    with (tmp_path / "log").open("w+") as log:
        async with Client(stdio_client(parameters, errlog=log)) as client:
            created = await call(client, "create_from_segments", segments=segments_of("the lighthouse keeper"))
            found = await call(client, "search_conversations", query="lighthouse keeper")
            assert found["conversations"][0]["id"] == created["id"]
            read = await call(client, "get_conversation", conversation_id=created["id"])
            assert "lighthouse" in read["transcript"]["text"]
        log.seek(0)
        logged = log.read()
    assert account["OMI_API_KEY"] not in logged
    assert "/v1/dev" not in logged
    assert "lighthouse" not in logged


RECORDING = """WEBVTT

00:00:01.000 --> 00:00:09.000
Ana: The ferry leaves from the northern pier at dawn, and the lighthouse keeper sells his boat to the doctor.
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("stopped_by", ["notifications/cancelled", "SIGTERM", "Ctrl-C in import"])
@pytest.mark.anyio
async def test_a_write_that_is_out_when_it_is_stopped_is_finished_noted_and_followed_by_none(
    tmp_path: Path, stopped_by: str
) -> None:
    importing = stopped_by == "Ctrl-C in import"
    files = [tmp_path / f"meeting {number}.vtt" for number in range(2)]
    for number, file in enumerate(files):
        file.write_text(RECORDING.replace("dawn", f"{number + 5} o'clock"))
    arguments = ["import", *map(str, files)] if importing else []
    create = request(2, "tools/call", name="create_from_segments", arguments={"segments": segments_of("the boat")})
    stop = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
    arrived, stopped = anyio.Event(), anyio.Event()

    async def think() -> None:
        arrived.set()
        await stopped.wait()
        await anyio.sleep(0.5)  # it is heard meanwhile

    with Sandbox() as sandbox:
        sandbox.pause = think
        async with served(sandbox) as url:
            with serving(tmp_path, *arguments, OMI_API_KEY=sandbox.key, OMI_API_BASE_URL=url) as process:
                if not importing:
                    send(process, INITIALIZE, INITIALIZED, create)
                with anyio.fail_after(60):
                    await arrived.wait()
                if stopped_by == "notifications/cancelled":
                    send(process, stop)
                else:
                    process.send_signal(signal.SIGINT if importing else signal.SIGTERM)
                stopped.set()
                _, errors = await anyio.to_thread.run_sync(process.communicate)
        assert "Traceback" not in errors
        assert [asked.status for asked in sandbox.requests if asked.method == "POST"] == [200]
        (saved,) = sandbox.ids()
    (file,) = tmp_path.glob("account-*.sqlite3")
    database = Database(file)
    journal = Journal(database, SystemClock())
    assert journal.open() == []
    with database.reading() as connection:
        assert [row["conversation_id"] for row in connection.execute("select * from creates")] == [saved]
    database.close()


def test_a_start_loads_neither_a_database_nor_what_operators_need() -> None:
    code = "import sys, omi_mcp.server, omi_mcp.commands.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "omi_mcp.server" in loaded
    assert not {"sqlite3", "psycopg", "prometheus_client", "omi_mcp.database", "omi_mcp.transports.http"} & set(loaded)
