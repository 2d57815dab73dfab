"""`omi-mcp accounts`, beside the running server: what it lists, what it forgets, and how the secret is changed."""

import json
import shutil
from pathlib import Path

import pytest
import signin_kit
from signin_kit import ON_ONE_MACHINE, Browser, TestHost, called, connected, listed, on_the_web

from omi_mcp import cli
from omi_mcp.sandbox import Sandbox
from omi_mcp.signin.vault import new_secret

pytestmark = pytest.mark.anyio

ON_DISK = {"mirror": "disk"}


@pytest.fixture
def folder(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's folder, which the command is told of as an operator does; and the database."""
    if signin_kit.DATABASE is not None:
        monkeypatch.setenv("OMI_MCP_DATABASE_URL", signin_kit.DATABASE)
    for name in ("OMI_API_KEY", "OMI_MCP_SECRET_KEY", "OMI_MCP_SECRET_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMI_MCP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OMI_MCP_TIMEZONE", "UTC")
    monkeypatch.setenv("OMI_API_BASE_URL", sandbox.base_url)
    return tmp_path


def accounts(*arguments: str) -> int:
    return cli.run(["accounts", *arguments])


async def test_the_list_says_who_signed_in_and_nothing_of_what_is_theirs(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str], kept_in: str
) -> None:
    sandbox.load_sample()
    async with on_the_web(sandbox, folder, settings=ON_DISK) as web:
        tokens = await connected(web, sandbox.key, host=await TestHost.registered(web, client_name="Chat\u202ePT"))
        assert (await called(web, tokens["access_token"], "search_conversations")).status_code == 200
        assert accounts() == 0
        shown = capsys.readouterr().out
        assert accounts("--json") == 0
        (account,) = json.loads(capsys.readouterr().out)
    assert f"1 account in {folder if kept_in == 'files' else 'the database'}" in shown
    assert "ChatPT (assistant.example): reads and writes, last used" in shown
    assert account["key"] == "kept"
    assert account["bytes"] > 10_000
    assert account["hosts"][0]["writes"] is True
    for secret in (sandbox.key, tokens["access_token"], tokens["refresh_token"], "pricing"):
        assert secret not in shown


@ON_ONE_MACHINE
async def test_a_key_that_omi_or_the_secret_no_longer_opens_is_told(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_the_web(sandbox, folder) as web:
        tokens = await connected(web, sandbox.key)
        sandbox.revoke_key(sandbox.key)
        await called(web, tokens["access_token"], "search_conversations", query="x")
    assert accounts() == 0
    assert "Omi does not accept its key any more" in capsys.readouterr().out
    (folder / "secret-key").write_text(new_secret())
    assert accounts() == 0
    assert "encrypted with another secret" in capsys.readouterr().out
    (folder / "secret-key").unlink()
    assert accounts() == 0
    assert not (folder / "secret-key").exists(), "the list makes no secret"


async def test_a_forgotten_account_is_refused_from_the_next_request_on_and_leaves_no_file(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_the_web(sandbox, folder, settings=ON_DISK) as web:
        tokens = await connected(web, sandbox.key)
        await called(web, tokens["access_token"], "search_conversations")
        accounts("--json")
        account = json.loads(capsys.readouterr().out)[0]["id"]
        assert [file for file in folder.rglob("*") if account in file.name]
        assert accounts("forget", account[:6]) == 2, "nobody can be asked"
        assert accounts("forget", "nobody", "--yes") == 1
        assert accounts("forget", "", "--yes") == 1
        assert "Nothing was forgotten" in capsys.readouterr().err
        assert (await listed(web, tokens["access_token"])).status_code == 200
        assert accounts("forget", account[:6], "--yes") == 0
        refused = await listed(web, tokens["access_token"])
        assert refused.status_code == 401
        assert "resource_metadata" in refused.headers["www-authenticate"]
    assert not [file for file in folder.rglob("*") if account in file.name]
    assert account.encode() not in b"".join(file.read_bytes() for file in folder.glob("sign-in*"))


@ON_ONE_MACHINE
async def test_a_new_secret_takes_the_place_of_the_old_while_the_server_runs(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_the_web(sandbox, folder) as web:
        host = await TestHost.registered(web)
        tokens = await connected(web, sandbox.key, host=host)
        before = (folder / "secret-key").read_text().strip()
        assert accounts("rotate") == 0
        assert "1 key is encrypted with the new secret" in capsys.readouterr().out
        after = (folder / "secret-key").read_text().strip()
        assert (len(after), before in after) == (44, False)
        assert (folder / "secret-key").stat().st_mode & 0o077 == 0
        assert '"isError":true' not in (await called(web, tokens["access_token"], "search_conversations")).text
        assert (await host.refreshed(tokens["refresh_token"])).status_code == 200
        await connected(web, sandbox.key)  # the same person is still known as the same
        accounts("--json")
        assert len(json.loads(capsys.readouterr().out)) == 1
    copy = folder / "copy"
    copy.mkdir()
    shutil.copy(folder / "sign-in.sqlite3", copy)
    (copy / "secret-key").write_text(before)
    (copy / "secret-key").chmod(0o600)
    async with on_the_web(sandbox, copy) as web:
        assert (await listed(web, tokens["access_token"])).status_code == 401, "the old secret still reads"


async def test_a_secret_of_ones_own_is_changed_by_putting_the_new_one_first(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = new_secret(), new_secret()
    async with on_the_web(sandbox, folder, secrets=(old,)) as web:
        tokens = await connected(web, sandbox.key)
    assert accounts("rotate") == 2
    assert "OMI_MCP_SECRET_KEY" in capsys.readouterr().err
    assert not (folder / "secret-key").exists()
    monkeypatch.setenv("OMI_MCP_SECRET_KEY", f"{new},{old}")
    assert accounts("rotate") == 0
    assert "take the other secrets out" in capsys.readouterr().out
    async with on_the_web(sandbox, folder, secrets=(new,)) as web:
        assert (await listed(web, tokens["access_token"])).status_code == 200
        assert "assistant.example" in (await Browser(web).connections(sandbox.key)).text


async def test_keys_of_a_lost_secret_are_counted_and_left(
    sandbox: Sandbox, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_the_web(sandbox, folder, secrets=(new_secret(),)) as web:
        await connected(web, sandbox.key)
    monkeypatch.setenv("OMI_MCP_SECRET_KEY", new_secret())
    assert accounts("rotate") == 0
    assert "1 key is of another secret" in capsys.readouterr().out


@ON_ONE_MACHINE
async def test_a_folder_of_no_such_server_stays_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("forget", "1", "--yes"), ("rotate",)):
        assert accounts(*arguments) == 1
    assert "OMI_MCP_DATA_DIR" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
