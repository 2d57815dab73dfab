"""`omi-mcp delete`: delete one conversation for good."""

import argparse
import sys

from omi_mcp import dates
from omi_mcp.terminal import DONE, FAILED, USAGE, CommandFailed, Session, confirm, run_command
from omi_mcp.views.cards import title

STAYS = "Memories and action items that Omi made of it stay."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that search shows, or its beginning")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    session.check_writable()
    conversation = await session.library.current(await session.library.resolve(options.id))
    stored = await session.library.copied(conversation.id)
    name = title(conversation, stored.opening if stored else "")
    began = dates.local(conversation.began, session.settings.timezone)
    if not options.yes:
        if not sys.stdin.isatty():
            raise CommandFailed("delete: say --yes where nobody can be asked. Nothing was deleted", USAGE)
        asked = f'Delete "{name}" of {began:%Y-%m-%d %H:%M} for good? {STAYS} [y/N] '
        if not confirm(asked):
            raise CommandFailed("Nothing was deleted", FAILED)
    await session.library.delete(conversation.id)
    session.out.print(f"Deleted: {session.out.paint(name, 'bold')}. {STAYS}")
    return DONE
