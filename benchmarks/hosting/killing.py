"""Creates, while what serves is killed all along: is each made once, does everybody see their own, is it soon back?"""

import json
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from benchmarks.hosting.accounts import SUBJECTS, heading, mark, note
from benchmarks.hosting.assistants import MODES, Connection, Failed, Host, Tally

EACH = 10
"""Creates of one account; the service allows 25 an hour."""

DOUBLED = 0.05
"""How many are asked for by two hosts at once."""

WARY_SECONDS = 125.0
"""After "not finished yet" and the like: the answers say to ask again in two minutes. Each look takes reads."""

SOON_SECONDS = 5.0
"""After an answer that nothing was made."""

PAUSES = (0.5, 1, 2, 4, 8)
"""Between the tries of a host whose calls fail."""

KILL_SECONDS = (4.0, 12.0)
"""From when all is up to the next kill."""

DOWN_SECONDS = 2.0
"""At most, until what was killed is started again."""

PROBE_SECONDS = 0.25


@dataclass(eq=False)
class Create:
    account: int
    text: str
    title: str
    doubled: bool
    answered: set[str] = field(default_factory=set)
    """The ids that were told; one, if all is well."""
    asked: int = 0

    @property
    def is_for_two(self) -> bool:
        """Two hosts are to ask for it at once, and have not yet."""
        return self.doubled and not self.asked


class Trial:
    """All creates and what was answered to each. `ends`: when no further ones are begun."""

    def __init__(
        self, address: str, tokens: Sequence[str], count: int, dice: random.Random, tally: Tally, ends: float
    ) -> None:
        self._address = address
        self._tokens = tokens
        self._dice = dice
        self._tally = tally
        self._ends = ends
        self._new = iter(range(-(-count // EACH)))
        self._left = count
        self._later: list[tuple[float, Create]] = []
        self._failing: dict[int, float] = {}
        self._busy = 0
        self.creates: list[Create] = []
        self.count: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.gaps: list[float] = []
        """How long each account that was not answered had to wait until it was, seconds."""
        self.begun = anyio.Event()
        """All creates have been begun; what is left is to be settled in peace."""

    async def run(self, assistants: int, deadline: float) -> None:
        """Until all are settled, or `deadline`."""
        async with anyio.create_task_group() as tasks:
            for seed in range(assistants):
                tasks.start_soon(self._work, random.Random(self._dice.randrange(2**32) + seed), deadline)

    async def tell(self, seconds: float) -> None:
        """How it stands, every now and then."""
        while True:
            await anyio.sleep(seconds)
            done = sum(bool(create.answered) for create in self.creates)
            print(f"    {done} of {len(self.creates)} creates answered; {dict(self.count)}", flush=True)

    async def _work(self, dice: random.Random, deadline: float) -> None:
        async with Host(self._address) as host, Host(self._address) as other:
            while time.monotonic() < deadline:
                creates = self._next(dice)
                if creates:
                    self._busy += 1
                    await self._visit(host, other, creates, dice, deadline)
                    self._busy -= 1
                elif self._later or self._busy:
                    await anyio.sleep(0.5)
                else:
                    return

    def _next(self, dice: random.Random) -> list[Create]:
        """What is to be asked now, of one account."""
        now = time.monotonic()
        due = next((each for each in self._later if each[0] <= now), None)
        if due is not None:
            self._later.remove(due)
            return [due[1]]
        place = next(self._new, None) if now < self._ends else None
        if place is None:
            self.begun.set()
            return []
        number = place % len(self._tokens)
        made = []
        for _ in range(min(EACH, self._left)):
            unique = str(len(self.creates))
            doubled = dice.random() < DOUBLED
            made.append(Create(number, note(number, unique, dice), heading(number, unique), doubled))
            self.creates.append(made[-1])
        self._left -= len(made)
        return made

    async def _visit(
        self, host: Host, other: Host, creates: list[Create], dice: random.Random, deadline: float
    ) -> None:
        left, tries = deque(creates), 0
        number = creates[0].account
        while left and time.monotonic() < deadline:
            create = left[0]
            try:
                if create.is_for_two:
                    create.asked += 1
                    async with anyio.create_task_group() as both:
                        for each in (host, other):
                            both.start_soon(self._alone, each, create, dice.choice(MODES))
                    left.popleft()
                    continue
                async with host.connected(self._tokens[number], dice.choice(MODES)) as connection:
                    await self._search(connection, number, dice.choice(SUBJECTS))
                    while left and not left[0].is_for_two:
                        create = left[0]
                        create.asked += 1
                        self._heard(create, *await connection.call("create_from_text", {"text": create.text}))
                        left.popleft()
                        tries = 0
            except Failed as error:
                self._failed(number, error)
                await anyio.sleep(dice.uniform(0.5, 1) * PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1

    async def _search(self, connection: Connection, number: int, words: str) -> None:
        text, refused = await connection.call("search_conversations", {"query": words, "limit": 3})
        if refused:
            raise Failed(f"search: {text[:100]}")
        self._answered(number)
        self._tally.check("search", json.dumps(json.loads(text)["conversations"]), number, empty=True)

    async def _alone(self, host: Host, create: Create, mode: str) -> None:
        try:
            async with host.connected(self._tokens[create.account], mode) as connection:
                self._heard(create, *await connection.call("create_from_text", {"text": create.text}))
        except Failed as error:
            self._failed(create.account, error)
            self._later.append((time.monotonic() + 1, create))

    def _answered(self, number: int) -> None:
        since = self._failing.pop(number, None)
        if since is not None:
            self.gaps.append(time.monotonic() - since)

    def _failed(self, number: int, error: Failed) -> None:
        self.count["failed"] += 1
        self.said[str(error)[:110]] += 1
        self._failing.setdefault(number, time.monotonic())

    def _heard(self, create: Create, said: str, refused: bool) -> None:
        self._answered(create.account)
        self._tally.check("create", said, create.account, empty=True)
        kind, pause = _kind(said, refused)
        self.count[kind] += 1
        if kind == "saved":
            create.answered.add(json.loads(said)["id"])
            return
        self.said[said.replace(mark(create.account), "...")[:110]] += 1
        self._later.append((time.monotonic() + pause, create))

    def judged(self, held: dict[int, dict[str, str]]) -> list[str]:
        """What is wrong, of what each account holds at the service (ids and texts)."""
        wrong = []
        for create in self.creates:
            ids = {each for each, text in held[create.account].items() if text == create.text}
            if len(ids) > 1:
                wrong.append(f"made {len(ids)} times: {create.title}")
            if create.answered and create.answered != ids:
                wrong.append(f"answered with {sorted(create.answered)}, there is {sorted(ids)}: {create.title}")
            self.count["once" if len(ids) == 1 else "none" if not ids else "several"] += 1
            if not create.answered:
                self.count["never answered"] += 1
                self.count["never answered, and made"] += len(ids)
        known = {(create.account, create.text) for create in self.creates}
        strangers = sum((number, text) not in known for number, texts in held.items() for text in texts.values())
        return wrong + [f"{strangers} that nobody asked for"] * bool(strangers)


def _kind(said: str, refused: bool) -> tuple[str, float]:
    """What an answer is, and how long to wait before the same is asked again."""
    if not refused:
        return "saved", 0
    if "may or may not exist" in said:
        return "unknown", WARY_SECONDS
    if "Not finished yet" in said:
        return "unfinished", WARY_SECONDS
    if "Nothing was created" in said:
        return "nothing created", SOON_SECONDS
    return "other", SOON_SECONDS


class Probe:
    """Asks at one address all along; `longest` it was without an answer, seconds."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[bool]]) -> None:
        self.name = name
        self._ask = ask
        self.outages: list[float] = []

    @property
    def longest(self) -> float:
        return max(self.outages, default=0.0)

    async def run(self) -> None:
        last = time.monotonic()
        while True:
            if await self._ask():
                now = time.monotonic()
                if now - last > 4 * PROBE_SECONDS:
                    self.outages.append(now - last)
                last = now
            await anyio.sleep(PROBE_SECONDS)


async def kill_at_random(
    trial: Trial,
    victims: Iterable[tuple[str, float, Callable[[float], Awaitable[None]]]],
    dice: random.Random,
    kills: Counter[str],
) -> None:
    """Kill one after the other until all creates were begun, and count in `kills`. Of each: its name, its weight, and
    what kills it and starts it again after so many seconds."""
    names, weights, kill = zip(*victims, strict=True)
    while True:
        with anyio.move_on_after(dice.uniform(*KILL_SECONDS)):
            await trial.begun.wait()
            break
        (place,) = dice.choices(range(len(names)), weights)
        await kill[place](dice.uniform(0, DOWN_SECONDS))
        kills[names[place]] += 1
