"""`omi-mcp show`: read one conversation."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from omi_mcp import dates
from omi_mcp.commands.search import facts
from omi_mcp.mirror.types import Stored
from omi_mcp.terminal import DONE, FAILED, USAGE, CommandFailed, Session, run_command
from omi_mcp.views.cards import detail_card
from omi_mcp.views.errors import explain
from omi_mcp.views.models import ConversationDetail
from omi_mcp.views.notes import no_transcript
from omi_mcp.views.transcripts import Place, Transcript, speaker_name


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that search shows, or its beginning")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--at", metavar="TIME", help="transcript from this time on: 00:41:00, 41:00, 2460 or 41m")
    place.add_argument("--segment", type=int, metavar="N", help="transcript from this segment on, counted from 0")
    place.add_argument("--find", metavar="WORDS", help="transcript from where these words are said")
    place.add_argument("--no-transcript", action="store_true", help="only the summary")
    parser.add_argument("--speaker", metavar="NAME", help="only what this person says")
    parser.add_argument("--json", action="store_true", help="answer in JSON, the whole transcript segment by segment")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options)


async def main(session: Session, options: argparse.Namespace) -> int:
    asked = not options.no_transcript
    options.id = await session.library.resolve(options.id)
    reading = await session.library.get(options.id, transcript=asked)
    conversation = reading.stored.conversation
    transcript = Transcript(conversation.id, conversation.transcript_segments or (), conversation.seconds)
    people = await session.library.people()
    if options.speaker and people.means_user(options.speaker):
        options.speaker = transcript.user(people.user) or options.speaker
    card = detail_card(reading.stored, session.settings.timezone, transcript.speakers)
    why = None
    if reading.obstacle is not None:
        why = f"The transcript could not be read: {explain(reading.obstacle).person}"
    elif not len(transcript) or not asked:
        why = no_transcript(reading.stored.transcript, asked=asked)
    if options.json:
        session.json(card.dump() | {"transcript": _segments(reading.stored) if asked else None, "note": why})
        return DONE
    opening = await _place(session, options, transcript) if why is None else None
    for part in _summary(session, card):
        session.out.print(part)
    if opening is not None:
        for line in transcript.window(opening, sys.maxsize).text.splitlines():
            session.out.print(_turn(session, line))
    session.note(why)
    return DONE


async def _place(session: Session, options: argparse.Namespace, transcript: Transcript) -> Place:
    """Where reading begins."""
    option = "--speaker"
    try:
        if options.at is not None:
            option = "--at"
            return transcript.at_time(dates.parse_offset(options.at), options.speaker)
        if options.find is not None:
            moments = await session.library.find_in(options.id, options.find, 1)
            if not moments or moments[0].segment is None:
                raise CommandFailed("--find: nobody says these words in this conversation", FAILED)
            return transcript.at_segment(moments[0].segment, options.speaker)
        option = "--segment" if options.segment is not None else option
        return transcript.at_segment(options.segment or 0, options.speaker)
    except ValueError as error:
        raise CommandFailed(f"{option}: {error}", USAGE) from None


def _summary(session: Session, card: ConversationDetail) -> Iterator[str]:
    paint = session.out.paint
    yield from (paint(card.title, "bold"), paint(facts(card), "dim"), paint(card.id, "dim"))
    if card.hidden:
        yield paint(f"Hidden from lists and search; `omi-mcp restore {card.id}` brings it back.", "yellow")
    if card.overview:
        yield f"\n{card.overview}"
    if card.action_items:
        yield paint("\nAction items", "bold")
    for item in card.action_items or ():
        due = f" (due {item.due[:10]})" if item.due else ""
        yield f"  [{'x' if item.completed else ' '}] {item.description}{due}"
    if card.action_items_left_out:
        yield f"  and {card.action_items_left_out} more"
    if card.events:
        yield paint("\nEvents", "bold")
    for event in card.events or ():
        yield f"  {f'{event.start[:10]} {event.start[11:16]} ' if event.start else ''}{event.title}"
    if card.events_left_out:
        yield f"  and {card.events_left_out} more"
    yield ""


def _turn(session: Session, line: str) -> str:
    """A line of a transcript, `[hh:mm:ss] Name: words`, with its parts set apart."""
    stamp, _, rest = line.partition("] ")
    name, _, words = rest.partition(": ")
    return f"{session.out.paint(f'{stamp}]', 'dim')} {session.out.paint(f'{name}:', 'cyan')} {words}"


def _segments(stored: Stored) -> list[dict[str, Any]] | None:
    segments = stored.conversation.transcript_segments
    if segments is None:
        return None
    return [
        {"start": each.start, "end": each.end, "speaker": speaker_name(each.speaker), "text": each.text}
        for each in segments
    ]
