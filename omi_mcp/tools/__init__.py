"""What the model calls: one file for finding, one for reading, one each for creating, changing and deleting."""

from collections.abc import Callable
from typing import Any

from mcp.server import MCPServer
from mcp.server.apps import Apps
from mcp.server.mcpserver.resources import FileResource
from mcp.types import ToolAnnotations

from omi_mcp import viewer
from omi_mcp.context import AppContext
from omi_mcp.settings import Settings
from omi_mcp.tools import create, delete, edit, read, search, search_fetch, show

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CREATE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
REPEATABLE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
DESTROY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


NOT_IN_FULL = frozenset({"search", "fetch"})
"""What only the profile search-fetch has."""


def register(server: MCPServer[AppContext], settings: Settings) -> None:
    """Add the tools; those that write are left out in read-only mode, and deleting must be allowed."""

    def add(tool: Callable[..., Any], title: str, description: str, annotations: ToolAnnotations) -> None:
        structured = None if settings.structured else False
        server.add_tool(
            tool, title=title, description=description, annotations=annotations, structured_output=structured
        )

    add(search.search_conversations, "Search conversations", search.DESCRIPTION, READ)
    add(read.get_conversation, "Read a conversation", read.DESCRIPTION, READ)
    if settings.profile == "search-fetch":
        add(search_fetch.search, "Search", search_fetch.SEARCH, READ)
        add(search_fetch.fetch, "Fetch", search_fetch.FETCH, READ)
    if not settings.read_only:
        add(create.create_from_text, "Create from text", create.FROM_TEXT, CREATE)
        add(create.create_from_segments, "Create from segments", create.FROM_SEGMENTS, REPEATABLE)
        add(edit.update_title, "Rename a conversation", edit.UPDATE_TITLE, REPEATABLE)
        add(edit.discard, "Hide or restore a conversation", edit.DISCARD, REPEATABLE)
        if settings.allow_delete:
            add(delete.delete_conversation, "Delete a conversation", delete.DELETE, DESTROY)
    if settings.viewer != "off":
        _add_viewer(server, settings)


def _add_viewer(server: MCPServer[AppContext], settings: Settings) -> None:
    apps = Apps()
    apps.add_resource(
        FileResource(
            uri=viewer.URI,
            name="conversation-viewer",
            title="Conversation viewer",
            path=viewer.FILE,
            encoding="utf-8",
            meta=viewer.META,
        )
    )
    apps.tool(
        resource_uri=viewer.URI,
        title="Show a conversation",
        description=show.DESCRIPTION,
        annotations=READ,
        structured_output=None if settings.structured else False,
    )(show.show_conversation)
    # The SDK takes what an extension brings when a server is made, and this one registers what it has later.
    for tool in apps.tools():
        server.add_tool(tool.fn, meta=tool.meta, **tool.kwargs)
    for each in apps.resources():
        server.add_resource(each.resource)
