"""Search for those who want no copy: titles and summaries, listed for each search anew and forgotten after it."""

from datetime import timedelta

from omi_mcp import database
from omi_mcp.api.client import LIST_LIMIT, OmiClient
from omi_mcp.api.errors import BudgetSpent, RateLimited
from omi_mcp.clock import Clock
from omi_mcp.database import Database
from omi_mcp.mirror.search.engine import reach, search
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Counts, Filters, Obstacle, Progress, Results

MOST_PAGES = 10
"""How many list pages (100 conversations each) one search may ask for."""

PAGING = timedelta(seconds=20)
"""No further page is asked for after so long: someone is waiting for the answer."""

WARNING = "nothing is copied (OMI_MCP_MIRROR=off), so what was said is never searched"


async def search_listed(
    client: OmiClient, clock: Clock, text: str, filters: Filters, *, limit: int, offset: int
) -> tuple[Results, Counts, Progress]:
    """Rank what the list pages bring that the read allowance permits.

    Raises:
        OmiError: not even the first page can be had.
    """
    passing = Store(Database(None), clock)
    try:
        progress = await _list_into(passing, client, clock, filters)
        results = await database.run(lambda: search(passing, text, filters, limit=limit, offset=offset))
        return results, await database.run(reach, passing, filters), progress
    finally:
        await database.run(passing.database.close)


async def _list_into(store: Store, client: OmiClient, clock: Clock, filters: Filters) -> Progress:
    complete, retry_at, oldest, listed = False, None, None, 0
    blocked: Obstacle | None = None
    began = clock.now()
    for page_number in range(MOST_PAGES):
        if clock.now() - began > PAGING:
            blocked = "failing"
            break
        try:
            page = await client.list_conversations(
                offset=page_number * LIST_LIMIT,
                categories=filters.categories,
                folder_id=filters.folder_id,
                starred=filters.starred,
                background=page_number > 0,
            )
        except (BudgetSpent, RateLimited) as error:
            if page_number == 0:
                raise
            blocked = "reserved"
            retry_at = clock.now() + timedelta(seconds=error.retry_after) if error.retry_after else None
            break
        await database.run(store.upsert, page.conversations)
        listed += len(page.conversations)
        oldest = min((each.created_at for each in page.conversations), default=oldest)
        if page.received == 0:
            complete = True
            break
    return Progress(
        phase="idle",
        conversations=listed,
        oldest=oldest,
        complete=complete,
        synced=clock.now(),
        blocked=blocked,
        retry_at=retry_at,
        compared=clock.now(),
        overdue=False,
        warning=WARNING,
    )
