"""What every command starts from: the settings of the environment, checked, and a log on standard error."""

import os
import sys
from dataclasses import replace

from omi_mcp import logs
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.settings import DEFAULT_BASE_URL, OWN_PREFIX, Settings, SettingsError, is_set, unknown_settings


def settings(*, saved: bool = True) -> Settings:
    """The settings, checked; logging is set up by them.

    With `saved`, and no key in the environment, the key that `install` keeps is taken, and that is said.

    Raises:
        SettingsError: a variable has a value that cannot be used, or a name that is none.
    """
    found, kept = read(saved=saved)
    if kept:
        where = f" for {found.base_url}" if found.base_url != DEFAULT_BASE_URL else ""
        print(f"omi-mcp: no key is set, so the one that `install` keeps{where} is used", file=sys.stderr)
    logs.set_up(found.log_level, found.log_format)
    return found


def read(*, saved: bool = True) -> tuple[Settings, bool]:
    """The settings, checked, and whether the key in them is the one that `install` keeps. Raises SettingsError."""
    check_names()
    found = _checked(Settings.from_env(os.environ))
    if not saved or found.api_key or is_set(os.environ, "OMI_API_KEY"):
        return found, False
    from omi_mcp.hosts import Saved  # loads the parsers of configuration files, and few starts look for a saved key

    kept = Saved.here()
    environment = kept.environment()
    if not environment:
        return found, False
    # A key is for the address it was saved with, and goes to no other.
    if is_set(os.environ, "OMI_API_BASE_URL") and found.base_url != kept.base_url:
        print(
            f"omi-mcp: the key that `install` keeps is for {kept.base_url}, and is not used elsewhere", file=sys.stderr
        )
        return found, False
    return _checked(Settings.from_env({**os.environ, **environment})), True


def _checked(found: Settings) -> Settings:
    if found.base_url == DEFAULT_BASE_URL:
        return found
    return replace(found, base_url=checked_base_url(found.base_url))


def check_names() -> None:
    """Refuse a misspelled setting: ignored, it would leave on what it was to turn off. Raises SettingsError."""
    for name, meant in unknown_settings(os.environ).items():
        if meant and name.upper().startswith(OWN_PREFIX):
            raise SettingsError(f"{name}: there is no such setting. Did you mean {meant}?")
        hint = f"; did you mean {meant}?" if meant else ""
        print(f"omi-mcp: {name} is no setting of this program and is ignored{hint}", file=sys.stderr)


def checked_base_url(base_url: str) -> str:
    """The API's address as it is used. Raises SettingsError."""
    from omi_mcp.api.connection import checked_base_url as checked  # loads the HTTP library, and few set an address

    try:
        return checked(base_url)
    except InvalidRequest as error:
        raise SettingsError(str(error)) from None
