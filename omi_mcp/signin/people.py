"""The people who signed in, as the rest of the server is to serve them."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from omi_mcp import database
from omi_mcp.accounts import KeyRefused, NoSuchAccount, SignInAgain
from omi_mcp.clock import Clock
from omi_mcp.settings import Settings
from omi_mcp.signin.store import KnownAccount, Store
from omi_mcp.signin.vault import Unreadable, Vault

KEY = "key"
"""What an Omi key is sealed as."""

ROTATED_AT_ONCE = 100
"""Keys in one transaction: whose account it changes waits for its end."""


class People:
    """Implements `omi_mcp.accounts.Accounts`; `settings` are what goes for all of them."""

    def __init__(self, store: Store, vault: Vault, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._clock = clock

    async def settings(self, account_id: str) -> Settings:
        """As `Accounts.settings`."""
        account = await database.run(self._store.account, account_id)
        if account is None:
            raise NoSuchAccount
        return self.settings_of(account)

    def settings_of(self, account: KnownAccount) -> Settings:
        """How it is served. Raises KeyRefused."""
        if account.refused is not None or account.base_url != self._settings.base_url:
            raise KeyRefused  # a key is for the address it was given for, and goes to no other
        key = self.key(account)
        if key is None:
            raise KeyRefused  # until the right secret is back, or the person is
        return replace(
            self._settings,
            account_id=account.id,
            api_key=key,
            timezone=ZoneInfo(account.timezone),
            user_name=None,
        )

    async def refused(self, account_id: str, api_key: str) -> None:
        """As `Accounts.refused`."""
        account = await database.run(self._store.account, account_id)
        if account is not None and self.key(account) == api_key:
            await database.run(self._store.refuse_account, account_id, account.key, self._clock.now())

    async def served(self, account_id: str) -> bool:
        """Whether the account can be served as it is; else its person has to sign in again."""
        try:
            await self.settings(account_id)
        except SignInAgain:
            return False
        return True

    async def account(self, account_id: str) -> KnownAccount | None:
        return await database.run(self._store.account, account_id)

    async def known(self, key: str) -> KnownAccount | None:
        """The account that signed in with this key."""
        return await database.run(self._store.account_marked, self._vault.marks(_named(self._settings.base_url, key)))

    def key(self, account: KnownAccount) -> str | None:
        """The account's key; None where it was encrypted with another secret."""
        try:
            return str(self._vault.open_sealed(KEY, account.key, self._clock.now()))
        except Unreadable:
            return None

    async def keep(self, account_id: str | None, key: str, timezone: str) -> str:
        """The id of the account, new where it is None, with a key that Omi has just taken."""
        sealed = self._vault.seal(KEY, key, self._clock.now())
        return await database.run(
            self._store.keep_account,
            account_id,
            self.mark(key),
            self._settings.base_url,
            sealed,
            timezone,
            self._clock.now(),
        )

    def mark(self, key: str) -> bytes:
        return self._vault.mark(_named(self._settings.base_url, key))

    def current_mark(self, account: KnownAccount) -> bytes | None:
        """What the account's key is recognised by now; None where it cannot be read."""
        key = self.key(account)
        return None if key is None else self.mark(key)

    def rotate(self) -> tuple[int, int]:
        """Encrypt every key with the first secret. How many there are now, and how many could not be read. Blocks."""
        replaced = []
        unreadable = 0
        for account in self._store.accounts():
            key = self.key(account)
            if key is None:
                unreadable += 1
                continue
            mark = self._vault.mark(_named(account.base_url, key))
            replaced.append((account.id, account.key, mark, self._vault.seal(KEY, key, self._clock.now())))
        for first in range(0, len(replaced), ROTATED_AT_ONCE):
            self._store.replace_keys(replaced[first : first + ROTATED_AT_ONCE])
        return len(replaced), unreadable


def _named(base_url: str, key: str) -> str:
    """A key with the address it is for: what an account is recognised by."""
    return f"{base_url}\0{key}"
