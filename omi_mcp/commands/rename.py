"""`omi-mcp rename`: give a conversation another title."""

import argparse

from omi_mcp.terminal import DONE, Session, run_command
from omi_mcp.views.cards import title


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that search shows, or its beginning")
    parser.add_argument("title", nargs="+", metavar="TITLE", help="the new title, at most 500 characters")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    session.check_writable()
    conversation_id = await session.library.resolve(options.id)
    renamed = await session.library.update_title(conversation_id, " ".join(options.title))
    session.out.print(f"{session.out.paint(title(renamed), 'bold')}  {session.out.paint(conversation_id, 'dim')}")
    return DONE
