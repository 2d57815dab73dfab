from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from omi_mcp.mirror.types import Counts, FileWarning, Filters, Obstacle, Progress, Results, Unlisted
from omi_mcp.views import budgets
from omi_mcp.views.models import CoverageBlock
from omi_mcp.views.notes import coverage, found, may_be_new, no_transcript

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 3, 14, 13, 30, tzinfo=UTC)
OLDEST = datetime(2023, 1, 4, 23, 30, tzinfo=UTC)


def counts(conversations: int = 1200, pending: int = 0, locked: int = 0) -> Counts:
    oldest = OLDEST if conversations else None
    return Counts(conversations, conversations - pending - locked, pending, locked, oldest, oldest and NOW)


def progress(
    *,
    complete: bool = True,
    oldest: datetime | None = OLDEST,
    synced: datetime | None = NOW - timedelta(seconds=30),
    blocked: Obstacle | None = None,
    retry_in: float | None = None,
    warnings: tuple[FileWarning | Unlisted, ...] = (),
) -> Progress:
    retry_at = None if retry_in is None else NOW + timedelta(seconds=retry_in)
    compared = NOW - timedelta(hours=3) if complete else None
    return Progress("idle", 1200, oldest, complete, synced, blocked, retry_at, compared, False, warnings)


def note(counts: Counts, progress: Progress, **searched: Filters) -> str | None:
    return coverage(counts, progress, BERLIN, NOW, **searched).note


def test_when_everything_was_searched_there_is_nothing_to_note():
    assert coverage(counts(), progress(), BERLIN, NOW) == CoverageBlock(
        conversations=1200,
        transcripts=1200,
        complete=True,
        oldest="2023-01-05",
        synced="2025-03-14T14:29:30+01:00",
    )


def test_older_conversations_that_are_still_to_come_are_noted():
    block = coverage(counts(300), progress(complete=False, oldest=NOW - timedelta(days=30)), BERLIN, NOW)
    assert (block.complete, block.oldest) == (False, "2025-02-12")
    assert block.note == (
        "Only conversations since 2025-02-12 were searched, none of the older ones. "
        "Copying goes on: try again in a minute."
    )


def test_an_empty_mirror_is_noted():
    block = coverage(counts(0), progress(complete=False, oldest=None, synced=None), BERLIN, NOW)
    assert block.note == "No conversation has been copied yet. Copying goes on: try again in a minute."
    assert block.dump() == {"conversations": 0, "transcripts": 0, "complete": False, "note": block.note}


def test_transcripts_that_were_not_searched_are_noted_with_when_to_try_again():
    block = coverage(counts(pending=1_134, locked=1), progress(blocked="reserved", retry_in=1330), BERLIN, NOW)
    assert block.complete is False
    assert block.note == (
        "1,134 transcripts are not copied: only title and summary were searched. "
        "1 transcript is locked by the plan of the Omi account: only title and summary were searched. "
        "The rest of this hour's requests to the Omi API is kept for searching and reading, which go on. "
        "Try again at 14:53 (in 23 minutes)."
    )


def test_a_locked_transcript_alone_leaves_nothing_to_wait_for():
    assert coverage(counts(locked=2), progress(), BERLIN, NOW).complete is True
    assert note(counts(locked=2), progress()) == (
        "2 transcripts are locked by the plan of the Omi account: only title and summary were searched."
    )


def test_new_conversations_that_could_not_be_looked_for_are_noted():
    assert note(counts(), progress(blocked="offline", synced=NOW - timedelta(hours=2))) == (
        "Conversations newer than 2025-03-14 12:30 may be missing. "
        "The Omi API cannot be reached. Try again in a minute."
    )


def test_how_long_ago_new_conversations_were_looked_for_is_noted_with_when_they_are_next():
    quiet = progress(synced=NOW - timedelta(minutes=9), retry_in=351)
    assert note(counts(), quiet) == (
        "Conversations newer than 2025-03-14 14:21 may be missing. Try again at 14:36 (in 6 minutes)."
    )


def test_what_a_search_cannot_have_missed_is_not_noted():
    offline = progress(blocked="offline", synced=NOW - timedelta(hours=2))
    before = Filters(end=NOW - timedelta(hours=3))
    for block in (
        coverage(counts(), offline, BERLIN, NOW, filters=before),
        coverage(counts(), offline, BERLIN, NOW, newest=False),
    ):
        assert (block.complete, block.note) == (True, None)
    assert coverage(counts(), offline, BERLIN, NOW, filters=Filters(start=NOW)).complete is False


def test_a_range_that_is_copied_is_complete_while_older_ones_are_still_to_come():
    copying = progress(complete=False, oldest=NOW - timedelta(days=30))
    block = coverage(counts(300), copying, BERLIN, NOW, filters=Filters(start=NOW - timedelta(days=20)))
    assert (block.complete, block.note) == (True, None)


def test_of_whom_it_is_not_known_yet_who_speaks_is_said():
    assert found(Results((), 0, 0, "listed", None), filtered=True, zone=BERLIN, unheard=1) == (
        "Who speaks is not known yet of one conversation within the other filters: the transcripts are fetched first."
    )
    heard = note(counts(pending=2), progress(), filters=Filters(speakers=(("Bob",),)))
    assert heard.startswith("2 transcripts are not copied: who speaks there is not known.")


@pytest.mark.parametrize(
    ("query", "found", "minutes", "reaches"),
    [
        ("", 3, 9, True),
        ("the ferry", 3, 9, False),
        ("the ferry", 0, 9, True),
        ("the ferry", 3, 90, True),
        ("what did we decide about the ferry in March 2024?", 0, 90, False),
        ("the ferry last year", 0, 90, False),
        ("the ferry on 2024-03-05", 0, 90, False),
        ("the ferry since March 2024", 0, 90, True),
        ("the ferry, 2024 or today", 0, 90, True),
        ("ferry 2024 and 2025", 0, 90, True),
        ("the march may be on Monday", 0, 90, True),
    ],
)
def test_what_is_new_is_noted_only_where_the_question_could_reach_it(query, found, minutes, reaches):
    results = Results((), found, found, "ranked", None)
    copied = progress(synced=NOW - timedelta(minutes=minutes))
    assert may_be_new(query, results, copied, BERLIN, NOW) is reaches


@pytest.mark.parametrize(
    ("warning", "said"),
    [
        (
            Unlisted(300, 900),
            "The Omi API no longer lists 300 of 900 conversations checked; they are kept until a later check confirms "
            "it.",
        ),
        (
            FileWarning("mirror", "replaced", "m.corrupt-1"),
            "The mirror's file was damaged or another program's; it was moved to m.corrupt-1 and begun anew.",
        ),
        (
            FileWarning("account", "newer"),
            "The file of this account's names, imports and open creates was written by a later release: update this "
            "one to use it; until then, nothing is kept on disk.",
        ),
        (
            FileWarning("mirror", "unusable", "EACCES"),
            "The mirror's file cannot be used (EACCES); until then, nothing is kept on disk.",
        ),
        (
            FileWarning("mirror", "stuck", "EBUSY"),
            "The mirror's file is damaged and cannot be moved (EBUSY); until then, nothing is kept on disk.",
        ),
    ],
)
def test_a_warning_is_said(warning, said):
    assert note(counts(), progress(warnings=(warning,))) == said


def test_a_note_keeps_to_its_budget():
    warning = FileWarning("mirror", "unusable", "odd " * 500)
    assert len(note(counts(pending=5), progress(warnings=(warning,)))) <= budgets.NOTE


@pytest.mark.parametrize(
    ("state", "asked", "said"),
    [
        ("none", True, "made from text"),
        ("none", False, "made from text"),
        ("locked", True, "locked by the plan"),
        ("pending", True, "not been copied yet"),
        ("pending", False, "not asked for"),
        ("stored", False, "not asked for"),
        ("stored", True, "empty"),
    ],
)
def test_why_there_is_no_transcript_is_said(state, asked, said):
    assert said in no_transcript(state, asked=asked).model
