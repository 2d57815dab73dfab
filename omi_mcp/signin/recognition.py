"""Whose a key is that nobody has signed in with yet: an account's that is known, or somebody new's.

A person comes back with another key: the one before was revoked, or could not write. The copy of their conversations
tells that it is them: whoever can list the same conversations with the same contents reads that account anyway.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import Clock
from omi_mcp.mirror.rows import fingerprint, ticks
from omi_mcp.settings import Settings
from omi_mcp.signin.keys import KeyProblem, key_problem
from omi_mcp.signin.people import People
from omi_mcp.signin.store import KnownAccount

NEEDED = 20
"""The newest conversations that have to be equal. With fewer, a copy is made anew within minutes."""


@dataclass(frozen=True)
class _Listed:
    id: str
    created: int
    fingerprint: str


class Recognition:
    """Compares what a key lists with the copies in the data folder."""

    def __init__(
        self, people: People, settings: Settings, clock: Clock, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._people = people
        self._settings = settings
        self._clock = clock
        self._transport = transport

    async def account(self, key: str) -> KnownAccount | None:
        """The account that this key is another one of."""
        known = [each for each in await self._people.all() if self._copy(each).exists()]
        listed = await self._listed(key) if known else []
        if len(listed) < NEEDED:
            return None
        for account in known:
            if await database.run(_is_same, self._copy(account), listed):
                return account
        return None

    async def is_of_another(self, key: str, account: KnownAccount) -> bool:
        """Whether the key lists conversations, none of which the account's copy has."""
        copy = self._copy(account)
        listed = await self._listed(key) if copy.exists() else []
        return bool(listed) and await database.run(_shares_nothing, copy, listed)

    def _copy(self, account: KnownAccount) -> Path:
        return replace(self._settings, account_id=account.id).mirror_file

    async def is_better(self, key: str, account: KnownAccount) -> bool:
        """Whether the key may take the place of the account's: unless that one works and can write, and this cannot."""
        former = self._people.key(account)
        if former is None or account.refused is not None or account.base_url != self._settings.base_url:
            return True
        return await self._problem(key) is None or await self._problem(former) is not None

    async def _problem(self, key: str) -> KeyProblem | None:
        return await key_problem(
            self._settings.base_url, key, writing=True, clock=self._clock, transport=self._transport
        )

    async def _listed(self, key: str) -> list[_Listed]:
        """The newest conversations of a key's account; none where they cannot be had now."""
        client = OmiClient(self._settings.base_url, key, clock=self._clock, transport=self._transport)
        try:
            page = await client.list_conversations()
        except OmiError:
            return []
        finally:
            await client.aclose()
        return [_Listed(each.id, ticks(each.created_at), fingerprint(each)) for each in page.conversations]


def _is_same(copy: Path, listed: list[_Listed]) -> bool:
    """Whether the newest that the copy has are the newest of what is listed, but for those that came after it."""
    copied = _newest(copy, len(listed))
    known = [each for each in listed if copied and each.created <= copied[0].created]
    return len(known) >= NEEDED and copied[:NEEDED] == known[:NEEDED]


def _shares_nothing(copy: Path, listed: list[_Listed]) -> bool:
    ids = {each.id for each in _newest(copy, -1)}
    return bool(ids) and ids.isdisjoint(each.id for each in listed)


def _newest(copy: Path, limit: int) -> list[_Listed]:
    """Of the copy, which others may be writing at; none where it cannot be read."""
    statement = "select id, created, fingerprint from conversations where hidden = 0 order by created desc, id limit ?"
    try:
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return [_Listed(*row) for row in connection.execute(statement, (limit,))]
    except sqlite3.Error:
        return []
