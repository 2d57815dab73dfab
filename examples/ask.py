"""Answer a question from your conversations, with citations: an agent loop on the MCP SDK's client.

    python examples/ask.py "what did we decide about the price" --demo

The loop is complete; the model is one function that you replace: it sees the question, the tools and what was called so
far, and returns the next call or the answer. `quote`, the one here, is a rule and no language model: it looks the words
up, reads around the best moment of the newest match, and answers with what was said, word for word.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import TextContent, Tool

MOST_CALLS = 8


@dataclass(frozen=True)
class Call:
    """A tool the model wants called."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A call that was made, and what came of it: the tool's JSON, or its error text under `error`."""

    call: Call
    result: dict[str, Any]


class NoAnswer(Exception):
    """The tools cannot give what an answer would need. `str()` says why, for the person."""


Model = Callable[[str, Sequence[Tool], Sequence[Step]], Awaitable[Call | str]]
"""Question, tools and steps so far; returns the next call, or the answer. May raise NoAnswer."""


async def answer(question: str, model: Model, client: Client) -> str:
    """Let `model` use the tools until it answers.

    Raises:
        NoAnswer: it cannot.
    """
    tools = (await client.list_tools()).tools
    steps: list[Step] = []
    for _ in range(MOST_CALLS):
        decision = await model(question, tools, steps)
        if isinstance(decision, str):
            return decision
        result = await client.call_tool(decision.tool, decision.arguments)
        text = "".join(block.text for block in result.content if isinstance(block, TextContent))
        # An error is for the model, too: it says what to do next.
        steps.append(Step(decision, {"error": text} if result.is_error else json.loads(text)))
    raise NoAnswer("No answer within the allowed number of calls.")


async def quote(question: str, tools: Sequence[Tool], steps: Sequence[Step]) -> Call | str:
    """The model of this example."""
    if not steps:
        return Call("search_conversations", {"query": question, "limit": 3})
    last = steps[-1].result
    if "error" in last:
        raise NoAnswer(f"I could not look it up: {last['error']}")
    if len(steps) == 1:
        found = [card for card in last["conversations"] if any("segment" in hit for hit in card.get("hits", ()))]
        if not found:
            return "Nobody says anything about this in the conversations that were searched."
        # A later conversation can change what an earlier one decided.
        newest = max(found, key=lambda card: str(card["started"]))
        segment = next(hit["segment"] for hit in newest["hits"] if "segment" in hit)
        return Call("get_conversation", {"conversation_id": newest["id"], "segment": segment, "max_chars": 2000})
    said = last["transcript"]["text"].splitlines()[:4]
    others = [card for card in steps[0].result["conversations"] if card["id"] != last["id"]]
    lines = [f"{turn}\n    ({cite(last, turn)})" for turn in said]
    if others:
        lines += ["See also:", *(f"    {card['title']}, {card['weekday']} {card['started'][:10]}" for card in others)]
    if note := steps[0].result["coverage"].get("note"):
        lines.append(f"Not everything was searched: {note}")
    return "\n".join(lines)


def cite(conversation: dict[str, Any], turn: str) -> str:
    """Where `turn` can be found again: title, date, and the time in the conversation."""
    time = turn[1:9]
    day = datetime.fromisoformat(conversation["started"])
    return f"{conversation['title']}, {day:%A %Y-%m-%d}, {time}"


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("question")
    parser.add_argument("--demo", action="store_true", help="ask the invented sample library")
    options = parser.parse_args()
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "omi_mcp", *(["--demo"] if options.demo else [])], env=dict(os.environ)
    )
    async with Client(server) as client:
        try:
            print(await answer(options.question, quote, client))
        except NoAnswer as why:
            print(why, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
