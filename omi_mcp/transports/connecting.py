"""The addresses that hosts connect to, each behind the check of its tokens."""

from collections.abc import Iterable

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


def routes(sessions: ASGIApp, auth: AuthSettings, path: str, resources: Iterable[str]) -> list[Route]:
    """The path of each resource; without any, `path`, for whoever has a token. In place of the one that the SDK has."""
    required = auth.required_scopes or []
    of_resources = []
    for resource in resources:
        url = AnyHttpUrl(resource)
        guarded = RequireAuthMiddleware(sessions, required, build_resource_metadata_url(url))
        of_resources.append(Route(url.path or "/", endpoint=_Resource(guarded, resource)))
    if of_resources:
        return of_resources
    own = auth.resource_server_url
    metadata = build_resource_metadata_url(own) if own is not None else None
    return [Route(path, endpoint=RequireAuthMiddleware(sessions, required, metadata))]


class _Resource:
    """Takes only tokens that were made for this resource (RFC 8707, 2)."""

    def __init__(self, application: ASGIApp, resource: str) -> None:
        self._application = application
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = scope.get("user")
        if not isinstance(user, AuthenticatedUser) or user.access_token.resource != self._resource:
            scope = {**scope, "user": UnauthenticatedUser(), "auth": AuthCredentials()}
        await self._application(scope, receive, send)
