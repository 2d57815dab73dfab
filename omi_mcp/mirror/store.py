"""The mirrored conversations in SQLite: what is known of each, in which state, and which may be seen.

Rows are addressed by the API's ids from outside. Hidden conversations are kept, and are neither listed nor indexed.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from omi_mcp.api.models import Conversation, Folder, ListedItem
from omi_mcp.clock import Clock
from omi_mcp.database import Database, FileWarning
from omi_mcp.mirror import items
from omi_mcp.mirror.index import Passage, fts, lexicon, storable
from omi_mcp.mirror.names import SpeakerNames, applied
from omi_mcp.mirror.newest import SharedNewest
from omi_mcp.mirror.rows import (
    count,
    find,
    find_all,
    moment,
    remove,
    resolve,
    set_transcript,
    shown,
    stored_from,
    ticks,
    write,
)
from omi_mcp.mirror.shared import SharedConversations
from omi_mcp.mirror.types import CatalogueEntry, Counts, Stored
from omi_mcp.names import unaccented
from omi_mcp.sharing import Rows

_Outcome = Literal["new", "changed", "same"]

_FOREVER = 2**62

_LONGEST_REQUEST = timedelta(hours=1)
"""After this an answer that was asked for before a change of ours cannot come any more."""

_REINDEXED_AT_ONCE = 200
"""Conversations of one transaction when the index is made anew: a fraction of a second."""


@dataclass(frozen=True)
class Upserted:
    """Ids of an upsert: rows that were not there before, and rows whose summary or transcript differs now."""

    new: frozenset[str]
    changed: frozenset[str]


class Store:
    """The mirror's tables. Synchronous and thread-safe; each method is one short transaction.

    Raises `SearchUnavailable` at construction where SQLite cannot search text.
    """

    SCHEMA: ClassVar[str] = (
        """
        create table if not exists conversations(
            row integer primary key,
            id text not null unique,
            began integer not null,
            created integer not null,
            title text not null,
            category text not null,
            folder text,
            starred integer,
            hidden integer not null default 0,
            transcript text not null default 'pending',
            speakers text not null default '[]',
            segments integer not null default 0,
            synced integer not null,
            fingerprint text not null,
            light text not null,
            action_items text,
            open_items integer not null default 0
        );
        create index if not exists conversation_began on conversations(began desc, id) where hidden = 0;
        create index if not exists conversation_created on conversations(created desc) where hidden = 0;
        create index if not exists conversation_category on conversations(category, began desc, id) where hidden = 0;
        create index if not exists conversation_folder on conversations(folder, began desc, id) where hidden = 0;
        create index if not exists conversation_starred on conversations(began desc, id)
            where hidden = 0 and starred = 1;
        create index if not exists conversation_transcript on conversations(transcript, created desc) where hidden = 0;
        create index if not exists conversation_open on conversations(began desc, id)
            where hidden = 0 and open_items > 0;
        create table if not exists folders(place integer primary key, folder text not null);
        create table if not exists own_changes(id text primary key, changed integer not null) without rowid;
        create table if not exists state(key text primary key, value text not null) without rowid;
        """
        + items.SCHEMA
        + ";"
        + fts.SCHEMA
    )

    def __init__(self, database: Database, clock: Clock, names: SpeakerNames | None = None) -> None:
        self.database = database
        self._clock = clock
        self._names = names
        database.prepare(self._create)
        database.share(
            Rows("listed_items", ("id", "same_as")),
            Rows("folders", ("place",)),
            Rows("own_changes", ("id",)),
            Rows("state", ("key",), where="{row}.key glob 'sync_*'"),
            SharedConversations(named=names is not None),
            SharedNewest(),
        )
        while self._index_more():
            pass
        self.follow_names()

    def _create(self, connection: sqlite3.Connection) -> None:
        fts.probe(connection)
        _add_columns(connection)
        for statement in self.SCHEMA.split(";"):
            connection.execute(statement)
        if _read_state(connection, "index_version") != fts.VERSION:
            fts.clear(connection)
            _write_state(connection, "index_version", fts.VERSION)
            (rows,) = connection.execute("select count(*) from conversations").fetchone()
            _write_state(connection, "indexed_to", 0 if rows else None)

    def _index_more(self) -> bool:
        """Index a few conversations that another version had indexed, False when there are none.

        In steps short enough for other processes to wait for; whichever comes next goes on.
        """
        with self.database.writing() as connection:
            indexed_to = _read_state(connection, "indexed_to")
            if indexed_to is None:
                return False
            rows = connection.execute(
                "select * from conversations where row > ? order by row limit ?", (indexed_to, _REINDEXED_AT_ONCE)
            ).fetchall()
            with lexicon.gathering(connection):
                for row in rows:
                    if not row["hidden"]:
                        fts.replace_written(connection, row["row"], shown(row), indexed=False)
                        fts.add(connection, row["row"])
            _write_state(connection, "indexed_to", rows[-1]["row"] if rows else None)
            return bool(rows)

    def upsert(self, conversations: Iterable[Conversation], *, asked: datetime | None = None) -> Upserted:
        """Write rows and make them visible again, in one transaction.

        `asked` is when the API was asked for them: what we changed since is left as it is. `transcript_segments` None
        leaves a stored transcript alone, () says there is none, else it replaces. Segment ids are not kept. A locked
        transcript is pending again: the API shows only what is not locked.
        """
        new, changed = set(), set()
        with self.database.writing() as connection, lexicon.gathering(connection):
            outdated = _changed_since(connection, asked)
            # Inside the transaction: who gives a name writes it first and follows here after.
            for conversation in self._named(list(conversations)):
                if conversation.id in outdated:
                    continue
                outcome = self._upsert(connection, conversation)
                if outcome == "new":
                    new.add(conversation.id)
                elif outcome == "changed":
                    changed.add(conversation.id)
        return Upserted(frozenset(new), frozenset(changed - new))

    def get(self, conversation_id: str) -> Stored | None:
        """One conversation with its whole transcript, hidden ones too."""
        with self.database.reading() as connection:
            row = find(connection, conversation_id)
            if row is None:
                return None
            stored = stored_from(connection, row)
            if stored.transcript in ("pending", "locked"):
                return stored
            segments = fts.transcript(connection, row["row"])
        return replace(stored, conversation=stored.conversation.model_copy(update={"transcript_segments": segments}))

    @property
    def warnings(self) -> tuple[FileWarning, ...]:
        """What happened to the files that a person should know."""
        warnings = (self.database.warning, self._names.warning if self._names else None)
        return tuple(filter(None, warnings))

    def follow_names(self) -> None:
        """Show the names of speakers as they are given now: called after each change, and at every start for those
        that a kill cut off."""
        if self._names is None:
            return
        with self.database.reading() as connection:
            followed = _read_state(connection, "names_followed") or 0
        if not self._names.changed_since(followed)[0]:
            return
        with self.database.writing() as connection:
            followed = _read_state(connection, "names_followed") or 0
            changed, last = self._names.changed_since(followed)
            names = self._names.of_all(changed)
            for row in find_all(connection, changed):
                segments = fts.transcript(connection, row["row"])
                called = list(applied(segments, names.get(row["id"], {})))
                set_transcript(connection, row, called, row["transcript"], indexed=not row["hidden"])
            _write_state(connection, "names_followed", last)

    def present(self, ids: Iterable[str]) -> set[str]:
        """Which of these are mirrored, hidden ones too."""
        wanted = json.dumps([storable(each) for each in ids])
        with self.database.reading() as connection:
            rows = connection.execute(
                "select id from conversations where id in (select value from json_each(?))", (wanted,)
            ).fetchall()
        return {row["id"] for row in rows}

    def note_change(self, conversation_id: str) -> None:
        """We had the API change or delete it: what was asked for before now is outdated."""
        now = self._clock.now()
        with self.database.writing() as connection:
            connection.execute("delete from own_changes where changed < ?", (ticks(now - _LONGEST_REQUEST),))
            connection.execute(
                "insert or replace into own_changes(id, changed) values (?, ?)",
                (storable(conversation_id), ticks(now)),
            )

    def changed_since(self, moment: datetime) -> Set[str]:
        """What we had the API change or delete after `moment`, on whichever machine; it is kept for an hour."""
        with self.database.reading() as connection:
            return _changed_since(connection, moment)

    def remove(self, ids: Iterable[str]) -> None:
        """Forget conversations; unknown ids are ignored."""
        with self.database.writing() as connection:
            for row in find_all(connection, ids):
                remove(connection, row)

    def set_hidden(self, conversation_id: str, hidden: bool) -> None:
        """Keep a discarded conversation out of lists and searches, or bring it back."""
        with self.database.writing() as connection:
            row = find(connection, conversation_id)
            if row is None or bool(row["hidden"]) == hidden:
                return
            change = fts.drop if hidden else fts.add
            change(connection, row["row"])
            connection.execute("update conversations set hidden = ? where row = ?", (int(hidden), row["row"]))

    def set_starred(self, ids: Iterable[str]) -> None:
        """Exactly these are starred; every other mirrored conversation is not."""
        starred = json.dumps([storable(conversation_id) for conversation_id in ids])
        with self.database.writing() as connection:
            connection.execute(
                "with starred(id) as materialized (select value from json_each(?))"
                " update conversations set starred = id in starred where starred is not (id in starred)",
                (starred,),
            )

    def set_transcript_state(self, ids: Iterable[str], state: Literal["pending", "locked", "none"]) -> None:
        """Record why there is no transcript; one that was stored is dropped."""
        with self.database.writing() as connection:
            for row in find_all(connection, ids):
                set_transcript(connection, row, (), state, indexed=not row["hidden"])

    def replace_folders(self, folders: Iterable[Folder]) -> None:
        """These are the account's folders now, in this order."""
        rows = [(json.dumps(folder.model_dump(mode="json")),) for folder in folders]
        with self.database.writing() as connection:
            connection.execute("delete from folders")
            connection.executemany("insert into folders(folder) values (?)", rows)

    def keep_items(self, listed: Iterable[ListedItem], *, began: datetime, last: bool) -> None:
        """Keep rows of the account's list of action items, of a reading that `began` then; with the `last` of them,
        what it did not bring is gone."""
        with self.database.writing() as connection:
            changed = items.keep(connection, listed, ticks(began))
            if last:
                changed |= items.settle(connection, ticks(began))
            for row in find_all(connection, changed):
                resolve(connection, row)

    def loose_items(self) -> list[ListedItem]:
        """What is still to do and belongs to no conversation that is mirrored, the newest first."""
        with self.database.reading() as connection:
            return items.loose(connection)

    def folders(self) -> tuple[Folder, ...]:
        """The folders last given to `replace_folders`."""
        with self.database.reading() as connection:
            rows = connection.execute("select folder from folders order by place").fetchall()
        return tuple(Folder.model_validate(json.loads(row["folder"])) for row in rows)

    def fingerprints(self, start: datetime | None, end: datetime | None) -> dict[str, str]:
        """Visible rows with `created_at` in the window (inclusive): id to `fingerprint`."""
        clauses, values = ["hidden = 0"], []
        if start is not None:
            clauses.append("created >= ?")
            values.append(ticks(start))
        if end is not None:
            clauses.append("created <= ?")
            values.append(ticks(end))
        statement = f"select id, fingerprint from conversations where {' and '.join(clauses)}"
        with self.database.reading() as connection:
            return {row["id"]: row["fingerprint"] for row in connection.execute(statement, values)}

    def pending_transcripts(
        self, limit: int, start: datetime | None = None, end: datetime | None = None
    ) -> list[tuple[str, datetime]]:
        """Visible conversations that `began` in the window (inclusive) and whose transcript is still to be fetched,
        newest `created_at` first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "select id, created from conversations where hidden = 0 and transcript = 'pending'"
                " and began between ? and ? order by created desc, id limit ?",
                (*_bounds(start, end), limit),
            ).fetchall()
        return [(row["id"], moment(row["created"])) for row in rows]

    def counts(self) -> Counts:
        """How much is mirrored; `oldest` and `newest` are by `created_at`."""
        with self.database.reading() as connection:
            return count(connection, "hidden = 0", ())

    def titles(self, words: str, limit: int) -> list[Stored]:
        """Visible conversations in whose title words begin with each of `words`, newest first; light."""
        beginnings = [f" {word}" for word in storable(unaccented(words)).split()]
        clauses = " and instr(' ' || title, ?)" * len(beginnings)
        return self._newest(clauses, beginnings, limit, 0)

    def beginning_with(self, beginning: str, limit: int) -> list[Stored]:
        """Conversations of which the id begins so, hidden ones too, in the order of their ids; light."""
        beginning = storable(beginning)
        statement = "select * from conversations where id >= ? and substr(id, 1, ?) = ? order by id limit ?"
        with self.database.reading() as connection:
            rows = connection.execute(statement, (beginning, len(beginning), beginning, limit))
            return [stored_from(connection, row) for row in rows]

    def hidden(self) -> list[Stored]:
        """The hidden conversations, newest first; light."""
        with self.database.reading() as connection:
            rows = connection.execute("select * from conversations where hidden = 1 order by began desc, id")
            return [stored_from(connection, row) for row in rows]

    def recent(self, limit: int, offset: int) -> list[Stored]:
        """Visible conversations, newest `began` first; light."""
        return self._newest("", [], limit, offset)

    def newest_speakers(self, limit: int) -> list[list[str]]:
        """Who speaks in each of the newest visible conversations that have a transcript here."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "select speakers from conversations where hidden = 0 and transcript = 'stored'"
                " order by created desc, id limit ?",
                (limit,),
            )
            # In one go, because every search asks: each call of the parser costs more than what it reads here.
            newest: list[list[str]] = json.loads(f"[{','.join(speakers for (speakers,) in rows)}]")
            return newest

    def catalogue(self, start: datetime | None, end: datetime | None) -> list[CatalogueEntry]:
        """Visible conversations that `began` in the window (inclusive), oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "select id, began, transcript, synced from conversations"
                " where hidden = 0 and began between ? and ? order by began, id",
                _bounds(start, end),
            ).fetchall()
        return [
            CatalogueEntry(row["id"], moment(row["began"]), row["transcript"], moment(row["synced"])) for row in rows
        ]

    def passages(self, conversation_id: str) -> list[Passage]:
        """The stored transcript of a conversation as it is indexed, in order; empty where there is none."""
        with self.database.reading() as connection:
            row = find(connection, conversation_id)
            return [] if row is None else list(fts.stored_passages(connection, row["row"]))

    def read_state(self, key: str) -> Any:
        """The JSON value kept under `key`, None when there is none."""
        with self.database.reading() as connection:
            return _read_state(connection, key)

    def write_state(self, key: str, value: Any) -> None:
        with self.database.writing() as connection:
            _write_state(connection, key, value)

    def _newest(self, clauses: str, values: list[str], limit: int, offset: int) -> list[Stored]:
        statement = f"select * from conversations where hidden = 0{clauses} order by began desc, id limit ? offset ?"
        with self.database.reading() as connection:
            return [stored_from(connection, row) for row in connection.execute(statement, [*values, limit, offset])]

    def _named(self, conversations: Sequence[Conversation]) -> Iterator[Conversation]:
        """`conversations` with the names given to their speakers on this side."""
        spoken = [conversation.id for conversation in conversations if conversation.transcript_segments]
        names = self._names.of_all(spoken) if self._names and spoken else {}
        for conversation in conversations:
            if conversation.id in names:
                called = tuple(applied(conversation.transcript_segments or (), names[conversation.id]))
                conversation = conversation.model_copy(update={"transcript_segments": called})
            yield conversation

    def _upsert(self, connection: sqlite3.Connection, conversation: Conversation) -> _Outcome:
        before = find(connection, conversation.id)
        row = write(connection, conversation, ticks(self._clock.now()))
        outcome: _Outcome = "same"
        written = shown(row)
        if before is None:
            outcome = "new"
            fts.replace_written(connection, row["row"], written, indexed=True)
        elif before["hidden"]:
            outcome = "changed"
            fts.replace_written(connection, row["row"], written, indexed=False)
            fts.add(connection, row["row"])
        elif before["fingerprint"] != row["fingerprint"]:
            outcome = "changed"
            fts.replace_written(connection, row["row"], written, indexed=True)
        segments = conversation.transcript_segments
        if segments is None:
            if row["transcript"] == "locked":
                set_transcript(connection, row, (), "pending", indexed=True)
            return outcome
        replaced = set_transcript(connection, row, segments, "stored" if segments else "none", indexed=True)
        return "changed" if replaced and outcome == "same" else outcome


def _bounds(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    return (-_FOREVER if start is None else ticks(start), _FOREVER if end is None else ticks(end))


def _add_columns(connection: sqlite3.Connection) -> None:
    """What a mirror of an earlier version has not: which conversations have something left to do."""
    columns = {row["name"] for row in connection.execute("pragma table_info(conversations)")}
    if not columns or "open_items" in columns:
        return
    connection.execute("alter table conversations add column action_items text")
    connection.execute("alter table conversations add column open_items integer not null default 0")
    connection.execute(
        "update conversations set open_items = (select count(*) from"
        " json_each(light, '$.structured.action_items') where json_extract(value, '$.completed') is not 1"
        " and trim(coalesce(json_extract(value, '$.description'), '')) <> '')"
    )


def _changed_since(connection: sqlite3.Connection, asked: datetime | None) -> Set[str]:
    """Ids of the conversations that we changed after `asked`."""
    if asked is None:
        return frozenset()
    return {row["id"] for row in connection.execute("select id from own_changes where changed > ?", (ticks(asked),))}


def _read_state(connection: sqlite3.Connection, key: str) -> Any:
    row = connection.execute("select value from state where key = ?", (key,)).fetchone()
    return None if row is None else json.loads(row["value"])


def _write_state(connection: sqlite3.Connection, key: str, value: Any) -> None:
    connection.execute(
        "insert into state(key, value) values (?, ?) on conflict(key) do update set value = excluded.value",
        (key, json.dumps(value)),
    )
