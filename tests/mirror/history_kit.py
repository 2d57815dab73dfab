"""What a mirror can live through, and all that can be asked of it: for tests that hold one against another."""

import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from search_kit import NOON, StandingClock

from omi_mcp.api.models import ActionItem, Conversation, Folder, ListedItem, Segment, Structured
from omi_mcp.database import Database
from omi_mcp.mirror.index import fts, lexicon
from omi_mcp.mirror.names import SpeakerNames
from omi_mcp.mirror.search import find_in, ranking, reach, search, search_to_do, tiers, who_speaks
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Filters
from omi_mcp.names import People

IDS = ("a", "B", "b2", "Ärger", "x' or 1", "ид-7", "0" * 36, "a%")
SPEAKERS = ("Ana", "Ana Lopez", "Bén", "User", None, "Speaker 1", "王芳", "Ana-Maria Lopez", "Anna")
NAMES = ("", "Benedikt", "Ana", "Zoë Lopez")
TITLES = ("", "Budget", "Budgets of spring", "Der Garten", "北京 trip", "budget", "Ärger 🎉")
CATEGORIES = ("other", "work")
FOLDERS = (None, "f1", "f2")
DESCRIPTIONS = ("Order the boiler", "order the boiler.", "Call Ana", "Budgeting, quarterly", "", "北京")
VOCABULARY = [
    word
    for line in (
        "budget budgets budgeting budgeted bugdet quarter quarters quarterly quarterlies boiler boiled boil bled led",
        "lead garten gärten gartens straße strasse naïve naive heliotrope heliotropes heliotropic heliographs helium",
        "agreed decision decided settle march tuesday 2025 4 4th planning planned planner plane plans 北京 東京都 東京",
        "ไทย 😀 👍🏽 don't ﬁnance finance Ωmega omega ana lopez the of and it budge budgie bridget gadget quartz",
    )
    for word in line.split()
]
QUERIES = (
    *("bud", "budg", "quart", "qu", "helio", "heliotorpe", "heliotrop", "bugdets", "quarteryl", "udge", "otro", "zzz"),
    *("budget quarter", "the of", "", "?!", "what was decided on the budget", "heliotorpe budget", "budgat quartor"),
    *(
        '"budget quarter"',
        '"the budget" planned',
        '"never said so"',
        '"北京"',
        "plan on 4 March 2025",
        "tuesday budget",
    ),
    *("ana budget", "東京都", "planing", "planninng", "brigdet", "gagdet", "boilre", '"planned budget" "the quarter"'),
)


class Step(NamedTuple):
    """One change: what kind, of which conversation, and what it draws the rest from."""

    kind: str
    number: int
    seed: int


KINDS = (
    *("upsert",) * 5,
    *("light", "again", "locked", "none", "remove", "hide", "unhide", "star", "folders", "items", "settle", "name"),
)
each_step = st.builds(Step, st.sampled_from(KINDS), st.integers(0, len(IDS) - 1), st.integers(0, 40))
steps = st.lists(each_step, min_size=1, max_size=40)


class Searched(NamedTuple):
    """One search, and of whom."""

    query: str
    filters: Filters
    limit: int
    offset: int
    mixed: bool
    every: int


_moments = st.none() | st.integers(-3, 1).map(lambda days: NOON + timedelta(days=days))
_people = st.sampled_from([("Ana",), ("lopez",), ("Ben",), ("Benedikt", "User"), ("Speaker 1",), ("Anaa",), ("王芳",)])
_filters = st.builds(
    Filters,
    start=_moments,
    end=_moments,
    categories=st.sampled_from([(), (), ("work",), CATEGORIES]),
    folder_id=st.sampled_from((None, None, "f1")),
    starred=st.sampled_from((None, None, True, False)),
    speakers=st.sampled_from([0, 0, 0, 1, 2]).flatmap(lambda most: st.tuples(*[_people] * most)),
    open_items=st.sampled_from((False, False, True)),
)
searches = st.lists(
    st.builds(
        Searched,
        st.sampled_from(QUERIES) | st.sampled_from(VOCABULARY),
        st.just(Filters()) | _filters,
        st.integers(1, 6),
        st.sampled_from((0, 0, 0, 1, 4)),
        st.booleans(),
        st.sampled_from((0, 0, 12)),
    ),
    min_size=4,
    max_size=12,
)


def conversation(number: int, seed: int, *, spoken: bool = True) -> Conversation:
    """One of a few; many of them have times, words and titles in common."""
    draw = random.Random(seed)
    began = NOON - timedelta(days=draw.randrange(3))

    def some(least: int, most: int) -> str:
        return " ".join(draw.choices(VOCABULARY, k=draw.randint(least, most)))

    lengths = draw.choice([(1, 4), (1, 4), (3, 12), (30, 260)])
    segments = tuple(
        Segment(
            text=f"{some(*lengths)}{draw.choice('.?')}",
            speaker_name=draw.choice(SPEAKERS),
            speaker_id=draw.choice((None, 2)),
            start=10.0 * place,
            end=10.0 * place + draw.random(),
        )
        for place in range(draw.choice((0, 1, 2, 5)))
    )
    return Conversation(
        id=IDS[number],
        created_at=began + timedelta(minutes=draw.randrange(2)),
        started_at=draw.choice((None, began)),
        structured=Structured(
            title=draw.choice(TITLES),
            overview=draw.choice(("", f"{some(2, 8)}. {some(1, 5)}.")),
            category=draw.choice(CATEGORIES),
            action_items=tuple(
                ActionItem(description=draw.choice(DESCRIPTIONS), completed=draw.random() < 0.4)
                for _ in range(draw.randrange(3))
            ),
        ),
        folder_id=draw.choice(FOLDERS),
        transcript_segments=segments if spoken else None,
    )


def listed_items(draw: random.Random) -> list[ListedItem]:
    return [
        ListedItem(
            id=f"i{draw.randrange(6)}",
            description=draw.choice(DESCRIPTIONS),
            completed=draw.random() < 0.4,
            created_at=draw.choice((None, NOON, NOON - timedelta(days=1))),
            conversation_id=draw.choice((None, *IDS)),
        )
        for _ in range(draw.randrange(5))
    ]


class Mirror(NamedTuple):
    """A mirror, and the names in the file that is never lost."""

    store: Store
    names: SpeakerNames

    @classmethod
    @contextmanager
    def opened(cls, database: Database | None = None, names: SpeakerNames | None = None) -> Iterator["Mirror"]:
        """In this database, which has the names too, or in memory."""
        clock = StandingClock()
        with closing(database or Database(None)) as mirror:
            names = names or SpeakerNames(mirror, clock)
            store = Store(mirror, clock, names)
            mirror.attach()
            yield cls(store, names)

    def live(self, step: Step) -> None:
        """Let one change happen."""
        store, draw, known = self.store, random.Random(step.seed), IDS[step.number]
        happen: dict[str, Callable[[], object]] = {
            "upsert": lambda: store.upsert([conversation(step.number, step.seed)]),
            "light": lambda: store.upsert([conversation(step.number, step.seed, spoken=False)]),
            "again": lambda: store.upsert([each.conversation for each in store.recent(3, 0)]),
            "locked": lambda: store.set_transcript_state([known], "locked"),
            "none": lambda: store.set_transcript_state([known], draw.choice(("none", "pending"))),
            "remove": lambda: store.remove([known]),
            "hide": lambda: store.set_hidden(known, True),
            "unhide": lambda: store.set_hidden(known, False),
            "star": lambda: store.set_starred(draw.sample(IDS, k=3)),
            "folders": lambda: store.replace_folders([Folder(id=f"f{n}") for n in range(draw.randrange(3))]),
            "items": lambda: store.keep_items(listed_items(draw), began=NOON + timedelta(hours=step.seed), last=False),
            "settle": lambda: store.keep_items(listed_items(draw), began=NOON + timedelta(hours=step.seed), last=True),
            "name": lambda: self._name(known, {f"{draw.choice(SPEAKERS)}": draw.choice(NAMES)}),
        }
        store.database.catch_up()
        happen[step.kind]()

    def _name(self, known: str, names: dict[str, str]) -> None:
        self.names.give(known, names)
        self.store.follow_names()

    @contextmanager
    def made_anew(self, draw: random.Random) -> Iterator["Mirror"]:
        """Another mirror of the same conversations under the same numbers, which came to it in another order and as
        they are now: nothing is left in it of how they were before."""
        with self.store.database.reading() as connection:
            kept = connection.execute("select * from conversations").fetchall()
            copied = {
                table: connection.execute(f"select * from {table}").fetchall()
                for table in ("folders", "listed_items", "own_changes")
            }
        draw.shuffle(kept)
        with Mirror.opened(names=self.names) as other:
            with other.store.database.writing() as connection:
                self._copy(connection, kept, copied)
            yield other

    def _copy(
        self, connection: sqlite3.Connection, kept: list[sqlite3.Row], copied: dict[str, list[sqlite3.Row]]
    ) -> None:
        for table, rows in (*copied.items(), ("conversations", kept)):
            for row in rows:
                connection.execute(f"insert into {table} values ({','.join('?' * len(row))})", tuple(row))
        for row in kept:
            stored = self.store.get(row["id"])
            assert stored is not None
            segments = stored.conversation.transcript_segments or ()
            fts.replace_written(connection, row["row"], stored.conversation, indexed=not row["hidden"])
            fts.replace_transcript(connection, row["row"], segments, indexed=not row["hidden"])


def answer(store: Store, asked: Searched) -> str:
    """All that one search and what goes with it answers, to the last byte."""
    query, filters, limit, offset, mixed, every = asked
    if filters.open_items:
        found: Any = search_to_do(store, query, filters, limit=limit, offset=offset)
    else:
        found = search(store, query, filters, limit=limit, offset=offset, mixed=mixed, every=every)
    heard = who_speaks(store, [name for name, *_ in filters.speakers], filters)
    return repr((found, reach(store, filters), heard))


def everything(store: Store) -> str:
    """What is asked without words."""
    return repr(
        [
            [store.get(each) for each in IDS],
            [find_in(store, each, "budget quarter", 3) for each in IDS],
            [store.titles(words, 9) for words in ("", "budg", "gart", "北")],
            [store.beginning_with(beginning, 9) for beginning in ("", "b", "a%", "0")],
            store.recent(3, 0),
            store.recent(9, 2),
            store.hidden(),
            store.catalogue(None, None),
            store.catalogue(NOON - timedelta(days=1), NOON),
            store.counts(),
            store.folders(),
            store.loose_items(),
            store.pending_transcripts(3),
            sorted(store.fingerprints(None, None).items()),
            People.of(store.newest_speakers(3)),
            People.of(store.newest_speakers(9)),
        ]
    )


def differences(one: Store, other: Store, asked: Sequence[Searched]) -> list[tuple[object, str, str]]:
    """What the two answer differently."""
    pairs: list[tuple[object, str, str]] = [("everything", everything(one), everything(other))]
    pairs += [(each, answer(one, each), answer(other, each)) for each in asked]
    return [pair for pair in pairs if pair[1] != pair[2]]


@contextmanager
def little_is_much() -> Iterator[None]:
    """Have a handful of conversations be more than a search reads, compares or looks into."""
    with pytest.MonkeyPatch.context() as patched:
        for module, limits in (
            (ranking, {"MOST_ENTRIES": 6, "LOOKED_INTO": 3, "MOST_POSTINGS": 12, "CHEAPER_POSTINGS": 2}),
            (tiers, {"ONE_BY_ONE": 1, "SCARCE": 2}),
            (lexicon, {"MOST_COMPARED": 3}),
        ):
            for name, limit in limits.items():
                patched.setattr(module, name, limit)
        yield


if __name__ == "__main__":
    with Mirror.opened() as mirror:
        for number in range(len(IDS)):
            mirror.store.upsert([conversation(number, number)])
        asked = [Searched(query, Filters(), 9, 0, True, 12) for query in (*QUERIES, *VOCABULARY)]
        sys.stdout.write("\n".join([everything(mirror.store), *(answer(mirror.store, each) for each in asked)]))
