"""Faults: how a spec reads, when they strike, what the client sees, and what was done behind its back."""

import contextlib
import random
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_kit import CONVERSATIONS, client_of, plain, spoken

from omi_mcp.sandbox import KINDS, ROUTES, Faults, Sandbox

FROM_SEGMENTS = f"{CONVERSATIONS}/from-segments"
BODY = {"text": "We met about the price."}


async def no_sleep(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.fixture(autouse=True)
def hurried(sandbox: Sandbox) -> None:
    sandbox.sleep = no_sleep


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("spec", "error", "kept"),
    [
        ("refuse", httpx.ConnectError, 0),
        ("drop-before", httpx.RemoteProtocolError, 0),
        ("drop-during", httpx.RemoteProtocolError, 1),
        ("drop-after", httpx.RemoteProtocolError, 1),
        ("reset", httpx.ReadError, 1),
        ("hang", httpx.ReadTimeout, 1),
        ("delay=60", httpx.ReadTimeout, 1),
        ("slow=60", httpx.ReadTimeout, 1),
    ],
)
async def test_a_lost_answer_says_nothing_about_what_was_done(
    sandbox: Sandbox, client: httpx.AsyncClient, spec: str, error: type[httpx.TransportError], kept: int
) -> None:
    sandbox.faults = Faults.parse(f"{spec}@create")
    with pytest.raises(error):
        await client.post(CONVERSATIONS, json=BODY)
    await sandbox.settle()
    assert len(sandbox.ids()) == kept
    assert sandbox.requests[-1].status == (200 if spec == "reset" else 0)


@pytest.mark.anyio
async def test_a_request_dropped_on_its_way_is_done_only_later(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    later = anyio.Event()
    sandbox.sleep = lambda seconds: later.wait()
    sandbox.faults = Faults.parse("drop-during=3@create#1")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(CONVERSATIONS, json=BODY)
    assert (await client.get(CONVERSATIONS)).json() == []
    later.set()
    await sandbox.settle()
    assert len((await client.get(CONVERSATIONS)).json()) == 1


@pytest.mark.anyio
async def test_a_delay_and_a_slow_body_within_the_clients_patience_only_take_time(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    sandbox.insert(plain("a"))
    expected = (await client.get(CONVERSATIONS)).content
    sandbox.sleep = sleep
    for spec in ("delay=2", "slow=2"):
        sandbox.faults = Faults.parse(spec)
        assert (await client.get(CONVERSATIONS)).content == expected
        assert sum(slept) == pytest.approx(2)
        slept.clear()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("spec", "body", "status", "detail"),
    [
        ("429=7", BODY, 429, "Rate limit exceeded. Try again in 7s."),
        ("500", BODY, 500, "Error processing conversation, please try again later"),
        ("503", BODY, 503, {"code": "provider_unavailable"}),
        ("503", None, 503, "Rate limiter unavailable"),
    ],
)
async def test_a_status_comes_in_the_services_own_shape_and_nothing_is_done(
    sandbox: Sandbox, client: httpx.AsyncClient, spec: str, body: Any, status: int, detail: Any
) -> None:
    sandbox.faults = Faults.parse(spec)
    answer = await (client.post(CONVERSATIONS, json=body) if body else client.get(CONVERSATIONS))
    assert answer.status_code == status
    found = answer.json()["detail"]
    assert found == detail or found["code"] == detail["code"]
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert sandbox.ids() == []


@pytest.mark.anyio
async def test_a_500_of_a_read_is_plain_text(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults = Faults.parse("500")
    answer = await client.get(CONVERSATIONS)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


@pytest.mark.anyio
async def test_a_504_is_empty_and_does_not_stop_the_work(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults = Faults.parse("504@segments")
    answer = await client.post(FROM_SEGMENTS, json={"transcript_segments": [spoken()], "client_session_id": "one"})
    assert (answer.status_code, answer.content) == (504, b"")
    assert len(sandbox.ids()) == 1


@pytest.mark.anyio
async def test_a_truncated_answer_is_well_framed_and_no_json(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    sandbox.faults = Faults.parse("truncate@get")
    answer = await client.get(f"{CONVERSATIONS}/a")
    assert answer.headers["content-length"] == str(len(answer.content))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


@pytest.mark.anyio
async def test_a_gateways_page_comes_instead_of_the_answer(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults = Faults.parse("html@list")
    answer = await client.get(CONVERSATIONS)
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.anyio
async def test_a_right_answer_may_have_the_wrong_content_type(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults = Faults.parse("mistype@list")
    answer = await client.get(CONVERSATIONS)
    assert answer.json() == []
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.anyio
async def test_a_client_that_gives_up_does_not_stop_the_service(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    thinking = anyio.Event()
    sandbox.pause = thinking.wait
    with anyio.move_on_after(0.01):
        await client.post(CONVERSATIONS, json=BODY)
    assert sandbox.ids() == []
    thinking.set()
    await sandbox.settle()
    assert len(sandbox.ids()) == 1


@pytest.mark.anyio
async def test_a_rule_strikes_its_routes_and_no_others(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    sandbox.faults = Faults.parse("503@update+segments, 500@list")
    assert (await client.get(CONVERSATIONS)).status_code == 500
    assert (await client.get(f"{CONVERSATIONS}/a")).status_code == 200
    assert (await client.get("/v1/dev/user/folders")).status_code == 200
    assert (await client.patch(f"{CONVERSATIONS}/a", json={"title": "x"})).status_code == 503
    assert (await client.delete(f"{CONVERSATIONS}/a")).status_code == 200
    assert (await client.post(CONVERSATIONS, json=BODY)).status_code == 200


@pytest.mark.anyio
async def test_a_rule_with_a_count_strikes_so_often_and_then_the_next_one_does(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.faults = Faults.parse("500#2, 503#1")
    statuses = [(await client.get(CONVERSATIONS)).status_code for _ in range(4)]
    assert statuses == [500, 500, 503, 200]


@pytest.mark.anyio
async def test_the_same_seed_replays_the_same_faults() -> None:
    async def statuses(seed: int) -> list[int]:
        with Sandbox(seed=seed) as sandbox:
            sandbox.faults = Faults.parse("500*0.3, 503*0.3")
            async with client_of(sandbox) as client:
                return [(await client.get(CONVERSATIONS)).status_code for _ in range(40)]

    first = await statuses(1)
    assert set(first) == {200, 500, 503}
    assert await statuses(1) == first
    assert await statuses(2) != first


@given(rate=st.floats(0, 1), seed=st.integers(0, 1000))
def test_the_rate_is_the_share_of_requests_that_are_struck(rate: float, seed: int) -> None:
    faults, rng = Faults.parse(f"500*{rate:.3f}"), random.Random(seed)
    struck = sum(faults.pick("GET", CONVERSATIONS, rng) is not None for _ in range(400))
    assert struck / 400 == pytest.approx(rate, abs=0.15)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("explode", "expected kind"),
        ("500@nowhere", "unknown route 'nowhere'"),
        ("500=3", "takes no number"),
        ("500*2", "probability"),
        ("500, delay=-1", "'delay=-1'"),
        ("500#", "expected kind"),
    ],
)
def test_a_rule_that_does_not_fit_is_named(spec: str, reason: str) -> None:
    with pytest.raises(ValueError, match="fault '") as refused:
        Faults.parse(spec)
    assert reason in str(refused.value)


@given(st.text(max_size=40))
def test_any_spec_is_either_read_or_refused_with_a_value_error(spec: str) -> None:
    with contextlib.suppress(ValueError):
        Faults.parse(spec)


@given(
    st.sampled_from(KINDS), st.sampled_from(sorted({*ROUTES, "reads", "writes"})), st.floats(0, 1), st.integers(0, 99)
)
def test_every_kind_and_route_can_be_written(kind: str, route: str, rate: float, times: int) -> None:
    Faults.parse(f" {kind}@{route}*{rate:.2f}#{times} ,")


def test_an_empty_spec_is_no_fault() -> None:
    assert Faults.parse("").pick("GET", CONVERSATIONS, random.Random(0)) is None
