"""`omi-mcp restore`: bring hidden conversations back, or list them."""

import argparse

from omi_mcp import dates
from omi_mcp.terminal import DONE, Session, run_command
from omi_mcp.views.cards import title


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="the id, or its beginning; without one, the hidden ones known here"
    )
    parser.add_argument("--json", action="store_true", help="list in JSON")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    if not options.ids:
        await _list(session, options)
        return DONE
    for conversation_id in [await session.library.resolve(each) for each in options.ids]:
        back = await session.library.restore(conversation_id)
        session.out.print(
            f"Restored: {session.out.paint(title(back), 'bold')}  {session.out.paint(conversation_id, 'dim')}"
        )
    return DONE


async def _list(session: Session, options: argparse.Namespace) -> None:
    hidden = [stored.conversation for stored in await session.library.hidden()]
    began = [dates.local(each.began, session.settings.timezone) for each in hidden]
    if options.json:
        session.json(
            [
                {"id": each.id, "title": title(each), "started": start.isoformat()}
                for each, start in zip(hidden, began, strict=True)
            ]
        )
        return
    for each, start in zip(hidden, began, strict=True):
        session.out.print(f"{start:%Y-%m-%d %H:%M}  {session.out.paint(title(each), 'bold')}")
        session.out.print(f"    {session.out.paint(each.id, 'dim')}")
    session.note(
        "The Omi API lists no hidden conversations: these are the ones this computer knows." if hidden else None
    )
    session.note(None if hidden else "This computer knows of no hidden conversation.")
