"""An MCP server for a person's own Omi conversations."""

from omi_mcp._version import __version__

__all__ = ["__version__"]
