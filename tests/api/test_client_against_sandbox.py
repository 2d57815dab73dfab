"""The client and the sandbox, written apart from one account of the API, understand each other."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from omi_mcp.api.client import OmiClient
from omi_mcp.api.drafts import SegmentDraft, draft_segments, draft_text
from omi_mcp.api.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    OmiError,
    PaymentRequired,
    RateLimited,
    Rejected,
    ServerFault,
    Unauthorized,
)
from omi_mcp.api.models import CATEGORIES
from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def plain(number: int) -> dict[str, Any]:
    """A plain conversation, one for each hour from `START`."""
    return {
        "id": f"c{number:03d}",
        "started_at": (START + timedelta(hours=number)).isoformat(),
        "segments": [
            {"text": f"Word {number}", "start": 0, "end": 5, "speaker": "Ana"},
            {"text": "Answer", "start": 5, "end": 9, "speaker": "Ben"},
        ],
    }


@pytest.fixture
def sandbox(clock: Any) -> Iterator[Sandbox]:
    with Sandbox(now=clock.now, limits="real") as sandbox:
        sandbox.load(plain(number) for number in range(130))
        yield sandbox


def client_of(sandbox: Sandbox, clock: Any, key: str | None = None) -> OmiClient:
    return OmiClient(
        sandbox.base_url, key or sandbox.key, clock=clock, transport=sandbox.transport(), rng=random.Random(1)
    )


@pytest.fixture
async def client(sandbox: Sandbox, clock: Any) -> AsyncIterator[OmiClient]:
    client = client_of(sandbox, clock)
    yield client
    await client.aclose()


async def test_pages_of_the_list_hold_every_conversation_once(client: OmiClient, sandbox: Sandbox) -> None:
    pages = [await client.list_conversations(offset=offset) for offset in (0, 100, 200)]
    assert [page.received for page in pages] == [100, 30, 0]
    assert [one.id for page in pages for one in page.conversations] == sandbox.ids()
    assert all(one.transcript_segments is None for one in pages[0].conversations)


async def test_a_list_bounded_by_one_exact_instant_finds_one(client: OmiClient) -> None:
    instant = START + timedelta(hours=7)
    page = await client.list_conversations(start=instant, end=instant)
    assert [one.id for one in page.conversations] == ["c007"]


async def test_a_list_with_transcripts_has_them(client: OmiClient) -> None:
    page = await client.list_conversations(limit=25, include_transcript=True)
    assert page.received == 25
    for one in page.conversations:
        assert one.transcript_segments is not None
        assert [segment.text for segment in one.transcript_segments][1] == "Answer"


async def test_every_category_of_ours_is_one_of_the_api(client: OmiClient) -> None:
    await client.list_conversations(categories=CATEGORIES[:30])
    await client.list_conversations(categories=CATEGORIES[30:])
    with pytest.raises(Rejected):
        await client.list_conversations(categories=["romance"])


async def test_one_conversation_is_read_with_and_without_transcript(client: OmiClient) -> None:
    assert (await client.get_conversation("c001")).transcript_segments is None
    read = await client.get_conversation("c001", include_transcript=True)
    assert read.transcript_segments is not None
    assert [segment.text for segment in read.transcript_segments] == ["Word 1", "Answer"]


async def test_a_locked_conversation_is_not_found_by_reading_and_has_its_price_for_writing(
    client: OmiClient, sandbox: Sandbox
) -> None:
    sandbox.lock("c001")
    with pytest.raises(NotFound):
        await client.get_conversation("c001")
    with pytest.raises(PaymentRequired):
        await client.update("c001", title="New")
    with pytest.raises(PaymentRequired):
        await client.delete("c001")


async def test_a_malformed_record_is_a_fault_of_the_service(client: OmiClient, sandbox: Sandbox) -> None:
    sandbox.damage("c001")
    with pytest.raises(ServerFault):
        await client.get_conversation("c001")


async def test_a_text_can_be_created_found_by_its_instant_renamed_hidden_and_deleted(
    client: OmiClient, sandbox: Sandbox, clock: Any
) -> None:
    started = clock.now().replace(microsecond=123457)
    receipt = await client.create_from_text(
        draft_text("We agreed to meet on Friday.", now=clock.now(), started_at=started)
    )
    found = await client.list_conversations(start=started, end=started)
    assert [one.id for one in found.conversations] == [receipt.id]
    assert found.conversations[0].began == started
    assert (await client.update(receipt.id, title=" Friday ")).structured.title == "Friday"
    await client.update(receipt.id, discarded=True)
    assert receipt.id not in sandbox.ids()
    await client.update(receipt.id, discarded=False)
    assert receipt.id in sandbox.ids()
    await client.delete(receipt.id)
    with pytest.raises(NotFound):
        await client.delete(receipt.id)


async def test_the_same_transcript_sent_twice_is_one_conversation_with_its_segments(
    client: OmiClient, sandbox: Sandbox, clock: Any
) -> None:
    segments = [
        SegmentDraft("And who tells the sales team about the new prices?", 4, 7.5, "Ben"),
        SegmentDraft("I think we should raise the prices in April.", 0, 4, "Ana"),
        SegmentDraft("I will do that before the meeting on Monday.", 7.5, 11, "Ana"),
    ]
    before = len(sandbox.ids(listable=False))
    first = await client.create_from_segments(draft_segments(segments, now=clock.now()))
    clock.advance(60)
    second = await client.create_from_segments(draft_segments(segments, now=clock.now()))
    assert first == second
    assert len(sandbox.ids(listable=False)) == before + 1
    read = await client.get_conversation(first.id, include_transcript=True)
    assert read.transcript_segments is not None
    assert [(one.speaker, one.start) for one in read.transcript_segments] == [
        ("Speaker 0", 0),
        ("Speaker 1", 4),
        ("Speaker 0", 7.5),
    ]
    assert read.seconds == 11


async def test_scopes_are_told_and_a_missing_one_is_named(sandbox: Sandbox, clock: Any) -> None:
    client = client_of(sandbox, clock, sandbox.read_only_key)
    scopes = await client.scopes()
    assert scopes is not None
    assert "conversations:read" in scopes
    assert "conversations:write" not in scopes
    with pytest.raises(Forbidden) as refused:
        await client.delete("c001")
    assert refused.value.scope == "conversations:write"
    await client.aclose()


@pytest.mark.parametrize(("key", "wrong_family"), [("omi_dev_nonsense", False), ("omi_mcp_nonsense", True)])
async def test_a_wrong_key_is_unauthorized(sandbox: Sandbox, clock: Any, key: str, wrong_family: bool) -> None:
    client = client_of(sandbox, clock, key)
    with pytest.raises(Unauthorized) as refused:
        await client.folders()
    assert refused.value.wrong_family is wrong_family
    await client.aclose()


async def test_the_hourly_limit_is_told_with_its_wait(client: OmiClient, clock: Any) -> None:
    async def spend() -> None:
        for _ in range(26):
            await client.list_conversations(limit=25, include_transcript=True)

    with pytest.raises(RateLimited) as refused:
        await spend()
    assert refused.value.limit == 25
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 3600
    clock.advance(refused.value.retry_after)
    await client.list_conversations(limit=25, include_transcript=True)


@pytest.mark.parametrize("strange", ["%2e%2e", "..%2ffolders", "c001?x=1", "c001#x", "a b", "é", "\\", ";", "c001 "])
async def test_a_strange_id_reaches_no_other_route(client: OmiClient, sandbox: Sandbox, strange: str) -> None:
    with pytest.raises(OmiError) as refused:
        await client.delete(strange)
    assert isinstance(refused.value, NotFound | InvalidRequest)
    assert len(sandbox.ids()) == 130
