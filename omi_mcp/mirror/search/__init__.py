"""From what a person types to conversations, best first, with the hits in each."""

from omi_mcp.mirror.search.engine import find_in, reach, search
from omi_mcp.mirror.search.hits import occurrences

__all__ = ["find_in", "occurrences", "reach", "search"]
