"""`omi-mcp sandbox`: a stand-in for the Omi Developer API, as a server on this computer."""

import argparse
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from omi_mcp import files
from omi_mcp.sandbox import BadLine, Faults, Sandbox, Sandboxes
from omi_mcp.sandbox.serve import serve
from omi_mcp.transports import port_number

MOST_ACCOUNTS = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=port_number, default=8787, help="port on 127.0.0.1; 0 takes a free one (default 8787)"
    )
    parser.add_argument("--db", type=Path, metavar="FILE", help="keep the data in FILE (default: in memory)")
    parser.add_argument(
        "--load",
        type=Path,
        metavar="FILE",
        nargs="+",
        action="extend",
        default=[],
        help="load conversations from JSON lines, .jsonl or .jsonl.gz (default: the sample library)",
    )
    parser.add_argument(
        "--limits", choices=("real", "off"), default="real", help="the service's hourly limits (default real)"
    )
    parser.add_argument(
        "--boost",
        type=int,
        default=1,
        metavar="N",
        help="multiply the hourly limits by N, as the service does for some keys (default 1)",
    )
    parser.add_argument(
        "--faults",
        metavar="SPEC",
        default="",
        help="break requests on purpose: kind[=number][@route+...][*rate][#times], comma between several, such as "
        "drop-after@create#1 or 503@list*0.2. Kinds: refuse, drop-before, drop-during, drop-after, reset, hang, delay, "
        "slow, 429, 500, 503, 504, truncate, html, mistype. Routes: list, get, search, create, segments, "
        "update, delete, folders, key, items, reads, writes",
    )
    parser.add_argument(
        "--key",
        type=_developer_key,
        metavar="KEY",
        help="the developer key (omi_dev_...) to accept (default: a new one)",
    )
    parser.add_argument(
        "--without",
        choices=("search", "action-items"),
        action="append",
        default=[],
        help="leave out a route that older services do not have: the search by meaning, or the list of action items",
    )
    parser.add_argument(
        "--accounts",
        type=_count,
        default=1,
        metavar="N",
        help="hold N accounts, each with its own key, conversations and limits (default 1)",
    )
    parser.add_argument("--keys", type=Path, metavar="FILE", help="write the accounts' keys into FILE, one a line")
    parser.add_argument("--seed", type=int, default=0, help="what the dice of the faults start from (default 0)")


def run(options: argparse.Namespace) -> int:
    try:
        faults = Faults.parse(options.faults)
    except ValueError as error:
        print(f"omi-mcp sandbox: {error}", file=sys.stderr)
        return 2
    accounts: list[Sandbox] = []
    try:
        accounts.extend(_account(number, options) for number in range(options.accounts))
    except (sqlite3.Error, OSError) as error:
        for account in accounts:
            account.close()
        print(
            f"omi-mcp sandbox: --db {options.db} cannot be used ({error}): give a file in a folder that can be "
            "written, new or made by this command.",
            file=sys.stderr,
        )
        return 1
    sandboxes = Sandboxes(accounts)
    keys = [account.key for account in accounts]
    try:
        for file in options.load:
            loaded = [account.load_file(file) for account in accounts]
            print(f"loaded {loaded[0]} conversations from {file.name}", file=sys.stderr)
        for account in accounts:
            account.faults = faults
            if not options.load and not account.ids():
                account.load_sample()
        if options.keys is not None:
            files.replace(options.keys, "".join(f"{key}\n" for key in keys).encode())
        announced = keys[:1] if options.keys is not None else keys
        serve(sandboxes, port=options.port, announce=lambda base_url: _announce(base_url, announced))
    except (BadLine, OSError) as error:
        print(f"omi-mcp sandbox: {error}", file=sys.stderr)
        return 1
    finally:
        sandboxes.close()
    return 0


def _account(number: int, options: argparse.Namespace) -> Sandbox:
    """One of the accounts, counted from 0. The first is what there is without others."""
    shared = {"limits": options.limits, "boost": options.boost, "without": options.without}
    if number == 0:
        return Sandbox(options.db, key=options.key, seed=options.seed + number, **shared)
    path = options.db and options.db.with_name(f"{options.db.stem}-{number + 1}{options.db.suffix}")
    return Sandbox(path, user=f"sandbox-user-{number + 1}", seed=options.seed + number, **shared)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MOST_ACCOUNTS:
        raise argparse.ArgumentTypeError(f"a number from 1 to {MOST_ACCOUNTS:,} is needed")
    return int(text)


def _developer_key(text: str) -> str:
    if not re.fullmatch(r"omi_dev_[!-~]+", text):
        raise argparse.ArgumentTypeError("a developer key is needed: omi_dev_ and what you like, without spaces")
    return text


def _announce(base_url: str, keys: Sequence[str]) -> None:
    print("\n".join([f"OMI_API_BASE_URL={base_url}", *(f"OMI_API_KEY={key}" for key in keys)]), flush=True)
