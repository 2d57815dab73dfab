"""The command line: serves MCP by default; sub-commands for people.

Heavy imports live inside the commands that need them, so that `--help` is quick and a host's start is the SDK's own.
"""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omi_mcp._version import __version__
from omi_mcp.settings import Settings, SettingsError

EPILOG = """\
environment:
  OMI_API_KEY           developer key (omi_dev_...), from the Omi app: Settings > Developer
  OMI_API_KEY_FILE      a file that holds the key, instead of OMI_API_KEY
  OMI_API_BASE_URL      default https://api.omi.me
  OMI_MCP_TIMEZONE      IANA name such as Europe/Berlin; default: this computer's
  OMI_MCP_READ_ONLY     on: no tools that write
  OMI_MCP_MIRROR        disk (default), memory or off: where the searchable copy is kept
  OMI_MCP_DATA_DIR      folder of the copy; default: the platform's data folder
  OMI_MCP_STRUCTURED    off: answer in text only, for hosts that show both forms to the model
  OMI_MCP_LOG_LEVEL     DEBUG, INFO, WARNING (default) or ERROR; the log goes to standard error

exit codes: 0 done, 1 failed, 2 wrong usage or setting, 130/143 stopped by a signal
"""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except SettingsError as error:
        print(f"omi-mcp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omi-mcp",
        description="MCP server for your Omi conversations. Without a command it serves a host over stdio.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"omi-mcp {__version__}")
    parser.add_argument(
        "--demo", action="store_true", help="serve an invented sample library; needs no account and no network"
    )
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="play a short session with the sample library and show every call and answer"
    )
    demo.set_defaults(command="demo")

    sandbox = commands.add_parser("sandbox", help="run an Omi Developer API in a box on this computer")
    sandbox.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1; 0 takes a free one (default 8787)")
    sandbox.add_argument("--db", type=Path, metavar="FILE", help="keep the data in FILE (default: in memory)")
    sandbox.add_argument(
        "--load",
        type=Path,
        metavar="FILE",
        nargs="+",
        action="extend",
        default=[],
        help="load conversations from JSON lines, .jsonl or .jsonl.gz (default: the sample library)",
    )
    sandbox.add_argument(
        "--limits", choices=("real", "off"), default="real", help="the service's hourly limits (default real)"
    )
    sandbox.set_defaults(command="sandbox")
    return parser


def _serve(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    _log_to_stderr(settings.log_level)
    if sys.stdin.isatty():
        print(
            "omi-mcp is waiting for an MCP host on standard input; Ctrl-C stops it. "
            "Try `omi-mcp demo`, or `omi-mcp --help`.",
            file=sys.stderr,
        )

    from omi_mcp.api.connection import checked_base_url
    from omi_mcp.api.errors import InvalidRequest
    from omi_mcp.library import Library
    from omi_mcp.server import build_server
    from omi_mcp.transports import stdio

    try:
        checked_base_url(settings.base_url)
    except InvalidRequest as error:
        raise SettingsError(str(error)) from None
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


def _demo(options: argparse.Namespace) -> int:
    from omi_mcp import demo

    gc.enable()
    return demo.play()


def _sandbox(options: argparse.Namespace) -> int:
    from omi_mcp.sandbox import LoadError, Sandbox
    from omi_mcp.sandbox.serve import serve

    gc.enable()
    sandbox = Sandbox(options.db, limits=options.limits)
    try:
        for file in options.load:
            print(f"loaded {sandbox.load_file(file)} conversations from {file.name}", file=sys.stderr)
        if not options.load and not sandbox.ids():
            sandbox.load_sample()
        serve(sandbox, port=options.port, announce=lambda base_url: _announce(base_url, sandbox.key))
    except (LoadError, OSError) as error:
        print(f"omi-mcp sandbox: {error}", file=sys.stderr)
        return 1
    finally:
        sandbox.close()
    return 0


def _announce(base_url: str, key: str) -> None:
    print(f"OMI_API_BASE_URL={base_url}\nOMI_API_KEY={key}", flush=True)


def _log_to_stderr(level: str) -> None:
    """Log to standard error, before the SDK would configure logging; request URLs are never logged."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


_COMMANDS = {"serve": _serve, "demo": _demo, "sandbox": _sandbox}
