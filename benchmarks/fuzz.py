"""Anything for arguments, anything for answers: does the server answer each call, within bounds, and keep its secrets?

    python benchmarks/fuzz.py [--cases 20000] [--seed 0]

Hypothesis makes up hosts that call the tools and read the resources of a server, and an API that answers with
conversations of the wrong shape, errors, other bytes or nothing. Each tool call and resource read is a case. What must
hold for each is in `tests/server/hostile_kit.py`: an answer, no traceback, no key in it or in the log, nothing of an
upstream error, no control characters, no more than 60,000 characters. The last line is JSON; exits with 1 on a failure.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "server")]

from hostile_kit import Answer, answers, play, tool_calls  # noqa: E402

ROUND = 100
"""Examples made up from one seed; hypothesis grows slow when it has to remember more."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    count: Counter[str] = Counter()

    def one(calls: list[tuple[str, dict[str, Any]]], upstream: list[Answer]) -> None:
        count["cases"] += play(calls, upstream)
        count["servers"] += 1
        count.update(tool for tool, _ in calls)
        count.update(f"upstream {answer.status or 'broken'}" for answer in upstream)

    seeds = random.Random(options.seed)
    everything = settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    failure = None
    while count["cases"] < options.cases and failure is None:
        number = seeds.getrandbits(32)
        test = seed(number)(everything(given(_calls(), _answers())(one)))
        try:
            test()
        except Exception as error:
            failure = f"seed {number}: {type(error).__name__}: {error}"
            print(failure[:4_000])
        print(f"{count['cases']:>7} cases, {time.monotonic() - began:.0f} s", file=sys.stderr)
    for name, number in sorted(count.items()):
        print(f"{name:<24} {number}")
    report = {"cases": count["cases"], "servers": count["servers"], "failed": failure is not None}
    print(json.dumps(report | {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if failure else 0


def _calls() -> st.SearchStrategy[list[tuple[str, dict[str, Any]]]]:
    return st.lists(tool_calls(), min_size=3, max_size=10)


def _answers() -> st.SearchStrategy[list[Answer]]:
    return st.lists(answers, min_size=1, max_size=6)


if __name__ == "__main__":
    sys.exit(main())
