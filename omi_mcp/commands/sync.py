"""`omi-mcp sync`: copy everything now, and wait until it is done."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk
    from omi_mcp.library import Standing

NAME = "sync"
HELP = "copy everything that is not copied yet, and show how far it is"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--full", action="store_true", help="compare everything that was copied before with the account, too"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="stop at the hourly limit with exit code 3, instead of waiting"
    )


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk

    return desk.run(main, options)


async def main(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp.commands.desk import DONE, INCOMPLETE, USAGE, CommandFailed
    from omi_mcp.commands.failures import duration
    from omi_mcp.commands.following import follow
    from omi_mcp.views.notes import OBSTACLES

    if desk.settings.mirror != "disk":
        raise CommandFailed(f"OMI_MCP_MIRROR is {desk.settings.mirror}: there is nothing that a sync could keep", USAGE)
    await desk.library.sync(full=options.full)
    standing = await follow(desk, wait=not options.no_wait)
    desk.out.print(_said(standing))
    desk.note(standing.progress.warning)
    if standing.remains is None:
        return DONE
    if standing.looking:
        obstacle = standing.progress.blocked
        why = f": {OBSTACLES[obstacle]}" if obstacle else ""
        desk.note(f"New conversations could not be looked for{why}.")
    desk.note(f"Not everything is copied yet; run this again in {duration(standing.remains)}.")
    return INCOMPLETE


def _said(standing: "Standing") -> str:
    counts = standing.counts
    said = f"{counts.conversations:,} conversations, {counts.transcripts:,} with everything there is to copy"
    left = ((counts.pending, "without transcript yet"), (counts.locked, "locked by the plan of the Omi account"))
    return "; ".join([said, *(f"{count:,} {why}" for count, why in left if count)]) + "."
