import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_kit import NOON, StandingClock, find, ids, opened, talk

from omi_mcp.api.models import Conversation, Folder, Segment
from omi_mcp.database import Database
from omi_mcp.mirror import store as store_module
from omi_mcp.mirror.index import fts
from omi_mcp.mirror.index.fts import SearchUnavailable
from omi_mcp.mirror.index.passages import MOST_PASSAGES, join, split
from omi_mcp.mirror.rows import fingerprint
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Counts
from tests.stores import files_only


@pytest.fixture
def store() -> Iterator[Store]:
    with opened() as store:
        yield store


def test_what_was_stored_comes_back_whole(store: Store) -> None:
    stored = talk("a", ("Ana", "Hello."), ("Ben", ""), ("Ana", "Bye."), title="Greetings", items=["Wave"], folder="f")
    store.upsert([stored])
    got = store.get("a")
    assert got is not None
    assert got.conversation == stored
    assert (got.transcript, got.starred, got.hidden, got.synced_at) == ("stored", None, False, NOON)


def test_an_unknown_id_is_none(store: Store) -> None:
    assert store.get("nobody") is None
    assert store.get("lone \ud800 surrogate") is None


def test_segment_ids_are_not_kept(store: Store) -> None:
    said = Segment(id="s1", text="Hello.", speaker_id=3, start=1.5, end=2.0)
    store.upsert([talk("a").model_copy(update={"transcript_segments": (said,)})])
    got = store.get("a")
    assert got is not None
    assert got.conversation.transcript_segments == (said.model_copy(update={"id": None}),)


def test_upsert_tells_new_from_changed_from_same(store: Store) -> None:
    first = talk("a", ("Ana", "Hello."))
    assert store.upsert([first, talk("b")]).new == {"a", "b"}
    again = store.upsert([first])
    assert (again.new, again.changed) == (frozenset(), frozenset())
    assert store.upsert([talk("a", ("Ana", "Hello there."))]).changed == {"a"}
    assert store.upsert([talk("b", title="Named")]).changed == {"b"}


def test_a_row_without_transcript_leaves_the_stored_one_alone(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Heliotrope."))])
    store.upsert([talk("a", title="Renamed", transcript=False)])
    got = store.get("a")
    assert got is not None
    assert got.transcript == "stored"
    assert ids(find(store, "heliotrope")) == ["a"]
    assert ids(find(store, "renamed")) == ["a"]


def test_no_segments_are_another_state_than_segments_not_fetched(store: Store) -> None:
    store.upsert([talk("none"), talk("pending", transcript=False)])
    states = {name: stored.transcript for name in ("none", "pending") if (stored := store.get(name))}
    assert states == {"none": "none", "pending": "pending"}
    assert [waiting for waiting, _ in store.pending_transcripts(10)] == ["pending"]


def test_pending_transcripts_are_the_newest_first(store: Store) -> None:
    store.upsert([talk(f"{days}", days_ago=days, transcript=False) for days in (3, 1, 2)])
    assert store.pending_transcripts(2) == [("1", NOON - timedelta(days=1)), ("2", NOON - timedelta(days=2))]


def test_a_locked_transcript_is_dropped_and_no_longer_found(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Heliotrope."), title="Garden")])
    store.set_transcript_state(["a", "unknown"], "locked")
    got = store.get("a")
    assert got is not None
    assert (got.transcript, got.conversation.transcript_segments) == ("locked", None)
    assert ids(find(store, "heliotrope")) == []
    assert ids(find(store, "garden")) == ["a"]


def test_what_the_api_shows_again_is_not_locked(store: Store) -> None:
    store.upsert([talk("a", transcript=False)])
    store.set_transcript_state(["a"], "locked")
    store.upsert([talk("a", transcript=False)])
    assert [waiting for waiting, _ in store.pending_transcripts(1)] == ["a"]


def test_a_hidden_conversation_is_kept_but_neither_found_nor_listed(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Heliotrope."), title="Garden"), talk("b")])
    store.set_hidden("a", True)
    store.set_hidden("a", True)
    assert ids(find(store, "heliotrope garden")) == []
    assert ids(find(store, "")) == ["b"]
    assert [stored.conversation.id for stored in store.recent(10, 0)] == ["b"]
    assert store.titles("garden", 10) == []
    assert set(store.fingerprints(None, None)) == {"b"}
    assert store.counts().conversations == 1
    kept = store.get("a")
    assert kept is not None
    assert kept.hidden
    store.set_hidden("a", False)
    assert ids(find(store, "heliotrope")) == ["a"]


def test_a_hidden_conversation_that_changed_is_found_by_what_it_says_now(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Heliotrope."), title="Garden")])
    store.set_hidden("a", True)
    assert store.upsert([talk("a", ("Ana", "Marigold."), title="Balcony")]).changed == {"a"}
    assert ids(find(store, "heliotrope")) == ids(find(store, "garden")) == []
    assert ids(find(store, "marigold")) == ids(find(store, "balcony")) == ["a"]


def test_removed_conversations_leave_nothing_behind(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Heliotrope."), items=["Buy soil"]), talk("b", ("Ben", "Marigold."))])
    store.remove(["a", "unknown"])
    assert store.get("a") is None
    assert ids(find(store, "heliotrope soil")) == []
    with store.database.reading() as connection:
        assert connection.execute("select count(*) from texts").fetchone()[0] == 2
        assert connection.execute("select count(*) from speaks").fetchone()[0] == 1


def test_exactly_the_given_ones_are_starred(store: Store) -> None:
    store.upsert([talk("a"), talk("b"), talk("c")])
    store.set_starred(["a", "unknown"])
    store.set_starred(["b"])
    assert {name: store.get(name).starred for name in "abc"} == {"a": False, "b": True, "c": False}  # type: ignore[union-attr]
    store.upsert([talk("d")])
    assert store.get("d").starred is None  # type: ignore[union-attr]


def test_folders_are_replaced_in_their_order(store: Store) -> None:
    store.replace_folders([Folder(id="1", name="Old")])
    folders = (Folder(id="2", name="Work", conversation_count=3), Folder(id="1", name="Home"))
    store.replace_folders(folders)
    assert store.folders() == folders


def test_fingerprints_cover_the_window_inclusively_and_ignore_the_transcript(store: Store) -> None:
    spoken = talk("1", ("Ana", "Hello."), days_ago=1)
    store.upsert([talk("0"), spoken, talk("2", days_ago=2), talk("3", days_ago=3)])
    window = store.fingerprints(NOON - timedelta(days=2), NOON - timedelta(days=1))
    assert set(window) == {"1", "2"}
    assert window["1"] == fingerprint(spoken.model_copy(update={"transcript_segments": None}))
    assert window["1"] != fingerprint(talk("1", days_ago=1, title="Renamed"))


def test_counts_leave_hidden_ones_out(store: Store) -> None:
    assert store.counts() == Counts(0, 0, 0, 0, None, None)
    store.upsert([talk("a", ("Ana", "Hi.")), talk("b"), talk("c", days_ago=2, transcript=False), talk("d"), talk("e")])
    store.set_transcript_state(["d"], "locked")
    store.set_hidden("e", True)
    assert store.counts() == Counts(4, 2, 1, 1, NOON - timedelta(days=2), NOON)


def test_titles_complete_every_word_newest_first(store: Store) -> None:
    store.upsert(
        [
            talk("old", title="Visit to the Café Métro", days_ago=2),
            talk("new", title="Metropolis and a visitor", days_ago=1),
            talk("other", title="Something else"),
        ]
    )
    assert [stored.conversation.id for stored in store.titles("metro VISIT", 10)] == ["new", "old"]
    assert [stored.conversation.id for stored in store.titles("cafe", 10)] == ["old"]
    assert [stored.conversation.id for stored in store.titles("", 1)] == ["other"]
    assert store.titles("isit", 10) == []


def test_recent_pages_through_by_start(store: Store) -> None:
    store.upsert([talk(str(days), days_ago=days) for days in (2, 0, 1)])
    assert [stored.conversation.id for stored in store.recent(2, 0)] == ["0", "1"]
    assert [stored.conversation.id for stored in store.recent(2, 2)] == ["2"]
    assert store.recent(1, 0)[0].conversation.transcript_segments is None


def test_state_keeps_small_json_values(store: Store) -> None:
    assert store.read_state("cursor") is None
    store.write_state("cursor", {"page": 3})
    store.write_state("cursor", [1, None, "x"])
    assert store.read_state("cursor") == [1, None, "x"]


def test_a_mirror_is_there_again_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path / "mirror.db") as store:
        store.upsert([talk("a", ("Ana", "Heliotrope."))])
    with opened(tmp_path / "mirror.db") as store:
        assert ids(find(store, "heliotrope")) == ["a"]


@files_only
def test_an_index_of_another_version_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "mirror.db") as store:
        store.upsert([talk("a", ("Ana", "Heliotrope.")), talk("b", ("Ana", "Heliotrope."))])
        store.set_hidden("b", True)
        with store.database.writing() as connection:
            fts.clear(connection)
            connection.execute("drop table lexicon")  # as it was up to version 5
            connection.execute("create table lexicon(word text primary key) without rowid")
        assert ids(find(store, "heliotrope")) == []
        store.write_state("index_version", fts.VERSION - 1)
    with opened(tmp_path / "mirror.db") as store:
        assert ids(find(store, "heliotrope")) == ids(find(store, "heliotorpe")) == ["a"]
        store.set_hidden("b", False)
        assert sorted(ids(find(store, "heliotrope"))) == ["a", "b"]


@files_only
def test_making_the_index_anew_goes_on_where_it_was_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_REINDEXED_AT_ONCE", 2)
    names = [f"{number}" for number in range(7)]
    with opened(tmp_path / "mirror.db") as store:
        store.upsert([talk(name, ("Ana", "Heliotrope.")) for name in names])
        store.write_state("index_version", fts.VERSION - 1)
    add, added = fts.add, []

    def breaking_off(connection: sqlite3.Connection, row: int) -> None:
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(row)
        add(connection, row)

    with monkeypatch.context() as broken, closing(Database(tmp_path / "mirror.db")) as database:
        broken.setattr(fts, "add", breaking_off)
        with pytest.raises(KeyboardInterrupt):
            Store(database, StandingClock())
    with opened(tmp_path / "mirror.db") as store:
        assert sorted(ids(find(store, "heliotrope"))) == names
        store.remove(names)
        assert ids(find(store, "heliotrope")) == []


class NoModule:
    """A connection of an SQLite without FTS5, as some standalone builds have."""

    def execute(self, statement: str, *values: object) -> None:
        if "fts5" in statement:
            raise sqlite3.OperationalError("no such module: fts5")


class WithoutFts5(Database):
    def prepare(self, create: Callable[[sqlite3.Connection], object]) -> None:
        create(cast(sqlite3.Connection, NoModule()))


def test_a_missing_fts5_is_told_with_the_remedy() -> None:
    database = WithoutFts5(None)
    try:
        with pytest.raises(SearchUnavailable, match=r"(?s)FTS5.*Python"):
            Store(database, StandingClock())
    finally:
        database.close()


def test_threads_may_write_and_read_at_once(tmp_path: Path) -> None:
    with opened(tmp_path / "mirror.db") as store:
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for number in range(15):
                    store.upsert([talk(f"{name}{number}", ("Ana", f"Heliotrope {name}."))])
                    assert find(store, "heliotrope").total > 0
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert find(store, "heliotrope").total == 45


def test_a_failed_upsert_changes_nothing(store: Store) -> None:
    store.upsert([talk("a", title="Garden")])

    def rows() -> Iterator[Conversation]:
        yield talk("a", title="Balcony")
        yield talk("b")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.upsert(rows())
    assert store.get("b") is None
    assert ids(find(store, "garden")) == ["a"]


def test_dates_before_1970_and_far_ahead_are_kept(store: Store) -> None:
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC)]
    moments.append(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    store.upsert([replace_began(talk(str(number)), began) for number, began in enumerate(moments)])
    assert [stored.conversation.began for stored in store.recent(3, 0)] == moments[::-1]


def replace_began(conversation: Conversation, began: datetime) -> Conversation:
    return conversation.model_copy(update={"started_at": began, "created_at": began})


SEGMENTS = st.builds(
    Segment,
    text=st.text(st.characters(codec=None), max_size=60)
    | st.lists(st.sampled_from("ab 文ไท"), max_size=600).map("".join),
    speaker_name=st.none() | st.sampled_from(["Ana", "Ben", "\ud800"]),
    speaker_id=st.none() | st.integers(0, 3),
    start=st.floats(0, 1e6),
    end=st.floats(0, 1e6),
)


@given(st.lists(SEGMENTS, max_size=30))
def test_any_transcript_is_joined_from_its_passages_as_it_was(segments: list[Segment]) -> None:
    assert list(join(split(segments))) == segments


@pytest.mark.parametrize("word", ["word ", "文"])
def test_a_passage_is_about_a_hundred_words_of_whole_segments(word: str) -> None:
    passages = list(split([Segment(text=word * 30) for _ in range(40)]))
    assert {len(passage) for passage in passages} == {4}


@pytest.mark.parametrize("segments", [[Segment(text="word " * 600_000)], [Segment(text="w x")] * 300_000])
def test_an_endless_transcript_has_a_bounded_number_of_passages(segments: list[Segment]) -> None:
    assert len(list(split(segments))) <= MOST_PASSAGES


@given(st.lists(SEGMENTS, max_size=8), st.text(st.characters(codec=None), max_size=40))
def test_any_text_is_stored_found_and_removed(segments: list[Segment], title: str) -> None:
    stored = talk("a", title=title).model_copy(update={"transcript_segments": tuple(segments)})
    with opened() as store:
        store.upsert([stored])
        got = store.get("a")
        assert got is not None
        assert got.conversation == stored
        store.upsert([replace_began(stored, NOON - timedelta(days=1))])
        store.remove(["a"])
        with store.database.reading() as connection:
            assert connection.execute("select count(*) from entries_docsize").fetchone()[0] == 0
