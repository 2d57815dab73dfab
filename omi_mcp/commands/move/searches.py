"""The same searches, asked of the files and of a copy made from the database as every machine makes its own."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from omi_mcp.account import Files
from omi_mcp.clock import SystemClock
from omi_mcp.commands.move.installation import Installation
from omi_mcp.database import Database
from omi_mcp.mirror.search import search
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.replica import Replica
from omi_mcp.settings import Settings
from omi_mcp.writes import Lasting

FOLDER = "move-compares"
"""In the data folder: copies to search in, which are gone at the end."""

ASKED = 8
"""Conversations of which words are searched."""

PAGE = 20


@dataclass(frozen=True)
class Asked:
    """Of an account: how many searches, and which of them were answered differently."""

    account: str
    searches: int
    different: tuple[str, ...] = ()


@contextmanager
def folder(settings: Settings) -> Iterator[Path]:
    """A private folder, without what a run left there that was killed."""
    path = settings.data_dir / FOLDER
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def compare(installation: Installation, postgres: Postgres, settings: Settings, account: str) -> Asked:
    """Ask both. Raises Away, OSError, and `sqlite3.Error` where there is no room for the copies."""
    with folder(settings) as beside:
        own = replace(settings, data_dir=beside, account_id=account, mirror="disk")
        installation.copy(account, beside)
        mirror, kept = Files().open(own)
        replica = Replica(own.replica_file, PostgresPrimary(postgres, account))
        with closing(mirror), closing(kept), closing(replica):
            files, there = _store(mirror, kept), _store(replica, replica)
            replica.attach()
            asked = list(_searches(files))
            different = [
                words
                for words, filters in asked
                if search(files, words, filters, limit=PAGE, offset=0)
                != search(there, words, filters, limit=PAGE, offset=0)
            ]
    return Asked(account, len(asked), tuple(different))


def _store(mirror: Database, kept: Database) -> Store:
    clock = SystemClock()
    return Store(mirror, clock, Lasting(kept, clock).names)


def _searches(store: Store) -> Iterator[tuple[str, Filters]]:
    """The newest, what is still to do, who speaks, and words out of conversations all over the account."""
    yield "", Filters()
    yield "", Filters(open_items=True)
    for name in sorted({speaker for speakers in store.newest_speakers(ASKED) for speaker in speakers})[:ASKED]:
        yield "", Filters(speakers=((name,),))
    catalogue = store.catalogue(None, None)
    for entry in catalogue[:: max(1, len(catalogue) // ASKED)]:
        stored = store.get(entry.id)
        if stored is None:
            continue
        yield stored.conversation.structured.title, Filters()
        segments = stored.conversation.transcript_segments or ()
        if segments:
            words = segments[len(segments) // 2].text.split()
            yield " ".join(words[:6]), Filters()
            yield max(words, key=len, default=""), Filters()
