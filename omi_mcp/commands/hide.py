"""`omi-mcp hide`: take conversations out of lists and search."""

import argparse

from omi_mcp.terminal import DONE, Session, run_command
from omi_mcp.views.cards import title


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the id that search shows, or its beginning")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    session.check_writable()
    for conversation_id in [await session.library.resolve(each) for each in options.ids]:
        hidden = await session.library.discard(conversation_id)
        session.out.print(
            f"Hidden: {session.out.paint(title(hidden), 'bold')}  {session.out.paint(conversation_id, 'dim')}"
        )
    return DONE
