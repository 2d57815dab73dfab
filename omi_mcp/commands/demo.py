"""`omi-mcp demo`: a real MCP client drives the demo server, and every step is shown. It needs no account."""

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from omi_mcp.terminal import discard_output

Answer = dict[str, Any]
Call = Callable[..., Awaitable[Answer]]

WIDTH = 100
TURNS = 6
"""Turns of a transcript that are printed."""

PARTY = (
    ("SPEAKER_00", "Let us plan the summer party."),
    ("SPEAKER_01", "The boathouse is free on the third of July."),
    ("SPEAKER_00", "I will book the boathouse today."),
    ("SPEAKER_01", "Then I order food for forty people."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    """0, or 1 when a step failed."""
    return anyio.run(_play)


async def _play() -> int:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "omi_mcp", "--demo"],
        env={**os.environ, "OMI_MCP_READ_ONLY": "off", "OMI_MCP_STRUCTURED": "on"},
    )
    _say(
        "This is what your assistant does when you talk to it about your conversations. A real MCP client has started "
        "`omi-mcp --demo`: two months of an invented person's life, no account, no network."
    )
    async with Client(parameters) as client:
        tools = await client.list_tools()
        _say("The server offers: " + ", ".join(tool.name for tool in tools.tools))
        failures = 0

        async def call(tool: str, **arguments: Any) -> Answer:
            nonlocal failures
            _print(f"> {tool} {json.dumps(arguments, ensure_ascii=False)}", "  ", shortened=True)
            result = await client.call_tool(tool, arguments)
            failures += result.is_error
            text = _text(result)
            answer = {"error": text} if result.is_error else json.loads(text)
            for line in _rendered(answer):
                _print(line, "      ")
            return answer

        await _tour(call)
    _say(
        "That was all. To connect your own account, see the README: it takes a key and one command. "
        "Without one, `omi-mcp sandbox` runs this library as a local API to play with."
    )
    return 1 if failures else 0


async def _tour(call: Call) -> None:
    _say('1. "What does our subscription cost now, and why?" The assistant searches by what was said.')
    found = await call("search_conversations", query="price euros decision", limit=4)
    cards = sorted(found.get("conversations", ()), key=lambda card: str(card["started"]))

    _say(
        "2. The price changed twice: 49 at the kick-off, 59 after the cells became dearer, and then? "
        "The newest conversation decides, so it is opened just where that is said."
    )
    newest = cards[-1]["id"] if cards else ""
    await call("get_conversation", conversation_id=newest, find="fifty-four a month, one price", max_chars=2000)

    _say('3. "What did Rutger want?" By speaker, and by date, in your own words for it.')
    await call("search_conversations", speakers=["Rutger"], start="2 months ago", limit=2)

    _say('4. "Save this talk to Omi." A diarised transcript is saved once, however often the call is repeated.')
    segments = [
        {"speaker": speaker, "is_user": speaker == "SPEAKER_00", "text": text, "start": place * 4, "end": place * 4 + 3}
        for place, (speaker, text) in enumerate(PARTY)
    ]
    started = datetime.now(UTC).replace(microsecond=0).isoformat()
    created = await call("create_from_segments", segments=segments, started_at=started)
    await call("create_from_segments", segments=segments, started_at=started)
    await call("search_conversations", query="boathouse", limit=1)

    _say('5. "Call it Summer party, and hide it for now." Hiding deletes nothing.')
    conversation_id = created.get("id", "")
    await call("update_title", conversation_id=conversation_id, title="Summer party at the boathouse")
    await call("discard", conversation_id=conversation_id)
    await call("search_conversations", query="boathouse", limit=1)
    await call("discard", conversation_id=conversation_id, restore=True)


def _rendered(answer: Answer) -> Iterator[str]:
    """What a person wants to see of an answer; the assistant gets all of it, as JSON."""
    if "error" in answer:
        yield f"error: {answer['error']}"
    elif "conversations" in answer:
        for card in answer["conversations"]:
            yield f"{card['title']} ({card['weekday']} {card['started'][:10]})"
            for hit in card.get("hits", [{"text": card.get("overview", "")}])[:2]:
                yield "   " + _hit(hit)
        coverage = answer.get("coverage", {})
        yield f"-- {answer.get('matched', 0)} of {coverage.get('conversations', 0)} conversations match"
    elif "transcript" in answer:
        yield f"{answer['title']} ({datetime.fromisoformat(answer['started']):%A %Y-%m-%d})"
        turns = answer["transcript"]["text"].splitlines()
        yield from (f"   {turn}" for turn in turns[:TURNS])
        yield f"-- the transcript covers {answer['transcript']['covers']}"
    else:
        yield ", ".join(f"{name}: {value}" for name, value in answer.items() if name != "id")


def _hit(hit: Answer) -> str:
    where = f"[{hit['at']}] " if "at" in hit else ""
    who = f"{hit['speaker']}: " if "speaker" in hit else ""
    return f"{where}{who}{hit['text']}"


def _say(text: str) -> None:
    _write(f"\n{textwrap.fill(text, WIDTH)}")


def _print(line: str, indent: str, *, shortened: bool = False) -> None:
    inner = indent + " " * (len(line) - len(line.lstrip())) + ("  " if shortened else "   ")
    line = textwrap.shorten(line, 2 * WIDTH, placeholder=" ...") if shortened else line
    _write(("\n" if shortened else "") + textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=inner))


def _write(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()  # the session goes on to its end, unseen


def _text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))
