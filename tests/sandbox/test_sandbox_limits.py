"""The hourly allowances of a key."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, Clock, client_of, plain

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def limited(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, limits="real") as sandbox:
        sandbox.insert(plain("a"))
        yield sandbox


@pytest.fixture
async def client(limited: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(limited) as client:
        yield client


async def spend(client: httpx.AsyncClient, times: int, path: str = CONVERSATIONS, **query: object) -> None:
    for _ in range(times):
        assert (await client.get(path, params=query)).status_code == 200


async def test_the_61st_read_of_an_hour_is_refused_with_the_wait(client: httpx.AsyncClient, clock: Clock) -> None:
    await spend(client, 60)
    clock.advance(minutes=9, seconds=59.5)
    answer = await client.get(CONVERSATIONS)
    assert (answer.status_code, answer.json()) == (429, {"detail": "Rate limit exceeded. Try again in 3001s."})
    assert answer.headers["Retry-After"] == "3001"
    assert answer.headers["X-RateLimit-Limit"] == "60"
    assert answer.headers["X-RateLimit-Remaining"] == "0"


async def test_an_answer_that_is_not_a_429_tells_nothing_about_limits(client: httpx.AsyncClient) -> None:
    answer = await client.get(CONVERSATIONS)
    assert not [name for name in answer.headers if "ratelimit" in name.lower() or name.lower() == "retry-after"]


async def test_the_window_is_fixed_and_opens_with_its_first_request(client: httpx.AsyncClient, clock: Clock) -> None:
    await spend(client, 1)
    clock.advance(minutes=59)
    await spend(client, 59)
    clock.advance(minutes=1)
    await spend(client, 60)
    assert (await client.get(CONVERSATIONS)).status_code == 429


async def test_lists_gets_and_folders_share_one_ceiling(client: httpx.AsyncClient) -> None:
    await spend(client, 20)
    await spend(client, 20, f"{CONVERSATIONS}/a")
    await spend(client, 20, "/v1/dev/user/folders")
    assert (await client.get(f"{CONVERSATIONS}/a")).status_code == 429


async def test_transcripts_have_a_smaller_allowance_across_list_and_get(client: httpx.AsyncClient) -> None:
    await spend(client, 10, include_transcript=True)
    await spend(client, 15, f"{CONVERSATIONS}/a", include_transcript=True)
    refused = await client.get(f"{CONVERSATIONS}/a", params={"include_transcript": True})
    assert (refused.status_code, refused.headers["X-RateLimit-Limit"]) == (429, "25")
    await spend(client, 1, f"{CONVERSATIONS}/a")


async def test_a_refused_transcript_read_has_spent_a_read(client: httpx.AsyncClient) -> None:
    await spend(client, 25, include_transcript=True)
    for _ in range(35):
        assert (await client.get(CONVERSATIONS, params={"include_transcript": True})).status_code == 429
    assert (await client.get(CONVERSATIONS)).headers["X-RateLimit-Limit"] == "60"


async def test_creates_patches_and_deletes_share_one_allowance(client: httpx.AsyncClient) -> None:
    for number in range(12):
        await client.post(CONVERSATIONS, json={"text": "We met about the price."})
        await client.patch(f"{CONVERSATIONS}/a", json={"title": f"Take {number}"})
    await client.delete(f"{CONVERSATIONS}/a")
    answer = await client.post(f"{CONVERSATIONS}/from-segments", json={})
    assert (answer.status_code, answer.headers["X-RateLimit-Limit"]) == (429, "25")
    await spend(client, 1)


async def test_failed_requests_spend_as_well(client: httpx.AsyncClient) -> None:
    for _ in range(20):
        assert (await client.get(f"{CONVERSATIONS}?limit=x")).status_code == 422
        assert (await client.get(f"{CONVERSATIONS}?categories=x")).status_code == 400
        assert (await client.get(f"{CONVERSATIONS}/nope")).status_code == 404
    assert (await client.get(CONVERSATIONS)).status_code == 429


async def test_requests_without_the_scope_spend_nothing(limited: Sandbox) -> None:
    async with client_of(limited, limited.read_only_key) as reader:
        for _ in range(30):
            assert (await reader.delete(f"{CONVERSATIONS}/a")).status_code == 403


async def test_every_key_has_its_own_allowance(limited: Sandbox, client: httpx.AsyncClient) -> None:
    await spend(client, 60)
    async with client_of(limited, limited.read_only_key) as other:
        await spend(other, 60)


async def test_without_limits_nothing_is_counted(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await spend(client, 70)
