"""The configuration files of MCP hosts, and the key that they refer to.

`trial` stays outside this door: it loads the SDK's client.
"""

from omi_mcp.hosts.document import UnusableConfig
from omi_mcp.hosts.entries import Change, Launch, TemporaryInstall
from omi_mcp.hosts.keys import OTHER_FAMILY, Key, Saved, WrongKey
from omi_mcp.hosts.known import HOSTS, Host, Machine

__all__ = [
    "HOSTS",
    "OTHER_FAMILY",
    "Change",
    "Host",
    "Key",
    "Launch",
    "Machine",
    "Saved",
    "TemporaryInstall",
    "UnusableConfig",
    "WrongKey",
]
