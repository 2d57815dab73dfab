"""The request ledger: every request is booked against the API's hourly allowances before it goes out.

The API tells an allowance only when it refuses (429), so the ledger works with a belief. OMI API: a window of one
hour opens with the first request in it; the base allowances are those of `BASE_LIMITS`, and an operator's boost can
make the true ones a hundred times larger. So a belief is corrected by each refusal, and raised by what went well
beyond it:

- Interactive requests are held back only by what the API itself has refused.
- Background requests leave the last third of the believed allowance to interactive ones.
- A ledger that cannot be written, as on a full disk, holds nobody up: then the API's own refusals must do.
- Reserved requests that nobody used are lost when their window closes. So in its last minute, with nobody there, the
  background may use them, and go on beyond the belief until the API refuses: that is how a belief is probed. Once the
  API has named a limit, this happens once a day at most.

The ledger lives in the mirror's database: all processes of an account share it.
"""

import logging
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, get_args

from omi_mcp import database
from omi_mcp.api.errors import BudgetSpent, RateLimited
from omi_mcp.clock import Clock
from omi_mcp.database import Database

Bucket = Literal["reads", "transcripts", "writes"]

BASE_LIMITS: dict[Bucket, int] = {"reads": 60, "transcripts": 25, "writes": 25}
"""Requests an hour and key, before any boost (OMI API). A read with transcript spends from both of the first."""

WINDOW = timedelta(hours=1).total_seconds()
SLACK = 2.0
"""Seconds a window is believed to last longer: it opens when the request arrives, not when it is booked."""

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
    the limit, `asked` the last interactive request, `blocked` until when the API wants none.
    """

    bucket: Bucket
    limit: int
    spent: int = 0
    closes: float = 0.0
    named: float = 0.0
    asked: float = 0.0
    blocked: float = 0.0

    def at(self, now: float) -> "Allowance":
        """The same at `now`: a window that has closed is empty. So is one from a clock that was set back since."""
        open_ = now < self.closes <= now + WINDOW + SLACK
        blocked = self.blocked if self.blocked <= now + WINDOW + SLACK else 0.0
        return replace(self, blocked=blocked) if open_ else replace(self, spent=0, closes=0.0, blocked=blocked)

    @property
    def share(self) -> int:
        """What the background may spend of it."""
        return self.limit - math.ceil(self.limit / 3)

    def wait(self, now: float, *, background: bool) -> float:
        """Seconds from `now` until one request could be booked."""
        return max(0.0, self.blocked - now, self._window_wait(now, background))

    def _window_wait(self, now: float, background: bool) -> float:
        if not self.closes:
            return 0.0
        trusted = now < self.named + TRUSTED
        left = self.closes - now
        if background and self.spent >= self.share:
            probe = max(self.closes - SLACK - TAIL, self.asked + QUIET) - now
            return left if trusted else min(left, probe)
        return left if trusted and self.spent >= self.limit else 0.0

    def booked(self, now: float, *, background: bool) -> "Allowance":
        """With one more request. That `spent` have gone well proves a limit of that many."""
        return replace(
            self,
            spent=self.spent + 1,
            # Raised so that the background's share of it is what is proven, and no more.
            limit=self.limit if self.spent <= self.limit else self.spent + math.ceil(self.spent / 2),
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
        return replace(self, limit=limit, spent=max(self.spent, limit), closes=until, named=now, blocked=until)


class Budget:
    """The ledger of one account. Times come from `clock`; everything else is in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        database.prepare(_create)

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
        now = self._now()
        with self._database.reading() as connection:
            return max(_read(connection, bucket, now).wait(now, background=background) for bucket in buckets)

    def limit(self, bucket: Bucket) -> int:
        """How many requests an hour are believed to be allowed. Blocks."""
        with self._database.reading() as connection:
            return _read(connection, bucket, self._now()).limit

    def allowances(self) -> tuple[Allowance, ...]:
        """Every bucket as it stands now. Blocks."""
        now = self._now()
        with self._database.reading() as connection:
            return tuple(_read(connection, bucket, now) for bucket in get_args(Bucket))

    def _book(self, buckets: Sequence[Bucket], background: bool) -> None:
        now = self._now()
        with self._database.writing() as connection:
            allowances = [_read(connection, bucket, now) for bucket in buckets]
            tightest = max(allowances, key=lambda allowance: allowance.wait(now, background=background))
            wait = tightest.wait(now, background=background)
            if wait > 0:
                raise BudgetSpent(tightest.bucket, wait)
            for allowance in allowances:
                _write(connection, allowance.booked(now, background=background))

    def _refused(self, buckets: Sequence[Bucket], error: RateLimited) -> None:
        now = self._now()
        with self._database.writing() as connection:
            allowances = [_read(connection, bucket, now) for bucket in buckets]
            # The API does not tell which bucket it refused. One is refused when its count has reached its limit.
            full = min(allowances, key=lambda allowance: abs(allowance.spent - (error.limit or allowance.limit)))
            _write(connection, full.refused(now, error.retry_after, error.limit))

    def _unsent(self, buckets: Sequence[Bucket]) -> None:
        now = self._now()
        with self._database.writing() as connection:
            for bucket in buckets:
                _write(connection, _read(connection, bucket, now).unsent())

    def _now(self) -> float:
        return self._clock.now().timestamp()


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


def _read(connection: sqlite3.Connection, bucket: Bucket, now: float) -> Allowance:
    row: sqlite3.Row | None = connection.execute("select * from allowances where bucket = ?", (bucket,)).fetchone()
    return (Allowance(*row) if row else Allowance(bucket, BASE_LIMITS[bucket])).at(now)


def _write(connection: sqlite3.Connection, allowance: Allowance) -> None:
    connection.execute(
        "insert or replace into allowances values (?, ?, ?, ?, ?, ?, ?)",
        (
            allowance.bucket,
            allowance.limit,
            allowance.spent,
            allowance.closes,
            allowance.named,
            allowance.asked,
            allowance.blocked,
        ),
    )
