"""Where the key goes when a host is connected: into one file of the owner's, never into the host's configuration."""

import os
from pathlib import Path

import pytest

from omi_mcp.hosts import keys
from omi_mcp.hosts.keys import WrongKey
from omi_mcp.hosts.known import HOSTS

KEY = "omi_dev_0123456789abcdef"
CURSOR = HOSTS["cursor"]


def nobody() -> str:
    raise AssertionError("nobody should be asked")


def test_the_key_of_the_environment_is_kept_in_a_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "omi-mcp" / "api-key"
    reference = keys.refer(CURSOR, {"OMI_API_KEY": f" {KEY}\n"}, file, nobody)
    assert reference is not None
    assert reference.environment == {"OMI_API_KEY_FILE": str(file)}
    assert str(file) in reference.place
    assert KEY not in reference.place
    assert file.read_text() == f"{KEY}\n"
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_next_host_uses_the_key_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    keys.refer(CURSOR, {}, file, lambda: KEY)
    reference = keys.refer(HOSTS["codex"], {}, file, nobody)
    assert reference is not None
    assert reference.environment == {"OMI_API_KEY_FILE": str(file)}


def test_a_new_key_replaces_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    for key in (KEY, "omi_dev_new"):
        keys.refer(CURSOR, {"OMI_API_KEY": key}, file, nobody)
        assert file.read_text().strip() == key


def test_a_file_that_was_set_is_named_and_not_copied(tmp_path: Path) -> None:
    mine, file = tmp_path / "mine", tmp_path / "api-key"
    mine.write_text(KEY)
    mine.chmod(0o600)
    reference = keys.refer(CURSOR, {"OMI_API_KEY_FILE": str(mine)}, file, nobody)
    assert reference is not None
    assert reference.environment == {"OMI_API_KEY_FILE": str(mine)}
    assert not file.exists()


def test_a_host_that_asks_itself_gets_no_key_from_here(tmp_path: Path) -> None:
    reference = keys.refer(HOSTS["vscode"], {"OMI_API_KEY": KEY}, tmp_path / "api-key", nobody)
    assert reference is not None
    assert reference.environment == {"OMI_API_KEY": "${input:omi-api-key}"}
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_there_is_nothing_to_refer_to(tmp_path: Path) -> None:
    assert keys.refer(CURSOR, {}, tmp_path / "api-key", lambda: "") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["omi_mcp_0123456789abcdef", "sk-123", "omi_dev_\u00fc", "omi_dev_a b"])
def test_another_kind_of_key_is_refused_without_being_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(WrongKey, match="Settings > Developer") as refused:
        keys.refer(CURSOR, {"OMI_API_KEY": key}, tmp_path / "api-key", nobody)
    assert key not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    file.write_text(KEY)
    file.chmod(0o644)
    with pytest.raises(WrongKey, match="others can read"):
        keys.refer(CURSOR, {}, file, nobody)


def test_the_settings_in_force_go_along_but_no_secret_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert keys.carried(
        {
            "OMI_API_BASE_URL": "http://127.0.0.1:8787",
            "OMI_MCP_READ_ONLY": "on",
            "OMI_MCP_DATA_DIR": "data",
            "OMI_MCP_MIRROR": "",
            "OMI_API_KEY": KEY,
            "OMI_API_KEY_FILE": "x",
            "OMI_MCP_HTTP_TOKEN": "secret",
            "OMI_MCP_OAUTH_ISSUER": "https://issuer.example",
            "PATH": "/bin",
        }
    ) == {
        "OMI_API_BASE_URL": "http://127.0.0.1:8787",
        "OMI_MCP_DATA_DIR": str(tmp_path / "data"),
        "OMI_MCP_READ_ONLY": "on",
    }
