"""`omi-mcp name`: who is whom, where Omi only has `Speaker 1`."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk

NAME = "name"
HELP = "call the speakers of a conversation by their names, on this computer"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        nargs="?",
        metavar="ID",
        help="the conversation, or the beginning of its id; without one, all with names given here",
    )
    parser.add_argument("speaker", nargs="?", metavar="SPEAKER", help="'Speaker 1', 1, You, or the present name")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to call them; without one, show who speaks")
    parser.add_argument(
        "--undo", action="store_true", help="take back the name of SPEAKER; without one, all names here"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk

    return desk.run(main, options, syncing=False)


async def main(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp.commands.desk import DONE, USAGE, CommandFailed

    if options.id is None:
        if options.undo:
            raise CommandFailed("--undo: say in which conversation", USAGE)
        await _show_all(desk, options)
        return DONE
    if options.name is not None and options.undo:
        raise CommandFailed("--undo takes a name back: leave out the new one", USAGE)
    if options.speaker is not None and options.name is None and not options.undo:
        raise CommandFailed(f"what is {options.speaker} called? Or --undo takes the name back", USAGE)
    options.id = await desk.library.resolve(options.id)
    if options.name is not None:
        await desk.library.name_speaker(options.id, options.speaker, options.name)
    elif options.undo:
        named = [each.label for each in await desk.library.speakers(options.id) if each.name]
        for speaker in [options.speaker] if options.speaker is not None else named:
            await desk.library.name_speaker(options.id, speaker, None)
    await _show(desk, options)
    return DONE


async def _show(desk: "Desk", options: argparse.Namespace) -> None:
    """Who speaks in the conversation now."""
    from omi_mcp.views.text import clean_line
    from omi_mcp.views.transcripts import speaker_name

    speakers = await desk.library.speakers(options.id)
    if options.json:
        desk.json([{"label": each.label, "name": each.name, "segments": each.segments} for each in speakers])
        return
    for each in speakers:
        label = speaker_name(each.label)
        known = f"{label} = {desk.out.paint(clean_line(each.name), 'bold')} (named here)" if each.name else label
        desk.out.print(f"{known}, {each.segments:,} segment{'' if each.segments == 1 else 's'}")
    if not speakers:
        desk.note("Nobody speaks in this conversation: it has no transcript.")


async def _show_all(desk: "Desk", options: argparse.Namespace) -> None:
    """Every conversation with names given here."""
    from omi_mcp.views.cards import title
    from omi_mcp.views.text import clean_line
    from omi_mcp.views.transcripts import speaker_name

    named = await desk.library.named_speakers()
    if options.json:
        desk.json(named)
        return
    for conversation_id, names in named.items():
        stored = await desk.library.copied(conversation_id)
        heading = title(stored.conversation) if stored else "(not copied)"
        desk.out.print(f"{desk.out.paint(heading, 'bold')}  {desk.out.paint(conversation_id, 'dim')}")
        for label, name in names.items():
            desk.out.print(f"    {speaker_name(label)} = {clean_line(name)}")
    if not named:
        desk.note("No names are given here. `omi-mcp name ID` shows who speaks in a conversation.")
