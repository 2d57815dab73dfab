"""`omi-mcp` without a command: serve a host."""

import argparse
import gc
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from omi_mcp import environment
from omi_mcp.server import build_server
from omi_mcp.settings import ANYONE, HttpAccess, Profile, Settings, SettingsError
from omi_mcp.transports import port_number, stdio

if TYPE_CHECKING:  # a start over stdio does not load it
    import httpx


DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demo", action="store_true", help="serve an invented sample library; needs no account and no network"
    )
    parser.add_argument(
        "--transport",
        choices=("stdio", "http"),
        default="stdio",
        help="stdio: for the host that starts this command (default); http: for any host that has the token",
    )
    parser.add_argument("--host", help=f"address to serve http at (default {DEFAULT_HOST})")
    parser.add_argument(
        "--port",
        type=port_number,
        help=f"port to serve http at; 0 takes a free one (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="full",
        help="search-fetch: also the tools search and fetch, which ChatGPT and its like require",
    )


def run(options: argparse.Namespace) -> int:
    # A host's entry says all that it needs; over HTTP it is a person who starts this.
    saved = options.transport == "http" and not options.demo
    settings = replace(environment.settings(saved=saved), profile=options.profile)
    if options.transport == "http":
        host = DEFAULT_HOST if options.host is None else options.host
        return _serve_http(settings, host, DEFAULT_PORT if options.port is None else options.port, demo=options.demo)
    if options.host is not None or options.port is not None:
        raise SettingsError("--host and --port are for --transport http")
    if sys.stdin.isatty():
        print(
            "omi-mcp is waiting for an MCP host on standard input; Ctrl-C stops it. "
            "Try `omi-mcp demo`, or `omi-mcp --help`.",
            file=sys.stderr,
        )
    settings, transport = _sample(settings) if options.demo else (settings, None)
    server = build_server(settings, transport=transport)
    gc.freeze()
    gc.enable()
    stdio.run(server)
    return 0


def _serve_http(settings: Settings, host: str, port: int, *, demo: bool) -> int:
    from omi_mcp.transports import http  # a start over stdio does not wait for the HTTP server

    access = HttpAccess.from_env(os.environ)
    try:
        listener = http.listen(host, port)
    except OSError as error:
        print(f"omi-mcp: cannot serve at {host} port {port}: {error.strerror}", file=sys.stderr)
        return 1
    with listener:
        port = listener.getsockname()[1]
        policy = http.access_policy(access, host, port, settings.data_dir)
        settings, transport = _sample(settings) if demo else (settings, None)
        server = build_server(
            settings,
            transport=transport,
            auth=policy.auth,
            token_verifier=policy.verifier,
            caller=policy.caller,
        )
        server.register()
        name = f"[{host}]" if ":" in host else host
        print(f"omi-mcp: serving http://{name}:{port}{http.PATH}; Ctrl-C stops it", file=sys.stderr)
        if policy.token_file:
            print(f"omi-mcp: hosts send the bearer token in {policy.token_file}", file=sys.stderr)
        if access.oauth and ANYONE in access.oauth.subjects:
            print(
                f"omi-mcp: everyone with an account at {access.oauth.issuer} can read these conversations",
                file=sys.stderr,
            )
        gc.freeze()
        gc.enable()
        http.run(server, listener, policy)
    return 0


def _sample(settings: Settings) -> tuple[Settings, "httpx.AsyncBaseTransport"]:
    """The settings for the sample library, and the way to it."""
    from omi_mcp.sandbox import Sandbox  # only the demo pays for it

    sandbox = Sandbox()
    sandbox.load_sample()
    settings = replace(settings, api_key=sandbox.key, base_url=sandbox.base_url, mirror="memory", demo=True)
    return settings, sandbox.transport()
