"""`omi-mcp import`: transcripts of other programs become conversations, each once."""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from omi_mcp import dates
from omi_mcp.api.budget import BASE_LIMITS, UNTOLD_WAIT
from omi_mcp.api.drafts import SegmentsDraft
from omi_mcp.api.errors import (
    BudgetSpent,
    Conflict,
    NotCreated,
    OmiError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    ServerFault,
    Unfinished,
)
from omi_mcp.api.models import Receipt
from omi_mcp.importing import Plan, Unreadable, find_files, plan_import, read_file
from omi_mcp.terminal import (
    DONE,
    FAILED,
    INCOMPLETE,
    USAGE,
    CommandFailed,
    Session,
    add_no_wait,
    argument,
    bar,
    run_command,
)
from omi_mcp.views.errors import explain
from omi_mcp.views.text import clean_line, duration
from omi_mcp.writes import Created

OPEN_WAITS = (130.0, 300.0)
"""Seconds before a create whose outcome is not known is asked for again. OMI API: it works on one for 120 s."""

A_DAY, LATE = 86_400.0, 3_600.0
"""Seconds: longer than anybody speaks, and later than anybody begins."""

WRITES_AN_HOUR = BASE_LIMITS["writes"]
"""Creates and renames together; the real limit can be higher."""

SECONDS_EACH = 10
"""How long the service works on a conversation, about."""


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
    add_no_wait(parser)
    parser.add_argument("--json", action="store_true", help="report in JSON")


def run(options: argparse.Namespace) -> int:
    return run_command(main, options, syncing=False)


async def main(session: Session, options: argparse.Namespace) -> int:
    if not options.dry_run:
        session.check_writable("only --dry-run is possible")
    plans, refused = _read(session, options)
    _complain(session, refused)
    known: dict[str, str] = {}
    if not options.dry_run and plans:
        sessions = [part.client_session_id for plan in plans for part in plan.parts]
        known = {} if options.again else await session.library.imported(sessions)
        known |= await _themselves(session, plans, now=options.again)
    if not options.json:
        _print_plans(session, options, plans, known)
    requests = _requests(plans, known, titled=options.titles)
    if requests:
        session.note(_estimate(len(requests), sum(requests)))
    if options.dry_run:
        if options.json:
            session.json([_planned(plan) for plan in plans])
        return FAILED if refused else DONE
    steady = sum(requests) <= WRITES_AN_HOUR
    report = await _send_all(session, plans, known, titled=options.titles, wait=not options.no_wait, steady=steady)
    if options.json:
        session.json([_planned(plan) | {"conversations": report.made.get(plan.source.key, [])} for plan in plans])
    else:
        for plan in plans:
            _print_made(session, plan, report.made.get(plan.source.key, []))
        session.out.print(report.said())
    for note in report.notes():
        session.note(note)
    _complain(session, report.failed)
    if report.stopped:
        raise CommandFailed(report.stopped)
    if report.failed or refused:
        return FAILED
    return INCOMPLETE if report.left else DONE


def _complain(session: Session, failed: Sequence[tuple[str, str]]) -> None:
    for name, why in failed:
        session.err.print(session.err.paint(f"{name}: {why}", "red"))


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
    with argument("--started"):
        return dates.parse_moment(text, session.clock.now(), session.settings.timezone)


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
            "exists": "  was saved before",
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


@dataclass
class ImportReport:
    """What came of it. `made` are the conversations of each source by its key: `id`, `status` ("completed",
    "processing", "hidden" or "exists"), and `part` where there are several. `left` is how many were not sent.

    `failed` pairs what could not be sent with the reason; `stopped` is why nothing more could be.
    """

    sent: int = 0
    before: int = 0
    hidden: int = 0
    left: int = 0
    made: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str | None = None
    folders: dict[str, list[str]] = field(default_factory=dict)

    def add(self, plan: Plan, number: int, created: Created) -> None:
        """Part `number` of `plan` is a conversation now, or was one before."""
        receipt = created.receipt
        self.sent += not created.repeated
        self.before += created.repeated
        self.hidden += receipt.discarded
        origin = plan.source.transcript.origin
        if origin and origin.folder and not created.repeated:
            self.folders.setdefault(origin.folder, []).append(receipt.id)
        status = "hidden" if receipt.discarded else "exists" if created.repeated else receipt.status
        part = {"part": number} if len(plan.parts) > 1 else {}
        self.made.setdefault(plan.source.key, []).append({"id": receipt.id, "status": status} | part)

    def notes(self) -> Iterator[str]:
        """What could not be restored, and how what is hidden can be."""
        if self.hidden:
            yield "What is hidden is in no list and no search; omi-mcp restore ID brings it back."
        for folder, ids in self.folders.items():
            yield f"Omi takes no folders through its API. In {clean_line(folder)} belong: {', '.join(ids)}."

    def said(self) -> str:
        """One sentence for a person."""
        counts = (
            (self.sent, "imported"),
            (self.before, "imported before"),
            (self.hidden, "of them hidden by Omi, which found too little in them"),
            (len(self.failed), "failed"),
            (self.left, "not sent yet: run the same command again"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in counts if count or what == "imported") + "."


def _requests(plans: Sequence[Plan], known: Mapping[str, str], *, titled: bool) -> list[int]:
    """How many requests each part takes that is not `known`: one, and one more for a title."""
    return [
        2 if _title(plan, number, titled) else 1
        for plan in plans
        for number, part in enumerate(plan.parts, 1)
        if part.client_session_id not in known
    ]


def _estimate(conversations: int, requests: int) -> str:
    """How long it takes to send that many."""
    hours = (requests - 1) // WRITES_AN_HOUR
    time = hours * 3600 + (conversations * SECONDS_EACH if hours == 0 else 0)
    what = "1 conversation" if conversations == 1 else f"{conversations:,} conversations"
    if not hours:
        return f"{what} to send: about {duration(time)}."
    return f"{what} to send. Omi allows about {WRITES_AN_HOUR} writes an hour: about {duration(time)}."


async def _send_all(
    session: Session, plans: Sequence[Plan], known: Mapping[str, str], *, titled: bool, wait: bool, steady: bool
) -> ImportReport:
    """Send every part that is not `known`; waits for the hourly limit if it may. One that fails holds up no other.

    What was exported comes back with its title, and listed. `titled` gives all others one, too. It is `steady` within
    the hourly limit; beyond, how fast the first ones went says nothing of when the last one goes.
    """
    report = ImportReport()
    parts = [(plan, number, part) for plan in plans for number, part in enumerate(plan.parts, 1)]
    with bar(session.err) as progress:
        for place, (plan, number, part) in enumerate(parts):
            known_id = known.get(part.client_session_id)
            if known_id is not None:
                await _learn_names(session, known_id, plan, part)
                report.add(plan, number, Created(Receipt(id=known_id), repeated=True))
                continue
            show = partial(progress.show, "Importing", place, len(parts))
            show(instead=None if steady else "")
            try:
                created = await _send(session, plan, part, _title(plan, number, titled), show, wait=wait)
            except (Rejected, ServerFault, Conflict, NotCreated, OutcomeUnknown, Unfinished) as error:
                name = plan.source.name + (f" (part {number} of {len(plan.parts)})" if len(plan.parts) > 1 else "")
                report.failed.append((name, explain(error).person))
            except OmiError as error:
                report.left = len(parts) - place
                report.stopped = None if isinstance(error, BudgetSpent | RateLimited) else explain(error).person
                break
            else:
                report.add(plan, number, created)
    return report


async def _send(
    session: Session, plan: Plan, part: SegmentsDraft, title: str | None, show: Callable[..., None], *, wait: bool
) -> Created:
    """Send until it is answered; the hourly limit is waited for, and `show` says until when.

    No host waits here, so what is still open after the usual repeats is asked for again when Omi is done with it.
    """
    open_waits = iter(OPEN_WAITS)
    while True:
        try:
            origin = plan.source.transcript.origin
            if origin and await session.library.exists(origin.id):
                await _learn_names(session, origin.id, plan, part)
                return Created(Receipt(id=origin.id), repeated=True)
            return await session.library.import_segments(part, title=title, visible=origin is not None)
        except (BudgetSpent, RateLimited) as error:
            if not wait:
                raise
            seconds = math.ceil(error.retry_after or UNTOLD_WAIT)
            until = dates.local(session.clock.now() + timedelta(seconds=seconds), session.settings.timezone)
            session.note(
                f"Waiting {duration(seconds)} for the hourly limit, until {until:%H:%M}. "
                "Ctrl-C stops; run again to go on."
            )
            show(instead=f", waiting until {until:%H:%M} for the hourly limit")
            await session.clock.sleep(seconds)
        except (OutcomeUnknown, Unfinished):
            pause = next(open_waits, None)
            if pause is None or not wait:
                raise
            show(instead=", waiting for Omi to finish it")
            await session.clock.sleep(pause)


async def _learn_names(session: Session, conversation_id: str, plan: Plan, part: SegmentsDraft) -> None:
    """The names of a conversation that was there before. Of one that is itself again, those of this side alone."""
    origin = plan.source.transcript.origin
    itself = origin is not None and origin.id == conversation_id
    await session.library.learn_names(conversation_id, origin.local_names if origin and itself else part.names)


def _title(plan: Plan, number: int, titled: bool) -> str | None:
    """What was exported has its title, or none; others get one if they are `titled`."""
    transcript = plan.source.transcript
    if not (transcript.title if transcript.origin else titled):
        return None
    title = transcript.title or plan.source.path.stem
    return f"{title[:450]} ({number} of {len(plan.parts)})" if len(plan.parts) > 1 else title[:500]
