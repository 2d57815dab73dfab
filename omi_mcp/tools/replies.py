"""One contract per tool: the same compact, null-free JSON as text and as structured content."""

from collections.abc import Callable
from typing import Any

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations

from omi_mcp.settings import Settings
from omi_mcp.views.budgets import compact_json
from omi_mcp.views.models import View

Handler = Callable[..., Any]
Register = Callable[[Handler], Handler]

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CREATE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
CREATE_ONCE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CHANGE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
DESTROY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class Replies:
    """How this server answers: in both forms, or in text alone for hosts that would show both to the model."""

    def __init__(self, settings: Settings) -> None:
        self._structured = settings.structured

    def tool(self, server: MCPServer[None], *, title: str, description: str, annotations: ToolAnnotations) -> Register:
        """Register a tool whose handler returns `reply(...)`."""
        return server.tool(
            title=title,
            description=description,
            annotations=annotations,
            structured_output=None if self._structured else False,
        )

    def reply(self, answer: View) -> CallToolResult:
        data = answer.dump()
        return CallToolResult(
            content=[TextContent(type="text", text=compact_json(data))],
            structured_content=data if self._structured else None,
        )
