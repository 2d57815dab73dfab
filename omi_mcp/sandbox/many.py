"""Many accounts behind one address, as the service has them: whose conversations a request is about, its key tells."""

from collections.abc import Sequence

import httpx
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from omi_mcp.sandbox.access import key_in
from omi_mcp.sandbox.account import InProcess, Sandbox
from omi_mcp.sandbox.faults import Background


class Sandboxes:
    """`accounts` behind one address, each with its own keys, conversations, limits and faults; at least one."""

    base_url = Sandbox.base_url

    def __init__(self, accounts: Sequence[Sandbox]) -> None:
        self.accounts = accounts
        self._by_key: dict[str, Sandbox] = {}
        self._background = Background()
        self.app: ASGIApp = self._serve

    def transport(self) -> httpx.AsyncBaseTransport:
        """As `Sandbox.transport`."""
        return InProcess(self.app, self._background)

    def close(self) -> None:
        self._background.cancel()
        for account in self.accounts:
            account.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = self._owner(key_in(Headers(scope=scope).get("authorization")))
        await account.app(scope, receive, send)

    def _owner(self, key: str | None) -> Sandbox:
        """Whose key it is; any account refuses one that nobody has."""
        if key is None:
            return self.accounts[0]
        if key not in self._by_key:
            owner = next((account for account in self.accounts if account.has_key(key)), None)
            if owner is None:
                return self.accounts[0]
            self._by_key[key] = owner
        return self._by_key[key]
