"""A conversation as JSON: the fields the Omi API has, so that whatever reads its answers reads these."""

import hashlib
import json
from typing import Any

from omi_mcp.mirror.types import Stored


def record(stored: Stored) -> dict[str, Any]:
    """JSON-ready. `transcript_segments` is null where the transcript is locked, empty where there is none."""
    fields = stored.conversation.model_dump(mode="json")
    for segment in fields["transcript_segments"] or ():
        del segment["id"]  # the copy does not keep it
    return fields | {"starred": stored.starred}


def line(stored: Stored) -> str:
    """One line of a stream."""
    return json.dumps(record(stored), ensure_ascii=False, separators=(",", ":")) + "\n"


def document(stored: Stored) -> str:
    """A file of its own."""
    return json.dumps(record(stored), ensure_ascii=False, indent=2) + "\n"


def fingerprint(stored: Stored) -> str:
    """A hash of everything that is exported."""
    return hashlib.sha256(line(stored).encode()).hexdigest()[:16]
