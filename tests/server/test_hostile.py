"""Whatever the API answers and whatever a host sends, the server answers, within bounds, and gives nothing away."""

import json
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hostile_kit import KEY, UPSTREAM_MARK, Answer, answers, conversation, play, tool_calls
from hosting import call, talk
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

GET: tuple[str, dict[str, Any]] = ("get_conversation", {"conversation_id": "c1"})
SEARCH: tuple[str, dict[str, Any]] = ("search_conversations", {"query": "boat"})
CREATE: tuple[str, dict[str, Any]] = ("create_from_text", {"text": "Notes."})
RENAME: tuple[str, dict[str, Any]] = ("update_title", {"conversation_id": "c1", "title": "Night"})
ALL = [SEARCH, GET, CREATE, RENAME]


@settings(max_examples=25)
@given(st.lists(tool_calls(), min_size=1, max_size=4), st.lists(answers, min_size=1, max_size=6))
def test_no_answer_of_the_api_and_no_argument_breaks_the_server(
    calls: list[tuple[str, dict[str, Any]]], answers: list[Answer]
) -> None:
    play(calls, answers)


def huge() -> dict[str, Any]:
    record = conversation()
    record["structured"] |= {
        "title": "boat " * 10_000,
        "overview": "boat " * 10_000,
        "action_items": [{"description": "boat " * 50}] * 100,
    }
    record["transcript_segments"] = [{"text": "boat " * 200, "start": n, "end": n + 1} for n in range(100)]
    return record


def deep() -> dict[str, Any]:
    nested: Any = "boat"
    for _ in range(300):
        nested = {"a": [nested]}
    return conversation() | {"structured": nested, "geolocation": nested}


@pytest.mark.parametrize("record", [huge(), deep(), conversation() | {"id": "x" * 100_000}], ids=["huge", "deep", "id"])
def test_a_huge_or_deep_record_is_answered_within_bounds(record: dict[str, Any]) -> None:
    body = json.dumps(record).encode()
    play([GET, ("get_conversation", {"conversation_id": "c1", "max_chars": 40_000})], [Answer(200, body, {})])
    play([("search_conversations", {"limit": 50, "detail": "full"})], [Answer(200, b"[" + body + b"]", {})])


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 1_000_000, b"\x00" * 1_000, b'"' + b"a" * 1_000_000 + b'"', b"\xff"],
    ids=["lists", "objects", "number", "nulls", "string", "bytes"],
)
@pytest.mark.parametrize("status", [200, 422])
def test_what_is_no_answer_at_all_is_said_in_a_sentence(status: int, body: bytes) -> None:
    play(ALL, [Answer(status, body, {"content-type": "application/json"})])


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429, 500, 503])
def test_an_error_of_the_api_is_never_repeated(status: int) -> None:
    for value in (f"{UPSTREAM_MARK} {KEY}", {"code": UPSTREAM_MARK}, [{"loc": [UPSTREAM_MARK], "msg": UPSTREAM_MARK}]):
        play(ALL, [Answer(status, json.dumps({"detail": value}).encode(), {})])


def test_a_redirect_does_not_take_the_key_elsewhere() -> None:
    for status in (301, 302, 307, 308):
        play(ALL, [Answer(status, b"", {"location": "https://evil.test/"})])


async def test_the_key_is_in_no_file_and_the_files_are_the_owners_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load([talk("harbour")])
    given = Settings(timezone=ZoneInfo("UTC"), data_dir=tmp_path, api_key=sandbox.key, base_url=sandbox.base_url)
    async with Client(build_server(given, transport=sandbox.transport())) as client:
        await call(client, "search_conversations", query="boat")
        await call(client, "create_from_text", text="Notes about the lighthouse.")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert sandbox.key.encode() not in path.read_bytes()
            assert os.name == "nt" or path.stat().st_mode & 0o077 == 0
    assert sandbox.key not in repr(given)
