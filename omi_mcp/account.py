"""What it takes to work with one account: its files, its client, and all that is built on these."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, Self

import anyio
import httpx
from anyio.abc import TaskGroup

from omi_mcp import database, measures
from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import InvalidRequest, NotConfigured
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.mirror.index import SearchUnavailable
from omi_mcp.mirror.search import MeaningSearch
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync import Scheduler
from omi_mcp.mirror.write_through import WriteThrough
from omi_mcp.settings import Settings
from omi_mcp.writes import Lasting, Writer, lasting_file

FINISH_SECONDS = 3.0
"""How long a write that is out may still be answered when the account closes. Hosts kill what does not end soon."""


class Storage(Protocol):
    """Where the files of accounts come from: all that an account needs of what is outside of it. Its methods block."""

    def open(self, settings: Settings) -> tuple[Database, Database]:
        """The mirror's, and that of what is never lost."""
        ...

    def forget(self, settings: Settings) -> None:
        """Delete all that is kept of this account: its copy, and what nobody could give again."""
        ...

    def tidy(self, settings: Settings) -> None:
        """Delete what lies here of accounts that were forgotten elsewhere, and is not open."""
        ...


class Files:
    """Two files of each account, in the data folder of the settings."""

    def open(self, settings: Settings) -> tuple[Database, Database]:
        return Database(settings.mirror_path), lasting_file(settings.account_path)

    def forget(self, settings: Settings) -> None:
        for path in (settings.mirror_file, settings.account_file):
            for file in database.files(path):
                file.unlink(missing_ok=True)

    def tidy(self, settings: Settings) -> None:
        """Nothing: whoever forgets an account does it on this machine."""


@dataclass(frozen=True)
class Hosted:
    """What an account keeps to that is one of many in its process: background work waits for its `turn`.

    `refused` is called when the API has answered 401.
    """

    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    refused: Callable[[], None] = lambda: None
    storage: Storage = field(default_factory=Files)


@dataclass(frozen=True)
class Account:
    """The account of the key in the settings, opened in this process.

    `store` is the mirror, which may be lost; `lasting` keeps what nobody could give again.
    """

    store: Store
    lasting: Lasting
    budget: Budget
    client: OmiClient
    sync: Scheduler
    meaning: MeaningSearch
    write_through: WriteThrough
    writer: Writer

    @classmethod
    def open(
        cls,
        settings: Settings,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
        hosted: Hosted,
        tasks: TaskGroup,
    ) -> Self:
        """Open the files; nothing is asked of the API. Writes run in `tasks`. Blocks.

        Raises:
            InvalidRequest: this Python cannot search text.
        """
        mirror, kept = hosted.storage.open(settings)
        lasting = Lasting(kept, clock)
        if settings.mirror_path is not None:
            lasting.take_over(settings.mirror_path)
        try:
            store = Store(mirror, clock, lasting.names)
            budget = Budget(mirror, clock)
            client = OmiClient(
                settings.base_url,
                settings.api_key,
                clock=clock,
                budget=budget,
                transport=transport,
                refused=hosted.refused,
            )
            write_through = WriteThrough(store, lasting.names, clock)
            account = cls(
                store=store,
                lasting=lasting,
                budget=budget,
                client=client,
                sync=Scheduler(client, store, budget, clock, turn=hosted.turn),
                meaning=MeaningSearch(client, store, clock),
                write_through=write_through,
                writer=Writer(client, lasting, write_through, clock, tasks),
            )
            mirror.attach(whole=False)
        except BaseException as error:
            mirror.close()
            lasting.close()
            if isinstance(error, SearchUnavailable):
                raise InvalidRequest("environment", str(error)) from None
            raise
        return account

    async def close(self) -> None:
        await self.client.aclose()
        await database.run(self.store.database.close)
        await database.run(self.lasting.close)


class AccountOnDemand:
    """The account, opened with the first call that needs it."""

    def __init__(
        self, settings: Settings, clock: Clock, transport: httpx.AsyncBaseTransport | None, hosted: Hosted
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._hosted = hosted
        self._opening = anyio.Lock()
        self._account: Account | None = None
        self._tasks: TaskGroup | None = None
        self._syncing = True

    @property
    def opened(self) -> bool:
        return self._account is not None

    @asynccontextmanager
    async def running(self, *, syncing: bool) -> AsyncIterator[None]:
        """As `Library.running`."""
        self._syncing = syncing
        try:
            async with anyio.create_task_group() as self._tasks:
                try:
                    yield
                finally:
                    self._tasks.cancel_scope.cancel()
                    if self._account is not None:
                        self._account.client.hurry(FINISH_SECONDS)
        finally:
            self._tasks = None
            if self._account is not None:
                account, self._account = self._account, None
                with anyio.CancelScope(shield=True):
                    await account.close()

    async def open(self) -> Account:
        """The account, with what other machines have changed in it up to now.

        Raises:
            NotConfigured: no key is set.
            InvalidRequest: this Python cannot search text.
            Away: the database that machines share cannot be asked.
        """
        if not self._settings.api_key:
            raise NotConfigured("no Omi API key is set")
        tasks = self._group()
        account = self._account
        if account is not None:
            if account.store.database.shared:
                await _catch_up(account)  # each call by itself: none waits for what another asks
            return account
        async with self._opening:
            if self._account is None:
                account = await database.run(
                    Account.open, self._settings, self._clock, self._transport, self._hosted, tasks
                )
                try:
                    with measures.timed("warm_up") if account.store.database.shared else nullcontext():
                        await _catch_up(account)
                    tasks = self._group()  # it may have been closed meanwhile
                except BaseException:
                    with anyio.CancelScope(shield=True):
                        await account.close()
                    raise
                self._account = account
                tasks.start_soon(self._account.writer.settle)
                if self._syncing:
                    tasks.start_soon(self._account.sync.run)
            return self._account

    def _group(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("a library is used inside running()")
        return self._tasks


async def _catch_up(account: Account) -> None:
    """Have what other machines have changed, a step at a time: who gives up waits for no more than one, and whoever
    comes next goes on from there."""
    while await database.run(account.store.database.catch_up_some):
        pass
