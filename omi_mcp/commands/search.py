"""`omi-mcp search`: find conversations from a terminal or a script."""

import argparse
from collections.abc import Iterable

from omi_mcp.api.models import CATEGORIES
from omi_mcp.mirror.types import Filters
from omi_mcp.terminal import DONE, USAGE, CommandFailed, Session, run_command
from omi_mcp.views import notes
from omi_mcp.views.cards import search_cards
from omi_mcp.views.models import ConversationCard, ConversationDetail
from omi_mcp.views.text import enumerated
from omi_mcp.views.transcripts import user_name

MOST = 50


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORDS", help="what was said; without words, the newest first")
    parser.add_argument("--start", metavar="DATE", help="began on or after: 2025-03-14, 'last week', '3 days ago', ...")
    parser.add_argument("--end", metavar="DATE", help="began on or before; a day, month or year counts to its end")
    parser.add_argument("--period", metavar="PERIOD", help="both in one: 'last week', 'june 2025', 'since monday', ...")
    parser.add_argument("--speaker", metavar="NAME", help="this person speaks in it; a first name does")
    parser.add_argument(
        "--category", metavar="NAME", action="append", default=[], help="of this category; can be given again"
    )
    parser.add_argument("--folder", metavar="NAME", help="in this folder; a name or an id")
    parser.add_argument("--starred", action="store_true", default=None, help="only starred ones")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help=f"how many, 1 to {MOST} (default 10)")
    parser.add_argument(
        "--refresh", action="store_true", help="look for what is new first, however lately that was done"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, as the tool search_conversations does")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options)


async def main(session: Session, options: argparse.Namespace) -> int:
    if not 1 <= options.limit <= MOST:
        raise CommandFailed(f"--limit: must be 1 to {MOST}", USAGE)
    wanted = session.range(options.start, options.end, options.period)
    filters = Filters(
        start=wanted.first,
        end=wanted.last,
        categories=_categories(options.category),
        starred=options.starred,
        speaker=options.speaker or None,
    )
    query = " ".join(options.words)
    session.err.status("Searching ...")
    try:
        found = await session.library.search(
            query, filters, folder=options.folder, limit=options.limit, refresh=options.refresh
        )
    finally:
        session.err.status("")
    results = found.results
    cards = search_cards(results.matches, session.settings.timezone)
    note = notes.found(
        results,
        filtered=filters != Filters() or options.folder is not None,
        ahead=wanted.is_ahead(session.clock.now()),
        unheard=found.unheard,
    )
    reach = notes.coverage(
        found.counts,
        found.progress,
        session.settings.timezone,
        session.clock.now(),
        filters=found.filters,
        copying=False,
    )
    within = notes.understood(wanted)
    if options.json:
        answer = {
            "range": within and within.dump(),
            "user": user_name(found.user),
            "conversations": [card.dump() for card in cards],
            "matched": results.total,
            "note": note,
        }
        session.json({name: value for name, value in answer.items() if value is not None} | {"coverage": reach.dump()})
        return DONE
    searched = " ".join([query, *(word for replaced in results.replaced for word in replaced.by)])
    for number, card in enumerate(cards, 1):
        session.out.print(_shown(session, number, card, searched))
    if within:
        session.note(f"From {within.start or 'the first one'} to {within.end or 'the latest'}.")
    session.note(note)
    if results.total > len(cards):
        session.note(f"{len(cards)} of {results.total:,}; --limit shows more, filters narrow it down.")
    session.note(reach.note)
    if not reach.complete and session.settings.mirror == "disk":
        session.note("`omi-mcp sync` copies the rest.")
    return DONE


def _categories(given: Iterable[str]) -> tuple[str, ...]:
    wanted = [name.strip().lower() for names in given for name in names.split(",") if name.strip()]
    if not set(wanted) <= set(CATEGORIES):
        raise CommandFailed(f"--category: there is no such category. Categories: {', '.join(CATEGORIES)}", USAGE)
    return tuple(dict.fromkeys(wanted))


def _shown(session: Session, number: int, card: ConversationCard, query: str) -> str:
    paint = session.out.paint
    lines = [f"{paint(f'{number:>2}', 'dim')}  {paint(card.title, 'bold')}", f"    {paint(facts(card), 'dim')}"]
    for hit in card.hits or ():
        where = (f"{hit.at} " if hit.at else "") + (f"{hit.speaker}: " if hit.speaker else "")
        lines.append(f"    {paint(where, 'cyan')}{_highlighted(session, hit.text, query)}")
    if not card.hits and card.overview:
        lines.append(f"    {card.overview}")
    return "\n".join([*lines, f"    {paint(card.id, 'dim')}", ""])


def _highlighted(session: Session, text: str, query: str) -> str:
    """`text` with the words that the search took for those of `query` marked."""
    shown, done = "", 0
    for first, end in session.library.occurrences(query, text):
        shown += text[done:first] + session.out.paint(text[first:end], "yellow")
        done = end
    return shown + text[done:]


def facts(card: ConversationCard | ConversationDetail) -> str:
    """When, how long, and what it is filed under, on one line."""
    known = (
        f"{card.weekday} {card.started[:10]} {card.started[11:16]}",
        card.minutes and f"{card.minutes} min",
        card.category,
        card.folder,
        card.starred and "starred",
        enumerated(card.speakers or (), card.speakers_left_out),
    )
    return " · ".join(str(fact) for fact in known if fact)
