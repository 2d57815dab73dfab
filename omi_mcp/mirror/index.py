"""The full-text index and the transcripts in it: entries come and go with the text they were made of.

Rows go in one by one: a statement that writes several needs a savepoint, at which FTS5 writes out what it gathered.

Entry `n` of the conversation with the integer key `row` has the rowid `row << 12 | n`: 0 is its head, 1 are its action
items, the others are its passages. FTS5 keeps no text of its own, so an entry is taken out by handing it the same text
again.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set

from omi_mcp.api.models import Conversation, Segment
from omi_mcp.mirror import lexicon
from omi_mcp.mirror.passages import Passage, head_text, items_text, join, pack, passage_text, split, unpack
from omi_mcp.mirror.words import TOKENIZER, bare

ENTRY_BITS = 12
HEAD, ITEMS, FIRST_PASSAGE = range(3)

VERSION = 3
"""Of the text that is indexed of a conversation. An index of another version has to be made anew."""

SCHEMA = f"""
    create virtual table if not exists entries using fts5(text, content='', tokenize="{TOKENIZER}");
    create table if not exists passages(entry integer primary key, body blob not null);
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


def add(connection: sqlite3.Connection, row: int, conversation: Conversation) -> None:
    """Make a conversation findable: its head, and the transcript that is stored."""
    _add(connection, list(_texts(connection, row, conversation)))


def drop(connection: sqlite3.Connection, row: int, conversation: Conversation) -> None:
    """Undo `add`; `conversation` is the light row as it was indexed."""
    connection.executemany(_DROP, list(_texts(connection, row, conversation)))


def clear(connection: sqlite3.Connection) -> None:
    connection.execute("insert into entries(entries) values ('delete-all')")


def replace_head(connection: sqlite3.Connection, row: int, before: Conversation, after: Conversation) -> None:
    old, new = dict(_written(row, before)), dict(_written(row, after))
    if old != new:
        connection.executemany(_DROP, list(old.items()))
        _add(connection, list(new.items()))


def replace_transcript(connection: sqlite3.Connection, row: int, segments: Sequence[Segment], *, indexed: bool) -> bool:
    """Store a transcript in place of the one there; False when it is the same. `indexed`: the row is findable."""
    fresh = list(split(segments))
    before = list(_bodies(connection, row))
    after = [pack(passage) for passage in fresh]
    if before == after:
        return False
    first = (row << ENTRY_BITS) + FIRST_PASSAGE
    if indexed:
        connection.executemany(_DROP, [(entry, passage_text(unpack(body))) for entry, body in enumerate(before, first)])
        _add(connection, [(entry, passage_text(passage)) for entry, passage in enumerate(fresh, first)])
    connection.execute("delete from passages where entry between ? and ?", (first, first + len(before) - 1))
    connection.executemany("insert into passages(entry, body) values (?, ?)", enumerate(after, first))
    _replace_speakers(connection, row, segments)
    return True


def texts(connection: sqlite3.Connection, entries: Set[int]) -> Iterator[tuple[int, str]]:
    """The indexed text of these entries, in no order."""
    wanted = json.dumps(list(entries))
    for entry, body in connection.execute(
        "select entry, body from passages where entry in (select value from json_each(?))", (wanted,)
    ):
        yield entry, passage_text(unpack(body))
    for row, light in connection.execute(
        f"select row, light from conversations where row in (select value >> {ENTRY_BITS} from json_each(:entries)"
        f" where value & {(1 << ENTRY_BITS) - 1} < {FIRST_PASSAGE})",
        {"entries": wanted},
    ):
        written = _written(row, Conversation.model_validate(json.loads(light)))
        yield from ((entry, text) for entry, text in written if entry in entries)


def passages(connection: sqlite3.Connection, entries: Iterable[int]) -> Iterator[Passage]:
    """These passages, in the order of `entries`."""
    for entry in entries:
        (body,) = connection.execute("select body from passages where entry = ?", (entry,)).fetchone()
        yield unpack(body)


def stored_passages(connection: sqlite3.Connection, row: int) -> Iterator[Passage]:
    """The passages of a conversation, in order."""
    return map(unpack, _bodies(connection, row))


def transcript(connection: sqlite3.Connection, row: int) -> tuple[Segment, ...]:
    return join(stored_passages(connection, row))


def by_words_spoken(segments: Iterable[Segment]) -> list[str]:
    """The speakers of a transcript, the one who says most first."""
    spoken: Counter[str] = Counter()
    for segment in segments:
        spoken[segment.speaker] += len(segment.text.split())
    return [name for name, _ in spoken.most_common()]


def _add(connection: sqlite3.Connection, texts: Sequence[tuple[int, str]]) -> None:
    connection.executemany(_ADD, texts)
    lexicon.learn(connection, (text for _, text in texts))


def _bodies(connection: sqlite3.Connection, row: int) -> Iterator[bytes]:
    first = row << ENTRY_BITS
    for (body,) in connection.execute(
        "select body from passages where entry > ? and entry < ? order by entry", (first, first + (1 << ENTRY_BITS))
    ):
        yield body


def _texts(connection: sqlite3.Connection, row: int, conversation: Conversation) -> Iterator[tuple[int, str]]:
    yield from _written(row, conversation)
    for entry, passage in enumerate(stored_passages(connection, row), (row << ENTRY_BITS) + FIRST_PASSAGE):
        yield entry, passage_text(passage)


def _written(row: int, conversation: Conversation) -> Iterator[tuple[int, str]]:
    """The entries of what the service wrote."""
    yield (row << ENTRY_BITS) + HEAD, head_text(conversation)
    if items := items_text(conversation):
        yield (row << ENTRY_BITS) + ITEMS, items


def _replace_speakers(connection: sqlite3.Connection, row: int, segments: Sequence[Segment]) -> None:
    connection.execute("delete from speaks where row = ?", (row,))
    for name in {bare(name) for name in {segment.speaker for segment in segments}}:
        connection.execute("insert or ignore into speakers(name) values (?)", (name,))
        (speaker,) = connection.execute("select speaker from speakers where name = ?", (name,)).fetchone()
        connection.execute("insert into speaks(speaker, row) values (?, ?)", (speaker, row))
