"""What the tests of signing in share: the server on the web, a host that connects to it, and a person's browser."""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import anyio
import httpx
import pytest

from omi_mcp.sandbox import Sandbox, Sandboxes
from omi_mcp.settings import HttpAccess, Settings, SignInSettings
from omi_mcp.signin.documents import Documents
from omi_mcp.signin.store import Connection, Rows, Tables
from omi_mcp.signin.vault import new_secret
from omi_mcp.transports.hosted import Hosted, hosted

PUBLIC = "https://omi.example.com"
RESOURCE = f"{PUBLIC}/mcp"
INVITE = "come-in-please"
REDIRECT = "https://assistant.example/callback"
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


DATABASE: str | None = None
"""What several machines share, in place of the files of one. Each request then reaches another machine."""

SECRET = new_secret()
"""That of all machines."""

ON_ONE_MACHINE = pytest.mark.parametrize("kept_in", ["files"], indirect=True)
"""For what each machine does by itself."""


class MovedClock:
    """The machine's clock, moved on by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@dataclass
class Web:
    """The server, as the rest of the world reaches it: one machine, or several behind a proxy."""

    machines: Sequence[Hosted]
    clock: MovedClock
    turns: Iterator[int] = field(default_factory=count)

    @property
    def opened(self) -> Hosted:
        return self.machines[0]

    def client(self, address: str = "203.0.113.7", **options: Any) -> httpx.AsyncClient:
        ways = [httpx.ASGITransport(machine.app, client=(address, 50_000)) for machine in self.machines]
        return httpx.AsyncClient(transport=_Proxy(ways, self.turns), base_url=PUBLIC, **options)


@dataclass
class _Proxy(httpx.AsyncBaseTransport):
    ways: Sequence[httpx.AsyncBaseTransport]
    turns: Iterator[int]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.ways[next(self.turns) % len(self.ways)].handle_async_request(request)


@asynccontextmanager
async def on_the_web(
    sandbox: Sandbox | Sandboxes,
    data_dir: Path,
    *,
    omi: httpx.AsyncBaseTransport | None = None,
    documents: httpx.AsyncBaseTransport | None = None,
    addresses: tuple[str, ...] = ("93.184.216.34",),
    clock: MovedClock | None = None,
    settings: dict[str, Any] | None = None,
    asks: bool = True,
    **access: Any,
) -> AsyncIterator[Web]:
    """The whole server at `PUBLIC`, over the sandbox; `documents` answers for every name, which is at `addresses`."""
    clock = clock or MovedClock()

    async def resolve(name: str) -> list[str]:
        return list(addresses)

    given: dict[str, Any] = {"timezone": ZoneInfo("UTC"), "base_url": sandbox.base_url, "mirror": "memory"}
    access = {"public_url": PUBLIC, "open": True} | access
    folders = [data_dir]
    if DATABASE is not None:
        access = {"database_url": DATABASE, "secrets": (SECRET,)} | access
        folders.append(data_dir / "another machine")
    async with AsyncExitStack() as machines:
        opened = []
        for folder in folders:
            machine = hosted(
                Settings(**(given | {"data_dir": folder} | (settings or {}))),
                HttpAccess(sign_in=SignInSettings(**access)),
                "127.0.0.1",
                8765,
                clock=clock,
                transport=omi or sandbox.transport(),
                documents=Documents(clock, resolve=resolve, transport=documents or httpx.MockTransport(_nothing)),
                asks=asks,
            )
            machines.callback(machine.sign_in.close)
            await machines.enter_async_context(machine.app.router.lifespan_context(machine.app))
            opened.append(machine)
        yield Web(opened, clock)


def _nothing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


@dataclass
class TestHost:
    """A host, which registered with `registration` or has a document at its id."""

    __test__ = False

    web: Web
    id: str
    redirect: str = REDIRECT
    secret: str | None = None
    basic: bool = False
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @classmethod
    async def registered(cls, web: Web, **registration: Any) -> "TestHost":
        given = {
            "client_name": "Assistant",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
        } | registration
        async with web.client() as client:
            answer = await client.post("/register", json=given)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return cls(
            web,
            made["client_id"],
            redirect=given["redirect_uris"][0],
            secret=made.get("client_secret"),
            basic=given["token_endpoint_auth_method"] == "client_secret_basic",
        )

    def request(self, **changes: Any) -> dict[str, str]:
        """The parameters of its authorization request."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        given = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": "state-of-the-host",
            "resource": RESOURCE,
        } | changes
        return {name: value for name, value in given.items() if value is not None}

    async def tokens(self, code: str, **changes: Any) -> httpx.Response:
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self.verifier,
            "resource": RESOURCE,
        } | changes
        return await self.ask("/token", **given)

    async def refreshed(self, token: str, **changes: Any) -> httpx.Response:
        return await self.ask("/token", **({"grant_type": "refresh_token", "refresh_token": token} | changes))

    async def ask(self, path: str, **form: Any) -> httpx.Response:
        """A form of the host's, with its id and secret as it has them."""
        form = {name: value for name, value in form.items() if value is not None}
        auth = httpx.BasicAuth(self.id, self.secret or "") if self.basic else None
        if not self.basic:
            form = {"client_id": self.id} | ({"client_secret": self.secret} if self.secret else {}) | form
        async with self.web.client() as client:
            return await client.post(path, data=form, auth=auth)


class Browser:
    """A person's browser, without script."""

    def __init__(self, web: Web, *, address: str = "198.51.100.4") -> None:
        self.client = web.client(address, follow_redirects=True)

    async def opened(self, host: TestHost, **changes: Any) -> httpx.Response:
        """The page to sign in at, where the host sends the person."""
        return await self.client.get("/authorize", params=host.request(**changes))

    async def sent(self, page: httpx.Response, form: int = 0, **fields: str | None) -> httpx.Response:
        """The answer to a form of the page, with what the person puts in."""
        action, hidden = forms(page)[form]
        filled = {name: value for name, value in (hidden | fields).items() if value is not None}
        return await self.client.post(action, data=filled, headers={"Origin": PUBLIC})

    async def signed_in(self, host: TestHost, key: str, *, access: str = "write", **fields: str) -> str:
        """The code that the host gets."""
        page = await self.opened(host)
        left = await self.sent(page, **({"key": key, "access": access, "timezone": "Europe/Berlin"} | fields))
        return answer_to_host(left)["code"]

    async def connections(self, key: str) -> httpx.Response:
        """The page of what is connected."""
        return await self.sent(await self.client.get("/connections"), key=key)


def forms(page: httpx.Response) -> list[tuple[str, dict[str, str]]]:
    """Where each form goes, and its hidden fields."""
    found = []
    for action, body in re.findall(r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', page.text, re.DOTALL):
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', body)
        found.append((action, {name: html.unescape(value) for name, value in hidden}))
    return found


def leads_to(page: httpx.Response) -> str:
    """Where the page sends the browser."""
    found = re.search(r'<meta http-equiv="refresh" content="[01];url=([^"]+)">', page.text)
    assert found, re.findall(r'class="problem"[^>]*>([^<]+)', page.text) or page.text[:500]
    return html.unescape(found[1])


def answer_to_host(page: httpx.Response, redirect: str = REDIRECT) -> dict[str, str]:
    """What the host is told by the way back."""
    url = leads_to(page)
    assert url.partition("?")[0] == redirect
    return dict(parse_qsl(urlsplit(url).query))


async def connected(web: Web, key: str, *, access: str = "write", host: TestHost | None = None) -> dict[str, Any]:
    """The tokens of a host whose person signed in."""
    host = host or await TestHost.registered(web)
    code = await Browser(web).signed_in(host, key, access=access)
    answer = await host.tokens(code)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def listed(web: Web, token: str | None) -> httpx.Response:
    """The answer to a request of a host with this token, of 2026."""
    return await rpc(web, token, "tools/list", {})


async def called(web: Web, token: str, tool: str, **arguments: Any) -> httpx.Response:
    return await rpc(web, token, "tools/call", {"name": tool, "arguments": arguments})


async def rpc(web: Web, token: str | None, method: str, params: dict[str, Any]) -> httpx.Response:
    """The answer to a request of a host of 2026."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
    }
    headers = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    async with web.client() as client:
        return await client.post("/mcp", json=body, headers=headers)


def rows(web: Web, statement: str) -> list[Any]:
    """What is in the tables of signing in."""
    with web.opened.sign_in._store._tables.reading() as connection:
        return list(connection.execute(statement))


def copies(folder: Path) -> set[str]:
    """The names of the files with copies of conversations, on all machines."""
    return {file.name for kind in ("mirror", "replica") for file in folder.rglob(f"{kind}-*.sqlite3")}


class Statements:
    """The tables of signing in, and what they are asked."""

    def __init__(self, tables: Tables, said: list[str]) -> None:
        self._tables = tables
        self.said = said

    @classmethod
    def of(cls, web: Web) -> list[str]:
        """What all machines ask from now on."""
        said: list[str] = []
        for machine in web.machines:
            store = machine.sign_in._store
            store._tables = cls(store._tables, said)
        return said

    def execute(self, connection: Connection, statement: str, values: Sequence[object]) -> Rows:
        self.said.append(statement)
        return connection.execute(statement, values)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._tables.reading() as connection:
            yield _Told(self, connection)

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Connection]:
        with self._tables.writing(durable=durable) as connection:
            yield _Told(self, connection)

    def close(self) -> None:
        self._tables.close()


@dataclass
class _Told:
    statements: Statements
    connection: Connection

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Rows:
        return self.statements.execute(self.connection, statement, values)
