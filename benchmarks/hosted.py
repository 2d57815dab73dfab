"""Many accounts, served by several machines with PostgreSQL, and by one process with files: how fast, and whose words?

    python benchmarks/hosted.py [--accounts 10 100 1000] [--minutes 2] [--replicas 2] [--assistants 64]
    python benchmarks/hosted.py --kill [--creates 10000] [--minutes 10] [--accounts 1000]

Everything is real and on this computer: a service with the API's limits, `omi-mcp --transport http` as processes of
their own, a PostgreSQL that syncs to the disk, a proxy that sends each request to the next replica, and MCP
clients of both eras. Every text of an account holds a word that is its own: an answer with another's, or without the
caller's, is counted as wrong. The last line is JSON; exits with 1 when anything was wrong.

Without `--kill`, for each number of accounts: all are copied, and each is asked of at a replica that has never seen it;
then the assistants search, read, list, rename and create for `--minutes`, for one account after the other; first at one
process on SQLite, then at the replicas.

With `--kill`, replicas (SIGKILL, started again) and PostgreSQL (immediate shutdown, restart) are killed all along many
creates; assistants repeat what was not answered. In the end each create is looked for at the service.
"""

import argparse
import base64
import json
import logging
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.hosting.accounts import MODELS, SUBJECTS, mark, model  # noqa: E402
from benchmarks.hosting.assistants import Failed, Tally, assist  # noqa: E402
from benchmarks.hosting.killing import Probe, Trial, kill_at_random  # noqa: E402
from benchmarks.hosting.processes import Part, Replica, Watch, files, free_port, memory  # noqa: E402
from benchmarks.hosting.service import HELD  # noqa: E402
from benchmarks.hosting.signing_in import signed_in  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.hosting.database import Postgres

COPYING_AT_ONCE = 12
"""Accounts, of each replica, while all are copied."""

COPYING_SECONDS = 600.0

COLD = 60
"""Accounts that are asked of one after the other at a replica that has never seen them; the others all at once."""

MEETING_SECONDS = 100.0
"""For all of that."""

WATCH_SECONDS = 2.0
CALLS = ("search", "read")

FEW = 5
"""Conversations of an account where creates are what matters."""

THINKING_SECONDS = 1.0
"""That Omi works on a create at most: kills are to come in the middle."""

DRAIN_SECONDS = 540.0
"""After the last create was begun. What was under way when its process was killed is sent again only after five and a
half minutes."""

BACK_SECONDS = 60.0

WRITES = 25
"""That the service allows an account in an hour."""

REFUSALS = 4
"""Of one account. It learns its limits by the first; some may be on their way meanwhile."""

PROGRESS_SECONDS = 20.0


@dataclass
class Row:
    """One system with so many accounts. Times in milliseconds, shares of one core."""

    system: str
    accounts: int
    copied_per_second: float
    cold: dict[str, float]
    calls: int = 0
    calls_per_second: float = 0.0
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: int = 0
    wrong: int = 0
    cores: dict[str, float] = field(default_factory=dict)
    memory_mib: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    database: dict[str, float] = field(default_factory=dict)


@dataclass
class System:
    """What serves: replicas behind the proxy at `address`, and the service behind them."""

    name: str
    address: str
    omi: str
    service: Part
    proxy: Part
    replicas: list[Replica]
    ids: list[str]
    tokens: list[str]
    copiers: list[Replica]
    """What copies: the replicas; of one process with files another beside it, which is not needed afterwards."""
    conversations: int
    database: "Postgres | None"
    tally: Tally = field(default_factory=Tally)
    refused: int = 0
    """Requests for which the service had no allowance left."""
    writes: dict[int, int] = field(default_factory=dict)
    """Of each account, as the service counted them."""

    async def stop(self) -> None:
        for replica in self.copiers:
            await anyio.to_thread.run_sync(replica.stop)
        self.proxy.stop()


@asynccontextmanager
async def service(
    options: argparse.Namespace, *, thinking: float = 0, boost: int = 1
) -> AsyncIterator[tuple[Part, str]]:
    """The Omi API of all accounts, and where it is. `thinking`: seconds at most that it works on a create."""
    port = free_port()
    part = Part("service", port, max(options.accounts), options.conversations, thinking, boost)
    try:
        await part.ready()
        yield part, f"http://127.0.0.1:{port}"
    finally:
        part.stop()


@asynccontextmanager
async def started(
    options: argparse.Namespace, folder: Path, service: Part, omi: str, database: "Postgres | None"
) -> AsyncIterator[System]:
    """One process with files, or several with a database, for the accounts of a service."""
    accounts, replicas = max(options.accounts), options.replicas if database else 1
    name = f"{replicas} with PostgreSQL" if database else "1 with SQLite"
    port, *ports = [free_port() for _ in range(replicas + 1)]
    address = f"http://127.0.0.1:{port}"
    proxy = Part("proxy", port, *ports)
    environment = {
        "OMI_API_BASE_URL": omi,
        "OMI_MCP_PUBLIC_URL": address,
        "OMI_MCP_SECRET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "OMI_MCP_TIMEZONE": "UTC",
    }
    if database is not None:
        environment["OMI_MCP_DATABASE_URL"] = database.address
    folders = [folder / f"{name}-{number}".replace(" ", "-") for number in range(replicas)]
    for each in folders:
        each.mkdir()
    ids, tokens = await signed_in({**environment, "OMI_MCP_DATA_DIR": str(folders[0])}, accounts)
    running = [
        Replica(each, port, environment, options.beside if place % 2 else sys.executable)
        for place, (each, port) in enumerate(zip(folders, ports, strict=True))
    ]
    copiers = [*running]
    if database is None and accounts > MODELS:
        copiers.append(Replica(folders[0], free_port(), environment))
    system = System(name, address, omi, service, proxy, running, ids, tokens, copiers, options.conversations, database)
    try:
        await proxy.ready()
        for replica in copiers:
            await replica.ready()
        yield system
    finally:
        await system.stop()


async def asked(wire: httpx.AsyncClient, address: str, token: str, words: str) -> dict[str, Any]:
    """The answer to a search, as a single request without anything around it."""
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    }
    params = {"name": "search_conversations", "arguments": {"query": words, "limit": 1}, "_meta": meta}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token}",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "search_conversations",
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    response = await wire.post(f"{address}/mcp", json=message, headers=headers)
    response.raise_for_status()
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")][-1]
    result = json.loads(text)["result"]
    told = "".join(block["text"] for block in result["content"])
    if result.get("isError"):
        raise Failed(told)
    answer: dict[str, Any] = json.loads(told)
    return answer


async def copied(system: System, first: int, end: int) -> tuple[float, int]:
    """Have these accounts copied from the service: how many conversations a second, and up to which account there was
    time for. Of many, with a database, most are made there of those that were."""
    through = min(end, MODELS) if system.database else end
    left = iter(range(first, through))
    began = time.monotonic()

    done = first

    async def copy() -> None:
        nonlocal done
        async with httpx.AsyncClient(timeout=120) as wire:
            for number in left:
                if time.monotonic() > began + COPYING_SECONDS:
                    return
                copier = system.copiers[number % len(system.copiers)]
                while True:
                    told = await asked(wire, copier.address, system.tokens[number], "budget")
                    if told["coverage"]["complete"]:
                        done += 1
                        break
                    await anyio.sleep(0.5)

    async with anyio.create_task_group() as tasks:
        for _ in range(COPYING_AT_ONCE * len(system.copiers)):
            tasks.start_soon(copy)
    rate = (done - first) * system.conversations / (time.monotonic() - began)
    if system.database is None:
        return rate, done
    for number in range(first, through):
        await anyio.to_thread.run_sync(system.database.remember, system.ids[number])
    for number in range(max(through, first), end):
        source = model(number)
        words = (system.ids[source], mark(source), system.ids[number], mark(number))
        await anyio.to_thread.run_sync(system.database.copy_account, *words)
    return rate, end


async def met(system: System, first: int, end: int) -> dict[str, float]:
    """Ask of each account at a replica that has not seen it, or not for long, as far as time permits.

    What the first and the second answer cost, milliseconds; and how many conversations a second are made known there.
    """
    firsts: list[float] = []
    seconds: list[float] = []
    ends = time.monotonic() + MEETING_SECONDS

    async def meet(wire: httpx.AsyncClient, number: int, replica: Replica) -> None:
        for times in (firsts, seconds):
            began = time.perf_counter()
            told = await asked(wire, replica.address, system.tokens[number], SUBJECTS[number % len(SUBJECTS)])
            times.append((time.perf_counter() - began) * 1000)
            assert told["coverage"]["complete"]
            system.tally.check("cold", json.dumps(told), number)

    def unseen() -> Iterator[tuple[int, Replica]]:
        for number in range(first, end):
            seen = number % len(system.replicas) if number < MODELS or system.database is None else None
            for place, replica in enumerate(system.replicas):
                if time.monotonic() < ends and (place != seen or len(system.replicas) == 1):
                    yield number, replica

    left = unseen()
    async with httpx.AsyncClient(timeout=120) as wire:
        for number, replica in islice(left, COLD):
            await meet(wire, number, replica)
        told = {"first_p50": statistics.median(firsts), "first_p95": percentile(firsts, 95)}
        told |= {"second_p50": statistics.median(seconds)}
        alone, began = len(firsts), time.monotonic()

        async def meet_others() -> None:
            for number, replica in left:
                await meet(wire, number, replica)

        if len(system.replicas) > 1:  # of one process with files, to open a file again is all there is to it
            async with anyio.create_task_group() as tasks:
                for _ in range(4 * len(system.replicas)):
                    tasks.start_soon(meet_others)
    if len(firsts) > alone:
        told["per_second"] = (len(firsts) - alone) * system.conversations / (time.monotonic() - began)
        told["met"] = len(firsts)
    return {name: round(value, 1) for name, value in told.items()}


async def loaded(system: System, row: Row, options: argparse.Namespace) -> None:
    """The assistants at work, for as long as it is said; what came of it goes into the row."""
    tally = system.tally = Tally(written=system.tally.written, created=system.tally.created, wrong=system.tally.wrong)
    pids = [replica.pid for replica in system.replicas]
    database = system.database
    families = {"postgres": database.pid} if database else {}
    watch = Watch(families, clients=[os.getpid()], proxy=[system.proxy.pid], service=[system.service.pid], servers=pids)
    counted = database.counts() if database else {}
    memories, opened = [0.0], [0]

    async def look() -> None:
        while True:
            memories.append(max(map(memory, pids)))
            opened.append(max(map(files, pids)))
            await anyio.sleep(WATCH_SECONDS)

    began = time.monotonic()
    async with anyio.create_task_group() as looking:
        looking.start_soon(look)
        async with anyio.create_task_group() as tasks:
            for seed in range(options.assistants):
                tasks.start_soon(
                    assist, system.address, system.tokens[: row.accounts], tally, began + options.minutes * 60, seed
                )
        looking.cancel_scope.cancel()
    past = time.monotonic() - began
    kinds = {kind: times for kind, times in sorted(tally.times.items()) if kind != "connect"}
    row.calls = sum(map(len, kinds.values()))
    row.calls_per_second = round(row.calls / past, 1)
    row.times = {
        kind: {
            "calls": len(times),
            "p50": round(statistics.median(times) * 1000),
            "p95": round(percentile(times, 95) * 1000),
        }
        for kind, times in sorted(tally.times.items())
    }
    row.errors = tally.errors.total()
    row.cores = {name: round(share, 2) for name, share in watch.shares().items()}
    if database:
        after = database.counts()
        row.database = {f"{name}_per_call": round((after[name] - counted[name]) / row.calls, 1) for name in after}
        row.database |= {f"{name}_per_account": round(n / row.accounts) for name, n in database.sizes().items()}
    row.memory_mib = [round(memory(pid)) for pid in pids] + [round(max(memories))]
    row.files = [max(opened)]
    for each, count in tally.errors.most_common(6):
        print(f"    error {count:>5}  {each}")


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


async def audit(system: System) -> dict[int, dict[str, str]]:
    """Compare what the service holds with what was answered; of each account, what was created: ids and texts."""
    created = {}
    async with httpx.AsyncClient(timeout=120, base_url=system.omi) as wire:
        for first in range(0, len(system.tokens), 50):
            end = min(first + 50, len(system.tokens))
            told = (await wire.get(HELD, params={"first": first, "end": end})).json()
            for number, held in enumerate(told, first):
                said = system.tally.created[number]
                created[number] = held["created"]
                wrong = system.tally.wrong
                wrong["service: another's words"] += held["strangers"]
                wrong["service: an answered create is not there"] += len(set(said) - set(held["created"]))
                texts = list(held["created"].values())
                wrong["service: made twice"] += len(texts) - len(set(texts))
                refused = sum(n for each, n in held["answers"].items() if each.endswith("429"))
                system.refused += refused
                system.writes[number] = sum(n for each, n in held["answers"].items() if not each.startswith("GET"))
                wrong["service: asked on after it had refused (429)"] += max(0, refused - REFUSALS)
    system.tally.wrong = +system.tally.wrong
    return created


async def prepared(system: System, options: argparse.Namespace, before: int, accounts: int) -> Row:
    """All accounts copied and known where they are to be, and what that took."""
    rate, accounts = await copied(system, before, accounts)
    print(f"{system.name}: {accounts} accounts copied, {rate:.0f} conversations a second", flush=True)
    for spare in system.copiers[len(system.replicas) :]:
        if accounts > MODELS:
            await anyio.to_thread.run_sync(spare.stop)
    return Row(system.name, accounts, round(rate), await met(system, before, accounts))


async def audited(system: System) -> int:
    """How much was wrong in all."""
    await audit(system)
    for each, count in system.tally.wrong.items():
        print(f"    wrong {count:>5}  {each}")
    for replica in system.replicas:
        for line, count in replica.logged.most_common(6):
            print(f"    logged {count:>4}  {line}")
    print(f"    {system.name}: refused by the service (429): {system.refused}")
    return system.tally.wrong.total()


def show(row: Row) -> None:
    print(f"{row.system}, {row.accounts:,} accounts: {row.calls:,} calls, {row.calls_per_second} a second")
    for kind, told in row.times.items():
        print(f"    {kind:8}{told['calls']:>8,}   p50 {told['p50']:>6} ms   p95 {told['p95']:>6} ms")
    print(f"    errors {row.errors}, wrong {row.wrong}; cold {row.cold}; cores {row.cores}")
    print(f"    memory {row.memory_mib} MiB, files {row.files}, database {row.database}", flush=True)


async def compared(options: argparse.Namespace, folder: Path) -> int:
    """One process with files and several with PostgreSQL, by turns under the same load."""
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        omi = await stack.enter_async_context(service(options, boost=len(options.systems)))
        systems = []
        for name in options.systems:
            database = stack.enter_context(postgres()) if name == "postgres" else None
            systems.append(await stack.enter_async_context(started(options, folder, *omi, database)))
        before = 0
        for accounts in options.accounts:
            step = [await prepared(system, options, before, accounts) for system in systems]
            for system, row in zip(systems, step, strict=True):
                await loaded(system, row, options)
                row.wrong = system.tally.wrong.total()
                show(row)
            before = accounts
            if len(step) > 1:
                ratio = {kind: round(step[1].times[kind]["p50"] / step[0].times[kind]["p50"], 2) for kind in CALLS}
                print(f"    p50 {ratio} times that of one process, ", end="")
                print(f"{step[1].calls_per_second / step[0].calls_per_second:.2f} times its calls a second", flush=True)
            rows += step
        for system, row in zip(systems, step, strict=True):
            row.wrong = await audited(system)
            if system.database is not None:
                for each in system.database.costliest():
                    print("    {calls:>8} calls {seconds:>7} s {ms:>7} ms  {query}".format(**each))
    print(json.dumps([vars(row) for row in rows]))
    return 1 if any(row.errors or row.wrong for row in rows) else 0


async def killed(options: argparse.Namespace, folder: Path) -> int:
    """Creates, and everything is killed all along."""
    options.accounts = options.accounts[-1:]
    options.conversations = min(options.conversations, FEW)
    with postgres() if "postgres" in options.systems else nullcontext() as database:
        async with (
            service(options, thinking=THINKING_SECONDS) as omi,
            started(options, folder, *omi, database) as system,
        ):
            return await _killed(options, system, random.Random(options.seed))


async def _killed(options: argparse.Namespace, system: System, dice: random.Random) -> int:
    began = time.monotonic()
    ends = began + options.minutes * 60
    # The last account is for those who ask whether anybody is there.
    trial = Trial(system.address, system.tokens[:-1], options.creates, dice, system.tally, ends)
    async with httpx.AsyncClient(timeout=httpx.Timeout(30, connect=5)) as wire:

        def probing(address: str) -> Callable[[], Awaitable[bool]]:
            async def ask() -> bool:
                try:
                    await asked(wire, address, system.tokens[-1], "budget")
                except (httpx.HTTPError, Failed, ValueError, KeyError):
                    return False
                return True

            return ask

        probes = [Probe(f"replica {place}", probing(each.address)) for place, each in enumerate(system.replicas, 1)]
        probes.append(Probe("proxy", probing(system.address)))
        victims = [(f"replica {place}", 3, _replica_killer(each)) for place, each in enumerate(system.replicas, 1)]
        if system.database is not None:
            victims.append(("postgres", 2, _database_killer(system.database)))
        kills: Counter[str] = Counter()
        async with anyio.create_task_group() as around:
            for probe in probes:
                around.start_soon(probe.run)
            around.start_soon(trial.tell, PROGRESS_SECONDS)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kill_at_random, trial, victims, dice, kills)
                await trial.run(options.assistants, ends + DRAIN_SECONDS)
            around.cancel_scope.cancel()
    held = await audit(system)
    wrong = trial.judged(held)
    wrong += [f"{count} times: {each}" for each, count in system.tally.wrong.items()]
    wrong += overspent(system)
    longest = {probe.name: round(probe.longest, 1) for probe in probes}
    waited = sorted(trial.gaps)
    report = {
        "seed": options.seed,
        "accounts": len(system.tokens),
        "creates": len(trial.creates),
        "answers": dict(sorted(trial.count.items())),
        "kills": dict(kills),
        "longest_without_answer": longest,
        "longest_wait_of_an_account": round(waited[-1], 1) if waited else 0,
        "refused_by_the_service": system.refused,
        "wrong": len(wrong),
        "seconds": round(time.monotonic() - began),
    }
    for name, value in report.items():
        print(f"{name:<28} {value}")
    for each, count in trial.said.most_common(25):
        print(f"    said {count:>6}  {each}")
    for each in wrong[:20]:
        print(f"    WRONG {each}")
    for replica in system.replicas:
        for line, count in replica.logged.most_common(12):
            print(f"    logged {count:>6}  {line}")
    late = max(longest.values()) > BACK_SECONDS
    unsettled = trial.count["never answered"]
    good = not (wrong or late or unsettled) and len(trial.creates) > 0
    print(json.dumps(report | {"passed": good}))
    return 0 if good else 1


def overspent(system: System) -> list[str]:
    """Ledgers that tell of more than is allowed, or of fewer writes than there were."""
    if system.database is None:
        return []
    ledgers = system.database.ledgers()
    # One beyond what is believed is how more is learnt.
    wrong = [
        f"spent {told['spent']} of {told['most']} {bucket}"
        for (_, bucket), told in ledgers.items()
        if told["spent"] > told["most"] + 1
    ]
    for number, count in system.writes.items():
        booked = ledgers.get((system.ids[number], "writes"), {"spent": 0})["spent"]
        if count > min(booked, WRITES):
            wrong.append(f"{count} writes, {booked} in the ledger of account {number}")
    return wrong


def _replica_killer(replica: Replica) -> Callable[[float], Awaitable[None]]:
    async def kill(down: float) -> None:
        await anyio.to_thread.run_sync(replica.kill)
        await anyio.sleep(down)
        replica.start()
        await replica.ready()

    return kill


def _database_killer(database: "Postgres") -> Callable[[float], Awaitable[None]]:
    async def kill(down: float) -> None:
        await anyio.to_thread.run_sync(database.stop, "immediate")
        await anyio.sleep(down)
        await anyio.to_thread.run_sync(database.start)

    return kill


@contextmanager
def postgres() -> "Iterator[Postgres]":
    from benchmarks.hosting.database import Postgres  # needs psycopg

    database = Postgres()
    try:
        yield database
    finally:
        database.close()


async def main(options: argparse.Namespace) -> int:
    logging.getLogger("mcp").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        return await (killed if options.kill else compared)(options, Path(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--assistants", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=2.0, help="of work, for each number of accounts")
    parser.add_argument("--conversations", type=int, default=200, help="in each account")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--systems", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"])
    parser.add_argument("--kill", action="store_true", help="kill replicas and PostgreSQL all along many creates")
    parser.add_argument("--creates", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--beside", default=sys.executable, help="the Python of another release, for every 2nd replica")
    sys.exit(anyio.run(main, parser.parse_args()))
