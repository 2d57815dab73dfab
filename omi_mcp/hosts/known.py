"""The hosts that can be installed into: where each looks, and what an entry of it looks like.

Facts from the hosts' own documentation; the packaged Claude Desktop of Windows, from its users' reports.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omi_mcp.hosts.document import Format


@dataclass(frozen=True)
class Machine:
    """What decides where a host keeps its files. `platform` is `sys.platform`."""

    platform: str
    home: Path
    env: Mapping[str, str]

    @classmethod
    def this(cls) -> "Machine":
        return cls(sys.platform, Path.home(), os.environ)

    def directory(self, variable: str, default: Path) -> Path:
        """The folder that `variable` names, else `default`."""
        return Path(self.env[variable]).expanduser() if self.env.get(variable) else default

    @property
    def applications(self) -> Path:
        """Where desktop programs keep a person's settings."""
        if self.platform == "win32":
            return self.directory("APPDATA", self.home / "AppData" / "Roaming")
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.directory("XDG_CONFIG_HOME", self.home / ".config")


@dataclass(frozen=True)
class Host:
    """One MCP host. `section` is the table of servers in its file; `next_step` is what makes it look again.

    `format` is jsonc where comments are read, or not known to be refused. `typed`: its entries name their transport.
    `asks_for_key`: it can ask the person and keep the answer secret itself.
    """

    name: str
    title: str
    config: Callable[[Machine], Path]
    next_step: str
    section: str = "mcpServers"
    format: Format = "json"
    typed: bool = False
    asks_for_key: bool = False

    def is_here(self, machine: Machine) -> bool:
        """Whether the machine has this host: its configuration is there, or the folder that it made for it."""
        path = self.config(machine)
        return path.exists() or (path.parent != machine.home and path.parent.is_dir())


def _claude_desktop(machine: Machine) -> Path:
    name = "claude_desktop_config.json"
    if machine.platform == "win32":
        packages = machine.directory("LOCALAPPDATA", machine.home / "AppData" / "Local") / "Packages"
        # Installed as a package, which is usual, it never sees what lies in the roaming folder itself.
        for package in sorted(packages.glob("Claude_*/LocalCache/Roaming")):
            return package / "Claude" / name
    return machine.applications / "Claude" / name


def _claude_code(machine: Machine) -> Path:
    return machine.directory("CLAUDE_CONFIG_DIR", machine.home) / ".claude.json"


def _codex(machine: Machine) -> Path:
    return machine.directory("CODEX_HOME", machine.home / ".codex") / "config.toml"


HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host(
            "claude-desktop",
            "Claude Desktop",
            _claude_desktop,
            "Quit Claude Desktop completely (closing its window is not enough) and start it again.",
        ),
        Host(
            "claude-code",
            "Claude Code",
            _claude_code,
            "Start a new session; /mcp shows the server.",
            typed=True,
        ),
        Host(
            "cursor",
            "Cursor",
            lambda machine: machine.home / ".cursor" / "mcp.json",
            "Open Cursor's settings for tools and MCP, and switch the server on.",
            format="jsonc",
        ),
        Host(
            "vscode",
            "VS Code",
            lambda machine: machine.applications / "Code" / "User" / "mcp.json",
            'Run "MCP: List Servers" from the command palette and start it; VS Code asks for the key once.',
            section="servers",
            typed=True,
            asks_for_key=True,
            format="jsonc",
        ),
        Host(
            "codex",
            "Codex",
            _codex,
            "Start a new session; /mcp shows the server.",
            section="mcp_servers",
            format="toml",
        ),
        Host(
            "gemini",
            "Gemini CLI",
            lambda machine: machine.home / ".gemini" / "settings.json",
            "Start a new session; /mcp shows the server.",
            format="jsonc",
        ),
        Host(
            "windsurf",
            "Windsurf",
            lambda machine: machine.home / ".codeium" / "windsurf" / "mcp_config.json",
            "Press the refresh button of Windsurf's MCP panel.",
            format="jsonc",
        ),
    )
}
