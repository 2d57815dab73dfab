"""An Omi Developer API in a box: the same routes, limits, errors and quirks, on SQLite, without a network."""

from omi_mcp.sandbox.box import Sandbox, Served
from omi_mcp.sandbox.faults import Faults
from omi_mcp.sandbox.loading import BadLine

__all__ = ["BadLine", "Faults", "Sandbox", "Served"]
