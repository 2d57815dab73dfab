"""The sample library and the questions asked of it are sound: a demonstration must not trip over its own data."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sandbox_kit import Clock

from omi_mcp.api.models import CATEGORIES
from omi_mcp.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "omi_mcp" / "sandbox" / "sample.jsonl"
QUERIES = ROOT / "tests" / "data" / "sample_queries.jsonl"

MOST_BYTES = 250_000
RELATIVE_DATE = re.compile(r"today|last month|[1-9]\d* days ago")
SEARCH_ARGUMENTS = {"start", "end", "speakers", "categories", "folder", "starred"}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def conversations() -> list[dict[str, Any]]:
    return lines_of(SAMPLE)


@pytest.fixture(scope="module")
def queries() -> list[dict[str, Any]]:
    return lines_of(QUERIES)


def segments_of(conversations: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (segment for conversation in conversations for segment in conversation["segments"])


def test_the_library_is_small_enough_to_ship() -> None:
    assert SAMPLE.stat().st_size < MOST_BYTES


def test_ids_are_unique_lowercase_uuids(conversations: list[dict[str, Any]]) -> None:
    ids = [conversation["id"] for conversation in conversations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)


def test_every_category_is_one_of_the_api(conversations: list[dict[str, Any]]) -> None:
    assert {conversation["category"] for conversation in conversations} <= set(CATEGORIES)


def test_conversations_follow_each_other_without_overlap_and_all_lie_in_the_past(
    conversations: list[dict[str, Any]],
) -> None:
    with Sandbox(now=Clock()) as sandbox:
        assert sandbox.load_sample() == len(conversations)
        ids = [conversation["id"] for conversation in conversations]
        assert sandbox.ids() == ids[::-1]
        records = [sandbox.record(each) for each in ids]
    assert all(one["finished_at"] < other["started_at"] for one, other in pairwise(records))
    assert min(conversation["days_ago"] for conversation in conversations) >= 1


def test_segments_follow_each_other_in_time(conversations: list[dict[str, Any]]) -> None:
    for conversation in conversations:
        moments = [at for segment in conversation["segments"] for at in (segment["start"], segment["end"])]
        assert moments == sorted(moments), conversation["title"]
    assert all(segment["start"] < segment["end"] and segment["text"].strip() for segment in segments_of(conversations))


def test_people_speak_at_a_human_pace(conversations: list[dict[str, Any]]) -> None:
    words = sum(len(segment["text"].split()) for segment in segments_of(conversations))
    minutes = sum(segment["end"] - segment["start"] for segment in segments_of(conversations)) / 60
    assert 100 < words / minutes < 200


def test_one_person_wears_the_device(conversations: list[dict[str, Any]]) -> None:
    spoken = list(segments_of(conversations))
    assert {segment["speaker"] for segment in spoken if segment["is_user"]} == {"Maya"}
    assert all(segment["is_user"] for segment in spoken if segment["speaker"] == "Maya")


def test_the_library_has_the_cases_that_are_easily_forgotten(conversations: list[dict[str, Any]]) -> None:
    by_length = sorted(conversations, key=lambda conversation: len(conversation["segments"]))
    assert by_length[0]["segments"] == []
    for meeting in by_length[-2:]:
        assert len(meeting["segments"]) >= 220
        assert 45 * 60 <= meeting["segments"][-1]["end"] <= 60 * 60
    assert {conversation["language"] for conversation in conversations} == {"en", "de"}
    assert any(segment["speaker"] == "SPEAKER_02" for segment in segments_of(conversations))


def test_every_query_can_be_asked_and_has_an_answer_in_the_library(
    conversations: list[dict[str, Any]], queries: list[dict[str, Any]]
) -> None:
    ids = {conversation["id"] for conversation in conversations}
    for query in queries:
        arguments = query.get("args", {})
        assert query["expect"], query
        assert set(query["expect"]) <= ids, query
        assert query["top"] in (1, 3), query
        assert query["query"] or arguments, query
        assert set(arguments) <= SEARCH_ARGUMENTS, query
        assert all(RELATIVE_DATE.fullmatch(arguments[name]) for name in ("start", "end") if name in arguments), query


def test_every_filter_of_a_query_lets_an_expected_conversation_through(
    conversations: list[dict[str, Any]], queries: list[dict[str, Any]]
) -> None:
    known = {conversation["id"]: conversation for conversation in conversations}
    for query in queries:
        arguments = query.get("args", {})
        assert any(admits(arguments, known[each]) for each in query["expect"]), query


def admits(arguments: dict[str, Any], conversation: dict[str, Any]) -> bool:
    """A day's margin on both sides: the reader's time zone may be far from the library's UTC."""
    start, end = (days(arguments.get(name)) for name in ("start", "end"))
    spoken = " ".join(speakers(conversation)).casefold()
    return (
        (start is None or conversation["days_ago"] < start)
        and (end is None or conversation["days_ago"] > end)
        and conversation["category"] in arguments.get("categories", CATEGORIES)
        and arguments.get("folder") in (None, conversation.get("folder"))
        and arguments.get("starred") in (None, conversation.get("starred", False))
        and arguments.get("speakers", "").casefold() in spoken.casefold()
    )


def speakers(conversation: dict[str, Any]) -> set[str]:
    """Under the names the API shows: an unknown voice has a number."""
    return {re.sub(r"SPEAKER_0*(?=\d)", "Speaker ", segment["speaker"]) for segment in conversation["segments"]}


def days(ago: str | None) -> int | None:
    """The least that the start of what is meant lies back: last month may begin four weeks ago."""
    if ago is None:
        return None
    fixed = {"today": 0, "last month": 28}
    return fixed[ago] if ago in fixed else int(ago.split()[0])
