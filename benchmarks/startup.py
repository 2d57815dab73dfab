"""What a host waits for: spawn to `initialize` answered, our server against a bare server of the SDK, in one run.

    python benchmarks/startup.py [--rounds 30]

Both are started by turns, so that whatever else the machine does hits both. Prints medians and the median of the
ratios of neighbours, and the resident memory after the answer (Linux). Exits with 1 when the ratio is above the bar.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

RATIO_BAR = 1.10

BARE = """
from mcp.server import MCPServer

server = MCPServer("bare")

@server.tool()
def hello(name: str) -> str:
    return name

server.run()
"""

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}


class Start(NamedTuple):
    """Seconds until the answer, and resident megabytes then (None where the system does not tell)."""

    seconds: float
    megabytes: float | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "OMI_API_KEY": "omi_dev_benchmark", "OMI_MCP_DATA_DIR": folder}
        commands = {"bare SDK server": ["-c", BARE], "omi-mcp": ["-m", "omi_mcp"]}
        for arguments in commands.values():
            start(arguments, env)  # writes the bytecode, fills the file cache
        starts = [{name: start(arguments, env) for name, arguments in commands.items()} for _ in range(rounds)]
    bare, ours = ([each[name] for each in starts] for name in commands)
    for name, measured in zip(commands, (bare, ours), strict=True):
        print(f"{name:<16} {statistics.median(each.seconds for each in measured) * 1000:6.0f} ms  {_memory(measured)}")
    ratio = statistics.median(our.seconds / floor.seconds for our, floor in zip(ours, bare, strict=True))
    print(f"{'ratio':<16} {ratio:6.2f}     (bar {RATIO_BAR})")
    return 0 if ratio <= RATIO_BAR else 1


def start(arguments: list[str], env: dict[str, str]) -> Start:
    """Start a server, open a connection, and end it."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(INITIALIZE) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        seconds = time.perf_counter() - began
        assert "result" in answer, answer
        memory = _resident(server.pid)
        server.kill()
    return Start(seconds, memory)


def _resident(pid: int) -> float | None:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _memory(measured: list[Start]) -> str:
    known = [each.megabytes for each in measured if each.megabytes is not None]
    return f"{statistics.median(known):5.1f} MB" if known else ""


if __name__ == "__main__":
    sys.exit(main())
