"""What is changed in the account: creates that happen once, edits repeated until confirmed, and the record of both."""

from omi_mcp.writes.creates import Created, Writer
from omi_mcp.writes.imported import Imported
from omi_mcp.writes.journal import Journal

__all__ = [
    "Created",
    "Imported",
    "Journal",
    "Writer",
]
