"""Who signed in: ids and access tokens of the accounts, made by the server's own code, without a browser."""

from collections.abc import Mapping

import httpx

from benchmarks.hosting.accounts import key
from omi_mcp.settings import HttpAccess, Settings
from omi_mcp.signin.hosts import Host
from omi_mcp.signin.provider import Asked
from omi_mcp.transports import http
from omi_mcp.transports.hosted import hosted

REDIRECT = "https://assistant.example/callback"


async def signed_in(environment: Mapping[str, str], count: int) -> tuple[list[str], list[str]]:
    """For the server that runs with this environment, whether it has been started or not: the ids, and the tokens."""
    access = HttpAccess.from_env(environment)
    sign_in = hosted(Settings.from_env(environment), access, "127.0.0.1", 0).sign_in
    resource = environment["OMI_MCP_PUBLIC_URL"] + http.PATH
    host = Host.model_validate(
        {
            "client_id": "benchmark",
            "client_name": "Benchmark",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
        }
    )
    await sign_in.provider.register_client(host)
    ids, tokens = [], []
    for number in range(count):
        account_id = await sign_in.people.keep(None, key(number), "Europe/Berlin")
        ids.append(account_id)
        asked = Asked("benchmark", REDIRECT, True, "x" * 43, None, True, resource)
        back = await sign_in.provider.grant(asked, host, account_id, writing=True)
        code = await sign_in.provider.load_authorization_code(host, httpx.URL(back).params["code"])
        assert code is not None
        tokens.append((await sign_in.provider.exchange_authorization_code(host, code)).access_token)
    sign_in.close()
    return ids, tokens
