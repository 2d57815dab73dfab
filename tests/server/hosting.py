"""What the server's tests share: invented talks, and a client's calls in one line."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from mcp import Client
from mcp.types import CallToolResult, TextContent

Connect = Callable[..., AbstractAsyncContextManager[Client]]


def talk(
    name: str, *, minutes: int = 5, words: dict[int, str] | None = None, days_ago: float = 1, **fields: Any
) -> dict[str, Any]:
    """A conversation to load, four segments a minute, each with a number of its own in its words."""
    said = words or {}
    segments = [
        {
            "speaker": ("Ana", "Ben")[index % 2],
            "text": said.get(index, f"At the {name} we counted sentence-{index} of our plan for the winter season."),
            "start": index * 15.0,
            "end": index * 15.0 + 14.0,
        }
        for index in range(minutes * 4)
    ]
    started = datetime.now(UTC) - timedelta(days=days_ago)
    return {
        "id": name,
        "started_at": started.isoformat(),
        "title": f"About the {name}",
        "overview": f"Ana and Ben talk about the {name}.",
        "segments": segments,
    } | fields


def segments_of(subject: str) -> list[dict[str, Any]]:
    """A short diarised transcript to save, long enough that the service keeps it."""
    lines = (
        f"Tell me again about {subject}, please.",
        "It begins on an island where the mail comes only twice a month.",
        "And what do they decide about the boat in the end?",
        "They sell it to the doctor, and the keeper promises to teach her to sail.",
    )
    return [
        {"speaker": f"SPEAKER_0{index % 2}", "text": line, "start": index * 5.0, "end": index * 5.0 + 4.5}
        for index, line in enumerate(lines)
    ]


def first_cause(error: BaseException) -> BaseException:
    """What a test itself raised, out of the task groups it ran in."""
    return first_cause(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The answer of a tool that must succeed."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    answer: dict[str, Any] = json.loads(text_of(result))
    return answer


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """What the model is told by a tool that must fail."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result)


async def copied(client: Client, transcripts: int) -> None:
    """Wait until so many transcripts can be searched."""
    with anyio.fail_after(20):
        while (await call(client, "search_conversations", limit=1))["coverage"]["transcripts"] < transcripts:
            await anyio.lowlevel.checkpoint()
