"""What the tests of several machines share: a folder for each of them, one account, one PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from omi_mcp.account import Hosted
from omi_mcp.api.budget import Budget
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock
from omi_mcp.library import Library
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters
from omi_mcp.postgres.connection import Postgres
from omi_mcp.postgres.primary import PostgresPrimary
from omi_mcp.postgres.storage import Replicas
from omi_mcp.replica import Replica
from omi_mcp.sandbox import Sandbox
from omi_mcp.settings import Settings
from omi_mcp.sharing import Primary
from omi_mcp.writes import Lasting
from tests.accounts_kit import talks
from tests.postgres_kit import add_account
from tests.virtual_time import START, VirtualClock


class Machines:
    """Machines that serve one account, each with a folder of its own."""

    def __init__(self, url: str, folder: Path, clock: Clock | None = None) -> None:
        self.account = add_account(url, "ana")
        self.url = url
        self.folder = folder
        self.clock = clock or VirtualClock()
        self.box = Sandbox(now=self.clock.now)
        self.box.load(talks("Ana", START, 30))
        self.postgres = Postgres(url)

    def close(self) -> None:
        self.postgres.close()
        self.box.close()

    def settings(self, name: str) -> Settings:
        return Settings(
            timezone=ZoneInfo("UTC"),
            data_dir=self.folder / name,
            api_key=self.box.key,
            base_url=self.box.base_url,
            account_id=self.account,
        )

    @asynccontextmanager
    async def machine(
        self,
        name: str,
        *,
        postgres: Postgres | None = None,
        clock: Clock | None = None,
        api: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[Library]:
        """A machine of this name, with its own way to PostgreSQL or to the API where one is given."""
        library = Library(
            self.settings(name),
            transport=api or self.box.transport(),
            clock=clock or self.clock,
            hosted=Hosted(storage=Replicas(postgres or self.postgres, most=10**9)),
        )
        async with library.running():
            yield library


class Copy:
    """One machine's copy of an account, and the rooms that keep something in it."""

    def __init__(self, path: Path, primary: Primary, clock: Clock) -> None:
        self.replica = Replica(path, primary)
        self.lasting = Lasting(self.replica, clock)
        self.store = Store(self.replica, clock, self.lasting.names)
        self.budget = Budget(self.replica, clock)
        self.replica.attach()

    @classmethod
    def of(cls, postgres: Postgres, account: str, path: Path, clock: Clock) -> "Copy":
        return cls(path, PostgresPrimary(postgres, account), clock)

    def close(self) -> None:
        self.replica.close()


class Forgetful:
    """A copy's connection that writes, which loses what the next transaction wrote as it is committed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.forgets = False

    @classmethod
    def of(cls, copy: Copy) -> "Forgetful":
        """Put in the place of the one that the copy has now."""
        made = cls(copy.replica._writer)
        copy.replica._writer = copy.replica._watched = made  # type: ignore[assignment]
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "commit" and self.forgets:
            self.forgets = False
            self._connection.execute("rollback")
        return self._connection.execute(statement, *values)


def talk(number: int, said: str = "It is about the plan.") -> Conversation:
    return Conversation.model_validate(
        {
            "id": f"talk-{number}",
            "created_at": (START + timedelta(hours=number)).isoformat(),
            "structured": {"title": f"Talk {number}", "overview": said, "category": "work"},
            "transcript_segments": [{"text": f"Sentence {number}: {said}", "speaker": "SPEAKER_00"}],
        }
    )


async def found(library: Library, words: str) -> list[str]:
    result = await library.search(words, Filters(), limit=50)
    return [match.stored.conversation.structured.title for match in result.results.matches]
