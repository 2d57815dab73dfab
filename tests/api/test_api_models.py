"""What becomes of values the API should not send, and of those it should."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from omi_mcp.api.models import Conversation, well_formed, wire_time


def test_a_whole_conversation_is_read(conversation: Any) -> None:
    read = Conversation.model_validate(conversation)
    assert read.began == datetime(2025, 3, 14, 9, 30, 0, 456, tzinfo=UTC)
    assert read.seconds == pytest.approx(900, abs=0.001)
    assert (read.structured.title, read.structured.category) == ("Pricing", "work")
    assert [(item.description, item.completed) for item in read.structured.action_items] == [("Tell sales", False)]
    assert read.transcript_segments is None


def test_a_date_without_offset_is_utc(conversation: Any) -> None:
    read = Conversation.model_validate({**conversation, "started_at": "2025-03-14T09:30:00"})
    assert read.began == datetime(2025, 3, 14, 9, 30, tzinfo=UTC)


def test_a_conversation_without_a_start_began_when_it_was_created(conversation: Any) -> None:
    read = Conversation.model_validate({**conversation, "started_at": None, "finished_at": "tomorrow"})
    assert (read.began, read.seconds) == (read.created_at, 0)


@pytest.mark.parametrize("created_at", [None, 7, "", "yesterday", "0001-01-01T00:00:00+05:00"])
def test_a_conversation_without_a_usable_creation_time_is_refused(conversation: Any, created_at: Any) -> None:
    with pytest.raises(ValidationError):
        Conversation.model_validate({**conversation, "created_at": created_at})


def test_half_an_emoji_does_not_cost_the_conversation(conversation: Any) -> None:
    conversation["structured"]["title"] = "ok \ud83d"
    conversation["transcript_segments"] = [{"text": "\ude00", "speaker_id": 2**70}]
    read = Conversation.model_validate(conversation)
    assert read.structured.title == "ok \ufffd"
    assert read.transcript_segments is not None
    assert [(segment.text, segment.speaker) for segment in read.transcript_segments] == [("\ufffd", "Speaker")]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_optional = [
    "started_at", "finished_at", "structured", "language", "source", "transcript_segments", "geolocation",
    "folder_id", "folder_name",
]  # fmt: skip
_segment = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("text", "speaker_name", "speaker_id", "start", "end"), _json)
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_optional, _json)), st.lists(_segment, max_size=2))
def test_only_id_and_creation_time_can_make_a_conversation_unusable(values: dict[str, Any], segments: Any) -> None:
    values.setdefault("transcript_segments", segments)
    read = Conversation.model_validate({"id": "c1", "created_at": "2025-03-14T09:30:00Z", **values})
    assert json.dumps(read.model_dump(mode="json"), allow_nan=False).encode()
    assert read.seconds >= 0


def test_a_time_goes_out_in_utc_with_its_microseconds() -> None:
    moment = datetime(2025, 3, 14, 9, 30, 0, 7, tzinfo=timezone(timedelta(hours=2)))
    assert wire_time(moment) == "2025-03-14T07:30:00.000007Z"


@given(st.text(st.characters(exclude_categories=[])))
def test_well_formed_text_can_be_encoded_and_stays_what_it_was(text: str) -> None:
    mended = well_formed(text)
    mended.encode()
    assert mended == text or any("\ud800" <= letter <= "\udfff" for letter in text)
