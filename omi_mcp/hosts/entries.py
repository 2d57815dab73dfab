"""This server's entry in a host's configuration: made, found again, taken out."""

import subprocess
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from omi_mcp import files
from omi_mcp.hosts.document import Document, UnusableConfig, parse, render, table
from omi_mcp.hosts.known import Host

NAME = "omi"
"""What the server is called in every host."""

KEY_INPUT: Mapping[str, Any] = {
    "type": "promptString",
    "id": "omi-api-key",
    "description": "Omi developer key (omi_dev_...), from the Omi app: Settings > Developer",
    "password": True,
}

KEY_NAMES = frozenset({"OMI_API_KEY", "OMI_API_KEY_FILE", "OMI_API_BASE_URL"})
"""What goes together: a key is for the address that it was tried at."""

VERSION_SECONDS = 60.0

WRITABLE = 0o222

OWN_COMMANDS = frozenset({"omi-mcp", "omi-conversations-mcp"})


@dataclass(frozen=True)
class Launch:
    """How a host starts this server: an absolute command, its arguments, and what it adds to the environment."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What was done to a host's file. `backup` is the copy made of it before, if there was one and it changed.

    `before` and `after` are this server's entry, None where there is none.
    """

    path: Path
    changed: bool
    backup: Path | None = None
    before: Mapping[str, Any] | None = field(default=None, compare=False)
    after: Mapping[str, Any] | None = field(default=None, compare=False)


class TemporaryInstall(Exception):
    """This command runs from a place that is swept away, so no host could rely on it."""


def own_command(executable: Path = Path(sys.executable)) -> tuple[str, tuple[str, ...]]:
    """The absolute command that starts this installation, and its arguments.

    Raises:
        TemporaryInstall: it is one of the throw-away environments of a tool runner.
    """
    if "archive-v0" in executable.parts:  # what uvx runs out of its cache
        raise TemporaryInstall("this is a temporary copy that `uvx` may delete; install it for good first (see README)")
    script = executable.with_name("omi-mcp.exe" if executable.suffix == ".exe" else "omi-mcp")
    if script.is_file():
        return str(script), ()
    return str(executable), ("-m", "omi_mcp")


def starts(command: str, arguments: Sequence[str]) -> bool:
    """Whether a host could start this server so: it is asked for its version, from a folder it does not lie in."""
    try:
        asked = subprocess.run(
            [command, *arguments, "--version"],
            cwd=Path(command).anchor,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0 and asked.stdout.startswith(b"omi-mcp ")


def entry(host: Host, launch: Launch) -> dict[str, Any]:
    """The server as `host` writes one."""
    return {
        **({"type": "stdio"} if host.typed else {}),
        "command": launch.command,
        **({"args": list(launch.arguments)} if launch.arguments else {}),
        **({"env": dict(launch.environment)} if launch.environment else {}),
    }


def block(host: Host, launch: Launch) -> str:
    """The entry alone, as text to paste into an empty configuration."""
    document = parse("", host.format)
    _put(document, host, launch, {})
    return render(document, host.format, "")


def install(host: Host, path: Path, launch: Launch, now: datetime, earlier: Mapping[str, str] | None = None) -> Change:
    """Enter the server in the host's file, keeping everything else in it, what was added to the entry by hand too.

    `earlier` is what an install before put into the entry's environment: of that, what is wanted no longer goes.

    Raises:
        UnusableConfig: the file is broken, or cannot be changed without loss, or has another server of that name.
        OSError: it cannot be read or written.
    """
    original, text = _read(path)
    document = parse(text, host.format)
    servers = table(document, host.section)
    if NAME in servers and not is_own(servers[NAME]):
        raise UnusableConfig(f"another server is called {NAME!r} there already; rename or remove it first")
    before = deepcopy(dict(servers[NAME])) if NAME in servers else None
    _put(document, host, launch, earlier or {})
    change = _write(path, original, text, document, host, now)
    return replace(change, before=before, after=dict(table(document, host.section)[NAME]))


def uninstall(host: Host, path: Path, now: datetime) -> Change:
    """Take the server out of the host's file. Raises as `install` does."""
    original, text = _read(path)
    document = parse(text, host.format)
    servers = document.get(host.section)
    if not isinstance(servers, MutableMapping) or not is_own(servers.get(NAME)):
        return Change(path, changed=False)
    del servers[NAME]
    if host.format == "toml" and not servers:
        del document[host.section]  # in TOML, a table that holds only tables is nowhere once they are gone
    if host.asks_for_key and isinstance(document.get("inputs"), list):
        document["inputs"] = [one for one in document["inputs"] if not _is_key_input(one)]
    return _write(path, original, text, document, host, now)


def installed(host: Host, path: Path) -> Mapping[str, Any] | None:
    """This server's entry in the host's file, if there is one. Raises as `install` does."""
    _, text = _read(path)
    servers = parse(text, host.format).get(host.section)
    found = servers.get(NAME) if isinstance(servers, Mapping) else None
    return found if is_own(found) else None


def is_own(found: Any) -> bool:
    """Whether an entry starts this server, rather than another one that somebody called the same."""
    if not isinstance(found, Mapping):
        return False
    # A path of any platform: the file may come from another computer.
    command = str(found.get("command", "")).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".exe")
    given = arguments(found)
    return command in OWN_COMMANDS or "omi_mcp" in given or not OWN_COMMANDS.isdisjoint(given)


def arguments(entry: Mapping[str, Any]) -> list[str]:
    """What the entry gives to its command; nothing where it is not the list that hosts take."""
    given = entry.get("args")
    return [str(argument) for argument in given] if isinstance(given, list) else []


def variables(entry: Mapping[str, Any] | None) -> dict[str, str]:
    """What the entry adds to the environment; nothing where it is not the table that hosts take."""
    given = (entry or {}).get("env")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}


def _put(document: Document, host: Host, launch: Launch, earlier: Mapping[str, str]) -> None:
    servers = table(document, host.section)
    wanted = entry(host, launch)
    if NAME not in servers:
        servers[NAME] = wanted
    else:
        _update(servers[NAME], wanted, earlier)
    if host.asks_for_key and "OMI_API_KEY" in wanted.get("env", {}):
        inputs = document.setdefault("inputs", [])
        if not isinstance(inputs, list):
            raise UnusableConfig("its inputs is not a list")
        if not any(_is_key_input(one) for one in inputs):
            inputs.append(dict(KEY_INPUT))


def _update(current: Document, wanted: Mapping[str, Any], earlier: Mapping[str, str]) -> None:
    environment = wanted.get("env", {})
    if "args" not in wanted:
        current.pop("args", None)
    for name, value in wanted.items():
        if name != "env" and current.get(name) != value:
            current[name] = value
    if "env" in current and not isinstance(current["env"], MutableMapping):
        del current["env"]
    if not environment and "env" not in current:
        return
    kept = table(current, "env")
    gone = {name for name, value in earlier.items() if kept.get(name) == value} - KEY_NAMES
    if not KEY_NAMES.isdisjoint(environment):
        gone |= KEY_NAMES
    for name in gone - environment.keys():
        kept.pop(name, None)
    for name, value in environment.items():
        if kept.get(name) != value:
            kept[name] = value


def _is_key_input(one: Any) -> bool:
    return isinstance(one, Mapping) and one.get("id") == KEY_INPUT["id"]


def _read(path: Path) -> tuple[bytes | None, str]:
    """The file as it is, and as text; None for the first when there is no such file."""
    try:
        original = path.read_bytes()
    except FileNotFoundError:
        return None, ""
    try:
        return original, original.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableConfig("it is not UTF-8 text") from None


def _write(path: Path, original: bytes | None, text: str, document: Document, host: Host, now: datetime) -> Change:
    if original is not None and parse(text, host.format) == document:
        return Change(path, changed=False)
    if original is not None and not path.stat().st_mode & WRITABLE:
        raise UnusableConfig("it is read-only")
    after = render(document, host.format, text)
    try:
        content = after.encode()
    except UnicodeEncodeError:
        raise UnusableConfig("it has half a character, which cannot be written back") from None
    backup = None
    if original:
        backup = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%S}.backup")
        files.replace(backup, original, mode=path.stat().st_mode & 0o7777)
    files.replace(path, content)
    return Change(path, changed=True, backup=backup)
