"""Several accounts behind one address: each has its own conversations, limits, keys and faults, as in the service."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, Clock, plain, spoken

from omi_mcp.sandbox import Faults, Sandbox, Sandboxes

FROM_SEGMENTS = f"{CONVERSATIONS}/from-segments"


@pytest.fixture
def several(clock: Clock) -> Iterator[Sandboxes]:
    sandboxes = Sandboxes([Sandbox(now=clock, limits="real", user=name) for name in ("ana", "ben", "cleo")])
    yield sandboxes
    sandboxes.close()


def of(several: Sandboxes, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=several.transport(), base_url=several.base_url, headers=headers)


@pytest.mark.anyio
async def test_the_key_tells_whose_conversations_there_are(several: Sandboxes) -> None:
    ana, ben, _ = several.accounts
    ana.insert(plain("a"))
    ben.insert(plain("b"))
    later = ben.issue_key("conversations:read")
    async with of(several, ana.key) as hers, of(several, ben.key) as his, of(several, later) as his_later:
        assert [each["id"] for each in (await hers.get(CONVERSATIONS)).json()] == ["a"]
        assert [each["id"] for each in (await his.get(CONVERSATIONS)).json()] == ["b"]
        for method in ("GET", "PATCH", "DELETE"):
            other = await hers.request(method, f"{CONVERSATIONS}/b", json={"title": "mine"})
            assert (other.status_code, other.json()) == (404, {"detail": "Conversation not found"})
        body = {"transcript_segments": [spoken()], "client_session_id": "one"}
        made = [(await each.post(FROM_SEGMENTS, json=body)).json()["id"] for each in (hers, his, hers)]
        assert made[0] == made[2] != made[1]
        assert (await his_later.get(f"{CONVERSATIONS}/b")).status_code == 200
        assert (await his_later.post(FROM_SEGMENTS, json=body)).status_code == 403
        ben.revoke_key(later)
        assert (await his_later.get(CONVERSATIONS)).json() == {"detail": "Invalid API Key"}
    async with of(several, "omi_dev_nobodys") as nobodys:
        assert (await nobodys.get(CONVERSATIONS)).status_code == 401


@pytest.mark.anyio
async def test_what_one_spends_or_what_breaks_for_it_is_its_own(several: Sandboxes) -> None:
    ana, ben, _ = several.accounts
    ben.faults = Faults.parse("503@list")
    async with of(several, ana.key) as hers, of(several, ben.key) as his:
        hers_answered = [(await hers.get(CONVERSATIONS)).status_code for _ in range(61)]
        assert hers_answered == [200] * 60 + [429]
        assert (await his.get(CONVERSATIONS)).status_code == 503
        assert (await his.get("/v1/dev/user/folders")).status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send another one SIGTERM there")
def test_the_command_holds_several_and_writes_their_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    command = [sys.executable, "-m", "omi_mcp", "sandbox", "--port", "0", "--accounts", "3", "--keys", str(keys)]
    environment = os.environ | {"OMI_MCP_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address, first = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
        written = keys.read_text().split()
        ids = [
            {each["id"] for each in httpx.get(f"{address}{CONVERSATIONS}", headers=_bearer(key)).json()}
            for key in written
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert len(set(written)) == 3
    assert written[0] == first
    assert keys.stat().st_mode & 0o077 == 0
    assert all(ids)
    assert not set.intersection(*ids)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
