"""Two machines at the same tables at the same instant: what happens once, happens once."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signin_kit import PUBLIC, REDIRECT

from omi_mcp.database import Database
from omi_mcp.signin.site import in_file
from omi_mcp.signin.store import CODE_LIFE, GRACE, MOST_GRANTS, REFRESH_LIFE, Code, Grant, Store, Tables
from tests.conftest import EXAMPLES
from tests.postgres_kit import PostgresServer

Result = TypeVar("Result")

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROUNDS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two stores over one file, or over one database."""
    if request.param == "sqlite":
        made = in_file(Database(tmp_path / "one.sqlite3")), in_file(Database(tmp_path / "one.sqlite3"))
    else:
        url = request.getfixturevalue("database_url")
        made = Store(shared(url)), Store(shared(url))
    yield made
    for store in made:
        store.close()


def shared(url: str) -> Tables:
    from omi_mcp.postgres.connection import Postgres
    from omi_mcp.postgres.signing_in import SharedTables

    return SharedTables(Postgres(url, most=4))


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """What each of them returns, begun together in threads of their own."""
    start = threading.Barrier(len(calls))
    results: dict[int, Result] = {}
    problems: list[BaseException] = []

    def run(place: int, call: Callable[[], Result]) -> None:
        start.wait()
        try:
            results[place] = call()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return [results[place] for place in range(len(calls))]


def person(store: Store, name: str = "ana") -> str:
    return store.keep_account(None, name.encode(), "https://api.omi.me", f"sealed {name}", "UTC", NOW)


def granted(store: Store, account: str, name: str, now: datetime = NOW) -> Grant:
    """A grant whose code is called as it is."""
    grant = Grant(name, account, "host", "Assistant", "assistant.example", ("read",), PUBLIC, now, None)
    store.add_grant(grant, name.encode(), Code(grant, "", REDIRECT, True, now + CODE_LIFE), "{}", now)
    return grant


def connected(store: Store, account: str, name: str, now: datetime = NOW) -> Grant:
    """One with tokens, which are called access and refresh of it."""
    grant = granted(store, account, name, now)
    assert store.use_code(name.encode(), f"access {name}".encode(), f"refresh {name}".encode(), now)
    return grant


def test_a_key_that_signs_in_at_both_is_one_account(machines: tuple[Store, Store]) -> None:
    for number in range(ROUNDS):
        ids = at_once(*(partial(person, store, f"key {number}") for store in machines))
        assert len(set(ids)) == 1
    assert len(machines[0].accounts()) == ROUNDS


def test_a_code_is_taken_once_and_then_ends_what_came_of_it(machines: tuple[Store, Store]) -> None:
    one, _ = machines
    account = person(one)
    for number in range(ROUNDS):
        code = b"code %d" % number
        granted(one, account, code.decode())
        calls = [
            partial(store.use_code, code, token + code, token * 2 + code, NOW)
            for store, token in zip(machines, (b"a", b"b"), strict=True)
        ]
        assert at_once(*calls).count(None) == 1
        assert not any(one.access(token + code, NOW) for token in (b"a", b"b"))
    assert one.grants(account) == []


def test_two_that_refresh_at_the_same_instant_both_go_on(machines: tuple[Store, Store]) -> None:
    """As hosts do that ask twice, or lose an answer and repeat."""
    one, other = machines
    account = person(one)
    grant = connected(one, account, "grant")
    for number in range(ROUNDS):
        tokens = [b"a %d" % number, b"b %d" % number]
        calls = [
            partial(store.use_refresh, b"refresh grant", ("read",), token, token * 2, NOW)
            for store, token in zip(machines, tokens, strict=True)
        ]
        assert [each and each.id for each in at_once(*calls)] == [grant.id, grant.id]
        for token in tokens:
            found = other.access(token, NOW)
            assert found
            assert found[1].id == account


def test_a_stolen_refresh_token_ends_the_grant_while_its_host_refreshes(machines: tuple[Store, Store]) -> None:
    one, other = machines
    account = person(one)
    later = NOW + GRACE + timedelta(seconds=1)
    for number in range(ROUNDS):
        name = b"grant %d" % number
        connected(one, account, name.decode())
        assert one.use_refresh(b"refresh " + name, ("read",), b"second " + name, b"kept " + name, NOW)
        at_once(
            partial(other.use_refresh, b"refresh " + name, ("read",), b"thief " + name, b"thief's " + name, later),
            partial(one.use_refresh, b"kept " + name, ("read",), b"third " + name, b"third's " + name, later),
        )
        assert not any(one.access(token + name, later) for token in (b"second ", b"thief ", b"third "))
    assert one.grants(account) == []


def test_who_is_forgotten_while_hosts_refresh_leaves_nothing(machines: tuple[Store, Store]) -> None:
    one, other = machines
    for number in range(ROUNDS):
        account = person(one, f"ana {number}")
        names = [b"%d/%d" % (number, place) for place in range(3)]
        for name in names:
            connected(one, account, name.decode())
        new, late = f"{number}/new", f"{number}/late"
        granted(one, account, new)
        at_once(
            partial(other.forget_account, account),
            *(partial(one.use_refresh, b"refresh " + name, ("read",), b"a" + name, b"r" + name, NOW) for name in names),
            partial(one.use_code, new.encode(), b"a" + new.encode(), b"r" + new.encode(), NOW),
            partial(granted, one, account, late),
        )
        assert one.account(account) is None
        assert one.grants(account) == []
        assert not any(other.code(name.encode(), NOW) for name in (new, late))
        assert not any(other.access(b"a" + name, NOW) for name in (*names, new.encode()))


def test_attempts_at_all_machines_are_counted_together(machines: tuple[Store, Store]) -> None:
    limits, span = [("all", 30), ("address", 7)], timedelta(minutes=10)
    for later in (timedelta(0), span, 2 * span):
        calls = [partial(store.attempt, limits, span, NOW + later) for store in machines for _ in range(6)]
        assert at_once(*calls).count(None) == 7
        others = [partial(store.attempt, limits[:1], span, NOW + later) for store in machines for _ in range(12)]
        waits = at_once(*others)
        assert waits.count(None) == 23
        assert [wait for wait in waits if wait is not None] == [600.0]


def test_many_sign_in_while_both_clear_up_and_nobody_waits_for_ever(machines: tuple[Store, Store]) -> None:
    """Each transaction takes rows in the same order; where one did not, the database would end one of two."""
    one, _ = machines
    account = person(one)
    for number in range(MOST_GRANTS):
        connected(one, account, f"old {number}", NOW - REFRESH_LIFE - timedelta(days=1))

    def sign_in(store: Store, name: str) -> None:
        for number in range(ROUNDS):
            now = NOW + timedelta(seconds=20 * number)
            store.add_host(f"host {name} {number}", "{}", None, now)
            connected(store, account, f"{name} {number}", now)
            store.end_grant(f"{name} {number - 1}", account)

    at_once(*(partial(sign_in, store, f"{place}{way}") for place, store in enumerate(machines) for way in "ab"))
    assert len(one.grants(account)) == 4


NAMES = st.sampled_from(["a", "b", "c"])
TIMES = st.sampled_from([0, 1, GRACE.total_seconds() + 1, 3_601, 86_401, REFRESH_LIFE.total_seconds() + 1])
CALLS = st.one_of(
    st.tuples(st.just("wait"), TIMES),
    st.tuples(st.just("register"), NAMES),
    st.tuples(st.just("sign in"), NAMES),
    st.tuples(st.just("refuse"), NAMES),
    st.tuples(st.just("forget"), NAMES),
    st.tuples(st.just("grant"), NAMES),
    st.tuples(st.just("look at code"), st.integers(0, 4)),
    st.tuples(st.just("use code"), st.integers(0, 4)),
    st.tuples(st.just("look at refresh"), st.integers(0, 6)),
    st.tuples(st.just("use refresh"), st.integers(0, 6)),
    st.tuples(st.just("use refresh"), st.integers(0, 6)),
    st.tuples(st.just("end"), st.integers(0, 4)),
)
BEGUN: list[tuple[object, ...]] = [
    *(("sign in", name) for name in "ab"),
    *(("grant", name) for name in "aab"),
    *(("use code", number) for number in range(2)),
]


class History:
    """What came of calls, one after the other, with ids and tokens as they were counted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now = NOW
        self._accounts: dict[str, str] = {}
        self._tokens = self._grants = self._hosts = 0

    def after(self, call: tuple[object, ...]) -> object:
        """All that can be asked for after this call."""
        made = getattr(self, f"_{call[0]}".replace(" ", "_"))(*call[1:])
        names = {account: name for name, account in self._accounts.items()}
        tokens = [self._store.access(b"access %d" % number, self._now) for number in range(self._tokens)]
        return (
            made,
            sorted((names[each.id], each.used, each.refused) for each in self._store.accounts()),
            [[(each.id, each.used) for each in self._store.grants(account)] for account in self._accounts.values()],
            [found and (found[0].grant.id, found[0].expires, names[found[1].id]) for found in tokens],
            [self._store.host(f"host {number}") for number in range(self._hosts)],
        )

    def _wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def _register(self, name: str) -> None:
        self._store.add_host(f"host {self._hosts}", name, name.encode(), self._now)
        self._hosts += 1

    def _sign_in(self, name: str) -> None:
        known = self._accounts.get(name)
        self._accounts[name] = self._store.keep_account(known, name.encode(), "https://api", name, "UTC", self._now)

    def _refuse(self, name: str) -> None:
        self._store.refuse_account(self._accounts.get(name, "nobody"), name, self._now)

    def _forget(self, name: str) -> bool:
        return self._store.forget_account(self._accounts.get(name, "nobody"))

    def _grant(self, name: str) -> None:
        if name in self._accounts:
            granted(self._store, self._accounts[name], f"{self._grants}", self._now)
            self._grants += 1

    def _look_at_code(self, number: int) -> object:
        code = self._store.code(b"%d" % number, self._now)
        return code and (code.grant.id, code.expires)

    def _use_code(self, number: int) -> object:
        access, refresh = self._pair()
        grant = self._store.use_code(b"%d" % number, access, refresh, self._now)
        return grant and grant.id

    def _look_at_refresh(self, number: int) -> object:
        token = self._store.refresh(b"refresh %d" % number, self._now)
        return token and (token.grant.id, token.expires)

    def _use_refresh(self, number: int) -> object:
        access, refresh = self._pair()
        grant = self._store.use_refresh(b"refresh %d" % number, ("read",), access, refresh, self._now)
        return grant and grant.id

    def _end(self, number: int) -> bool:
        return self._store.end_grant(f"{number}")

    def _pair(self) -> tuple[bytes, bytes]:
        self._tokens += 1
        return b"access %d" % (self._tokens - 1), b"refresh %d" % (self._tokens - 1)


@pytest.mark.exhaustive
def test_whatever_happens_comes_to_the_same_in_a_file_and_in_the_database(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    numbers = count()

    @given(st.lists(CALLS, min_size=5, max_size=30))
    @settings(max_examples=EXAMPLES)
    def same(calls: list[tuple[object, ...]]) -> None:
        url = postgres_server.fresh_database()
        file, database = in_file(Database(tmp_path / f"{next(numbers)}.sqlite3")), Store(shared(url))
        try:
            here, there = History(file), History(database)
            for call in [*BEGUN, *calls]:
                assert here.after(call) == there.after(call)
        finally:
            file.close()
            database.close()
            postgres_server.drop(url)

    same()
