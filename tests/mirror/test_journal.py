"""What one process has found out about a create, no other takes back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from virtual_time import START, Now

from omi_mcp.api.models import Receipt
from omi_mcp.writes.journal import Entry, Journal
from tests.stores import kept


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def journal(tmp_path: Path, now: Now) -> Iterator[Journal]:
    database = kept(tmp_path / "mirror.sqlite3")
    journal = Journal(database, now)
    database.attach()
    yield journal
    database.close()


@pytest.fixture
def found(journal: Journal) -> Entry:
    """A create that another process found, as its sender, who still waits for the answer, knows it."""
    entry = Entry("notes", START, START)
    journal.book(entry, again=False)
    journal.keep(replace(entry, receipt=Receipt(id="c1")))
    return entry


def test_a_sender_whose_answer_is_lost_does_not_open_it_again(journal: Journal, found: Entry) -> None:
    journal.keep(replace(found, lost_at=START))
    assert journal.open() == []
    assert journal.earlier("notes") == replace(found, lost_at=START, receipt=Receipt(id="c1"))


def test_a_sender_who_finds_nothing_does_not_forget_it(journal: Journal, found: Entry) -> None:
    journal.forget(found)
    assert journal.earlier("notes") is not None


def test_that_somebody_was_told_of_it_stays(journal: Journal, found: Entry, now: Now) -> None:
    journal.heard("c1")
    journal.keep(replace(found, receipt=Receipt(id="c1")))
    now.moment += timedelta(minutes=11)
    assert journal.earlier("notes") is None
