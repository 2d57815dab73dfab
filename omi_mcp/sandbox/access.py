"""Who is asking and what they may do: developer keys, their scopes, and their hourly allowances."""

import json
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from omi_mcp.sandbox.store import Store
from omi_mcp.sandbox.wire import Refusal

ALL_SCOPES: tuple[str, ...] = (
    "conversations:read", "conversations:write", "memories:read", "memories:write",
    "action_items:read", "action_items:write", "goals:read", "goals:write",
)  # fmt: skip
READ_SCOPES: tuple[str, ...] = tuple(scope for scope in ALL_SCOPES if scope.endswith(":read"))
"""OMI API: what a key made without scopes gets."""

_SCHEME = "Bearer "
_MISSING = "Missing or invalid Authorization header. Must be 'Bearer API_KEY'"
_INVALID = "Invalid API Key"
_WRONG_FAMILY = (
    "MCP API keys (omi_mcp_...) only authenticate the MCP endpoints under /v1/mcp/ (for example GET /v1/mcp/memories,"
    " GET /v1/mcp/conversations) and the MCP server at /v1/mcp/sse. This endpoint requires a Developer API key"
    " (Settings -> Developer -> Create Key)."
)


@dataclass(frozen=True)
class Caller:
    """A known key. `write` does not imply `read`."""

    key: str
    scopes: tuple[str, ...]

    def require(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Refusal(403, f"Insufficient permissions. Required scope: {scope}")


class Keyring:
    """The account's keys, kept in the store so that a durable sandbox keeps them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._callers: dict[str, Caller] = {}
        self._names: dict[str, str] = {}
        for row in store.issued_keys():
            self._remember(row["key"], tuple(json.loads(row["scopes"])), row["name"])

    def _remember(self, key: str, scopes: tuple[str, ...], name: str | None) -> None:
        self._callers[key] = Caller(key, scopes)
        if name:
            self._names[name] = key

    def issue(self, scopes: tuple[str, ...], name: str | None = None, key: str | None = None) -> str:
        """A new key, or `key`."""
        key = key or f"omi_dev_{secrets.token_hex(16)}"
        self._store.put_key(key, json.dumps(scopes), name)
        self._remember(key, scopes, name)
        return key

    def named(self, name: str, scopes: tuple[str, ...], key: str | None = None) -> str:
        """The key of that name, issued on first use; `key`, if it is given, in place of the one there was."""
        known = self._names.get(name)
        if known and key in (None, known):
            return known
        if known:
            self.revoke(known)
        return self.issue(scopes, name, key)

    def revoke(self, key: str) -> None:
        self._store.delete_key(key)
        self._callers.pop(key, None)

    def knows(self, key: str) -> bool:
        return key in self._callers

    def authenticate(self, authorization: str | None) -> Caller:
        key = key_in(authorization)
        if key is None:
            raise Refusal(401, _MISSING)
        if key.startswith("omi_mcp_"):
            raise Refusal(401, _WRONG_FAMILY)
        if key not in self._callers:
            raise Refusal(401, _INVALID)
        return self._callers[key]


def key_in(authorization: str | None) -> str | None:
    """The key in an Authorization header; None where there is none."""
    if authorization is None or not authorization.startswith(_SCHEME):
        return None
    return authorization.removeprefix(_SCHEME)


WINDOW = timedelta(hours=1)

POLICIES: dict[str, int] = {
    "dev:conversation_reads_total": 60,
    "dev:conversations_read": 60,
    "dev:conversation_detail_read": 60,
    "dev:conversation_transcript_read": 25,
    "dev:conversations": 25,
    "dev:action_items_read": 120,
}
"""OMI API: requests an hour and key, before any boost an operator sets."""


@dataclass
class _Window:
    opened: datetime
    spent: int = 0


class Limiter:
    """Counts what each key spends. A window opens with its first request and closes an hour later.

    OMI API: an operator can multiply all allowances by one factor, `boost`.
    """

    def __init__(self, now: Callable[[], datetime], *, enabled: bool, boost: int = 1) -> None:
        self._now = now
        self._enabled = enabled
        self._boost = boost
        self._windows: dict[tuple[str, str], _Window] = {}

    def spend(self, key: str, policy: str) -> None:
        """Take one request from the allowance, or refuse with 429 when there is none left."""
        if not self._enabled:
            return
        now = self._now()
        window = self._windows.get((key, policy))
        if window is None or now >= window.opened + WINDOW:
            window = self._windows[key, policy] = _Window(now)
        limit = POLICIES[policy] * self._boost
        if window.spent >= limit:
            wait = math.ceil((window.opened + WINDOW - now).total_seconds())
            raise Refusal(
                429,
                f"Rate limit exceeded. Try again in {wait}s.",
                {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0", "Retry-After": str(wait)},
            )
        window.spent += 1
