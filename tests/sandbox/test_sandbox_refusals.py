"""What is refused, in which shape, and what is checked first."""

from typing import Any

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, client_of, plain

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
SEGMENT = {"text": "a", "start": 0, "end": 1}
MISSING = "Missing or invalid Authorization header. Must be 'Bearer API_KEY'"


def problems(answer: httpx.Response) -> list[tuple[str, list[Any]]]:
    assert answer.status_code == 422, answer.text
    return [(problem["type"], problem["loc"]) for problem in answer.json()["detail"]]


@pytest.mark.parametrize("header", [None, "", "omi_dev_x", "bearer omi_dev_x", "Basic omi_dev_x"])
async def test_without_a_bearer_key_it_says_what_is_missing(sandbox: Sandbox, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url=sandbox.base_url) as client:
        answer = await client.get(CONVERSATIONS, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"detail": MISSING})


@pytest.mark.parametrize("key", ["omi_dev_unknown", "nonsense", " omi_dev_x"])
async def test_an_unknown_key_is_invalid(sandbox: Sandbox, key: str) -> None:
    async with client_of(sandbox, key) as client:
        answer = await client.get(CONVERSATIONS)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API Key"})


async def test_a_revoked_key_is_invalid(sandbox: Sandbox) -> None:
    key = sandbox.issue_key()
    async with client_of(sandbox, key) as client:
        assert (await client.get(CONVERSATIONS)).status_code == 200
        sandbox.revoke_key(key)
        assert (await client.get(CONVERSATIONS)).json() == {"detail": "Invalid API Key"}


async def test_a_key_of_the_other_family_is_told_where_it_belongs(sandbox: Sandbox) -> None:
    async with client_of(sandbox, "omi_mcp_0123") as client:
        answer = await client.get(CONVERSATIONS)
    assert answer.status_code == 401
    detail = answer.json()["detail"]
    assert detail.startswith("MCP API keys (omi_mcp_...) only authenticate the MCP endpoints under /v1/mcp/")
    assert detail.endswith("requires a Developer API key (Settings -> Developer -> Create Key).")


async def test_a_read_only_key_may_not_write(sandbox: Sandbox) -> None:
    sandbox.insert(plain("a"))
    async with client_of(sandbox, sandbox.read_only_key) as client:
        assert (await client.get(CONVERSATIONS)).status_code == 200
        for answer in (
            await client.post(CONVERSATIONS, json={"text": "x"}),
            await client.post(f"{CONVERSATIONS}/from-segments", json={}),
            await client.patch(f"{CONVERSATIONS}/a", json={"title": "x"}),
            await client.delete(f"{CONVERSATIONS}/a"),
        ):
            assert answer.status_code == 403
            assert answer.json() == {"detail": "Insufficient permissions. Required scope: conversations:write"}


async def test_write_does_not_imply_read(sandbox: Sandbox) -> None:
    async with client_of(sandbox, sandbox.issue_key("conversations:write")) as client:
        answer = await client.get("/v1/dev/user/folders")
    assert answer.json() == {"detail": "Insufficient permissions. Required scope: conversations:read"}


async def test_a_key_can_ask_what_it_may_do(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    assert "conversations:write" in (await client.get("/v1/dev/key")).json()["scopes"]
    async with client_of(sandbox, sandbox.read_only_key) as reader:
        scopes = (await reader.get("/v1/dev/key")).json()["scopes"]
    assert scopes == ["conversations:read", "memories:read", "action_items:read", "goals:read"]


@pytest.mark.parametrize(
    ("query", "kind", "name"),
    [
        ("limit=", "int_parsing", "limit"),
        ("offset=many", "int_parsing", "offset"),
        ("starred=", "bool_parsing", "starred"),
        ("folder_id=", "string_too_short", "folder_id"),
        ("include_transcript=perhaps", "bool_parsing", "include_transcript"),
        ("start_date=", "datetime_from_date_parsing", "start_date"),
        ("end_date=2025-01-01T00:00:00+00:00", "datetime_from_date_parsing", "end_date"),
        ("end_date=yesterday", "datetime_from_date_parsing", "end_date"),
    ],
)
async def test_a_bad_query_value_is_named_with_what_was_sent(
    client: httpx.AsyncClient, query: str, kind: str, name: str
) -> None:
    answer = await client.get(f"{CONVERSATIONS}?{query}")
    assert problems(answer) == [(kind, ["query", name])]
    assert "input" in answer.json()["detail"][0]
    assert "url" not in answer.json()["detail"][0]


async def test_all_bad_values_are_named_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{CONVERSATIONS}?limit=x&start_date=y")
    assert {loc[1] for _, loc in problems(answer)} == {"limit", "start_date"}


async def test_a_text_that_is_too_long_is_echoed_in_full(client: httpx.AsyncClient) -> None:
    text = "private " * 12_501
    answer = await client.post(CONVERSATIONS, json={"text": text})
    assert problems(answer) == [("string_too_long", ["body", "text"])]
    [problem] = answer.json()["detail"]
    assert (problem["input"], problem["ctx"]) == (text, {"max_length": 100_000})


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        ({}, "missing", ["body", "text"]),
        ({"text": ""}, "string_too_short", ["body", "text"]),
        ({"text": 5}, "string_type", ["body", "text"]),
        ({"text": "x", "text_source": "email"}, "enum", ["body", "text_source"]),
        ({"text": "x", "geolocation": {"latitude": 1}}, "missing", ["body", "geolocation", "longitude"]),
        ([], "model_attributes_type", ["body"]),
    ],
)
async def test_a_bad_text_body_is_located(client: httpx.AsyncClient, body: Any, kind: str, loc: list[str]) -> None:
    assert problems(await client.post(CONVERSATIONS, json=body)) == [(kind, loc)]


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        ({}, "missing", ["body", "transcript_segments"]),
        ({"transcript_segments": []}, "too_short", ["body", "transcript_segments"]),
        ({"transcript_segments": [SEGMENT] * 501}, "too_long", ["body", "transcript_segments"]),
        ({"transcript_segments": [{"text": "a", "start": 0}]}, "missing", ["body", "transcript_segments", 0, "end"]),
        ({"transcript_segments": [SEGMENT], "source": 3}, "enum", ["body", "source"]),
    ],
)
async def test_a_bad_segments_body_is_located(client: httpx.AsyncClient, body: Any, kind: str, loc: list[Any]) -> None:
    assert problems(await client.post(f"{CONVERSATIONS}/from-segments", json=body)) == [(kind, loc)]


async def test_broken_json_is_refused_with_the_place(client: httpx.AsyncClient) -> None:
    answer = await client.post(CONVERSATIONS, content='{"text": "a"', headers=JSON)
    assert answer.json()["detail"] == [
        {
            "type": "json_invalid",
            "loc": ["body", 12],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": "Expecting ',' delimiter"},
        }
    ]


async def test_a_body_without_its_content_type_is_no_object(client: httpx.AsyncClient) -> None:
    answer = await client.post(CONVERSATIONS, content='{"text": "a"}')
    assert problems(answer) == [("model_attributes_type", ["body"])]


async def test_no_body_is_a_missing_one(client: httpx.AsyncClient) -> None:
    assert problems(await client.post(CONVERSATIONS, headers=JSON)) == [("missing", ["body"])]


async def test_an_input_that_cannot_be_echoed_crashes_the_service(client: httpx.AsyncClient) -> None:
    answer = await client.post(CONVERSATIONS, content='{"text": NaN}', headers=JSON)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/v1/dev/nope", 404, "Not Found"),
        ("POST", "/v1/dev/user/ask", 404, "Not Found"),
        ("PUT", CONVERSATIONS, 405, "Method Not Allowed"),
        ("POST", f"{CONVERSATIONS}/some-id", 405, "Method Not Allowed"),
    ],
)
async def test_unknown_routes_and_methods_have_their_own_words(
    client: httpx.AsyncClient, method: str, path: str, status: int, detail: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


async def test_a_head_request_is_not_a_get(client: httpx.AsyncClient) -> None:
    assert (await client.head(CONVERSATIONS)).status_code == 405


async def test_a_trailing_slash_is_redirected(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{CONVERSATIONS}/?limit=3")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"http://127.0.0.1{CONVERSATIONS}?limit=3"


async def test_the_key_is_checked_before_the_scope_and_the_scope_before_the_values(sandbox: Sandbox) -> None:
    bad = f"{CONVERSATIONS}?limit=x"
    async with client_of(sandbox, "omi_dev_unknown") as stranger:
        assert (await stranger.get(bad)).status_code == 401
    async with client_of(sandbox, sandbox.issue_key("conversations:write")) as writer:
        assert (await writer.get(bad)).status_code == 403
    async with client_of(sandbox) as reader:
        assert (await reader.get(bad)).status_code == 422


async def test_broken_json_comes_even_before_the_key(sandbox: Sandbox) -> None:
    async with client_of(sandbox, "omi_dev_unknown") as stranger:
        assert (await stranger.post(CONVERSATIONS, content="{", headers=JSON)).status_code == 422
        assert (await stranger.post(CONVERSATIONS, json={})).status_code == 401


async def test_a_missing_conversation_comes_before_an_empty_patch(client: httpx.AsyncClient) -> None:
    assert (await client.patch(f"{CONVERSATIONS}/nope", json={})).status_code == 404
