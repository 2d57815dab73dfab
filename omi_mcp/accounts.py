"""The accounts of a process that serves many people: what serving them has to know of whoever signs them in.

The subject of an access token is the id of an account. Its scopes say what the connection may do: `READ`, and `WRITE`.
"""

from typing import Protocol

from omi_mcp.settings import Settings

READ = "read"
WRITE = "write"


class SignInAgain(Exception):
    """The account cannot be served until the person has signed in again."""


class NoSuchAccount(SignInAgain):
    """There is no account with this id, or it was forgotten: nothing is to be kept of it."""


class KeyRefused(SignInAgain):
    """Omi no longer accepts the account's key. What is kept of the account stays until there is a new one."""


class Accounts(Protocol):
    """Who is known, as signing in left them. Other processes may change it at any time."""

    async def settings(self, account_id: str) -> Settings:
        """How this account is served: its key, base URL, time zone, what it is called and may; with its `account_id`.

        Asked with every request, so that a new key, another zone or a forgotten account counts from the next one on.

        Raises:
            NoSuchAccount: there is none.
            KeyRefused: its key was `refused`.
        """
        ...

    async def refused(self, account_id: str, api_key: str) -> None:
        """Omi has answered 401 to this key. Where the account has another by now, nothing is meant by it."""
        ...
