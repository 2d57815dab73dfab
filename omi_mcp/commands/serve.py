"""`omi-mcp` without a command: serve a host."""

import argparse
import gc
import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from omi_mcp import environment
from omi_mcp.server import build_server
from omi_mcp.settings import ANYONE, HttpAccess, Profile, Settings, SettingsError, database_url
from omi_mcp.transports import port_number, stdio

if TYPE_CHECKING:  # a start over stdio does not load it
    import httpx
    from starlette.applications import Starlette

    from omi_mcp.pool import LibraryPool

FOR_HTTP = ("host", "port", "public_url", "invite", "open")
"""The options that say how to serve over HTTP."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

log = logging.getLogger(__name__)


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
        "--public-url",
        metavar="URL",
        help="with http: where hosts on the web reach this server, such as https://omi.example.com; people then sign "
        "in to it with their Omi keys (default: OMI_MCP_PUBLIC_URL)",
    )
    coming_in = parser.add_mutually_exclusive_group()
    coming_in.add_argument(
        "--invite",
        metavar="CODE",
        help="what people have to know to sign in; better in OMI_MCP_INVITE, as other users see a command's arguments",
    )
    coming_in.add_argument("--open", action="store_true", help="let everyone sign in who has an Omi key")
    parser.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="full",
        help="search-fetch: also the tools search and fetch, which ChatGPT and its like require",
    )


def run(options: argparse.Namespace) -> int:
    if options.transport == "http":
        return _run_http(options)
    given = [name for name in FOR_HTTP if getattr(options, name) not in (None, False)]
    if database_url(os.environ) is not None:
        raise SettingsError(
            "OMI_MCP_DATABASE_URL: is for --transport http with a public URL, where many people sign in. What a host "
            "starts on this computer keeps everything in the data folder. Unset it here."
        )
    if given:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise SettingsError(f"{names} {'is' if len(given) == 1 else 'are'} for --transport http")
    settings = replace(environment.settings(saved=False), profile=options.profile)  # a host's entry says all it needs
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


def _run_http(options: argparse.Namespace) -> int:
    from omi_mcp.transports import http  # a start over stdio does not wait for the HTTP server

    arguments = {"PUBLIC_URL": options.public_url, "INVITE": options.invite, "OPEN": "on" if options.open else None}
    access = HttpAccess.from_env(
        {**os.environ, **{f"OMI_MCP_{name}": value for name, value in arguments.items() if value is not None}}
    )
    if access.sign_in is not None and options.demo:
        raise SettingsError(
            "--demo: means nothing beside a public URL, where people sign in with their own keys. To try that without "
            "an account, run `omi-mcp sandbox` and set OMI_API_BASE_URL to it."
        )
    if access.sign_in is not None and options.profile != "full":
        raise SettingsError(
            "--profile: means nothing beside a public URL. There the path tells which tools a host gets: "
            + ", ".join(f"{path} for {profile}" for path, profile in http.PROFILES.items())
            + "."
        )
    host = DEFAULT_HOST if options.host is None else options.host
    port = DEFAULT_PORT if options.port is None else options.port
    # Over HTTP it is a person who starts this; but where people sign in, the keys are theirs.
    settings = environment.settings(saved=access.sign_in is None and not options.demo)
    settings = replace(settings, profile=options.profile)
    try:
        listener = http.listen(host, port)
    except OSError as error:
        print(f"omi-mcp: cannot serve at {host} port {port}: {error.strerror}", file=sys.stderr)
        return 1
    with ExitStack() as open_ones:
        open_ones.enter_context(listener)
        drain_seconds = 0.0
        port = listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        if access.sign_in is not None:
            from omi_mcp.transports.hosted import hosted  # the pages' template engine is for those who serve them

            opened = hosted(settings, access, host, port)
            application = opened.app
            said = [f"add {access.sign_in.public_url}{http.PATH} to an assistant"]
            drain_seconds = access.sign_in.drain_seconds
            if access.sign_in.metrics is not None:
                said.append(_measure(access.sign_in.metrics, opened.pool, open_ones))
            if access.sign_in.open:
                said.append("everyone who has an Omi key can sign in")
            if settings.api_key:
                said.append("OMI_API_KEY is not used here, as people sign in with their own keys")
        else:
            application, said = _own(settings, access, host, port, demo=options.demo)
        for line in (f"serving http://{name}:{port}{http.PATH}; Ctrl-C stops it", *said):
            if settings.log_format == "json":
                log.info("%s", line)
            else:
                print(f"omi-mcp: {line}", file=sys.stderr)
        gc.freeze()
        gc.enable()
        http.run(application, listener, drain_seconds=drain_seconds)
    return 0


def _measure(address: tuple[str, int], pool: "LibraryPool", until: ExitStack) -> str:
    """Measure and answer there, `until` that is closed; returns what to say of it. Raises SettingsError."""
    try:
        from omi_mcp.transports.metrics import Metrics  # loads the client library of Prometheus
    except ImportError:
        raise SettingsError(
            "OMI_MCP_METRICS: what writes metrics is not installed. Install it: "
            "pip install 'omi-conversations-mcp[postgres]'"
        ) from None
    try:
        port = until.enter_context(Metrics(pool).serving(*address))
    except OSError as error:
        raise SettingsError(f"OMI_MCP_METRICS: cannot answer there ({error.strerror}).") from None
    return f"metrics at http://{address[0]}:{port}/metrics"


def _own(settings: Settings, access: HttpAccess, host: str, port: int, *, demo: bool) -> tuple["Starlette", list[str]]:
    """What serves the account of the settings to whoever has a token, and what to say of it."""
    from omi_mcp.transports import http

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
    said = []
    if policy.token_file:
        said.append(f"hosts send the bearer token in {policy.token_file}")
    if access.oauth and ANYONE in access.oauth.subjects:
        said.append(f"everyone with an account at {access.oauth.issuer} can read these conversations")
    return http.app(server, policy.hosts, policy.scopes), said


def _sample(settings: Settings) -> tuple[Settings, "httpx.AsyncBaseTransport"]:
    """The settings for the sample library, and the way to it."""
    from omi_mcp.sandbox import Sandbox  # only the demo pays for it

    sandbox = Sandbox()
    sandbox.load_sample()
    settings = replace(settings, api_key=sandbox.key, base_url=sandbox.base_url, mirror="memory", demo=True)
    return settings, sandbox.transport()
