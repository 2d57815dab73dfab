"""Names for files: readable, valid on every system, and the same on every run."""

import hashlib
import re
import unicodedata
from datetime import tzinfo

from omi_mcp import dates
from omi_mcp.api.models import Conversation

LONGEST_TITLE = 80
"""Bytes. Most file systems take 255 for a whole name."""

KEY = re.compile(r"-([0-9a-f]{12})\Z")

_NOT_IN_NAMES = re.compile(r"[\W_]+")


def key(conversation_id: str) -> str:
    """What ends the name of a conversation's file, and tells it from all others: never changes."""
    return hashlib.sha256(conversation_id.encode()).hexdigest()[:12]


def stem(conversation: Conversation, zone: tzinfo) -> str:
    """The name without its ending: 2025-03-14-0930-pricing-with-ana-4f1c2b9d8e7a.

    Letters, digits and hyphens only, beginning with a digit: nothing in it is special to any system.
    """
    title = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", conversation.structured.title.casefold()))
    short = title.encode()[:LONGEST_TITLE].decode(errors="ignore").strip("-")
    began = dates.local(conversation.began, zone)
    return "-".join(filter(None, (f"{began:%Y-%m-%d-%H%M}", short, key(conversation.id))))
