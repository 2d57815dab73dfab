"""`omi-mcp restore`: bring hidden conversations back, or list them."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk

NAME = "restore"
HELP = "bring hidden conversations back; without an id, list them"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="the id, or its beginning; without one, the hidden ones known here"
    )
    parser.add_argument("--json", action="store_true", help="list in JSON")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk

    return desk.run(main, options, syncing=False)


async def main(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp.commands.desk import DONE
    from omi_mcp.views.cards import title

    if not options.ids:
        await _list(desk, options)
        return DONE
    for conversation_id in [await desk.library.resolve(each) for each in options.ids]:
        back = await desk.library.restore(conversation_id)
        desk.out.print(f"Restored: {desk.out.paint(title(back), 'bold')}  {desk.out.paint(conversation_id, 'dim')}")
    return DONE


async def _list(desk: "Desk", options: argparse.Namespace) -> None:
    from omi_mcp import dates
    from omi_mcp.views.cards import title

    hidden = [stored.conversation for stored in await desk.library.hidden()]
    began = [dates.local(each.began, desk.settings.timezone) for each in hidden]
    if options.json:
        desk.json(
            [
                {"id": each.id, "title": title(each), "started": start.isoformat()}
                for each, start in zip(hidden, began, strict=True)
            ]
        )
        return
    for each, start in zip(hidden, began, strict=True):
        desk.out.print(f"{start:%Y-%m-%d %H:%M}  {desk.out.paint(title(each), 'bold')}")
        desk.out.print(f"    {desk.out.paint(each.id, 'dim')}")
    desk.note("The Omi API lists no hidden conversations: these are the ones this computer knows." if hidden else None)
    desk.note(None if hidden else "This computer knows of no hidden conversation.")
