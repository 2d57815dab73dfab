"""`omi-mcp install`: enter this server in a host's configuration."""

import argparse
from pathlib import Path

from omi_mcp.commands import connecting


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hosts",
        metavar="HOST",
        nargs="*",
        help="claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf; without one: those found here",
    )
    parser.add_argument("--print", action="store_true", help="only show what to paste; change nothing")
    parser.add_argument("--demo", action="store_true", help="connect the invented sample library; needs no key")
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    return connecting.install(options.hosts, config=options.config, demo=options.demo, show=options.print)
