"""`omi-mcp sync`: copy everything now, and wait until it is done."""

import argparse

from omi_mcp.mirror.types import Standing
from omi_mcp.terminal import DONE, INCOMPLETE, USAGE, CommandFailed, Session, add_no_wait, follow, run_command
from omi_mcp.views.notes import OBSTACLES, warning
from omi_mcp.views.text import duration


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--full", action="store_true", help="compare everything that was copied before with the account, too"
    )
    add_no_wait(parser)


def run(options: argparse.Namespace) -> int:
    return run_command(main, options)


async def main(session: Session, options: argparse.Namespace) -> int:
    if session.settings.mirror != "disk":
        raise CommandFailed(
            f"OMI_MCP_MIRROR is {session.settings.mirror}: there is nothing that a sync could keep", USAGE
        )
    await session.library.sync(full=options.full)
    standing = await follow(session, wait=not options.no_wait)
    session.out.print(_said(standing))
    session.note(warning(standing.progress))
    if standing.remains is None:
        return DONE
    if standing.looking:
        obstacle = standing.progress.blocked
        why = f": {OBSTACLES[obstacle]}" if obstacle else ""
        session.note(f"New conversations could not be looked for{why}.")
    session.note(f"Not everything is copied yet; run this again in {duration(standing.remains)}.")
    return INCOMPLETE


def _said(standing: Standing) -> str:
    counts = standing.counts
    said = f"{counts.conversations:,} conversations, {counts.transcripts:,} with everything there is to copy"
    left = ((counts.pending, "without transcript yet"), (counts.locked, "locked by the plan of the Omi account"))
    return "; ".join([said, *(f"{count:,} {why}" for count, why in left if count)]) + "."
