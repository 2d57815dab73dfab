"""Bad input as a new user would try it: each gets a sentence that helps, and the server lives on."""

import base64
import json
from typing import Any

import pytest
from hosting import Connect, call, copied, refusal, segments_of, talk, text_of

from omi_mcp.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

SEGMENTS = segments_of("the lighthouse")


async def test_without_a_key_every_tool_explains_how_to_set_it(connect: Connect) -> None:
    async with connect(api_key=None) as client:
        for tool, arguments in (
            ("search_conversations", {}),
            ("get_conversation", {"conversation_id": "a"}),
            ("create_from_text", {"text": "a note"}),
            ("create_from_segments", {"segments": SEGMENTS}),
            ("update_title", {"conversation_id": "a", "title": "b"}),
            ("discard", {"conversation_id": "a"}),
        ):
            said = await refusal(client, tool, **arguments)
            assert "OMI_API_KEY" in said
            assert "Settings > Developer" in said
        assert (await client.list_resources()).resources == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [("omi_dev_wrong", "does not accept the key"), ("omi_mcp_0123456789abcdef", "developer key")],
)
async def test_a_refused_key_is_told_apart_from_one_of_another_family(
    connect: Connect, key: str, expected: str
) -> None:
    async with connect(api_key=key) as client:
        said = await refusal(client, "search_conversations")
        assert expected in said
        assert key not in said


async def test_a_read_only_key_reads_and_is_told_what_a_write_needs(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect(api_key=sandbox.read_only_key) as client:
        assert (await call(client, "search_conversations"))["matched"] == 1
        said = await refusal(client, "update_title", conversation_id="harbour", title="x")
        assert "conversations:write" in said
        assert "Nothing was changed" in said


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        (
            "get_conversation",
            {"conversation_id": "00000000-0000-0000-0000-000000000000"},
            "no conversation with this id",
        ),
        ("get_conversation", {"conversation_id": "../keys"}, "conversation_id"),
        ("get_conversation", {"conversation_id": "a/../../keys"}, "conversation_id"),
        ("get_conversation", {"conversation_id": "search"}, "conversation_id"),
        ("get_conversation", {"conversation_id": ""}, "conversation_id"),
        ("update_title", {"conversation_id": "..", "title": "x"}, "conversation_id"),
        ("discard", {"conversation_id": "%2e%2e%2fkeys"}, "no conversation with this id"),
        ("search_conversations", {"categories": ["romance"]}, "romantic"),
        ("search_conversations", {"folder": "Nowhere"}, "Folders: "),
        ("search_conversations", {"start": "2025-02-01", "end": "2025-01-01"}, "end lies before start"),
        ("search_conversations", {"start": "soonish"}, "yesterday"),
        ("search_conversations", {"limit": 51}, "limit"),
        ("search_conversations", {"limit": "many"}, "limit"),
        ("search_conversations", {"cursor": "gibberish"}, "not a cursor"),
        ("search_conversations", {"detail": "all"}, "'concise', 'full' or 'hits'"),
        ("create_from_text", {"text": "x" * 100_001}, "100,001"),
        ("create_from_text", {"text": "  \n "}, "text"),
        ("create_from_text", {"text": "hello", "started_at": "lunchtime"}, "started_at"),
        ("create_from_text", {"text": "hello", "language": "english"}, "language"),
        ("create_from_text", {"text": "hello", "text_source": "email"}, "audio_transcript"),
        ("create_from_text", {"text": "hello", "latitude": 95, "longitude": 10}, "latitude"),
        ("create_from_segments", {"segments": []}, "segments"),
        ("create_from_segments", {"segments": [*SEGMENTS, {"text": "late", "start": 30, "end": 29}]}, "4"),
        ("create_from_segments", {"segments": [{"text": " ", "start": 0, "end": 1}]}, "0"),
        ("create_from_segments", {"segments": [{"text": "a", "start": -1, "end": 1}]}, "start"),
        ("create_from_segments", {"segments": [{"text": "a", "start": 0}]}, "end"),
        ("create_from_segments", {"segments": SEGMENTS, "source": "external_integration"}, "source"),
        ("create_from_segments", {"segments": SEGMENTS, "client_session_id": "x" * 201}, "200"),
        ("update_title", {"conversation_id": "a", "title": "   "}, "title"),
        ("update_title", {"conversation_id": "a", "title": "t" * 501}, "500"),
        (
            "get_conversation",
            {"conversation_id": "a", "at": "41:00", "segment": 1},
            "one of find, at, segment and cursor",
        ),
    ],
)
async def test_bad_input_gets_a_sentence_that_helps(
    connect: Connect, sandbox: Sandbox, tool: str, arguments: dict[str, Any], expected: str
) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        said = await refusal(client, tool, **arguments)
        assert expected in said
        assert len(said) < 1_000
        assert "Traceback" not in said
        assert "pydantic" not in said
        assert (await call(client, "search_conversations"))["matched"] == 1
    assert len(sandbox.ids(listable=False)) == 1


async def test_a_segment_that_cannot_be_read_is_refused_by_index_and_field(connect: Connect, sandbox: Sandbox) -> None:
    good = {"text": "Hi", "start": 0, "end": 1}
    bad = [
        ("segments[1]", None),
        ("segments[1]", "Hi"),
        ("segments[1].speakr", {**good, "speakr": "Ana"}),
        ("segments[1].text", {**good, "text": None}),
        ("segments[1].start", {**good, "start": None}),
        ("segments[1].start", {**good, "start": "00:01"}),
        ("segments[1].end", {**good, "end": "inf"}),
        ("segments[1].speaker", {**good, "speaker": ["Ana"]}),
        ("segments[1].is_user", {**good, "is_user": "perhaps"}),
        ("segments[1].person_id", {**good, "person_id": 1}),
    ]
    async with connect() as client:
        for field, segment in bad:
            said = await refusal(client, "create_from_segments", segments=[good, segment])
            assert f"{field}: " in said
        for segments in ("Hi", good):
            assert "segments: " in await refusal(client, "create_from_segments", segments=segments)
        for argument in ("text_source", "language", "latitude"):
            assert f"{argument}: " in await refusal(client, "create_from_text", text="Hi", **{argument: "north"})
    assert sandbox.ids(listable=False) == []


async def test_numbers_and_switches_may_come_as_text(connect: Connect, sandbox: Sandbox) -> None:
    said = segments_of("the lighthouse")
    as_text = [{**one, "start": str(one["start"]), "end": f" {one['end']} ", "is_user": "True"} for one in said]
    as_text[0] |= {"speaker": 3, "person_id": " p1 "}
    async with connect() as client:
        made = await call(client, "create_from_segments", segments=as_text)
        read = await call(client, "get_conversation", conversation_id=made["id"])
    assert read["transcript"]["segments"] == "0-3 of 4"
    assert read["transcript"]["covers"].startswith("00:00:00-00:00:19")


async def test_501_segments_are_refused_with_what_to_do(connect: Connect, sandbox: Sandbox) -> None:
    many = [{"text": f"line {i}", "start": i, "end": i + 1} for i in range(501)]
    async with connect() as client:
        said = await refusal(client, "create_from_segments", segments=many)
        assert "501" in said
        assert "500" in said
        assert ". Nothing was created" in said
    assert sandbox.ids(listable=False) == []


async def test_a_place_outside_the_transcript_is_refused_with_its_bounds(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", minutes=5)])
    async with connect() as client:
        assert "19" in await refusal(client, "get_conversation", conversation_id="harbour", segment=20)
        assert "00:04:59" in await refusal(client, "get_conversation", conversation_id="harbour", at="01:00:00")
        said = await refusal(client, "get_conversation", conversation_id="harbour", speaker="Carla")
        assert "Ana, Ben" in said
        assert "cursor" in await refusal(client, "get_conversation", conversation_id="harbour", cursor="t0.0.00000000")


async def test_a_cursor_of_another_search_is_refused(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk(name) for name in ("harbour", "kitchen", "garden")])
    async with connect() as client:
        first = await call(client, "search_conversations", query="winter", limit=1)
        second = await call(client, "search_conversations", query="winter", limit=1, cursor=first["next_cursor"])
        assert first["conversations"][0]["id"] != second["conversations"][0]["id"]
        said = await refusal(client, "search_conversations", query="summer", limit=1, cursor=first["next_cursor"])
        assert "another search" in said


async def test_a_page_that_is_gone_is_refused(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect() as client:
        for query in ("winter", ""):
            first = await call(client, "search_conversations", query=query, limit=1)
            await call(client, "discard", conversation_id="harbour")
            said = await refusal(client, "search_conversations", query=query, limit=1, cursor=first["next_cursor"])
            assert "1 match by now" in said
            await call(client, "discard", conversation_id="harbour", restore=True)


@pytest.mark.parametrize("place", ["0", "-1", "9" * 25, "9" * 5_000, "1e3"])
async def test_a_cursor_that_was_tampered_with_is_refused(connect: Connect, sandbox: Sandbox, place: str) -> None:
    sandbox.load([talk("harbour"), talk("kitchen")])
    async with connect() as client:
        cursor = (await call(client, "search_conversations", limit=1))["next_cursor"]
        kind, _, binding = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        forged = base64.urlsafe_b64encode(f"{kind}:{place}:{binding}".encode()).decode()
        assert "not a cursor" in await refusal(client, "search_conversations", limit=1, cursor=forged)


REQUIRED: dict[str, dict[str, Any]] = {
    "search_conversations": {},
    "get_conversation": {"conversation_id": "harbour"},
    "create_from_text": {"text": "Dinner with Ana: she wants to sell the orchard in May."},
    "create_from_segments": {"segments": SEGMENTS},
    "update_title": {"conversation_id": "harbour", "title": "The harbour"},
    "discard": {"conversation_id": "kitchen"},
    "delete_conversation": {"conversation_id": "harbour"},
}
EMPTY: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}


@pytest.mark.parametrize("nothing", ["empty", None, " ", "null", "None", {}])
async def test_an_optional_argument_that_says_nothing_was_not_given(
    connect: Connect, sandbox: Sandbox, nothing: object
) -> None:
    """Hosts that make every argument required must send something."""
    sandbox.load([talk("harbour", starred=True), talk("kitchen")])
    async with connect(allow_delete=True) as client:
        await copied(client, 2)  # until then, two answers may tell of different coverage
        for tool in (await client.list_tools()).tools:
            required = REQUIRED[tool.name]
            described = tool.input_schema["properties"]
            empty = {name: EMPTY[described[name]["type"]] if nothing == "empty" else nothing for name in described}
            if tool.name == "get_conversation" and nothing == "empty":
                del empty["include_transcript"]  # false is a wish here
            if nothing in ("null", "None"):
                empty = {name: value for name, value in empty.items() if name not in ("query", "find")}
            given = await client.call_tool(tool.name, empty | required)
            plain = await client.call_tool(tool.name, required)
            if tool.name.startswith("create_"):  # the same again is the first: so nothing told them apart
                ids = [json.loads(text_of(result))["id"] for result in (given, plain)]
                assert ids[0] == ids[1]
            else:
                assert text_of(given) == text_of(plain)
                assert given.is_error == (tool.name == "delete_conversation")


async def test_the_place_that_is_meant_wins_over_one_that_says_nothing(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour", minutes=60, words={200: "The lighthouse keeper sold the boat."})])
    async with connect() as client:
        for empty in ({"segment": 0, "max_chars": 0}, {"at": "00:00:00", "cursor": ""}, {"include_transcript": False}):
            read = await call(client, "get_conversation", conversation_id="harbour", find="lighthouse keeper", **empty)
            assert "sold the boat" in read["transcript"]["text"]


async def test_a_segment_may_leave_everything_empty_that_is_optional(connect: Connect, sandbox: Sandbox) -> None:
    empty = {"speaker": "", "is_user": None, "person_id": ""}
    async with connect() as client:
        saved = await call(client, "create_from_segments", segments=[segment | empty for segment in SEGMENTS])
        plain = [{key: each[key] for key in ("text", "start", "end")} for each in SEGMENTS]
        assert (await call(client, "create_from_segments", segments=plain))["id"] == saved["id"]
