from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.api.budget import Allowance, Bucket, Budget
from omi_mcp.api.errors import BudgetSpent, RateLimited
from omi_mcp.database import Database
from tests.stores import kept

pytestmark = pytest.mark.anyio

READS: tuple[Bucket, ...] = ("reads",)
TRANSCRIPTS: tuple[Bucket, ...] = ("reads", "transcripts")
WRITES: tuple[Bucket, ...] = ("writes",)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the ledger never waits")

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database() -> Iterator[Database]:
    with closing(kept(None)) as database:
        yield database


@pytest.fixture
def budget(database: Database, clock: Clock) -> Budget:
    budget = Budget(database, clock)
    database.attach()
    return budget


async def booked(budget: Budget, buckets: tuple[Bucket, ...], *, background: bool, most: int = 500) -> int:
    """How many requests can be booked at once, up to `most`."""
    for count in range(most):
        try:
            await budget.book(buckets, background=background)
        except BudgetSpent:
            return count
    return most


async def refused(budget: Budget, buckets: tuple[Bucket, ...], **fields: float) -> None:
    await budget.refused(buckets, RateLimited(**fields))


async def told(budget: Budget) -> None:
    """The API has named a limit, so there is nothing to learn."""
    await refused(budget, WRITES, retry_after=1, limit=25)


def limits(budget: Budget) -> dict[str, int]:
    return {allowance.bucket: allowance.limit for allowance in budget.allowances()}


async def test_the_background_leaves_a_third_of_each_bucket_to_the_user(budget: Budget) -> None:
    await told(budget)
    assert await booked(budget, TRANSCRIPTS, background=True) == 17
    assert await booked(budget, READS, background=True) == 40 - 17


@pytest.mark.parametrize("before", [0, 14, 23])
async def test_to_learn_that_there_is_no_boost_costs_the_transcripts_reserved_for_one_hour(
    budget: Budget, clock: Clock, before: int
) -> None:
    await booked(budget, READS, background=True, most=before)
    assert await booked(budget, TRANSCRIPTS, background=True, most=26) == 26, "the API refuses the last"
    await refused(budget, TRANSCRIPTS, retry_after=3000, limit=25)
    assert limits(budget) == {"reads": 60, "transcripts": 25, "writes": 25, "action_items": 120}
    assert await booked(budget, READS, background=False, most=11) == 11
    clock.advance(seconds=3603)
    assert await booked(budget, TRANSCRIPTS, background=True) == 17


async def test_what_goes_well_beyond_one_limit_raises_all_of_them(budget: Budget) -> None:
    await booked(budget, READS, background=True, most=23)
    assert await booked(budget, TRANSCRIPTS, background=True, most=200) == 200
    believed = limits(budget)
    assert believed["transcripts"] >= 200
    assert (believed["reads"], believed["writes"]) == (believed["transcripts"] * 60 // 25, believed["transcripts"])
    assert await booked(budget, READS, background=True) > 100


async def test_a_limit_that_the_api_names_tells_the_others(budget: Budget, clock: Clock) -> None:
    await refused(budget, TRANSCRIPTS, retry_after=60, limit=2500)
    assert limits(budget) == {"reads": 6000, "transcripts": 2500, "writes": 2500, "action_items": 12000}
    clock.advance(days=2)
    await refused(budget, TRANSCRIPTS, retry_after=60, limit=25)
    assert limits(budget) == {"reads": 60, "transcripts": 25, "writes": 25, "action_items": 120}


async def test_reads_with_transcripts_go_first_just_in_time_to_learn_from_them(budget: Budget) -> None:
    assert not budget.wants_transcripts()
    await booked(budget, READS, background=True, most=22)
    assert not budget.wants_transcripts()
    await booked(budget, READS, background=True, most=1)
    assert budget.wants_transcripts()
    await told(budget)
    assert not budget.wants_transcripts()


async def test_what_the_user_spends_is_not_spent_again_by_the_background(budget: Budget) -> None:
    assert await booked(budget, READS, background=False, most=30) == 30
    assert await booked(budget, READS, background=True) == 10


async def test_the_user_is_held_back_only_by_what_the_api_has_refused(budget: Budget, clock: Clock) -> None:
    assert await booked(budget, WRITES, background=False, most=26) == 26
    await refused(budget, WRITES, retry_after=1200, limit=25)
    assert await booked(budget, WRITES, background=False) == 0
    clock.advance(seconds=1203)
    assert await booked(budget, WRITES, background=False) == 25, "and then by the limit it has named"


async def test_a_request_that_one_bucket_forbids_spends_from_no_other(budget: Budget) -> None:
    await told(budget)
    await booked(budget, TRANSCRIPTS, background=True)
    before = budget.allowances()
    with pytest.raises(BudgetSpent) as caught:
        await budget.book(TRANSCRIPTS, background=True)
    assert caught.value.bucket == "transcripts"
    assert caught.value.retry_after == pytest.approx(budget.wait(TRANSCRIPTS, background=True))
    assert budget.allowances() == before


async def test_a_window_lasts_an_hour_from_its_first_request(budget: Budget, clock: Clock) -> None:
    await budget.book(READS, background=False)
    clock.advance(minutes=50)
    assert await booked(budget, READS, background=True) == 39
    clock.advance(minutes=8)
    assert await booked(budget, READS, background=True) == 0
    clock.advance(minutes=3)
    assert await booked(budget, READS, background=True) == 40


async def test_a_refusal_corrects_the_belief_down(budget: Budget, clock: Clock) -> None:
    await budget.book(READS, background=True)
    await refused(budget, READS, retry_after=600, limit=30)
    assert limits(budget)["reads"] == 30
    assert budget.wait(READS, background=False) == pytest.approx(602)
    clock.advance(seconds=603)
    assert await booked(budget, READS, background=True) == 20


async def test_a_refusal_corrects_the_belief_up(budget: Budget, clock: Clock) -> None:
    await booked(budget, READS, background=False, most=70)
    await refused(budget, READS, retry_after=600, limit=6000)
    clock.advance(seconds=603)
    assert await booked(budget, READS, background=True, most=5000) == 4000


async def test_success_beyond_the_belief_raises_it_no_further_than_the_background_may_rely_on(budget: Budget) -> None:
    await booked(budget, READS, background=False, most=90)
    reads = budget.allowances()[0]
    assert reads.limit > 60
    assert reads.share <= 90


async def test_what_nobody_used_goes_to_the_background_in_the_last_minute(budget: Budget, clock: Clock) -> None:
    assert await booked(budget, READS, background=True) == 40
    assert budget.wait(READS, background=True) == pytest.approx(3540)
    clock.advance(seconds=3541)
    assert await booked(budget, READS, background=True, most=100) == 100
    assert limits(budget)["reads"] > 90


async def test_the_reserve_stays_while_the_user_is_about(budget: Budget, clock: Clock) -> None:
    await booked(budget, READS, background=True)
    clock.advance(minutes=50)
    await budget.book(READS, background=False)
    clock.advance(seconds=9 * 60 + 10)
    assert await booked(budget, READS, background=True) == 0


async def test_a_limit_that_the_api_has_named_is_probed_again_only_after_a_day(budget: Budget, clock: Clock) -> None:
    await budget.book(READS, background=True)
    await refused(budget, READS, retry_after=60, limit=60)
    for _ in range(3):
        clock.advance(minutes=61)
        assert await booked(budget, READS, background=True) == 40
        clock.advance(seconds=3541)
        assert await booked(budget, READS, background=True) == 20, "what is left is used, and no more"
    clock.advance(days=1)
    await booked(budget, READS, background=True)
    clock.advance(seconds=3541)
    assert await booked(budget, READS, background=True, most=50) == 50


@pytest.mark.parametrize(("limit", "bucket"), [(25, "transcripts"), (60, "reads")])
async def test_a_refused_transcript_read_is_put_down_to_the_bucket_that_was_full(
    budget: Budget, limit: int, bucket: str
) -> None:
    await booked(budget, READS, background=False, most=60 - 24)
    await booked(budget, TRANSCRIPTS, background=False, most=24)
    await refused(budget, TRANSCRIPTS, retry_after=500, limit=limit)
    held_back = {each.bucket for each in budget.allowances() if budget.wait((each.bucket,), background=False) > 0}
    assert held_back == {bucket}


async def test_a_refusal_without_numbers_holds_everyone_back_for_a_minute(budget: Budget, clock: Clock) -> None:
    await refused(budget, READS)
    assert budget.wait(READS, background=False) == pytest.approx(60)
    assert limits(budget)["reads"] == 60
    clock.advance(seconds=61)
    assert await booked(budget, READS, background=True) == 40


async def test_what_never_left_is_given_back(budget: Budget, clock: Clock) -> None:
    for _ in range(100):
        await budget.book(TRANSCRIPTS, background=True)
        await budget.unsent(TRANSCRIPTS)
    assert limits(budget) == {"reads": 60, "transcripts": 25, "writes": 25, "action_items": 120}
    clock.advance(minutes=30)
    await budget.book(READS, background=True)
    assert budget.allowances()[0].closes == pytest.approx(clock.now().timestamp() + 3602), "it opened no window"


async def test_a_clock_that_was_set_back_locks_nobody_out(budget: Budget, clock: Clock) -> None:
    clock.advance(days=30)
    await booked(budget, READS, background=True)
    await refused(budget, WRITES, retry_after=3600, limit=25)
    clock.advance(days=-30)
    assert budget.wait(READS, background=True) == 0
    assert budget.wait(WRITES, background=False) == 0


async def test_two_processes_share_one_ledger(tmp_path: Path, clock: Clock) -> None:
    with closing(kept(tmp_path / "m.sqlite3")) as first, closing(kept(tmp_path / "m.sqlite3")) as second:
        one, two = Budget(first, clock), Budget(second, clock)
        first.attach()
        second.attach()
        assert await booked(one, READS, background=True, most=15) == 15
        assert await booked(two, READS, background=True) == 25
        assert await booked(one, READS, background=True) == 0


@given(
    start=st.builds(Allowance, st.just("reads"), st.integers(1, 5000)),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["background", "user", "refused"]),
            st.floats(0, 4000),
            st.one_of(st.none(), st.integers(1, 5000)),
            st.one_of(st.none(), st.floats(0, 3600)),
        ),
        max_size=30,
    ),
)
def test_however_it_is_used_nobody_waits_longer_than_a_window_and_the_reserve_holds(
    start: Allowance, steps: list[tuple[str, float, int | None, float | None]]
) -> None:
    now, allowance = 1e9, start
    for kind, pause, limit, retry_after in steps:
        now += pause
        allowance = allowance.at(now)
        if kind == "refused":
            allowance = allowance.refused(now, retry_after, limit)
        elif allowance.wait(now, background=kind == "background") <= 0:
            if kind == "background" and allowance.closes and allowance.closes - now > 62:
                assert allowance.spent < allowance.share
            allowance = allowance.booked(now, background=kind == "background")
        waits = [allowance.at(now).wait(now, background=background) for background in (True, False)]
        assert waits[1] <= waits[0] <= 3602
        assert allowance.at(now + waits[0]).wait(now + waits[0], background=True) <= 1e-6
