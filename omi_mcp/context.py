"""What every request to the server is served with: the SDK hands it to tools, resources and prompts."""

from dataclasses import dataclass

from omi_mcp.clock import Clock
from omi_mcp.library import Library
from omi_mcp.settings import Settings


@dataclass(frozen=True)
class AppContext:
    library: Library
    settings: Settings
    clock: Clock
