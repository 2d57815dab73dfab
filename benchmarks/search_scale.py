"""How search behaves as the mirror grows: build rate, size on disk, latency of each kind of query, cost of a change.

    python benchmarks/search_scale.py --conversations 1000 10000 100000

Conversations are made up, the same in every run: lengths are log-normal (median 250 words, a few of 20,000), words
follow Zipf's law over 60,000 forms, speakers recur, and each conversation keeps coming back to six words of its own.
Query words are drawn by how frequent they are. "bare FTS5" is the least that any ranking on this index must pay: the
terms of the same query (of a long one the 32 longest words, of an unknown word those it is read as), OR-ed, SQLite's
own bm25, ten row numbers and no filter. "CPU" is the median time of the thread on the processor, which other programs
disturb less.

`--mirror FILE` keeps what was built for the next run, which measures it as it is.
"""

import argparse
import itertools
import json
import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from omi_mcp.api.models import CATEGORIES, ActionItem, Conversation, Segment, Structured
from omi_mcp.clock import SystemClock
from omi_mcp.database import Database
from omi_mcp.mirror.search import search
from omi_mcp.mirror.search.expansion import expand
from omi_mcp.mirror.search.query import any_of, parse
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters

WORD_FORMS = 60_000
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 100
"""Conversations of one transaction: a page of the API."""

SPOKEN_BY_ALL = 150
"""The most frequent word forms stand for the function words that a query drops."""


class Library:
    """An endless made-up account in one made-up language. What is said is drawn from `seed`."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.forms = _word_forms(random.Random(0))
        self._cumulated = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(WORD_FORMS)))
        firsts, lasts = self.forms[3_000:3_400], self.forms[8_000:8_400]
        self.people = [f"{first.title()} {last.title()}" for first, last in zip(firsts, lasts, strict=True)]
        self._known = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(self.people))))

    def words(self, count: int) -> list[str]:
        return self.random.choices(self.forms, cum_weights=self._cumulated, k=count)

    def conversation(self, number: int) -> Conversation:
        began = NEWEST - timedelta(minutes=15 * number + self.random.random() * 10)
        topic = self.words(6)
        segments = self._transcript(topic)
        items = tuple(ActionItem(description=" ".join(self.words(8))) for _ in range(self.random.randrange(3)))
        return Conversation(
            id=f"c{number:07d}",
            created_at=began,
            started_at=began,
            finished_at=began + timedelta(seconds=segments[-1].end),
            structured=Structured(
                title=" ".join(topic[:4]).title(),
                overview=" ".join(self.words(30) + topic),
                category=self.random.choice(CATEGORIES),
                action_items=items,
            ),
            transcript_segments=tuple(segments),
            folder_id=f"folder-{self.random.randrange(8)}" if self.random.random() < 0.5 else None,
        )

    def _transcript(self, topic: list[str]) -> list[Segment]:
        length = min(20_000, max(8, int(self.random.lognormvariate(math.log(250), 1.0))))
        present = self.random.choices(self.people, cum_weights=self._known, k=self.random.choice((1, 2, 2, 3)))
        spoken = self.words(length)
        segments = []
        at = 0
        while at < length:
            turn = spoken[at : at + max(1, int(self.random.lognormvariate(math.log(14), 0.8)))]
            if self.random.random() < 0.3:
                turn[self.random.randrange(len(turn))] = self.random.choice(topic)
            text = " ".join(turn).capitalize() + "."
            segments.append(
                Segment(text=text, speaker_name=self.random.choice(present), start=at * 0.4, end=(at + len(turn)) * 0.4)
            )
            at += len(turn)
        return segments


Taken = tuple[float, float]


@dataclass(frozen=True)
class Asked:
    """One query; `offset` is how deep the page lies."""

    text: str = ""
    filters: Filters = field(default_factory=Filters)
    offset: int = 0


def kinds(library: Library, conversations: int) -> dict[str, Callable[[], Asked]]:
    """Every kind of query, as something that draws the next one."""
    draw = library.random

    def word(least: int, most: int) -> str:
        return library.forms[draw.randrange(least, most)]

    def telling() -> str:
        """A word as questions have them: some frequent, most not."""
        return word(SPOKEN_BY_ALL, 1_500) if draw.random() < 0.5 else word(1_500, 8_000)

    def some(count: int) -> str:
        return " ".join(telling() for _ in range(count))

    def spoken() -> str:
        """Two words that some conversation has side by side."""
        segments = library_sample[draw.randrange(len(library_sample))]
        first, second, *_ = segments[draw.randrange(len(segments))].split(" ")
        return f"{first} {second}".rstrip(".")

    def person() -> str:
        return draw.choice(library.people[:50])

    def span(days: float) -> Filters:
        start = NEWEST - timedelta(minutes=15 * draw.randrange(conversations))
        return Filters(start=start, end=start + timedelta(days=days))

    def typo() -> str:
        chosen = word(1_500, 8_000)
        place = len(chosen) // 2
        return chosen[:place] + "q" + chosen[place + 1 :]

    sampler = Library()
    library_sample = [
        [segment.text for segment in sampler.conversation(number).transcript_segments or () if " " in segment.text]
        for number in range(min(conversations, 200))
    ]
    library_sample = [segments for segments in library_sample if segments]
    return {
        "rare word": lambda: Asked(word(1_500, 8_000)),
        "frequent word": lambda: Asked(word(SPOKEN_BY_ALL, 300)),
        "name": lambda: Asked(person()),
        "question, 4 words": lambda: Asked(some(4)),
        "question, 8 words": lambda: Asked(some(8)),
        "pasted, 300 words": lambda: Asked(" ".join(library.words(300))),
        "quoted phrase": lambda: Asked(f'"{spoken()}"'),
        "4 words in a week": lambda: Asked(some(4), span(7)),
        "4 words in a category": lambda: Asked(some(4), Filters(categories=(draw.choice(CATEGORIES),))),
        "4 words, one speaker": lambda: Asked(some(4), Filters(speakers=((person(),),))),
        "4 words, page 5": lambda: Asked(some(4), offset=40),
        "beginning of a word": lambda: Asked(word(1_500, 8_000)[:4]),
        "misspelled word": lambda: Asked(typo()),
        "newest": lambda: Asked(),
        "newest of a speaker": lambda: Asked("", Filters(speakers=((person(),),))),
        "newest, page 100": lambda: Asked("", offset=min(990, conversations // 2)),
    }


def measure(conversations: int, rounds: int, mirror: Path | None) -> dict[str, object]:
    with ExitStack() as stack:
        path = mirror or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "mirror.db"
        print(f"\n{conversations:,} conversations")
        build_seconds = 0.0
        if not path.exists():
            build_seconds = _build(path, conversations)
            print(f"  build {conversations / build_seconds:,.0f} a second, {build_seconds:.1f} s")
        megabytes = path.stat().st_size / 1e6
        print(f"  file {megabytes:.0f} MB")
        database = Database(path)
        store = Store(database, SystemClock())
        library = Library(seed=1)
        drawn = kinds(library, conversations)
        cold, _ = _timed(partial(_ask, store, drawn["question, 4 words"]()))
        print(f"  first query after opening {cold:.0f} ms")
        print(f"  {'milliseconds':24}{'p50':>8}{'p95':>8}{'p99':>8}{'CPU':>8}   bare FTS5 p50{'p99':>8}{'CPU':>8}")
        latencies = {}
        for kind, draw in drawn.items():
            asked = [draw() for _ in range(rounds)]
            taken = [_timed(partial(_ask, store, one)) for one in asked]
            bare = [_timed(partial(_ask_bare, database, _bare(database, one))) for one in asked if one.text]
            latencies[kind] = _percentiles(taken)
            print(f"  {kind:24}{_columns(taken)}" + (f"   {_columns(bare, p95=False):>30}" if bare else ""))
        changes = _changes(store, conversations, rounds)
        print(f"  {'one changed conversation':24}{_columns(changes)}")
        database.close()
    return {
        "conversations": conversations,
        "build_seconds": round(build_seconds, 1),
        "megabytes": round(megabytes),
        "cold_ms": round(cold),
        "p99_ms": {kind: round(taken[2], 1) for kind, taken in latencies.items()},
        "change_p99_ms": round(_percentiles(changes)[2], 1),
    }


def _build(path: Path, conversations: int) -> float:
    """Build a mirror; the seconds that the store took, without making the conversations up."""
    library = Library()
    database = Database(path)
    store = Store(database, SystemClock())
    seconds = 0.0
    for batch in _batches(conversations):
        made = [library.conversation(number) for number in batch]
        seconds += _timed(partial(store.upsert, made))[0] / 1e3
    database.close()
    return seconds


def _changes(store: Store, conversations: int, rounds: int) -> list[Taken]:
    """Write one conversation again, with another title and transcript."""
    library = Library(seed=2)
    taken = []
    for _ in range(rounds):
        changed = library.conversation(library.random.randrange(conversations))
        taken.append(_timed(partial(store.upsert, [changed])))
    return taken


def _ask(store: Store, asked: Asked) -> None:
    search(store, asked.text, asked.filters, limit=10, offset=asked.offset)


def _bare(database: Database, asked: Asked) -> str:
    """What FTS5 is asked in the same words."""
    query = parse(asked.text)
    with database.reading() as connection:
        return any_of(expand(connection, query).query.everything or query.everything)


def _ask_bare(database: Database, expression: str) -> None:
    with database.reading() as connection:
        connection.execute(
            "select rowid from entries where entries match ? order by rank limit 10", (expression,)
        ).fetchall()


def _timed(action: Callable[[], object]) -> Taken:
    """Milliseconds that passed, and those that this thread ran."""
    wall, cpu = time.perf_counter(), time.thread_time()
    action()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - cpu)


def _percentiles(taken: Sequence[Taken]) -> tuple[float, float, float]:
    """p50, p95 and p99 of what passed."""
    cuts = statistics.quantiles([wall for wall, _ in taken], n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def _columns(taken: Sequence[Taken], *, p95: bool = True) -> str:
    median, high, highest = _percentiles(taken)
    figures = (median, *([high] if p95 else []), highest, statistics.median(cpu for _, cpu in taken))
    return "".join(f"{each:8.1f}" for each in figures)


def _batches(conversations: int) -> Iterator[range]:
    for start in range(0, conversations, BATCH):
        yield range(start, min(conversations, start + BATCH))


def _word_forms(draw: random.Random) -> list[str]:
    """Pronounceable words, the short ones first, as the frequent words of languages are."""
    onsets = [
        "b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l",
        "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "w", "z",
    ]  # fmt: skip
    vowels = ["a", "e", "i", "o", "u", "ai", "ea", "ou"]
    codas = ["", *["n", "r", "l", "m", "t", "k", "nd", "st"]]
    forms: set[str] = set()
    while len(forms) < WORD_FORMS:
        syllables = draw.choice((1, 2, 2, 3))
        forms.add("".join(draw.choice(onsets) + draw.choice(vowels) + draw.choice(codas) for _ in range(syllables)))
    shuffled = sorted(forms)
    draw.shuffle(shuffled)
    return sorted(shuffled, key=len)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200, help="queries of each kind")
    parser.add_argument("--mirror", type=Path, metavar="FILE", help="of one number of conversations; built if missing")
    arguments = parser.parse_args()
    if arguments.mirror and len(arguments.conversations) > 1:
        parser.error("--mirror is for one number of --conversations")
    print(
        f"SQLite {sqlite3.sqlite_version}, batches of {BATCH}, {arguments.rounds} queries of each kind, 10 results each"
    )
    reports = [measure(conversations, arguments.rounds, arguments.mirror) for conversations in arguments.conversations]
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
