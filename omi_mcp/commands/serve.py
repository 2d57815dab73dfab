"""`omi-mcp` without a command: serve a host."""

import argparse
import gc
import sys
from dataclasses import replace

from omi_mcp.commands import environment

NAME = "serve"
HELP = "serve an MCP host over stdio (what happens without a command)"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demo", action="store_true", help="serve an invented sample library; needs no account and no network"
    )


def run(options: argparse.Namespace) -> int:
    settings = environment.settings()
    if sys.stdin.isatty():
        print(
            "omi-mcp is waiting for an MCP host on standard input; Ctrl-C stops it. "
            "Try `omi-mcp demo`, or `omi-mcp --help`.",
            file=sys.stderr,
        )

    from omi_mcp.library import Library
    from omi_mcp.server import build_server
    from omi_mcp.transports import stdio

    if options.demo:
        from omi_mcp.sandbox import Sandbox

        sandbox = Sandbox()
        sandbox.load_sample()
        settings = replace(settings, api_key=sandbox.key, base_url=sandbox.base_url, mirror="memory", demo=True)
        library = Library(settings, transport=sandbox.transport())
    else:
        library = Library(settings)
    server = build_server(library, settings)
    gc.freeze()
    gc.enable()
    stdio.run(server)
    return 0
