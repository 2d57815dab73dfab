"""When something was, as people say it, through the tools: understood, told how, and refused where it is a guess."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hosting import Connect, call, refusal, segments_of, talk

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("asked", "understood"),
    [
        ({"period": "June 2025"}, {"start": "2025-06-01", "end": "2025-06-30"}),
        ({"period": "June 5, 2025"}, {"start": "2025-06-05", "end": "2025-06-05"}),
        ({"period": "between 1 and 5 June 2025"}, {"start": "2025-06-01", "end": "2025-06-05"}),
        ({"start": "2025/06/01", "end": "before 2025-06-06"}, {"start": "2025-06-01", "end": "2025-06-05"}),
        (
            {"period": "5 June 2025 in the morning"},
            {"start": "2025-06-05T04:00:00+02:00", "end": "2025-06-05T11:59:59+02:00"},
        ),
        ({"period": "until Q2 2025", "start": "", "end": ""}, {"end": "2025-06-30"}),
        ({}, None),
    ],
)
async def test_the_range_that_was_understood_is_told(
    connect: Connect, sandbox: Sandbox, asked: dict[str, str], understood: dict[str, str] | None
) -> None:
    sandbox.load([talk("harbour", started_at="2025-06-05T08:00:00Z"), talk("old", started_at="2025-05-31T21:59:00Z")])
    async with connect() as client:
        answer = await call(client, "search_conversations", query="harbour", **asked)
        assert [card["id"] for card in answer["conversations"]][:1] == ["harbour"]
        assert answer.get("range") == understood
        again = await call(client, "search_conversations", query="harbour", **(answer.get("range") or {}))
        assert again == answer


async def test_a_cursor_belongs_to_its_period(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk(name, started_at="2025-06-05T08:00:00Z") for name in ("harbour", "kitchen")])
    async with connect() as client:
        first = await call(client, "search_conversations", period="june 2025", limit=1)
        cursor = first["next_cursor"]
        second = await call(client, "search_conversations", period="june 2025", limit=1, cursor=cursor)
        assert first["conversations"][0]["id"] != second["conversations"][0]["id"]
        said = await refusal(client, "search_conversations", period="may 2025", limit=1, cursor=cursor)
        assert "another search" in said


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"period": "03/04/2025"}, "period: can be two days: write 2025-03-04 or 2025-04-03."),
        ({"period": "last week", "start": "2025-03-04"}, "period says both ends"),
        ({"period": "recently"}, "since yesterday"),
        ({"period": "friday to 2025-01-01"}, "ends before it begins"),
    ],
)
async def test_a_guess_is_refused_with_what_to_write(
    connect: Connect, sandbox: Sandbox, asked: dict[str, str], expected: str
) -> None:
    async with connect() as client:
        assert expected in await refusal(client, "search_conversations", **asked)


async def test_a_time_that_is_still_to_come_is_told_as_that(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        assert "still to come" in (await call(client, "search_conversations", period="next week"))["note"]


async def test_a_create_takes_a_day_in_words_and_tells_when_that_was(connect: Connect, sandbox: Sandbox) -> None:
    def yesterdays_three() -> str:
        day = datetime.now(BERLIN).date() - timedelta(days=1)
        return datetime(day.year, day.month, day.day, 15, tzinfo=BERLIN).isoformat()

    async with connect() as client:
        for tool, content in (
            ("create_from_text", {"text": "Dinner with Ana: she wants to sell the orchard in May."}),
            ("create_from_segments", {"segments": segments_of("the orchard")}),
        ):
            before = yesterdays_three()
            created = await call(client, tool, started_at="yesterday 3pm", **content)
            assert created["started"] in (before, yesterdays_three())
            read = await call(client, "get_conversation", conversation_id=created["id"])
            assert read["started"] == created["started"]
            said = await refusal(client, tool, started_at="last week", **content)
            assert said.startswith("started_at: not a time that can be read")
            assert said.endswith("Nothing was created.")
