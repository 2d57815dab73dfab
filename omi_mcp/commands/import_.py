"""`omi-mcp import`: transcripts of other programs become conversations, each once."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omi_mcp import dates
from omi_mcp.commands.sending import estimate, send, writes
from omi_mcp.importing import Plan, Unreadable, find_files, plan_import, read_file
from omi_mcp.terminal import DONE, FAILED, INCOMPLETE, USAGE, CommandFailed, Session, run_command

A_DAY, LATE = 86_400.0, 3_600.0
"""Seconds: longer than anybody speaks, and later than anybody begins."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a transcript, or a folder of them")
    parser.add_argument("--me", metavar="NAME", help="the name under which you speak in them")
    parser.add_argument(
        "--started",
        metavar="TIME",
        help="when it began, of a single file: 2025-03-14T09:30; default: as the file says",
    )
    parser.add_argument(
        "--titles",
        action="store_true",
        help="name each conversation as its file is, and number the parts of a long one; one more write for each",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument("--again", action="store_true", help="send also what this computer has imported before")
    parser.add_argument(
        "--no-wait", action="store_true", help="stop at the hourly limit with exit code 3, instead of waiting"
    )
    parser.add_argument("--json", action="store_true", help="report in JSON")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    if session.settings.read_only and not options.dry_run:
        raise CommandFailed("OMI_MCP_READ_ONLY is on: only --dry-run is possible", USAGE)
    plans, refused = _read(session, options)
    for name, why in refused:
        session.err.print(session.err.paint(f"{name}: {why}", "red"))
    known: dict[str, str] = {}
    if not options.dry_run and plans:
        sessions = [part.client_session_id for plan in plans for part in plan.parts]
        known = {} if options.again else await session.library.imported(sessions)
        known |= await _themselves(session, plans, now=options.again)
    if not options.json:
        _print_plans(session, options, plans, known)
    left = sum(part.client_session_id not in known for plan in plans for part in plan.parts)
    session.note(estimate(left, writes(plans, known, titled=options.titles)) if left else None)
    if options.dry_run:
        if options.json:
            session.json([_planned(plan) for plan in plans])
        return FAILED if refused else DONE
    report = await send(session, plans, known, titled=options.titles, wait=not options.no_wait)
    if options.json:
        session.json([_planned(plan) | {"conversations": report.made.get(plan.source.key, [])} for plan in plans])
    else:
        for plan in plans:
            _print_made(session, plan, report.made.get(plan.source.key, []))
        session.out.print(report.said())
    for note in report.notes():
        session.note(note)
    for name, why in report.failed:
        session.err.print(session.err.paint(f"{name}: {why}", "red"))
    if report.stopped:
        raise CommandFailed(report.stopped)
    if report.failed or refused:
        return FAILED
    return INCOMPLETE if report.left else DONE


async def _themselves(session: Session, plans: Sequence[Plan], *, now: bool) -> dict[str, str]:
    """By session id, the conversations that were exported from this very account and are still there."""
    exported = [(plan, origin) for plan in plans if (origin := plan.source.transcript.origin) is not None]
    there = await session.library.existing({origin.id: plan.source.started_at for plan, origin in exported}, now=now)
    return {part.client_session_id: origin.id for plan, origin in exported if origin.id in there for part in plan.parts}


def _read(session: Session, options: argparse.Namespace) -> tuple[list[Plan], list[tuple[str, str]]]:
    """What can be imported, and the files that cannot, with the reason."""
    files = find_files(options.files)
    started = _started(session, options.started, files)
    plans: list[Plan] = []
    refused = []
    for file in files:
        try:
            sources = read_file(file, session.settings.timezone, started)
        except Unreadable as error:
            refused.append((str(file), str(error)))
            continue
        except OSError as error:
            refused.append((str(file), error.strerror or "it cannot be read"))
            continue
        for source in sources:
            try:
                plans.append(plan_import(source, me=options.me))
            except Unreadable as error:
                refused.append((str(file) + (f" #{source.number}" if source.number else ""), str(error)))
    if started and len(plans) > 1:
        raise CommandFailed("--started: this file holds several conversations, which cannot all begin then", USAGE)
    if not files:
        raise CommandFailed("there is no transcript in this folder")
    return plans, refused


def _started(session: Session, text: str | None, files: Sequence[Path]) -> datetime | None:
    if text is None:
        return None
    if len(files) != 1:
        raise CommandFailed("--started is for a single file; the others would all begin at the same time", USAGE)
    try:
        return dates.parse_moment(text, session.clock.now(), session.settings.timezone)
    except ValueError as error:
        raise CommandFailed(f"--started: {error}", USAGE) from None


def _print_plans(session: Session, options: argparse.Namespace, plans: Sequence[Plan], known: dict[str, str]) -> None:
    for plan in plans:
        before = all(part.client_session_id in known for part in plan.parts)
        name = session.out.paint(plan.source.name, "bold")
        session.out.print(f"{name}  imported before" if before else name)
        for fact in () if before else _facts(session, plan, options.me):
            session.out.print(f"    {fact}")


def _print_made(session: Session, plan: Plan, made: Sequence[dict[str, Any]]) -> None:
    """Which conversations it became."""
    for each in made:
        part = f" ({each['part']} of {len(plan.parts)})" if "part" in each else ""
        said = {
            "hidden": "  hidden: Omi found too little in it",
            "exists": "  was there already",
            "processing": "  Omi is still working on it",
        }.get(each["status"], "")
        session.out.print(f"{each['id']}  {plan.source.name}{part}{said}")


def _facts(session: Session, plan: Plan, wanted: str | None) -> list[str]:
    started = dates.local(plan.source.started_at, session.settings.timezone)
    witness = {"option": "--started", "file": "the file", "name": "its name"}.get(plan.source.started_from)
    witness = witness or "the date of the file; --started says otherwise"
    facts = [
        f"{plan.segments:,} segment{'' if plan.segments == 1 else 's'}, {dates.format_offset(plan.seconds)} long"
        + (", times guessed from the number of words" if plan.source.transcript.estimated else ""),
        f"began {dates.weekday(started)} {started:%Y-%m-%d %H:%M}, from {witness}",
    ]
    facts += _doubts(plan)
    if plan.source.transcript.origin and plan.source.transcript.origin.summed_up:
        facts.append("it has no transcript: what Omi wrote about it is saved as its words")
    if plan.speakers:
        facts.append("speakers: " + ", ".join(f"{name} = {_label(plan, label)}" for name, label in plan.speakers))
    if wanted and plan.me is None:
        facts.append(f"nobody called {wanted} speaks in it")
    if plan.merged_from:
        facts.append(f"{plan.merged_from:,} lines are more than fit: lines of one speaker in a row are joined")
    if len(plan.parts) > 1:
        facts.append(f"saved in {len(plan.parts)} parts of at most 500 segments")
    return facts


def _doubts(plan: Plan) -> list[str]:
    """What of its times can hardly be so; they are sent as the file has them."""
    doubts = []
    if plan.first_words > LATE:
        doubts.append(f"its first words are at {dates.format_offset(plan.first_words)}")
    if plan.seconds - plan.first_words > A_DAY and not plan.source.transcript.dated:
        hours = (plan.seconds - plan.first_words) / 3600
        doubts.append(f"its times run over {hours:,.0f} hours: look whether one of them is wrong in the file")
    return doubts


def _label(plan: Plan, label: str) -> str:
    """What Omi will call this speaker."""
    mine = any(segment.is_user and segment.speaker == label for part in plan.parts for segment in part.segments)
    return "you" if mine else f"Speaker {int(label.removeprefix('SPEAKER_'))}"


def _planned(plan: Plan) -> dict[str, Any]:
    return {
        "file": str(plan.source.path),
        "started": plan.source.started_at.isoformat(),
        "started_from": plan.source.started_from,
        "times_guessed": plan.source.transcript.estimated,
        "doubts": _doubts(plan),
        "segments": plan.segments,
        "parts": len(plan.parts),
        "merged_from": plan.merged_from,
        "speakers": {name: _label(plan, label) for name, label in plan.speakers},
    }
