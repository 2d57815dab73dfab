"""The PostgreSQL of a run: the tests' own, but it keeps what it said it kept, and counts its statements."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.postgres_kit import PostgresServer

SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "shared_preload_libraries": "pg_stat_statements",
}
TABLES = ("documents", "libraries", "leases", "accounts", "grants", "tokens")


class Postgres(PostgresServer):
    """`url` is of a database with all tables and nothing in them."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in SETTINGS.items():
            self.ask(f"alter system set {name} = '{value}'")
        self.restart()
        self.ask("create extension pg_stat_statements")
        self.address = self.fresh_database()
        self.name = self.address.rpartition("/")[2]

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def counts(self) -> dict[str, float]:
        """Statements that are no begin or end of a transaction, transactions, and bytes of the log, since the start."""
        (statements,) = self.ask(
            "select coalesce(sum(calls), 0) as n from pg_stat_statements s join pg_database d on d.oid = s.dbid "
            f"where datname = '{self.name}' and query !~* '^(begin|commit|rollback|discard)'"
        )
        (database,) = self.ask(
            f"select xact_commit + xact_rollback as n from pg_stat_database where datname = '{self.name}'"
        )
        (log,) = self.ask("select wal_bytes as n from pg_stat_wal")
        counted = {"statements": statements, "transactions": database, "wal_bytes": log}
        return {name: float(str(row["n"])) for name, row in counted.items()}

    def sizes(self) -> dict[str, float]:
        """Bytes of each table with its parts and indexes, of all indexes among them, and rows of the documents."""
        sizes: dict[str, float] = {}
        for table in TABLES:
            (row,) = self.ask(
                "select coalesce(sum(pg_total_relation_size(relid)), 0) as size, "
                f"coalesce(sum(pg_indexes_size(relid)), 0) as indexes from pg_partition_tree('{table}')",
                self.name,
            )
            sizes[table] = float(str(row["size"])) or self._size(table)
            sizes["indexes"] = sizes.get("indexes", 0) + float(str(row["indexes"]))
        (rows,) = self.ask("select count(*) as n from documents", self.name)
        return {**sizes, "rows": float(str(rows["n"]))}

    def _size(self, table: str) -> float:
        (row,) = self.ask(f"select pg_total_relation_size('{table}') as n", self.name)
        return float(str(row["n"]))

    def ledgers(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What each account is believed to have spent of each allowance."""
        rows = self.ask("select account, body from documents where kind = 'allowances' and body is not null", self.name)
        told = [(str(row["account"]), json.loads(str(row["body"]))) for row in rows]
        return {(account, body["bucket"]): body for account, body in told}

    def remember(self, account: str) -> None:
        """Note what there is of an account, for `copy_account`."""
        self.ask("create table if not exists noted as select * from documents with no data", self.name)
        self.ask(f"insert into noted select * from documents where account = '{account}'", self.name)

    def copy_account(self, source: str, words: str, account: str, own: str) -> None:
        """Let `account` have what `source` had when it was remembered, with `own` in place of its `words`."""
        self.ask(
            "insert into libraries (account, change, used) "
            f"select '{account}', max(change), now() from noted where account = '{source}'",
            self.name,
        )
        self.ask(
            "insert into documents (account, kind, id, change, body, text, text_change) "
            f"select '{account}', kind, replace(id, '{words}', '{own}'), change, replace(body, '{words}', '{own}'), "
            f"replace(text, '{words}', '{own}'), text_change from noted where account = '{source}'",
            self.name,
        )

    def costliest(self, most: int = 12) -> list[Mapping[str, Any]]:
        """The statements that took most of its time."""
        return self.ask(
            "select calls, round(total_exec_time::numeric / 1000, 1) as seconds, "
            "round(mean_exec_time::numeric, 2) as ms, left(regexp_replace(query, '\\s+', ' ', 'g'), 110) as query "
            f"from pg_stat_statements s join pg_database d on d.oid = s.dbid where datname = '{self.name}' "
            f"order by total_exec_time desc limit {most}"
        )

    def log(self) -> Path:
        return self._folder / "log"
