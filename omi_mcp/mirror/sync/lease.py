"""Which of several processes does a piece of work: the one that holds its lease."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from sqlite3 import Connection

import anyio

from omi_mcp import database
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.tasks import beside

TERM = 45.0
"""Seconds a lease holds without renewal: how long the work of a process that crashed stays undone."""

RENEWAL = 15.0


class Lease:
    """A lease by name, in the shared database. One object is one holder."""

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._owner = uuid.uuid4().hex
        database.prepare(_create)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[bool]:
        """True when the lease is this holder's for the whole block; False when it is another's.

        It is renewed while the block runs, and given back at its end. When it is lost all the same (the machine
        slept through its term and another took over), the block is cancelled.
        """

        async def renew() -> None:
            await self._clock.sleep(RENEWAL)
            while await database.run(self._take):
                await self._clock.sleep(RENEWAL)
            scope.cancel()

        try:
            if not await database.run(self._take):
                yield False
                return
            async with beside(renew) as scope:
                yield True
        finally:
            with anyio.CancelScope(shield=True):
                await database.run(self._give_back)

    def _take(self) -> bool:
        now = self._clock.now().timestamp()
        with self._database.writing() as connection:
            taken = connection.execute(
                "insert into leases values (:name, :owner, :ends) on conflict(name) do update set owner = :owner,"
                # A term that ends too late was begun by a clock that has been set back since.
                " ends = :ends where owner = :owner or ends <= :now or ends > :ends",
                {"name": self._name, "owner": self._owner, "ends": now + TERM, "now": now},
            )
            return taken.rowcount > 0

    def _give_back(self) -> None:
        with self._database.writing() as connection:
            connection.execute("delete from leases where name = ? and owner = ?", (self._name, self._owner))


def _create(connection: Connection) -> None:
    connection.execute(
        "create table if not exists leases(name text primary key, owner text not null, ends real not null) strict"
    )
