"""The processes of a run, and what the system says of them: processor time, memory, open files."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import anyio
import httpx

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def seconds(pid: int) -> float:
    """Processor time of a process; 0 when gone."""
    return sum(_stat(pid)[:2]) / TICKS


def seconds_with_children(pid: int) -> float:
    """And of all that it has started, gone or not."""
    return (sum(_stat(pid)) + sum(sum(_stat(int(child))[:2]) for child in _children(pid))) / TICKS


def memory(pid: int) -> float:
    """Resident, MiB."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def files(pid: int) -> int:
    """Open ones, connections included."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _stat(pid: int) -> list[int]:
    """User and system time of a process, and of those of its children that have ended."""
    try:
        return list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    except OSError:
        return [0, 0, 0, 0]


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Part:
    """A process of the benchmark itself, which says when it is ready."""

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"benchmarks.hosting.{module}", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ready(self) -> None:
        assert self.process.stdout is not None
        if await anyio.to_thread.run_sync(self.process.stdout.readline) != "ready\n":
            raise SystemExit(f"{self.process.args} did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Replica:
    """`omi-mcp` at a port, with a data folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path, port: int, environment: dict[str, str], python: str = sys.executable) -> None:
        """`python` has the release that is to serve."""
        self.folder = folder
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self._command = [python, "-m", "omi_mcp", "--transport", "http", "--port", str(port)]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMI_MCP_DATA_DIR": str(folder),
            "OMI_MCP_LOG_LEVEL": "WARNING",
            **environment,
        }
        self.logged: Counter[str] = Counter()
        self.said: list[str] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, cwd=self.folder, stderr=subprocess.PIPE, text=True, env=self._environment
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if "WARNING" in line or "ERROR" in line or "Traceback" in line:
                self.logged[line.strip().split(" ", 1)[-1][:160]] += 1
            if len(self.said) < 60 or "Traceback" in "".join(self.said[-40:]):
                self.said.append(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ready(self, within: float = 60) -> None:
        ends = time.monotonic() + within
        async with httpx.AsyncClient() as client:
            while time.monotonic() < ends:
                try:
                    if (await client.get(f"{self.address}/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    await anyio.sleep(0.1)
        raise SystemExit("the server did not start:\n" + "".join(self.said))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


class Watch:
    """Processor time of some processes over a while, by name; `families` with all that they start."""

    def __init__(self, families: dict[str, int], **pids: list[int]) -> None:
        self._families = families
        self._pids = pids
        self._before = self._now()
        self._began = time.monotonic()

    def _now(self) -> dict[str, float]:
        spent = {name: sum(map(seconds, pids)) for name, pids in self._pids.items()}
        return spent | {name: seconds_with_children(pid) for name, pid in self._families.items()}

    def shares(self) -> dict[str, float]:
        """Of one core, since the beginning."""
        past = time.monotonic() - self._began
        return {name: (spent - self._before[name]) / past for name, spent in self._now().items()}
