"""`omi-mcp name`: who is whom, where Omi only has `Speaker 1`."""

import argparse

from omi_mcp.terminal import DONE, USAGE, CommandFailed, Session, run_command
from omi_mcp.views.cards import title
from omi_mcp.views.text import clean_line
from omi_mcp.views.transcripts import speaker_name


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
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    if options.id is None:
        if options.undo:
            raise CommandFailed("--undo: say in which conversation", USAGE)
        await _show_all(session, options)
        return DONE
    if options.name is not None and options.undo:
        raise CommandFailed("--undo takes a name back: leave out the new one", USAGE)
    if options.speaker is not None and options.name is None and not options.undo:
        raise CommandFailed(f"what is {options.speaker} called? Or --undo takes the name back", USAGE)
    options.id = await session.library.resolve(options.id)
    if options.name is not None:
        await session.library.name_speaker(options.id, options.speaker, options.name)
    elif options.undo:
        named = [each.label for each in await session.library.speakers(options.id) if each.name]
        for speaker in [options.speaker] if options.speaker is not None else named:
            await session.library.name_speaker(options.id, speaker, None)
    await _show(session, options)
    return DONE


async def _show(session: Session, options: argparse.Namespace) -> None:
    """Who speaks in the conversation now."""
    speakers = await session.library.speakers(options.id)
    if options.json:
        session.json([{"label": each.label, "name": each.name, "segments": each.segments} for each in speakers])
        return
    for each in speakers:
        label = speaker_name(each.label)
        known = f"{label} = {session.out.paint(clean_line(each.name), 'bold')} (named here)" if each.name else label
        session.out.print(f"{known}, {each.segments:,} segment{'' if each.segments == 1 else 's'}")
    if not speakers:
        session.note("Nobody speaks in this conversation: it has no transcript.")


async def _show_all(session: Session, options: argparse.Namespace) -> None:
    """Every conversation with names given here."""
    named = await session.library.named_speakers()
    if options.json:
        session.json(named)
        return
    for conversation_id, names in named.items():
        stored = await session.library.copied(conversation_id)
        heading = title(stored.conversation) if stored else "(not copied)"
        session.out.print(f"{session.out.paint(heading, 'bold')}  {session.out.paint(conversation_id, 'dim')}")
        for label, name in names.items():
            session.out.print(f"    {speaker_name(label)} = {clean_line(name)}")
    if not named:
        session.note("No names are given here. `omi-mcp name ID` shows who speaks in a conversation.")
