"""A stand-in for the Omi Developer API: the same routes, limits, errors and quirks, on SQLite, without a network.

`omi_mcp.sandbox.serve` puts it on a socket of this computer; it is apart because only it needs uvicorn.
"""

from omi_mcp.sandbox.account import REMEMBERED_REQUESTS, Sandbox, Served
from omi_mcp.sandbox.faults import KINDS, ROUTES, Faults
from omi_mcp.sandbox.loading import BadLine, PlainLine, SpokenLine
from omi_mcp.sandbox.many import Sandboxes

__all__ = [
    "KINDS",
    "REMEMBERED_REQUESTS",
    "ROUTES",
    "BadLine",
    "Faults",
    "PlainLine",
    "Sandbox",
    "Sandboxes",
    "Served",
    "SpokenLine",
]
