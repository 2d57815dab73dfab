"""A scripted API in place of the network, a clock that only moves when told, and a ledger that remembers."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import BudgetSpent, RateLimited

KEY = "omi_dev_5ecre7"
BASE_URL = "https://api.test"

CONVERSATION: dict[str, Any] = {
    "id": "c1",
    "created_at": "2025-03-14T09:30:00.000456Z",
    "started_at": "2025-03-14T09:30:00.000456Z",
    "finished_at": "2025-03-14T09:45:00Z",
    "structured": {
        "title": "Pricing",
        "overview": "Prices go up.",
        "emoji": "🧠",
        "category": "work",
        "action_items": [{"description": "Tell sales", "completed": False, "due_at": None}],
        "events": [],
    },
    "language": "en",
    "source": "omi",
    "transcript_segments": None,
    "geolocation": None,
    "folder_id": None,
    "folder_name": None,
}


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2025, 3, 14, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeBudget:
    """Books until `allowance` is used up, and remembers."""

    def __init__(self) -> None:
        self.allowance = 100
        self.booked: list[tuple[tuple[str, ...], bool]] = []
        self.refusals: list[tuple[tuple[str, ...], RateLimited]] = []
        self.given_back: list[tuple[str, ...]] = []

    async def book(self, buckets: Sequence[str], *, background: bool) -> None:
        if len(self.booked) == self.allowance:
            raise BudgetSpent(buckets[0], 600)
        self.booked.append((tuple(buckets), background))

    async def refused(self, buckets: Sequence[str], error: RateLimited) -> None:
        self.refusals.append((tuple(buckets), error))

    async def unsent(self, buckets: Sequence[str]) -> None:
        self.given_back.append(tuple(buckets))


class Upstream(httpx.AsyncBaseTransport):
    """Gives its answers in turn (an exception is raised), the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response | Exception] = []
        self.requests: list[httpx.Request] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def answer(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        self.meanwhile()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def request(self) -> httpx.Request:
        """The one request there was."""
        (request,) = self.requests
        return request


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budget() -> FakeBudget:
    return FakeBudget()


@pytest.fixture
async def client(upstream: Upstream, clock: FakeClock, budget: FakeBudget) -> AsyncIterator[OmiClient]:
    client = OmiClient(
        BASE_URL, KEY, clock=clock, budget=cast(Budget, budget), transport=upstream, rng=random.Random(1)
    )
    yield client
    await client.aclose()


@pytest.fixture
def conversation() -> dict[str, Any]:
    return {**CONVERSATION, "structured": dict(CONVERSATION["structured"])}
