"""`omi-mcp show`: read one conversation."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from omi_mcp import dates, front, viewer
from omi_mcp.commands.search import facts
from omi_mcp.mirror.types import Stored
from omi_mcp.terminal import DONE, FAILED, USAGE, CommandFailed, Session, argument, browser, run_command
from omi_mcp.views.cards import detail_card
from omi_mcp.views.models import ConversationDetail
from omi_mcp.views.transcripts import MARK, speaker_name


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that search shows, or its beginning")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--at", metavar="TIME", help="transcript from just before this time: 00:41:00, 41:00, 2460 or 41m"
    )
    place.add_argument(
        "--segment", type=int, metavar="N", help="transcript from just before this segment, counted from 0"
    )
    place.add_argument("--find", metavar="WORDS", help="transcript from just before these words are said")
    place.add_argument("--no-transcript", action="store_true", help="only the summary")
    parser.add_argument("--speaker", metavar="NAME", help="only what this person says")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="answer in JSON, the whole transcript segment by segment")
    form.add_argument("--open", action="store_true", help="show it in the browser, until the page is closed there")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options)


async def main(session: Session, options: argparse.Namespace) -> int:
    with argument("--at"):
        at = dates.parse_offset(options.at) if options.at is not None else None
    try:
        opened = await front.read(
            session.library,
            await session.library.resolve(options.id),
            transcript=not options.no_transcript,
            find=options.find,
            at=at,
            segment=options.segment,
            speaker=options.speaker,
        )
    except front.Misused as error:
        raise CommandFailed(f"--{error}", USAGE) from None
    why = opened.absence and opened.absence.person
    card = detail_card(opened.stored, session.settings.timezone, opened.transcript.speakers)
    if options.json:
        spoken = None if options.no_transcript else _segments(opened.stored)
        session.json(card.dump() | {"transcript": spoken, "note": why})
        return DONE
    if options.open:
        return await _open(session, front.viewed(opened, session.settings.timezone, find=options.find, whole=True))
    if options.find and why is None and not opened.hits:
        who = "this person does not say" if options.speaker else "nobody says"
        raise CommandFailed(f"--find: {who} these words in this conversation", FAILED)
    placed = opened.place.mark is not None
    for part in (*_heading(session, card), *(() if placed else _summary(session, card)), ""):
        session.out.print(part)
    if why is None:
        for line in opened.transcript.window(opened.place, sys.maxsize).text.splitlines():
            session.out.print(_turn(session, line))
    session.note(why)
    return DONE


async def _open(session: Session, data: dict[str, Any]) -> int:
    page = viewer.page(data)
    visit = browser.Visit(page, viewer.policy(page))
    try:
        await visit.last(lambda address: session.note(f"Open at {address} until the page is closed, or with Ctrl-C."))
    except browser.NoBrowser:
        raise CommandFailed(
            "--open: no browser could be started here. Without --open it is printed; BROWSER may name a browser"
        ) from None
    return DONE


def _heading(session: Session, card: ConversationDetail) -> Iterator[str]:
    paint = session.out.paint
    yield from (paint(card.title, "bold"), paint(facts(card), "dim"), paint(card.id, "dim"))
    if card.hidden:
        yield paint(f"Hidden from lists and search; `omi-mcp restore {card.id}` brings it back.", "yellow")


def _summary(session: Session, card: ConversationDetail) -> Iterator[str]:
    paint = session.out.paint
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


def _turn(session: Session, line: str) -> str:
    """A line of a transcript, `[hh:mm:ss] Name: words`, with its parts set apart."""
    mark = session.out.paint(MARK, "yellow") if line.startswith(MARK) else ""
    stamp, _, rest = line.removeprefix(MARK).partition("] ")
    name, _, words = rest.partition(": ")
    return f"{mark}{session.out.paint(f'{stamp}]', 'dim')} {session.out.paint(f'{name}:', 'cyan')} {words}"


def _segments(stored: Stored) -> list[dict[str, Any]] | None:
    segments = stored.conversation.transcript_segments
    if segments is None:
        return None
    return [
        {"start": each.start, "end": each.end, "speaker": speaker_name(each.speaker), "text": each.text}
        for each in segments
    ]
