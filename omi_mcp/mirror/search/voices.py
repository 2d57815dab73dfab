"""Whose words are searched: who is meant by a name, what they say themselves, and where they speak at all."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from omi_mcp.mirror.index import Passage, Piece, folded_words, fts, indexable, storable
from omi_mcp.mirror.rows import moment
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.types import Heard, Span
from omi_mcp.names import Person, is_called, nearest, unaccented

MOST_ALIKE = 3
"""Known names told for one that nobody has."""

BREAK = " 0segment0 "
"""A word between two segments, which keeps the words of a phrase from being side by side."""

VISIBLE = "hidden = 0"


@dataclass(frozen=True)
class Voices:
    """Those whose own words are searched; everybody's where there are none."""

    people: tuple[Person, ...] = ()
    _known: dict[tuple[str | int | None, ...], bool] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.people)

    def own(self, passage: Passage) -> Passage:
        """What they say in it."""
        if not self.people:
            return passage
        return tuple(piece for piece in passage if self.speaks(piece.name, piece.number, piece.local_name))

    def speaks(self, name: str | None, number: int | None, local_name: str | None) -> bool:
        """Whether it is one of them of whom a segment has these."""
        who = (name, number, local_name)
        if (known := self._known.get(who)) is None:
            piece = Piece(0, "", name, number, 0.0, 0.0, local_name)
            names = {piece.speaker, piece.label}
            known = any(is_called(each, wanted) for each in names for person in self.people for wanted in person)
            self._known[who] = known
        return known


EVERYBODY = Voices()


class OwnWords(NamedTuple):
    """The sought words in what they say in one passage, each with its place among the `length` words."""

    places: list[tuple[int, str]]
    length: int

    def times(self, stems: Sequence[str]) -> int:
        """How often these index terms stand there side by side."""
        if len(stems) == 1:
            return sum(term == stems[0] for _, term in self.places)
        at = dict(self.places)
        return sum(all(at.get(place + far) == stem for far, stem in enumerate(stems)) for place in at)


def own_words(
    connection: sqlite3.Connection, entries: Sequence[int], matcher: TermMatcher, voices: Voices
) -> dict[int, OwnWords]:
    """Of these passages, those in which `voices` say something that is sought."""
    said = {
        entry: (folded_words(indexable(BREAK.join(texts))), len(texts))
        for entry, texts in fts.said_in(connection, entries, voices.speaks)
        if texts
    }
    known = matcher.recognise(set(chain.from_iterable(words for words, _ in said.values())))
    found = {}
    for entry, (words, texts) in said.items():
        if places := [(place, known[word]) for place, word in enumerate(words) if word in known]:
            found[entry] = OwnWords(places, len(words) - texts + 1)
    return found


def speaking(connection: sqlite3.Connection, people: Sequence[Person]) -> list[tuple[str, str]]:
    """Conditions on rows of `conversations`, and their values: each of `people` speaks in it."""
    speaks = "row in (select row from speaks where speaker in (select value from json_each(?)))"
    return [(speaks, json.dumps(_speakers(connection, person))) for person in people]


def heard(
    connection: sqlite3.Connection,
    asked: Sequence[str],
    people: Sequence[Person],
    condition: str,
    values: Sequence[object],
) -> tuple[Heard, ...]:
    """Where each of `people` speaks, in the order they were `asked` for, and after them all of them together.

    `condition` is that of the other filters, on rows of `conversations`.
    """
    each = [
        _heard(connection, (name,), (person,), condition, values) for name, person in zip(asked, people, strict=True)
    ]
    if len(people) > 1:
        each.append(_heard(connection, tuple(asked), people, condition, values))
    return tuple(
        replace(one, alike=tuple(_alike(connection, *one.asked)))
        if one.everywhere is None and len(one.asked) == 1
        else one
        for one in each
    )


def _heard(
    connection: sqlite3.Connection,
    asked: tuple[str, ...],
    people: Sequence[Person],
    condition: str,
    values: Sequence[object],
) -> Heard:
    spoken = speaking(connection, people)
    where = " and ".join((VISIBLE, *(clause for clause, _ in spoken)))
    speakers = [ids for _, ids in spoken]
    counted = f"select count(*), min(began), max(began) from conversations where {where}"
    number, first, last = connection.execute(counted, speakers).fetchone()
    within = f"select count(*) from conversations where {where} and {condition}"
    (passing,) = connection.execute(within, (*speakers, *values)).fetchone()
    return Heard(asked, Span(number, moment(first), moment(last)) if number else None, passing)


def _speakers(connection: sqlite3.Connection, person: Person) -> list[int]:
    """The speakers for whom `is_called` holds: names are stored as it compares them."""
    found: set[int] = set()
    for name in person:
        wanted = storable(unaccented(name))
        named = connection.execute(
            "select speaker, name from speakers where instr(' ' || name || ' ', ?)", (f" {wanted} ",)
        )
        found.update(speaker for speaker, known in named if is_called(known, wanted))
    return sorted(found)


def _alike(connection: sqlite3.Connection, asked: str) -> list[str]:
    """The known names nearest to one that nobody has, as they are shown."""
    counted = connection.execute("select name, count(*) from speakers join speaks using (speaker) group by speaker")
    near = nearest(asked, dict(counted.fetchall()), MOST_ALIKE)
    return [shown for name in near if (shown := _shown(connection, name)) is not None]


def _shown(connection: sqlite3.Connection, folded: str) -> str | None:
    """How a name is shown that is kept folded; None where it is in no visible transcript, or another stands for it."""
    row = connection.execute(
        "select conversations.speakers from speakers join speaks using (speaker) join conversations using (row)"
        f" where name = ? and {VISIBLE} order by began desc, id limit 1",
        (folded,),
    ).fetchone()
    names = json.loads(row[0]) if row else ()
    return next((name for name in names if storable(unaccented(name)) == folded), None)
