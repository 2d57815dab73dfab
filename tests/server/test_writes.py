"""A lost answer never becomes a second conversation, a wrong claim or a dead server. All in virtual time."""

import json
import os
import random
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hosting import call, refusal, segments_of, talk, text_of
from mcp import Client
from mcp.types import CallToolResult
from virtual_time import START, VirtualLoop
from writing_kit import TOOLS, Account, create, outcome, said

from omi_mcp.database import Database
from omi_mcp.writes.journal import Entry, Journal

pytestmark = pytest.mark.anyio

both = pytest.mark.parametrize("tool", TOOLS)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    account = Account(tmp_path)
    yield account
    account.sandbox.close()


@both
@pytest.mark.parametrize(
    "fault", ["drop-during=100", "drop-after", "reset", "hang", "504", "truncate", "html", "delay=90"]
)
async def test_what_was_saved_is_found_however_its_answer_got_lost(account: Account, tool: str, fault: str) -> None:
    account.break_down(f"{fault}@create+segments#1")
    async with account.server() as client:
        answer = json.loads(await outcome(account, client, tool, **create(tool, "the lighthouse")))
    await account.sandbox.settle()
    assert account.saved() == [answer["id"]]
    assert account.sent("POST") <= 4


@both
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_answer_that_took_two_requests_says_so(account: Account, tool: str, mode: str) -> None:
    account.break_down("drop-after@create+segments#1")
    async with account.server(mode) as client:
        answer = await call(client, tool, **create(tool, "the lighthouse"))
    assert "asked again, the conversation exists, once" in answer["note"]


async def test_a_lost_text_is_not_sent_again_while_the_service_can_be_at_work_on_it(account: Account) -> None:
    account.break_down("drop-before@create#1")
    async with account.server() as client:
        for _ in range(2):
            assert "Not finished yet" in await said(client, "create_from_text", text="Notes about the lighthouse.")
        assert account.sent("POST") == 1
        await account.clock.sleep(60)
        answer = await call(client, "create_from_text", text="Notes about the lighthouse.")
    assert account.saved() == [answer["id"]]
    assert account.sent("POST") == 2


@pytest.mark.parametrize("fault", ["500", "503"])
async def test_when_the_service_itself_says_that_it_failed_nobody_waits_for_long(account: Account, fault: str) -> None:
    account.break_down(f"{fault}@create#1")
    async with account.server() as client:
        began = account.clock.now()
        assert "Nothing was created" in await refusal(client, "create_from_text", text="Notes about the lighthouse.")
        assert account.clock.now() - began < timedelta(seconds=15)
        answer = await call(client, "create_from_text", text="Notes about the lighthouse.")
    assert account.saved() == [answer["id"]]


async def test_segments_that_the_service_keeps_failing_on_are_not_created(account: Account) -> None:
    account.break_down("500@segments")
    async with account.server() as client:
        answer = await refusal(client, "create_from_segments", segments=segments_of("boats"))
    assert "failed on it again and again. Nothing was created" in answer
    assert account.sent("POST") == 3
    assert account.saved() == []


@both
@pytest.mark.parametrize("fault", ["429=600", "refuse#3"])
async def test_what_was_never_sent_is_refused_at_once(account: Account, tool: str, fault: str) -> None:
    account.break_down(fault.replace("429=600", "429=600@writes").replace("refuse", "refuse@writes"))
    async with account.server() as client:
        began = account.clock.now()
        assert "Nothing was created" in await refusal(client, tool, **create(tool, "the lighthouse"))
        assert account.clock.now() - began < timedelta(seconds=5)
    assert account.saved() == []


@both
async def test_the_same_create_within_minutes_returns_the_first(account: Account, tool: str) -> None:
    async with account.server() as client:
        first = await call(client, tool, **create(tool, "the lighthouse"))
        again = await call(client, tool, **create(tool, "the lighthouse"))
        other = await call(client, tool, **create(tool, "the harbour"))
    assert again["id"] == first["id"]
    assert again["status"] == "exists"
    assert "nothing new was created" in again["note"]
    assert account.saved() == sorted([first["id"], other["id"]])


@both
async def test_a_repeat_says_whether_the_first_is_hidden_now(account: Account, tool: str) -> None:
    async with account.server() as client:
        first = await call(client, tool, **create(tool, "the lighthouse"))
        await call(client, "discard", conversation_id=first["id"])
        again = await call(client, tool, **create(tool, "the lighthouse"))
        assert again["discarded"] is True
        assert "It is hidden" in again["note"]
        await call(client, "discard", conversation_id=first["id"], restore=True)
        assert (await call(client, tool, **create(tool, "the lighthouse")))["discarded"] is False


@both
async def test_a_repeat_while_the_first_is_under_way_waits_for_it(account: Account, tool: str) -> None:
    account.break_down("delay=40@writes")
    answers: list[dict[str, Any]] = []
    async with account.server() as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await call(client, tool, **create(tool, "the lighthouse")))

        for _ in range(3):
            tasks.start_soon(ask)
    assert {answer["id"] for answer in answers} == set(account.saved())
    assert sorted(answer["status"] for answer in answers) == ["created", "exists", "exists"]
    assert account.sent("POST") == 1


async def test_a_duplicate_is_made_when_it_is_asked_for(account: Account) -> None:
    async with account.server() as client:
        first = await call(client, "create_from_text", text="Buy milk.")
        second = await call(client, "create_from_text", text="Buy milk.", allow_duplicate=True)
        assert "allow_duplicate" in (await call(client, "create_from_text", text="Buy milk."))["note"]
    assert account.saved() == sorted([first["id"], second["id"]])


async def test_the_same_words_are_a_new_conversation_later_or_at_another_time(account: Account) -> None:
    async with account.server() as client:
        await call(client, "create_from_text", text="Buy milk.")
        await call(client, "create_from_text", text="Buy milk.", started_at="2026-03-01T10:00")
        await account.clock.sleep(660)
        await call(client, "create_from_text", text="Buy milk.")
    assert len(account.saved()) == 3


async def test_the_same_words_of_the_same_time_are_the_same_conversation(account: Account) -> None:
    async with account.server() as client:
        answers = [
            await call(client, "create_from_text", text="Buy milk.", started_at="2026-03-01T10:00") for _ in range(2)
        ]
    assert [answer["id"] for answer in answers] == account.saved() * 2
    assert [answer["status"] for answer in answers] == ["created", "exists"]
    assert account.sent("POST") == 1


async def test_two_servers_of_one_account_make_one_conversation(account: Account) -> None:
    account.break_down("drop-during=30@create#1")
    answers: list[dict[str, Any]] = []
    async with account.server() as one, account.server() as other, anyio.create_task_group() as tasks:

        async def ask(client: Client) -> None:
            answers.append(await call(client, "create_from_text", text="Notes about the lighthouse."))

        tasks.start_soon(ask, one)
        tasks.start_soon(ask, other)
    assert {answer["id"] for answer in answers} == set(account.saved())
    assert sorted(answer["status"] for answer in answers) == ["created", "exists"]


async def test_what_another_server_found_and_hid_is_not_called_missing(account: Account) -> None:
    account.break_down("drop-during=5@create#1")
    answers: list[dict[str, Any]] = []

    async def ask(client: Client) -> None:
        answers.append(await call(client, "create_from_text", text="Notes about the lighthouse."))

    async with account.server() as one, account.server() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, one)
        await account.clock.sleep(6)
        await ask(other)
        await call(other, "discard", conversation_id=answers[0]["id"])
    assert [answer["id"] for answer in answers] == account.saved() * 2


async def test_a_server_does_not_wait_for_what_the_api_refused_to_another(account: Account) -> None:
    account.break_down("delay=20@create#1, 429=1@create#1")

    async def ask(client: Client) -> None:
        await said(client, "create_from_text", text="Notes about the lighthouse.")

    async with account.server() as one, account.server() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, one)
        tasks.start_soon(ask, other)
    assert account.clock.now() - START < timedelta(seconds=60)
    assert len(account.saved()) == 1


@both
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_cancelled_create_is_carried_through_and_its_repeat_returns_it(
    account: Account, tool: str, mode: str
) -> None:
    account.break_down("delay=80@writes#1")
    async with account.server(mode) as client:
        with anyio.move_on_after(30):
            await call(client, tool, **create(tool, "the lighthouse"))
        answer = json.loads(await outcome(account, client, tool, **create(tool, "the lighthouse")))
    assert answer["status"] == "exists"
    assert account.saved() == [answer["id"]]
    assert account.sent("POST") == 1


WRITES: dict[str, dict[str, Any]] = {
    "create_from_text": {"text": "Notes about the lighthouse."},
    "create_from_segments": {"segments": segments_of("the lighthouse")},
    "update_title": {"conversation_id": "harbour", "title": "Night"},
    "discard": {"conversation_id": "harbour"},
    "delete_conversation": {"conversation_id": "harbour", "confirm_title": "About the harbour"},
}


@pytest.mark.parametrize(("mode", "fault"), [("auto", "500"), ("legacy", "drop-before"), ("legacy", "refuse")])
@pytest.mark.parametrize("tool", WRITES)
async def test_nothing_new_is_sent_for_a_write_that_was_cancelled(
    tmp_path: Path, tool: str, mode: str, fault: str
) -> None:
    """Whenever it is cancelled, before, between or after the tries that would be made otherwise."""
    for patience in (0.1, 0.7, 4.0):
        account = Account(tmp_path / str(patience))
        account.sandbox.load([talk("harbour")])
        account.break_down(f"{fault}@writes")
        async with account.server(mode, allow_delete=True) as client:
            with anyio.move_on_after(patience):
                await said(client, tool, **WRITES[tool])
            account.break_down("")
            sent = len(account.sandbox.requests)
            await account.clock.sleep(400)
        assert [request for request in account.sandbox.requests[sent:] if request.method != "GET"] == []
        assert account.saved() == ["harbour"]
        account.sandbox.close()


@both
async def test_who_waited_for_a_cancelled_create_and_was_cancelled_too_posts_nothing(
    account: Account, tool: str
) -> None:
    account.break_down("drop-before@writes")
    async with account.server() as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with anyio.move_on_after(1.5):
                await said(client, tool, **create(tool, "the lighthouse"))

        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await account.clock.sleep(3)
        assert account.sent("POST") == 1
        account.break_down("")
        await account.clock.sleep(400)
        assert account.sent("POST") == 1
        assert account.saved() == []
        answer = await call(client, tool, **create(tool, "the lighthouse"))
    assert account.saved() == [answer["id"]]


@pytest.mark.parametrize("tool", WRITES)
async def test_what_was_out_when_it_was_cancelled_is_finished_and_noted(account: Account, tool: str) -> None:
    account.sandbox.load([talk("harbour")])
    async with account.server(allow_delete=True) as client:
        assert (await call(client, "search_conversations"))["matched"] == 1
        account.break_down("delay=30@writes")
        with anyio.move_on_after(5):
            await said(client, tool, **WRITES[tool])
        await account.clock.sleep(60)
        found = await call(client, "search_conversations")
        if "create" in tool:
            assert len(account.saved()) == 2
            assert (await call(client, tool, **WRITES[tool]))["status"] == "exists"
            assert account.sent("POST") == 1
        elif tool == "update_title":
            assert found["conversations"][0]["title"] == "Night"
        else:
            assert found["matched"] == 0


@both
async def test_a_create_that_takes_the_service_two_minutes_is_told_in_time_and_made_once(
    account: Account, tool: str
) -> None:
    account.break_down("delay=110@writes#1")
    async with account.server() as client:
        began = account.clock.now()
        answer = await refusal(client, tool, **create(tool, "the lighthouse"))
        assert account.clock.now() - began <= timedelta(seconds=45)
        assert "Not finished yet" in answer
        assert "exactly the same call" in answer
        await account.clock.sleep(75)
        told = await call(client, tool, **create(tool, "the lighthouse"))
    assert account.saved() == [told["id"]]
    assert account.sent("POST") == 1


@both
async def test_whoever_asks_for_a_create_whose_answer_never_comes_is_told_of_it_at_once(
    account: Account, tool: str
) -> None:
    account.break_down("slow=900@writes#1")
    async with account.server() as client:
        assert "Not finished yet" in await refusal(client, tool, **create(tool, "the lighthouse"))
        began = account.clock.now()
        told = await call(client, tool, **create(tool, "the lighthouse"))
        assert account.clock.now() - began < timedelta(seconds=2)
    assert account.saved() == [told["id"]]


async def test_lost_segments_are_looked_for_before_they_are_sent_again(account: Account) -> None:
    account.break_down("drop-after@segments")
    async with account.server() as client:
        began = account.clock.now()
        answer = await call(
            client, "create_from_segments", segments=segments_of("boats"), started_at="2026-01-05T10:00"
        )
        assert account.clock.now() - began < timedelta(seconds=5)
    assert account.saved() == [answer["id"]]
    assert account.sent("POST") == 1
    assert account.sandbox.record(answer["id"])["started_at"].startswith("2026-01-05T09:00:00")


SLOW: dict[str, tuple[str, dict[str, Any]]] = {
    **{tool: ("delay=100@writes, delay=14@reads", arguments) for tool, arguments in WRITES.items()},
    "search_conversations": ("slow=150@reads", {"query": "lighthouse"}),
    "get_conversation": ("slow=150@reads", {"conversation_id": "harbour"}),
}


@pytest.mark.parametrize(("mode", "mirror"), [("auto", "memory"), ("legacy", "disk")])
@pytest.mark.parametrize("tool", SLOW)
async def test_every_tool_answers_before_a_host_gives_up(account: Account, tool: str, mode: str, mirror: str) -> None:
    account.sandbox.load([talk("harbour")])
    fault, arguments = SLOW[tool]
    account.break_down(fault)
    heard: list[float] = []

    async def progress(seconds: float, total: float | None, message: str | None) -> None:
        heard.append(seconds)

    async with account.server(mode, allow_delete=True, mirror=mirror) as client:
        began = account.clock.now()
        result = await client.call_tool(tool, arguments, progress_callback=progress)
        assert account.clock.now() - began <= timedelta(seconds=46)
    assert any(words in text_of(result) for words in ("again", "not copied yet", "slow"))
    assert heard == sorted(set(heard))
    assert heard[0] == 10


@both
async def test_who_was_cancelled_may_ask_again_late(account: Account, tool: str) -> None:
    account.break_down("delay=80@writes#1")
    async with account.server() as client:
        with anyio.move_on_after(30):
            await call(client, tool, **create(tool, "the lighthouse"))
        await account.clock.sleep(7200)
        answer = await call(client, tool, **create(tool, "the lighthouse"))
    assert account.saved() == [answer["id"]]
    assert account.sent("POST") == 1


@both
async def test_a_server_stopped_in_the_middle_finds_its_create_after_the_restart(account: Account, tool: str) -> None:
    account.break_down("delay=30@writes#1")
    async with account.server() as client:
        with anyio.move_on_after(5):
            await call(client, tool, **create(tool, "the lighthouse"))
    assert account.saved() == []
    async with account.server() as client:
        answer = await call(client, tool, **create(tool, "the lighthouse"))
    assert account.saved() == [answer["id"]]


async def test_a_server_killed_before_its_answer_left_finds_its_create_late(account: Account, tmp_path: Path) -> None:
    when_killed = tmp_path.with_name(f"{tmp_path.name}-when-killed")
    async with account.server() as client:
        first = await call(client, "create_from_text", text="Buy milk.")
        shutil.copytree(tmp_path, when_killed)
    await account.clock.sleep(1200)
    async with account.server(data_dir=when_killed) as client:
        again = await call(client, "create_from_text", text="Buy milk.")
    assert again["id"] == first["id"]


async def test_what_a_killed_server_left_open_is_settled_without_being_asked(account: Account, tmp_path: Path) -> None:
    account.sandbox.load([talk("harbour", started_at=(START + timedelta(microseconds=7)).isoformat())])
    async with account.server() as client:
        await call(client, "search_conversations")
        (mirror,) = tmp_path.glob("mirror-*.sqlite3")
        database = Database(mirror.with_name(mirror.name.replace("mirror", "account")))
        journal = Journal(database, account.clock)
        journal.book(Entry("found", START + timedelta(microseconds=7), account.clock.now()), again=False)
        journal.book(Entry("never", START + timedelta(microseconds=8), account.clock.now()), again=False)
    async with account.server() as client:
        await call(client, "search_conversations")
        assert len(journal.open()) == 2
        await account.clock.sleep(1200)
        assert journal.open() == []
        found = journal.earlier("found")
        assert found is not None
        assert found.receipt is not None
        assert found.receipt.id == "harbour"
        assert journal.earlier("never") is None
    database.close()


async def test_an_impatient_host_uses_up_no_allowance_for_what_a_killed_server_left_open(
    account: Account, tmp_path: Path
) -> None:
    when_killed = tmp_path.with_name(f"{tmp_path.name}-when-killed")
    account.break_down("drop-before@create#1")
    async with account.server() as client, anyio.create_task_group() as tasks:
        await call(client, "search_conversations")
        tasks.start_soon(partial(said, client, "create_from_text", text="Buy milk."))
        await account.clock.sleep(0.5)
        shutil.copytree(tmp_path, when_killed)
        tasks.cancel_scope.cancel()
    asked = account.sent("GET")
    async with account.server(data_dir=when_killed) as client:
        answer = ""
        while not answer or "Not finished yet" in answer:
            with anyio.move_on_after(12):
                answer = await said(client, "create_from_text", text="Buy milk.")
    assert account.saved() == [json.loads(answer)["id"]]
    assert account.sent("GET") - asked <= 25


async def test_when_the_api_cannot_be_asked_the_same_call_settles_it_later(account: Account) -> None:
    account.break_down("drop-after@create#1, 503@list")
    async with account.server() as client:
        answer = await refusal(client, "create_from_text", text="Notes about the lighthouse.")
        assert "may or may not exist" in answer
        assert "exactly the same call again" in answer
        account.break_down("")
        await account.clock.sleep(3600)
        answer = await call(client, "create_from_text", text="Notes about the lighthouse.")
    assert account.saved() == [answer["id"]]


async def test_an_unknown_duplicate_is_settled_by_the_call_that_is_named(account: Account) -> None:
    async with account.server() as client:
        first = await call(client, "create_from_text", text="Buy milk.")
        account.break_down("drop-after@create#1, 503@list")
        answer = await refusal(client, "create_from_text", text="Buy milk.", allow_duplicate=True)
        assert "the same call without allow_duplicate" in answer
        account.break_down("")
        second = await call(client, "create_from_text", text="Buy milk.")
    assert second["id"] != first["id"]
    assert account.saved() == sorted([first["id"], second["id"]])


async def test_segments_that_never_got_an_answer_are_settled_by_the_same_call(account: Account) -> None:
    account.break_down("drop-after@segments")
    async with account.server() as client:
        account.break_down("drop-after@segments, 503@list")
        assert "may or may not exist" in await refusal(client, "create_from_segments", segments=segments_of("boats"))
        account.break_down("")
        answer = await call(client, "create_from_segments", segments=segments_of("boats"))
    assert account.saved() == [answer["id"]]


async def test_segments_that_cannot_be_sent_again_are_not_said_to_be_missing(account: Account) -> None:
    account.break_down("delay=20@segments#1, refuse@segments")
    async with account.server() as client:
        with anyio.move_on_after(5):
            await call(client, "create_from_segments", segments=segments_of("boats"))
    async with account.server() as client:
        answer = await refusal(client, "create_from_segments", segments=segments_of("boats"))
    assert "Nothing was created by this call" in answer


async def test_a_spent_read_allowance_is_named_instead_of_waited_for(account: Account) -> None:
    account.break_down("drop-after@create#1, 429=1500@list")
    async with account.server() as client:
        began = account.clock.now()
        answer = await refusal(client, "create_from_text", text="Notes about the lighthouse.")
        assert re.search(r"in 2[56] minutes", answer)
        assert account.clock.now() - began < timedelta(seconds=5)


async def test_a_key_that_cannot_read_is_not_asked_in_vain(account: Account) -> None:
    account.break_down("drop-after@create#1")
    async with account.server(api_key=account.sandbox.issue_key("conversations:write")) as client:
        began = account.clock.now()
        assert "may or may not exist" in await refusal(client, "create_from_text", text="Notes about the boat.")
        assert account.clock.now() - began < timedelta(seconds=5)


class Unfiltered(httpx.AsyncBaseTransport):
    """To an API that lists everything, whatever dates are asked for."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for name in ("start_date", "end_date"):
            request.url = request.url.copy_remove_param(name)
        return await self._inner.handle_async_request(request)


async def test_an_api_that_ignores_the_instant_does_not_pass_off_another_conversation(account: Account) -> None:
    account.sandbox.load([talk("harbour"), talk("kitchen")])
    account.break_down("drop-before@create#1")
    async with account.server(transport=Unfiltered(account.sandbox.transport())) as client:
        assert "Not finished yet" in await refusal(client, "create_from_text", text="Notes about the lighthouse.")


async def test_an_api_that_ignores_the_instant_and_has_more_to_list_cannot_tell(account: Account) -> None:
    account.sandbox.load([talk(f"harbour {number}", words={}, minutes=1) for number in range(120)])
    account.break_down("drop-after@create#1")
    async with account.server(transport=Unfiltered(account.sandbox.transport())) as client:
        answer = await refusal(client, "create_from_text", text="Notes of old.", started_at="2019-05-01T10:00")
    assert "may or may not exist" in answer


async def test_a_recording_that_is_still_processed_is_told_as_such(account: Account) -> None:
    async with account.server() as client:
        answer = await call(client, "create_from_segments", segments=segments_of("boats"), source="desktop")
        assert answer["status"] == "processing"
        assert "still working on it" in answer["note"]
        account.sandbox.complete_late(answer["id"])
        again = await call(client, "create_from_segments", segments=segments_of("boats"), source="desktop")
    assert again["id"] == answer["id"]
    assert again["status"] != "processing"


async def test_two_servers_sending_the_same_segments_wait_for_each_other(account: Account) -> None:
    answers: list[dict[str, Any]] = []
    account.sandbox.pause = lambda: anyio.sleep(10)

    async def ask(client: Client) -> None:
        answers.append(await call(client, "create_from_segments", segments=segments_of("boats")))

    async with account.server() as one, account.server() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, one)
        await account.clock.sleep(1)
        tasks.start_soon(ask, other)
    assert [answer["id"] for answer in answers] == account.saved() * 2
    assert "processing" not in [answer["status"] for answer in answers]


async def test_a_host_is_told_that_a_long_create_goes_on(account: Account) -> None:
    account.break_down("delay=55@create")
    heard: list[float] = []

    async def progress(seconds: float, total: float | None, message: str | None) -> None:
        heard.append(seconds)

    async with account.server("legacy") as client:
        await client.call_tool("create_from_text", {"text": "Notes."}, progress_callback=progress)
    assert heard == [10, 20, 30, 40]


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "500", "drop-during"])
async def test_a_rename_is_confirmed_by_a_read_or_a_repeat(account: Account, fault: str) -> None:
    account.sandbox.load([talk("harbour")])
    account.break_down(f"{fault}@update#1")
    async with account.server() as client:
        answer = await call(client, "update_title", conversation_id="harbour", title=" Night at the harbour ")
        assert answer["title"] == "Night at the harbour"
        found = await call(client, "search_conversations", query='"night at the harbour"')
        assert found["conversations"][0]["title"] == "Night at the harbour"
    assert account.sandbox.record("harbour")["structured"]["title"] == "Night at the harbour"


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "504"])
async def test_hiding_is_repeated_until_it_is_answered(account: Account, fault: str) -> None:
    account.sandbox.load([talk("harbour")])
    account.break_down(f"{fault}@update#1")
    async with account.server() as client:
        await call(client, "discard", conversation_id="harbour")
        assert account.sandbox.record("harbour")["discarded"] is True
        assert (await call(client, "search_conversations"))["matched"] == 0


@pytest.mark.parametrize(("tool", "arguments"), [("update_title", {"title": "Night"}), ("discard", {})])
async def test_a_change_that_nothing_confirms_is_not_claimed(
    account: Account, tool: str, arguments: dict[str, Any]
) -> None:
    account.sandbox.load([talk("harbour")])
    account.break_down("drop-after@update, 503@get")
    async with account.server() as client:
        answer = await refusal(client, tool, conversation_id="harbour", **arguments)
    assert "may or may not have been applied" in answer
    assert account.sent("PATCH") <= 3


async def test_a_cancelled_rename_reaches_the_mirror_too(account: Account) -> None:
    account.sandbox.load([talk("harbour")])
    account.break_down("delay=30@update")
    async with account.server() as client:
        await call(client, "search_conversations")
        with anyio.move_on_after(10):
            await call(client, "update_title", conversation_id="harbour", title="Night")
        await account.clock.sleep(30)
        read = await call(client, "get_conversation", conversation_id="harbour", include_transcript=False)
    assert read["title"] == "Night"


async def test_a_rename_keeps_the_name_of_the_folder(account: Account) -> None:
    account.sandbox.load([talk("harbour", folder="Sailing")])

    class NamelessPatch(httpx.AsyncBaseTransport):
        """OMI API: the answer to a PATCH has the folder's id without its name."""

        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self._inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await self._inner.handle_async_request(request)
            if request.method != "PATCH":
                return response
            return httpx.Response(200, json=json.loads(await response.aread()) | {"folder_name": None})

    async with account.server(transport=NamelessPatch(account.sandbox.transport())) as client:
        assert (await call(client, "search_conversations"))["conversations"][0]["folder"] == "Sailing"
        await call(client, "update_title", conversation_id="harbour", title="Night")
        found = (await call(client, "search_conversations"))["conversations"][0]
    assert (found["title"], found["folder"]) == ("Night", "Sailing")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_nothing_is_sent_that_could_not_be_found_again(account: Account) -> None:
    async with account.server() as client:
        await call(client, "search_conversations")
        with full_disk():
            answer = await refusal(client, "create_from_text", text="Notes about the lighthouse.")
        assert "Nothing was created" in answer
        assert account.saved() == []
        await call(client, "create_from_text", text="Notes about the lighthouse.")
    assert len(account.saved()) == 1


async def test_on_a_full_disk_what_was_done_is_not_called_a_failure(account: Account) -> None:
    account.sandbox.load([talk("harbour")])
    async with account.server() as client:
        await call(client, "search_conversations")
        with full_disk():
            made = await call(client, "create_from_segments", segments=segments_of("boats"))
            renamed = await call(client, "update_title", conversation_id="harbour", title="Night")
    assert made["id"] in account.saved()
    assert renamed["title"] == "Night"
    assert account.sandbox.record("harbour")["structured"]["title"] == "Night"


async def test_a_disk_that_fills_up_while_a_text_is_sent_does_not_make_it_twice(account: Account) -> None:
    account.break_down("delay=5@create")
    async with account.server() as client:
        results: list[CallToolResult] = []

        async def ask() -> None:
            results.append(await client.call_tool("create_from_text", {"text": "Notes about the lighthouse."}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await account.clock.sleep(2)
            with full_disk():
                await account.clock.sleep(20)
        answer = json.loads(text_of(results[0]))
        assert [answer["id"]] == account.saved()
        again = await call(client, "create_from_text", text="Notes about the lighthouse.")
    assert again["id"] == answer["id"]
    assert len(account.saved()) == 1


SEEDS = int(os.environ.get("OMI_TEST_SEEDS", "6"))

TROUBLE = (
    "refuse*0.05, drop-before*0.06, drop-during=20*0.05, drop-during=100*0.03, drop-after*0.08, reset*0.05, hang*0.03, "
    "delay=30*0.05, slow=20*0.05, 429=5*0.04, 500*0.05, 503*0.05, 504*0.05, truncate*0.04, html*0.04, mistype*0.05"
)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_through_random_trouble_every_create_happens_once_and_every_answer_is_true(
    tmp_path: Path, seed: int
) -> None:
    account = Account(tmp_path, seed=seed)
    dice = random.Random(seed)
    subjects = [f"voyage number {number}" for number in range(8)]
    unknown: list[tuple[str, str]] = []

    async def ask(client: Client, tool: str, subject: str) -> None:
        await account.clock.sleep(dice.random() * 60)
        with anyio.move_on_after(dice.choice((60, 100_000))):
            answer = await said(client, tool, **create(tool, subject))
            if "Nothing was created" in answer:
                assert subject not in titles(account)
            elif "may or may not" in answer or "Not finished yet" in answer:
                unknown.append((tool, subject))
            else:
                assert json.loads(answer)["id"] == titles(account)[subject]
                return
        with anyio.move_on_after(dice.choice((60, 100_000))):
            await said(client, tool, **create(tool, subject))

    def title(subject: str, tool: str) -> str:
        return f"Notes about {subject}" if tool == "create_from_text" else f"Tell me again about {subject}, please"

    def titles(account: Account) -> dict[str, str]:
        """Each subject that was saved, with its id; twice is an error."""
        found: dict[str, str] = {}
        for conversation_id in account.saved():
            subject = named[account.sandbox.record(conversation_id)["structured"]["title"]]
            assert subject not in found
            found[subject] = conversation_id
        return found

    chosen = {subject: dice.choice(TOOLS) for subject in subjects}
    named = {title(subject, tool): subject for subject, tool in chosen.items()}
    account.break_down(TROUBLE)
    async with account.server() as client, anyio.create_task_group() as tasks:
        for subject, tool in chosen.items():
            tasks.start_soon(ask, client, tool, subject)
    account.break_down("")
    await account.clock.sleep(60)
    async with account.server() as client:
        waiting = dict(chosen)
        while waiting:
            for subject, tool in list(waiting.items()):
                answer = await outcome(account, client, tool, **create(tool, subject))
                if "may or may not exist" not in answer:  # the hour's reads are used up
                    assert titles(account)[subject] == json.loads(answer)["id"]
                    del waiting[subject]
            await account.clock.sleep(3600)
    assert sorted(titles(account)) == subjects
    account.sandbox.close()
