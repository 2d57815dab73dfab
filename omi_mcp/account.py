"""What it takes to work with one account: its database, its client, and all that is built on these two."""

from dataclasses import dataclass
from typing import Self

import httpx

from omi_mcp import database
from omi_mcp.api.budget import Budget
from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.mirror.index import SearchUnavailable
from omi_mcp.mirror.names import SpeakerNames
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync import Scheduler
from omi_mcp.mirror.write_through import WriteThrough
from omi_mcp.settings import Settings
from omi_mcp.writes import Imported, Journal, Writer


@dataclass(frozen=True)
class Account:
    """The account of the key in the settings, opened in this process.

    `database` is the mirror's, which may be lost; `lasting` keeps what nobody could give again.
    """

    database: Database
    lasting: Database
    store: Store
    budget: Budget
    client: OmiClient
    sync: Scheduler
    write_through: WriteThrough
    names: SpeakerNames
    imported: Imported
    writer: Writer

    @classmethod
    def open(cls, settings: Settings, clock: Clock, transport: httpx.AsyncBaseTransport | None) -> Self:
        """Open the mirror's file; nothing is asked of the API. Blocks.

        Raises:
            InvalidRequest: this Python cannot search text.
        """
        opened = Database(settings.mirror_path)
        lasting = Database(settings.account_path, what="the file of this account's names", lazy=True)
        names = SpeakerNames(lasting, clock)
        try:
            store = Store(opened, clock, names)
        except SearchUnavailable as error:
            opened.close()
            lasting.close()
            raise InvalidRequest("environment", str(error)) from None
        budget = Budget(opened, clock)
        client = OmiClient(settings.base_url, settings.api_key, clock=clock, budget=budget, transport=transport)
        journal = Journal(opened, clock)
        return cls(
            database=opened,
            lasting=lasting,
            store=store,
            budget=budget,
            client=client,
            sync=Scheduler(client, store, budget, clock),
            write_through=WriteThrough(store, names, clock),
            names=names,
            imported=Imported(opened),
            writer=Writer(client, journal, clock),
        )

    async def close(self) -> None:
        await self.client.aclose()
        await database.run(self.database.close)
        await database.run(self.lasting.close)
