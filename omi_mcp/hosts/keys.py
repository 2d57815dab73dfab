"""Where the developer key lies, so that a host's configuration only has to name the place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omi_mcp.files import is_private, replace
from omi_mcp.hosts.known import Host

DEVELOPER = "omi_dev_"
OTHER_FAMILY = "omi_mcp_"

CARRIED_PREFIX = "OMI_"
NOT_CARRIED = ("OMI_API_KEY", "OMI_MCP_HTTP_", "OMI_MCP_OAUTH_")


class WrongKey(Exception):
    """The key cannot be used. `str()` says why and what to do, without the key."""


@dataclass(frozen=True)
class Reference:
    """How an entry gets at the key: what it adds to the environment, and where the key is, in words."""

    environment: Mapping[str, str]
    place: str


def refer(host: Host, env: Mapping[str, str], own_file: Path, ask: Callable[[], str]) -> Reference | None:
    """Put the key where only its owner can read it and say how `host` gets at it; None when there is no key.

    The key is that of `env`, else of an install before, else what the person answers to `ask`.

    Raises:
        WrongKey: it is of another family, or the file it is in cannot be used.
        OSError: the file cannot be written.
    """
    if host.asks_for_key:
        return Reference(
            {"OMI_API_KEY": "${input:omi-api-key}"}, f"{host.title} asks for it and keeps it secret itself"
        )
    file = Path(env["OMI_API_KEY_FILE"]).expanduser().absolute() if env.get("OMI_API_KEY_FILE") else own_file
    if key := env.get("OMI_API_KEY", "").strip():
        file = own_file
        _keep(key, file)
    elif not file.is_file():
        key = ask().strip()
        if not key:
            return None
        _keep(key, file)
    if not is_private(file):
        raise WrongKey(f"others can read {file}: make it yours alone (chmod 600), or create a new key in the Omi app")
    return Reference({"OMI_API_KEY_FILE": str(file)}, f"in {file}; the entry only names that file")


def carried(env: Mapping[str, str]) -> dict[str, str]:
    """The settings in force that a host's server needs as well: the host does not inherit this shell's environment."""
    return {
        name: str(Path(value).expanduser().absolute()) if name == "OMI_MCP_DATA_DIR" else value
        for name, value in sorted(env.items())
        if name.startswith(CARRIED_PREFIX) and not name.startswith(NOT_CARRIED) and value.strip()
    }


def _keep(key: str, file: Path) -> None:
    if key.startswith(OTHER_FAMILY):
        raise WrongKey(
            "this is an MCP key (omi_mcp_...), which the Developer API does not accept. "
            "In the Omi app: Settings > Developer > Create Key; it starts with omi_dev_"
        )
    if not key.startswith(DEVELOPER) or not key.isascii() or any(character.isspace() for character in key):
        raise WrongKey("this is not a developer key: they start with omi_dev_ (Omi app: Settings > Developer)")
    if not file.is_file() or file.read_bytes().strip() != key.encode():
        replace(file, f"{key}\n".encode())
