"""The Python SDK's OAuth client, the whole way: find, register, sign in, call, refresh, revoke, in both eras."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.types import TextContent

WAYS = (("auto", "none", "write"), ("legacy", "client_secret_post", "read"), ("auto", "client_secret_basic", "write"))
"""The protocol era, how the host authenticates itself, and what its person allows."""

WRITES = "create_from_segments"


class Kept(TokenStorage):
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Host:
    """A host with an address on this computer to which browsers are led back."""

    def __init__(self, url: str, browser: list[str], key: str, method: str, choice: str) -> None:
        self.url, self.kept, self.signed_in = url, Kept(), 0
        self._browser, self._method, self._choice = [*browser, key, choice], method, choice
        self._led_back: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def waiting(self) -> Any:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            self.oauth = OAuthClientProvider(
                self.url,
                OAuthClientMetadata.model_validate(
                    {
                        "client_name": "The Python SDK",
                        "redirect_uris": [f"http://127.0.0.1:{port}/callback"],
                        "token_endpoint_auth_method": self._method,
                    }
                ),
                self.kept,
                redirect_handler=self._open,
                callback_handler=self._callback,
            )
            yield self

    @asynccontextmanager
    async def connected(self, mode: str) -> Any:
        async with (
            httpx2.AsyncClient(auth=self.oauth, timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode) as client,
        ):
            yield client

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        if "/callback?" in line:
            self._led_back.put_nowait(line.split()[1])

    async def _open(self, url: str) -> None:
        self.signed_in += 1
        browser = await asyncio.create_subprocess_exec(*self._browser, url)
        assert await browser.wait() == 0, "the browser was not led back"

    async def _callback(self) -> AuthorizationCodeResult:
        said = {name: values[0] for name, values in parse_qs(urlsplit(await self._led_back.get()).query).items()}
        return AuthorizationCodeResult(code=said["code"], state=said.get("state"), iss=said.get("iss"))


async def main(url: str, key: str, *browser: str) -> None:
    for mode, method, choice in WAYS:
        host = Host(url, list(browser), key, method, choice)
        async with host.waiting(), asyncio.timeout(120):
            await whole_way(host, mode, choice)
        print(f"   {mode}, {method}, {choice}: found, registered, signed in, called, refreshed and revoked")


async def whole_way(host: Host, mode: str, choice: str) -> None:
    async with host.connected(mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert "search_conversations" in tools, tools
        assert (WRITES in tools) == (choice == "write"), f"{choice}: {sorted(tools)}"
        assert (await call(client, "search_conversations", query="price", limit=1))["conversations"]
    assert host.signed_in == 1
    first = host.kept.tokens
    assert first is not None
    assert first.refresh_token

    host.oauth.context.token_expiry_time = 1.0  # long ago
    async with host.connected(mode) as client:
        assert (await call(client, "search_conversations", limit=1))["conversations"]
    second = host.kept.tokens
    assert second is not None
    assert host.signed_in == 1, "a refresh asked the person again"
    assert second.access_token != first.access_token
    assert second.refresh_token != first.refresh_token

    metadata = host.oauth.context.oauth_metadata
    assert metadata is not None
    async with httpx2.AsyncClient(timeout=60) as http:
        asked = [refresh(host, http, str(second.refresh_token)) for _ in range(2)]
        both = await asyncio.gather(*asked)  # at the same instant, as several processes of one host do
        assert [answer.status_code for answer in both] == [200, 200], [answer.text for answer in both]
        for tokens in (answer.json() for answer in both):
            assert await status(host, http, tokens["access_token"]) != 401
        form, headers = host.oauth.context.prepare_token_auth(
            {"token": both[0].json()["refresh_token"], "client_id": client_id(host)}
        )
        ended = await http.post(str(metadata.revocation_endpoint), data=form, headers=headers)
        assert ended.status_code == 200, ended.text
        for tokens in (answer.json() for answer in both):
            assert await status(host, http, tokens["access_token"]) == 401, "a revoked grant still gets in"
            assert (await refresh(host, http, tokens["refresh_token"])).status_code == 400


def client_id(host: Host) -> str:
    assert host.kept.client is not None
    return str(host.kept.client.client_id)


async def refresh(host: Host, http: httpx2.AsyncClient, token: str) -> httpx2.Response:
    form, headers = host.oauth.context.prepare_token_auth(
        {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": client_id(host),
            "resource": host.oauth.context.get_resource_url(),
        }
    )
    return await http.post(str(host.oauth.context.oauth_metadata.token_endpoint), data=form, headers=headers)


async def status(host: Host, http: httpx2.AsyncClient, token: str) -> int:
    answer = await http.post(host.url, json={}, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    assert not result.is_error, text
    found: dict[str, Any] = json.loads(text)
    return found


asyncio.run(main(*sys.argv[1:]))
