"""`omi-mcp uninstall`: take this server out of a host's configuration."""

import argparse
from pathlib import Path

from omi_mcp.commands import connecting


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hosts", metavar="HOST", nargs="*", help="as for install; without one, choose from those connected"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    return connecting.uninstall(options.hosts, config=options.config)
