"""`omi-mcp mirror`: the searchable copy on this computer."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omi_mcp.settings import Settings

if TYPE_CHECKING:
    from omi_mcp.commands.desk import Desk

NAME = "mirror"
HELP = "show or delete the searchable copy on this computer"


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    status = actions.add_parser("status", help="how much is copied, and where it is kept", description=STATUS)
    status.add_argument("--json", action="store_true", help="answer in JSON")
    purge = actions.add_parser("purge", help="delete the copy", description=PURGE)
    purge.add_argument("--all", action="store_true", help="the copies of every account, not only of the present key")
    purge.add_argument("--yes", action="store_true", help="do not ask")


STATUS = "How much of the account is copied, how fresh it is, and where it is kept. Asks nothing of the Omi API."
PURGE = (
    "Delete the copy from this computer. Nothing changes in the Omi account; the next search begins to copy anew, "
    "within the hourly limits. Names given to speakers are kept."
)


def run(options: argparse.Namespace) -> int:
    from omi_mcp.commands import desk, environment

    settings = environment.settings()
    if options.action == "status":
        return desk.run(status, options, syncing=False, settings=settings)
    return purge(settings, options)


async def status(desk: "Desk", options: argparse.Namespace) -> int:
    from omi_mcp import database, dates
    from omi_mcp.commands.desk import DONE

    path = desk.settings.mirror_path
    if path is None or not path.exists():
        if options.json:
            desk.json({"file": None})
        else:
            desk.out.print("Nothing is copied yet." if path else f"Kept on disk: nothing ({desk.settings.mirror}).")
        return DONE
    standing = await desk.library.standing()
    counts, progress = standing.counts, standing.progress
    size = sum(file.stat().st_size for file in database.files(path))
    facts = {
        "file": str(path),
        "bytes": size,
        "conversations": counts.conversations,
        "transcripts": counts.transcripts,
        "pending": counts.pending,
        "locked": counts.locked,
        "oldest": counts.oldest and dates.local(counts.oldest, desk.settings.timezone).isoformat(),
        "newest": counts.newest and dates.local(counts.newest, desk.settings.timezone).isoformat(),
        "synced": progress.synced and dates.local(progress.synced, desk.settings.timezone).isoformat(),
        "complete": standing.remains is None,
        "waits_seconds": standing.remains and round(standing.remains),
        "warning": progress.warning,
    }
    if options.json:
        desk.json(facts)
    else:
        _print_facts(desk, facts)
    return DONE


def _print_facts(desk: "Desk", facts: dict[str, Any]) -> None:
    from omi_mcp.commands.failures import duration

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
            desk.out.print(f"{desk.out.paint(f'{name:<17}', 'dim')}{value}")


def purge(settings: Settings, options: argparse.Namespace) -> int:
    """Delete the files of this account, or of all; asks first at a terminal."""
    from omi_mcp import database
    from omi_mcp.commands.desk import DONE, FAILED, USAGE, fail
    from omi_mcp.commands.terminal import Terminal

    err = Terminal(sys.stderr)
    files = sorted(settings.data_dir.glob("mirror-*.sqlite3*")) if options.all else database.files(settings.mirror_file)
    if not files:
        print("There is no copy to delete.")
        return DONE
    if not options.yes:
        if not sys.stdin.isatty():
            fail(err, "mirror purge: say --yes where nobody can be asked")
            return USAGE
        if input(f"Delete {_counted(files)}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was deleted.")
            return FAILED
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            fail(err, f"{file}: {error.strerror}; stop the hosts that use it and run this again.")
            return FAILED
    print(f"Deleted {_counted(files)}.")
    return DONE


def _counted(files: list[Path]) -> str:
    return f"{len(files)} {'file' if len(files) == 1 else 'files'} in {files[0].parent}"
