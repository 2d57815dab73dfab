"""`omi-mcp hide`: take conversations out of lists and search."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk

NAME = "hide"
HELP = "hide conversations from lists and search; restore brings them back"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the id that search shows, or its beginning")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk

    return desk.run(main, options, syncing=False)


async def main(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp.commands.desk import DONE
    from omi_mcp.views.cards import title

    for conversation_id in [await desk.library.resolve(each) for each in options.ids]:
        hidden = await desk.library.discard(conversation_id)
        desk.out.print(f"Hidden: {desk.out.paint(title(hidden), 'bold')}  {desk.out.paint(conversation_id, 'dim')}")
    return DONE
