"""What a host is told about the tools: any change is seen, and the whole stays cheap to read.

After a wanted change, write the snapshot anew: `UPDATE_DEFINITIONS=1 python -m pytest tests/server/test_definitions.py`
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hosting import Connect

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).parent.parent / "data" / "tool_definitions.json"

LISTING_LIMIT = 16_000
"""Characters of the whole `tools/list`: every session of every host pays for them."""


async def definitions(connect: Connect) -> dict[str, Any]:
    async with connect() as client:
        tools = (await client.list_tools()).tools
        return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}


async def test_the_definitions_are_those_of_the_snapshot(connect: Connect) -> None:
    found = json.dumps(await definitions(connect), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DEFINITIONS"):
        SNAPSHOT.write_text(found, "utf-8")
    assert found == SNAPSHOT.read_text("utf-8")


async def test_the_listing_stays_within_its_budget(connect: Connect) -> None:
    tools = list((await definitions(connect)).values())
    assert len(json.dumps(tools, ensure_ascii=False, separators=(",", ":"))) <= LISTING_LIMIT


async def test_no_schema_carries_generated_titles_or_unions_with_null(connect: Connect) -> None:
    for tool in (await definitions(connect)).values():
        for name, argument in tool["inputSchema"]["properties"].items():
            assert "title" not in argument, name
            assert {"type": "null"} not in argument.get("anyOf", []), name
            assert argument.get("description"), name
