"""`omi-mcp search`: find conversations from a terminal or a script."""

import argparse
import sys

from omi_mcp import front
from omi_mcp.api.models import known_categories
from omi_mcp.mirror.types import Filters
from omi_mcp.names import people_asked
from omi_mcp.terminal import DONE, USAGE, CommandFailed, Session, argument, run_command
from omi_mcp.views.models import ActionItem, ConversationCard, ConversationDetail
from omi_mcp.views.text import enumerated

MOST = 50


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORDS", help="what was said; without words, the newest first")
    parser.add_argument("--start", metavar="DATE", help="began on or after: 2025-03-14, 'last week', '3 days ago', ...")
    parser.add_argument("--end", metavar="DATE", help="began on or before; a day, month or year counts to its end")
    parser.add_argument("--period", metavar="PERIOD", help="both in one: 'last week', 'june 2025', 'since monday', ...")
    parser.add_argument(
        "--speaker",
        metavar="NAME",
        action="append",
        default=[],
        help="this person speaks in it, and says the words; a first name does, me is you; can be given again: all of "
        "them speak in it",
    )
    parser.add_argument(
        "--category", metavar="NAME", action="append", default=[], help="of this category; can be given again"
    )
    parser.add_argument("--folder", metavar="NAME", help="in this folder; a name or an id")
    parser.add_argument("--starred", action="store_true", default=None, help="only starred ones")
    parser.add_argument(
        "--open-items", action="store_true", help="only what is still to do: open action items with their due dates"
    )
    parser.add_argument("--hits", action="store_true", help="every place where it was said, up to 12 of a conversation")
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
    with argument("--category"):
        categories = known_categories(name for names in options.category for name in names.split(",") if name.strip())
    filters = Filters(
        start=wanted.first,
        end=wanted.last,
        categories=categories,
        starred=options.starred,
        speakers=people_asked(options.speaker),
        open_items=options.open_items,
    )
    query = " ".join(options.words)
    session.err.status("Searching ...")
    try:
        found = await session.library.search(
            query,
            filters,
            folder=options.folder,
            limit=options.limit,
            every_hit=options.hits,
            mixed=True,
            refresh=options.refresh,
        )
    finally:
        session.err.status("")
    answer = front.search_answer(
        found,
        wanted,
        session.settings.timezone,
        session.clock.now(),
        detail="hits" if options.hits else "concise",
        room=sys.maxsize,
        copying=False,
    )
    if options.json:
        session.json(answer.dump())
        return DONE
    searched = " ".join([query, *(word for replaced in found.results.replaced for word in replaced.by)])
    for number, card in enumerate(answer.conversations, 1):
        session.out.print(_shown(session, number, card, searched))
    if answer.other_action_items:
        others = [_to_do(session, item, searched) for item in answer.other_action_items]
        more = answer.other_action_items_left_out
        others += [f"    and {more} more"] if more else []
        session.out.print("\n".join([f"    {session.out.paint('Of no conversation', 'bold')}", *others, ""]))
    if answer.range:
        session.note(f"From {answer.range.start or 'the first one'} to {answer.range.end or 'the latest'}.")
    session.note(answer.note)
    if answer.unmatched:
        session.note(f"Nothing searched has: {', '.join(answer.unmatched)}.")
    total = answer.matched + (answer.matched_loosely or 0)
    closely = f" ({answer.matched:,} of them match closely)" if answer.matched and answer.matched_loosely else ""
    if total > len(answer.conversations):
        session.note(f"{len(answer.conversations)} of {total:,}{closely}; --limit shows more, filters narrow it down.")
    session.note(answer.coverage.note)
    if not answer.coverage.complete and session.settings.mirror == "disk":
        session.note("`omi-mcp sync` copies the rest.")
    return DONE


def _shown(session: Session, number: int, card: ConversationCard, query: str) -> str:
    paint = session.out.paint
    lines = [f"{paint(f'{number:>2}', 'dim')}  {paint(card.title, 'bold')}", f"    {paint(facts(card), 'dim')}"]
    for hit in card.hits or ():
        where = (f"{hit.at} " if hit.at else "") + (f"{hit.speaker}: " if hit.speaker else "")
        lines.append(f"    {paint(where, 'cyan')}{_highlighted(session, hit.text, query)}")
    if card.hits_total:
        more = card.hits_total - len(card.hits or ())
        lines.append(f"    {paint(f'and {more:,} more', 'dim')}")
    shown = [_to_do(session, item, query) for item in card.action_items or ()]
    if shown and card.open_action_items and len(shown) < card.open_action_items:
        shown.append(f"    and {card.open_action_items - len(shown)} more")
    lines += shown
    if not card.hits and card.overview:
        lines.append(f"    {card.overview}")
    return "\n".join([*lines, f"    {paint(card.id, 'dim')}", ""])


def _to_do(session: Session, item: ActionItem, query: str) -> str:
    due = f"due {item.due[:10]}" if item.due else ""
    when = session.out.paint(f"overdue, {due}", "red") if item.overdue else session.out.paint(due, "dim")
    return f"    [ ] {_highlighted(session, item.description, query)}{f'  {when}' if due else ''}"


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
        isinstance(card, ConversationCard) and card.method and f"by {card.method}",
        enumerated(card.speakers or (), card.speakers_left_out),
    )
    return " · ".join(str(fact) for fact in known if fact)
