"""The rule that no statement is sent without an account, and what holds a run of the program to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres_kit import PostgresServer, Sent

EVERY = "*"

COVERED = ("documents", "leases", "libraries", "moves")
"""The tables with rows of accounts."""

OF_THE_QUEUE = (
    "update libraries set due = clock_timestamp() + $1 * interval '1 second' where account in (select account from "
    "libraries where due <= clock_timestamp()",
    "select account, body from documents where kind = 'newest' and body = any($1)",
)
"""How the statements begin that look at all accounts, each in a transaction that names `EVERY`."""

REFERENCE = re.compile(rf"\b(?:from|join|into|update) (?:only )?({'|'.join(COVERED)})\b")
NAMED = re.compile(r"\baccount = (?:any ?\()?(?:\$\d|%s|%\(\w+\)s)|\binto \w+ ?\(account\b")


def touched(statement: str) -> list[str]:
    """The tables with rows of accounts that it asks, each as often as it does."""
    return REFERENCE.findall(" ".join(statement.lower().split()))


def forgets(statement: str) -> bool:
    """Whether it asks such a table more often than it says of whom."""
    words = " ".join(statement.lower().split())
    return len(touched(words)) > len(NAMED.findall(words)) and not written_for_the_queue(words)


def written_for_the_queue(statement: str) -> bool:
    return statement.replace("%s", "$1").startswith(OF_THE_QUEUE)


def is_kept(sent: Sent) -> bool:
    """Whether the rule is: the account is named to row-level security, and in the statement itself."""
    if not touched(sent.statement):
        return True
    if written_for_the_queue(sent.statement):
        return sent.account == EVERY
    return sent.account != "" and not forgets(sent.statement)


@contextmanager
def watched(server: PostgresServer, url: str) -> Iterator[None]:
    """Hold everything to it that the database is sent in this block, by the server's own log."""
    since = server.record(url)
    yield
    assert [sent for sent in server.recorded(url, since) if not is_kept(sent)] == []
