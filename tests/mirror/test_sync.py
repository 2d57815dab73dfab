"""What a person notices of the sync: searches that are fresh, complete and quick, whatever the API does."""

from datetime import timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path

import anyio
import httpx
import pytest
from sync_kit import Account, Process, holding, mirrored, talk, transcripts
from virtual_time import START

from omi_mcp import database
from omi_mcp.api.client import CONVERSATIONS, FOLDERS
from omi_mcp.api.errors import Unreachable
from omi_mcp.api.models import Structured
from omi_mcp.mirror.names import SpeakerNames
from omi_mcp.mirror.store import Upserted
from omi_mcp.mirror.types import Progress, Unlisted
from omi_mcp.mirror.write_through import WriteThrough

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]


def damage(path: Path) -> None:
    """Overwrite the database under the processes that have it open."""
    for file in database.files(path):
        if not file.name.endswith("-shm"):
            with file.open("r+b") as opened:
                opened.write(b"\xff" * file.stat().st_size)


def asked(account: Account) -> list[str]:
    """The path of each request served."""
    return [request.path for request in account.sandbox.requests]


async def test_the_first_search_waits_for_the_newest_page_and_reports_meanwhile() -> None:
    account = Account(size=300)
    account.wire.latency = 2.5
    reports: list[Progress] = []

    async def report(progress: Progress) -> None:
        reports.append(progress)

    async with account.process(running=False) as process:
        await process.sync.refresh(report=report)
        progress = process.sync.progress()
    assert [each.conversations for each in reports] == [0, 0, 0]
    assert progress.conversations == 100
    assert progress.oldest == START - timedelta(hours=99)
    assert not progress.complete
    assert progress.phase == "summaries"
    assert account.requests == 1


async def test_a_small_account_is_copied_whole_before_its_first_search_is_answered() -> None:
    account = Account(size=20)
    async with account.process() as process:
        await process.use()
        assert process.sync.progress().phase == "idle"
        assert process.store.counts().transcripts == 20


async def test_with_nothing_mirrored_and_the_api_down_the_search_fails() -> None:
    account = Account(size=3)
    account.wire.down = True
    async with account.process() as process:
        with pytest.raises(Unreachable):
            await process.use()


async def test_once_the_api_can_be_reached_the_first_search_copies_a_small_account_and_names_no_trouble() -> None:
    account = Account(size=20)
    account.wire.down = True
    async with account.process() as process:
        with pytest.raises(Unreachable):
            await process.use()
        await account.clock.sleep(2)
        account.wire.down = False
        await process.use()
        progress = process.sync.progress()
        assert (progress.phase, progress.blocked) == ("idle", None)


async def test_an_account_without_conversations_is_complete_after_one_search() -> None:
    account = Account()
    async with account.process() as process:
        await process.use()
        progress = process.sync.progress()
        assert (progress.phase, progress.complete, progress.oldest) == ("idle", True, None)
        await account.clock.sleep(70)
        before = account.requests
        await process.use()
        assert account.requests == before + 1


async def test_when_the_api_goes_down_what_is_mirrored_is_served_and_the_trouble_is_named(
    account: Account, process: Process
) -> None:
    synced = process.sync.progress().synced
    account.wire.down = True
    await account.clock.sleep(3600)
    await process.use()
    progress = process.sync.progress()
    assert progress.blocked == "offline"
    assert progress.retry_at is not None
    assert progress.synced == synced
    assert len(process.store.recent(200, 0)) == 150

    account.wire.down = False
    account.sandbox.insert(talk(900, account.clock.now()))
    await account.clock.sleep(1000)
    await process.use()
    assert process.sync.progress().blocked is None
    assert process.store.get("c00900") is not None


async def test_copying_goes_on_by_itself_when_the_api_is_back_and_has_spent_nothing_meanwhile() -> None:
    account = Account(size=3000)
    async with account.process() as process:
        await account.until(lambda: process.store.counts().conversations >= 500, every=0.1)
        account.wire.down = True
        await account.clock.sleep(1000)
        assert process.sync.progress().blocked == "offline"
        account.wire.down = False
        await account.clock.sleep(1000)
        assert process.sync.progress().complete
        assert process.sync.progress().blocked != "offline"


@holding(size=1200)
async def test_what_was_copied_is_compared_again_at_a_walking_pace(account: Account, process: Process) -> None:
    moments: list[float] = []

    def note(request: httpx.Request) -> None:
        if request.url.path == CONVERSATIONS and "starred" not in request.url.params:
            moments.append((account.clock.now() - START).total_seconds())

    account.wire.after = note
    await account.clock.sleep(3 * 86_400)
    a_day = ceil(1200 / 99)
    assert 2 * a_day <= len(moments) <= 3 * (a_day + 2)
    assert min(second - first for first, second in pairwise(moments)) >= 180


@holding(size=400)
async def test_what_was_added_elsewhere_with_old_dates_is_found_soon_after_some_of_it_is_seen_else_within_a_day(
    account: Account, process: Process
) -> None:
    for first, within in ((900, timedelta(minutes=5)), (950, timedelta(days=1))):
        account.sandbox.load(talk(first + n, START - timedelta(days=400 + n)) for n in range(30))
        if first == 900:
            account.sandbox.insert(talk(999, START - timedelta(days=3)))
        await account.clock.sleep(3600 * 2)
        await process.use()
        assert process.sync.progress().overdue == (first == 900)
        await account.clock.sleep(within.total_seconds())
        await process.use()
        assert not process.sync.progress().overdue
        assert mirrored(process.store) == account.listable()


async def test_a_slow_api_holds_a_search_up_for_a_moment_only() -> None:
    account = Account(size=10)
    async with account.process() as process:
        await process.use()
        await account.clock.sleep(120)
        account.wire.latency = 19
        asked_at = account.clock.now()
        await process.use()
        assert account.clock.now() - asked_at <= timedelta(seconds=8)
        assert process.sync.progress().blocked is not None


async def test_a_refused_key_is_named_and_not_tried_again_and_again() -> None:
    account = Account(size=150)
    async with account.process() as process:
        await process.use()
        account.sandbox.revoke_key(account.sandbox.key)
        before = account.requests
        await account.clock.sleep(600)
        await process.use()
        assert process.sync.progress().blocked == "key"
        await account.clock.sleep(3600)
        assert account.requests - before <= 12


@pytest.mark.parametrize("spacing", [1, 10, 30, 60])
@holding(limits="real", size=250)
async def test_a_session_of_twenty_calls_on_a_synced_account_takes_three_requests_at_most(
    account: Account, process: Process, spacing: float
) -> None:
    await account.clock.sleep(3 * 86_400)
    before = account.requests
    for _ in range(20):
        await process.use()
        await account.clock.sleep(spacing)
    assert account.requests - before <= 3


async def test_what_was_just_recorded_is_found_by_the_next_search_and_its_transcript_soon_after(
    account: Account, process: Process
) -> None:
    await account.clock.sleep(600)
    account.sandbox.insert(talk(900, account.clock.now()))
    await process.use()
    assert process.store.get("c00900") is not None
    await account.clock.sleep(5)
    assert transcripts(process.store, ["c00900"]) == {"c00900": ["We counted 900 things here."]}


async def test_everything_recorded_in_an_absence_of_weeks_is_there_after_one_search(
    account: Account, process: Process
) -> None:
    process.scope.cancel()
    account.sandbox.load(talk(1000 + n, START + timedelta(hours=n)) for n in range(1, 450))
    await account.clock.sleep(20 * 86_400)
    before = account.requests
    await process.use()
    assert mirrored(process.store) == account.listable()
    assert account.requests - before <= 6


async def test_a_look_cut_short_is_finished_in_the_background(account: Account, process: Process) -> None:
    account.sandbox.load(talk(1000 + n, START + timedelta(minutes=n)) for n in range(1, 700))
    await account.clock.sleep(600)
    account.wire.latency = 3.0
    await process.use()
    assert len(mirrored(process.store)) < 849
    await account.clock.sleep(60)
    assert mirrored(process.store) == account.listable()


async def test_a_conversation_that_completes_late_is_found_with_its_old_date() -> None:
    account = Account(size=150)
    account.sandbox.set_status("c00030", "processing")
    async with account.copied() as process:
        assert process.store.get("c00030") is None
        account.sandbox.complete_late("c00030")
        await account.clock.sleep(120)
        await process.use()
        assert process.store.get("c00030") is not None


async def test_the_look_back_is_48_hours_however_many_were_recorded_and_whatever_is_dated_in_the_future() -> None:
    account = Account()
    account.sandbox.load(talk(n, START - timedelta(minutes=6 * n)) for n in range(900))
    account.sandbox.insert(talk(950, START + timedelta(days=900)))
    account.sandbox.set_status("c00450", "processing")
    async with account.copied() as process:
        await account.clock.sleep(120)
        await process.use()
        account.sandbox.complete_late("c00450")
        await account.clock.sleep(600)
        await process.use()
        assert process.store.get("c00450") is not None


@holding(size=400)
async def test_a_look_goes_on_as_long_as_it_meets_changes(account: Account, process: Process) -> None:
    await account.clock.sleep(120)
    await process.use()
    for each in ("c00060", "c00150", "c00250"):
        account.sandbox.edit(each, title="Moved together")
    await account.clock.sleep(600)
    await process.use()
    assert len(process.store.titles("moved together", 10)) == 3


async def test_an_edited_title_is_seen_and_its_transcript_kept(account: Account, process: Process) -> None:
    account.sandbox.edit("c00040", title="A better name")
    await account.clock.sleep(120)
    await process.use()
    stored = process.store.get("c00040")
    assert stored is not None
    assert stored.conversation.structured.title == "A better name"
    assert stored.transcript == "stored"


async def settled(account: Account, process: Process) -> None:
    """A search, and time for what it sets off."""
    await account.clock.sleep(3700)
    await process.use()
    await account.clock.sleep(60)


async def test_what_was_deleted_goes_and_what_was_discarded_is_hidden_after_each_was_asked_for(
    account: Account, process: Process
) -> None:
    account.sandbox.delete("c00010")
    account.sandbox.discard("c00020")
    await settled(account, process)
    assert process.store.get("c00010") is None
    hidden = process.store.get("c00020")
    assert hidden is not None
    assert hidden.hidden
    assert {path.rsplit("/", 1)[-1] for path in asked(account)} >= {"c00010", "c00020"}

    account.sandbox.discard("c00020", False)
    await settled(account, process)
    assert mirrored(process.store) == account.listable()


async def test_what_is_locked_is_known_as_locked_and_fetched_again_when_it_is_not(
    account: Account, process: Process
) -> None:
    account.sandbox.lock("c00020")
    await settled(account, process)
    assert set(mirrored(process.store, locked=True)) == {"c00020"}
    assert process.store.counts().locked == 1
    before = account.requests
    await settled(account, process)
    assert asked(account)[before:] == [CONVERSATIONS, CONVERSATIONS], "it is not asked for again"

    account.sandbox.lock("c00020", False)
    await settled(account, process)
    assert transcripts(process.store, ["c00020"]) == {"c00020": ["We counted 20 things here."]}


async def test_a_locked_one_that_is_deleted_later_goes_once_the_page_has_no_gap(
    account: Account, process: Process
) -> None:
    account.sandbox.lock("c00020")
    await settled(account, process)
    account.sandbox.delete("c00020")
    await settled(account, process)
    assert process.store.get("c00020") is None


async def test_a_deleted_one_is_told_from_a_locked_one_though_another_is_locked_nearby() -> None:
    account = Account(size=150)
    account.sandbox.lock("c00050")
    async with account.copied() as process:
        account.sandbox.delete("c00020")
        account.sandbox.lock("c00030")
        await settled(account, process)
        assert process.store.get("c00020") is None
        assert set(mirrored(process.store, locked=True)) == {"c00030"}


async def test_what_the_user_brings_back_while_it_is_doubted_is_not_hidden(account: Account, process: Process) -> None:
    account.sandbox.discard("c00020")

    def restore(request: httpx.Request) -> None:
        if request.url.path.endswith("/c00020"):
            account.wire.after = lambda request: bring_back()

    def bring_back() -> None:
        account.sandbox.discard("c00020", False)
        process.store.upsert([account.conversation("c00020")])

    account.wire.after = restore
    await settled(account, process)
    assert mirrored(process.store) == account.listable()


async def test_what_the_user_brings_back_elsewhere_while_it_is_doubted_is_not_hidden(tmp_path: Path) -> None:
    account = Account(size=150)
    file = tmp_path / "mirror.sqlite3"
    async with account.process(file) as process, account.process(file, running=False) as elsewhere:
        await process.use()
        await account.synced(process)
        account.sandbox.discard("c00020")
        asked = list[str]()

        def bring_back(request: httpx.Request) -> None:
            if asked:
                account.sandbox.discard("c00020", False)
                elsewhere.store.note_change("c00020")
                elsewhere.store.upsert([account.conversation("c00020")])
                account.wire.after = lambda request: None
            elif request.url.path.endswith("/c00020"):
                asked.append("c00020")

        account.wire.after = bring_back
        await settled(account, process)
        assert asked, "it was doubted"
        assert mirrored(process.store) == account.listable()


async def test_what_the_user_does_while_a_page_is_on_its_way_is_not_undone_by_it(
    account: Account, process: Process
) -> None:
    store = process.store
    write_through = WriteThrough(store, SpeakerNames(process.database, account.clock), account.clock)
    asked = account.clock.now()
    page = await process.client.list_conversations()
    renamed = account.conversation("c00030").model_copy(update={"structured": Structured(title="Renamed")})
    await write_through.keep(account.conversation("c00010"), hidden=True)
    await write_through.deleted("c00020")
    await write_through.keep(renamed)
    assert store.upsert(page.conversations, asked=asked) == Upserted(frozenset(), frozenset())
    await write_through.keep(account.conversation("c00010"), asked=asked)

    hidden, deleted, kept = (store.get(each) for each in ("c00010", "c00020", "c00030"))
    assert hidden
    assert hidden.hidden
    assert deleted is None
    assert kept
    assert kept.conversation.structured.title == "Renamed"


@holding(size=900)
async def test_many_locked_at_once_hide_nothing_that_lies_behind_them(account: Account, process: Process) -> None:
    for number in range(300, 600):
        account.sandbox.lock(f"c{number:05}")
    await process.sync.compare_all()
    await account.clock.sleep(2 * 3600)
    assert process.store.counts().conversations == 900
    assert process.sync.progress().warnings == (Unlisted(300, of=898),)


@holding(size=400)
async def test_what_is_known_as_locked_is_not_asked_for_again_however_many_they_are(
    account: Account, process: Process
) -> None:
    for number in range(100, 220):
        account.sandbox.lock(f"c{number:05}")
    for _ in range(2):
        await process.sync.compare_all()
        await account.clock.sleep(8 * 3600)
    assert process.store.counts().locked == 120
    before = len(asked(account))
    await process.sync.compare_all()
    await account.clock.sleep(1800)
    assert set(asked(account)[before:]) == {CONVERSATIONS, FOLDERS}
    assert process.sync.progress().warnings == ()


async def test_when_too_much_is_missing_nothing_goes_until_a_later_look_confirms_it() -> None:
    account = Account(size=150)
    gone = account.sandbox.ids()[:40]
    async with account.copied() as process:
        for each in gone:
            account.sandbox.delete(each)
        await settled(account, process)
        assert process.sync.progress().warnings == (Unlisted(40, of=149),)
        await account.clock.sleep(1200)
        await process.use()
        await account.clock.sleep(60)
        assert len(mirrored(process.store)) == 150, "looking again so soon confirms nothing"

        await settled(account, process)
        assert process.sync.progress().warnings == ()
        await account.clock.sleep(2 * 3600)  # each is asked for, which the hourly allowance spreads
        assert mirrored(process.store) == account.listable()


async def test_a_list_that_was_wrong_for_a_while_costs_nothing_but_a_warning() -> None:
    account = Account(size=150)
    hidden = account.sandbox.ids()[:40]
    async with account.copied() as process:
        for each in hidden:
            account.sandbox.discard(each)
        await settled(account, process)
        assert process.sync.progress().warnings
        for each in hidden:
            account.sandbox.discard(each, False)
        await settled(account, process)
        assert process.sync.progress().warnings == ()
        assert len(mirrored(process.store)) == 150


async def test_a_transcript_that_cannot_be_read_does_not_keep_back_the_others() -> None:
    account = Account(size=150)
    async with account.process() as process:
        account.wire.before = lambda: account.requests == 3 and account.sandbox.damage("c00033")
        await process.use()
        await account.until(lambda: process.store.counts().pending <= 1, hours=2, every=10)
        stored = process.store.get("c00033")
        assert stored is not None
        assert stored.transcript == "pending"


async def test_all_stars_are_learnt_however_many_pages_they_fill() -> None:
    account = Account(size=330)
    starred = account.sandbox.ids()[::3] + account.sandbox.ids()[1::3]
    for each in starred:
        account.sandbox.star(each)
    account.sandbox.move("c00001", "Garden")
    async with account.copied() as process:
        known = {each for each in process.store.fingerprints(None, None) if process.store.get(each).starred}
        assert known == set(starred)
        assert [folder.name for folder in process.store.folders()] == ["Garden"]


async def test_at_the_limit_of_the_api_searches_go_on_and_say_until_when() -> None:
    account = Account(limits="real", size=6000)
    async with account.process() as process:
        await process.use()
        await account.clock.sleep(600)
        progress = process.sync.progress()
        assert progress.phase == "summaries"
        assert progress.blocked == "reserved"
        assert progress.retry_at is not None
        assert progress.retry_at - account.clock.now() < timedelta(hours=1)
        assert progress.oldest == START - timedelta(hours=99 * 23)
        assert progress.conversations == 99 * 23 + 1
        assert process.store.counts().transcripts == 25 * 25
        await process.use()
        assert [request.status for request in account.sandbox.requests].count(429) == 1, "the one that tells the limit"


async def test_what_a_key_is_allowed_is_learnt_in_the_first_minutes_and_everything_is_copied_at_once() -> None:
    account = Account(limits="real", boost=100, size=2500)
    async with account.process() as process:
        await process.use()
        await account.synced(process, hours=5 / 60)
        assert process.store.counts().transcripts == 2500
        assert {request.status for request in account.sandbox.requests} == {200}


async def test_when_other_programs_spend_the_keys_allowance_one_refusal_is_enough() -> None:
    account = Account(limits="real", size=3000)
    async with account.process(running=False) as other:
        for _ in range(50):
            await other.client.list_conversations(limit=1)
    async with account.process() as process:
        await account.clock.sleep(300)
        progress = process.sync.progress()
        assert progress.blocked == "spent"
        assert progress.retry_at is not None
        assert START + timedelta(minutes=59) < progress.retry_at < START + timedelta(minutes=61)
        await account.clock.sleep(3600)
        assert [request.status for request in account.sandbox.requests].count(429) == 1
        assert process.sync.progress().complete


async def test_the_background_leaves_the_last_third_of_every_hour_but_its_last_minute() -> None:
    account = Account(limits="real", size=5500)
    async with account.process() as process:
        most = 0

        def check() -> None:
            nonlocal most
            reads, *_ = process.budget.allowances()
            if reads.closes - account.clock.now().timestamp() > 62:
                most = max(most, reads.spent)

        account.wire.before = check
        await account.clock.sleep(4000)
    assert most == 49, "with the transcripts from which the API's limits are learnt"


async def test_a_read_of_the_user_never_waits_for_the_background() -> None:
    account = Account(size=3000)
    async with account.process() as process:
        await process.use()
        for _ in range(10):
            await account.clock.sleep(0.37)
            began = account.clock.now()
            await process.client.get_conversation("c02999", include_transcript=True)
            assert account.clock.now() - began <= timedelta(seconds=2 * account.wire.latency)


async def test_cancelled_at_any_moment_it_leaves_nothing_half_and_repeats_one_page_at_most(tmp_path: Path) -> None:
    account = Account(size=1000)
    clean = 10 + 40 + 5
    cancellations = 40
    path = tmp_path / "mirror.sqlite3"
    for number in range(cancellations):
        async with account.process(path):
            await account.clock.sleep(0.1 + 0.013 * number)
    async with account.process(path) as process:
        await account.synced(process)
        assert mirrored(process.store) == account.listable()
        assert process.store.counts().transcripts == 1000
    assert account.requests <= clean + cancellations


async def test_a_mirror_damaged_in_the_midst_of_copying_is_copied_from_the_top(tmp_path: Path) -> None:
    account = Account(size=700)
    path = tmp_path / "mirror.sqlite3"
    async with account.process(path) as process:
        await account.until(lambda: process.store.counts().conversations >= 300, every=0.05)
        damage(path)
        await account.synced(process)
        assert mirrored(process.store) == account.listable()


async def test_a_mirror_damaged_while_in_use_is_made_anew_with_a_warning(tmp_path: Path) -> None:
    account = Account(size=150)
    path = tmp_path / "mirror.sqlite3"
    async with account.process(path) as process:
        await process.use()
        await account.synced(process)
        damage(path)
        await account.clock.sleep(120)
        await process.use()
        await account.synced(process)
        assert mirrored(process.store) == account.listable()
        assert process.sync.progress().warnings


async def test_with_a_full_disk_what_is_mirrored_is_served_and_the_sync_lives_on(
    account: Account, process: Process
) -> None:
    with process.database.writing() as connection:
        (pages,) = connection.execute("pragma page_count").fetchone()
        connection.execute(f"pragma max_page_count = {pages}")
    account.sandbox.load(talk(1000 + n, START + timedelta(seconds=n)) for n in range(1, 900))
    await account.clock.sleep(600)
    await process.use()
    assert process.sync.progress().blocked == "disk"
    assert len(process.store.recent(200, 0)) >= 150
    assert (await process.client.get_conversation("c00149")).id == "c00149"

    with process.database.writing() as connection:
        connection.execute("pragma max_page_count = 1000000")
    await account.clock.sleep(3600)
    await process.use()
    await account.synced(process)
    assert process.sync.progress().blocked is None
    assert mirrored(process.store) == account.listable()


async def test_with_a_full_disk_what_is_read_is_still_known_as_hidden() -> None:
    account = Account(size=3)
    async with account.process(running=False) as process:
        write_through = WriteThrough(process.store, SpeakerNames(process.database, account.clock), account.clock)
        await write_through.keep(account.conversation("c00001"), hidden=True)
        with process.database.writing() as connection:
            connection.execute("pragma query_only = on")
        asked = account.clock.now()
        read = await process.client.get_conversation("c00001")
        assert (await write_through.keep(read, asked=asked)).hidden


async def test_with_a_disk_that_is_full_from_the_start_nothing_is_served_and_it_says_why() -> None:
    account = Account(size=150)
    async with account.process(running=False) as process:
        with process.database.writing() as connection:
            (pages,) = connection.execute("pragma page_count").fetchone()
            connection.execute(f"pragma max_page_count = {pages}")
        await process.use()
        assert process.sync.progress().blocked == "disk"
        assert process.store.recent(10, 0) == []


async def test_three_processes_together_ask_no_more_than_one_and_all_of_them_answer(tmp_path: Path) -> None:
    async def requests(name: str, processes: int) -> int:
        account = Account(limits="real", size=900)
        path = tmp_path / name
        async with anyio.create_task_group() as tasks:
            started = [Process(account, path) for _ in range(processes)]
            for process in started:
                tasks.start_soon(process.run)
            for _ in range(25):
                for process in started:
                    await process.use()
                    assert len(process.store.recent(10, 0)) == 10
                await account.clock.sleep(300)
            for process in started:
                assert process.sync.progress().phase == "idle"
                assert mirrored(process.store) == account.listable()
            tasks.cancel_scope.cancel()
        for process in started:
            await process.close()
        return account.requests

    assert await requests("three", 3) <= 1.05 * await requests("one", 1)


async def test_when_the_process_that_syncs_dies_another_takes_over_within_a_minute(tmp_path: Path) -> None:
    account = Account(size=3000)
    path = tmp_path / "mirror.sqlite3"
    async with account.process(path) as heir:
        dying = Process(account, path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dying.run)
            await account.clock.sleep(1.0)
            dying.database.close()  # from here on it can neither write nor give anything back
            died = account.clock.now()
            known = heir.store.counts().conversations
            await account.until(lambda: heir.store.counts().conversations > known)
            assert account.clock.now() - died <= timedelta(minutes=1)
            tasks.cancel_scope.cancel()
        await dying.client.aclose()
