"""What several machines share, in PostgreSQL. Imported where `OMI_MCP_DATABASE_URL` is set, and nowhere else.

Nothing outside this room knows psycopg. Everything blocks: call it from a worker thread, through `database.run`.
"""

from importlib import import_module

from omi_mcp.settings import SettingsError

try:
    import_module("psycopg_pool")
except ImportError as error:
    # Also where psycopg is there without the library it speaks through; the last line says so.
    reason = str(error).strip().splitlines()[-1]
    raise SettingsError(
        f"OMI_MCP_DATABASE_URL: what speaks to PostgreSQL is not installed ({reason}). "
        "Install it: pip install 'omi-conversations-mcp[postgres]'"
    ) from None
