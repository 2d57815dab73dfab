"""What the model calls: one file for finding, one for reading, one for creating, one for changing."""

from mcp.server import MCPServer

from omi_mcp.clock import Clock
from omi_mcp.library import Library
from omi_mcp.settings import Settings
from omi_mcp.tools import create, edit, read, search
from omi_mcp.tools.replies import Replies


def register(server: MCPServer[None], library: Library, settings: Settings, clock: Clock) -> None:
    """Add the tools; those that write are left out in read-only mode."""
    replies = Replies(settings)
    search.register(server, library, settings, clock, replies)
    read.register(server, library, settings, replies)
    if not settings.read_only:
        create.register(server, library, settings, clock, replies)
        edit.register(server, library, replies)
