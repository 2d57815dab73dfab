"""Whose a key is that nobody has signed in with yet: an account's that is known, or somebody new's.

A person comes back with another key: the one before was revoked, or could not write. The copy of their conversations
tells that it is them: whoever can list the same conversations with the same contents reads that account anyway.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import httpx

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import OmiError
from omi_mcp.clock import Clock
from omi_mcp.mirror.newest import NEEDED, Listed, newest
from omi_mcp.mirror.rows import fingerprint, ticks
from omi_mcp.settings import Settings
from omi_mcp.signin.keys import KeyProblem, key_problem
from omi_mcp.signin.people import People
from omi_mcp.signin.store import KnownAccount, Store


class Copies(Protocol):
    """What is copied of all accounts, as far as it tells whose a key is. The methods block."""

    def are_there(self, account_id: str | None = None) -> bool:
        """Whether there may be any at all, or one of this account."""
        ...

    def whose(self, listed: Sequence[Listed]) -> str | None:
        """The account of whose copy the newest `NEEDED` are the newest of what is listed, but for those that came after
        them."""
        ...

    def shares_nothing(self, account_id: str, listed: Sequence[Listed]) -> bool:
        """Whether the account's copy has conversations, and none of these."""
        ...


class Recognition:
    """Compares what a key lists with what is copied."""

    def __init__(
        self,
        people: People,
        copies: Copies,
        settings: Settings,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._people = people
        self._copies = copies
        self._settings = settings
        self._clock = clock
        self._transport = transport

    async def account(self, key: str) -> KnownAccount | None:
        """The account that this key is another one of."""
        listed = await self._listed(key) if await database.run(self._copies.are_there) else []
        if len(listed) < NEEDED:
            return None
        account_id = await database.run(self._copies.whose, listed)
        return None if account_id is None else await self._people.account(account_id)

    async def is_of_another(self, key: str, account: KnownAccount) -> bool:
        """Whether the key lists conversations, none of which the account's copy has."""
        listed = await self._listed(key) if await database.run(self._copies.are_there, account.id) else []
        return bool(listed) and await database.run(self._copies.shares_nothing, account.id, listed)

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

    async def _listed(self, key: str) -> list[Listed]:
        """The newest conversations of a key's account; none where they cannot be had now."""
        client = OmiClient(self._settings.base_url, key, clock=self._clock, transport=self._transport)
        try:
            page = await client.list_conversations()
        except OmiError:
            return []
        finally:
            await client.aclose()
        return [Listed(each.id, ticks(each.created_at), fingerprint(each)) for each in page.conversations]


class FileCopies:
    """Those in the data folder, which others may be writing at. Each is looked into: on one machine there are few."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def are_there(self, account_id: str | None = None) -> bool:
        wanted = [account_id] if account_id else [account.id for account in self._store.accounts()]
        return any(self._file(each).exists() for each in wanted)

    def whose(self, listed: Sequence[Listed]) -> str | None:
        return next((each.id for each in self._store.accounts() if self._is_same(each.id, listed)), None)

    def shares_nothing(self, account_id: str, listed: Sequence[Listed]) -> bool:
        ids = {each.id for each in self._newest(account_id, -1)}
        return bool(ids) and ids.isdisjoint(each.id for each in listed)

    def _is_same(self, account_id: str, listed: Sequence[Listed]) -> bool:
        copied = self._newest(account_id, NEEDED)
        known = [each for each in listed if copied and each.created <= copied[0].created]
        return len(copied) == NEEDED and copied == known[:NEEDED]

    def _newest(self, account_id: str, limit: int) -> list[Listed]:
        """None where the copy cannot be read."""
        try:
            with closing(sqlite3.connect(f"{self._file(account_id).absolute().as_uri()}?mode=ro", uri=True)) as opened:
                return newest(opened, limit)
        except sqlite3.Error:
            return []

    def _file(self, account_id: str) -> Path:
        return replace(self._settings, account_id=account_id).mirror_file
