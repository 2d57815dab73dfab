"""Writing the copy out while it grows, and the account of what was written."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from omi_mcp import files
from omi_mcp.commands.desk import CommandFailed, Desk
from omi_mcp.commands.failures import duration
from omi_mcp.exporting.folder import STREAM, Folder, Format, Outcome
from omi_mcp.exporting.records import line
from omi_mcp.library import Standing
from omi_mcp.mirror.types import Entry
from omi_mcp.views.notes import OBSTACLES


@dataclass(frozen=True)
class Report:
    """What lies in the folder now, against what the account has.

    `listed` is how many conversations the API listed when everything was last compared or since, `unlisted` how many of
    the copy it did not; `lost` have no file although they should. `compared` is False where the list could not be read
    to its end.
    """

    folder: Path
    written: Counter[Outcome]
    listed: int
    unlisted: int
    pending: int
    locked: int
    lost: int
    others: int
    compared: bool
    standing: Standing

    @property
    def incomplete(self) -> bool:
        return bool(self.pending or self.lost or not self.compared)

    def said(self) -> str:
        """One sentence for a person."""
        total = self.written.total()
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.written.items()) if count)
        return f"{total:,} of {self.listed + self.unlisted:,} conversations are in {self.folder}" + (
            f" ({counts})." if counts else "."
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
            yield f"{_files(self.others)} of conversations that are no longer in the account, and left alone."
        if self.standing.progress.warning:
            yield f"{self.standing.progress.warning}."
        if self.incomplete:
            yield f"Run the same command again in {duration(remains or 3600)}."


class Export:
    """One run. `step` writes what has become ready; `finish` counts."""

    def __init__(self, desk: Desk, folder: Folder | None, path: Path, since: datetime | None) -> None:
        self._desk = desk
        self._folder = folder
        self._path = path
        self._since = since
        self._written: dict[str, datetime] = {}
        self._streamed: list[Entry] = []
        self._outcomes: dict[str, Outcome] = {}

    @classmethod
    def begin(cls, desk: Desk, path: Path, form: Format, since: datetime | None) -> "Export":
        """Raises OSError where the folder cannot be made or read, and CommandFailed where it is a file."""
        if path.exists() and not path.is_dir():
            raise CommandFailed(f"{path} is a file, and a folder is needed")
        if form == "jsonl":
            path.mkdir(parents=True, exist_ok=True)
            return cls(desk, None, path, since)
        return cls(desk, Folder(path, form, desk.settings.timezone), path, since)

    async def step(self, standing: Standing) -> bool:
        """Write what can be written by now. True when all that was asked for is there."""
        if (standing.looking or standing.settling) and standing.remains == 0:
            return False  # in a moment more is known of what is copied
        entries = await self._desk.library.catalogue(self._since)
        if self._folder is not None:
            await self._write_ready(self._folder, entries)
        elif standing.remains and (ready := [entry for entry in entries if _ready(entry)]) != self._streamed:
            self._streamed = ready  # copying waits: what there is must not
            await self._write_stream(ready)
        return not (standing.looking or standing.comparing or standing.settling) and all(map(_ready, entries))

    async def finish(self, standing: Standing) -> Report:
        """Write the stream, if it is one, and compare the folder with the copy and the copy with the account."""
        entries = await self._desk.library.catalogue(self._since)
        ready = [entry for entry in entries if _ready(entry)]
        if self._folder is None:
            await self._write_stream(ready)
            lost = others = 0
        else:
            await self._write_ready(self._folder, entries)
            ids = [entry.id for entry in entries]
            lost = len(self._folder.missing([entry.id for entry in ready]))
            others = 0 if self._since else self._folder.others(ids)
        compared = standing.progress.compared
        listed = sum(compared is not None and entry.synced_at >= compared for entry in entries)
        return Report(
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

    async def _write_ready(self, folder: Folder, entries: Sequence[Entry]) -> None:
        """Write what is copied and was not written as the API gave it last."""
        for entry in entries:
            if not _ready(entry) or self._written.get(entry.id) == entry.synced_at:
                continue
            self._written[entry.id] = entry.synced_at
            stored = await self._desk.library.copied(entry.id)
            if stored is None:  # it has just been deleted
                continue
            outcome = folder.write(stored)
            if self._outcomes.get(entry.id, "unchanged") == "unchanged":
                self._outcomes[entry.id] = outcome

    async def _write_stream(self, ready: Sequence[Entry]) -> None:
        lines = []
        for entry in ready:
            if (stored := await self._desk.library.copied(entry.id)) is not None:
                lines.append(line(stored))
        content = "".join(lines).encode()
        outcome = _replace(self._path / STREAM, content)
        self._outcomes = {entry.id: outcome for entry in ready}


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"


def _ready(entry: Entry) -> bool:
    return entry.transcript != "pending"


def _replace(path: Path, content: bytes) -> Outcome:
    outcome: Outcome = "updated" if path.exists() else "new"
    if outcome == "updated" and path.read_bytes() == content:
        return "unchanged"
    files.replace(path, content)
    return outcome
