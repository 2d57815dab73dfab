"""What a full copy of an account costs: requests, and hours under the API's limits, against what is possible at all.

    python benchmarks/sync_economy.py [N ...]

Everything runs in virtual time against the sandbox. The floors: one request for 100 summaries and one for 25
transcripts; under limits, all summaries first, with the two thirds of each hour that the background may spend. A copy
can end before that: the background also takes what nobody used of the last third in the hour's last minute. For a key
that is allowed a hundred times as much, what is told is how long it takes to find out and copy everything.
"""

# ruff: noqa: E402 - the folders of the tests have to be found first
import sys
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Literal

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "tests", "tests/mirror")]

import virtual_time
from sync_kit import Account, Process

from omi_mcp.api.budget import BASE_LIMITS

SIZES = (2_000, 20_000)
CALLS = 20

BOOST, BOOSTED_SIZE = 100, 5_000


def floor_requests(size: int) -> int:
    return ceil(size / 100) + ceil(size / 25)


def floor_hours(size: int) -> tuple[float, float]:
    """Hours until all summaries, and until all transcripts, when each hour's share is spent as soon as it opens."""
    share = {bucket: limit - limit // 3 for bucket, limit in BASE_LIMITS.items()}
    summaries, transcripts = ceil(size / 100), ceil(size / 25)
    hour, done = 0, 0
    while True:
        reads = share["reads"]
        first = min(reads, summaries)
        summaries -= first
        if first and not summaries:
            done = hour
        if not summaries:
            transcripts -= min(reads - first, share["transcripts"], transcripts)
        if not transcripts:
            return done, hour
        hour += 1


async def copy(size: int, limits: Literal["real", "off"], boost: int = 1) -> dict[str, float]:
    account = Account(limits=limits, boost=boost, size=size)
    async with account.process() as process:
        await process.use()
        hours = {}
        for name, phase in (("summaries", "summaries"), ("transcripts", "transcripts")):
            await account.until(lambda phase=phase: process.sync.progress().phase != phase, hours=500)
            hours[name] = hours_since_start(account)
        await account.until(process.sync._labels.known, hours=2)
        kinds = [
            "transcripts" if request.query.get("include_transcript") == "true" else
            "items" if request.path.endswith("/action-items") else
            "labels" if "starred" in request.query or request.path.endswith("/folders") else "summaries"
            for request in account.sandbox.requests
        ]  # fmt: skip
        refused = sum(request.status == 429 for request in account.sandbox.requests)
        session = await calls(account, process)
    account.sandbox.close()
    return {
        **{kind: kinds.count(kind) for kind in ("summaries", "transcripts", "labels", "items")},
        "hours_summaries": hours["summaries"],
        "hours_transcripts": hours["transcripts"],
        "refused": refused,
        "session": session,
    }


async def calls(account: Account, process: Process) -> int:
    """Requests made by a session of 20 calls, 20 seconds apart, on the synced account."""
    await account.clock.sleep(timedelta(hours=9).total_seconds())
    before = account.requests
    for _ in range(CALLS):
        await process.use()
        await account.clock.sleep(20)
    return account.requests - before


def hours_since_start(account: Account) -> float:
    return (account.clock.now() - virtual_time.START) / timedelta(hours=1)


def beyond(measured: float, floor: float) -> str:
    return f"{measured / floor - 1:+.1%}" if floor else "-"


def main(sizes: tuple[int, ...]) -> None:
    print(f"{'N':>6}  limits  summaries  transcripts  floor  beyond  +labels  items  429s  20 calls")
    measured = {(size, limits): virtual_time.run(copy, size, limits) for size in sizes for limits in ("off", "real")}
    for (size, limits), cost in measured.items():
        requests, floor = cost["summaries"] + cost["transcripts"], floor_requests(size)
        print(
            f"{size:>6}  {limits:<6}  {cost['summaries']:>9}  {cost['transcripts']:>11}  {floor:>5}"
            f"  {beyond(requests, floor):>6}  {beyond(requests + cost['labels'], floor):>7}  {cost['items']:>5}"
            f"  {cost['refused']:>4}  {cost['session']:>8}"
        )
    print(f"\n{'N':>6}  hours to all summaries  floor   beyond  hours to all transcripts  floor   beyond")
    for size in sizes:
        cost, (first, second) = measured[size, "real"], floor_hours(size)
        print(
            f"{size:>6}  {cost['hours_summaries']:>22.2f}  {first:>5}  {beyond(cost['hours_summaries'], first):>7}"
            f"  {cost['hours_transcripts']:>24.2f}  {second:>5}  {beyond(cost['hours_transcripts'], second):>7}"
        )
    boosted = virtual_time.run(copy, BOOSTED_SIZE, "real", BOOST)
    print(
        f"\n{BOOSTED_SIZE} conversations, {BOOST} times the limits: everything after"
        f" {boosted['hours_transcripts'] * 60:.1f} minutes, {boosted['refused']:.0f} requests refused"
    )


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
