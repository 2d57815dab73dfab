"""What a person picks from a menu."""

import re
from datetime import date, timedelta

import pytest
from hosting import Connect
from mcp import MCPError
from mcp.types import INVALID_PARAMS, GetPromptResult, TextContent

pytestmark = pytest.mark.anyio

TOOLS = ("search_conversations", "get_conversation")


def words(prompt: GetPromptResult) -> str:
    (message,) = prompt.messages
    assert isinstance(message.content, TextContent)
    return message.content.text


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("catch_up", {"period": "last week"}),
        ("catch_up", {}),
        ("follow_ups", {"period": "2025-03"}),
        ("follow_ups", {}),
        ("prepare_for", {"person_or_topic": "Ben and the boat"}),
        ("weekly_review", {}),
    ],
)
async def test_each_prompt_names_the_tools_in_order_and_asks_for_citations(
    connect: Connect, name: str, arguments: dict[str, str]
) -> None:
    async with connect() as client:
        said = words(await client.get_prompt(name, arguments))
        assert said.index(TOOLS[0]) < said.index(TOOLS[1])
        assert "Cite each statement" in said
        for value in arguments.values():
            assert value in said


async def test_a_period_becomes_exact_days(connect: Connect) -> None:
    async with connect() as client:
        said = words(await client.get_prompt("follow_ups", {"period": "2025-03"}))
        assert 'start="2025-03-01" and end="2025-03-31"' in said


async def test_follow_ups_are_those_of_the_last_seven_days_unless_said(connect: Connect) -> None:
    async with connect() as client:
        for arguments in ({}, {"period": " "}):
            said = words(await client.get_prompt("follow_ups", arguments))
            assert "of this period: last 7 days." in said
            days = re.findall(r'start="([0-9-]{10})" and end="([0-9-]{10})T', said)
            assert {date.fromisoformat(end) - date.fromisoformat(start) for start, end in days} == {timedelta(days=7)}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [("catch_up", {"period": "soonish"}, "yesterday"), ("prepare_for", {"person_or_topic": " "}, "person_or_topic")],
)
async def test_an_unusable_argument_is_refused_with_what_is_accepted(
    connect: Connect, name: str, arguments: dict[str, str], expected: str
) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match=expected):
            await client.get_prompt(name, arguments)


async def test_an_unknown_prompt_is_refused_with_those_there_are(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match="weekly_review") as refused:
            await client.get_prompt("daily_review")
        assert refused.value.error.code == INVALID_PARAMS


async def test_every_prompt_has_a_title_and_a_description(connect: Connect) -> None:
    async with connect() as client:
        prompts = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["catch_up", "follow_ups", "prepare_for", "weekly_review"]
        assert all(prompt.title and prompt.description for prompt in prompts)
