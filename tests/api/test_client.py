"""What each call sends, and what it makes of a good answer."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from omi_mcp.api.client import OmiClient
from omi_mcp.api.drafts import SegmentDraft, draft_segments, draft_text
from omi_mcp.api.errors import AnswerLost, InvalidRequest

pytestmark = pytest.mark.anyio

NOW = datetime(2025, 3, 14, 12, 0, 0, 123456, tzinfo=UTC)
RECEIPT = {"id": "c9", "status": "completed", "discarded": False}


async def test_a_list_without_filters_sends_no_empty_parameters(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json=[]))
    await client.list_conversations()
    assert upstream.request.url.path == "/v1/dev/user/conversations"
    assert dict(upstream.request.url.params) == {"limit": "100", "offset": "0", "include_transcript": "false"}


async def test_a_list_sends_its_filters_as_the_api_reads_them(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json=[]))
    await client.list_conversations(
        limit=25,
        offset=50,
        start=datetime(2025, 3, 1, 1, 0, 0, 7, tzinfo=timezone(timedelta(hours=1))),
        end=datetime(2025, 3, 2, tzinfo=UTC),
        categories=("work", "real"),
        folder_id="f 1&x",
        starred=False,
        include_transcript=True,
    )
    assert dict(upstream.request.url.params) == {
        "limit": "25",
        "offset": "50",
        "start_date": "2025-03-01T00:00:00.000007Z",
        "end_date": "2025-03-02T00:00:00Z",
        "categories": "work,real",
        "folder_id": "f 1&x",
        "starred": "false",
        "include_transcript": "true",
    }
    assert b"+" not in upstream.request.url.query.replace(b"f+1", b"")


async def test_a_filter_with_half_an_emoji_is_a_filter_that_finds_nothing(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json=[]))
    await client.list_conversations(folder_id="\ud83d", categories=["\ud83d"])
    assert upstream.request.url.params["folder_id"] == "\ufffd"


@pytest.mark.parametrize("arguments", [{"limit": 101}, {"limit": 0}, {"limit": 26, "include_transcript": True}])
async def test_a_limit_the_api_would_clamp_is_a_bug_of_the_caller(client: OmiClient, arguments: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        await client.list_conversations(**arguments)


async def test_a_naive_date_is_a_bug_of_the_caller(client: OmiClient) -> None:
    with pytest.raises(ValueError, match="naive"):
        await client.list_conversations(start=datetime(2025, 3, 1))  # noqa: DTZ001


async def test_more_categories_than_one_filter_takes_are_refused(client: OmiClient, upstream: Any) -> None:
    with pytest.raises(InvalidRequest, match="categories: at most 30"):
        await client.list_conversations(categories=["work"] * 31)
    assert upstream.requests == []


async def test_unusable_rows_are_counted_and_the_others_kept(
    client: OmiClient, upstream: Any, conversation: Any
) -> None:
    rows = [None, "text", {}, {**conversation, "created_at": "yesterday"}, {**conversation, "id": ""}, conversation]
    upstream.answer(httpx.Response(200, json=rows))
    page = await client.list_conversations()
    assert [row.id for row in page.conversations] == ["c1"]
    assert (page.received, page.unusable) == (6, 5)


async def test_a_conversation_comes_with_its_transcript_when_asked(
    client: OmiClient, upstream: Any, conversation: Any
) -> None:
    segments = [{"id": None, "text": "Hi", "speaker_id": 1, "speaker_name": "Ana", "start": 0, "end": 1.5}]
    upstream.answer(httpx.Response(200, json={**conversation, "transcript_segments": segments}))
    read = await client.get_conversation("c1", include_transcript=True)
    assert upstream.request.url.params["include_transcript"] == "true"
    assert read.transcript_segments is not None
    assert [(segment.speaker, segment.text, segment.end) for segment in read.transcript_segments] == [
        ("Ana", "Hi", 1.5)
    ]


async def test_ids_are_percent_encoded(client: OmiClient, upstream: Any, conversation: Any) -> None:
    upstream.answer(httpx.Response(200, json=conversation))
    await client.get_conversation("a b?c#d%2Fé")
    assert upstream.request.url.raw_path.startswith(b"/v1/dev/user/conversations/a%20b%3Fc%23d%252F%C3%A9?")


@pytest.mark.parametrize(
    "reserved",
    ["", " ", ".", "..", "search", "from-segments", "a/b", "../folders", "a\nb", "a\x00", "x" * 257, "\ud800"],
)
async def test_what_cannot_be_an_id_is_refused_before_sending(client: OmiClient, upstream: Any, reserved: str) -> None:
    with pytest.raises(InvalidRequest, match="conversation_id"):
        await client.get_conversation(reserved)
    with pytest.raises(InvalidRequest, match="conversation_id"):
        await client.delete(reserved)
    assert upstream.requests == []


async def test_folders_are_read_and_unusable_ones_skipped(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json=[{"id": "f1", "name": "Work", "order": 1}, {"name": "no id"}, 7]))
    assert [(folder.id, folder.name) for folder in await client.folders()] == [("f1", "Work")]
    assert upstream.request.url.path == "/v1/dev/user/folders"


async def test_a_create_from_text_posts_the_draft(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json=RECEIPT))
    receipt = await client.create_from_text(draft_text("Grüße", now=NOW))
    assert (receipt.id, receipt.status, receipt.discarded) == ("c9", "completed", False)
    assert (upstream.request.method, upstream.request.url.path) == ("POST", "/v1/dev/user/conversations")
    assert upstream.request.headers["content-type"] == "application/json"
    assert json.loads(upstream.request.content) == {
        "text": "Grüße",
        "text_source": "other_text",
        "started_at": "2025-03-14T12:00:00.123456Z",
    }


async def test_a_create_from_segments_posts_the_draft(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json={**RECEIPT, "status": "processing", "discarded": True}))
    draft = draft_segments([SegmentDraft("Hi", 0, 1)], now=NOW, client_session_id="s1")
    receipt = await client.create_from_segments(draft)
    assert (receipt.status, receipt.discarded) == ("processing", True)
    assert upstream.request.url.path == "/v1/dev/user/conversations/from-segments"
    assert json.loads(upstream.request.content) == draft.body()


async def test_an_update_sends_only_what_changes_and_drops_the_transcript(
    client: OmiClient, upstream: Any, conversation: Any
) -> None:
    upstream.answer(httpx.Response(200, json={**conversation, "transcript_segments": [{"text": "Hi"}]}))
    updated = await client.update("c1", title="  New title ")
    assert upstream.request.method == "PATCH"
    assert json.loads(upstream.request.content) == {"title": "New title"}
    assert updated.transcript_segments is None
    upstream.requests.clear()
    await client.update("c1", discarded=False)
    assert json.loads(upstream.request.content) == {"discarded": False}


@pytest.mark.parametrize("title", ["", " \n", "x" * 501])
async def test_a_title_the_api_would_refuse_or_blank_is_refused(client: OmiClient, upstream: Any, title: str) -> None:
    with pytest.raises(InvalidRequest, match="title"):
        await client.update("c1", title=title)
    assert upstream.requests == []


async def test_an_update_of_nothing_is_a_bug_of_the_caller(client: OmiClient) -> None:
    with pytest.raises(ValueError, match="nothing to update"):
        await client.update("c1")


async def test_a_delete_counts_only_when_confirmed(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, json={"success": True}))
    await client.delete("c1")
    assert (upstream.request.method, upstream.request.url.path) == ("DELETE", "/v1/dev/user/conversations/c1")
    for unconfirmed in (b'{"success": false}', b"[]", b"null"):
        upstream.answer(httpx.Response(200, content=unconfirmed))
        with pytest.raises(AnswerLost):
            await client.delete("c1")


@pytest.mark.parametrize(
    ("answer", "scopes"),
    [
        (httpx.Response(200, json={"scopes": ["conversations:read", 7]}), ("conversations:read",)),
        (httpx.Response(200, json={"scopes": None}), None),
        (httpx.Response(200, json=[]), None),
        (httpx.Response(404, json={"detail": "Not Found"}), None),
    ],
)
async def test_the_scopes_of_the_key_are_told_where_the_backend_can(
    client: OmiClient, upstream: Any, answer: httpx.Response, scopes: Any
) -> None:
    upstream.answer(answer)
    assert await client.scopes() == scopes
    assert upstream.request.url.path == "/v1/dev/key"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Sign in to the hotel network</html>"),
        httpx.Response(200, content=b""),
        httpx.Response(204),
        httpx.Response(200, content=b"\xff\xfe{"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, content=b"1" * 10_000),
        httpx.Response(200, json="text"),
        httpx.Response(200, json={"detail": "?"}),
    ],
    ids=["html", "empty", "204", "not UTF-8", "too deep", "too long a number", "a string", "another object"],
)
async def test_an_answer_that_makes_no_sense_is_lost_and_never_an_empty_result(
    client: OmiClient, upstream: Any, answer: httpx.Response
) -> None:
    upstream.answer(answer)
    calls = [
        client.list_conversations(),
        client.get_conversation("c1"),
        client.folders(),
        client.update("c1", title="t"),
        client.delete("c1"),
    ]
    for call in calls:
        with pytest.raises(AnswerLost):
            await call


async def test_each_request_is_booked_under_what_it_uses_up(
    client: OmiClient, upstream: Any, budget: Any, conversation: Any
) -> None:
    upstream.answer(httpx.Response(200, json=[]))
    await client.list_conversations()
    await client.list_conversations(limit=25, include_transcript=True, background=True)
    await client.folders(background=True)
    upstream.answer(httpx.Response(200, json=conversation))
    await client.get_conversation("c1", include_transcript=True)
    await client.update("c1", title="t")
    assert budget.booked == [
        (("reads",), False),
        (("reads", "transcripts"), True),
        (("reads",), True),
        (("reads", "transcripts"), False),
        (("writes",), False),
    ]
