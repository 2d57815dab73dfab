"""Conversations as files: rendered, named, and kept up to date in a folder. No network, no library."""

from omi_mcp.exporting.folder import Folder, Format, Outcome, Stream
from omi_mcp.exporting.records import json_line

__all__ = ["Folder", "Format", "Outcome", "Stream", "json_line"]
