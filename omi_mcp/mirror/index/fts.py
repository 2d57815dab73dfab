"""The full-text index, and the texts in it: entries come and go with the text they were made of.

Rows go in one by one: a statement that writes several needs a savepoint, at which FTS5 writes out what it gathered.

Entry `n` of the conversation with the integer key `row` has the rowid `row << 12 | n`: 0 is its head, 1 are its action
items, the others are its passages. FTS5 keeps no text of its own: an entry is taken out by handing it the same text
again. So what was indexed is kept in `texts`, of hidden conversations too, and the passages there are the transcript.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from omi_mcp.api.models import Conversation, Segment
from omi_mcp.mirror.index import lexicon
from omi_mcp.mirror.index.passages import (
    Entry,
    Passage,
    entry_of,
    indexed_text,
    join,
    said_by,
    split,
    unpack,
    written,
    written_entry,
)
from omi_mcp.mirror.index.words import TOKENIZER, storable
from omi_mcp.names import unaccented

ENTRY_BITS = 12
HEAD, ITEMS, FIRST_PASSAGE, LAST_PASSAGE = 0, 1, 2, (1 << ENTRY_BITS) - 1

OPENING = 200
"""Characters of the beginning of a transcript that stand for a title."""

VERSION = 6
"""Of how a conversation is indexed. An index of another version has to be made anew."""

_CONFIGURATION = {"pgsz": 1000, "automerge": 8, "crisismerge": 32}
"""FTS5 merges what it wrote in steps of 64 pages, whenever so many parts lie on one level. Small pages and few merges
make a change to a large index cost a quarter of what it costs with the defaults (4050, 4, 16), a search the same."""

SCHEMA = f"""
    create virtual table if not exists entries using fts5(text, content='', tokenize="{TOKENIZER}");
    create virtual table if not exists occurrences using fts5vocab(entries, instance);
    create table if not exists texts(entry integer primary key, body blob not null);
    create table if not exists speakers(speaker integer primary key, name text not null unique);
    create table if not exists speaks(speaker integer, row integer, primary key (speaker, row)) without rowid;
    create index if not exists speaks_row on speaks(row);
    {lexicon.SCHEMA}
"""

_ADD = "insert into entries(rowid, text) values (?, ?)"
_DROP = "insert into entries(entries, rowid, text) values ('delete', ?, ?)"


class SearchUnavailable(RuntimeError):
    """This Python's SQLite has no usable FTS5, so the mirror cannot be searched. `str()` names the remedy."""

    def __init__(self) -> None:
        super().__init__(
            "The SQLite of this Python has no full-text search (FTS5, 3.27 or later). Run the server with a Python "
            "that has it: those of python.org, Debian, Homebrew and pyenv do."
        )


def probe(connection: sqlite3.Connection) -> None:
    """Raise `SearchUnavailable` where FTS5 is missing or too old."""
    try:
        connection.execute(f'create virtual table temp.probe using fts5(text, tokenize="{TOKENIZER}")')
    except sqlite3.OperationalError as error:
        raise SearchUnavailable from error
    connection.execute("drop table temp.probe")


def add(connection: sqlite3.Connection, row: int) -> None:
    """Make a conversation findable by all that is kept of it."""
    _change(connection, added=[(entry, indexed_text(body)) for entry, body in _bodies(connection, row)])


def drop(connection: sqlite3.Connection, row: int) -> None:
    """Undo `add`."""
    _change(connection, dropped=[(entry, indexed_text(body)) for entry, body in _bodies(connection, row)])


def forget(connection: sqlite3.Connection, row: int, *, indexed: bool) -> None:
    """Keep nothing of a conversation. `indexed`: it is findable."""
    for first in (HEAD, FIRST_PASSAGE):
        _replace(connection, row, first, [], indexed=indexed)
    connection.execute("delete from speaks where row = ?", (row,))


def clear(connection: sqlite3.Connection) -> None:
    """Make the index an empty one of this version."""
    connection.execute("insert into entries(entries) values ('delete-all')")
    connection.execute("drop table lexicon")  # an earlier version had another
    connection.execute(lexicon.SCHEMA)
    connection.executemany("insert into entries(entries, rank) values (?, ?)", _CONFIGURATION.items())


def replace_written(connection: sqlite3.Connection, row: int, conversation: Conversation, *, indexed: bool) -> None:
    """Keep what the service wrote about a conversation. `indexed`: it is findable."""
    _replace(connection, row, HEAD, list(map(written_entry, written(conversation))), indexed=indexed)


def replace_transcript(connection: sqlite3.Connection, row: int, segments: Sequence[Segment], *, indexed: bool) -> bool:
    """Keep a transcript in place of the one there; False when it is the same. `indexed`: the row is findable."""
    if not _replace(connection, row, FIRST_PASSAGE, list(map(entry_of, split(segments))), indexed=indexed):
        return False
    _replace_speakers(connection, row, segments)
    return True


def texts(connection: sqlite3.Connection, entries: Iterable[int]) -> Iterator[tuple[int, str]]:
    """The indexed text of these entries, in no order."""
    for entry, body in _packed(connection, entries):
        yield entry, indexed_text(body)


def places(
    connection: sqlite3.Connection, terms: Iterable[str], entries: Iterable[int]
) -> dict[int, list[tuple[int, str]]]:
    """Where in each of these entries which of these index terms are, in order; it costs as much as they are frequent.

    `offset` is quoted because it is a word of SQL, and `doc` has a sign, or each entry would be a search of its own.
    """
    known = list(terms)
    cursor = connection.cursor()
    cursor.row_factory = None  # there can be thousands, and tuples are quicker than rows with names
    rows = cursor.execute(
        'select doc, "offset", key from json_each(?) cross join occurrences on term = value'
        " where +doc in (select value from json_each(?))",
        (json.dumps(known), json.dumps(list(entries))),
    )
    found: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for entry, place, term in rows:
        found[entry].append((place, known[term]))
    for each in found.values():
        each.sort()
    return found


def size(connection: sqlite3.Connection) -> int:
    """The number of entries, from the record in which FTS5 keeps it first for its own bm25(): counting takes longer."""
    (record,) = connection.execute("select block from entries_data where id = 1").fetchone()
    return _integer(record)


def lengths(connection: sqlite3.Connection, entries: Iterable[int]) -> dict[int, int]:
    """The number of words of each of these entries, as FTS5 keeps it for its own bm25()."""
    kept = "select id, sz from entries_docsize where id in (select value from json_each(?))"
    return {entry: _integer(record) for entry, record in connection.execute(kept, (json.dumps(list(entries)),))}


def _integer(record: bytes) -> int:
    """The first number of a record of FTS5: seven bits a byte, the highest first; eight in the ninth byte."""
    value = 0
    for place, byte in enumerate(record):
        if place == 8:
            return value << 8 | byte
        value = value << 7 | byte & 127
        if byte < 128:
            break
    return value


def sizes(connection: sqlite3.Connection, rows: Iterable[int]) -> dict[int, int]:
    """The number of entries of each conversation that is findable. FTS5's own table of them is the smallest."""
    last = f"select value, (select max(id) from entries_docsize where id < value + 1 << {ENTRY_BITS}) from json_each(?)"
    return {row: (entry & LAST_PASSAGE) + 1 for row, entry in connection.execute(last, (json.dumps(list(rows)),))}


def passages(connection: sqlite3.Connection, entries: Sequence[int]) -> Iterator[Passage]:
    """These passages, in the order of `entries`."""
    found = dict(_packed(connection, entries).fetchall())
    return (unpack(found[entry]) for entry in entries)


def passage_after(connection: sqlite3.Connection, entry: int) -> Passage:
    """The next passage of the same conversation; empty after the last."""
    found = connection.execute("select body from texts where entry = ?", (entry + 1,)).fetchone()
    return unpack(found[0]) if found and (entry + 1) >> ENTRY_BITS == entry >> ENTRY_BITS else ()


def said_in(
    connection: sqlite3.Connection,
    entries: Iterable[int],
    speaks: Callable[[str | None, int | None, str | None], bool],
) -> Iterator[tuple[int, list[str]]]:
    """Of these passages, in no order, what those say in them for whom `speaks` holds, as for `said_by`."""
    return ((entry, said_by(body, speaks)) for entry, body in _packed(connection, entries))


def stored_passages(connection: sqlite3.Connection, row: int) -> Iterator[Passage]:
    """The passages of a conversation, in order."""
    return (passage for _, passage in numbered_passages(connection, row))


def numbered_passages(connection: sqlite3.Connection, row: int) -> Iterator[tuple[int, Passage]]:
    """The same, each with its entry."""
    return ((entry, unpack(body)) for entry, body in _bodies(connection, row, FIRST_PASSAGE))


def opening(connection: sqlite3.Connection, row: int) -> str:
    """The first words of a transcript, cut anywhere; empty where there are none."""
    first = row << ENTRY_BITS | FIRST_PASSAGE
    found = connection.execute("select body from texts where entry = ?", (first,)).fetchone()
    said = (piece.text.strip() for piece in unpack(found[0])) if found else iter(())
    return next(filter(None, said), "")[:OPENING]


def transcript(connection: sqlite3.Connection, row: int) -> tuple[Segment, ...]:
    return join(stored_passages(connection, row))


def by_words_spoken(segments: Iterable[Segment]) -> list[str]:
    """The speakers of a transcript, the one who says most first."""
    spoken: Counter[str] = Counter()
    for segment in segments:
        spoken[segment.speaker] += len(segment.text.split())
    return [name for name, _ in spoken.most_common()]


def _packed(connection: sqlite3.Connection, entries: Iterable[int]) -> sqlite3.Cursor:
    kept = "select entry, body from texts where entry in (select value from json_each(?))"
    return connection.execute(kept, (json.dumps(list(entries)),))


def _bodies(
    connection: sqlite3.Connection, row: int, first: int = HEAD, last: int = LAST_PASSAGE
) -> list[tuple[int, bytes]]:
    return connection.execute(
        "select entry, body from texts where entry between ? and ? order by entry",
        (row << ENTRY_BITS | first, row << ENTRY_BITS | last),
    ).fetchall()


def _change(
    connection: sqlite3.Connection, added: Sequence[tuple[int, str]] = (), dropped: Sequence[tuple[int, str]] = ()
) -> None:
    connection.executemany(_DROP, dropped)
    connection.executemany(_ADD, added)
    lexicon.recount(connection, (text for _, text in added), (text for _, text in dropped))


def _replace(connection: sqlite3.Connection, row: int, first: int, entries: list[Entry], *, indexed: bool) -> bool:
    """Keep these from entry `first` on, up to where another kind of entry begins; False when they were there."""
    before = _bodies(connection, row, first, FIRST_PASSAGE - 1 if first < FIRST_PASSAGE else LAST_PASSAGE)
    after = list(enumerate(entries, row << ENTRY_BITS | first))
    if [body for _, body in before] == [entry.body for entry in entries]:
        return False
    if indexed:
        _change(
            connection,
            added=[(number, entry.text) for number, entry in after],
            dropped=[(number, indexed_text(body)) for number, body in before],
        )
    connection.executemany("delete from texts where entry = ?", [(number,) for number, _ in before])
    connection.executemany("insert into texts(entry, body) values (?, ?)", [(n, entry.body) for n, entry in after])
    return True


def _replace_speakers(connection: sqlite3.Connection, row: int, segments: Sequence[Segment]) -> None:
    connection.execute("delete from speaks where row = ?", (row,))
    # Who has a name on this side is found by the API's too.
    called = {name for segment in segments for name in (segment.speaker, segment.label)}
    names = {storable(unaccented(name)) for name in called}
    known = dict(
        connection.execute(
            "select name, speaker from speakers where name in (select value from json_each(?))",
            (json.dumps(list(names)),),
        ).fetchall()
    )
    for name in names - known.keys():
        known[name] = connection.execute("insert into speakers(name) values (?)", (name,)).lastrowid
    connection.executemany(
        "insert into speaks(speaker, row) values (?, ?)", [(speaker, row) for speaker in known.values()]
    )
