"""What the evaluation is about: the sample library, meetings from a folder, and two invented years around them."""

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from benchmarks.assistants import invented
from omi_mcp.sandbox import PlainLine, SpokenLine

ZONE = ZoneInfo("Europe/Berlin")
TODAY = datetime(2026, 3, 4, 18, 0, tzinfo=ZONE)
"""A Wednesday. The sample library is dated relative to it, and the invented years end on it."""

USER = "Maya"


def id_of(name: str) -> str:
    """The id of an invented conversation, or of a meeting, by the name it has in tasks and folders."""
    return str(uuid5(NAMESPACE_URL, name))


def own() -> list[dict[str, Any]]:
    """The invented conversations, as the sandbox loads them; the same ones every time."""
    return [line | {"id": id_of(line["id"])} for line in invented.conversations(ZONE)]


def meetings(folder: Path) -> Iterator[dict[str, Any]]:
    """Those of `conversations.jsonl` or `.jsonl.gz` in `folder`, with fields the sandbox does not know left out."""
    packed = folder / "conversations.jsonl.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "conversations.jsonl").read_bytes()
    for line in map(json.loads, filter(bytes.strip, raw.split(b"\n"))):
        kept = {name: value for name, value in line.items() if name in PlainLine.model_fields}
        spoken = [{name: each[name] for name in SpokenLine.model_fields if name in each} for each in line["segments"]]
        yield kept | {"id": id_of(line["id"]), "segments": spoken}
