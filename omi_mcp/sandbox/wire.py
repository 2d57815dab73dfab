"""What goes over the wire: moments, answers and refusals in the exact shapes of the Omi Developer API."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CATEGORIES: tuple[str, ...] = (
    "personal", "education", "health", "finance", "legal", "philosophy", "spiritual", "science",
    "entrepreneurship", "parenting", "romantic", "travel", "inspiration", "technology", "business", "social",
    "work", "sports", "politics", "literature", "history", "architecture", "music", "weather", "news",
    "entertainment", "psychology", "real", "design", "family", "economics", "environment", "other",
)  # fmt: skip
"""OMI API: the 33 values of its category enum."""


class Refusal(Exception):
    """The request ends here with `status` and `{"detail": detail}`: a string, an object or a list."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers


class Crash(Exception):
    """The service fails as it does on an exception nobody handles: 500, text/plain."""


def aware(moment: datetime) -> datetime:
    """OMI API: a moment without an offset is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Since the epoch; the precision that `created_at` sorts and filters with."""
    return (aware(moment) - _EPOCH) // timedelta(microseconds=1)


def format_moment(moment: datetime) -> str:
    """`2025-01-06T09:00:00Z`, a fraction only where it is not zero, no suffix on a stored naive moment."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
