"""A mirrored conversation as all machines of an account have it: the same number, the same state, the same words."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from omi_mcp.api.models import Conversation, Segment
from omi_mcp.mirror.index import fts, lexicon
from omi_mcp.mirror.names import applied, given_in
from omi_mcp.mirror.rows import find, find_all, remove, resolve, set_transcript, with_items, write
from omi_mcp.mirror.types import TranscriptState
from omi_mcp.sharing import Document

_SEGMENTS = TypeAdapter(list[Segment])


class SharedConversations:
    """The id of a document is the conversation's. Its text is the transcript, without the names given on this side:
    these are documents of their own. Made anew from them are the index and what else can be made of them."""

    kind = "conversations"

    def __init__(self, *, named: bool) -> None:
        """`named`: the names given on this side are in the same file."""
        self._named = named

    def watch(self) -> Iterator[str]:
        # Each look tells a hundred times when it was; nobody elsewhere needs that.
        told = ("fingerprint", "hidden", "starred", "transcript")
        differs = " or ".join(f"old.{column} is not new.{column}" for column in told)
        for event, when, row, text in (
            ("insert", "", "new", 1),
            ("update", f" when {differs}", "new", 0),
            ("update of speakers", "", "new", 1),
            ("delete", "", "old", 0),
        ):
            yield (
                f"create temp trigger if not exists conversations_{event.replace(' ', '_')} after {event}"
                f" on main.conversations{when} begin insert into outbox values ('conversations', {row}.id, {text}); end"
            )

    def ids(self, connection: sqlite3.Connection) -> Iterator[str]:
        for (conversation_id,) in connection.execute("select id from conversations order by row"):
            yield conversation_id

    def document(self, connection: sqlite3.Connection, row_id: str, *, with_text: bool) -> Document:
        row = find(connection, row_id)
        if row is None:
            return Document(self.kind, row_id, None, None, has_text=True)
        body = {name: row[name] for name in ("row", "synced", "hidden", "starred", "transcript")}
        body["light"] = json.loads(row["light"])
        text = None
        if with_text and row["transcript"] == "stored":
            segments = fts.transcript(connection, row["row"])
            text = json.dumps(
                [each.model_dump(mode="json", exclude={"local_name"}, exclude_defaults=True) for each in segments]
            )
        return Document(self.kind, row_id, json.dumps(body), text, has_text=with_text)

    def take(self, connection: sqlite3.Connection, batch: Mapping[str, Sequence[Document]]) -> None:
        with lexicon.gathering(connection):
            self._take(connection, batch)

    def _take(self, connection: sqlite3.Connection, batch: Mapping[str, Sequence[Document]]) -> None:
        for document in batch.get(self.kind, ()):
            told = None if document.body is None else json.loads(document.body)
            before = _cleared(connection, document.id, told and told["row"])
            if told is not None:
                self._write(connection, before, told, document)
        for document in batch.get("speaker_names", ()):
            (conversation_id,) = json.loads(document.id)
            row = find(connection, conversation_id)
            if row is not None:
                segments = fts.transcript(connection, row["row"])
                self._say(connection, row, segments, row["transcript"], indexed=not row["hidden"])
        told = [json.loads(document.body) for document in batch.get("listed_items", ()) if document.body is not None]
        for row in find_all(connection, {item["conversation"] for item in told} - {None}):
            resolve(connection, row)

    def _write(
        self, connection: sqlite3.Connection, before: sqlite3.Row | None, told: dict[str, Any], document: Document
    ) -> None:
        conversation = Conversation.model_validate(told["light"])
        row = write(connection, conversation, told["synced"], number=told["row"])
        hidden = bool(told["hidden"])
        indexed = not hidden if before is None else not before["hidden"]
        if indexed and hidden:
            fts.drop(connection, row["row"])
            indexed = False
        fts.replace_written(connection, row["row"], with_items(conversation, row["action_items"]), indexed=indexed)
        if told["transcript"] != "stored":
            set_transcript(connection, row, (), told["transcript"], indexed=indexed)
        elif document.has_text:
            segments = _SEGMENTS.validate_json(document.text or "[]")
            self._say(connection, row, segments, "stored", indexed=indexed)
        if not (hidden or indexed):
            fts.add(connection, row["row"])
        if hidden or told["starred"] != row["starred"]:
            connection.execute(
                "update conversations set hidden = ?, starred = ? where row = ?", (hidden, told["starred"], row["row"])
            )

    def _say(
        self,
        connection: sqlite3.Connection,
        row: sqlite3.Row,
        segments: Sequence[Segment],
        state: TranscriptState,
        *,
        indexed: bool,
    ) -> None:
        """Have this transcript, its speakers called by the names given on this side."""
        names = given_in(connection, [row["id"]]).get(row["id"], {}) if self._named else {}
        set_transcript(connection, row, list(applied(segments, names)), state, indexed=indexed)


def _cleared(connection: sqlite3.Connection, conversation_id: str, number: int | None) -> sqlite3.Row | None:
    """The row of a conversation, where it has this number; whatever else has the one or the other is gone."""
    kept = None
    either = "select * from conversations where id = ? or row = ?"
    for row in connection.execute(either, (conversation_id, number)).fetchall():
        if (row["id"], row["row"]) == (conversation_id, number):
            kept = row
        else:
            # A number may have become another's, and who was gone for a while has come back with another.
            remove(connection, row)
    return kept
