"""Where the developer key lies, so that a host's configuration only has to name the place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_path

from omi_mcp.files import is_private, replace
from omi_mcp.settings import DEFAULT_BASE_URL, NAMES, bare_key, is_set, read_key

DEVELOPER = "omi_dev_"
OTHER_FAMILY = "omi_mcp_"

NOT_CARRIED = ("OMI_API_KEY", "OMI_MCP_HTTP_", "OMI_MCP_OAUTH_")


class WrongKey(Exception):
    """The key cannot be used. `str()` says why and what to do, without the key."""


@dataclass(frozen=True)
class Key:
    """A key that could be used, and the file it lies in; None for one that would have to be saved first."""

    value: str
    file: Path | None


@dataclass(frozen=True)
class Saved:
    """What `install` keeps: the key, the address it is for, and what it wrote into which configuration."""

    folder: Path

    @classmethod
    def here(cls) -> "Saved":
        return cls(user_config_path("omi-mcp", appauthor=False))

    @property
    def key_file(self) -> Path:
        return self.folder / "api-key"

    @property
    def base_url(self) -> str:
        """The address that the saved key is for."""
        try:
            return (self.folder / "api-base-url").read_text("utf-8").strip() or DEFAULT_BASE_URL
        except (OSError, ValueError):
            return DEFAULT_BASE_URL

    def environment(self) -> dict[str, str]:
        """What makes a start use the saved key at its address; nothing when none is saved."""
        return reference(self.key_file, self.base_url) if self.key_file.is_file() else {}

    def differs(self, key: str, base_url: str) -> bool:
        """Whether another key is saved, or this one for another address. Raises OSError."""
        return (self.key_file.read_bytes().strip(), self.base_url) != (key.encode(), base_url)

    def keep(self, key: str, base_url: str) -> None:
        """Save `key`, for `base_url`. Raises OSError."""
        address = self.folder / "api-base-url"
        if base_url == DEFAULT_BASE_URL:
            address.unlink(missing_ok=True)
        elif base_url != self.base_url:
            replace(address, f"{base_url}\n".encode())
        if not self.key_file.is_file() or self.differs(key, base_url):
            replace(self.key_file, f"{key}\n".encode())

    def written(self, config: Path) -> dict[str, str]:
        """The settings that an install before wrote into `config`, and nobody by hand."""
        found = self._written().get(str(config.absolute()), {})
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def note_written(self, config: Path, settings: Mapping[str, str]) -> None:
        """Remember `settings` for `written`. Raises OSError."""
        before = self._written()
        after = {**before, str(config.absolute()): dict(settings)}
        if not settings:
            del after[str(config.absolute())]
        if after != before:
            replace(self._record, json.dumps(after, indent=2).encode())

    @property
    def _record(self) -> Path:
        return self.folder / "installed.json"

    def _written(self) -> dict[str, object]:
        try:
            found = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def reference(file: Path, base_url: str) -> dict[str, str]:
    """The environment in which this server uses the key in `file` at `base_url`."""
    found = {"OMI_API_KEY_FILE": str(file)}
    return found if base_url == DEFAULT_BASE_URL else {**found, "OMI_API_BASE_URL": base_url}


def find(env: Mapping[str, str], saved: Saved) -> Key | None:
    """The key of `env`, else the saved one; None when there is none.

    Raises:
        WrongKey: the file it should be in cannot be used.
    """
    if is_set(env, "OMI_API_KEY") and (value := bare_key(env["OMI_API_KEY"])):
        return Key(value, None)
    if is_set(env, "OMI_API_KEY_FILE"):
        file = Path(env["OMI_API_KEY_FILE"]).expanduser().absolute()
    elif saved.key_file.is_file():
        file = saved.key_file
    else:
        return None
    try:
        if not is_private(file):
            raise WrongKey(
                f"others can read {file}: make it yours alone (chmod 600), or create a new key in the Omi app"
            )
        value = read_key(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise WrongKey(f"the key file {file} cannot be read ({reason})") from None
    return Key(value, file)


def check_form(key: str) -> None:
    """Refuse what can be no developer key.

    Raises:
        WrongKey: it is of another family, or not whole.
    """
    if key.startswith(OTHER_FAMILY):
        raise WrongKey(
            "this is an MCP key (omi_mcp_...), which the Developer API does not accept. "
            "In the Omi app: Settings > Developer > Create Key; it starts with omi_dev_"
        )
    if not key.startswith(DEVELOPER) or not key.isascii() or any(character.isspace() for character in key):
        raise WrongKey("this is not a developer key: they start with omi_dev_ (Omi app: Settings > Developer)")


def carried(env: Mapping[str, str]) -> dict[str, str]:
    """The settings in force that a host's server needs as well: the host does not inherit this shell's environment."""
    return {
        name: str(Path(env[name]).expanduser().absolute()) if name == "OMI_MCP_DATA_DIR" else env[name]
        for name in sorted(NAMES & env.keys())
        if not name.startswith(NOT_CARRIED) and is_set(env, name)
    }
