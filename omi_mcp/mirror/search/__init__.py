"""From what a person types to conversations, best first, with the hits in each."""

from omi_mcp.mirror.search.engine import find_in, reach, search, who_speaks
from omi_mcp.mirror.search.hits import occurrences
from omi_mcp.mirror.search.meaning import MeaningSearch, worth_asking
from omi_mcp.mirror.search.to_do import search_to_do

__all__ = [
    "MeaningSearch",
    "find_in",
    "occurrences",
    "reach",
    "search",
    "search_to_do",
    "who_speaks",
    "worth_asking",
]
