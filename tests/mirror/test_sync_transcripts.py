"""Transcripts: in few requests, newest first, and none that fails keeps back the others."""

from datetime import datetime

import httpx
import pytest
from sync_kit import Account, Process, holding, talk, transcripts
from virtual_time import START

from omi_mcp.mirror.sync.state import Transcripts

pytestmark = pytest.mark.anyio


def with_transcripts(account: Account) -> int:
    """How many requests asked for transcripts."""
    return sum(request.query.get("include_transcript") == "true" for request in account.sandbox.requests)


async def test_those_that_lie_together_come_25_for_one_request_the_newest_first() -> None:
    account = Account(size=200)
    async with account.process() as process:
        await account.until(lambda: process.store.counts().transcripts >= 50, every=0.05)
        assert [each for each, _ in process.store.pending_transcripts(1)] == ["c00050"]
        await account.synced(process)
        assert with_transcripts(account) == 8


@holding(size=200)
async def test_a_single_one_is_read_by_itself(account: Account, process: Process) -> None:
    account.sandbox.insert(talk(900, account.clock.now()))
    await account.clock.sleep(120)
    await process.use()
    await account.synced(process)
    assert account.sandbox.requests[-1].path.endswith("/c00900")


async def test_a_conversation_without_speech_is_asked_for_once() -> None:
    account = Account()
    account.sandbox.insert({"id": "note", "started_at": START.isoformat(), "segments": []})
    async with account.copied() as process:
        stored = process.store.get("note")
        assert stored is not None
        assert stored.transcript == "none"
        assert with_transcripts(account) == 1


async def test_transcripts_that_stay_null_when_asked_for_count_as_none() -> None:
    account = Account(size=30)

    def without(request: httpx.Request) -> httpx.Response | None:
        if request.url.params.get("include_transcript") != "true":
            return None
        rows = [account.sandbox.record(each) | {"transcript_segments": None} for each in account.sandbox.ids()]
        return httpx.Response(200, json=rows[:25])

    async with account.process() as process:
        account.wire.instead = without
        await account.until(lambda: process.store.counts().transcripts >= 25, every=0.1)


async def test_what_has_gone_meanwhile_is_noticed_and_keeps_nothing_back() -> None:
    account = Account(size=60)
    gone = ["c00003", "c00004", "c00024", "c00025", "c00059"]
    async with account.process() as process:
        await account.until(lambda: process.store.counts().conversations == 60, every=0.05)
        for each in gone:
            account.sandbox.delete(each)
        await account.until(lambda: process.store.counts().pending == 0, every=1)
        assert process.store.counts().transcripts == 55
        assert all(process.store.get(each) is None for each in gone)
        assert with_transcripts(account) <= 3 + len(gone)


async def test_a_whole_window_that_has_gone_is_got_over() -> None:
    account = Account(size=60)
    async with account.process() as process:
        await account.until(lambda: process.store.counts().conversations == 60, every=0.05)
        for number in range(40):
            account.sandbox.delete(f"c{number:05}")
        await account.until(lambda: process.store.counts().pending == 0, hours=8, every=60)
        assert process.store.counts().transcripts == 20


@pytest.mark.parametrize("fault", [httpx.Response(500, text="Internal Server Error"), httpx.Response(200, text="[{")])
async def test_a_page_that_fails_is_asked_for_in_smaller_parts(fault: httpx.Response) -> None:
    account = Account(size=60)
    account.wire.instead = lambda request: (
        httpx.Response(fault.status_code, text=fault.text)
        if request.url.params.get("include_transcript") == "true" and int(request.url.params.get("limit", "1")) > 6
        else None
    )
    async with account.process() as process:
        await account.until(lambda: process.store.counts().pending == 0 < process.store.counts().conversations, hours=3)
        assert process.store.counts().transcripts == 60


async def test_one_that_fails_every_way_is_left_for_a_day_and_then_tried_again() -> None:
    account = Account(size=300)
    bad = account.conversation("c00030").created_at
    failures = 0

    def failing(request: httpx.Request) -> httpx.Response | None:
        nonlocal failures
        params = request.url.params
        if params.get("include_transcript") != "true":
            return None
        start, end = (datetime.fromisoformat(params.get(name, "1970-01-01")) for name in ("start_date", "end_date"))
        if not request.url.path.endswith("/c00030") and not ("start_date" in params and start <= bad <= end):
            return None
        failures += 1
        return httpx.Response(500, text="Internal Server Error")

    async with account.process() as process:
        account.wire.instead = failing
        await account.until(lambda: "c00030" in Transcripts.load(process.store).unreadable, hours=20, every=1)
        await account.until(lambda: Transcripts.load(process.store).batch == 25, hours=20, every=1)
        assert process.store.counts().pending > 25
        then = failures
        account.sandbox.insert(talk(900, account.clock.now()))
        await process.use()
        await account.until(lambda: process.store.counts().transcripts == 300, hours=20, every=60)
        await account.clock.sleep(6 * 3600)
        assert failures == then
        account.wire.instead = lambda request: None
        await account.clock.sleep(86_400)
        assert transcripts(process.store, ["c00030"]) == {"c00030": ["We counted 30 things here."]}
