"""Developer API keys: who is asking, and what the key may do."""

import json
import secrets
from dataclasses import dataclass

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

    def authenticate(self, authorization: str | None) -> Caller:
        if authorization is None or not authorization.startswith(_SCHEME):
            raise Refusal(401, _MISSING)
        key = authorization.removeprefix(_SCHEME)
        if key.startswith("omi_mcp_"):
            raise Refusal(401, _WRONG_FAMILY)
        if key not in self._callers:
            raise Refusal(401, _INVALID)
        return self._callers[key]
