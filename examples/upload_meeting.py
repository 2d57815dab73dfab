"""Save a diarised meeting to Omi, from a program of your own.

    python examples/upload_meeting.py meeting.json --started 2025-03-14T09:30 [--demo]

The file is a list of {"speaker", "text", "start", "end"}, seconds from the start, as most diarisers write it. Running
it again saves nothing twice: the conversation is told by its content. For files of Zoom, Teams, Otter and others, and
for whole folders, `omi-mcp import` does all of this by itself.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import TextContent


async def upload(client: Client, segments: list[dict[str, Any]], started_at: str) -> dict[str, Any]:
    """What the server says of the new conversation: id, status, and a note where something is worth knowing.

    Raises:
        RuntimeError: it was refused, in words that say what to do.
    """
    result = await client.call_tool("create_from_segments", {"segments": segments, "started_at": started_at})
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        raise RuntimeError(text)
    saved: dict[str, Any] = json.loads(text)
    return saved


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--started", required=True)
    parser.add_argument("--demo", action="store_true", help="save to the invented sample library")
    options = parser.parse_args()
    segments = json.loads(options.file.read_text("utf-8"))
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "omi_mcp", *(["--demo"] if options.demo else [])], env=dict(os.environ)
    )
    async with Client(server) as client:
        try:
            saved = await upload(client, segments, options.started)
        except RuntimeError as refusal:
            print(refusal, file=sys.stderr)
            return 1
    print(f"{saved['status']}: {saved['id']}" + (f" ({saved['note']})" if "note" in saved else ""))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
