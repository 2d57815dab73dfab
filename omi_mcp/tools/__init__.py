"""What the model calls: one file for finding, one for reading, one each for creating, changing and deleting."""

from mcp.server import MCPServer

from omi_mcp.clock import Clock
from omi_mcp.library import Library
from omi_mcp.settings import Settings
from omi_mcp.tools import create, delete, edit, read, search, search_fetch
from omi_mcp.tools.replies import Replies


def register(server: MCPServer[None], library: Library, settings: Settings, clock: Clock) -> None:
    """Add the tools; those that write are left out in read-only mode, and deleting must be allowed."""
    replies = Replies(settings)
    search.register(server, library, settings, clock, replies)
    read.register(server, library, settings, clock, replies)
    if settings.profile == "search-fetch":
        search_fetch.register(server, library, settings, clock, replies)
    if not settings.read_only:
        create.register(server, library, settings, clock, replies)
        edit.register(server, library, clock, replies)
        if settings.allow_delete:
            delete.register(server, library, settings, clock, replies)
