"""One account after the other: what the files have and the database has not, and whether both have the same then."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from omi_mcp.commands.move.installation import Installation, Unusable
from omi_mcp.postgres.moving import (
    OWNED,
    Changed,
    Digest,
    Key,
    KeyTaken,
    Moving,
    Row,
    SignedIn,
    Standing,
    digest,
    row,
)
from omi_mcp.sharing import Document

MOST = 200
MOST_CHARACTERS = 4_000_000
"""Of the documents of one transaction: many small ones, or few large ones."""

TOLD = 50
"""Documents between two words about how far it is."""

Obstacle = Literal["used", "forgotten", "key taken", "unusable", "left"]
"""Why an account could not be moved: machines have written what the files have not; it was forgotten in the database;
somebody signed in there with the same key; a file cannot be read; it is in the database and not in the files any more,
and machines have written."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Side:
    """How many there are of a kind, and one digest of them all."""

    count: int
    digest: str


@dataclass(frozen=True)
class Moved:
    """What became of an account: in `kinds` both sides of each kind, the files' first."""

    account: str
    obstacle: Obstacle | None = None
    detail: str = ""
    written: int = 0
    kinds: Mapping[str, tuple[Side, Side]] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        return self.obstacle is None and all(files == there for files, there in self.kinds.values())


class Mover:
    """`overwrite`: what the files have is right, whatever machines have written since."""

    def __init__(self, installation: Installation, database: Moving, *, overwrite: bool) -> None:
        self._installation = installation
        self._database = database
        self._overwrite = overwrite

    def hosts(self) -> tuple[Side, Side]:
        """Have the database know the hosts of the files; it may know more of one by now."""
        hosts = sorted(row(each, "hosts") for each in self._installation.rows("hosts"))
        self._database.keep_hosts(hosts)
        there = self._database.hosts([each[0] for each in hosts])
        ids = [[each[0] for each in side] for side in (hosts, there)]
        return _side(ids[0]), _side(ids[1])

    def account(self, account: str, told: Progress) -> Moved:
        """Move one that the files have. `told` is called with the number of documents that are done."""
        try:
            return self._moved(account, told)
        except KeyTaken:
            return Moved(account, "key taken")
        except Changed:
            return Moved(account, "used")
        except Unusable as error:
            return Moved(account, "unusable", str(error))

    def gone(self, known: Sequence[str], source: str) -> list[Moved]:
        """Forget in the database who was moved there from this folder, and is forgotten in it since."""
        results = []
        for account in sorted(set(self._database.accounts()) - set(known)):
            standing = self._database.standing(account)
            if standing.source != source:
                continue
            if standing.is_ours or self._overwrite:
                with suppress(Changed):
                    self._database.forget(account, standing)
                    results.append(Moved(account))
                    continue
            results.append(Moved(account, "left"))
        return results

    def _moved(self, account: str, told: Progress) -> Moved:
        rows = self._rows(account)
        standing = self._database.standing(account)
        if standing.forgotten and not self._overwrite:
            return Moved(account, "forgotten")
        if not (standing.is_ours or self._overwrite):
            return self._looked_at(account, rows, standing, told)
        change = standing.change
        if standing.signed_in != rows or not standing.is_ours or standing.moved is None:
            used = float(rows["accounts"][0][6])
            change = self._database.sign_in(account, rows, standing, used)
        writing = _Writing(self._database, account, change, self._database.digests(account))
        files: dict[Key, Digest] = {}
        for number, document in enumerate(self._installation.documents(account)):
            files[document.kind, document.id] = digest(document)
            writing.have(document, files[document.kind, document.id])
            if number % TOLD == 0:
                told(number)
        writing.end()
        return self._compared(account, rows, files, writing.written)

    def _looked_at(self, account: str, rows: SignedIn, standing: Standing, told: Progress) -> Moved:
        """Machines have written; where that comes to what the files have, all is well."""
        if standing.signed_in == rows:
            files = {(each.kind, each.id): digest(each) for each in self._installation.documents(account)}
            compared = self._compared(account, rows, files, 0)
            if compared.is_equal:
                return compared
        return Moved(account, "used")

    def _rows(self, account: str) -> SignedIn:
        return {
            table: sorted(row(each, table) for each in self._installation.rows(table, owned, account))
            for table, owned in OWNED.items()
        }

    def _compared(self, account: str, rows: SignedIn, files: Mapping[Key, Digest], written: int) -> Moved:
        there = self._database.standing(account).signed_in or {table: [] for table in OWNED}
        kinds = {table: (_side(rows[table]), _side(there[table])) for table in OWNED}
        ours, theirs = _by_kind(files), _by_kind(self._database.digests(account))
        for kind in sorted(ours.keys() | theirs.keys()):
            kinds[kind] = _side(sorted(ours[kind])), _side(sorted(theirs[kind]))
        return Moved(account, written=written, kinds=kinds)


class _Writing:
    """Writes what is not `there` yet, in transactions that are neither long nor many."""

    def __init__(self, database: Moving, account: str, change: int, there: dict[Key, Digest]) -> None:
        self.written = 0
        self._database = database
        self._account = account
        self._change = change
        self._there = there
        self._waiting: list[Document] = []
        self._characters = 0

    def have(self, document: Document, of: Digest) -> None:
        if self._there.pop((document.kind, document.id), None) == of:
            return
        self._add(document)

    def end(self) -> None:
        """What is there and was not named is gone."""
        for kind, document_id in self._there:
            self._add(Document(kind, document_id, None, None, has_text=True))
        self._write()

    def _add(self, document: Document) -> None:
        self._waiting.append(document)
        self._characters += len(document.body or "") + len(document.text or "")
        if len(self._waiting) >= MOST or self._characters >= MOST_CHARACTERS:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._change = self._database.keep(self._account, self._waiting, self._change)
            self.written += len(self._waiting)
            self._waiting, self._characters = [], 0


def _by_kind(digests: Mapping[Key, Digest]) -> defaultdict[str, list[tuple[str, bytes]]]:
    """What is to be equal, transcripts as a kind of their own."""
    kinds: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for (kind, document_id), (body, text) in digests.items():
        kinds[kind].append((document_id, body))
        if text is not None:
            kinds["transcripts"].append((document_id, text))
    return kinds


def _side(members: Sequence[Row | tuple[str, bytes] | str]) -> Side:
    hashed = hashlib.sha256()
    for each in members:
        hashed.update(repr(each).encode())
    return Side(len(members), hashed.hexdigest())
