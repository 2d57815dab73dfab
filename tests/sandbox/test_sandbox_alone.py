"""The sandbox is written from the facts of the API alone, so that it cannot share the client's mistakes."""

import subprocess
import sys

SCRIPT = """
import sys
import omi_mcp.sandbox.serve
print(*sorted(name for name in sys.modules if name.startswith("omi_mcp.") and not name.startswith("omi_mcp.sandbox")))
"""


def test_it_loads_no_other_room_of_the_project() -> None:
    loaded = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert set(loaded.stdout.split()) <= {"omi_mcp._version"}
