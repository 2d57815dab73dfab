"""`omi-mcp export`: every conversation as a file."""

import argparse
from datetime import datetime
from pathlib import Path

from omi_mcp.commands.writing import Export
from omi_mcp.terminal import DONE, INCOMPLETE, USAGE, CommandFailed, Session, follow, run_command


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
    parser.add_argument(
        "--no-wait", action="store_true", help="stop at the hourly limit with exit code 3, instead of waiting"
    )


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
