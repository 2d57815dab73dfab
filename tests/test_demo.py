"""`omi-mcp demo`, as a newcomer runs it."""

import subprocess
import sys

import pytest

DEMO = [sys.executable, "-m", "omi_mcp", "demo"]


@pytest.mark.exhaustive
def test_the_demo_plays_to_its_end_and_no_step_fails() -> None:
    done = subprocess.run(DEMO, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "That was all." in done.stdout
    assert "error" not in done.stdout


@pytest.mark.exhaustive
def test_a_reader_who_has_seen_enough_gets_no_traceback() -> None:
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout
        assert demo.stderr
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.stderr.read() == b""
        assert demo.wait(timeout=120) == 0
