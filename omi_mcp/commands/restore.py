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
    session.check_writable()
    for conversation_id in [await session.library.resolve(each) for each in options.ids]:
        back = await session.library.restore(conversation_id)
        session.out.print(
            f"Restored: {session.out.paint(title(back), 'bold')}  {session.out.paint(conversation_id, 'dim')}"
        )
    return DONE


async def _list(session: Session, options: argparse.Namespace) -> None:
    hidden = await session.library.hidden()
    listed: list[dict[str, str | None]] = []
    for conversation_id, stored in hidden.items():
        name = title(stored.conversation, stored.opening) if stored else None
        began = dates.local(stored.conversation.began, session.settings.timezone) if stored else None
        listed.append({"id": conversation_id, "title": name, "started": began.isoformat() if began else None})
        if not options.json:
            heading = session.out.paint(name or "(not copied)", "bold")
            session.out.print(f"{began:%Y-%m-%d %H:%M}  {heading}" if began else heading)
            session.out.print(f"    {session.out.paint(conversation_id, 'dim')}")
    if options.json:
        session.json(listed)
        return
    session.note(
        "The Omi API lists no hidden conversations: these are the ones this computer knows." if hidden else None
    )
    session.note(None if hidden else "This computer knows of no hidden conversation.")
