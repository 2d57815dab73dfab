"""While conversations come, change and go at random, the mirror follows; once they rest, it equals the account."""

import os
import random
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import virtual_time
from sync_kit import Account, Process, mirrored, talk, transcripts

from omi_mcp.api.errors import OmiError
from omi_mcp.mirror.sync.state import Labels, Passes

pytestmark = pytest.mark.exhaustive

SEEDS = int(os.environ.get("OMI_TEST_SEEDS", "6"))


class Motion:
    """Someone busy with the app: does something now and then, whenever a request arrives."""

    def __init__(self, account: Account, rng: random.Random, most: int) -> None:
        self._account = account
        self._box = account.sandbox
        self._rng = rng
        self._left = most
        self._gone = 12
        self._number = 10_000

    def __call__(self) -> None:
        while self._left and self._rng.random() < 0.5:
            self._left -= 1
            appear = (self.insert, self.insert_back_dated, self.restore, self.unlock, self.complete_late)
            vanish = (self.discard, self.delete, self.lock, self.process_again)
            self._rng.choice((*appear, *vanish, self.edit, self.star))()

    def insert(self) -> None:
        self._number += 1
        self._box.insert(talk(self._number, self._account.clock.now() + timedelta(microseconds=self._number)))

    def insert_back_dated(self) -> None:
        self._number += 1
        hours = self._rng.choice([1, 30, 500, 2000])
        self._box.insert(talk(self._number, self._account.clock.now() - timedelta(hours=self._rng.random() * hours)))

    def edit(self) -> None:
        self._box.edit(self._any(), title=f"Edited {self._rng.random()}")

    def discard(self) -> None:
        if self._may_go():
            self._box.discard(self._any())

    def delete(self) -> None:
        if self._may_go():
            self._box.delete(self._any())

    def lock(self) -> None:
        if self._may_go():
            self._box.lock(self._any())

    def process_again(self) -> None:
        if self._may_go():
            self._box.set_status(self._any(), "processing")

    def restore(self) -> None:
        self._box.discard(self._any(), False)

    def unlock(self) -> None:
        self._box.lock(self._any(), False)

    def complete_late(self) -> None:
        self._box.set_status(self._any(), "completed")

    def star(self) -> None:
        self._box.star(self._any(), self._rng.random() < 0.7)

    def _any(self) -> str:
        return self._rng.choice(self._box.ids(listable=False))

    def _may_go(self) -> bool:
        """Too many at once would not be believed; that has a test of its own."""
        self._gone -= 1
        return self._gone >= 0


async def live(seed: int, folder: Path) -> None:
    rng = random.Random(seed)
    account = Account(limits=rng.choice(["real", "off"]), size=rng.choice([40, 120, 330]))
    box = account.sandbox
    for each in rng.sample(box.ids(), 12):
        rng.choice([box.lock, box.discard, box.star, lambda each: box.set_status(each, "in_progress")])(each)
    account.wire.before = Motion(account, rng, most=rng.choice([10, 40]))

    async with AsyncExitStack() as processes:
        path = rng.choice([None, None, folder / "mirror.sqlite3"])
        running = [await processes.enter_async_context(account.process(path)) for _ in range(2 if path else 1)]
        once: set[str] = set()
        for _ in range(rng.randrange(12)):
            process = rng.choice(running)
            await process.use()
            once |= set(process.store.fingerprints(None, None))
            await write_through(process, rng)
            await account.clock.sleep(rng.choice([1, 90, 4000]))
        account.wire.before = lambda: None
        rested = account.clock.now()
        process = running[0]
        if rng.random() < 0.8:  # else the weekly round comes by itself
            await process.sync.compare_all()
        await account.until(lambda: settled_since(process, rested), hours=24 * 30, every=2 * 3600)

        listable = account.listable()
        assert mirrored(process.store) == listable
        # Where nothing older is left to be listed, a locked one looks like a deleted one.
        oldest = set(account.sandbox.ids(listable=False)[-10:])
        hidden = {each for each in once if (stored := process.store.get(each)) and stored.hidden}
        assert (locked(account) & once) - oldest - hidden <= set(mirrored(process.store, locked=True))
        assert transcripts(process.store, listable) == {
            each: [segment.text for segment in account.conversation(each).transcript_segments or ()]
            for each in listable
        }
        starred = {each for each in listable if (stored := process.store.get(each)) and stored.starred}
        assert starred == {each for each in listable if box.record(each)["starred"]}


def locked(account: Account) -> set[str]:
    """All that is missing from the list for no other reason."""
    records = (account.sandbox.record(each) for each in account.sandbox.ids(listable=False))
    return {
        record["id"]
        for record in records
        if record["locked"] and record["status"] == "completed" and not record["discarded"]
    }


async def write_through(process: Process, rng: random.Random) -> None:
    """What the library does when the user renames or hides one."""
    known = list(process.store.fingerprints(None, None))
    if not known:
        return
    chosen, discarded = rng.choice(known), rng.choice([None, True, False])
    try:
        updated = await process.client.update(chosen, title=f"Renamed {rng.random()}", discarded=discarded)
    except OmiError:
        return
    process.store.upsert([updated])
    process.store.set_hidden(updated.id, discarded is True)


def settled_since(process: Process, moment: datetime) -> bool:
    passes, labels = Passes.load(process.store), Labels.load(process.store)
    compared = passes.whole and passes.whole > moment and passes.current is None
    return bool(
        compared
        and labels.stars
        and labels.stars > moment
        and process.sync.progress().phase == "idle"
        and not process.sync._absences.doubted()
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_after_motion_and_one_round_of_reconciling_the_mirror_equals_the_account(seed: int, tmp_path: Path) -> None:
    virtual_time.run(live, seed, tmp_path)
