"""Connect clients that nobody here wrote: each lists, calls and reads, over stdio and HTTP where it can.

Some sign in as a host on the web does, with a person's part played in a real Chromium.

Each has an environment of its own in the cache folder, made on first use with what the package registries serve. With
`--if-possible` a client that cannot be had is no failure. A name as argument runs that client only.
"""

import argparse
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import platformdirs

PROJECT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).with_name("clients")
CACHE = platformdirs.user_cache_path("omi-mcp-clients", appauthor=False)

Transport = Literal["stdio", "http", "sign-in"]
BOTH: tuple[Transport, ...] = ("stdio", "http")

TOKEN = "a-token-for-clients-on-this-computer"
KEY = "omi_dev_for-clients-on-this-computer"

OF_THEIR_TIME = "pydantic<2.12"
"""The older SDKs use what later releases of it no longer have."""

INSTALL_SECONDS = 600
RUN_SECONDS = 180


@dataclass(frozen=True)
class Client:
    """`program` is a file in the folder beside this one; its ending tells who brings `packages`, pip or npm."""

    name: str
    program: str
    packages: tuple[str, ...] = ()
    transports: tuple[Transport, ...] = BOTH
    options: tuple[str, ...] = ()


CLIENTS = (
    Client("mcp 1.6", "mcp_1.py", ("mcp==1.6.0", OF_THEIR_TIME), ("stdio",)),
    Client("mcp 1.12", "mcp_1.py", ("mcp==1.12.4", OF_THEIR_TIME)),
    Client("mcp 1.30", "mcp_1.py", ("mcp==1.30.0",)),
    Client("a host that probes first", "probing.py", (), ("stdio",)),
    Client("fastmcp", "fastmcp_client.py", ("fastmcp==4.1.0",)),
    Client("TypeScript SDK 1", "typescript_1.mjs", ("@modelcontextprotocol/sdk@1.32.2",)),
    Client("TypeScript SDK 2", "typescript_2.mjs", ("@modelcontextprotocol/client@2.4.0",)),
    Client("mcp 2, signing in", "signing_in.py", (), ("sign-in",)),
    Client("TypeScript SDK 1, signing in", "signing_in_1.mjs", ("@modelcontextprotocol/sdk@1.32.2",), ("sign-in",)),
    Client("TypeScript SDK 2, signing in", "signing_in_2.mjs", ("@modelcontextprotocol/client@2.4.0",), ("sign-in",)),
    Client("google-genai", "google_genai.py", ("google-genai==3.4.0", "mcp==1.30.0"), ("stdio",)),
    Client("pydantic-ai", "pydantic_agents.py", ("pydantic-ai-slim[mcp]==2.68.0",)),
    Client("langchain", "langchain_tools.py", ("langchain-mcp-adapters==0.3.2",)),
    Client("openai-agents", "openai_runner.py", ("openai-agents==0.24.0",)),
    Client("openai-agents, strict", "openai_runner.py", ("openai-agents==0.24.0",), BOTH, ("--strict",)),
    Client("Claude Code", "claude_code.mjs", ("@anthropic-ai/claude-code@2.1.330",)),
    Client("Gemini CLI", "gemini_cli.mjs", ("@google/gemini-cli@0.61.0",)),
)


SERVER = [sys.executable, "-m", "omi_mcp"]


class Unavailable(Exception):
    """A client cannot be had on this computer."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Connect clients that nobody here wrote.")
    parser.add_argument("names", nargs="*", help="only the clients with these words in their name")
    parser.add_argument("--if-possible", action="store_true", help="a client that cannot be had is no failure")
    parser.add_argument("--within", type=float, metavar="MINUTES", help="skip the clients not begun by then")
    options = parser.parse_args()
    latest = math.inf if options.within is None else time.monotonic() + 60 * options.within
    wanted = [each for each in CLIENTS if not options.names or any(name in each.name for name in options.names)]
    passed = failed = skipped = 0
    for client in wanted:
        if time.monotonic() > latest:
            print(f"== {client.name}: left out, the time is over", flush=True)
            skipped += 1
            continue
        try:
            if "sign-in" in client.transports:
                check_browser()
            command = [*interpreter(client), str(program_file(client)), *client.options]
        except (Unavailable, OSError, subprocess.SubprocessError) as error:
            print(f"== {client.name}: cannot be had ({error})", flush=True)
            skipped += 1
            continue
        for transport in client.transports:
            print(f"== {client.name}, {transport}", flush=True)
            problem = attempt(command, transport)
            passed, failed = passed + (problem is None), failed + (problem is not None)
            if problem:
                print(f"   FAILED: {problem}", flush=True)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or (skipped and not options.if_possible) or not (passed or options.if_possible) else 0


def attempt(command: list[str], transport: Transport) -> str | None:
    """What is wrong, if anything. The program gets a home of its own, and the server as arguments."""
    with tempfile.TemporaryDirectory(prefix="omi-mcp-client-") as home:
        environment = {**os.environ, "HOME": home, "OMI_MCP_DATA_DIR": f"{home}/data", "OMI_MCP_MIRROR": "memory"}
        with signed_in_to(environment) if transport == "sign-in" else server(transport, environment) as arguments:
            try:
                run = subprocess.run(
                    [*command, *arguments],
                    cwd=home,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    timeout=RUN_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"no end within {RUN_SECONDS} seconds"
    return f"exit code {run.returncode}" if run.returncode else None


@contextmanager
def server(transport: Transport, environment: dict[str, str]) -> Iterator[list[str]]:
    """The sample library: the command that starts it, or the address and token of one that runs."""
    command = [*SERVER, "--demo"]
    if transport == "stdio":
        yield ["stdio", *command]
        return
    environment = {**environment, "OMI_MCP_HTTP_TOKEN": TOKEN}
    with saying([*command, "--transport", "http", "--port", "0"], environment) as url:
        yield ["http", url, TOKEN]


@contextmanager
def signed_in_to(environment: dict[str, str]) -> Iterator[list[str]]:
    """The address of a server that takes a person's key, such a key, and what plays the person."""
    with saying([*SERVER, "sandbox", "--port", "0", "--key", KEY, "--limits", "off"], environment) as api:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        serving = [*SERVER, "--transport", "http", "--port", str(port), "--public-url", f"http://127.0.0.1:{port}"]
        with saying(serving, {**environment, "OMI_API_BASE_URL": api}) as url:
            yield [url, KEY, sys.executable, str(PROGRAMS / "browser.py")]


@contextmanager
def saying(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """Runs a server, and yields the first address that it says it serves at."""
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert running.stdout is not None
        said = next(line for line in running.stdout if "http://" in line)
        yield said[said.index("http://") :].split(";")[0].strip()
    finally:
        running.terminate()
        running.communicate(timeout=20)


def interpreter(client: Client) -> list[str]:
    """What runs the program, with the client's packages installed.

    Raises:
        Unavailable: Node or npm is not on this computer.
        subprocess.SubprocessError: a registry does not serve what it needs.
    """
    done = folder(client) / "installed"
    if client.program.endswith(".mjs"):
        if not (shutil.which("node") and shutil.which("npm")):
            raise Unavailable("Node and npm are not on this computer")
        command = ["node"]
        installer = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder(client))]
        if not done.exists():
            folder(client).mkdir(parents=True, exist_ok=True)
    elif client.packages:
        command = [str(folder(client) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))]
        installer = [*command, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        if not done.exists():
            venv.create(folder(client), with_pip=True, clear=True)
    else:
        return [sys.executable]
    if not done.exists():
        subprocess.run([*installer, *client.packages], timeout=INSTALL_SECONDS, check=True, stdin=subprocess.DEVNULL)
        done.touch()
    return command


def check_browser() -> None:
    """Raises Unavailable where nobody can be played."""
    if find_spec("playwright") is None or not (shutil.which("chromium") or os.environ.get("CHROMIUM")):
        raise Unavailable("it takes playwright and a Chromium, as Debian's package brings it")


def program_file(client: Client) -> Path:
    """Node looks for packages beside the file, so that its programs are run from copies."""
    if not client.program.endswith(".mjs"):
        return PROGRAMS / client.program
    for file in PROGRAMS.glob("*.mjs"):
        shutil.copy(file, folder(client))
    return folder(client) / client.program


def folder(client: Client) -> Path:
    """Named for what is installed: a newer version is another folder."""
    return CACHE / "-".join(client.packages).replace("/", "-").replace("@", "")


if __name__ == "__main__":
    sys.exit(main())
