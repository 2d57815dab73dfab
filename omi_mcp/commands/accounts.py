"""`omi-mcp accounts`: who has signed in to the server on the web, for whoever runs it. Never what is in an account."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from omi_mcp import database, dates, environment
from omi_mcp.account import Files
from omi_mcp.clock import SystemClock
from omi_mcp.settings import Settings, database_url, secret_keys
from omi_mcp.signin import People, Vault, open_store
from omi_mcp.signin.store import FILE, KnownAccount, Store
from omi_mcp.signin.vault import FILE as SECRET
from omi_mcp.signin.vault import Rotation
from omi_mcp.terminal import DONE, FAILED, USAGE, CommandFailed, Terminal, confirm

FORGET = (
    "Forget an account: its key, what it connected, its copy, and the names given in it, at once. Nothing changes at "
    "Omi. Its hosts are refused from their next request on, also by a server that is running; the person can sign in "
    "again."
)
ROTATE = (
    "Encrypt every key anew. Where the secret lies in the data folder, a new one takes its place, and a server that is "
    "running takes it by itself. With a secret of your own (OMI_MCP_SECRET_KEY, OMI_MCP_SECRET_KEY_FILE) put the new "
    "one before the old, restart the server, run this with the same setting, and take the old one out. Nobody signs in "
    "again."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="list in JSON")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", description="Without one, list.")
    forget = actions.add_parser("forget", help="forget an account", description=FORGET)
    forget.add_argument("id", metavar="ID", help="the id that the list shows, or its beginning")
    forget.add_argument("--yes", action="store_true", help="do not ask")
    actions.add_parser("rotate", help="encrypt the keys with a new secret", description=ROTATE)


def run(options: argparse.Namespace) -> int:
    out, err = Terminal(sys.stdout), Terminal(sys.stderr)
    settings = replace(environment.settings(saved=False), api_key=None)
    url = database_url(os.environ)
    try:
        with _in_files(settings) if url is None else _in_database(url) as kept:
            if options.action == "forget":
                return forget(kept, options, out)
            if options.action == "rotate":
                return rotate(settings, kept, out)
            return listed(settings, kept, out, as_json=options.json)
    except database.Away as away:
        err.fail(f"the database is not reached, or has no time ({away}).")
        return FAILED
    except CommandFailed as failure:
        err.fail(str(failure))
        return failure.code
    except (sqlite3.Error, database.Damaged, OSError) as error:
        err.fail(f"the files in {settings.data_dir} cannot be used ({error}).")
        return FAILED


@dataclass(frozen=True)
class _Kept:
    """What a server keeps, `where`; the secret is in a file of its folder where none `has_to_be_set`."""

    store: Store
    where: str
    size: Callable[[str], int]
    """Bytes of an account."""
    forget: Callable[[str], str]
    """Deletes what is kept of an account beside its sign-in, and says what else happens."""
    has_to_be_set: bool = False


@contextmanager
def _in_database(url: str) -> Iterator[_Kept]:
    """What machines share in PostgreSQL."""
    from omi_mcp.postgres.connection import place  # only who has a database has what speaks to it
    from omi_mcp.postgres.migrations import standing
    from omi_mcp.postgres.signing_in import open_store as open_shared

    if standing(url).missing:
        raise CommandFailed("the database is not at this release yet: run omi-mcp migrate first")
    store, copies = open_shared(url)
    try:
        yield _Kept(
            store,
            f"the database {place(url)}",
            copies.size,
            # The rows of an account are deleted with it.
            lambda _: "Copies on servers go within a minute, or when one that is stopped starts.",
            has_to_be_set=True,
        )
    finally:
        store.close()


@contextmanager
def _in_files(settings: Settings) -> Iterator[_Kept]:
    """The files of a server that has them."""
    file = settings.data_dir / FILE
    if not file.exists():
        raise CommandFailed(
            f"nobody has signed in to a server whose folder is {settings.data_dir}. "
            "Set OMI_MCP_DATA_DIR to the server's"
        )
    if hasattr(os, "geteuid") and os.geteuid() != (owner := file.stat().st_uid):
        # What another user makes beside the file, the server could not open any more.
        raise CommandFailed(f"{file} is another user's: run this as the one the server runs as (number {owner})", USAGE)
    store = open_store(settings.data_dir)

    def size(account_id: str) -> int:
        own = replace(settings, account_id=account_id)
        return sum(_size(file) for kept in (own.mirror_file, own.account_file) for file in database.files(kept))

    def forget(account_id: str) -> str:
        try:
            Files().forget(replace(settings, account_id=account_id))
        except OSError:
            return "Its copy is open, and goes when the running server closes it, within a minute."
        return ""

    try:
        yield _Kept(store, str(settings.data_dir), size, forget)
    finally:
        store.close()


def listed(settings: Settings, kept: _Kept, out: Terminal, *, as_json: bool) -> int:
    own = secret_keys(os.environ)
    people = None  # without the server's secret it cannot be told whether that reads the keys; none is made here
    if own or (not kept.has_to_be_set and (settings.data_dir / SECRET).exists()):
        people = People(kept.store, Vault.open(settings.data_dir, own), settings, SystemClock())
    found = [_facts(settings, kept, people, account) for account in kept.store.accounts()]
    if as_json:
        out.print(json.dumps(found, ensure_ascii=False, indent=2))
        return DONE
    out.print(f"{len(found)} {'account' if len(found) == 1 else 'accounts'} in {kept.where}")
    for facts in found:
        out.print()
        _print(facts, out)
    return DONE


def _facts(settings: Settings, kept: _Kept, people: People | None, account: KnownAccount) -> dict[str, Any]:
    key = "refused" if account.refused else "kept"
    if people is not None and people.current_mark(account) is None:
        key = "unreadable"
    if account.base_url != settings.base_url:
        key = "of another address"

    def local(moment: datetime | None) -> str | None:
        return None if moment is None else dates.local(moment, settings.timezone).isoformat(timespec="minutes")

    return {
        "id": account.id,
        "since": local(account.made),
        "used": local(account.used),
        "key": key,
        "refused": local(account.refused),
        "address": account.base_url,
        "bytes": kept.size(account.id),
        "hosts": [
            {
                "name": grant.name,
                "place": grant.place,
                "writes": "write" in grant.scopes,
                "since": local(grant.made),
                "used": local(grant.used),
            }
            for grant in kept.store.grants(account.id)
        ],
    }


KEYS = {
    "refused": "Omi does not accept its key any more, since {refused}: the person has to sign in again",
    "unreadable": "its key was encrypted with another secret: put that back, or the person has to sign in again",
    "of another address": "its key is for {address}: it is not used where OMI_API_BASE_URL is another",
}


def _print(facts: dict[str, Any], out: Terminal) -> None:
    since, used = (str(facts[name])[:16].replace("T", " ") for name in ("since", "used"))
    out.print(f"{out.paint(facts['id'], 'bold')}  since {since}, last used {used}, {facts['bytes'] / 1e6:.1f} MB")
    if trouble := KEYS.get(facts["key"]):
        said = trouble.format(refused=str(facts["refused"])[:16].replace("T", " "), address=facts["address"])
        out.print("  " + out.paint(said, "yellow"))
    for host in facts["hosts"]:
        may = "reads and writes" if host["writes"] else "reads"
        used = str(host["used"])[:16].replace("T", " ")
        out.print(f"  {host['name'] or 'a host without a name'} ({host['place']}): {may}, last used {used}")
    if not facts["hosts"]:
        out.print("  no host is connected")


def forget(kept: _Kept, options: argparse.Namespace, out: Terminal) -> int:
    matching = [account for account in kept.store.accounts() if account.id.startswith(options.id) and options.id]
    if len(matching) != 1:
        found = f"{len(matching)} accounts begin" if matching else "no account begins"
        raise CommandFailed(f"{found} with {options.id!r}; omi-mcp accounts lists them. Nothing was forgotten")
    (account,) = matching
    if not options.yes:
        if not sys.stdin.isatty():
            raise CommandFailed("accounts forget: say --yes where nobody can be asked. Nothing was forgotten", USAGE)
        if not confirm(f"Forget {account.id}: its key, what it connected, its copy and the names given in it? [y/N] "):
            raise CommandFailed("Nothing was forgotten")
    kept.store.forget_account(account.id)  # first what opens it, so that nothing opens the copy again
    if said := kept.forget(account.id):
        out.print(said)
    out.print(f"Forgotten: {account.id}. A server that is running refuses its hosts from their next request on.")
    return DONE


def rotate(settings: Settings, kept: _Kept, out: Terminal) -> int:
    own = secret_keys(os.environ)
    if own:
        if len(own) == 1:
            out.print("One secret is set, so there is none to change to: put a new one before it first.")
        rotation = None
        vault = Vault(own)
    elif kept.has_to_be_set or not (settings.data_dir / SECRET).exists():
        where = "no secret is set" if kept.has_to_be_set else f"there is no secret in {settings.data_dir}"
        raise CommandFailed(
            f"{where}; set OMI_MCP_SECRET_KEY or OMI_MCP_SECRET_KEY_FILE as the server has it",
            USAGE,
        )
    else:
        rotation = Rotation(settings.data_dir)
        vault = rotation.begin()
    people = People(kept.store, vault, settings, SystemClock())
    renewed, unreadable = people.rotate()
    if rotation is not None:
        people.rotate()  # those that a running server encrypted with the old one meanwhile
        rotation.end()
    out.print(f"{_keys(renewed)} encrypted with the {'first secret that is set' if own else 'new secret'}.")
    if unreadable:
        out.print(f"{_keys(unreadable)} of another secret and could not be read: these people sign in again.")
    if own and len(own) > 1:
        out.print("Now take the other secrets out of the setting and restart the server.")
    elif not own:
        out.print("The old one is gone. A server that is running takes the new one by itself.")
    return DONE


def _keys(count: int) -> str:
    return f"{count} {'key is' if count == 1 else 'keys are'}"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it has gone since it was listed
        return 0
