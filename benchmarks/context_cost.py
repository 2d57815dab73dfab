"""What reading costs a model: characters of the API's JSON against ours, through the tools, on a sandbox.

    python benchmarks/context_cost.py

Conversations of 5 to 120 minutes at 150 words a minute (turns of about 18 seconds, as in a meeting; a livelier one is
shown besides), placed reads, lists of 10 and 50, a search of 10 with hits, and the tool definitions. Exits with 1 when
a bar is missed. Deterministic.
"""

import json
import random
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
from mcp import Client
from mcp.types import TextContent

from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

WORDS_PER_MINUTE = 150
MINUTES = (5, 30, 60, 120)

OVERHEAD_BAR = 0.10
HOUR_PAGES_BAR = 4
SEARCH_BAR = 6_000
PLACED_BAR = 2_700
DEFINITIONS_BAR = 16_000

SENTENCES = (
    "So the price for the winter season stays where it is until the end of the quarter.",
    "I would rather ask the two workshops first what they can deliver before Easter.",
    "Right, and who tells the people in Rotterdam that the second shipment is late again?",
    "We said last time that nobody signs anything before the numbers from August are in.",
    "Honestly, I think the simpler offer is the better one, even if it brings us less at first.",
    "Can you send me the list of open questions by Thursday, so that I can prepare the call?",
    "Yes.",
    "The battery holds for about nine hours, which is enough for a day on the road.",
    "Let me write that down.",
    "They want a discount of twelve percent, and I do not see how we could give them that.",
    "It depends on the weather, on the ferry and on whether Marta finds somebody for the night shift.",
    "Okay, then we have a plan.",
)
SPEAKERS = ("Priya", "Tomasz", "Marta", "User")


@dataclass
class Report:
    """Lines to print, and the bars that were missed."""

    missed: list[str] = field(default_factory=list)

    def row(self, *cells: object) -> None:
        print("  ".join(f"{cell:<26}" if index == 0 else f"{cell:>12}" for index, cell in enumerate(cells)))

    def bar(self, name: str, value: float, limit: float) -> None:
        if value > limit:
            self.missed.append(f"{name}: {value:,.4g} is over {limit:,.4g}")


def speech(rng: random.Random, minutes: int, turn_seconds: float) -> Iterator[dict[str, Any]]:
    """Segments of one or two sentences; a speaker keeps the floor for about `turn_seconds`."""
    now, speaker, turn_ends = 0.0, SPEAKERS[0], turn_seconds
    while now < minutes * 60:
        words = " ".join(rng.choices(SENTENCES, k=rng.choice((1, 2))))
        seconds = len(words.split()) / WORDS_PER_MINUTE * 60
        yield {"speaker": speaker, "text": words, "start": round(now, 2), "end": round(now + seconds, 2)}
        now += seconds
        if now >= turn_ends:
            speaker = rng.choice([name for name in SPEAKERS if name != speaker])
            turn_ends = now + turn_seconds * rng.uniform(0.3, 1.3)


def conversation(rng: random.Random, number: int, minutes: int, turn_seconds: float = 18) -> dict[str, Any]:
    started = datetime(2025, 3, 14, 9, 30, tzinfo=UTC) - timedelta(hours=7 * number)
    return {
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "started_at": started.isoformat(),
        "title": f"Winter season, offer and deliveries {number}",
        "overview": " ".join(rng.sample(SENTENCES, 6)),
        "category": "business",
        "folder": "Work",
        "action_items": [{"description": sentence} for sentence in rng.sample(SENTENCES, 3)],
        "segments": list(speech(rng, minutes, turn_seconds)),
    }


async def ask(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        raise SystemExit(text)
    return text


async def raw(api: httpx.AsyncClient, path: str, **query: str | int) -> int:
    return len((await api.get(f"/v1/dev/user/conversations{path}", params=query)).raise_for_status().text)


async def transcripts(
    report: Report, client: Client, api: httpx.AsyncClient, talks: dict[str, dict[str, Any]], *, held_to_bars: bool
) -> None:
    report.row("transcript", "bare words", "API JSON", "ours, all", "first page", "pages", "overhead")
    for name, talk in talks.items():
        said = sum(len(segment["text"]) + 1 for segment in talk["segments"])
        pages, cursor = [await ask(client, "get_conversation", conversation_id=talk["id"])], None
        while cursor := json.loads(pages[-1])["transcript"].get("next_cursor"):
            pages.append(await ask(client, "get_conversation", conversation_id=talk["id"], cursor=cursor))
        shown = sum(len(json.loads(page)["transcript"]["text"]) + 1 for page in pages)
        overhead = (shown - said) / said
        size = await raw(api, f"/{talk['id']}", include_transcript="true")
        total = sum(map(len, pages))
        report.row(
            name, *(f"{number:,}" for number in (said, size, total, len(pages[0]), len(pages))), f"{overhead:.1%}"
        )
        if held_to_bars:
            report.bar(f"overhead of {name}", overhead, OVERHEAD_BAR)
            if name == "60 minutes":
                report.bar("pages of an hour", len(pages), HOUR_PAGES_BAR)


async def lists(report: Report, client: Client, api: httpx.AsyncClient) -> None:
    report.row("list", "", "API JSON", "concise", "full")
    for limit in (10, 50):
        size = await raw(api, "", limit=limit)
        concise = len(await ask(client, "search_conversations", limit=limit))
        full = len(await ask(client, "search_conversations", limit=limit, detail="full"))
        report.row(f"{limit} newest", "", *(f"{number:,}" for number in (size, concise, full)))
    found = await ask(client, "search_conversations", query="discount Rotterdam battery ferry")
    hits = sum(len(card.get("hits", ())) for card in json.loads(found)["conversations"])
    report.row(f"10 with {hits} hits", "", "", f"{len(found):,}")
    report.bar("a search of 10 with hits", len(found), SEARCH_BAR)


async def places(report: Report, client: Client, conversation_id: str) -> None:
    """A look at one place, in the smallest window there is; what is around it has been read or is not wanted."""
    report.row("placed read of 2,000", "text", "in all")
    opened = json.loads(await ask(client, "get_conversation", conversation_id=conversation_id))
    for place in (
        {"segment": 200},
        {"at": "00:31:00"},
        {"find": "discount Rotterdam battery ferry"},
        {"find": "night shift", "speaker": "Marta"},
        {"cursor": opened["transcript"]["next_cursor"]},
    ):
        read = await ask(client, "get_conversation", conversation_id=conversation_id, max_chars=2_000, **place)
        name = " and ".join(place)
        report.row(name, f"{len(json.loads(read)['transcript']['text']):,}", f"{len(read):,}")
        report.bar(f"a placed read by {name}", len(read), PLACED_BAR)


async def definitions(report: Report, client: Client) -> None:
    tools = {
        tool.name: len(
            json.dumps(tool.model_dump(mode="json", by_alias=True, exclude_none=True), separators=(",", ":"))
        )
        for tool in (await client.list_tools()).tools
    }
    report.row("tools/list", "characters")
    for name, size in tools.items():
        report.row(name, f"{size:,}")
    report.row("in all", f"{sum(tools.values()):,}")
    report.bar("tools/list", sum(tools.values()), DEFINITIONS_BAR)


async def main() -> int:
    rng, report = random.Random(7), Report()
    calm = {f"{minutes} minutes": conversation(rng, number, minutes) for number, minutes in enumerate(MINUTES)}
    lively = {"60 minutes, turns of 6 s": conversation(rng, 9, 60, turn_seconds=6)}
    others = [conversation(rng, number, 12) for number in range(10, 60)]
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.load([*calm.values(), *lively.values(), *others])
        settings = Settings(
            timezone=ZoneInfo("UTC"),
            data_dir=Path(folder),
            api_key=sandbox.key,
            base_url=sandbox.base_url,
            mirror="memory",
        )
        async with (
            Client(build_server(settings, transport=sandbox.transport())) as client,
            httpx.AsyncClient(
                transport=sandbox.transport(),
                base_url=sandbox.base_url,
                headers={"Authorization": f"Bearer {sandbox.key}"},
            ) as api,
        ):
            await transcripts(report, client, api, calm, held_to_bars=True)
            await transcripts(report, client, api, lively, held_to_bars=False)
            await places(report, client, calm["120 minutes"]["id"])
            await lists(report, client, api)
            await definitions(report, client)
    for missed in report.missed:
        print(f"MISSED  {missed}", file=sys.stderr)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))
