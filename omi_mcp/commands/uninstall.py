"""`omi-mcp uninstall`: take this server out of a host's configuration."""

import argparse
import sys
from pathlib import Path

NAME = "uninstall"
HELP = "disconnect an assistant that `install` connected"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="as for install")
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.clock import SystemClock
    from omi_mcp.commands.install import key_file
    from omi_mcp.hosts import entries
    from omi_mcp.hosts.document import UnusableConfig
    from omi_mcp.hosts.known import HOSTS, Machine

    host = HOSTS.get(options.host)
    if host is None:
        print(f"omi-mcp uninstall: no such host. Hosts: {', '.join(HOSTS)}", file=sys.stderr)
        return 2
    path = options.config or host.config(Machine.this())
    try:
        change = entries.uninstall(host, path, SystemClock().now())
    except (UnusableConfig, OSError) as error:
        print(f"{host.title}: {path} was left as it is: {error}.", file=sys.stderr)
        return 1
    print(f"{host.title}: {'disconnected' if change.changed else 'was not connected'} in {path}")
    if change.backup:
        print(f"The file as it was before: {change.backup}")
    if key_file().is_file():
        print(f"The key stays in {key_file()}; delete that file when no host needs it any more.")
    return 0
