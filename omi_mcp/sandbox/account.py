"""The sandbox as its users hold it: an Omi account with keys, an API to call, and methods that act as the app does."""

import asyncio
import dataclasses
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl

import anyio.lowlevel
import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omi_mcp.sandbox import loading
from omi_mcp.sandbox.access import ALL_SCOPES, READ_SCOPES, Keyring, Limiter
from omi_mcp.sandbox.creating import Creator, complete
from omi_mcp.sandbox.faults import EXTENSION, Background, Break, ConnectionBroken, FaultInjection, Faults
from omi_mcp.sandbox.routes import Api, NewerRoute, answer
from omi_mcp.sandbox.store import Item, ItemQuery, Record, Store
from omi_mcp.sandbox.wire import format_moment

REMEMBERED_REQUESTS = 10_000

USER = "sandbox-user"


class Served(NamedTuple):
    """One request; `query` keeps the last of repeated parameters, `status` is 0 where no answer began."""

    method: str
    path: str
    query: dict[str, str]
    status: int


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """One Omi account and its API. `path` None keeps it in memory; `now` must return aware moments.

    `limits="real"` counts the hourly allowances of each key as the service does (60 reads, 25 with transcript,
    25 writes, 120 lists of action items), each times `boost`. `without` are routes that it does not have, as older
    services have not. `key` is the account's developer key, else one is made. `user` tells one account from another
    where there are several: see `Sandboxes`. The methods below the transport act as the Omi app or the service would,
    without a request. Raises `KeyError` for an unknown id.
    """

    base_url = "http://127.0.0.1"

    def __init__(
        self,
        path: Path | None = None,
        *,
        now: Callable[[], datetime] = _utc_now,
        limits: Literal["real", "off"] = "off",
        boost: int = 1,
        seed: int = 0,
        key: str | None = None,
        without: Collection[NewerRoute] = (),
        user: str = USER,
    ) -> None:
        self._now = now
        self._user = user
        self._store = Store(path)
        self._keyring = Keyring(self._store)
        self._served: deque[Served] = deque(maxlen=REMEMBERED_REQUESTS)
        self.key = self._keyring.named("full", ALL_SCOPES, key)
        self.read_only_key = self._keyring.named("read-only", READ_SCOPES)
        self.pause: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        """Awaited while a create is in progress; from segments twice: before its placeholder is stored, and after."""
        creator = Creator(self._store, now, lambda: self.pause(), user)
        api = Api(self._store, self._keyring, Limiter(now, enabled=limits == "real", boost=boost), creator, without)
        self.faults = Faults()
        """What goes wrong on the way; `Faults.parse` makes it from a spec, `seed` makes it repeatable."""
        self.sleep: Callable[[float], Awaitable[None]] = anyio.sleep
        """How a fault waits."""
        self._rng = random.Random(seed)
        self._background = Background()
        self.app: ASGIApp = self._with_faults(api.app())

    def transport(self) -> httpx.AsyncBaseTransport:
        """Into the app without a network. A connection that a fault breaks is an httpx error, as it would be."""
        return InProcess(self.app, self._background)

    async def settle(self) -> None:
        """Wait until everything that goes on behind the client's back is done."""
        await self._background.settle()

    @property
    def requests(self) -> list[Served]:
        """What was asked and how it ended, newest last, at most the last 10,000."""
        return list(self._served)

    def close(self) -> None:
        self._background.cancel()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def issue_key(self, *scopes: str) -> str:
        """A further key with exactly these scopes; with none given it is read-only, as upstream."""
        return self._keyring.issue(scopes or READ_SCOPES)

    def has_key(self, key: str) -> bool:
        return self._keyring.knows(key)

    def revoke_key(self, key: str) -> None:
        self._keyring.revoke(key)

    def load(self, lines: Iterable[dict[str, Any]]) -> int:
        """Add conversations: plain ones (`id`, `started_at`, `segments`, ...) or as the API answers them.

        All or none: raises `BadLine` with the number and the reason of the first bad one.
        """
        return loading.load(self._store, enumerate(lines, 1), self._now())

    def load_file(self, path: Path) -> int:
        """The same from a .jsonl or .jsonl.gz file."""
        return loading.load(self._store, loading.read_file(path), self._now())

    def load_sample(self) -> int:
        """The sample library that comes with the package, dated relative to now. No two users share an id."""
        now = self._now()
        owner = None if self._user == USER else self._user
        self._store.put_items(loading.sample_items(now, owner))
        return loading.load(self._store, loading.read_sample(now, owner), now)

    def insert(self, record: dict[str, Any]) -> None:
        """Add or replace one conversation, in either of the shapes of `load`."""
        self.load([record])

    def ids(self, listable: bool = True) -> list[str]:
        """Ids, `created_at` descending: of what the list route gives, or of everything there is."""
        return self._store.ids(listed=listable)

    def record(self, conversation_id: str) -> dict[str, Any]:
        """The whole truth: the API's answer with transcript, and what the API does not tell."""
        record = self._get(conversation_id)
        hidden = ("status", "discarded", "starred", "locked", "text")
        return answer(record, self._store.folder_names()) | {name: getattr(record, name) for name in hidden}

    def edit(self, conversation_id: str, **structured: Any) -> None:
        """Change fields of `structured`, such as title, overview or category."""
        self._change(conversation_id, structured=self._get(conversation_id).structured | structured)

    def lock(self, conversation_id: str, locked: bool = True) -> None:
        """As a lapsed plan does: gone from lists, 404 to GET, 402 to PATCH and DELETE."""
        self._change(conversation_id, locked=locked)

    def star(self, conversation_id: str, starred: bool = True) -> None:
        self._change(conversation_id, starred=starred)

    def discard(self, conversation_id: str, discarded: bool = True) -> None:
        self._change(conversation_id, discarded=discarded)

    def move(self, conversation_id: str, folder: str | None) -> None:
        """Into the folder of that name, which is made when there is none yet; None takes it out."""
        self._change(conversation_id, folder_id=self._store.folder(folder, self._now()) if folder else None)

    def set_status(
        self, conversation_id: str, status: Literal["in_progress", "processing", "merging", "completed", "failed"]
    ) -> None:
        """Only `completed` conversations are listed."""
        self._change(conversation_id, status=status)

    def complete_late(self, conversation_id: str) -> None:
        """Finish a conversation that was still processing, as opening it in the app does."""
        record = self._get(conversation_id)
        complete(record)
        self._store.extract_items(record)
        self._store.put([record])

    def damage(self, conversation_id: str) -> None:
        """Make it a malformed legacy record: lists skip it, reading or changing it is a 500."""
        self._change(conversation_id, malformed=True)

    def delete(self, conversation_id: str) -> None:
        if not self._store.delete(conversation_id):
            raise KeyError(conversation_id)

    def action_items(self, conversation_id: str | None = None) -> list[dict[str, Any]]:
        """The account's list of action items, of one conversation or all, as the API answers it."""
        page = self._store.items(ItemQuery(limit=2**31, offset=0, conversation_id=conversation_id))
        return [vars(item) for item, _ in page]

    def add_item(self, description: str, *, due_at: str | None = None, conversation_id: str | None = None) -> str:
        """An action item made by hand, as in the app: its id."""
        item_id = str(uuid.uuid4())
        now = format_moment(self._now())
        self._store.put_items([Item(item_id, description, now, conversation_id=conversation_id, due_at=due_at)])
        return item_id

    def change_item(self, item_id: str, **changes: Any) -> None:
        """Tick an action item (`completed`), reword it (`description`) or the like, as in the app's list."""
        items = {item.id: item for item, _ in self._store.items(ItemQuery(limit=2**31, offset=0))}
        self._store.put_items([dataclasses.replace(items[item_id], **changes)])

    def delete_item(self, item_id: str) -> None:
        if not self._store.delete_item(item_id):
            raise KeyError(item_id)

    def _get(self, conversation_id: str) -> Record:
        record = self._store.get(conversation_id)
        if record is None:
            raise KeyError(conversation_id)
        return record

    def _change(self, conversation_id: str, **fields: Any) -> None:
        self._store.put([dataclasses.replace(self._get(conversation_id), **fields)])

    def _with_faults(self, service: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            status = 0

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            rule = self.faults.pick(scope["method"], scope["path"], self._rng)
            faulty = FaultInjection(rule, service, self.sleep, self._background) if rule else service
            try:
                await faulty(scope, receive, noting)
            finally:
                query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
                self._served.append(Served(scope["method"], scope["path"], query, status))

        return app


class InProcess(httpx.AsyncBaseTransport):
    """Like a server, it finishes a request whose client has gone; like a network, it breaks with httpx's errors."""

    def __init__(self, app: ASGIApp, background: Background) -> None:
        self._app = app
        self._background = background

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {}).get("read")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {EXTENSION: {"read_timeout": timeout}}
            await asyncio.shield(self._background.start(self._app(scope, receive, send)))

        try:
            return await httpx.ASGITransport(app).handle_async_request(request)
        except ConnectionBroken as broken:
            raise _error(broken.how) from None


def _error(how: Break) -> httpx.TransportError:
    match how:
        case Break.REFUSED:
            return httpx.ConnectError("All connection attempts failed")
        case Break.CLOSED:
            return httpx.RemoteProtocolError("Server disconnected without sending a response.")
        case Break.RESET:
            return httpx.ReadError("Connection reset by peer")
        case Break.SILENT:
            return httpx.ReadTimeout("The read operation timed out")
