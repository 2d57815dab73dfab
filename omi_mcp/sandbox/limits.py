"""The hourly allowances of a key: fixed windows, counted per policy, told only when they are spent."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from omi_mcp.sandbox.wire import Refusal

WINDOW = timedelta(hours=1)

POLICIES: dict[str, int] = {
    "dev:conversation_reads_total": 60,
    "dev:conversations_read": 60,
    "dev:conversation_detail_read": 60,
    "dev:conversation_transcript_read": 25,
    "dev:conversations": 25,
}
"""OMI API: requests an hour and key, before any boost an operator sets."""


@dataclass
class _Window:
    opened: datetime
    spent: int = 0


class Limiter:
    """Counts what each key spends. A window opens with its first request and closes an hour later.

    OMI API: an operator can multiply all allowances by one factor, `boost`.
    """

    def __init__(self, now: Callable[[], datetime], *, enabled: bool, boost: int = 1) -> None:
        self._now = now
        self._enabled = enabled
        self._boost = boost
        self._windows: dict[tuple[str, str], _Window] = {}

    def spend(self, key: str, policy: str) -> None:
        """Take one request from the allowance, or refuse with 429 when there is none left."""
        if not self._enabled:
            return
        now = self._now()
        window = self._windows.get((key, policy))
        if window is None or now >= window.opened + WINDOW:
            window = self._windows[key, policy] = _Window(now)
        limit = POLICIES[policy] * self._boost
        if window.spent >= limit:
            wait = math.ceil((window.opened + WINDOW - now).total_seconds())
            raise Refusal(
                429,
                f"Rate limit exceeded. Try again in {wait}s.",
                {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0", "Retry-After": str(wait)},
            )
        window.spent += 1
