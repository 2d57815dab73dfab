"""Whether a key works at an address: asked before either is kept, and by who looks for what is wrong."""

from typing import TYPE_CHECKING

import anyio

from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import AnswerLost
from omi_mcp.clock import Clock

if TYPE_CHECKING:
    import httpx

PROBE_SECONDS = 20.0


async def probe(
    base_url: str, api_key: str, clock: Clock, transport: "httpx.AsyncBaseTransport | None" = None
) -> tuple[str, ...] | None:
    """What the key may do, e.g. `conversations:read`; None where this API does not tell, but lists conversations.

    Costs one read of the hour where the API tells, else two.

    Raises:
        OmiError: the key or the address does not work, or they cannot be tried now.
    """
    client = OmiClient(base_url, api_key, clock=clock, transport=transport)
    try:
        with anyio.fail_after(PROBE_SECONDS):
            return await client.check()
    except TimeoutError:
        raise AnswerLost("the Omi API did not answer in time") from None
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()
