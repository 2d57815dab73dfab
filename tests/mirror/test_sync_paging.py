"""The way down a list without cursor, against a plain model of how the API pages."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import START

from omi_mcp.api.client import LIST_LIMIT, Page
from omi_mcp.api.models import Conversation
from omi_mcp.mirror.sync.passes import DateWindow, advance
from omi_mcp.mirror.sync.state import Position


@dataclass(frozen=True)
class Row:
    """`age` in minutes. A dropped row takes its place in a page and is not shown."""

    id: str
    age: int
    dropped: bool = False

    @cached_property
    def created_at(self) -> datetime:
        return START - timedelta(minutes=self.age)


class Listing:
    """The API's list: newest first, `limit` and `offset` before rows are dropped."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = sorted(rows, key=lambda row: (row.age, row.id))

    def page(self, position: Position) -> Page:
        paged = [row for row in self.rows if position.end is None or row.created_at <= position.end]
        shown = [row for row in paged[position.offset :][:LIST_LIMIT] if not row.dropped]
        conversations = tuple(Conversation.model_construct(id=row.id, created_at=row.created_at) for row in shown)
        return Page(conversations, received=len(shown), unusable=0)

    def within(self, span: DateWindow) -> set[str]:
        return {
            row.id
            for row in self.rows
            if not row.dropped
            and (span.newest is None or row.created_at <= span.newest)
            and (span.oldest is None or row.created_at >= span.oldest)
        }

    @property
    def shown(self) -> set[str]:
        return {row.id for row in self.rows if not row.dropped}


def read(
    listing: Listing, *, stays: set[str] | None = None, between: Callable[[Position], None] = lambda _: None
) -> tuple[set[str], int]:
    """Every id that was listed, and how many pages it took; what each claims to have listed is checked for `stays`."""
    stays = listing.shown if stays is None else stays
    position: Position | None = Position()
    listed: set[str] = set()
    pages = 0
    while position is not None:
        page = listing.page(position)
        pages += 1
        ids = {conversation.id for conversation in page.conversations}
        position, span = advance(position, page)
        if span is not None:
            assert listing.within(span) & stays <= ids
        listed |= ids
        if position is not None:
            between(position)
        assert pages < 300, "it never ends"
    return listed, pages


@st.composite
def listings(draw: st.DrawFn, *, longest_gap: int = 170, most_at_once: int = 250) -> Listing:
    """Stretches of rows; some stretches lie at one instant, some are dropped, some every third row."""
    rows: list[Row] = []
    age = 0
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["spread", "spread", "at once", "gap", "sprinkled"]))
        most = {"gap": longest_gap, "at once": most_at_once}.get(kind, 220)
        for number in range(draw(st.integers(1, most))):
            age += kind != "at once" or not number
            rows.append(
                Row(f"r{len(rows):05}", age, dropped=kind == "gap" or (kind == "sprinkled" and number % 3 == 1))
            )
        if kind == "gap":  # two gaps in a row would be one that is longer
            age += 1
            rows.append(Row(f"r{len(rows):05}", age))
    return Listing(rows)


@settings(max_examples=25)
@given(listings())
def test_everything_is_listed_and_no_page_claims_too_much(listing: Listing) -> None:
    listed, _ = read(listing)
    assert listed == listing.shown


@settings(max_examples=25)
@given(listings(most_at_once=40), st.randoms(use_true_random=False))
def test_nothing_that_stays_is_skipped_while_rows_come_and_go(listing: Listing, rng: random.Random) -> None:
    stays = {row.id for row in listing.rows if not row.dropped and rng.random() < 0.8}

    def move(position: Position) -> None:
        # What seems to be the last row of all is passed over by number: there the way down relies on it.
        last = position.end if position.short else None
        passing = [row for row in listing.rows if row.id not in stays and row.created_at != last]
        goes = rng.sample(passing, min(len(passing), rng.randrange(10)))
        comes = [Row(f"n{rng.random()}", rng.randrange(1200)) for _ in range(rng.randrange(10))]
        listing.rows = Listing([*(row for row in listing.rows if row not in goes), *comes]).rows

    if listing.rows and listing.rows[-1].id in stays:  # else the end itself moves
        listed, _ = read(listing, stays=stays, between=move)
        assert stays <= listed


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 2000])
def test_a_list_without_gaps_costs_little_more_than_its_pages(size: int) -> None:
    listed, pages = read(Listing([Row(f"r{number:05}", number) for number in range(size)]))
    assert len(listed) == size
    assert pages <= size / 99 + 4


def test_a_short_page_in_the_middle_is_not_taken_for_the_end() -> None:
    rows = [Row(f"r{number:03}", number, dropped=50 <= number < 230) for number in range(400)]
    listed, _ = read(Listing(rows))
    assert len(listed) == 220


def test_once_a_gap_has_been_seen_a_longer_one_is_not_taken_for_the_end() -> None:
    rows = [Row(f"r{number:03}", number, dropped=50 <= number < 110 or 160 <= number < 420) for number in range(500)]
    listed, _ = read(Listing(rows))
    assert len(listed) == 180


def test_rows_that_vanish_from_a_gap_pull_none_out_of_sight() -> None:
    listing = Listing([Row(f"r{number:03}", number, dropped=number < 100) for number in range(190)])

    def shrink(_: Position) -> None:
        listing.rows = listing.rows[10:] if listing.rows[10].dropped else listing.rows

    listed, _ = read(listing, between=shrink)
    assert len(listed) == 90


def test_more_rows_at_one_instant_than_a_page_holds_are_all_listed() -> None:
    listed, _ = read(Listing([Row(f"r{number:03}", age=7) for number in range(350)] + [Row("last", age=8)]))
    assert len(listed) == 351
