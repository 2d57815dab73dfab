"""The service's own search by meaning, in time: how long it is waited for, and how long it is left alone."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sync_kit import Account, Process, holding, talk
from virtual_time import START

from omi_mcp.mirror.search import MeaningSearch
from omi_mcp.mirror.types import Filters, Match, Progress

pytestmark = [pytest.mark.anyio, holding(size=0)]

SEARCH = "/v1/dev/user/conversations/search"


def asked(account: Account) -> int:
    return sum(request.path == SEARCH for request in account.sandbox.requests)


async def found(
    meaning: MeaningSearch, process: Process, progress: Progress | None = None, hidden: tuple[str, ...] = ()
) -> list[str]:
    matches: tuple[Match, ...]
    matches, _ = await meaning.search("physician", Filters(), (), progress or process.sync.progress(), hidden)
    return [match.stored.conversation.id for match in matches]


async def test_a_slow_answer_is_not_waited_for_and_it_is_left_alone_for_a_while(account: Account) -> None:
    account.sandbox.load([talk(1, title="At the clinic")])
    async with account.copied() as process:
        meaning = MeaningSearch(process.client, process.store, account.clock)
        assert await found(meaning, process) == ["c00001"]
        account.wire.latency = 100
        before = account.clock.now()
        assert await found(meaning, process) == []
        assert account.clock.now() - before < timedelta(seconds=8)
        account.wire.latency = 0.2
        assert await found(meaning, process) == []
        await account.clock.sleep(timedelta(minutes=11).total_seconds())
        assert await found(meaning, process) == ["c00001"]


async def test_a_service_without_it_is_left_alone_for_a_day_also_by_the_next_process(account: Account) -> None:
    absent = httpx.Response(404, json={"detail": "Conversation not found"})
    account.sandbox.load([talk(1, title="At the clinic")])
    seen = []
    account.wire.instead = lambda request: (seen.append(request) or absent) if request.url.path == SEARCH else None
    async with account.copied() as process:
        for hours, requests in ((0, 1), (23, 1), (2, 2)):
            await account.clock.sleep(timedelta(hours=hours).total_seconds())
            meaning = MeaningSearch(process.client, process.store, account.clock)
            assert await found(meaning, process) == []
            assert len(seen) == requests


async def test_what_the_copy_has_not_reached_is_found_and_what_it_has_passed_over_is_not(account: Account) -> None:
    account.sandbox.load([talk(1), talk(200)])
    async with account.process() as process:
        await process.use()
        account.sandbox.load([talk(50, title="At the clinic"), talk(300, title="At the clinic")])
        account.sandbox.load([talk(400, title="At the clinic")])
        meaning = MeaningSearch(process.client, process.store, account.clock)
        progress = replace(process.sync.progress(), oldest=START - timedelta(hours=100))
        assert await found(meaning, process, replace(progress, complete=True)) == []
        assert await found(meaning, process, replace(progress, complete=False), ("c00400",)) == ["c00300"]
        assert process.store.present(["c00050", "c00400"]) == set()
        account.sandbox.discard("c00300")
        process.store.set_hidden("c00300", True)
        assert await found(meaning, process, replace(progress, complete=False)) == ["c00400"]


async def test_nothing_is_asked_where_nothing_can_be(account: Account) -> None:
    async with account.copied() as process:
        meaning = MeaningSearch(process.client, process.store, account.clock)
        for obstacle in ("spent", "key", "scope", "offline"):
            assert await found(meaning, process, replace(process.sync.progress(), blocked=obstacle)) == []
        assert asked(account) == 0
