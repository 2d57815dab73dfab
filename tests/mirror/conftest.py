from collections.abc import AsyncIterator
from typing import Any

import pytest
from sync_kit import Account, Process
from virtual_time import VirtualLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def account(request: pytest.FixtureRequest) -> Account:
    """150 conversations, or what the test is marked as `holding`."""
    return Account(**getattr(request, "param", {"size": 150}))


@pytest.fixture
async def process(account: Account) -> AsyncIterator[Process]:
    """A process that has copied all of the account, and goes on keeping up with it."""
    async with account.copied() as process:
        yield process
