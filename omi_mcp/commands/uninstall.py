"""`omi-mcp uninstall`: take this server out of the hosts' files."""

import argparse
import sys
from pathlib import Path

from omi_mcp.clock import SystemClock
from omi_mcp.commands.install import choose, own_entry, reason
from omi_mcp.hosts import HOSTS, Machine, Saved, UnusableConfig, entries


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hosts", metavar="HOST", nargs="*", help="as for install; without one, choose from those connected"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    """Disconnect the hosts of these names. Returns the exit code."""
    machine, saved = Machine.this(), Saved.here()
    connected = [host for host in HOSTS.values() if own_entry(host, host.config(machine))]
    hosts = choose("uninstall", options.hosts, connected, options.config)
    if not hosts:
        return 2
    codes = []
    for host in hosts:
        path = options.config or host.config(machine)
        try:
            change = entries.uninstall(host, path, SystemClock().now())
            saved.note_written(path, {})
        except (UnusableConfig, OSError) as error:
            print(f"{host.title}: {path} was left as it is: {reason(error)}.", file=sys.stderr)
            codes.append(1)
            continue
        print(f"{host.title}: {'disconnected' if change.changed else 'was not connected'} in {path}")
        if change.backup:
            print(f"The file as it was before: {change.backup}")
        codes.append(0)
    if saved.key_file.is_file():
        print(f"The key stays in {saved.key_file}; delete that file when nothing needs it any more.")
    return max(codes)
