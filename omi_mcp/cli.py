"""The command line: which commands there are, and how each ends."""

import argparse
import gc
import sys
from collections.abc import Sequence
from types import ModuleType

from omi_mcp._version import __version__
from omi_mcp.commands import (
    completion,
    delete,
    demo,
    doctor,
    export,
    hide,
    import_,
    install,
    mirror,
    name,
    rename,
    restore,
    sandbox,
    search,
    serve,
    show,
    sync,
    uninstall,
)
from omi_mcp.settings import SettingsError

COMMANDS: tuple[ModuleType, ...] = (
    serve,
    install,
    uninstall,
    doctor,
    search,
    show,
    name,
    rename,
    hide,
    restore,
    delete,
    import_,
    export,
    sync,
    mirror,
    demo,
    sandbox,
    completion,
)

ABOUT = ("-h", "--help", "--version")
"""The options that are not those of `serve`."""

DEFAULT = "Without a command it serves a host over stdio, and takes the options of serve: omi-mcp --demo."

EPILOG = """\
environment:
  OMI_API_KEY           developer key (omi_dev_...), from the Omi app: Settings > Developer
  OMI_API_KEY_FILE      a file that holds the key, instead of OMI_API_KEY
  OMI_API_BASE_URL      default https://api.omi.me
  OMI_MCP_TIMEZONE      IANA name such as Europe/Berlin; default: this computer's
  OMI_MCP_USER_NAME     your name in transcripts; default: who speaks in most conversations, if one stands out
  OMI_MCP_READ_ONLY     on: no tools that write
  OMI_MCP_ALLOW_DELETE  on: a tool that deletes conversations for good, each after a confirmation
  OMI_MCP_MIRROR        disk (default), memory or off: where the searchable copy is kept
  OMI_MCP_DATA_DIR      folder of the copy; default: the platform's data folder
  OMI_MCP_STRUCTURED    off: answer in text only, for hosts that show both forms to the model
  OMI_MCP_HTTP_TOKEN    bearer token of --transport http; default: one that is made and kept in a file
  OMI_MCP_OAUTH_ISSUER  accept this issuer's tokens instead; with _AUDIENCE and _SUBJECT (docs/hosts.md)
  OMI_MCP_LOG_LEVEL     DEBUG, INFO, WARNING (default) or ERROR; the log goes to standard error

exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 not all could be done now, 130/143 stopped by a signal
"""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ABOUT):
        arguments = (serve.NAME, *arguments)
    if mistyped := _mistyped(arguments[0]):
        print(f"omi-mcp: {mistyped}", file=sys.stderr)
        return 2
    options = parser().parse_args(arguments)
    if options.command is not serve:
        gc.enable()
    try:
        code: int = options.command.run(options)
    except SettingsError as error:
        print(f"omi-mcp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _mistyped(name: str) -> str | None:
    """What to say of a command that there is not."""
    names = [command.NAME for command in COMMANDS]
    if name.startswith("-") or name in names:
        return None
    from difflib import get_close_matches  # which hosts would wait for

    near = get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]}?" if near else f"commands are {', '.join(names)}."
    return f"there is no command {name!r}: {meant}"


def parser() -> argparse.ArgumentParser:
    """The whole command line, with a command."""
    top = argparse.ArgumentParser(
        prog="omi-mcp",
        description=f"MCP server for your Omi conversations. {DEFAULT}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"omi-mcp {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME, help=command.HELP, description=f"{command.HELP[0].upper()}{command.HELP[1:]}."
        )
        command.configure(sub)
        sub.set_defaults(command=command, top=top)
    return top
