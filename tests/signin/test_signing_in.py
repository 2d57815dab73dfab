"""Signing in, as hosts and people do it."""

from pathlib import Path

import pytest
from signin_kit import PUBLIC, RESOURCE, Browser, TestHost, answer_to_host, called, listed, on_the_web

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
async def test_a_host_registers_sends_its_person_and_gets_tokens(sandbox: Sandbox, tmp_path: Path, method: str) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        host = await TestHost.registered(web, token_endpoint_auth_method=method)
        browser = Browser(web)
        page = await browser.opened(host)
        assert "Assistant" in page.text
        left = await browser.sent(page, key=sandbox.key, access="write", timezone="Europe/Berlin")
        answer = answer_to_host(left)
        assert (answer["state"], answer["iss"]) == ("state-of-the-host", PUBLIC)
        made = await host.tokens(answer["code"])
        assert made.status_code == 200, made.text
        assert made.json()["scope"] == "read write"
        tools = await listed(web, made.json()["access_token"])
        assert tools.status_code == 200
        assert "create_from_text" in tools.text
        found = await called(web, made.json()["access_token"], "search_conversations")
        assert found.status_code == 200, found.text
        assert '"isError":true' not in found.text


async def test_without_a_token_every_request_is_sent_to_sign_in(sandbox: Sandbox, tmp_path: Path) -> None:
    async with on_the_web(sandbox, tmp_path) as web:
        for token in (None, "made-up"):
            answer = await listed(web, token)
            assert answer.status_code == 401
            challenge = answer.headers["www-authenticate"]
            assert f'resource_metadata="{PUBLIC}/.well-known/oauth-protected-resource/mcp"' in challenge
            assert 'scope="write read"' in challenge
        async with web.client() as client:
            protected = (await client.get("/.well-known/oauth-protected-resource/mcp")).json()
            issuer = (await client.get("/.well-known/oauth-authorization-server")).json()
        assert protected["resource"] == RESOURCE
        assert protected["authorization_servers"] == [issuer["issuer"]] == [PUBLIC]
        assert issuer["token_endpoint_auth_methods_supported"][0] == "none"
        assert issuer["client_id_metadata_document_supported"] is True
        assert issuer["authorization_response_iss_parameter_supported"] is True
        assert issuer["code_challenge_methods_supported"] == ["S256"]
