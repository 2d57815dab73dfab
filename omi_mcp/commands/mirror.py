"""`omi-mcp mirror`: the searchable copy on this computer."""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from omi_mcp import database, dates, environment
from omi_mcp.clock import SystemClock
from omi_mcp.settings import Settings
from omi_mcp.terminal import DONE, FAILED, USAGE, Session, Terminal, confirm, run_command
from omi_mcp.views.notes import warning
from omi_mcp.views.text import duration
from omi_mcp.writes import Lasting, lasting_file


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    status = actions.add_parser("status", help="how much is copied, and where it is kept", description=STATUS)
    status.add_argument("--json", action="store_true", help="answer in JSON")
    purge = actions.add_parser("purge", help="delete the copy", description=PURGE)
    which = purge.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="the copies of every account, not only of the present key")
    which.add_argument("--others", action="store_true", help="the copies of other keys only, such as mistyped ones")
    purge.add_argument("--yes", action="store_true", help="do not ask")


STATUS = "How much of the account is copied, how fresh it is, and where it is kept. Asks nothing of the Omi API."
PURGE = (
    "Delete the copy from this computer. Nothing changes in the Omi account; the next search begins to copy anew, "
    "within the hourly limits. Names given to speakers, and what is noted of your own writes, are kept."
)


def run(options: argparse.Namespace) -> int:
    if options.action == "status":
        return run_command(status, options, syncing=False)
    return purge(environment.settings(), options)


async def status(session: Session, options: argparse.Namespace) -> int:
    path = session.settings.mirror_path
    others = _others(session.settings)
    kept = {"copies": sum(file.suffix == ".sqlite3" for file in others), "bytes": sum(map(_size, others))}
    if path is None or not path.exists():
        if options.json:
            session.json({"file": None, "other_keys": kept})
        else:
            session.out.print(
                "Nothing is copied yet." if path else f"Kept on disk: nothing ({session.settings.mirror})."
            )
            _print_others(session, kept)
        return DONE
    standing = await session.library.standing()
    counts, progress = standing.counts, standing.progress
    size = sum(map(_size, database.files(path)))
    facts = {
        "file": str(path),
        "bytes": size,
        "conversations": counts.conversations,
        "transcripts": counts.transcripts,
        "pending": counts.pending,
        "locked": counts.locked,
        "oldest": _local(session, counts.oldest),
        "newest": _local(session, counts.newest),
        "synced": _local(session, progress.synced),
        "complete": standing.remains is None,
        "waits_seconds": standing.remains and round(standing.remains),
        "warning": warning(progress),
        "other_keys": kept,
    }
    if options.json:
        session.json(facts)
    else:
        _print_facts(session, facts)
        _print_others(session, kept)
    return DONE


def _local(session: Session, instant: datetime | None) -> str | None:
    return None if instant is None else dates.local(instant, session.settings.timezone).isoformat()


def _print_facts(session: Session, facts: dict[str, Any]) -> None:
    waits = facts["waits_seconds"]
    rest = "" if facts["complete"] else ", more to come"
    rows = {
        "file": f"{facts['file']} ({facts['bytes'] / 1e6:.1f} MB)",
        "conversations": f"{facts['conversations']:,}{rest}",
        "transcripts": f"{facts['transcripts']:,} copied, {facts['pending']:,} not yet, {facts['locked']:,} locked",
        "from": facts["oldest"],
        "to": facts["newest"],
        "looked for news": facts["synced"],
        "waits": f"{duration(waits)} for the hourly limit or a failed request" if waits else None,
        "warning": facts["warning"],
    }
    for name, value in rows.items():
        if value:
            session.out.print(f"{session.out.paint(f'{name:<17}', 'dim')}{value}")


def _print_others(session: Session, kept: dict[str, int]) -> None:
    if kept["copies"]:
        made = f"{kept['copies']} {'copy' if kept['copies'] == 1 else 'copies'} ({kept['bytes'] / 1e6:.1f} MB)"
        session.out.print(
            f"{session.out.paint('of other keys    ', 'dim')}{made}; omi-mcp mirror purge --others deletes them"
        )


def _others(settings: Settings) -> list[Path]:
    """The files of the copies of every other key that was used here, also of those that were never accepted."""
    return sorted({*settings.data_dir.glob("mirror-*.sqlite3*")} - {*database.files(settings.mirror_file)})


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it has gone since it was listed
        return 0


def purge(settings: Settings, options: argparse.Namespace) -> int:
    """Delete the files of this account, of all, or of the others; asks first at a terminal."""
    err = Terminal(sys.stderr)
    files = _others(settings) if options.others else database.files(settings.mirror_file)
    if options.all:
        files = sorted(settings.data_dir.glob("mirror-*.sqlite3*"))
    if not files:
        print("There is no copy to delete.")
        return DONE
    if still_open := _keep_open_creates(files):
        creates = "1 create is" if still_open == 1 else f"Each of {still_open:,} creates is"
        print(
            f"{creates} still open: what became of it is not known yet. That is kept, and looked for by the next start."
        )
    if not options.yes:
        if not sys.stdin.isatty():
            err.fail("mirror purge: say --yes where nobody can be asked")
            return USAGE
        if not confirm(f"Delete {_counted(files)}? [y/N] "):
            print("Nothing was deleted.")
            return FAILED
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            err.fail(f"{file}: {error.strerror}; stop the hosts that use it and run this again.")
            return FAILED
    print(f"Deleted {_counted(files)}.")
    return DONE


def _keep_open_creates(mirrors: list[Path]) -> int:
    """How many creates of these accounts are open. What an earlier release noted in the copy is moved out of it."""
    still_open = 0
    for mirror in mirrors:
        if mirror.suffix == ".sqlite3":
            file = lasting_file(mirror.with_name(mirror.name.replace("mirror-", "account-", 1)))
            lasting = Lasting(file, SystemClock())
            lasting.take_over(mirror)
            still_open += len(lasting.journal.open())
            lasting.close()
    return still_open


def _counted(files: list[Path]) -> str:
    return f"{len(files)} {'file' if len(files) == 1 else 'files'} in {files[0].parent}"
