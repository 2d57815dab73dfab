"""`omi-mcp export`: every conversation as a file."""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from omi_mcp.exporting import Folder, Format, Outcome, Stream, json_line
from omi_mcp.mirror.types import CatalogueEntry, Standing
from omi_mcp.terminal import DONE, INCOMPLETE, USAGE, CommandFailed, Session, add_no_wait, follow, run_command
from omi_mcp.views.notes import OBSTACLES, warning
from omi_mcp.views.text import duration

MOST_NAMED = 20
"""Files that are named of those no longer in the account."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="made where there is none; run again to update it. -: standard output, as jsonl",
    )
    parser.add_argument(
        "--format",
        choices=("markdown", "json", "jsonl"),
        help="markdown or json: a file for each conversation; jsonl: one stream (default markdown)",
    )
    parser.add_argument("--since", metavar="DATE", help="only what began on or after: 2025-03-14, 'last month', ...")
    parser.add_argument(
        "--full", action="store_true", help="compare everything that was copied before with the account first"
    )
    add_no_wait(parser)


def run(options: argparse.Namespace) -> int:
    return run_command(main, options)


async def main(session: Session, options: argparse.Namespace) -> int:
    since = session.span("--since", options.since)
    first: datetime | None = since and since.first
    stdout = str(options.folder) == "-"
    if stdout and options.format not in (None, "jsonl"):
        raise CommandFailed("to standard output conversations are written as jsonl; name a folder for others", USAGE)
    export = Export.begin(session, None if stdout else options.folder, options.format or "markdown", first)
    await session.library.sync(full=options.full)
    standing = await follow(session, wait=not options.no_wait, step=export.step)
    report = await export.finish(standing)
    if stdout:
        session.note(report.said())
    else:
        session.out.print(report.said())
    for note in report.notes():
        session.note(note)
    return INCOMPLETE if report.incomplete else DONE


@dataclass(frozen=True)
class ExportReport:
    """What lies in the folder now, against what the account has.

    `listed` is how many conversations the API listed when everything was last compared or since, `unlisted` how many of
    the copy it did not; `lost` have no file although they should; `others` names what there is of other conversations.
    `compared` is False where the list could not be read to its end. Without a `folder` it went to standard output.
    """

    folder: Path | None
    written: Counter[Outcome]
    listed: int
    unlisted: int
    pending: int
    locked: int
    lost: int
    others: list[str]
    compared: bool
    standing: Standing

    @property
    def incomplete(self) -> bool:
        return bool(self.pending or self.lost or not self.compared)

    def said(self) -> str:
        """One sentence for a person."""
        total = self.written.total()
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.written.items()) if count)
        where = f"in {self.folder}" if self.folder else "written"
        return f"{total:,} of {self.listed + self.unlisted:,} conversations are {where}" + (
            f" ({counts})." if counts and self.folder else "."
        )

    def notes(self) -> Iterator[str]:
        """What is missing, why, and what to do."""
        remains = self.standing.remains
        if not self.compared:
            yield "The account's list could not be read to its end, so there may be more conversations than counted."
        else:
            yield f"The Omi API lists {self.listed:,} of them."
        if self.pending:
            blocked = self.standing.progress.blocked
            reason = OBSTACLES[blocked] if blocked else "the Omi API fails to give them"
            yield f"{self.pending:,} are not written, for want of their transcripts: {reason}."
        if self.locked:
            yield f"{self.locked:,} are written without transcript: it is locked by the plan of the Omi account."
        if self.unlisted and self.compared:
            yield f"{self.unlisted:,} are written from the copy; the Omi API no longer lists them."
        if self.lost:
            yield f"{_files(self.lost)} missing after they were written: is another program at work in there?"
        if self.others:
            count = len(self.others)
            kept = "1 conversation that is" if count == 1 else f"{count:,} conversations that are"
            named = ", ".join(self.others[:MOST_NAMED]) + (
                f" and {count - MOST_NAMED:,} more" if count > MOST_NAMED else ""
            )
            yield f"Kept is what was exported of {kept} no longer in the account: {named}."
        if warned := warning(self.standing.progress):
            yield f"{warned}."
        if self.incomplete:
            yield f"Run the same command again in {duration(remains or 3600)}."


class Export:
    """One run. `step` writes what has become ready; `finish` counts."""

    def __init__(
        self, session: Session, target: Folder | Stream | None, path: Path | None, since: datetime | None
    ) -> None:
        self._session = session
        self._target = target
        self._path = path
        self._since = since
        self._written: dict[str, datetime] = {}
        self._streamed: list[CatalogueEntry] = []
        self._outcomes: dict[str, Outcome] = {}

    @classmethod
    def begin(cls, session: Session, path: Path | None, form: Format, since: datetime | None) -> "Export":
        """`path` None is standard output, in JSON lines.

        Raises OSError where the folder cannot be made or read, and CommandFailed where it is a file.
        """
        if path is None:
            return cls(session, None, None, since)
        if path.exists() and not path.is_dir():
            raise CommandFailed(f"{path} is a file, and a folder is needed")
        target = Stream(path) if form == "jsonl" else Folder(path, form, session.settings.timezone)
        return cls(session, target, path, since)

    async def step(self, standing: Standing) -> bool:
        """Write what can be written by now. True when all that was asked for is there."""
        if (standing.looking or standing.settling) and standing.remains == 0:
            return False  # in a moment more is known of what is copied
        entries = await self._session.library.catalogue(self._since)
        if isinstance(self._target, Folder):
            await self._write_ready(self._target, entries)
        elif self._target is not None and standing.remains:  # copying waits: what there is must not
            ready = [entry for entry in entries if _ready(entry)]
            if ready != self._streamed:
                self._streamed = ready
                await self._write_lines(self._target, ready)
        return not (standing.looking or standing.comparing or standing.settling) and all(map(_ready, entries))

    async def finish(self, standing: Standing) -> ExportReport:
        """Write the stream, if it is one, and compare the folder with the copy and the copy with the account."""
        entries = await self._session.library.catalogue(self._since)
        ready = [entry for entry in entries if _ready(entry)]
        lost = 0
        if isinstance(self._target, Folder):
            await self._write_ready(self._target, entries)
            lost = len(self._target.missing([entry.id for entry in ready]))
        else:
            await self._write_lines(self._target, ready)
        ids = [entry.id for entry in entries]
        others = [] if self._since or not self._target else self._target.others(ids)
        compared = standing.progress.compared
        listed = sum(compared is not None and entry.synced_at >= compared for entry in entries)
        return ExportReport(
            folder=self._path,
            written=Counter(self._outcomes[entry.id] for entry in ready if entry.id in self._outcomes),
            listed=listed,
            unlisted=len(entries) - listed,
            pending=len(entries) - len(ready),
            locked=sum(entry.transcript == "locked" for entry in entries),
            lost=lost,
            others=others,
            compared=not standing.comparing and not standing.looking,
            standing=standing,
        )

    async def _write_ready(self, folder: Folder, entries: Sequence[CatalogueEntry]) -> None:
        """Write what is copied and was not written as the API gave it last."""
        for entry in entries:
            if not _ready(entry) or self._written.get(entry.id) == entry.synced_at:
                continue
            self._written[entry.id] = entry.synced_at
            stored = await self._session.library.copied(entry.id)
            if stored is None:  # it has just been deleted
                continue
            outcome = folder.write(stored)
            if self._outcomes.get(entry.id, "unchanged") == "unchanged":
                self._outcomes[entry.id] = outcome

    async def _write_lines(self, stream: Stream | None, ready: Sequence[CatalogueEntry]) -> None:
        copied = [stored for entry in ready if (stored := await self._session.library.copied(entry.id)) is not None]
        if stream is not None:
            for each, outcome in stream.write(copied).items():
                if self._outcomes.get(each, "unchanged") == "unchanged":
                    self._outcomes[each] = outcome
            return
        for stored in copied:
            self._session.out.print(json_line(stored).removesuffix("\n"))
            self._outcomes[stored.conversation.id] = "new"


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"


def _ready(entry: CatalogueEntry) -> bool:
    return entry.transcript != "pending"
