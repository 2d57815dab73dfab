"""Conversations from files and from code, durability, and acting as the app does."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_kit import CONVERSATIONS, Clock, client_of, plain

from omi_mcp.sandbox import BadLine, Sandbox


def write_lines(path: Path, *lines: Any) -> Path:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
def test_a_file_of_lines_is_loaded(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, plain("a", "2025-01-01"), "\n", plain("b", "2025-01-02", title="Präis"))
    assert sandbox.load_file(path) == 2
    assert sandbox.ids() == ["b", "a"]
    assert sandbox.record("b")["structured"]["title"] == "Präis"


def test_what_a_line_leaves_out_is_made_up_by_rule(sandbox: Sandbox) -> None:
    sandbox.insert(plain("a"))
    structured = sandbox.record("a")["structured"]
    assert structured["title"] == "Shall we raise the price in May"
    assert structured["overview"] == "Shall we raise the price in May? Yes, to twelve euros."
    assert structured["category"] == "other"


def test_a_line_may_bring_its_own_action_items_and_events(sandbox: Sandbox) -> None:
    items = [{"description": "Tell the customers", "due_at": "2026-03-05T10:00:00+01:00"}]
    events = [{"title": "Price talk", "start": "2026-03-06T09:00:00Z", "duration": 45}]
    sandbox.insert(plain("a", action_items=items, events=events))
    structured = sandbox.record("a")["structured"]
    assert structured["action_items"] == [
        {
            "description": "Tell the customers",
            "completed": False,
            "created_at": None,
            "updated_at": None,
            "due_at": "2026-03-05T09:00:00Z",
            "completed_at": None,
            "conversation_id": None,
        }
    ]
    assert structured["events"] == [
        {"title": "Price talk", "description": "", "start": "2026-03-06T09:00:00Z", "duration": 45, "created": False}
    ]


@pytest.mark.anyio
async def test_what_the_api_answers_can_be_loaded_again_unchanged(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.insert(plain("a", folder="Work", action_items=[{"description": "Tell the customers"}]))
    whole = {"include_transcript": True}
    async with client_of(sandbox) as client:
        answered = (await client.get(CONVERSATIONS, params=whole)).json()
    with Sandbox(now=clock) as copy:
        assert copy.load(answered) == 1
        async with client_of(copy) as client:
            assert (await client.get(CONVERSATIONS, params=whole)).json() == answered


def test_a_known_id_is_replaced(sandbox: Sandbox) -> None:
    sandbox.insert(plain("a", title="Before"))
    sandbox.insert(plain("a", title="After"))
    assert sandbox.record("a")["structured"]["title"] == "After"
    assert sandbox.ids() == ["a"]


def test_segments_without_times_follow_each_other_at_the_pace_of_speech(sandbox: Sandbox) -> None:
    spoken = (
        {"text": "one two three four five"},
        {"speaker": "Ben", "text": "and six", "end": 4},
        {"text": "so", "start": 9},
    )
    sandbox.load([plain("a", segments=list(spoken))])
    record = sandbox.record("a")
    assert [(each["start"], each["end"]) for each in record["transcript_segments"]] == [(0, 2), (2, 4), (9, 9.4)]
    assert [each["speaker_name"] for each in record["transcript_segments"]] == ["Speaker 0", "Ben", "Speaker 0"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json\n", "not JSON"),
        ('"just a text"\n', "valid dictionary"),
        (plain(""), "id: "),
        ({"id": "b", "started_at": "2025-01-01"}, "segments: Field required"),
        (plain("b", "someday"), "started_at: "),
        (plain("b", category="romance"), "category: "),
        (plain("b", mood="good"), "mood: Extra inputs"),
        (plain("b", segments=[{"speaker": "Ann", "text": "hi", "start": 5, "end": 4}]), "segments.0: "),
        (plain("b", segments=[{"speaker": "Ann", "start": 5, "end": 6}]), "segments.0.text: "),
        ({"id": "b", "structured": {"title": "x"}}, "created_at: "),
    ],
)
def test_a_bad_line_is_refused_by_number_and_reason_and_nothing_is_kept(
    sandbox: Sandbox, tmp_path: Path, line: Any, reason: str
) -> None:
    path = write_lines(tmp_path / "lines.jsonl", plain("a"), "\n", line)
    with pytest.raises(BadLine) as refused:
        sandbox.load_file(path)
    assert refused.value.number == 3
    assert reason in str(refused.value)
    assert sandbox.ids(listable=False) == []


def test_the_sample_library_loads_and_ends_before_now(sandbox: Sandbox, clock: Clock) -> None:
    count = sandbox.load_sample()
    assert count == len(sandbox.ids()) > 0
    newest = datetime.fromisoformat(sandbox.record(sandbox.ids()[0])["created_at"])
    assert 0 < (clock() - newest).days < 7


def test_the_sample_library_moves_with_the_date() -> None:
    def newest(now: datetime) -> str:
        with Sandbox(now=lambda: now) as sandbox:
            sandbox.load_sample()
            return str(sandbox.record(sandbox.ids()[0])["created_at"])

    first, second = newest(datetime(2026, 3, 4, tzinfo=UTC)), newest(datetime(2026, 3, 5, 23, tzinfo=UTC))
    assert (datetime.fromisoformat(second) - datetime.fromisoformat(first)).days == 1


@pytest.mark.anyio
async def test_a_file_keeps_conversations_and_keys(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "omi.sqlite"
    with Sandbox(path, now=clock) as before:
        before.insert(plain("a"))
        async with client_of(before) as client:
            await client.patch(f"{CONVERSATIONS}/a", json={"title": "Kept"})
            created = (await client.post(CONVERSATIONS, json={"text": "We met about the price."})).json()["id"]
    with Sandbox(path, now=clock) as after:
        assert (after.key, after.read_only_key) == (before.key, before.read_only_key)
        assert after.record("a")["structured"]["title"] == "Kept"
        assert set(after.ids()) == {"a", created}


def test_the_hands_of_the_app_change_what_a_record_tells(sandbox: Sandbox) -> None:
    sandbox.insert(plain("a"))
    sandbox.edit("a", title="New", overview="Short.")
    sandbox.star("a")
    sandbox.lock("a")
    sandbox.move("a", "Work")
    record = sandbox.record("a")
    assert (record["structured"]["title"], record["structured"]["overview"]) == ("New", "Short.")
    assert (record["starred"], record["locked"], record["discarded"], record["status"]) == (
        True,
        True,
        False,
        "completed",
    )
    assert record["folder_name"] == "Work"
    assert sandbox.ids() == []
    sandbox.delete("a")
    with pytest.raises(KeyError):
        sandbox.record("a")
    with pytest.raises(KeyError):
        sandbox.delete("a")


@pytest.mark.anyio
async def test_requests_are_remembered_with_their_status(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await client.get(CONVERSATIONS, params={"limit": 3, "categories": "a b"})
        await client.delete(f"{CONVERSATIONS}/nope")
    assert sandbox.requests == [
        ("GET", CONVERSATIONS, {"limit": "3", "categories": "a b"}, 400),
        ("DELETE", f"{CONVERSATIONS}/nope", {}, 404),
    ]


@given(st.text(max_size=300))
def test_any_text_can_be_spoken(text: str) -> None:
    with Sandbox() as sandbox:
        sandbox.insert(plain("a", segments=[{"speaker": "Ann", "text": text, "start": 0, "end": 1}]))
        structured = sandbox.record("a")["structured"]
    assert len(structured["title"]) <= 60
    assert len(structured["overview"]) <= 300
