"""What a create accepts, how it is completed, and how each refusal names the field."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.api.drafts import ACCEPTED_SOURCES, SegmentDraft, SegmentsDraft, draft_segments, draft_text
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.api.models import LANGUAGES

NOW = datetime(2025, 3, 14, 12, 0, 0, 123456, tzinfo=UTC)


def segment(**given: Any) -> SegmentDraft:
    return SegmentDraft(**{"text": "Hi", "start": 0, "end": 1, **given})


def draft(*segments: SegmentDraft, **given: Any) -> SegmentsDraft:
    return draft_segments(list(segments) or [segment()], now=NOW, **given)


def refusal(build: Any, *arguments: Any, **given: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        build(*arguments, now=NOW, **given)
    return refused.value


def test_a_text_is_trimmed_and_starts_now() -> None:
    made = draft_text(" Grüße\n", now=NOW)
    assert made.body() == {"text": "Grüße", "text_source": "other_text", "started_at": "2025-03-14T12:00:00.123456Z"}


def test_a_text_takes_all_that_the_api_does() -> None:
    made = draft_text(
        "Hi",
        now=NOW,
        text_source="Message",
        started_at=datetime(2025, 3, 14, 9, 30, tzinfo=timezone(timedelta(hours=2))),
        finished_at=datetime(2025, 3, 14, 7, 30, tzinfo=UTC),
        language="DE",
        latitude=52.5,
        longitude=13,
    )
    assert made.body() == {
        "text": "Hi",
        "text_source": "message",
        "started_at": "2025-03-14T07:30:00Z",
        "finished_at": "2025-03-14T07:30:00Z",
        "language": "de",
        "geolocation": {"latitude": 52.5, "longitude": 13.0},
    }


@pytest.mark.parametrize(
    ("given_values", "field"),
    [
        ({"text": " \n\u2003"}, "text"),
        ({"text": "x" * 100_001}, "text"),
        ({"text_source": "email"}, "text_source"),
        ({"started_at": NOW.replace(tzinfo=None)}, "started_at"),
        ({"started_at": datetime.max.replace(tzinfo=UTC)}, "started_at"),
        ({"started_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))}, "started_at"),
        ({"finished_at": NOW}, "finished_at"),
        ({"started_at": NOW, "finished_at": NOW - timedelta(seconds=1)}, "finished_at"),
        ({"started_at": NOW, "finished_at": NOW.replace(tzinfo=None)}, "finished_at"),
        ({"language": "english"}, "language"),
        ({"language": "en-US"}, "language"),
        ({"language": "multi"}, "language"),
        ({"latitude": 1}, "longitude"),
        ({"longitude": 1}, "latitude"),
        ({"latitude": 90.1, "longitude": 0}, "latitude"),
        ({"latitude": 0, "longitude": -180.1}, "longitude"),
        ({"latitude": float("nan"), "longitude": 0}, "latitude"),
    ],
)
def test_a_text_the_api_would_not_take_is_refused_by_field(given_values: dict[str, Any], field: str) -> None:
    assert refusal(draft_text, **{"text": "Hi", **given_values}).field == field


def test_a_text_of_exactly_the_limit_fits() -> None:
    assert len(draft_text("  " + "x" * 100_000, now=NOW).text) == 100_000


def test_half_an_emoji_does_not_stop_a_create() -> None:
    assert draft_text("ok \ud83d", now=NOW).text == "ok \ufffd"
    assert draft_text("ok \ud83d\ude00", now=NOW).text == "ok 😀"


def test_the_languages_are_the_183_of_iso_639_1() -> None:
    assert len(LANGUAGES) == 183
    assert {"en", "de", "zh", "ja", "pt", "uk", "he", "id", "yi", "nb", "sr"} <= LANGUAGES


def test_segments_are_sorted_by_start_and_equal_starts_keep_their_order() -> None:
    made = draft(
        segment(text="c", start=2, end=3),
        segment(text="a", start=0, end=9),
        segment(text="b", start=0, end=1),
    )
    assert [one.text for one in made.segments] == ["a", "b", "c"]


def test_a_transcript_ends_with_its_latest_end_and_not_with_its_last_segment() -> None:
    made = draft(segment(start=0, end=90.5), segment(start=60, end=61))
    assert made.started_at == NOW
    assert made.finished_at == NOW + timedelta(seconds=90.5)


def test_a_body_has_no_nulls_and_always_a_source_and_both_times() -> None:
    assert draft(segment(person_id=" "), client_session_id=" s1 ").body() == {
        "transcript_segments": [
            {"text": "Hi", "start": 0.0, "end": 1.0, "speaker": "SPEAKER_00", "speaker_id": 0, "is_user": False}
        ],
        "client_session_id": "s1",
        "source": "phone",
        "started_at": "2025-03-14T12:00:00.123456Z",
        "finished_at": "2025-03-14T12:00:01.123456Z",
    }


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (segment(text=" "), "segments[1].text"),
        (segment(start=-0.1), "segments[1].start"),
        (segment(end=0), "segments[1].end"),
        (segment(end=float("inf")), "segments[1].end"),
        (segment(start=1_000_000, end=2_000_000), "segments[1].start"),
        (segment(end=3_600_000), "segments[1].end"),
        (segment(speaker="x" * 201), "segments[1].speaker"),
        (segment(person_id="x" * 201), "segments[1].person_id"),
    ],
)
def test_a_bad_segment_is_refused_by_index_and_field(bad: Any, field: str) -> None:
    refused = refusal(draft_segments, [segment(), bad])
    assert refused.field == field
    assert str(refused).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("given_values", "field"),
    [
        ({"segments": []}, "segments"),
        ({"source": "external_integration"}, "source"),
        ({"source": "workflow"}, "source"),
        ({"source": "unknown"}, "source"),
        ({"source": "walkman"}, "source"),
        ({"started_at": NOW, "finished_at": NOW}, "finished_at"),
        ({"client_session_id": "x" * 201}, "client_session_id"),
    ],
)
def test_a_transcript_the_api_would_not_take_is_refused_by_field(given_values: dict[str, Any], field: str) -> None:
    assert refusal(draft_segments, **{"segments": [segment()], **given_values}).field == field


def test_too_many_segments_are_refused_with_what_to_do() -> None:
    assert len(draft(*[segment()] * 500).segments) == 500
    refused = refusal(draft_segments, [segment()] * 1234)
    assert "1,234" in str(refused)
    assert "merge" in str(refused)
    assert "at most 500" in str(refused)


@pytest.mark.parametrize("source", ACCEPTED_SOURCES)
def test_every_other_source_is_sent_as_it_is(source: str) -> None:
    assert draft(source=source).source == source


def labels(*given_labels: Any) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    made = draft(*[segment(start=at, end=at + 1, speaker=label) for at, label in enumerate(given_labels)])
    assert all(one.speaker == f"SPEAKER_{one.speaker_id:02d}" for one in made.segments)
    return [one.speaker for one in made.segments], made.renamed


def test_numbered_speakers_stay_as_they_are() -> None:
    assert labels("SPEAKER_01", "SPEAKER_00", "SPEAKER_12") == (["SPEAKER_01", "SPEAKER_00", "SPEAKER_12"], ())


def test_names_get_the_free_numbers_in_order_of_appearance_and_the_renaming_is_told() -> None:
    assert labels("Ana", "SPEAKER_01", "Ben", "Ana") == (
        ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02", "SPEAKER_00"],
        (("Ana", "SPEAKER_00"), ("Ben", "SPEAKER_02")),
    )


def test_one_speaker_written_in_two_ways_is_one_speaker() -> None:
    assert labels("Ana", "ANA ", "José  Luis", "josé luis")[0] == ["SPEAKER_00"] * 2 + ["SPEAKER_01"] * 2


def test_other_ways_of_writing_a_number_keep_the_number() -> None:
    assert labels("speaker 3", "Speaker-3", "3", "SPEAKER_3")[0] == ["SPEAKER_03"] * 4


def test_a_segment_without_a_speaker_is_nobody_else_s() -> None:
    assert labels("", "SPEAKER_00", " ") == (["SPEAKER_01", "SPEAKER_00", "SPEAKER_01"], ())


def test_the_order_of_appearance_is_that_of_time() -> None:
    made = draft(segment(start=5, end=6, speaker="Ben"), segment(speaker="Ana"))
    assert made.renamed == (("Ana", "SPEAKER_00"), ("Ben", "SPEAKER_01"))


def test_the_same_content_derives_the_same_session_id_whenever_it_is_sent() -> None:
    later = draft_segments([segment()], now=NOW + timedelta(days=1))
    assert draft().client_session_id == later.client_session_id
    assert draft(segment(start=0.0, end=1.0)).client_session_id == later.client_session_id
    assert 1 <= len(later.client_session_id) <= 200


@pytest.mark.parametrize(
    "different",
    [
        draft(segment(text="Ho")),
        draft(segment(end=2)),
        draft(segment(is_user=True)),
        draft(source="omi"),
        draft(language="de"),
        draft(latitude=1, longitude=1),
        draft(started_at=NOW),
        draft(started_at=NOW - timedelta(hours=1)),
        draft(started_at=NOW, finished_at=NOW + timedelta(hours=1)),
    ],
)
def test_other_content_or_a_given_time_derives_another_session_id(different: SegmentsDraft) -> None:
    assert different.client_session_id != draft().client_session_id


def test_a_given_session_id_is_kept() -> None:
    assert draft(client_session_id=" call-7 ").client_session_id == "call-7"
    assert draft(client_session_id=" ").client_session_id == draft().client_session_id


_words = st.sampled_from(["Hi", "\ud83d", " "]) | st.text(max_size=5)
_numbers = st.integers(-1, 99) | st.floats()
_segments = st.lists(
    st.builds(
        SegmentDraft,
        text=_words,
        start=st.integers(0, 50) | _numbers,
        end=st.integers(51, 99) | _numbers,
        speaker=_words,
        is_user=st.booleans(),
        person_id=st.none() | _words,
    ),
    max_size=4,
)
_others = st.fixed_dictionaries({}, optional={"source": _words, "language": _words, "latitude": _numbers})


@given(_segments, _others)
def test_any_values_are_refused_or_make_a_body_that_the_api_takes(segments: Any, others: dict[str, Any]) -> None:
    try:
        made = draft_segments(segments, now=NOW, **others)
    except InvalidRequest:
        return
    body = made.body()
    sent = body["transcript_segments"]
    assert all(0 <= one["start"] < one["end"] for one in sent)
    assert [one["start"] for one in sent] == sorted(one["start"] for one in sent)
    json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    assert draft_segments(made.segments, now=NOW, **others) == replace(made, renamed=())
