"""The accounts of a process that serves many people: what serving them has to know of whoever signs them in.

The subject of an access token is the id of an account. Its scopes say what the connection may do: `READ`, and `WRITE`.
"""

from dataclasses import dataclass, field
from typing import Protocol

from mcp.server.auth.provider import AccessToken
from pydantic import PrivateAttr

from omi_mcp.settings import Profile, Settings

READ = "read"
WRITE = "write"


@dataclass(frozen=True)
class Caller:
    """Who makes a request, by the token that came with it.

    `account_id` is None where the settings' own account is the only one, `profile` where they say which tools there
    are. One that may not write gets what a read-only server would offer.
    """

    account_id: str | None = None
    may_write: bool = True
    profile: Profile | None = None
    settings: Settings | None = field(default=None, repr=False)
    """How the account is served, where that was found with the token of this request; else `Accounts` is asked."""


class Admitted(AccessToken):
    """An access token, and how its account is served: found at once, and not asked for again with the same request."""

    _settings: Settings = PrivateAttr()

    @classmethod
    def with_settings(cls, settings: Settings, token: AccessToken) -> "Admitted":
        admitted = cls(**token.model_dump())
        admitted._settings = settings
        return admitted

    @property
    def served(self) -> Settings:
        return self._settings


class NotServed(Exception):
    """A request of this account cannot be served now. What is said of it to a model: `omi_mcp.views.errors`."""


class SignInAgain(NotServed):
    """The account cannot be served until the person has signed in again."""


class NoSuchAccount(SignInAgain):
    """There is no account with this id, or it was forgotten: nothing is to be kept of it."""


class KeyRefused(SignInAgain):
    """Omi no longer accepts the account's key. What is kept of the account stays until there is a new one."""


class Busy(NotServed):
    """As much is being done as is allowed at once: `own` for this account alone, else for all of them."""

    def __init__(self, *, own: bool, seconds: int) -> None:
        super().__init__("busy")
        self.own = own
        self.seconds = seconds
        """When to ask again."""


class Accounts(Protocol):
    """Who is known, as signing in left them. Other processes may change it at any time."""

    async def settings(self, account_id: str) -> Settings:
        """How this account is served: its key, base URL, time zone and name, with its `account_id`.

        Asked with every request, so that a new key, another zone or a forgotten account counts from the next one on.

        Raises:
            NoSuchAccount: there is none.
            KeyRefused: its key was `refused`.
        """
        ...

    async def refused(self, account_id: str, api_key: str) -> None:
        """Omi has answered 401 to this key. Where the account has another by now, nothing is meant by it."""
        ...
