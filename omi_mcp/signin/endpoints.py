"""The endpoints that hosts talk to, made of the SDK's, and tolerant where hosts differ."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

from mcp.server.auth.handlers.authorize import AuthorizationHandler
from mcp.server.auth.handlers.metadata import MetadataHandler
from mcp.server.auth.handlers.register import RegistrationHandler
from mcp.server.auth.handlers.revoke import RevocationHandler
from mcp.server.auth.handlers.token import TokenHandler
from mcp.server.auth.provider import construct_redirect_uri
from mcp.server.auth.routes import (
    AUTHORIZATION_PATH,
    REGISTRATION_PATH,
    REVOCATION_PATH,
    TOKEN_PATH,
    build_metadata,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp.shared.auth import OAuthMetadata
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Message

from omi_mcp.accounts import READ, WRITE
from omi_mcp.clock import Clock
from omi_mcp.database import Away
from omi_mcp.signin.addresses import Addresses
from omi_mcp.signin.attempts import Attempts
from omi_mcp.signin.hosts import PUBLIC
from omi_mcp.signin.provider import HostAuthenticator, Provider, credentials

METADATA_PATH = "/.well-known/oauth-authorization-server"

BODY_LIMIT = 64 * 1024
"""Bytes of a registration or a form."""

METHODS = [PUBLIC, "client_secret_post", "client_secret_basic"]

Handler = Callable[[Request], Awaitable[Response]]


def auth_settings(issuer: str, resource: str) -> AuthSettings:
    """How the SDK guards what people signed in to; for which resource a token is, each path checks."""
    return AuthSettings.model_validate(  # from text, so that both stay as they were written
        {
            "issuer_url": issuer,
            "resource_server_url": resource,
            "required_scopes": [READ],
            "validate_token_resource": False,
        }
    )


def metadata(auth: AuthSettings) -> OAuthMetadata:
    """RFC 8414, with what the SDK's does not list."""
    built = build_metadata(
        auth.issuer_url,
        None,
        ClientRegistrationOptions(enabled=True, valid_scopes=[READ, WRITE]),
        RevocationOptions(enabled=True),
    )
    return built.model_copy(
        update={
            "token_endpoint_auth_methods_supported": METHODS,
            "revocation_endpoint_auth_methods_supported": METHODS,
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
        }
    )


def routes(
    provider: Provider, auth: AuthSettings, clock: Clock, addresses: Addresses, *, refused: Handler
) -> list[Route]:
    """What hosts ask. `refused` makes the page for a request whose person cannot be sent back to any host."""
    authenticator = HostAuthenticator(provider)
    asking = Attempts(clock, most=60, in_all=20_000, span=timedelta(minutes=10))
    registering = Attempts(clock, most=60, in_all=20_000, span=timedelta(minutes=10))
    authorization = AuthorizationHandler(provider)

    async def authorize(request: Request) -> Response:
        # The SDK takes whatever is not GET, also HEAD, for a form.
        try:
            response: Response = await authorization.handle(Request({**request.scope, "method": "GET"}))
        except Away:
            return await refused(request)
        location = response.headers.get("location")
        if location is None:
            return await refused(request)
        if not location.startswith(f"{provider.issuer}/signin?"):
            response.headers["location"] = construct_redirect_uri(location, iss=provider.issuer)
        return response

    async def token(request: Request) -> Response:
        form = await _form(request)
        if provider.resource_meant(form.get("resource")) is None:
            return _error(400, "invalid_target", "resource is not this server")
        response: Response = await TokenHandler(provider, authenticator).handle(_with_form(request, form))
        return response

    async def revoke(request: Request) -> Response:
        form = await _form(request)
        return await RevocationHandler(provider, authenticator).handle(
            _with_form(request, {"client_secret": ""} | form)
        )

    registration = RegistrationHandler(provider, ClientRegistrationOptions(enabled=True))

    async def register(request: Request) -> Response:
        response = await registration.handle(request)
        response.headers["cache-control"] = "no-store"  # there is a secret in it
        return response

    return [
        Route(METADATA_PATH, _shared(MetadataHandler(metadata(auth)).handle, "GET")),
        Route(AUTHORIZATION_PATH, _counted(authorize, asking, addresses), methods=["GET"]),
        Route(REGISTRATION_PATH, _shared(_counted(register, registering, addresses), "POST")),
        Route(TOKEN_PATH, _shared(token, "POST")),
        Route(REVOCATION_PATH, _shared(revoke, "POST")),
    ]


SHARED = frozenset({METADATA_PATH, REGISTRATION_PATH, TOKEN_PATH, REVOCATION_PATH})
"""What a page of any origin may ask, as hosts that run in a browser do: nothing here goes by who the browser is."""


def _shared(handler: Handler, method: str) -> ASGIApp:
    return CORSMiddleware(
        RequestBodyLimitMiddleware(request_response(handler), BODY_LIMIT),
        allow_origins="*",
        allow_methods=[method, "OPTIONS"],
        allow_headers=["*"],
    )


def _counted(handler: Handler, attempts: Attempts, addresses: Addresses) -> Handler:
    async def counted(request: Request) -> Response:
        address = addresses.of(request)
        if (wait := attempts.wait(address)) is not None:
            answer = _error(429, "temporarily_unavailable", "too many requests")
            answer.headers["retry-after"] = str(int(wait) + 1)
            return answer
        attempts.count(address)
        return await handler(request)

    return counted


async def _form(request: Request) -> dict[str, str]:
    """The form of a host, which may name itself in the Authorization header alone."""
    body = await request.body()
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    host_id, _ = credentials(request.headers.get("authorization", ""))
    return ({"client_id": host_id} if host_id else {}) | form


def _with_form(request: Request, form: Mapping[str, str]) -> Request:
    body = urlencode(form).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    headers.append((b"content-type", b"application/x-www-form-urlencoded"))
    return Request({**request.scope, "headers": headers}, receive)


def _error(status: int, error: str, description: str) -> Response:
    return JSONResponse(
        {"error": error, "error_description": description}, status, headers={"Cache-Control": "no-store"}
    )
