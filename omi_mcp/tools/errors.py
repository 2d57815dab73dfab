"""Errors of a tool call, as the model is told them."""

from collections.abc import Iterator
from contextlib import contextmanager

from mcp.server.mcpserver.exceptions import ToolError

from omi_mcp.api.errors import OmiError
from omi_mcp.views.errors import Action, explain


@contextmanager
def explained(action: Action) -> Iterator[None]:
    """Turn every `OmiError` inside the block into a `ToolError` the model can act on."""
    try:
        yield
    except OmiError as error:
        raise ToolError(explain(error, action).model) from error
