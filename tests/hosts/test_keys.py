"""Where the key goes when a host is connected: into one file of the owner's, never into the host's configuration."""

import os
from pathlib import Path

import pytest

from omi_mcp.hosts import Key, Saved, WrongKey, keys
from omi_mcp.settings import DEFAULT_BASE_URL

KEY = "omi_dev_0123456789abcdef"
LOCAL = "http://127.0.0.1:8787"


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path / "omi-mcp")


def test_a_key_is_kept_with_its_address_in_a_file_that_only_the_owner_reads(saved: Saved) -> None:
    assert saved.environment() == {}
    saved.keep(KEY, LOCAL)
    assert saved.environment() == {"OMI_API_KEY_FILE": str(saved.key_file), "OMI_API_BASE_URL": LOCAL}
    assert saved.key_file.read_text() == f"{KEY}\n"
    if os.name == "posix":
        assert saved.key_file.stat().st_mode & 0o777 == 0o600
    saved.keep("omi_dev_other", DEFAULT_BASE_URL)
    assert saved.environment() == {"OMI_API_KEY_FILE": str(saved.key_file)}
    assert saved.key_file.read_text() == "omi_dev_other\n"


def test_the_key_of_the_environment_comes_before_the_saved_one(saved: Saved, tmp_path: Path) -> None:
    assert keys.find({}, saved) is None
    saved.keep(KEY, LOCAL)
    mine = tmp_path / "mine"
    mine.write_text("omi_dev_mine")
    mine.chmod(0o600)
    assert keys.find({}, saved) == Key(KEY, saved.key_file)
    assert keys.find({"OMI_API_KEY_FILE": str(mine)}, saved) == Key("omi_dev_mine", mine)
    assert keys.find({"OMI_API_KEY": "omi_dev_x", "OMI_API_KEY_FILE": str(mine)}, saved) == Key("omi_dev_x", None)
    assert keys.find({"OMI_API_KEY": "${OMI_API_KEY}"}, saved) == Key(KEY, saved.key_file)


@pytest.mark.parametrize("key", ["omi_mcp_0123456789abcdef", "sk-123", "omi_dev_\u00fc", "omi_dev_a b", ""])
def test_another_kind_of_key_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(WrongKey, match="Settings > Developer") as refused:
        keys.check_form(key)
    assert not key or key not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_key_file_that_others_can_read_is_refused(saved: Saved) -> None:
    saved.keep(KEY, DEFAULT_BASE_URL)
    saved.key_file.chmod(0o644)
    with pytest.raises(WrongKey, match="others can read"):
        keys.find({}, saved)


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
            "OMI_OTHER_PROGRAM": "1",
            "PATH": "/bin",
        }
    ) == {
        "OMI_API_BASE_URL": "http://127.0.0.1:8787",
        "OMI_MCP_DATA_DIR": str(tmp_path / "data"),
        "OMI_MCP_READ_ONLY": "on",
    }


def test_what_an_install_wrote_is_told_from_what_was_added_by_hand(saved: Saved, tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    assert saved.written(config) == {}
    saved.note_written(config, {"OMI_MCP_READ_ONLY": "on"})
    assert saved.written(config) == {"OMI_MCP_READ_ONLY": "on"}
    assert saved.written(tmp_path / "other.json") == {}
    saved.note_written(config, {})
    assert saved.written(config) == {}
    (saved.folder / "installed.json").write_text("[1")
    assert saved.written(config) == {}
