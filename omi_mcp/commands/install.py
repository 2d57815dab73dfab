"""`omi-mcp install`: choose hosts, try the key, enter this server in the hosts' files, and tell what was done."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from getpass import getpass
from pathlib import Path
from typing import Any

import anyio

from omi_mcp import environment
from omi_mcp.api.errors import Forbidden, Garbled, OmiError, RateLimited, Refused, ServerFault, Unauthorized
from omi_mcp.api.probe import probe
from omi_mcp.clock import SystemClock
from omi_mcp.hosts import HOSTS, Change, Host, Key, Launch, Machine, Saved, UnusableConfig, WrongKey, entries, keys
from omi_mcp.settings import DEFAULT_BASE_URL, NAMES, Settings, bare_key, is_set
from omi_mcp.views.errors import explain

MOST_TRIES = 3
"""How often a person is asked for a key that is accepted."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hosts",
        metavar="HOST",
        nargs="*",
        help="claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf; without one: those found here",
    )
    parser.add_argument("--print", action="store_true", help="only show what to paste; change nothing")
    parser.add_argument("--demo", action="store_true", help="connect the invented sample library; needs no key")
    parser.add_argument("--config", type=Path, metavar="FILE", help="change FILE instead of the host's own file")


def run(options: argparse.Namespace) -> int:
    """Connect the hosts of these names; with `--print` only show what to paste. Returns the exit code.

    Raises:
        SettingsError: a setting in force cannot be used, so no host could use it either.
    """
    machine, saved = Machine.this(), Saved.here()
    config, demo = options.config, options.demo
    here = [host for host in HOSTS.values() if host.is_here(machine)]
    hosts = choose("install", options.hosts, here, config)
    if not hosts:
        return 2
    environment.check_names()
    carried = keys.carried(os.environ)
    Settings.from_env(carried)
    paths = {host.name: config or host.config(machine) for host in hosts}
    try:
        command, arguments = entries.own_command()
        launch = Launch(command, (*arguments, "--demo") if demo else arguments, carried)
        if options.print:
            for host in hosts:
                print(entries.block(host, _to_paste(host, launch, saved, demo=demo)), end="")
            return 0
        if not entries.starts(command, arguments):
            return _failed(
                f"{command} does not start this server from another folder, as a host would start it. "
                "Install it first (see README)"
            )
        needy = [host for host in hosts if not (demo or host.asks_for_key)]
        access = _access(saved, ask=not all(_has_key(host, paths[host.name]) for host in needy)) if needy else {}
    except (entries.TemporaryInstall, WrongKey) as error:
        return _failed(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
    codes = []
    for host in hosts:
        wanted = replace(launch, environment=_environment(host, launch, access, saved, demo=demo))
        codes.append(_connect(host, paths[host.name], wanted, saved, demo=demo))
    for host in HOSTS.values():
        if access and host not in hosts and _is_left_behind(own_entry(host, host.config(machine)), access):
            print(f"{host.title} uses the same key at another address; to bring it along: omi-mcp install {host.name}")
    return max(codes)


def choose(command: str, names: Sequence[str], here: Sequence[Host], config: Path | None) -> list[Host]:
    """The hosts of these names, each once; without names, those that a person picks of the ones `here`.

    None when there is nothing to do or the names cannot be used, which is said.
    """
    names = names or _picked(command, here)
    if unknown := [name for name in names if name not in HOSTS]:
        print(f"omi-mcp {command}: no such host: {unknown[0]}. Hosts: {', '.join(HOSTS)}", file=sys.stderr)
        return []
    if config and len(names) > 1:
        print(f"omi-mcp {command}: --config is for one host at a time", file=sys.stderr)
        return []
    return [HOSTS[name] for name in dict.fromkeys(names)]


def _picked(command: str, here: Sequence[Host]) -> list[str]:
    """The names a person picks; none where there is no terminal to ask at, which is said."""
    names = [host.name for host in here]
    if not here:
        print(f"omi-mcp {command}: none was found here. Say which host: {', '.join(HOSTS)}", file=sys.stderr)
        return []
    if not sys.stdin.isatty():
        print(
            f"omi-mcp {command}: say which host. Found here: {', '.join(names)}. For example: "
            f"omi-mcp {command} {' '.join(names)}",
            file=sys.stderr,
        )
        return []
    for number, host in enumerate(here, 1):
        print(f"{number:>3}  {host.title} ({host.name})")
    try:
        answer = input(f"Which to {command}? Numbers, names or all; empty for none: ").replace(",", " ").split()
    except EOFError:
        return []
    if answer == ["all"]:
        return names
    return [names[int(word) - 1] if word.isdecimal() and 0 < int(word) <= len(names) else word for word in answer]


def _access(saved: Saved, *, ask: bool) -> dict[str, str]:
    """The environment that refers to a key which is accepted, in a file of its owner's; empty without a key.

    Raises:
        WrongKey: it is not accepted, or cannot be tried while another one is saved. Nothing has changed.
        OSError: it cannot be saved.
    """
    key, typed = keys.find(os.environ, saved), 0
    if key is None and ask:
        key, typed = _typed(), 1
    while key is not None:
        base_url = _base_url(key, saved)
        try:
            untried = _try(key.value, base_url)
        except WrongKey as error:
            correctable = typed or key.file == saved.key_file  # else it is set where only the person can correct it
            if not (correctable and ask and typed < MOST_TRIES and sys.stdin.isatty()):
                raise
            words = str(error)
            print(f"{words[:1].upper()}{words[1:]}.", file=sys.stderr)
            key, typed = _typed(), typed + 1
        else:
            return _kept(key, base_url, untried, saved)
    return {}


def _kept(key: Key, base_url: str, untried: str | None, saved: Saved) -> dict[str, str]:
    """The environment that refers to this key, which is saved unless it lies in a file already."""
    file = key.file or saved.key_file
    if file == saved.key_file:
        if untried and saved.key_file.is_file() and saved.differs(key.value, base_url):
            raise WrongKey(f"the key could not be tried, and another one is saved: {untried.rstrip('.')}")
        saved.keep(key.value, base_url)
    if untried:
        print(f"omi-mcp install: the key could not be tried: {untried}", file=sys.stderr)
    return keys.reference(file, base_url)


def _typed() -> Key | None:
    if not sys.stdin.isatty():
        return None
    try:
        answer = getpass("Omi developer key (Omi app: Settings > Developer; empty to go on without): ")
    except EOFError:
        return None
    return Key(bare_key(answer), None) if bare_key(answer) else None


def _try(key: str, base_url: str) -> str | None:
    """None when the API accepts the key, else why it could not be asked.

    Raises:
        WrongKey: it does not, or what answers is not the API.
    """
    keys.check_form(key)
    unfit = WrongKey("this key may not read conversations: create one that may (Omi app: Settings > Developer)")
    try:
        scopes = anyio.run(probe, base_url, key, SystemClock())
    except Unauthorized:
        raise WrongKey(
            f"{base_url} does not accept this key: it is mistyped, cut off, revoked, or for another address"
        ) from None
    except Forbidden:
        raise unfit from None
    except RateLimited:
        return None
    except ServerFault as error:
        return explain(error).person
    except (Garbled, Refused):
        raise WrongKey(f"what answers at {base_url} is not the Omi API: check OMI_API_BASE_URL") from None
    except OmiError as error:
        return explain(error).person
    if scopes is not None and "conversations:read" not in scopes:
        raise unfit
    return None


def _base_url(key: Key | None, saved: Saved) -> str:
    """The address in force: of the environment, else that of the saved key where it is used."""
    if is_set(os.environ, "OMI_API_BASE_URL"):
        return environment.checked_base_url(Settings.from_env(keys.carried(os.environ)).base_url)
    return saved.base_url if key is None or key.file == saved.key_file else DEFAULT_BASE_URL


def _environment(host: Host, launch: Launch, access: Mapping[str, str], saved: Saved, *, demo: bool) -> dict[str, str]:
    """What the host's entry adds to the environment: the settings in force, the key and its address."""
    found = {name: value for name, value in launch.environment.items() if name not in entries.KEY_NAMES}
    if demo:
        return found
    if not host.asks_for_key:
        return found | dict(access)
    base_url = access.get("OMI_API_BASE_URL", DEFAULT_BASE_URL) if access else _base_url(None, saved)
    address = {} if base_url == DEFAULT_BASE_URL else {"OMI_API_BASE_URL": base_url}
    return found | address | {"OMI_API_KEY": "${input:omi-api-key}"}


def _to_paste(host: Host, launch: Launch, saved: Saved, *, demo: bool) -> Launch:
    """What to show. It must not hold the key itself."""
    key = None if is_set(os.environ, "OMI_API_KEY") else keys.find(os.environ, saved)
    base_url = _base_url(key or Key("", None), saved)
    access = keys.reference(key.file, base_url) if key and key.file else {"OMI_API_KEY": "omi_dev_..."}
    if base_url != DEFAULT_BASE_URL:
        access["OMI_API_BASE_URL"] = base_url
    return replace(launch, environment=_environment(host, launch, access, saved, demo=demo))


def _connect(host: Host, path: Path, launch: Launch, saved: Saved, *, demo: bool) -> int:
    wanted = launch.environment
    try:
        change = entries.install(host, path, launch, SystemClock().now(), saved.written(path))
        saved.note_written(path, {name: wanted[name] for name in wanted.keys() - entries.KEY_NAMES})
    except (UnusableConfig, OSError) as error:
        print(f"{host.title}: {path} was left as it is: {reason(error)}.", file=sys.stderr)
        print(f"Repair it, or add this by hand:\n\n{entries.block(host, launch)}", end="", file=sys.stderr)
        return 1
    print(f"{host.title}: {_done(change)} in {path}")
    for line in _settings_told(change, wanted):
        print(f"  {line}")
    if change.backup:
        print(f"The file as it was before: {change.backup}")
    if not demo:
        print(_key_told(host, change))
    print(host.next_step)
    return 0


def _done(change: Change) -> str:
    if change.before is None:
        return "connected"
    return "changed" if change.changed else "was connected already"


def _settings_told(change: Change, wanted: Mapping[str, str]) -> list[str]:
    """What became of the settings in an entry that was there before."""
    before, after = entries.variables(change.before), entries.variables(change.after)
    lines = []
    if change.before is not None:
        for name in sorted(NAMES & (before.keys() | after.keys()) - {"OMI_API_KEY"}):
            if before.get(name) != after.get(name):
                lines.append(f"{name} is now {after[name]}" if name in after else f"{name} is no longer set")
    kept = sorted(NAMES & after.keys() - wanted.keys() - entries.KEY_NAMES)
    if kept:
        lines.append(f"kept from the entry: {', '.join(f'{name}={after[name]}' for name in kept)}")
    return lines


def _key_told(host: Host, change: Change) -> str:
    variables = entries.variables(change.after)
    if host.asks_for_key:
        return f"The key: {host.title} asks for it and keeps it secret itself."
    if "OMI_API_KEY_FILE" in variables:
        return f"The key: in {variables['OMI_API_KEY_FILE']}; the entry only names that file."
    if "OMI_API_KEY" in variables:
        return "The key: in the entry itself, as before."
    return (
        "There is no key yet. Create one in the Omi app (Settings > Developer), then: "
        f"OMI_API_KEY=omi_dev_... omi-mcp install {host.name}"
    )


def _has_key(host: Host, path: Path) -> bool:
    return not {"OMI_API_KEY", "OMI_API_KEY_FILE"}.isdisjoint(entries.variables(own_entry(host, path)))


def own_entry(host: Host, path: Path) -> Mapping[str, Any] | None:
    try:
        return entries.installed(host, path)
    except (UnusableConfig, OSError):
        return None


def _is_left_behind(entry: Mapping[str, Any] | None, access: Mapping[str, str]) -> bool:
    variables = entries.variables(entry)
    same_key = variables.get("OMI_API_KEY_FILE") == access["OMI_API_KEY_FILE"]
    return same_key and variables.get("OMI_API_BASE_URL") != access.get("OMI_API_BASE_URL")


def _failed(why: str) -> int:
    print(f"omi-mcp install: {why}. Nothing was installed.", file=sys.stderr)
    return 1


def reason(error: UnusableConfig | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
