"""A conversation as JSON: the fields the Omi API has, so that whatever reads its answers reads these.

Names given on this side stand where the API's would, and `local_names` says whose they are.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from omi_mcp.api.models import Segment
from omi_mcp.mirror.types import Names, Stored


def record(stored: Stored) -> dict[str, Any]:
    """JSON-ready. `transcript_segments` is null where the transcript is locked, empty where there is none."""
    fields = stored.conversation.model_dump(mode="json")
    for segment in fields["transcript_segments"] or ():
        del segment["id"]  # the copy does not keep it
        segment["speaker_name"] = segment.pop("local_name") or segment["speaker_name"]
    names = local_names(stored.conversation.transcript_segments or ())
    return fields | {"starred": stored.starred} | ({"local_names": names} if names else {})


def local_names(segments: Iterable[Segment]) -> Names:
    """The names given on this side, by what the API calls each speaker."""
    return {segment.label: segment.local_name for segment in segments if segment.local_name}


def json_line(stored: Stored) -> str:
    """One line of a stream."""
    return json.dumps(record(stored), ensure_ascii=False, separators=(",", ":")) + "\n"


def json_document(stored: Stored) -> str:
    """A file of its own."""
    return json.dumps(record(stored), ensure_ascii=False, indent=2) + "\n"


def fingerprint(stored: Stored) -> str:
    """A hash of everything that is exported."""
    return hashlib.sha256(json_line(stored).encode()).hexdigest()[:16]
