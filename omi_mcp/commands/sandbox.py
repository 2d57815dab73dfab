"""`omi-mcp sandbox`: a stand-in for the Omi Developer API, as a server on this computer."""

import argparse
import re
import sqlite3
import sys
from pathlib import Path

from omi_mcp.sandbox import BadLine, Faults, Sandbox
from omi_mcp.sandbox.serve import serve
from omi_mcp.transports import port_number


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
    parser.add_argument("--seed", type=int, default=0, help="what the dice of the faults start from (default 0)")


def run(options: argparse.Namespace) -> int:
    try:
        faults = Faults.parse(options.faults)
    except ValueError as error:
        print(f"omi-mcp sandbox: {error}", file=sys.stderr)
        return 2
    try:
        sandbox = Sandbox(
            options.db,
            limits=options.limits,
            boost=options.boost,
            seed=options.seed,
            key=options.key,
            without=options.without,
        )
    except (sqlite3.Error, OSError) as error:
        print(
            f"omi-mcp sandbox: --db {options.db} cannot be used ({error}): give a file in a folder that can be "
            "written, new or made by this command.",
            file=sys.stderr,
        )
        return 1
    sandbox.faults = faults
    try:
        for file in options.load:
            print(f"loaded {sandbox.load_file(file)} conversations from {file.name}", file=sys.stderr)
        if not options.load and not sandbox.ids():
            sandbox.load_sample()
        serve(sandbox, port=options.port, announce=lambda base_url: _announce(base_url, sandbox.key))
    except (BadLine, OSError) as error:
        print(f"omi-mcp sandbox: {error}", file=sys.stderr)
        return 1
    finally:
        sandbox.close()
    return 0


def _developer_key(text: str) -> str:
    if not re.fullmatch(r"omi_dev_[!-~]+", text):
        raise argparse.ArgumentTypeError("a developer key is needed: omi_dev_ and what you like, without spaces")
    return text


def _announce(base_url: str, key: str) -> None:
    print(f"OMI_API_BASE_URL={base_url}\nOMI_API_KEY={key}", flush=True)
