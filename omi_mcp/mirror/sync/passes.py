"""Passes over the list: pages written to the mirror, and compared with what was there.

The head is looked at when the mirror is used; the newest seven days are compared in the same looks once an hour, 90
days once a day, and everything once a day too where that is cheap, else once a week. The first pass over everything is
the backfill of summaries.

OMI API: the list has no cursor. It is ordered by `created_at`, newest first; `limit` and `offset` are applied before
locked and malformed rows are dropped, so a short or empty page proves nothing; there is no total. Offsets slip when
rows come and go. So the way down goes by value, each page beginning at the oldest instant of the one before, and by
offset only where the value does not change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from omi_mcp import database
from omi_mcp.api.budget import Budget
from omi_mcp.api.client import LIST_LIMIT, OmiClient, Page
from omi_mcp.clock import Clock
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync.absences import Absences
from omi_mcp.mirror.sync.state import LONG_AGO, Head, Missing, Pass, Passes, Position

LOOK_BACK = timedelta(hours=48)
"""How far behind the newest one known a look goes: conversations complete late, with their old `created_at`."""

LOOK_AGAIN = timedelta(minutes=1)
LOOK_SELDOM = timedelta(minutes=15)
"""Looks are this far apart. Each that brings nothing multiplies the first by `SLOWING`, up to the second."""

SLOWING = 4

OFTEN_EMPTY = 10
"""Empty pages in a row that are taken for the end although the mirror knows older conversations: a plan that has
lapsed locks many at once."""

WEEK, WEEK_EVERY = timedelta(days=7), timedelta(hours=1)
QUARTER, QUARTER_EVERY = timedelta(days=90), timedelta(days=1)
WHOLE_EVERY, WHOLE_EVERY_IF_CHEAP = timedelta(days=7), timedelta(days=1)
"""How old the last comparison of everything may be. It is cheap where one hour's reads are enough for it."""

EARLY = 0.8
"""After this much of that time the next one begins, to be finished within it."""

BACKDATED_AGAIN = timedelta(hours=1)
"""Where conversations with old dates are coming in, everything is compared this often at most."""


EMPTY_PAGES = 3
"""Empty pages in a row that are taken for the end of the list: rows that were dropped can fill some. One less does
where no page has shown a gap."""

STRIDE = LIST_LIMIT - 10
"""How far an offset goes on: rows that disappear meanwhile pull those below them up, out of the next page."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Turn:
    """A pass after one page more; `finished` when it has reached its floor or the end."""

    after: Pass
    finished: bool


class PassReader:
    """One page at a time; where it stands is in the mirror's database. Methods that are not async block."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock, budget: Budget, absences: Absences) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._budget = budget
        self._absences = absences

    def begun(self) -> bool:
        """Whether the first page has come."""
        passes = Passes.load(self._store)
        return passes.whole is not None or passes.current is not None

    def looking(self) -> bool:
        """Whether a look is under way or demanded."""
        head = Head.load(self._store)
        return head.current is not None or head.demanded is not None

    def look_demanded(self) -> bool:
        """Whether someone waits for a look that begins now or later."""
        return Head.load(self._store).demanded is not None

    def demand_look(self) -> None:
        """Have the head looked at, however lately it was."""
        Head.load(self._store).save(self._store, demanded=self._clock.now())

    def look_due(self) -> bool:
        """Whether the head may be looked at again."""
        head = Head.load(self._store)
        return head.tried is None or not head.tried <= self._clock.now() < self.next_look()

    def next_look(self) -> datetime:
        """When the head may be looked at again."""
        head = Head.load(self._store)
        pause: timedelta = min(LOOK_AGAIN * SLOWING**head.quiet, LOOK_SELDOM)
        return (head.tried or LONG_AGO) + pause

    def begin_look(self) -> bool:
        """Begin a look from the top if one is due or demanded."""
        if not (self.look_due() or self.look_demanded()):
            return False
        now = self._clock.now()
        head = Head.load(self._store)
        oldest = self._store.counts().oldest
        weekly = head.week is None or now >= head.week + WEEK_EVERY
        floor = None
        if head.seen and oldest:
            floor = max(oldest, min(head.seen - LOOK_BACK, now - WEEK) if weekly else head.seen - LOOK_BACK)
        rested = head.tried is None or now >= head.tried + 2 * LOOK_SELDOM
        look = Pass(depth="week" if weekly else "head", began=now, floor=floor)
        head.save(self._store, tried=now, quiet=0 if rested else head.quiet, current=look)
        return True

    async def look(self, *, background: bool) -> bool:
        """Read one page of the look under way; True while there is more."""
        head = await database.run(Head.load, self._store)
        if head.current is None and head.demanded:
            await database.run(self.begin_look)
            head = await database.run(Head.load, self._store)
        if head.current is None:
            return False
        turn = await self._turn(head.current, background=background)
        return await database.run(self._save_look, head.current, turn)

    def look_failed(self) -> None:
        """Wait longer before the next look."""
        head = Head.load(self._store)
        head.save(self._store, quiet=head.quiet + 1)

    def due(self) -> datetime:
        """When a page of a long pass is to be read; the long past when one is under way or none has been complete."""
        passes = Passes.load(self._store)
        if passes.whole is None or passes.current is not None:
            return LONG_AGO
        quarter = max(passes.whole, passes.quarter or LONG_AGO)
        return min(passes.whole + EARLY * self._every(), quarter + QUARTER_EVERY)

    def pressing(self) -> bool:
        """Whether everything is to be compared without pauses."""
        passes = Passes.load(self._store)
        if passes.whole is None or passes.demanded:
            return True
        overtaken = passes.backdated is not None and passes.whole < passes.backdated
        return overtaken and self._clock.now() >= passes.whole + BACKDATED_AGAIN

    def compared(self) -> tuple[datetime | None, bool]:
        """When everything was last compared, and whether it should have been again since."""
        passes = Passes.load(self._store)
        if passes.whole is None:
            return None, False
        overtaken = passes.backdated is not None and passes.whole < passes.backdated
        return passes.whole, overtaken or self._clock.now() > passes.whole + self._every()

    def _every(self) -> timedelta:
        pages = self._store.counts().conversations // (LIST_LIMIT - 1) + 2
        return WHOLE_EVERY_IF_CHEAP if pages <= self._budget.limit("reads") else WHOLE_EVERY

    def demand(self) -> None:
        """Have everything compared, from the top and without pauses. A backfill is finished first."""
        passes = Passes.load(self._store)
        current = passes.current if passes.whole is None else None
        passes.save(self._store, demanded=self._clock.now(), current=current)

    async def read_on(self, *, background: bool) -> None:
        """Read one page of the long pass that is under way, or begin the one that is due."""
        now = self._clock.now()
        passes = await database.run(Passes.load, self._store)
        current = passes.current
        if current is None and await database.run(self._whole_due):
            current = Pass(depth="whole", began=now, floor=None)
        elif current is None:
            current = Pass(depth="quarter", began=now, floor=now - QUARTER)
        turn = await self._turn(current, background=background)
        await database.run(self._save_long, passes, turn)

    def _whole_due(self) -> bool:
        passes = Passes.load(self._store)
        return passes.whole is None or self.pressing() or self._clock.now() >= passes.whole + EARLY * self._every()

    async def _turn(self, current: Pass, *, background: bool) -> _Turn:
        asked = self._clock.now()
        page = await self._client.list_conversations(
            offset=current.position.offset, end=current.position.end, background=background
        )
        return await database.run(self._record, current, page, asked)

    def _record(self, current: Pass, page: Page, asked: datetime) -> _Turn:
        long = current.depth in ("quarter", "whole")
        position, span = advance(
            current.position, page, patience=self._patience(current) if page.received == 0 else None
        )
        listed = {conversation.id for conversation in page.conversations}
        known: set[str] = set()
        # That a list seems to end is enough to stop a look, and not enough to doubt all that should follow.
        if span and (long or span.oldest):
            known = set(self._store.fingerprints(span.oldest, span.newest))
        missing = known - listed
        # As many rows can be there and have been dropped, on this page and on those before it that showed none.
        dropped = current.position.offset + LIST_LIMIT - page.received
        locked = missing & self._absences.locked()
        if len(locked) <= dropped:  # else not all of them can still be there
            missing -= locked
        changes = self._store.upsert(page.conversations, asked=asked)
        self._absences.listed(listed)
        stirred = changes.new | changes.changed
        looked = Head.load(self._store).looked
        backdated = current.depth != "whole" and any(
            each.id in changes.new and looked and each.created_at < looked - LOOK_BACK for each in page.conversations
        )
        below = {each.id for each in page.conversations if current.floor and each.created_at <= current.floor}
        newest = max((each.created_at for each in page.conversations), default=None)
        after = current.model_copy(
            update={
                "position": position or current.position,
                "newest": current.newest or newest,
                "stirred": current.stirred or bool(stirred),
                "backdated": current.backdated or backdated,
                "known": current.known + len(known),
                "missing": current.missing
                + tuple(Missing(id=each, noticed=asked, dropped=dropped > 0) for each in sorted(missing)),
            }
        )
        return _Turn(after, finished=position is None or bool(below and (long or not below & stirred)))

    def _patience(self, current: Pass) -> int | None:
        """How many empty pages are taken for the end; None when the mirror knows no better than they do."""
        if current.depth in ("head", "week"):
            return 1
        end = current.position.end
        return OFTEN_EMPTY if end and self._store.fingerprints(None, end - _MICROSECOND) else None

    def _save_look(self, before: Pass, turn: _Turn) -> bool:
        head = Head.load(self._store)
        if head.current != before:
            return False  # the mirror has been begun anew since
        if not turn.finished:
            head.save(self._store, current=turn.after)
            return True
        self._absences.judge(turn.after)
        self._note_backdated(turn.after)
        brought_nothing = 0 if head.demanded else 1  # asked for at once, it tells nothing of how much comes
        self._seen(head, turn.after).save(
            self._store,
            quiet=0 if turn.after.stirred else head.quiet + brought_nothing,
            week=turn.after.began if turn.after.depth == "week" else head.week,
            current=None,
        )
        return False

    def _save_long(self, passes: Passes, turn: _Turn) -> None:
        stored = Passes.load(self._store)
        if (stored.whole, stored.current) != (passes.whole, passes.current):
            return  # the mirror has been begun anew since, or everything demanded
        now = self._clock.now()
        after = turn.after
        head = Head.load(self._store)
        if head.looked is None:
            self._seen(head, after).save(self._store, tried=after.began)
        demanded = stored.demanded  # it may have been while the page was read
        overtaken = demanded is not None and after.began < demanded
        if not turn.finished:
            current = None if overtaken and passes.whole else after
            passes.save(self._store, stepped=now, current=current, demanded=demanded)
            return
        self._absences.judge(after)
        done: dict[str, datetime | None] = {after.depth: after.began}
        done["demanded"] = demanded if overtaken or after.depth != "whole" else None
        passes.save(self._store, stepped=now, current=None, **done)
        self._note_backdated(after)

    def _note_backdated(self, done: Pass) -> None:
        """Where some came with old dates, as from an import elsewhere, more may have come that were not read."""
        if done.backdated and self._every() == WHOLE_EVERY_IF_CHEAP:
            Passes.load(self._store).save(self._store, backdated=done.began)

    @staticmethod
    def _seen(head: Head, done: Pass) -> Head:
        # A conversation can be dated in the future; what comes after it now would then be below every floor.
        seen = min(done.newest, done.began) if done.newest else head.seen
        demanded = head.demanded if head.demanded and done.began < head.demanded else None
        return head.model_copy(update={"seen": seen, "looked": done.began, "demanded": demanded})


@dataclass(frozen=True)
class DateWindow:
    """A stretch of `created_at`, both ends inclusive (None: without end), of which a page has listed everything."""

    newest: datetime | None
    oldest: datetime | None


def advance(
    position: Position, page: Page, *, patience: int | None = None
) -> tuple[Position | None, DateWindow | None]:
    """The position after `page`, None at the end of the list; and the span it has listed completely, if any.

    `patience` is how many empty pages in a row are taken for the end, where that is known better than from the pages.
    """
    below = position.offset == 0  # else rows at the instant `end` itself were passed over
    newest = position.end if position.end is None or below else position.end - _MICROSECOND
    if not page.conversations:
        empty = position.empty + (page.received == 0)
        enough = patience or (EMPTY_PAGES if position.gaps or position.end is None else EMPTY_PAGES - 1)
        if empty >= enough:
            return None, DateWindow(newest=newest, oldest=None)
        return position.model_copy(update={"offset": position.offset + STRIDE, "empty": empty}), None
    oldest = min(conversation.created_at for conversation in page.conversations)
    if position.end is not None and oldest >= position.end:
        return position.model_copy(update={"offset": position.offset + STRIDE, "empty": 0, "short": False}), None
    span = DateWindow(
        newest=newest, oldest=oldest + _MICROSECOND
    )  # the page can have been cut amid rows of one instant
    short = page.received < LIST_LIMIT
    gaps = position.gaps or position.short or position.empty > 0
    if short and not gaps:
        # Most likely the end: then the next page, from just behind these rows, is empty.
        listed = sum(conversation.created_at == oldest for conversation in page.conversations)
        return Position(end=oldest, offset=listed, short=True), span
    return Position(end=oldest, gaps=gaps), span
