"""What is changed in the account: creates that happen once, edits repeated until confirmed, and the record of both."""

from omi_mcp.writes.creates import Created
from omi_mcp.writes.lasting import Lasting, lasting_file
from omi_mcp.writes.writer import Writer

__all__ = [
    "Created",
    "Lasting",
    "Writer",
    "lasting_file",
]
