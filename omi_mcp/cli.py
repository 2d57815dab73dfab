"""The command line: which commands there are, and how each ends.

Hosts wait for the start of the server, so nothing is imported here but the one command that runs.
"""

import argparse
import gc
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from omi_mcp._version import __version__
from omi_mcp.settings import SettingsError

COMMANDS = {
    "serve": "serve MCP hosts over stdio or HTTP (what happens without a command)",
    "install": "connect an assistant: claude-desktop, claude-code, cursor, vscode, codex, gemini or windsurf",
    "uninstall": "disconnect an assistant that `install` connected",
    "doctor": "check this installation, the key, the Omi API, the copy and the assistants on this computer",
    "search": "find conversations by words, dates, speaker, category or folder",
    "show": "read one conversation: summary, action items and transcript",
    "name": "call the speakers of a conversation by their names, on this computer",
    "rename": "give a conversation another title",
    "hide": "hide conversations from lists and search; restore brings them back",
    "restore": "bring hidden conversations back; without an id, list them",
    "delete": "delete one conversation for good, after a question; hide can be undone, this cannot",
    "import": "save transcripts from files: WebVTT, SRT, Zoom, Teams, Otter, JSON, text, Markdown",
    "export": "write every conversation to a folder, and keep the folder up to date",
    "sync": "copy everything that is not copied yet, and show how far it is",
    "mirror": "show or delete the searchable copy on this computer",
    "demo": "play a short session with the sample library and show every call and answer",
    "accounts": "show who has signed in to the server on the web, forget somebody, or change the secret",
    "migrate": "bring the PostgreSQL database of many machines to this release, or check that it is there",
    "move": "bring what a server on one machine has kept to the PostgreSQL database of many",
    "sandbox": "run a stand-in for the Omi Developer API on this computer",
    "completion": "print what lets a shell complete commands and options",
}
"""Every command with its help line. The file of a command, `commands/NAME.py`, is imported when it runs."""

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
  OMI_MCP_MIRROR        disk (default) or memory: where the searchable copy is kept
  OMI_MCP_OMI_SEARCH    off: never send the words of a search to Omi's own search by meaning
  OMI_MCP_DATA_DIR      folder of the copy; default: the platform's data folder
  OMI_MCP_STRUCTURED    off: answer in text only, for hosts that show both forms to the model
  OMI_MCP_VIEWER        auto (default): a viewer for hosts that say they render MCP Apps; on: for every host; off
  OMI_MCP_HTTP_TOKEN    bearer token of --transport http; default: one that is made and kept in a file
  OMI_MCP_OAUTH_ISSUER  accept this issuer's tokens instead; with _AUDIENCE and _SUBJECT (docs/hosts.md)
  OMI_MCP_PUBLIC_URL    where hosts on the web reach --transport http; people sign in there with their Omi keys;
                        with _INVITE or _OPEN (docs/hosting.md)
  OMI_MCP_SECRET_KEY    what their keys are encrypted with, or _SECRET_KEY_FILE; default: one that is made and kept
  OMI_MCP_DATABASE_URL  a PostgreSQL database, where several machines serve the same people; default: the data folder
  OMI_MCP_METRICS       the port where its metrics are read; with _DRAIN_SECONDS, for proxies (docs/hosting.md)
  OMI_MCP_LOG_LEVEL     DEBUG, INFO, WARNING (default) or ERROR; the log goes to standard error
  OMI_MCP_LOG_FORMAT    text (default), or json: each event is a line of JSON, and each request over HTTP has one

exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 not all could be done now, 130/143 stopped by a signal
"""


def main() -> None:
    """Run the command line of this process; exits with its status code."""
    # The SDK's import makes some hundred thousand objects that all stay: collecting meanwhile only costs time.
    gc.disable()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ABOUT):
        arguments = ("serve", *arguments)
    name = arguments[0]
    if not name.startswith("-") and name not in COMMANDS:
        print(f"omi-mcp: {_mistyped(name)}", file=sys.stderr)
        return 2
    try:
        options = parser(name).parse_args(arguments)
        if name != "serve":
            gc.enable()
        code: int = options.command.run(options)
        if name != "serve":
            sys.stdout.flush()
    except BrokenPipeError:
        import_module("omi_mcp.terminal").discard_output()
        return 0
    except SettingsError as error:
        print(f"omi-mcp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _mistyped(name: str) -> str:
    """What to say of a command that there is not."""
    near = get_close_matches(name, COMMANDS, 1)
    meant = f"did you mean {near[0]}?" if near else f"commands are {', '.join(COMMANDS)}."
    return f"there is no command {name!r}: {meant}"


def parser(*names: str) -> argparse.ArgumentParser:
    """The command line, with the options of the commands `names`; without any, of all of them."""
    top = argparse.ArgumentParser(
        prog="omi-mcp",
        description=f"MCP server for your Omi conversations. {DEFAULT}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"omi-mcp {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_line in COMMANDS.items():
        sub = commands.add_parser(name, help=help_line, description=f"{help_line[0].upper()}{help_line[1:]}.")
        if not names or name in names:
            command = import_module(f"omi_mcp.commands.{'import_' if name == 'import' else name}")
            command.configure(sub)
            sub.set_defaults(command=command, parser=parser)
    return top
