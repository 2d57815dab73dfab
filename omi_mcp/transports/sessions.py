"""Sessions that no server remembers: what a host said in `initialize` travels in its session's id, sealed.

So any replica serves any request of a session, and so does one that was started since. Only the era of the handshake
has sessions; the later one says everything with each request.
"""

import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import pydantic_core
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.connection import Connection
from mcp.server.request_state import InvalidRequestState
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import MessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import INVALID_REQUEST, InitializeRequestParams
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omi_mcp.clock import Clock
from omi_mcp.server import OmiServer
from omi_mcp.signin.vault import Unreadable, Vault

SESSION = "mcp-session-id"
VERSION = "mcp-protocol-version"

MOST_SAID = 2_000
"""Characters of a host's capabilities that a session carries, as it comes with every request. Hosts need a tenth."""

ID_BITS = 52
"""Of a question's id: JavaScript keeps so many, and no two questions of a session may share one."""


class Said(NamedTuple):
    """What later requests of a session need of its first: the protocol's version, and what the host can do."""

    version: str = LATEST_HANDSHAKE_VERSION
    capabilities: Mapping[str, Any] = {}


class Sessions:
    """The ASGI side of the protocol, behind the check of the token. Of a session it knows what is under way."""

    def __init__(self, server: OmiServer, vault: Vault, clock: Clock, *, body_limit: int, asks: bool) -> None:
        """`asks`: whether hosts are asked things in the middle of a call. In the older era the answer is a request of
        its own, which has to come to the process that asked."""
        self._server = server
        self._vault = vault
        self._clock = clock
        self._asks = asks
        self._without_sessions = StreamableHTTPASGIApp(server.session_manager)
        self._posted: ASGIApp = RequestBodyLimitMiddleware(self._post, body_limit)
        self._under_way: dict[str, set[StreamableHTTPServerTransport]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        version = Headers(scope=scope).get(VERSION)
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._without_sessions(scope, receive, send)
        elif scope["method"] == "POST":
            await self._posted(scope, receive, send)
        else:
            # Nothing is ever sent outside of answers, so that there is no stream to open; and nothing is kept of a
            # session, so that there is none to end.
            refusal = PlainTextResponse("Method Not Allowed", 405, {"Allow": "POST"})
            await refusal(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")
        message = _read(body)
        session, said = Headers(scope=scope).get(SESSION), Said()
        if message.get("method") == "initialize":
            session = None
            with suppress(ValidationError):  # which the SDK answers
                said = self._said(message.get("params"))
                session = self._vault.seal(_purpose(scope), said, self._clock.now())
        elif session is not None:
            try:
                said = Said(*self._vault.open_sealed(_purpose(scope), session, self._clock.now()))
            except Unreadable:
                await _refused(404, "Session not found")(scope, receive, send)
                return
        elif message:
            await _refused(400, "Bad Request: Missing session ID")(scope, receive, send)
            return

        pending: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def received() -> Message:
            """The body, and then what comes after it: that the host has gone."""
            nonlocal pending
            given, pending = pending, None
            return await receive() if given is None else given

        waits = "method" in message and "id" in message
        await self._serve(scope, received, send, session, said, waits=waits)
        if session is not None and not waits:
            await self._hand_on(scope, body, session)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, session: str | None, said: Said, *, waits: bool
    ) -> None:
        """Serve one message. `waits`: its host waits for an answer. Hanging up ends nothing."""
        transport = StreamableHTTPServerTransport(session)
        done = anyio.Event()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async with transport.connect() as (read, write), anyio.create_task_group() as tasks:
            dispatcher = _Dispatcher(read, write, transport_builder=self._transport)
            connection = Connection.from_envelope(said.version, None, said.capabilities)
            runner = ServerRunner(self._server._lowlevel_server, connection, self._server.served)

            async def answer(
                context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
            ) -> dict[str, Any]:
                try:
                    return await runner.on_request(context, method, params)
                finally:
                    done.set()

            tasks.start_soon(dispatcher.run, answer, runner.on_notify)
            if waits and session is not None:
                self._under_way[session].add(transport)
            try:
                await transport.handle_request(scope, receive, noting)
                if waits and status == 200:
                    await done.wait()
            finally:
                self._ended(session, transport)
                with anyio.CancelScope(shield=True):
                    await transport.terminate()
                    await aclose_shielded(connection)

    def _said(self, params: object) -> Said:
        """What is kept of `initialize`. Raises ValidationError where that is not what it should be."""
        given = InitializeRequestParams.model_validate(params, by_name=False)
        version = given.protocol_version
        kept = given.capabilities.model_dump(mode="json", by_alias=True, exclude_none=True)
        kept.pop("experimental", None)
        if not self._asks:
            kept.pop("elicitation", None)
        return Said(
            version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION,
            kept if len(json.dumps(kept)) <= MOST_SAID else {},
        )

    def _transport(self, metadata: MessageMetadata) -> TransportContext:
        return TransportContext(kind="streamable-http", can_send_request=self._asks)

    def _ended(self, session: str | None, transport: StreamableHTTPServerTransport) -> None:
        if session in self._under_way:
            self._under_way[session].discard(transport)
            if not self._under_way[session]:
                del self._under_way[session]

    async def _hand_on(self, scope: Scope, body: bytes, session: str) -> None:
        """Give an answer, or word that something is not wanted any more, to the requests it may be about."""

        async def received() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def ignore(message: Message) -> None:
            pass

        for transport in list(self._under_way.get(session, ())):
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # that one is done
                await transport.handle_request(scope, received, ignore)


class SealedState:
    """Seals what a host of the later era carries from a question to its answer, so that any replica goes on with it."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def seal(self, payload: bytes) -> str:
        return self._vault.seal("state", payload.decode(), self._clock.now())

    def unseal(self, token: str) -> bytes:
        try:
            return str(self._vault.open_sealed("state", token, self._clock.now())).encode()
        except Unreadable:
            raise InvalidRequestState("seal") from None


class _Dispatcher(JSONRPCDispatcher[TransportContext]):
    """Serves one request. What it asks the host has an id that no other question has, as each has a dispatcher."""

    def _allocate_id(self) -> int:
        return secrets.randbits(ID_BITS)


def _read(body: bytes) -> dict[str, Any]:
    """The message in a body; nothing where it is none, for which the SDK has an answer."""
    try:
        message = pydantic_core.from_json(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _purpose(scope: Scope) -> str:
    """What a session is sealed for: whoever opened it. To others it is none."""
    user = scope.get("user")
    owner = authorization_context(user) if isinstance(user, AuthenticatedUser) else None
    return f"session {hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:32]}"


def _refused(status: int, message: str) -> JSONResponse:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": message}}
    return JSONResponse(error, status)
