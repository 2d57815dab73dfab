"""Which of several processes does a piece of work: the one that holds its lease."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from omi_mcp import database
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.sharing import Claim, LeaseLost
from omi_mcp.tasks import beside

TERM = 45.0
"""Seconds a lease holds without renewal: how long the work of a process that crashed stays undone."""

RENEWAL = 15.0


class Lease:
    """A lease by name, in the shared database. One object is one holder."""

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self._database = database
        self._clock = clock
        self._claim = Claim(name, uuid.uuid4().hex)
        database.keep_leases()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[bool]:
        """True when the lease is this holder's for the whole block; False when it is another's.

        It is renewed while the block runs, and given back at its end. When it is lost all the same (the machine
        slept through its term and another took over), the block is cancelled, and cannot write from that moment on.
        """

        async def renew() -> None:
            await self._clock.sleep(RENEWAL)
            while await self._renewed():
                await self._clock.sleep(RENEWAL)
            scope.cancel()

        try:
            if not await database.run(self._take):
                yield False
                return
            async with beside(renew) as scope:
                with suppress(LeaseLost), database.fenced(self._claim):
                    yield True
        finally:
            with anyio.CancelScope(shield=True), suppress(database.Away):
                await database.run(self._database.give_back, self._claim)

    async def _renewed(self) -> bool:
        """False where the lease is another's; what cannot be asked is asked again, and the fence keeps the promise."""
        try:
            return await database.run(self._take)
        except database.Away:
            return True

    def _take(self) -> bool:
        return self._database.take(self._claim, TERM, self._clock.now())
