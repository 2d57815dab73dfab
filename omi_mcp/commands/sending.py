"""Sending what was planned, one conversation after the other, as fast as the hourly limit for writes allows."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from omi_mcp import dates
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
)
from omi_mcp.api.models import Receipt
from omi_mcp.importing import Plan
from omi_mcp.terminal import Session, bar
from omi_mcp.views.errors import explain
from omi_mcp.views.text import clean_line, duration
from omi_mcp.writes import Created

WRITES_AN_HOUR = 25
"""OMI API: creates and renames together; the real limit can be higher."""

SECONDS_EACH = 10
"""How long the service works on a conversation, about."""

UNTOLD_WAIT = 60.0
"""Seconds to wait where a refusal does not say."""


@dataclass
class Report:
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


def writes(plans: Sequence[Plan], known: Mapping[str, str], *, titled: bool) -> int:
    """How many requests it takes to send what is not `known`: one for each, and one more for a title."""
    return sum(
        2 if _title(plan, number, titled) else 1
        for plan in plans
        for number, part in enumerate(plan.parts, 1)
        if part.client_session_id not in known
    )


def estimate(conversations: int, requests: int) -> str:
    """How long it takes to send that many."""
    hours = (requests - 1) // WRITES_AN_HOUR
    time = hours * 3600 + (conversations * SECONDS_EACH if hours == 0 else 0)
    what = "1 conversation" if conversations == 1 else f"{conversations:,} conversations"
    if not hours:
        return f"{what} to send: about {duration(time)}."
    return f"{what} to send. Omi allows about {WRITES_AN_HOUR} writes an hour: about {duration(time)}."


async def send(
    session: Session, plans: Sequence[Plan], known: Mapping[str, str], *, titled: bool, wait: bool
) -> Report:
    """Send every part that is not `known`; waits for the hourly limit if it may. One that fails holds up no other.

    What was exported comes back with its title, and listed. `titled` gives all others one, too.
    """
    report = Report()
    parts = [(plan, number, part) for plan in plans for number, part in enumerate(plan.parts, 1)]
    # Beyond the hourly limit, how fast the first ones went says nothing of when the last one goes.
    pace = "" if writes(plans, known, titled=titled) > WRITES_AN_HOUR else None
    with bar(session.err) as progress:
        for place, (plan, number, part) in enumerate(parts):
            name = plan.source.name + (f" (part {number} of {len(plan.parts)})" if len(plan.parts) > 1 else "")
            made = report.made.setdefault(plan.source.key, [])
            which = {"part": number} if len(plan.parts) > 1 else {}
            if part.client_session_id in known:
                report.before += 1
                await _learn_names(session, known[part.client_session_id], plan, part)
                made.append({"id": known[part.client_session_id], "status": "exists"} | which)
            else:
                show = partial(progress.show, "Importing", place, len(parts))
                show(instead=pace)
                try:
                    created = await _send(session, plan, part, _title(plan, number, titled), show, wait=wait)
                except (Rejected, ServerFault, Conflict, NotCreated, OutcomeUnknown) as error:
                    report.failed.append((name, explain(error).person))
                except OmiError as error:
                    report.left = len(parts) - place
                    report.stopped = None if isinstance(error, BudgetSpent | RateLimited) else explain(error).person
                    break
                else:
                    report.sent += not created.repeated
                    report.before += created.repeated
                    report.hidden += created.receipt.discarded
                    origin = plan.source.transcript.origin
                    if origin and origin.folder and not created.repeated:
                        report.folders.setdefault(origin.folder, []).append(created.receipt.id)
                    status = "exists" if created.repeated else created.receipt.status
                    status = "hidden" if created.receipt.discarded else status
                    made.append({"id": created.receipt.id, "status": status} | which)
    return report


async def _send(
    session: Session, plan: Plan, part: SegmentsDraft, title: str | None, show: Callable[..., None], *, wait: bool
) -> Created:
    """Send until it is answered; the hourly limit is waited for, and `show` says until when."""
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
