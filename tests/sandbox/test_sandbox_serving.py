"""The sandbox as a server: on a socket of this machine, stopped cleanly, with faults that act on the connection."""

import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from sandbox_kit import CONVERSATIONS, plain

from omi_mcp.sandbox import Faults, Sandbox
from omi_mcp.sandbox.serve import serving

SCRIPT = """
import signal
import sys
from pathlib import Path
from omi_mcp.sandbox import Sandbox
from omi_mcp.sandbox.serve import serve

if sys.argv[2:] == ["background"]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
with Sandbox(Path(sys.argv[1])) as sandbox:
    serve(sandbox, announce=lambda base_url: print(base_url, sandbox.key, flush=True))
print("stopped cleanly", flush=True)
"""


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    with anyio.fail_after(20):
        async with serving(sandbox) as base_url, httpx.AsyncClient(base_url=base_url, headers=headers) as client:
            yield client


@pytest.mark.anyio
async def test_it_answers_on_a_free_port_of_this_machine(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    assert client.base_url.host == "127.0.0.1"
    assert [conversation["id"] for conversation in (await client.get(CONVERSATIONS)).json()] == ["a"]


@pytest.mark.anyio
async def test_a_port_that_is_taken_is_an_oserror(sandbox: Sandbox) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match=r"in use|Only one usage|forbidden"),
    ):
        async with serving(sandbox, taken.getsockname()[1]):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send another one SIGTERM there")
@pytest.mark.parametrize(("stop", "how"), [("SIGTERM", []), ("SIGINT", []), ("SIGTERM", ["background"])])
def test_a_signal_stops_it_cleanly(tmp_path: Path, stop: str, how: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "omi.sqlite"), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url, key = process.stdout.readline().split()
        answer = httpx.get(f"{base_url}{CONVERSATIONS}", headers={"Authorization": f"Bearer {key}"})
        process.send_signal(signal.Signals[stop])
        output, errors = process.communicate(timeout=20)
    assert answer.json() == []
    assert (output, errors, process.returncode) == ("stopped cleanly\n", "", 0)


@pytest.mark.parametrize(
    ("spec", "error", "kept"),
    [
        ("refuse@create", httpx.ReadError, 0),
        ("drop-before@create", httpx.RemoteProtocolError, 0),
        ("drop-during=0@create", httpx.RemoteProtocolError, 1),
        ("drop-after@create", httpx.RemoteProtocolError, 1),
        ("reset@create", httpx.ReadError, 1),
    ],
)
@pytest.mark.anyio
async def test_a_broken_connection_is_broken_on_the_socket(
    sandbox: Sandbox, client: httpx.AsyncClient, spec: str, error: type[httpx.TransportError], kept: int
) -> None:
    sandbox.faults = Faults.parse(spec)
    with pytest.raises(error):
        await client.post(CONVERSATIONS, json={"text": "We met about the price."})
    await sandbox.settle()
    assert len(sandbox.ids()) == kept
    assert (await client.get(CONVERSATIONS)).status_code == 200


@pytest.mark.anyio
async def test_silence_lasts_until_the_client_leaves(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults = Faults.parse("hang@create")
    with pytest.raises(httpx.ReadTimeout):
        await client.post(CONVERSATIONS, json={"text": "We met about the price."}, timeout=0.2)
    assert len(sandbox.ids()) == 1


@pytest.mark.anyio
async def test_a_slow_body_arrives_whole_and_in_pieces(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load(plain(f"c{number}") for number in range(20))
    sandbox.faults = Faults.parse("slow=0.2@list")
    async with client.stream("GET", CONVERSATIONS) as answer:
        pieces = [piece async for piece in answer.aiter_raw()]
    assert len(pieces) > 1
    assert b"".join(pieces).endswith(b"]")
