"""What the sandbox's tests share: a clock that stands still, a client, and conversations to load."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from omi_mcp.sandbox import Sandbox

CONVERSATIONS = "/v1/dev/user/conversations"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


def client_of(sandbox: Sandbox, key: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=sandbox.transport(),
        base_url=sandbox.base_url,
        headers={"Authorization": f"Bearer {key or sandbox.key}"},
    )


def plain(conversation_id: str, started_at: str = "2026-03-01T09:00:00Z", **fields: Any) -> dict[str, Any]:
    """One conversation of two short segments."""
    segments = [
        {"speaker": "Maya", "text": "Shall we raise the price in May?", "start": 0, "end": 3.5},
        {"speaker": "SPEAKER_07", "text": "Yes, to twelve euros.", "start": 3.5, "end": 6, "is_user": False},
    ]
    return {"id": conversation_id, "started_at": started_at, "segments": segments, **fields}


def spoken(text: str = "We agreed to raise the price in May.", start: float = 0, end: float = 5, **fields: Any) -> Any:
    return {"text": text, "start": start, "end": end, **fields}
