"""Which requests are tried again, how often, and how a failure that stays is told."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.connection import ANSWER_LIMIT, REFUSAL_LIMIT, WRITE_DEADLINE
from omi_mcp.api.drafts import SegmentDraft, draft_segments, draft_text
from omi_mcp.api.errors import AnswerLost, BudgetSpent, Conflict, RateLimited, ServerFault, Unreachable
from omi_mcp.database import Database

pytestmark = pytest.mark.anyio

NOTHING_SENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"), httpx.ProxyError("x")]
PERHAPS_SENT = [
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.ReadError("x"),
    httpx.WriteError("x"),
    httpx.RemoteProtocolError("x"),
    OSError("x"),
    TimeoutError("x"),
]
WRITES = ["create_from_text", "create_from_segments", "update", "delete"]


def named(error: Exception) -> str:
    return type(error).__name__


async def write(client: OmiClient, verb: str, clock: Any) -> None:
    match verb:
        case "create_from_text":
            await client.create_from_text(draft_text("Hi", now=clock.now()))
        case "create_from_segments":
            await client.create_from_segments(draft_segments([SegmentDraft("Hi", 0, 1)], now=clock.now()))
        case "update":
            await client.update("c1", title="t")
        case "delete":
            await client.delete("c1")


class Broken(httpx.AsyncByteStream):
    """A body that begins, and then the connection breaks."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"id": "c1", '
        raise httpx.ReadError("broken")


@pytest.mark.parametrize("failure", [*NOTHING_SENT, *PERHAPS_SENT], ids=named)
async def test_a_read_survives_two_failures(client: OmiClient, upstream: Any, clock: Any, failure: Exception) -> None:
    upstream.answer(failure, failure, httpx.Response(200, json=[]))
    await client.list_conversations()
    assert len(upstream.requests) == 3
    assert all(0 < pause < 3 for pause in clock.slept)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_read_survives_a_passing_fault_of_the_service(client: OmiClient, upstream: Any, status: int) -> None:
    upstream.answer(httpx.Response(status), httpx.Response(200, json=[]))
    await client.list_conversations()
    assert len(upstream.requests) == 2


async def test_a_read_survives_an_answer_that_breaks_off(client: OmiClient, upstream: Any, conversation: Any) -> None:
    upstream.answer(httpx.Response(200, stream=Broken()), httpx.Response(200, json=conversation))
    assert (await client.get_conversation("c1")).id == "c1"


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError("x"), Unreachable),
        (httpx.ReadTimeout("x"), AnswerLost),
        (httpx.Response(503), ServerFault),
    ],
)
async def test_a_failure_that_stays_is_raised_after_three_tries(
    client: OmiClient, upstream: Any, failure: Any, error: type[Exception]
) -> None:
    upstream.answer(failure)
    with pytest.raises(error):
        await client.folders()
    assert len(upstream.requests) == 3


async def test_no_try_begins_when_the_first_ones_took_long(client: OmiClient, upstream: Any, clock: Any) -> None:
    upstream.answer(httpx.ReadTimeout("x"))
    upstream.meanwhile = lambda: clock.advance(20)
    with pytest.raises(AnswerLost, match="in time"):
        await client.folders()
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 409, 418, 422, 501])
async def test_a_refusal_is_not_tried_again(client: OmiClient, upstream: Any, status: int) -> None:
    upstream.answer(httpx.Response(status))
    with pytest.raises(Exception, match=str(status)):
        await client.folders()
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("failure", NOTHING_SENT, ids=named)
async def test_a_write_that_was_not_sent_is_tried_again(
    client: OmiClient, upstream: Any, clock: Any, verb: str, failure: Exception
) -> None:
    upstream.answer(failure)
    with pytest.raises(Unreachable):
        await write(client, verb, clock)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("failure", PERHAPS_SENT, ids=named)
async def test_a_write_that_may_have_arrived_is_never_sent_twice(
    client: OmiClient, upstream: Any, clock: Any, verb: str, failure: Exception
) -> None:
    upstream.answer(failure)
    with pytest.raises(AnswerLost):
        await write(client, verb, clock)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("verb", WRITES)
async def test_a_write_whose_answer_breaks_off_is_never_sent_twice(
    client: OmiClient, upstream: Any, clock: Any, verb: str
) -> None:
    upstream.answer(httpx.Response(200, stream=Broken()))
    with pytest.raises(AnswerLost):
        await write(client, verb, clock)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    ("status", "error"),
    [(409, Conflict), (429, RateLimited), (500, ServerFault), (503, ServerFault), (504, ServerFault)],
)
async def test_a_write_that_was_answered_is_never_sent_twice(
    client: OmiClient, upstream: Any, clock: Any, verb: str, status: int, error: type[Exception]
) -> None:
    upstream.answer(httpx.Response(status, headers={"Retry-After": "1"}))
    with pytest.raises(error):
        await write(client, verb, clock)
    assert len(upstream.requests) == 1


async def test_a_short_retry_after_is_waited_for(client: OmiClient, upstream: Any, clock: Any, budget: Any) -> None:
    upstream.answer(httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(200, json=[]))
    await client.folders()
    assert len(clock.slept) == 1
    assert clock.slept[0] >= 3
    assert [(buckets, error.retry_after) for buckets, error in budget.refusals] == [(("reads",), 3)]


async def test_a_short_retry_after_is_waited_for_as_long_as_the_ledger_wants(upstream: Any, clock: Any) -> None:
    database = Database(None)
    client = OmiClient("https://api.test", "omi_dev_a", clock=clock, budget=Budget(database, clock), transport=upstream)
    upstream.answer(httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(200, json=[]))
    await client.folders()
    assert len(upstream.requests) == 2
    await client.aclose()
    database.close()


@pytest.mark.parametrize("headers", [{"Retry-After": "4"}, {"Retry-After": "3600"}, {}])
async def test_a_long_or_unknown_retry_after_is_told_at_once(
    client: OmiClient, upstream: Any, clock: Any, budget: Any, headers: dict[str, str]
) -> None:
    upstream.answer(httpx.Response(429, headers=headers))
    with pytest.raises(RateLimited):
        await client.folders()
    assert clock.slept == []
    assert len(budget.refusals) == 1


async def test_every_try_is_booked_and_given_back_when_nothing_was_sent(
    client: OmiClient, upstream: Any, budget: Any
) -> None:
    upstream.answer(httpx.ConnectError("x"))
    with pytest.raises(Unreachable):
        await client.folders(background=True)
    assert budget.booked == [(("reads",), True)] * 3
    assert budget.given_back == [("reads",)] * 3


async def test_a_try_that_may_have_arrived_stays_booked(client: OmiClient, upstream: Any, budget: Any) -> None:
    upstream.answer(httpx.ReadTimeout("x"))
    with pytest.raises(AnswerLost):
        await client.folders()
    assert len(budget.booked) == 3
    assert budget.given_back == []


async def test_a_spent_budget_stops_the_first_try(client: OmiClient, upstream: Any, budget: Any) -> None:
    budget.allowance = 0
    with pytest.raises(BudgetSpent):
        await client.folders()
    assert upstream.requests == []


async def test_a_budget_spent_between_tries_leaves_the_failure_to_tell(
    client: OmiClient, upstream: Any, budget: Any
) -> None:
    budget.allowance = 1
    upstream.answer(httpx.Response(503))
    with pytest.raises(ServerFault):
        await client.folders()


class Endless(httpx.AsyncByteStream):
    """A body that hangs after its first bytes, or never ends; knows whether it was closed."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.closed = False
        self.sent = 0
        self.begun = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 2**20
            yield b" " * 2**20
            self.begun.set()
            if self.hangs:
                await anyio.sleep_forever()

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("status", "error", "limit"), [(200, AnswerLost, ANSWER_LIMIT), (500, ServerFault, REFUSAL_LIMIT)]
)
async def test_an_endless_body_is_cut_off_and_closed(
    client: OmiClient, upstream: Any, clock: Any, status: int, error: type[Exception], limit: int
) -> None:
    body = Endless(hangs=False)
    upstream.answer(httpx.Response(status, stream=body))
    with anyio.fail_after(5), pytest.raises(error):
        await write(client, "update", clock)
    assert body.closed
    assert limit < body.sent <= limit + 2**21


async def test_a_cancelled_call_closes_its_response(client: OmiClient, upstream: Any) -> None:
    body = Endless(hangs=True)
    upstream.answer(httpx.Response(200, stream=body))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get_conversation, "c1")
            await body.begun.wait()
            tasks.cancel_scope.cancel()
    assert body.closed


async def test_an_answer_in_an_encoding_that_was_not_asked_for_is_lost(
    client: OmiClient, upstream: Any, conversation: Any
) -> None:
    upstream.answer(httpx.Response(200, headers={"Content-Encoding": "gzip, gzip"}, content=b"x"))
    with pytest.raises(AnswerLost):
        await client.get_conversation("c1")


async def test_a_refusal_counts_even_when_its_body_is_lost(client: OmiClient, upstream: Any, clock: Any) -> None:
    upstream.answer(httpx.Response(409, stream=Broken()))
    with pytest.raises(Conflict):
        await write(client, "create_from_segments", clock)


async def test_reads_are_given_less_time_than_writes(client: OmiClient, upstream: Any, clock: Any) -> None:
    upstream.answer(httpx.Response(200, json=[]))
    await client.folders()
    upstream.answer(httpx.Response(200, json={"success": True}))
    await write(client, "delete", clock)
    read, write_ = (request.extensions["timeout"] for request in upstream.requests)
    assert (read["connect"], read["read"]) == (10, 20)
    assert (write_["connect"], write_["read"]) == (10, 130)
    assert write_["read"] < WRITE_DEADLINE
