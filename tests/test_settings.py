"""Settings as people write them: what is harmless is taken, what is misspelled is named."""

import re
from pathlib import Path

import pytest

from omi_mcp import cli, settings
from omi_mcp.api.connection import checked_base_url
from omi_mcp.settings import NAMES, Settings, SettingsError, unknown_settings

KEY = "omi_dev_0123456789abcdef"


@pytest.mark.parametrize(
    "written",
    [
        f" {KEY}\n",
        f'"{KEY}"',
        f"'{KEY}'\r\n",
        f"\ufeff{KEY}",
        f"\u201c{KEY}\u201d",
        f"Bearer {KEY}",
        f'export OMI_API_KEY="{KEY}";',
        f"OMI_API_KEY={KEY}\n",
        f"`{KEY}`",
    ],
)
def test_a_key_is_taken_without_what_was_copied_along_with_it(written: str, tmp_path: Path) -> None:
    assert Settings.from_env({"OMI_API_KEY": written}).api_key == KEY
    file = tmp_path / "key"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text(written, encoding=encoding)
        assert Settings.from_env({"OMI_API_KEY_FILE": f'"{file}"'}).api_key == KEY


def test_a_home_folder_is_found_and_one_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "key").write_text(KEY)
    assert Settings.from_env({"OMI_API_KEY_FILE": "~/key"}).api_key == KEY
    with pytest.raises(SettingsError, match="OMI_MCP_DATA_DIR"):
        Settings.from_env({"OMI_MCP_DATA_DIR": "~nobody-of-this-name/data"})


def test_a_key_file_that_gives_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, said in ((tmp_path / "none", "No such file"), (tmp_path / "empty", "is empty")):
        with pytest.raises(SettingsError, match=said) as refused:
            Settings.from_env({"OMI_API_KEY_FILE": str(name)})
        assert str(name) in str(refused.value)
    with pytest.raises(SettingsError, match="goes into OMI_API_KEY") as refused:
        Settings.from_env({"OMI_API_KEY_FILE": KEY})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("route", ["", "/", "/v1", "/v1/", "/v1/dev", "/v1/dev/user/conversations"])
def test_the_address_may_go_on_to_where_the_routes_begin(route: str) -> None:
    assert checked_base_url(f"https://api.example{route}") == "https://api.example"
    assert checked_base_url(f"https://api.example/omi{route}") == "https://api.example/omi"


def test_every_setting_that_is_read_has_its_name_in_the_list() -> None:
    read = Path(settings.__file__).read_text("utf-8").split("class SettingsError", 1)[1]
    assert set(re.findall(r'"(OMI_[A-Z_]+[A-Z])"', read)) == NAMES


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("OMI_MCP_MIROR", "OMI_MCP_MIRROR"),
        ("OMI_MCP_READONLY", "OMI_MCP_READ_ONLY"),
        ("omi_mcp_read_only", "OMI_MCP_READ_ONLY"),
        ("OMI_API_KEYFILE", "OMI_API_KEY_FILE"),
        ("OMI_API_URL", "OMI_API_BASE_URL"),
        ("OMI_MCP_SOMETHING_ELSE", None),
    ],
)
def test_a_name_that_is_no_setting_is_seen_with_the_one_that_was_meant(written: str, meant: str | None) -> None:
    assert unknown_settings([written, *NAMES, "OMI_WEBHOOK", "PATH"]) == {written: meant}


def test_a_misspelled_setting_is_refused_and_not_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMI_MCP_READONLY", "on")
    for command in (["serve"], ["search", "x"], ["install", "cursor"], ["mirror", "status"]):
        assert cli.run(command) == 2
        assert "OMI_MCP_READ_ONLY" in capsys.readouterr().err


def test_who_wanted_no_copy_is_told_what_to_use_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMI_MCP_MIRROR", "off")
    for command in (["serve"], ["search", "harbour"]):
        assert cli.run(command) == 2
        assert "OMI_MCP_MIRROR: off was removed. Use memory instead" in capsys.readouterr().err
