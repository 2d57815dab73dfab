"""`omi-mcp install`: enter this server in a host's configuration."""

import argparse
import os
import sys
from pathlib import Path

NAME = "install"
HELP = "connect an assistant: claude-desktop, claude-code, cursor, vscode, codex, gemini or windsurf"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "host", metavar="HOST", help="claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf"
    )
    parser.add_argument("--print", action="store_true", help="only show what to paste; change nothing")
    parser.add_argument("--demo", action="store_true", help="connect the invented sample library; needs no key")
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.clock import SystemClock
    from omi_mcp.hosts import entries, keys
    from omi_mcp.hosts.document import UnusableConfig
    from omi_mcp.hosts.known import HOSTS, Machine

    host = HOSTS.get(options.host)
    if host is None:
        print(f"omi-mcp install: no such host. Hosts: {', '.join(HOSTS)}", file=sys.stderr)
        return 2
    path = options.config or host.config(Machine.this())
    try:
        command, arguments = entries.own_command()
        if not options.print and not entries.starts(command, arguments):
            print(
                f"omi-mcp install: {command} does not start this server from another folder, as a host would start it. "
                "Install it first (see README). Nothing was installed.",
                file=sys.stderr,
            )
            return 1
        environment = keys.carried(os.environ)
        place = None
        if options.demo:
            arguments = (*arguments, "--demo")
        elif options.print and not host.asks_for_key:
            environment |= _reference_to_show()
        elif reference := keys.refer(host, os.environ, key_file(), _ask):
            environment |= reference.environment
            place = reference.place
        launch = entries.Launch(command, arguments, environment)
        if options.print:
            print(entries.block(host, launch), end="")
            return 0
        change = entries.install(host, path, launch, SystemClock().now())
    except UnusableConfig as error:
        print(f"{host.title}: {path} was left as it is: {error}.", file=sys.stderr)
        print(f"Repair it, or add this by hand:\n\n{entries.block(host, launch)}", end="", file=sys.stderr)
        return 1
    except (entries.TemporaryInstall, keys.WrongKey, OSError) as error:
        print(f"omi-mcp install: {error}. Nothing was installed.", file=sys.stderr)
        return 1
    print(f"{host.title}: {'connected' if change.changed else 'was connected already'} in {path}")
    if change.backup:
        print(f"The file as it was before: {change.backup}")
    if place:
        print(f"The key: {place}.")
    elif not options.demo:
        print(
            "There is no key yet. Create one in the Omi app (Settings > Developer), then: "
            f"OMI_API_KEY=omi_dev_... omi-mcp install {host.name}"
        )
    print(host.next_step)
    return 0


def key_file() -> Path:
    from platformdirs import user_config_path

    return user_config_path("omi-mcp", appauthor=False) / "api-key"


def _reference_to_show() -> dict[str, str]:
    """What to paste must not hold the key itself."""
    for file in (os.environ.get("OMI_API_KEY_FILE"), key_file()):
        if file and Path(file).expanduser().is_file():
            return {"OMI_API_KEY_FILE": str(Path(file).expanduser().absolute())}
    return {"OMI_API_KEY": "omi_dev_..."}


def _ask() -> str:
    if not sys.stdin.isatty():
        return ""
    from getpass import getpass

    return getpass("Omi developer key (Omi app: Settings > Developer; empty to go on without): ")
