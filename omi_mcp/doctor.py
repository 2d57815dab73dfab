"""What is right and what is wrong with this installation, each finding with what to do about it."""

import math
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from omi_mcp._version import __version__
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import Clock
from omi_mcp.files import is_private
from omi_mcp.hosts import entries
from omi_mcp.hosts.document import UnusableConfig
from omi_mcp.hosts.known import HOSTS, Host, Machine
from omi_mcp.library import Library
from omi_mcp.mirror.index import fts
from omi_mcp.settings import Settings
from omi_mcp.tools.errors import KEY_HELP, explain
from omi_mcp.views import notes

Level = Literal["ok", "note", "problem"]

SKEW_SECONDS = 120
"""How far the clock may be out before "today" and the hourly limits are judged wrongly."""

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A problem keeps something from working; a note is worth knowing."""

    check: str
    level: Level
    found: str
    remedy: str | None = None


async def examine(
    settings: Settings,
    machine: Machine,
    clock: Clock,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Finding]:
    """Look at everything, from the ground up. Asks the Omi API two questions, and changes nothing of anybody's."""
    yield Finding("python", "ok", f"omi-mcp {__version__} on Python {platform.python_version()} at {sys.executable}")
    search = _search()
    yield search
    for finding in _key(settings, machine):
        yield finding
    answer = await _api(settings, transport)
    yield _reachability(settings, answer)
    if isinstance(answer, httpx.Response) and (served := _date(answer.headers.get("date"))):
        yield _clock(served, clock.now())
    if settings.api_key and search.level == "ok":
        library = Library(settings, transport=transport, clock=clock)
        async with library.running(syncing=False):
            async for finding in _account(library, settings, clock.now(), reached=isinstance(answer, httpx.Response)):
                yield finding
    for finding in _hosts(machine):
        yield finding


def _search() -> Finding:
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            fts.probe(connection)
        except fts.SearchUnavailable as error:
            return Finding("search", "problem", f"SQLite {sqlite3.sqlite_version} has no FTS5", str(error))
    return Finding("search", "ok", f"SQLite {sqlite3.sqlite_version} with FTS5")


def _key(settings: Settings, machine: Machine) -> Iterator[Finding]:
    key = settings.api_key
    if not key:
        yield Finding(
            "key",
            "problem",
            "no key is set here",
            f"{KEY_HELP} `omi-mcp install HOST` does that for you. A host's own entry may have one all the same.",
        )
        return
    if key.startswith("omi_mcp_"):
        yield Finding("key", "problem", "an MCP key (omi_mcp_...), which the Developer API does not accept", KEY_HELP)
    elif not key.startswith("omi_dev_"):
        yield Finding("key", "note", "a key that does not look like a developer key (omi_dev_...)", KEY_HELP)
    else:
        yield Finding("key", "ok", "a developer key (omi_dev_...)")
    name = machine.env.get("OMI_API_KEY_FILE")
    if name and not machine.env.get("OMI_API_KEY"):
        file = Path(name).expanduser()
        if not is_private(file):
            yield Finding("key file", "problem", f"other users can read {file}", f"chmod 600 {file}")


async def _api(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> httpx.Response | httpx.HTTPError:
    """What the API's address answers to a stranger, or why it does not."""
    try:
        async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS) as client:
            return await client.get(settings.base_url)
    except httpx.HTTPError as error:
        return error


def _reachability(settings: Settings, answer: httpx.Response | httpx.HTTPError) -> Finding:
    if isinstance(answer, httpx.Response):
        return Finding("api", "ok", f"{settings.base_url} can be reached")
    return Finding(
        "api",
        "problem",
        f"{settings.base_url} cannot be reached ({type(answer).__name__})",
        "Check the network connection, a proxy (HTTPS_PROXY) or a firewall, and OMI_API_BASE_URL if you set it.",
    )


def _clock(served: datetime, now: datetime) -> Finding:
    skew = round((now - served).total_seconds())
    if abs(skew) <= SKEW_SECONDS:
        return Finding("clock", "ok", f"this computer's clock is right within {max(abs(skew), 1)} s")
    way = "ahead" if skew > 0 else "behind"
    return Finding(
        "clock", "problem", f"this computer's clock is {abs(skew)} s {way}", "Let the system set its time itself."
    )


async def _account(library: Library, settings: Settings, now: datetime, *, reached: bool) -> AsyncIterator[Finding]:
    if reached:
        try:
            yield _scopes(await library.scopes(), settings)
        except OmiError as error:
            yield Finding("account", "problem", "the key could not be used", explain(error))
    for allowance in await library.allowances():
        check, said = f"limit of {allowance.bucket}", f"{allowance.spent} of about {allowance.limit} in this hour"
        wait = allowance.wait(now.timestamp(), background=False)
        if wait > 0:
            minutes = math.ceil(wait / 60)
            yield Finding(
                check, "note", f"used up: {said}", f"Free again in {minutes} min; the copy answers until then."
            )
        else:
            yield Finding(check, "ok", said)
    yield await _mirror(library, settings)


def _scopes(scopes: tuple[str, ...] | None, settings: Settings) -> Finding:
    if scopes is None:
        return Finding("account", "ok", "the key is accepted; this API does not tell what it may do")
    may = ", ".join(scopes) or "nothing"
    if "conversations:read" not in scopes:
        return Finding("account", "problem", f"the key may not read conversations (it may: {may})", KEY_HELP)
    if "conversations:write" not in scopes and not settings.read_only:
        return Finding(
            "account",
            "note",
            f"the key may only read (it may: {may})",
            "To save, rename and hide, create a key with write access; else set OMI_MCP_READ_ONLY=on.",
        )
    return Finding("account", "ok", f"the key may: {may}")


async def _mirror(library: Library, settings: Settings) -> Finding:
    if settings.mirror == "off":
        return Finding("copy", "note", "OMI_MCP_MIRROR=off: every search asks the API, and sees no transcripts")
    standing = await library.standing()
    where = settings.mirror_path or "memory"
    found = f"{standing.counts.conversations} conversations and {standing.counts.transcripts} transcripts in {where}"
    if standing.progress.warning:
        return Finding("copy", "problem", standing.progress.warning, f"Look at the folder {settings.data_dir}.")
    if standing.progress.blocked:
        return Finding("copy", "note", f"{found}; copying waits: {notes.OBSTACLES[standing.progress.blocked]}")
    return Finding("copy", "ok", found)


def _hosts(machine: Machine) -> Iterator[Finding]:
    connected = False
    for host in HOSTS.values():
        path = host.config(machine)
        if not path.exists():
            continue
        finding = _host(host, path)
        connected = connected or finding.level == "ok"
        yield finding
    if not connected:
        yield Finding(
            "hosts", "note", "no assistant on this computer is connected", f"omi-mcp install HOST ({', '.join(HOSTS)})"
        )


def _host(host: Host, path: Path) -> Finding:
    again = f"omi-mcp install {host.name}"
    try:
        entry = entries.installed(host, path)
    except (UnusableConfig, OSError) as error:
        return Finding(host.title, "problem", f"{path}: {error}", "Repair the file; the host itself cannot use it.")
    if entry is None:
        return Finding(host.title, "note", f"not connected ({path})", again)
    command = str(entry.get("command", ""))
    if not (Path(command).is_absolute() and shutil.which(command)):
        return Finding(host.title, "problem", f"its command does not exist: {command} ({path})", again)
    environment: Mapping[str, Any] = entry.get("env") or {}
    key_file = environment.get("OMI_API_KEY_FILE")
    if key_file and not (Path(key_file).is_file() and os.access(key_file, os.R_OK)):
        return Finding(host.title, "problem", f"its key file does not exist: {key_file} ({path})", again)
    return Finding(host.title, "ok", f"connected ({path})")


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
