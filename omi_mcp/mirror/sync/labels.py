"""What conversations do not say themselves: which are starred, and which folders there are.

OMI API: `starred` is never returned, only filtered by; folders have a route of their own.
"""

from datetime import datetime, timedelta

from omi_mcp import database
from omi_mcp.api.client import LIST_LIMIT, OmiClient, Page
from omi_mcp.api.models import Folder
from omi_mcp.clock import Clock
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.sync.paging import Position, advance
from omi_mcp.mirror.sync.state import LONG_AGO, Labels

FRESH = timedelta(days=1)
"""How long they are taken to be as they were."""


class LabelReader:
    """One request at a time. Methods that are not async block."""

    def __init__(self, client: OmiClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock

    def demand(self) -> None:
        """Have both read again."""
        Labels().save(self._store)

    def known(self) -> bool:
        """Whether both have been read."""
        labels = Labels.load(self._store)
        return bool(labels.folders and labels.stars)

    def due(self) -> datetime:
        """When to read them again."""
        labels = Labels.load(self._store)
        return min(labels.folders or LONG_AGO, labels.stars or LONG_AGO) + FRESH

    async def step(self) -> None:
        """Read the older of the two; of the stars, one page.

        Raises:
            OmiError: the API cannot be asked.
        """
        labels = await database.run(Labels.load, self._store)
        if labels.position or (labels.folders or LONG_AGO) > (labels.stars or LONG_AGO):
            await self._read_stars(labels)
        else:
            folders = await self._client.folders(background=True)
            await database.run(self._keep_folders, folders)

    async def _read_stars(self, labels: Labels) -> None:
        position = labels.position or Position()
        asked = self._clock.now()
        page = await self._client.list_conversations(
            offset=position.offset, end=position.end, starred=True, background=True
        )
        await database.run(self._keep_stars, labels, page, asked)

    def _keep_folders(self, folders: tuple[Folder, ...]) -> None:
        self._store.replace_folders(folders)
        labels = Labels.load(self._store)
        labels.model_copy(update={"folders": self._clock.now()}).save(self._store)

    def _keep_stars(self, labels: Labels, page: Page, asked: datetime) -> None:
        self._store.upsert(page.conversations, asked=asked)
        starred = {*labels.starred, *(conversation.id for conversation in page.conversations)}
        position, _ = advance(labels.position or Position(), page, patience=1)
        # A page that is not full is taken for the last: a star missed among dropped rows is not worth a request a day.
        if position is None or page.received < LIST_LIMIT:
            self._store.set_starred(starred)
            labels = labels.model_copy(update={"stars": self._clock.now(), "position": None, "starred": ()})
        else:
            labels = labels.model_copy(update={"position": position, "starred": tuple(sorted(starred))})
        labels.save(self._store)
