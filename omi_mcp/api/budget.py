"""The request ledger: every request is booked against the API's hourly allowances before it goes out.

The API tells an allowance only when it refuses (429), so the ledger works with a belief. OMI API: a window of one
hour opens with the first request in it; the allowances are those of `BASE_LIMITS`, and an operator's boost can
make all of them larger by the same factor, up to a hundred.

What is spent:

- Interactive requests are held back only by what the API itself has refused.
- Background requests leave a third of the believed allowance to interactive ones. What nobody used of it would be lost
  when the window closes: in its last minute, with nobody there, the background takes the rest.
- A ledger that cannot be written, as on a full disk, holds nobody up: then the API's own refusals must do.

How the factor is learnt:

- A refusal names a limit; requests that go well beyond the belief prove a larger one. What one bucket shows of the
  factor is believed of the others (`_believe`).
- As long as the API has refused nothing, background reads with transcripts, the scarcest, go on past their share
  (`_beyond`, `Budget.wants_transcripts`). Where there is a boost, all limits are raised along with theirs; where there
  is none, the reserve of one hour is lost.
- A limit that was named is trusted for a day. After that the last minute of a window may go beyond it once more.

The ledger lives in the mirror's database: all processes of an account share it.
"""

import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from omi_mcp import database
from omi_mcp.api.errors import BudgetSpent, RateLimited
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.sharing import Rows

Bucket = Literal["reads", "transcripts", "writes", "action_items"]

BASE_LIMITS: dict[Bucket, int] = {"reads": 60, "transcripts": 25, "writes": 25, "action_items": 120}
"""Requests an hour and key, before any boost (OMI API). A read with transcript spends from both of the first."""

WINDOW = timedelta(hours=1).total_seconds()
SLACK = 2.0
"""Seconds a window is believed to last longer: it opens when the request arrives, not when it is booked."""

APART = 60.0
"""Seconds by which the clocks of those who book may differ."""

TAIL = timedelta(minutes=1).total_seconds()
QUIET = timedelta(minutes=15).total_seconds()
"""How long nobody must have asked for anything before the unused reserve goes to the background."""

TRUSTED = timedelta(days=1).total_seconds()
"""How long a limit that the API has named is not probed."""

UNTOLD_WAIT = timedelta(minutes=1).total_seconds()
"""How long to hold back after a refusal that does not say."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowance:
    """One bucket as the ledger sees it. Times are seconds since 1970, 0 for never.

    `limit` requests in the window that closes at `closes`, of which `spent` are booked. `named` is when the API named
    the limit, `learnt` when it named that of any bucket, `asked` the last interactive request, `blocked` until when the
    API wants none.
    """

    bucket: Bucket
    limit: int
    spent: int = 0
    closes: float = 0.0
    named: float = 0.0
    asked: float = 0.0
    blocked: float = 0.0
    learnt: float = 0.0

    def at(self, now: float) -> "Allowance":
        """The same at `now`: a window that has closed is empty. So is one from a clock that was set back since."""
        latest = now + WINDOW + SLACK + APART
        open_ = now < self.closes <= latest
        blocked = self.blocked if self.blocked <= latest else 0.0
        return replace(self, blocked=blocked) if open_ else replace(self, spent=0, closes=0.0, blocked=blocked)

    @property
    def reserve(self) -> int:
        """What is kept for interactive requests."""
        return self.limit // 3

    @property
    def share(self) -> int:
        """What the background may spend."""
        return self.limit - self.reserve

    def wait(self, now: float, *, background: bool, beyond: float = 0) -> float:
        """Seconds from `now` until one request could be booked; the background may go so far `beyond` its share."""
        return max(0.0, self.blocked - now, self._window_wait(now, background, beyond))

    def _window_wait(self, now: float, background: bool, beyond: float) -> float:
        if not self.closes:
            return 0.0
        left = self.closes - now
        if background and self.spent >= self.share + beyond:
            if self.spent >= self.limit and now < self.learnt + TRUSTED:
                return left
            return min(left, max(self.closes - SLACK - TAIL, self.asked + QUIET) - now)
        return left if self.spent >= self.limit and now < self.named + TRUSTED else 0.0

    def booked(self, now: float, *, background: bool) -> "Allowance":
        """With one more request. That `spent` have gone well proves a limit of that many."""
        return replace(
            self,
            spent=self.spent + 1,
            # Raised so that the background's share of it is what is proven, and no more.
            limit=self.limit if self.spent <= self.limit else self.spent + self.spent // 2,
            closes=self.closes or now + WINDOW + SLACK,
            asked=self.asked if background else now,
        )

    def unsent(self) -> "Allowance":
        """With one request less: it never reached the API."""
        spent = max(0, self.spent - 1)
        return replace(self, spent=spent, closes=self.closes if spent else 0.0)

    def refused(self, now: float, retry_after: float | None, limit: int | None) -> "Allowance":
        """After a 429 for this bucket."""
        if retry_after is None:
            return replace(self, blocked=now + UNTOLD_WAIT)
        until = now + min(retry_after + SLACK, WINDOW)
        if limit is None or limit < 1:
            return replace(self, blocked=until)
        return replace(
            self, limit=limit, spent=max(self.spent, limit), closes=until, named=now, learnt=now, blocked=until
        )

    def scaled(self, other: "Allowance", now: float) -> "Allowance":
        """With the factor that `other` has shown, unless the API has named this limit itself of late."""
        if now < self.named + TRUSTED:
            return self
        base = BASE_LIMITS[self.bucket]
        return replace(self, limit=max(base, base * other.limit // BASE_LIMITS[other.bucket]))


Ledger = dict[Bucket, Allowance]
"""All buckets at one instant."""


class Budget:
    """The ledger of one account. Times come from `clock`; everything else is in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        database.prepare(_create)
        database.share(Rows("allowances", ("bucket",)))

    async def book(self, buckets: Sequence[Bucket], *, background: bool) -> None:
        """Book one request against all of `buckets`, or against none.

        Raises:
            BudgetSpent: one of them has nothing left for this request.
        """
        with _unless_unwritable():
            await database.run(self._book, buckets, background)

    async def refused(self, buckets: Sequence[Bucket], error: RateLimited) -> None:
        """Learn from a 429 to a request that was booked against `buckets`."""
        with _unless_unwritable():
            await database.run(self._refused, buckets, error)

    async def unsent(self, buckets: Sequence[Bucket]) -> None:
        """Give back what was booked for a request that never left."""
        with _unless_unwritable():
            await database.run(self._unsent, buckets)

    def wait(self, buckets: Sequence[Bucket], *, background: bool) -> float:
        """Seconds until `book` could succeed; 0 is now. Blocks."""
        with self._reading() as (ledger, now):
            return _wait(ledger, buckets, now, background)[0]

    def wants_transcripts(self) -> bool:
        """Whether background reads with transcripts should come before others. Blocks.

        They do as long as it is to be learnt from them what is allowed, and no more reads are left than it takes.
        """
        with self._reading() as (ledger, _):
            reads, transcripts = ledger["reads"], ledger["transcripts"]
        return not reads.learnt and reads.share - reads.spent <= transcripts.share - transcripts.spent

    def limit(self, bucket: Bucket) -> int:
        """How many requests an hour are believed to be allowed. Blocks."""
        with self._reading() as (ledger, _):
            return ledger[bucket].limit

    def allowances(self) -> tuple[Allowance, ...]:
        """Every bucket as it stands now. Blocks."""
        with self._reading() as (ledger, _):
            return tuple(ledger.values())

    def _book(self, buckets: Sequence[Bucket], background: bool) -> None:
        with self._changing() as (ledger, now):
            wait, tightest = _wait(ledger, buckets, now, background)
            if wait > 0:
                raise BudgetSpent(tightest, wait)
            for bucket in buckets:
                before, ledger[bucket] = ledger[bucket], ledger[bucket].booked(now, background=background)
                if ledger[bucket].limit > before.limit:
                    _believe(ledger, bucket, now)

    def _refused(self, buckets: Sequence[Bucket], error: RateLimited) -> None:
        with self._changing() as (ledger, now):
            # The API does not tell which bucket it refused. One is refused when its count has reached its limit; other
            # programs can have spent of it, but a limit is a multiple of its own base.
            full = min(
                (ledger[bucket] for bucket in buckets),
                key=lambda allowance: (
                    (error.limit or 0) % BASE_LIMITS[allowance.bucket] != 0,
                    abs(allowance.spent - (error.limit or allowance.limit)),
                ),
            )
            ledger[full.bucket] = full.refused(now, error.retry_after, error.limit)
            if ledger[full.bucket].named > full.named:
                _believe(ledger, full.bucket, now)

    def _unsent(self, buckets: Sequence[Bucket]) -> None:
        with self._changing() as (ledger, _):
            for bucket in buckets:
                ledger[bucket] = ledger[bucket].unsent()

    @contextmanager
    def _reading(self) -> Iterator[tuple[Ledger, float]]:
        """The ledger as it stands now, and the time in seconds since 1970."""
        now = self._clock.now().timestamp()
        with self._database.reading() as connection:
            yield _read(connection, now), now

    @contextmanager
    def _changing(self) -> Iterator[tuple[Ledger, float]]:
        """The same, to be changed in place: what is different at the end is written."""
        with self._database.writing() as connection:
            now = self._clock.now().timestamp()  # only now: others may have booked while this one waited
            before = _read(connection, now)
            ledger = dict(before)
            yield ledger, now
            _write(connection, (allowance for bucket, allowance in ledger.items() if allowance != before[bucket]))


def _wait(ledger: Ledger, buckets: Sequence[Bucket], now: float, background: bool) -> tuple[float, Bucket]:
    """Seconds until a request against all `buckets` could be booked, and which of them it waits for longest."""
    beyond = _beyond(ledger, buckets)
    waits = [
        (ledger[bucket].wait(now, background=background, beyond=beyond.get(bucket, 0)), bucket) for bucket in buckets
    ]
    return max(waits, key=lambda each: each[0])


def _beyond(ledger: Ledger, buckets: Sequence[Bucket]) -> dict[Bucket, float]:
    """How many requests the background may make beyond its shares, to learn whether there is a boost."""
    if "transcripts" not in buckets or ledger["transcripts"].learnt:
        return {}
    # Of all reads as many as are reserved of these, one that is refused or goes well, and one that notes which.
    return {"transcripts": math.inf, "reads": ledger["transcripts"].reserve + 2}


def _believe(ledger: Ledger, shown: Bucket, now: float) -> None:
    """Believe of the other buckets what one has shown of the factor."""
    for bucket, allowance in ledger.items():
        if bucket != shown:
            ledger[bucket] = allowance.scaled(ledger[shown], now)


@contextmanager
def _unless_unwritable() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, database.Damaged) as error:
        log.warning("the request ledger cannot be written: %s", type(error).__name__)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "create table if not exists allowances(bucket text primary key, most integer not null, spent integer not null,"
        " closes real not null, named real not null, asked real not null, blocked real not null) strict"
    )


def _read(connection: sqlite3.Connection, now: float) -> Ledger:
    rows = {row["bucket"]: Allowance(*row) for row in connection.execute("select * from allowances")}
    learnt = max((row.named for row in rows.values()), default=0.0)
    return {
        bucket: replace(rows.get(bucket, Allowance(bucket, base)), learnt=learnt).at(now)
        for bucket, base in BASE_LIMITS.items()
    }


def _write(connection: sqlite3.Connection, allowances: Iterable[Allowance]) -> None:
    connection.executemany(
        "insert or replace into allowances values (?, ?, ?, ?, ?, ?, ?)",
        [
            (each.bucket, each.limit, each.spent, each.closes, each.named, each.asked, each.blocked)
            for each in allowances
        ],
    )
