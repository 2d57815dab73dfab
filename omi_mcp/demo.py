"""A short session for someone with no account: a real MCP client drives the demo server, and every step is shown."""

import json
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

Call = Callable[..., Awaitable[dict[str, Any]]]

SHOWN = 1_200
"""Characters of each answer that are printed."""


def play() -> int:
    """Run the session on standard output. Returns 0, or 1 when a step failed."""
    return anyio.run(_play)


async def _play() -> int:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "omi_mcp", "--demo"], env={**os.environ, "OMI_MCP_READ_ONLY": "off"}
    )
    _say("A real MCP client starts `omi-mcp --demo`: invented conversations, no account, no network.")
    async with Client(parameters) as client:
        tools = await client.list_tools()
        _say("The server offers: " + ", ".join(tool.name for tool in tools.tools))
        failures = 0

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            nonlocal failures
            _show_call(tool, arguments)
            answer = await client.call_tool(tool, arguments)
            failures += answer.is_error
            text = _text(answer)
            _show_answer(text)
            return {} if answer.is_error else json.loads(text)

        await _session(call)
    _say("That was all. To connect your own account, see the README: it takes a key and one line of configuration.")
    return 1 if failures else 0


async def _session(call: Call) -> None:
    _say("1. Find: words, with the moments they were said.")
    found = await call("search_conversations", query="launch price decision", limit=2)
    first = found["conversations"][0]["id"] if found.get("conversations") else ""

    _say("2. Read just the part that matters: the window opens at the best match.")
    await call("get_conversation", conversation_id=first, find="price", max_chars=2000)

    _say("3. Save a conversation from a diarised transcript, and find it a moment later.")
    created = await call(
        "create_from_segments",
        segments=[
            {"speaker": "SPEAKER_00", "is_user": True, "text": "Let us plan the summer party.", "start": 0, "end": 3},
            {"speaker": "SPEAKER_01", "text": "The boathouse is free on the third of July.", "start": 3, "end": 7},
            {
                "speaker": "SPEAKER_00",
                "is_user": True,
                "text": "I will book the boathouse today.",
                "start": 7,
                "end": 10,
            },
            {"speaker": "SPEAKER_01", "text": "Then I order food for forty people.", "start": 10, "end": 13},
        ],
    )
    await call("search_conversations", query="boathouse", limit=1)

    _say("4. Rename it, hide it, and bring it back.")
    conversation_id = created.get("id", "")
    await call("update_title", conversation_id=conversation_id, title="Summer party at the boathouse")
    await call("discard", conversation_id=conversation_id)
    await call("search_conversations", query="boathouse", limit=1)
    await call("discard", conversation_id=conversation_id, restore=True)


def _say(text: str) -> None:
    print(f"\n{textwrap.fill(text, 100)}", flush=True)


def _show_call(tool: str, arguments: dict[str, Any]) -> None:
    print(f"\n  > {tool} {json.dumps(arguments, ensure_ascii=False)}", flush=True)


def _show_answer(text: str) -> None:
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}... [{len(text) - SHOWN:,} more characters]"
    print(textwrap.indent(shown, "  < "), flush=True)


def _text(answer: CallToolResult) -> str:
    return "".join(block.text for block in answer.content if isinstance(block, TextContent))
