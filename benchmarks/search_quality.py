"""How well search finds the right conversation, on a labelled set, through the `search_conversations` tool.

    python benchmarks/search_quality.py DIR [--part all|even|odd]

DIR holds `conversations.jsonl` or `.jsonl.gz`, as the sandbox loads them, and `queries.jsonl` of
`{"qid", "query", "relevant": [conversation ids], "segments": [[first, last], ...]}`; `segments` is optional and says
where in the relevant conversation the evidence is. A sandbox serves the set, a fresh mirror copies it, and every query
is asked through an MCP client. Ids become UUIDs, as the API's own are; fields that the sandbox does not know are passed
over.

`evidence` is the share of those stretches, over all queries, that a shown snippet lies in. Two baselines run on the
same set: the newest 100 conversations ordered by how many words of the query they contain, and FTS5 as it comes, one
row a conversation, where every word must match. The last line is JSON. Figures are per cent.
"""

import argparse
import gzip
import json
import math
import re
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import anyio
from mcp import Client
from mcp.types import TextContent

from omi_mcp.library import Library
from omi_mcp.sandbox import PlainLine, Sandbox, SpokenLine
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

RESULTS = 10
NEWEST = 100

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Asked:
    """One query and what answers it."""

    text: str
    relevant: frozenset[str]
    evidence: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Shown:
    """One result: a conversation, and the segments its snippets are from."""

    id: str
    segments: tuple[int, ...] = ()


Ranker = Callable[[str], Sequence[Shown]]


class HastyClock:
    """Real time, but while `hasty` waiting takes none: the hourly allowances of the API hold large sets back."""

    def __init__(self) -> None:
        self.hasty = True
        self._skipped = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    async def sleep(self, seconds: float) -> None:
        if self.hasty:
            self._skipped += timedelta(seconds=seconds)
        await anyio.sleep(0 if self.hasty else seconds)


@asynccontextmanager
async def connected(conversations: Iterable[dict[str, Any]], folder: Path) -> AsyncIterator[Client]:
    """A client of a server whose mirror has all of `conversations`."""
    with Sandbox() as sandbox:
        sandbox.load(conversations)
        settings = Settings(
            timezone=ZoneInfo("UTC"),
            data_dir=folder,
            api_key=sandbox.key,
            base_url=sandbox.base_url,
            mirror="disk",
            omi_search=False,  # the sandbox's search by meaning is no measure of anything
        )
        clock = HastyClock()
        library = Library(settings, transport=sandbox.transport(), clock=clock)
        async with library.running():
            await library.sync()
            while (await library.standing()).remains is not None:  # noqa: ASYNC110 - no other sign
                await anyio.sleep(0.05)
        clock.hasty = False  # calls of tools are answered within a time
        async with Client(build_server(settings, clock, transport=sandbox.transport())) as client:
            yield client


async def call(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("search_conversations", arguments)
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        raise SystemExit(text)
    answer: dict[str, Any] = json.loads(text)
    return answer


def shown(answer: dict[str, Any]) -> list[Shown]:
    return [
        Shown(card["id"], tuple(hit["segment"] for hit in card.get("hits", ()) if "segment" in hit))
        for card in answer["conversations"]
    ]


def newest_containing(conversations: Sequence[dict[str, Any]]) -> Ranker:
    """What a client without an index can do: read the newest, and look for the words in them."""
    newest = sorted(conversations, key=lambda line: str(line["started_at"]), reverse=True)[:NEWEST]
    texts = {line["id"]: _text(line).lower() for line in newest}

    def rank(query: str) -> Sequence[Shown]:
        words = set(_WORD.findall(query.lower()))
        counts = {name: sum(word in text for word in words) for name, text in texts.items()}
        matching = [name for name, count in counts.items() if count]
        return [Shown(name) for name in sorted(matching, key=lambda name: -counts[name])[:RESULTS]]

    return rank


def every_word(connection: sqlite3.Connection, conversations: Sequence[dict[str, Any]]) -> Ranker:
    """FTS5 with its defaults: words are AND-ed, and a row is a whole conversation."""
    connection.execute("create virtual table plain using fts5(id unindexed, text)")
    connection.executemany("insert into plain values (?, ?)", [(line["id"], _text(line)) for line in conversations])

    def rank(query: str) -> Sequence[Shown]:
        words = " ".join(f'"{word}"' for word in _WORD.findall(query))
        if not words:
            return []
        rows = connection.execute(f"select id from plain where plain match ? order by rank limit {RESULTS}", (words,))
        return [Shown(name) for (name,) in rows]

    return rank


def judge(queries: Sequence[Asked], answers: Sequence[Sequence[Shown]]) -> dict[str, float]:
    """The metrics over all queries, in per cent."""
    totals = dict.fromkeys(("hit@1", "hit@5", "hit@10", "recall@5", "recall@10", "MRR@10", "nDCG@10"), 0.0)
    stretches = touched = 0
    for asked, answer in zip(queries, answers, strict=True):
        gains = [result.id in asked.relevant for result in answer[:RESULTS]]
        for depth in (1, 5, 10):
            totals[f"hit@{depth}"] += any(gains[:depth])
        for depth in (5, 10):
            totals[f"recall@{depth}"] += sum(gains[:depth]) / len(asked.relevant)
        if any(gains):
            totals["MRR@10"] += 1 / (gains.index(True) + 1)
        ideal = [True] * min(RESULTS, len(asked.relevant))
        totals["nDCG@10"] += _discounted(gains) / _discounted(ideal)
        said = {segment for result in answer if result.id in asked.relevant for segment in result.segments}
        stretches += len(asked.evidence)
        touched += sum(any(first <= segment <= last for segment in said) for first, last in asked.evidence)
    figures = {name: 100 * total / len(queries) for name, total in totals.items()}
    return figures | {"evidence": 100 * touched / stretches if stretches else 0.0}


def _discounted(gains: Sequence[bool]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


def _text(line: dict[str, Any]) -> str:
    spoken = (f"{segment.get('speaker', '')}: {segment['text']}" for segment in line["segments"])
    return "\n".join((line.get("title") or "", line.get("overview") or "", *spoken))


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[Asked]]:
    packed = folder / "conversations.jsonl.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "conversations.jsonl").read_bytes()
    conversations = [_known_fields(line) for line in _lines(raw)]
    ids = {line["id"]: str(uuid5(NAMESPACE_URL, line["id"])) for line in conversations}
    conversations = [line | {"id": ids[line["id"]]} for line in conversations]
    queries = _lines((folder / "queries.jsonl").read_bytes())
    asked = [
        Asked(
            query["query"],
            frozenset(ids.get(each, each) for each in query["relevant"]),
            tuple((first, last) for first, last in query.get("segments") or ()),
        )
        for query in queries
        if query["relevant"]
    ]
    return conversations, asked


def _lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.split(b"\n") if line.strip()]


def _known_fields(line: dict[str, Any]) -> dict[str, Any]:
    if "structured" in line:
        return line
    kept = {name: value for name, value in line.items() if name in PlainLine.model_fields}
    spoken = [{name: each[name] for name in SpokenLine.model_fields if name in each} for each in line["segments"]]
    return kept | {"segments": spoken}


def _print(name: str, figures: dict[str, float], milliseconds: float) -> None:
    print(f"{name:28}" + "".join(f"{figure:11.1f}" for figure in figures.values()) + f"{milliseconds:11.1f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--part", choices=("all", "even", "odd"), default="all", help="every second query, or all")
    arguments = parser.parse_args()
    conversations, queries = _read(arguments.folder)
    queries = {"all": queries, "even": queries[::2], "odd": queries[1::2]}[arguments.part]
    print(f"{len(conversations)} conversations, {len(queries)} queries ({arguments.part})\n")
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with connected(conversations, Path(folder)) as client:
            start = time.perf_counter()
            answers = [shown(await call(client, query=asked.text, limit=RESULTS)) for asked in queries]
            seconds = time.perf_counter() - start
    report["search_conversations"] = judge(queries, answers)
    print(f"{'':28}" + "".join(f"{name:>11}" for name in report["search_conversations"]) + f"{'ms a query':>11}")
    _print("search_conversations", report["search_conversations"], 1e3 * seconds / len(queries))
    with closing(sqlite3.connect(":memory:")) as connection:
        baselines = {
            f"newest {NEWEST}, substrings": newest_containing(conversations),
            "FTS5, all words": every_word(connection, conversations),
        }
        for name, rank in baselines.items():
            start = time.perf_counter()
            answers = [list(rank(asked.text)) for asked in queries]
            seconds = time.perf_counter() - start
            report[name] = judge(queries, answers)
            _print(name, report[name], 1e3 * seconds / len(queries))
    rounded = {name: {key: round(value, 1) for key, value in figures.items()} for name, figures in report.items()}
    print(json.dumps({"conversations": len(conversations), "queries": len(queries)} | rounded))


if __name__ == "__main__":
    anyio.run(main)
