"""`omi-mcp move`: from the files of one machine to the PostgreSQL database of many."""

import argparse
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omi_mcp import environment
from omi_mcp.commands.move.installation import Installation, InUse, Unusable
from omi_mcp.database import Away
from omi_mcp.settings import Settings, SettingsError, database_url, secret_keys
from omi_mcp.signin import Vault
from omi_mcp.signin.people import KEY
from omi_mcp.signin.store import FILE
from omi_mcp.signin.vault import FILE as SECRET
from omi_mcp.signin.vault import Unreadable
from omi_mcp.terminal import DONE, FAILED, INCOMPLETE, USAGE, CommandFailed, Terminal, bar

if TYPE_CHECKING:  # only who has a database has what speaks to it
    from omi_mcp.commands.move.moving import Moved
    from omi_mcp.commands.move.searches import Asked

SEARCHED = 10
"""Accounts in which searches are compared, unless it is said otherwise."""

LARGE = 2_000
"""Conversations of an account of which it is shown how far it is."""

NO_ROOM = (
    "{folder}: the copies in which searches are compared cannot be written; perhaps the disk is full. What was moved "
    "is kept. Make room and run this again; --searches 0 leaves these copies out."
)

DESCRIPTION = (
    "Bring a server's data folder over to PostgreSQL: who signed in, what they connected, and every conversation, name "
    "and write that is kept of them, so that nobody signs in again and nothing is copied anew. The server has to be "
    "stopped; --ahead writes most of it before that. It can be stopped at any moment and run again, and takes "
    "over what has changed since. At the end both sides are compared. The files stay as they are."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "--to",
        metavar="URL",
        help="the database, postgresql://user:password@host:5432/database; better in OMI_MCP_DATABASE_URL, as other "
        "users of this computer see a command's arguments",
    )
    parser.add_argument(
        "--ahead",
        action="store_true",
        help="copy what can be copied while the server goes on, and compare nothing; then stop it and run this again",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="have the files win where servers on the database have written since; what those wrote is lost",
    )
    parser.add_argument(
        "--searches",
        type=_count,
        default=SEARCHED,
        metavar="N",
        help=f"compare searches in N accounts, the largest among them (default {SEARCHED}); numbers and digests are "
        "compared in all",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, with both sides of each account")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("a number is needed")
    return int(text)


def run(options: argparse.Namespace) -> int:
    err = Terminal(sys.stderr)
    settings = replace(environment.settings(saved=False), api_key=None)
    url = _url(options)
    try:
        return _Run(settings, url, options, Terminal(sys.stdout), err).run()
    except CommandFailed as failure:
        err.fail(str(failure))
        return failure.code
    except InUse:
        err.fail(
            f"a server is using {settings.data_dir}, or another command is: what it wrote from now on would be "
            "missing. Stop it, and run this again; with --ahead most is moved before that, while it goes on."
        )
    except Unusable as error:
        err.fail(f"{error}. Nothing was changed in {settings.data_dir}.")
    except Away as away:
        if isinstance(away.__cause__, sqlite3.Error):
            err.fail(NO_ROOM.format(folder=settings.data_dir))
            return FAILED
        reason = "its disk is full" if str(away) == "DiskFull" else f"it is not reached, or has no time ({away})"
        err.fail(f"the database: {reason}. What was moved is kept; run this again to go on.")
    except KeyboardInterrupt:
        err.print("Stopped. What was moved is kept; run this again to go on.")
        return 130
    except BrokenPipeError:
        raise
    except (OSError, sqlite3.Error):
        err.fail(NO_ROOM.format(folder=settings.data_dir))
    return FAILED


def _url(options: argparse.Namespace) -> str:
    """Raises SettingsError, in which there is no password."""
    if options.to is not None:
        try:
            url = database_url({"OMI_MCP_DATABASE_URL": options.to})
        except SettingsError as error:
            raise SettingsError(str(error).replace("OMI_MCP_DATABASE_URL", "--to")) from None
    else:
        url = database_url(os.environ)
    if url is None:
        raise SettingsError(
            "move: where to? Set OMI_MCP_DATABASE_URL to the database, postgresql://user:password@host:5432/database, "
            "or name it with --to."
        )
    return url


class _Run:
    def __init__(self, settings: Settings, url: str, options: argparse.Namespace, out: Terminal, err: Terminal) -> None:
        self._settings = settings
        self._url = url
        self._options = options
        self._out = out
        self._err = err
        self._installation = Installation(settings)

    def run(self) -> int:
        file = self._settings.data_dir / FILE
        _check(file)
        from omi_mcp.postgres import migrations

        with self._installation.opened(alone=not self._options.ahead):
            try:
                for step in migrations.migrate(self._url):
                    self._say(f"The database got its tables: {step}.")
            except Away as away:
                raise CommandFailed(f"the database is not reached, or has no time: {away}") from None
            return self._move(file)

    def _move(self, file: Path) -> int:
        from omi_mcp.commands.move.moving import Mover
        from omi_mcp.commands.move.report import Report
        from omi_mcp.postgres.connection import Postgres
        from omi_mcp.postgres.moving import Moving

        source = hashlib.sha256(f"{file.resolve()}\0{file.stat().st_ino}".encode()).hexdigest()
        accounts = sorted(self._installation.rows("accounts"), key=lambda each: (each["made"], each["id"]))
        known = [each["id"] for each in accounts]
        searched = set() if self._options.ahead else self._sample(known)
        results: list[Moved] = []
        asked: list[Asked] = []
        with closing(Postgres(self._url, most=2)) as postgres, bar(self._err) as progress:
            mover = Mover(self._installation, Moving(postgres, source), overwrite=self._options.overwrite)
            hosts = mover.hosts()
            for number, account in enumerate(known):

                def told(done: int, number: int = number, total: int = self._size(known[number])) -> None:
                    if total > LARGE:
                        progress.show(f"account {number + 1:,} of {len(known):,}", min(done, total), total)
                    else:
                        progress.show("accounts", number, len(known))

                told(0)
                results.append(mover.account(account, told))
                if account in searched and results[-1].obstacle is None:
                    progress.show("accounts", number, len(known), instead=", searching")
                    asked.append(self._compare(postgres, account))
            gone = mover.gone(known, source)
        report = Report(hosts, results, gone, asked, self._unreadable(accounts))
        if self._options.json:
            self._out.print(json.dumps(report.facts(), ensure_ascii=False, indent=2))
        else:
            for line in report.lines(self._settings.data_dir, self._out.paint, ahead=self._options.ahead):
                self._out.print(line)
        if self._options.ahead:
            return INCOMPLETE if report.is_whole else FAILED
        return DONE if report.is_equal else FAILED

    def _compare(self, postgres: Any, account: str) -> "Asked":
        from omi_mcp.commands.move.searches import compare

        return compare(self._installation, postgres, self._settings, account)

    def _size(self, account: str) -> int:
        try:
            return self._installation.conversations(account)
        except Unusable:
            return 0

    def _sample(self, accounts: Sequence[str]) -> set[str]:
        """The largest, and others from all over the list."""
        if not accounts or not self._options.searches:
            return set()
        most = min(self._options.searches, len(accounts))
        spread = {accounts[place * len(accounts) // most] for place in range(most - 1)}
        rest = sorted(set(accounts) - spread, key=self._installation.size, reverse=True)
        return spread | set(rest[: most - len(spread)])

    def _unreadable(self, accounts: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """Whose key the secret does not open that is here; None where there is none."""
        own = secret_keys(os.environ)
        if not own and not (self._settings.data_dir / SECRET).exists():
            return None
        vault = Vault.open(self._settings.data_dir, own)
        unreadable = []
        for account in accounts:
            try:
                vault.open_sealed(KEY, account["key"], datetime.now(UTC))
            except Unreadable:
                unreadable.append(account["id"])
        return unreadable

    def _say(self, text: str) -> None:
        """Beside the answer."""
        self._err.print(self._err.paint(text, "dim"))


def _check(file: Path) -> None:
    """Raises CommandFailed where there is nothing that can be moved."""
    if not file.exists():
        raise CommandFailed(
            f"nobody has signed in to a server whose folder is {file.parent}. Set OMI_MCP_DATA_DIR to the server's. "
            "What a host on one computer keeps for itself is not for a database"
        )
    if hasattr(os, "geteuid") and os.geteuid() != (owner := file.stat().st_uid):
        raise CommandFailed(f"{file} is another user's: run this as the one the server runs as (number {owner})", USAGE)
