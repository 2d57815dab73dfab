"""`omi-mcp sandbox` with options that cannot be used: one line that helps, and no server."""

from pathlib import Path

import pytest

from omi_mcp import cli
from omi_mcp.sandbox import Sandbox


def test_a_fault_that_is_not_known_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sandbox", "--faults", "503@list*0.2, explode@create"]) == 2
    told = capsys.readouterr().err
    assert "'explode@create'" in told
    assert "drop-after" in told
    assert len(told.splitlines()) == 1


def test_a_database_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Ana, this is no database, but long enough to be looked at as if it were one." * 20)
    for path in (other, tmp_path / "nowhere" / "sandbox.sqlite3", tmp_path):
        assert cli.run(["sandbox", "--db", str(path), "--port", "0"]) == 1
        told = capsys.readouterr().err
        assert str(path) in told
        assert len(told.splitlines()) == 1


def test_a_key_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["sandbox", "--key", "secret"])
    assert ended.value.code == 2
    assert "omi_dev_" in capsys.readouterr().err


def test_a_key_of_ones_own_is_the_key_at_every_start(tmp_path: Path) -> None:
    for key in ("omi_dev_first", "omi_dev_second", "omi_dev_second", None):
        with Sandbox(tmp_path / "sandbox.sqlite3", key=key) as sandbox:
            assert sandbox.key == key or key is None
    with Sandbox(tmp_path / "sandbox.sqlite3") as sandbox:
        assert sandbox.key == "omi_dev_second"
