"""What is right and what is wrong with the database that several machines share."""

from collections.abc import Mapping

from omi_mcp.commands.doctor.findings import Finding
from omi_mcp.database import Away
from omi_mcp.settings import SettingsError, database_url

CHECK = "database"


def examine(env: Mapping[str, str]) -> Finding | None:
    """None where none is set. Blocks."""
    try:
        url = database_url(env)
        if url is None:
            return None
        from omi_mcp.postgres import connection, migrations  # only who has a database has what speaks to it

        where = connection.place(url)
    except SettingsError as error:
        return Finding(CHECK, "problem", str(error), "Set it to what is accepted, or unset it.")
    try:
        standing = migrations.standing(url)
    except SettingsError as error:
        return Finding(CHECK, "problem", f"{where}: {error}", "See docs/hosting.md for what a role needs.")
    except Away as away:
        return Finding(
            CHECK,
            "problem",
            f"{where} does not answer ({away})",
            "Check that it runs, that this computer may connect, and what OMI_MCP_DATABASE_URL says of user and host.",
        )
    taken = [step for step in migrations.known() if step not in standing.missing]
    at = f"at migration {taken[-1]}" if taken else "without any migration"
    if standing.missing:
        return Finding(
            CHECK, "problem", f"{where} answers; it is {at}, and {len(standing.missing)} to go", "Run omi-mcp migrate."
        )
    if standing.unbound:
        return Finding(
            CHECK,
            "note",
            f"{where} answers, {at}; row-level security does not bind this role",
            "Let servers use a role that is no superuser and has no BYPASSRLS.",
        )
    return Finding(CHECK, "ok", f"{where} answers, {at}")
