"""`omi-mcp migrate`: the tables in PostgreSQL, before servers start that may not make them themselves."""

import argparse
import os
import sys

from omi_mcp import environment
from omi_mcp.database import Away
from omi_mcp.settings import SettingsError, database_url
from omi_mcp.terminal import DONE, FAILED, Terminal

UNBOUND = (
    "Warning: row-level security does not bind this role, as it is a superuser or has BYPASSRLS. Nothing is wrong with "
    "that for migrating; let servers use a role without."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when something is to be done")


def run(options: argparse.Namespace) -> int:
    environment.settings(saved=False)
    url = database_url(os.environ)
    if url is None:
        raise SettingsError(
            "OMI_MCP_DATABASE_URL: needed here. Set it to the database: postgresql://user:password@host:5432/database"
        )
    from omi_mcp.postgres import migrations  # only who has a database has what speaks to it

    out = Terminal(sys.stdout)
    try:
        standing = migrations.standing(url)
        if standing.unbound:
            out.print(UNBOUND)
        if options.check:
            for step in standing.missing:
                out.print(f"to be done: {step}")
            if standing.missing:
                return FAILED
        else:
            for step in migrations.migrate(url):
                out.print(f"done: {step}")
    except Away as away:
        Terminal(sys.stderr).fail(f"the database is not reached, or has no time: {away}")
        return FAILED
    out.print("The database is up to date.")
    return DONE
