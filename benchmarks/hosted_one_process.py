"""Many accounts in one server process: is every answer the caller's own, and how long does it take?

    python benchmarks/hosted_one_process.py [--accounts 200] [--assistants 32] [--minutes 10] [--conversations 60]

`omi-mcp --transport http` serves people who signed in, as its own process; a sandbox with the service's real limits
holds their accounts in this one. The assistants, each time for another account and in both protocol eras, search, read,
list, attach, and sometimes create, with tokens of the server's own store. Every text of an account holds a word that is
its own: an answer with another's, or without the caller's, is counted. In the end everything that was created is looked
for in the sandbox. The last line is JSON; exits with 1 when anything was wrong.
"""

import argparse
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx

from omi_mcp.sandbox import Sandbox, Sandboxes
from omi_mcp.sandbox.serve import serving
from omi_mcp.settings import Settings, SignInSettings
from omi_mcp.signin import SignIn
from omi_mcp.signin.hosts import Host
from omi_mcp.signin.provider import Asked
from omi_mcp.transports import http

SUBJECTS = ("budget", "doctor", "launch", "dinner", "pricing", "garden", "school", "server", "holiday", "ferry")
MARK = re.compile(r"\bown\d{5}own\b")
WATCH = 5
"""Seconds between two looks at the server's process."""

OLDER, NEWER = "2025-11-25", "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": NEWER,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
}
REDIRECT = "https://assistant.example/callback"


def mark(number: int) -> str:
    """The word that only this account's texts hold."""
    return f"own{number:05}own"


def talks(number: int, count: int, now: datetime) -> list[dict[str, Any]]:
    dice = random.Random(number)
    own = mark(number)
    made = []
    for each in range(count):
        subject, other = SUBJECTS[each % len(SUBJECTS)], dice.choice(SUBJECTS)
        made.append(
            {
                "id": f"{own}-{each}",
                "started_at": (now - timedelta(hours=7 * each + dice.random())).isoformat(),
                "title": f"The {subject} of {own}",
                "overview": f"They speak about the {subject} and the {other}, as {own} wanted.",
                "segments": [
                    {"speaker": speaker, "text": f"For the {dice.choice((subject, other))} we said {line} of {own}."}
                    for line, speaker in enumerate(("Ana", "Ben", "Ana", "Cleo", "Ben", "Ana"))
                ],
            }
        )
    return made


@dataclass
class Tally:
    """What came of the calls; times in seconds."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    created: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

    def note(self, kind: str, seconds: float, text: str, number: int, *, empty: bool = False) -> None:
        self.times[kind].append(seconds)
        marks = set(MARK.findall(text))
        if marks - {mark(number)}:
            self.wrong[f"{kind}: the words of another account"] += 1
        if not marks and not empty:
            self.wrong[f"{kind}: none of the caller's own words"] += 1


class Server:
    """The server's process, and what it says of itself."""

    def __init__(self, folder: Path, port: int, omi: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMI_MCP_DATA_DIR": str(folder),
            "OMI_API_BASE_URL": omi,
            "OMI_MCP_LOG_LEVEL": "INFO",
            "OMI_MCP_TIMEZONE": "UTC",
        }
        command = [sys.executable, "-m", "omi_mcp", "--transport", "http", "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--public-url", f"http://127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True, env=environment
        )
        self.said: list[str] = []
        self.logged: Counter[str] = Counter()
        self.pools: list[str] = []
        self.memory: list[float] = []
        self.files: list[int] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "libraries: " in line:
                self.pools.append(line.partition("libraries: ")[2].strip())
            elif "WARNING" in line or "ERROR" in line or "Traceback" in line:
                self.logged[line.strip()[:160]] += 1
            if len(self.said) < 50:
                self.said.append(line)

    def seconds(self) -> float:
        """Of processor time."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        spent = stat.read_text().rpartition(")")[2].split()[11:13] if stat.exists() else ()
        return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")

    def measure(self) -> None:
        """On systems without /proc nothing is measured."""
        proc = Path(f"/proc/{self.process.pid}")
        if proc.exists():
            pages = int((proc / "statm").read_text().split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            self.files.append(len(list((proc / "fd").iterdir())))

    async def watch(self) -> None:
        while True:
            self.measure()
            await anyio.sleep(WATCH)

    async def ready(self, address: str) -> None:
        async with httpx.AsyncClient() as client:
            for _ in range(300):
                try:
                    if (await client.get(f"{address}/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    await anyio.sleep(0.2)
        raise SystemExit("the server did not start:\n" + "".join(self.said))

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


async def signed_in(folder: Path, address: str, omi: str, accounts: list[Sandbox]) -> list[str]:
    """An access token of each account, out of the server's own store."""
    settings = Settings(timezone=ZoneInfo("UTC"), data_dir=folder, base_url=omi)
    sign_in = SignIn(settings, SignInSettings(address), resources=[f"{address}{path}" for path in http.PROFILES])
    host = Host.model_validate(
        {
            "client_id": "benchmark",
            "client_name": "Benchmark",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
        }
    )
    await sign_in.provider.register_client(host)
    tokens = []
    for account in accounts:
        account_id = await sign_in.people.keep(None, account.key, "Europe/Berlin")
        asked = Asked("benchmark", REDIRECT, True, "x" * 43, None, True, f"{address}/mcp")
        back = await sign_in.provider.grant(asked, host, account_id, writing=True)
        code = await sign_in.provider.load_authorization_code(host, httpx.URL(back).params["code"])
        assert code is not None
        tokens.append((await sign_in.provider.exchange_authorization_code(host, code)).access_token)
    sign_in.close()
    return tokens


async def assist(address: str, tokens: list[str], tally: Tally, ends: float, seed: int) -> None:
    """One assistant: account after account, a few calls each."""
    dice = random.Random(seed)
    async with httpx.AsyncClient(timeout=90) as wire:
        while time.monotonic() < ends:
            number = dice.randrange(len(tokens))
            connection = Connection(wire, address, tokens[number], dice.choice((OLDER, NEWER)))
            try:
                await visit(connection, number, len(tokens), tally, dice)
            except (Refused, httpx.HTTPError) as error:
                tally.errors[f"{type(error).__name__}: {str(error)[:120]}"] += 1


class Refused(Exception):
    """An answer that is none: its status, or what it says."""


class Connection:
    """A host that is connected for one account, as lean as can be: the server is measured, not a client."""

    def __init__(self, wire: httpx.AsyncClient, address: str, token: str, era: str) -> None:
        self._wire = wire
        self._address = f"{address}/mcp"
        self._era = era
        self._headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {token}",
            "MCP-Protocol-Version": era,
        }
        self._number = 0

    async def open(self) -> None:
        if self._era == NEWER:
            await self.ask("server/discover", {})
            return
        host = {"capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
        await self.ask("initialize", {"protocolVersion": self._era, **host})
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, {})

    async def close(self) -> None:
        if self._era != NEWER:
            await self._wire.delete(self._address, headers=self._headers)

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        headers = {}
        if self._era == NEWER:
            params = params | {"_meta": META}
            headers = {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        answer = await self._post(message, headers)
        text = answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            text = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")][-1]
        body = json.loads(text)
        if "result" not in body:
            raise Refused(f"{method}: {text[:120]}")
        result: dict[str, Any] = body["result"]
        return result

    async def _post(self, message: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        answer = await self._wire.post(self._address, json=message, headers=self._headers | headers)
        if answer.status_code >= 300:
            raise Refused(f"{answer.status_code}: {answer.text[:120]}")
        if session := answer.headers.get("mcp-session-id"):
            self._headers["Mcp-Session-Id"] = session
        return answer


async def visit(connection: Connection, number: int, others: int, tally: Tally, dice: random.Random) -> None:
    """A few calls for one account."""
    own = mark(number)
    began = time.perf_counter()
    await connection.open()
    tally.times["connect"].append(time.perf_counter() - began)

    async def call(kind: str, tool: str, *, empty: bool = False, **arguments: Any) -> dict[str, Any]:
        began = time.perf_counter()
        result = await connection.ask("tools/call", {"name": tool, "arguments": arguments})
        seconds = time.perf_counter() - began
        text = "".join(block["text"] for block in result["content"])
        if result.get("isError"):
            raise Refused(f"{tool}: {text[:120]}")
        answer: dict[str, Any] = json.loads(text)
        # What was looked for is repeated in notes; what was found is not.
        told = json.dumps(answer.get("conversations", ())) if kind == "other" else text
        tally.note(kind, seconds, told, number, empty=empty)
        return answer

    ids: list[str] = []
    for _ in range(dice.randint(4, 8)):
        kind = dice.choices(("search", "read", "list", "attach", "other", "create"), (50, 25, 12, 5, 5, 3))[0]
        match kind:
            case "search":
                found = await call(kind, "search_conversations", query=dice.choice(SUBJECTS), limit=5)
                ids += [each["id"] for each in found["conversations"]]
            case "read":
                await call(kind, "get_conversation", conversation_id=dice.choice(ids) if ids else f"{own}-0")
            case "list":
                found = await call(kind, "search_conversations", limit=10)
                ids += [each["id"] for each in found["conversations"]]
            case "attach":
                began = time.perf_counter()
                listed = await connection.ask("resources/list", {})
                # Hosts ask for it while they connect: before the first page has come, the list is empty.
                tally.note(kind, time.perf_counter() - began, json.dumps(listed), number, empty=True)
            case "other":
                another = mark(dice.choice([each for each in range(others) if each != number]))
                await call(kind, "search_conversations", query=f'"{another}"', empty=True)
                await foreign(connection, f"{another}-1", tally)
            case "create":
                said = f"We decided on the {dice.choice(SUBJECTS)} number {dice.randrange(10**9)} of {own} today."
                made = await call(kind, "create_from_text", empty=True, text=said)
                tally.created[number].add(made["id"])
    await connection.close()


async def foreign(connection: Connection, conversation_id: str, tally: Tally) -> None:
    """A conversation of another account is asked for by its id: there must be none."""
    arguments = {"conversation_id": conversation_id}
    result = await connection.ask("tools/call", {"name": "get_conversation", "arguments": arguments})
    if not result.get("isError"):
        tally.wrong["read: a conversation of another account"] += 1


def belong(sandboxes: Sandboxes, tally: Tally) -> None:
    """Count what lies in an account that is not its own, and what was said to be created and is not there."""
    for number, account in enumerate(sandboxes.accounts):
        ids = set(account.ids(listable=False))
        if lost := tally.created[number] - ids:
            tally.wrong["create: not in the account"] += len(lost)
        for each in ids:
            if set(MARK.findall(json.dumps(account.record(each)))) != {mark(number)}:
                tally.wrong["a conversation in another's account"] += 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def main(options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    accounts = []
    for number in range(options.accounts):
        account = Sandbox(limits="real", user=f"user-{number}")
        account.load(talks(number, options.conversations, now))
        accounts.append(account)
    sandboxes = Sandboxes(accounts)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with serving(sandboxes) as omi:
            port = free_port()
            address = f"http://127.0.0.1:{port}"
            tokens = await signed_in(folder, address, omi, accounts)
            server = Server(folder, port, omi)
            try:
                await server.ready(address)
                server.measure()
                ends = time.monotonic() + options.minutes * 60
                async with anyio.create_task_group() as watching:
                    watching.start_soon(server.watch)
                    async with anyio.create_task_group() as tasks:
                        for seed in range(options.assistants):
                            tasks.start_soon(assist, address, tokens, tally, ends, seed)
                    watching.cancel_scope.cancel()
                worked = server.seconds()
            finally:
                server.stop()
        belong(sandboxes, tally)
    sandboxes.close()
    return report(options, tally, server, worked)


def report(options: argparse.Namespace, tally: Tally, server: Server, worked: float) -> int:
    calls = sum(map(len, tally.times.values()))
    print(f"{options.accounts} accounts, {options.assistants} assistants, {options.minutes:g} minutes: {calls:,} calls")
    shown = {}
    for kind, times in sorted(tally.times.items()):
        ends = statistics.quantiles(times, n=20) if len(times) > 1 else [*times, *times] * 10
        shown[kind] = {"calls": len(times), "p50_ms": round(statistics.median(times) * 1000)}
        shown[kind]["p95_ms"] = round(ends[-1] * 1000)
        print(f"  {kind:8}{len(times):>8,}   p50 {shown[kind]['p50_ms']:>6} ms   p95 {shown[kind]['p95_ms']:>6} ms")
    for title, counted in (("errors", tally.errors), ("wrong", tally.wrong), ("logged", server.logged)):
        print(f"{title}: {counted.total()}")
        for each, count in counted.most_common(8):
            print(f"  {count:>6}  {each}")
    memory = server.memory or [0.0]
    files = server.files or [0]
    each_minute = ", ".join(f"{size:.0f}" for size in memory[:: 60 // WATCH])
    print(f"memory of the server, each minute: {each_minute} MiB; at most {max(memory):.0f}")
    print(
        f"processor time of the server: {worked:.0f} s, of the assistants and the sandbox: {time.process_time():.0f} s"
    )
    pools = server.pools[-1] if server.pools else "not said"
    print(f"open files: {max(files)} at most, {files[-1]} at the end; libraries: {pools}")
    print(
        json.dumps(
            {
                "accounts": options.accounts,
                "assistants": options.assistants,
                "minutes": options.minutes,
                "calls": calls,
                "errors": tally.errors.total(),
                "wrong": tally.wrong.total(),
                "kinds": shown,
                "memory_mib": [round(memory[0]), round(max(memory)), round(memory[-1])],
                "files": max(files),
                "libraries": server.pools[-1:],
            }
        )
    )
    return 1 if tally.errors or tally.wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--assistants", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--conversations", type=int, default=60, help="in each account")
    sys.exit(anyio.run(main, parser.parse_args()))
