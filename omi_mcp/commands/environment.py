"""What every command starts from: the settings of the environment, checked, and a log on standard error."""

import logging
import os
import sys
from dataclasses import replace

from omi_mcp.settings import DEFAULT_BASE_URL, Settings, SettingsError


def settings() -> Settings:
    """The settings, with the API's address checked too; logging is set up by them.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    found = Settings.from_env(os.environ)
    if found.base_url != DEFAULT_BASE_URL:
        found = replace(found, base_url=_checked(found.base_url))
    _log_to_stderr(found.log_level)
    return found


def _checked(base_url: str) -> str:
    from omi_mcp.api.connection import checked_base_url
    from omi_mcp.api.errors import InvalidRequest

    try:
        return checked_base_url(base_url)
    except InvalidRequest as error:
        raise SettingsError(str(error)) from None


def _log_to_stderr(level: str) -> None:
    """Log to standard error, before the SDK would configure logging; request URLs are never logged."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
