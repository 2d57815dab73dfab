"""What a host is told about the tools: any change is seen, and the whole stays cheap to read.

After a wanted change, write the snapshot anew: `UPDATE_DEFINITIONS=1 python -m pytest tests/server/test_definitions.py`
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hosting import Connect, refusal

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


PORTABLE = {
    "object": {"type", "description", "properties", "required"},
    "array": {"type", "description", "items"},
    "string": {"type", "description", "enum"},
    "integer": {"type", "description"},
    "number": {"type", "description"},
    "boolean": {"type", "description"},
}
"""What OpenAI's strict mode, Gemini and VS Code all take. The first refuses `default`, the second a whole request for
`additionalProperties`, `$ref`, `const` or an exclusive bound, the third an array without `items`."""


def check_portable(schema: dict[str, Any], where: str) -> None:
    assert set(schema) <= PORTABLE[schema["type"]], where
    assert schema.get("description") or where.endswith("[]"), where
    assert all(isinstance(value, str) for value in schema.get("enum", ())), where
    if schema["type"] == "array":
        check_portable(schema["items"], f"{where}[]")
    for name, each in schema.get("properties", {}).items():
        check_portable(each, f"{where}.{name}")


@pytest.mark.parametrize("settings", [{"allow_delete": True, "profile": "search-fetch"}, {"read_only": True}])
async def test_every_host_can_pass_the_arguments_on_to_its_model(connect: Connect, settings: dict[str, Any]) -> None:
    async with connect(**settings) as client:
        for tool in (await client.list_tools()).tools:
            assert tool.input_schema["type"] == "object"
            assert set(tool.input_schema) <= {"type", "properties", "required"}
            for name, argument in tool.input_schema["properties"].items():
                check_portable(argument, f"{tool.name}.{name}")


async def test_what_a_schema_leaves_out_is_checked_all_the_same(connect: Connect) -> None:
    segment = {"text": "The boat is sold.", "start": 0, "end": 4}
    async with connect() as client:
        assert "whom" in await refusal(client, "create_from_segments", segments=[segment | {"whom": "Ana"}])
        assert "limit" in await refusal(client, "search_conversations", limit=51)
