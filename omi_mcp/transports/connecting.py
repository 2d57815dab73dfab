"""The addresses that hosts connect to where people sign in, and what one account may hold of the transport."""

from collections import defaultdict
from collections.abc import Iterable

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omi_mcp.server import OmiServer

MOST_SESSIONS = 64
"""Of one account. Hosts on the web open one for each chat and end none; the SDK ends them half an hour after use."""

SESSION = "mcp-session-id"


def routes(server: OmiServer, resources: Iterable[str]) -> list[Route]:
    """The path of each resource, in place of the one that the SDK has."""
    auth = server.settings.auth
    required = (auth.required_scopes if auth else None) or []
    sessions = _Sessions()
    made = []
    for resource in resources:
        url = AnyHttpUrl(resource)
        guarded = RequireAuthMiddleware(
            StreamableHTTPASGIApp(server.session_manager), required, build_resource_metadata_url(url)
        )
        made.append(Route(url.path or "/", endpoint=_Resource(guarded, resource, sessions)))
    return made


class _Sessions:
    """The sessions of each account, by its id, the one last that was used last. Only the older era has any."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, None]] = defaultdict(dict)

    def used(self, account: str, session: str) -> str | None:
        """The session that has to end for it."""
        known = self._of[account]
        known.pop(session, None)
        known[session] = None
        return next(iter(known)) if len(known) > MOST_SESSIONS else None

    def ended(self, account: str, session: str) -> None:
        self._of[account].pop(session, None)
        if not self._of[account]:
            del self._of[account]


class _Resource:
    """Takes only tokens that were made for this resource (RFC 8707, 2), and opens no stream that nothing comes on."""

    def __init__(self, application: ASGIApp, resource: str, sessions: _Sessions) -> None:
        self._application = application
        self._resource = resource
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = scope.get("user")
        if not isinstance(user, AuthenticatedUser) or user.access_token.resource != self._resource:
            scope = {**scope, "user": UnauthenticatedUser(), "auth": AuthCredentials()}
            await self._application(scope, receive, send)
            return
        if scope["method"] == "GET":
            # Nothing is ever sent outside of answers, and each stream would hold one of the server's connections.
            refusal = PlainTextResponse("Method Not Allowed", 405, {"Allow": "POST, DELETE"})
            await refusal(scope, receive, send)
            return
        account = user.access_token.subject or ""
        named = Headers(scope=scope).get(SESSION)
        status, opened = 0, None

        async def noting(message: Message) -> None:
            nonlocal status, opened
            if message["type"] == "http.response.start":
                status, opened = message["status"], Headers(raw=message["headers"]).get(SESSION)
            await send(message)

        await self._application(scope, receive, noting)
        if named is not None and (status == 404 or scope["method"] == "DELETE"):
            self._sessions.ended(account, named)
        elif (session := named or opened) is not None and status < 400:
            oldest = self._sessions.used(account, session)
            if oldest is not None:
                await self._end(scope, oldest)
                self._sessions.ended(account, oldest)

    async def _end(self, scope: Scope, session: str) -> None:
        """As its host would end it: the account is the same."""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def ignore(message: Message) -> None:
            pass

        headers = [(SESSION.encode(), session.encode())]
        await self._application({**scope, "method": "DELETE", "headers": headers}, receive, ignore)
