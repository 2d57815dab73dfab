"""Which accounts are still being copied, and by which machine: where one has died, another goes on."""

from collections.abc import Mapping, Sequence

from omi_mcp import database
from omi_mcp.postgres.connection import EVERY, Postgres

FORGOTTEN_DAYS = 30
"""Accounts that nobody has used for so long are not copied until somebody asks."""


class CopyQueue:
    """The accounts whose copying is not done, by when it is to go on. Raises Away."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def keep(self, accounts: Sequence[str], seconds: float) -> None:
        """They are being copied here: for so long, others leave them alone."""
        await database.run(
            self._execute,
            # One that is being written to has its turn the next time: who waited would keep the others waiting.
            "update libraries set due = clock_timestamp() + %(seconds)s * interval '1 second'"
            " where account = any(%(accounts)s) and account in"
            " (select account from libraries where account = any(%(accounts)s) for update skip locked)",
            {"seconds": seconds, "accounts": list(accounts)},
        )

    async def leave(self, account: str, seconds: float | None) -> None:
        """It is copied here no longer; there is more to copy in `seconds`, or nothing until somebody asks."""
        await database.run(
            self._execute,
            "update libraries set due = clock_timestamp() + %(seconds)s * interval '1 second'"
            " where account = %(account)s",
            {"seconds": seconds, "account": account},
        )

    async def claim(self, most: int, seconds: float) -> list[str]:
        """At most so many that are due, which are this machine's for `seconds`."""
        return await database.run(self._claim, most, seconds)

    def _claim(self, most: int, seconds: float) -> list[str]:
        with self._postgres.transaction(EVERY) as connection:
            rows = connection.execute(
                "update libraries set due = clock_timestamp() + %s * interval '1 second' where account in"
                " (select account from libraries where due <= clock_timestamp()"
                " and used > clock_timestamp() - %s * interval '1 day' order by due limit %s for update skip locked)"
                " returning account",
                (seconds, FORGOTTEN_DAYS, most),
            )
            return [row["account"] for row in rows]

    def _execute(self, statement: str, values: Mapping[str, object]) -> None:
        with self._postgres.transaction(EVERY) as connection:
            connection.execute(statement, values)
