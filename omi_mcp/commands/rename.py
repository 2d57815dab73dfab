"""`omi-mcp rename`: give a conversation another title."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk

NAME = "rename"
HELP = "give a conversation another title"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that search shows, or its beginning")
    parser.add_argument("title", nargs="+", metavar="TITLE", help="the new title, at most 500 characters")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk

    return desk.run(main, options, syncing=False)


async def main(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp.commands.desk import DONE
    from omi_mcp.views.cards import title

    conversation_id = await desk.library.resolve(options.id)
    renamed = await desk.library.update_title(conversation_id, " ".join(options.title))
    desk.out.print(f"{desk.out.paint(title(renamed), 'bold')}  {desk.out.paint(conversation_id, 'dim')}")
    return DONE
