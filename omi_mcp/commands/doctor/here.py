"""What is right and what is wrong with this installation: settings, key, API, copy, and the hosts on this computer."""

import math
import platform
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx

from omi_mcp._version import __version__
from omi_mcp.api.client import CONVERSATIONS
from omi_mcp.api.connection import checked_base_url
from omi_mcp.api.errors import Garbled, OmiError, RateLimited, Refused, ServerFault
from omi_mcp.api.probe import probe
from omi_mcp.clock import Clock
from omi_mcp.commands.doctor import shared
from omi_mcp.commands.doctor.findings import Finding, Level
from omi_mcp.files import is_private
from omi_mcp.hosts import HOSTS, OTHER_FAMILY, Host, Machine, Saved, UnusableConfig, entries, trial
from omi_mcp.library import Library
from omi_mcp.mirror.index import fts
from omi_mcp.settings import DEFAULT_BASE_URL, Settings, SettingsError, is_set
from omi_mcp.views import notes
from omi_mcp.views.errors import KEY_HELP, explain

SKEW_SECONDS = 120
"""How far the clock may be out before "today" and the hourly limits are judged wrongly."""

TIMEOUT_SECONDS = 10.0

AT_ONCE = 3
"""How many hosts' entries are started side by side: more would make each look slow."""


Start = Callable[[str, Sequence[str], Mapping[str, str], Path], Awaitable[list[str]]]
"""Starts an entry's command and returns the names of its tools: `trial.start`."""

Scopes = tuple[str, ...] | None


async def examine(
    settings: Settings | SettingsError,
    machine: Machine,
    clock: Clock,
    *,
    saved: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
    start: Start = trial.start,
) -> AsyncIterator[Finding]:
    """Look at everything, from the ground up, and change nothing of anybody's.

    Costs one read of the hour for each key and address that is set, here and in the hosts' entries; two where the API
    does not tell what a key may do. `saved`: the key in `settings` is the one that `install` keeps.
    """
    yield Finding("python", "ok", f"omi-mcp {__version__} on Python {platform.python_version()} at {sys.executable}")
    search = _search()
    yield search
    if (database := await anyio.to_thread.run_sync(shared.examine, machine.env)) is not None:
        yield database
    examination = _Examination(machine, clock, transport, start)
    hosts = _entries(machine)
    if isinstance(settings, SettingsError):
        yield Finding("settings", "problem", str(settings), "Set it to what is accepted, or unset it.")
    else:
        for finding in _key(settings, machine, saved=saved, connected=any(host.entry for host in hosts)):
            yield finding
        async for finding in examination.here(settings, searchable=search.level == "ok"):
            yield finding
    for finding in await examination.hosts(hosts):
        yield finding


@dataclass(frozen=True)
class _Entered:
    """A host that has a configuration here, this server's entry in it, and why that cannot be read."""

    host: Host
    path: Path
    entry: Mapping[str, Any] | None = None
    broken: str | None = None


def _entries(machine: Machine) -> list[_Entered]:
    found = []
    for host in HOSTS.values():
        path = host.config(machine)
        try:
            if path.exists():
                found.append(_Entered(host, path, entries.installed(host, path)))
        except (UnusableConfig, OSError) as error:
            found.append(_Entered(host, path, broken=str(error)))
    return found


@dataclass
class _Examination:
    """Asks the API what each key may do once for each key and address: several hosts mostly share one."""

    machine: Machine
    clock: Clock
    transport: httpx.AsyncBaseTransport | None
    start: Start
    _asking: anyio.Lock = field(default_factory=anyio.Lock)
    _answers: dict[str, Scopes | OmiError] = field(default_factory=dict)

    async def here(self, settings: Settings, *, searchable: bool) -> AsyncIterator[Finding]:
        """What is set here, where the commands at the terminal run."""
        answer = await self._stranger(settings.base_url)
        reached = isinstance(answer, httpx.Response)
        yield _reachability(settings, answer)
        if isinstance(answer, httpx.Response) and (served := _date(answer.headers.get("date"))):
            yield _clock(served, self.clock.now())
        if not settings.api_key or not searchable:
            return
        if settings.mirror_path and not settings.mirror_path.exists() and reached:
            first = await self._ask(settings)
            if isinstance(first, Refused | Garbled) and not isinstance(first, RateLimited | ServerFault):
                # Opened, the library would make a file for the copy of an account that there is not.
                yield _unusable(first)
                return
        library = Library(settings, transport=self.transport, clock=self.clock)
        async with library.running(syncing=False):
            if reached:
                yield await self._allowed(library, settings)
            async for finding in _account(library, settings, self.clock.now()):
                yield finding

    async def _stranger(self, base_url: str) -> httpx.Response | httpx.HTTPError:
        """What the API's address answers to a stranger, or why it does not. Without a key it costs no read."""
        try:
            async with httpx.AsyncClient(transport=self.transport, timeout=TIMEOUT_SECONDS) as client:
                return await client.get(base_url + CONVERSATIONS)
        except httpx.HTTPError as error:
            return error

    async def _allowed(self, library: Library, settings: Settings) -> Finding:
        answer = self._answers.get(settings.account)
        if answer is None or isinstance(answer, OmiError):
            try:
                answer = await library.scopes()  # books the read, and learns from a refusal
            except OmiError as error:
                answer = error
            self._answers[settings.account] = answer
        return _unusable(answer) if isinstance(answer, OmiError) else _scopes(answer, settings)

    async def hosts(self, hosts: Sequence[_Entered]) -> list[Finding]:
        """What is entered in the hosts' configurations."""
        findings: dict[str, Finding] = {}
        few = anyio.CapacityLimiter(AT_ONCE)

        async def look(entered: _Entered) -> None:
            async with few:
                findings[entered.host.name] = await self._host(entered)

        async with anyio.create_task_group() as looking:
            for entered in hosts:
                looking.start_soon(look, entered)
        found = [findings[entered.host.name] for entered in hosts]
        if not any(entered.entry for entered in hosts):
            remedy = f"omi-mcp install HOST ({', '.join(HOSTS)})"
            found.append(Finding("hosts", "note", "no assistant on this computer is connected", remedy))
        return found

    async def _host(self, entered: _Entered) -> Finding:
        """Do what the host would do with its entry, and ask the API with the entry's own key and address."""
        host, path, entry = entered.host, entered.path, entered.entry
        again = f"omi-mcp install {host.name}"

        def finding(level: Level, found: str, remedy: str | None = None) -> Finding:
            return Finding(host.title, level, f"{found} ({path})", remedy)

        if entered.broken:
            return finding("problem", entered.broken, "Repair the file; the host itself cannot use it.")
        if entry is None:
            return finding("note", "not connected", again)
        if entry.get("disabled") is True or entry.get("enabled") is False:
            return finding("note", "switched off in the host", "Switch it on there.")
        command, arguments = str(entry.get("command", "")), entries.arguments(entry)
        if not shutil.which(command):
            home = " (hosts do not know ~)" if command.startswith("~") else ""
            return finding("problem", f"its command does not exist: {command}{home}", again)
        for name, kind in (("args", list), ("env", Mapping)):
            if entry.get(name) is not None and not isinstance(entry[name], kind):
                return finding("problem", f"its {name} is not in the form that hosts take", again)
        variables = trial.filled(entries.variables(entry), self.machine.env, self.machine.home)
        try:
            tools = await self.start(command, arguments, variables, self.machine.home)
        except trial.NoServer as error:
            remedy = again
            if "OMI_" in str(error):  # a setting that was written by hand stays when the entry is renewed
                remedy = f"Correct it there, or begin anew: omi-mcp uninstall {host.name}, then {again}"
            return finding("problem", f"{command} was started as the host does, and {error}", remedy)
        connected = f"connected, {len(tools)} tools"
        if not Path(command).is_absolute():
            return finding(
                "note", f"{connected}; {command} was found by this terminal's PATH, which a host may not have", again
            )
        if "--demo" in arguments:
            return finding("ok", f"{connected}, of the invented sample library")
        try:
            settings = Settings.from_env(variables)
            base_url = checked_base_url(settings.base_url)
        except (SettingsError, OmiError) as error:
            return finding("problem", f"{connected}, but its settings cannot be used: {error}", again)
        if not settings.api_key:
            if any(value.startswith("${input:") for value in variables.values()):
                return finding("ok", f"{connected}; it asks for the key itself, so that was not tried")
            return finding("problem", "its entry has no key", again)
        if settings.api_key.startswith(OTHER_FAMILY):
            return finding(
                "problem", "its key is an MCP key (omi_mcp_...), which the Developer API does not accept", again
            )
        answer = await self._ask(replace(settings, base_url=base_url))
        if isinstance(answer, RateLimited):
            return finding("note", f"{connected}; the hourly limit of its key is used up", _advice(answer))
        if isinstance(answer, OmiError):
            where = "" if base_url == DEFAULT_BASE_URL else f" at {base_url}"
            return finding(
                "problem", f"it starts, but its key could not be used{where}", f"{_advice(answer)} Or: {again}"
            )
        account = _scopes(answer, settings)
        if account.level == "ok":
            return finding("ok", connected)
        return finding(account.level, f"{connected}, but {account.found}", account.remedy)

    async def _ask(self, settings: Settings) -> Scopes | OmiError:
        """What the key of `settings` may do at its address, or why that cannot be known."""
        async with self._asking:
            if settings.account not in self._answers:
                try:
                    answer: Scopes | OmiError = await probe(
                        settings.base_url, settings.api_key or "", self.clock, self.transport
                    )
                except OmiError as error:
                    answer = error
                self._answers[settings.account] = answer
            return self._answers[settings.account]


def _search() -> Finding:
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            fts.probe(connection)
        except fts.SearchUnavailable as error:
            return Finding("search", "problem", f"SQLite {sqlite3.sqlite_version} has no FTS5", str(error))
    return Finding("search", "ok", f"SQLite {sqlite3.sqlite_version} with FTS5")


def _key(settings: Settings, machine: Machine, *, saved: bool, connected: bool) -> Iterator[Finding]:
    key = settings.api_key
    if not key:
        yield Finding(
            "key",
            "note" if connected else "problem",
            "no key is set here, for the commands at the terminal",
            "Create one in the Omi app (Settings > Developer), then: omi-mcp install HOST. It keeps the key for the "
            "host and for the terminal. Or set OMI_API_KEY.",
        )
        return
    where = ", the one that `install` keeps" if saved else ""
    if key.startswith(OTHER_FAMILY):
        yield Finding("key", "problem", "an MCP key (omi_mcp_...), which the Developer API does not accept", KEY_HELP)
    elif not key.startswith("omi_dev_"):
        yield Finding("key", "note", f"a key that does not look like a developer key (omi_dev_...){where}", KEY_HELP)
    else:
        yield Finding("key", "ok", f"a developer key (omi_dev_...){where}")
    file = Saved.here().key_file if saved else None
    if is_set(machine.env, "OMI_API_KEY_FILE") and not is_set(machine.env, "OMI_API_KEY"):
        file = Path(machine.env["OMI_API_KEY_FILE"]).expanduser()
    if file and file.exists() and not is_private(file):
        yield Finding("key file", "problem", f"other users can read {file}", f"chmod 600 {file}")


def _reachability(settings: Settings, answer: httpx.Response | httpx.HTTPError) -> Finding:
    if isinstance(answer, httpx.HTTPError):
        return Finding(
            "api",
            "problem",
            f"{settings.base_url} cannot be reached ({type(answer).__name__})",
            "Check the network connection, a proxy (HTTPS_PROXY) or a firewall, and OMI_API_BASE_URL if you set it.",
        )
    if answer.status_code < 400 or answer.status_code in (404, 405):
        return Finding(
            "api",
            "problem",
            f"what answers at {settings.base_url} is not the Omi API (status {answer.status_code})",
            "Check OMI_API_BASE_URL if you set it, and whether the network wants a sign-in first.",
        )
    return Finding("api", "ok", f"{settings.base_url} can be reached")


def _clock(served: datetime, now: datetime) -> Finding:
    skew = round((now - served).total_seconds())
    if abs(skew) <= SKEW_SECONDS:
        return Finding("clock", "ok", f"this computer's clock is right within {max(abs(skew), 1)} s")
    way = "ahead" if skew > 0 else "behind"
    return Finding(
        "clock", "problem", f"this computer's clock is {abs(skew)} s {way}", "Let the system set its time itself."
    )


async def _account(library: Library, settings: Settings, now: datetime) -> AsyncIterator[Finding]:
    for allowance in await library.allowances():
        check, said = (
            f"limit of {allowance.bucket.replace('_', ' ')}",
            f"{allowance.spent} of about {allowance.limit} in this hour",
        )
        wait = allowance.wait(now.timestamp(), background=False)
        if wait > 0:
            minutes = math.ceil(wait / 60)
            yield Finding(
                check, "note", f"used up: {said}", f"Free again in {minutes} min; the copy answers until then."
            )
        else:
            yield Finding(check, "ok", said)
    yield await _mirror(library, settings)


def _unusable(error: OmiError) -> Finding:
    return Finding("account", "problem", "the key could not be used", _advice(error))


def _advice(error: OmiError) -> str:
    words = explain(error).person
    return words[:1].upper() + words[1:]


def _scopes(scopes: Scopes, settings: Settings) -> Finding:
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
    standing = await library.standing()
    where = settings.mirror_path or "memory"
    found = f"{standing.counts.conversations} conversations and {standing.counts.transcripts} transcripts in {where}"
    if warning := notes.warning(standing.progress):
        return Finding("copy", "problem", warning, f"Look at the folder {settings.data_dir}.")
    if standing.progress.blocked:
        return Finding("copy", "note", f"{found}; copying waits: {notes.OBSTACLES[standing.progress.blocked]}")
    return Finding("copy", "ok", found)


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
