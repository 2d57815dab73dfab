"""The official Python SDK, generation 1: everything that hosts do. Uses only what every release of it has."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

SEGMENTS = [
    {"speaker": "SPEAKER_00", "is_user": True, "text": "Let us plan the summer party.", "start": 0, "end": 3},
    {"speaker": "SPEAKER_01", "text": "The boathouse is free on the third of July.", "start": 3, "end": 7},
    {"speaker": "SPEAKER_00", "is_user": True, "text": "I will book the boathouse today.", "start": 7, "end": 10},
    {"speaker": "SPEAKER_01", "text": "Then I order food for forty people.", "start": 10, "end": 13},
]


@asynccontextmanager
async def streams(transport: str, *server: str) -> AsyncIterator[Any]:
    if transport == "stdio":
        command, *arguments = server
        async with stdio_client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ))) as pipe:
            yield pipe
    else:
        from mcp.client.streamable_http import streamablehttp_client  # the first releases have none

        url, token = server
        async with streamablehttp_client(url, headers={"Authorization": f"Bearer {token}"}) as (read, write, _):
            yield read, write


async def main(*server: str) -> None:
    async with (
        streams(*server) as (read, write),
        ClientSession(read, write, read_timeout_seconds=timedelta(seconds=60)) as session,
    ):
        started = await session.initialize()
        print(f"   initialized: {started.protocolVersion}")
        assert started.serverInfo.name == "omi"

        tools = [tool.name for tool in (await session.list_tools()).tools]
        assert {"search_conversations", "get_conversation", "create_from_segments"} <= set(tools), tools

        found = await call(session, "search_conversations", query="launch price decision", limit=2)
        conversation_id = found["conversations"][0]["id"]
        read_back = await call(session, "get_conversation", conversation_id=conversation_id, find="price")
        assert "price" in read_back["transcript"]["text"].lower()

        created = await call(session, "create_from_segments", segments=SEGMENTS)
        again = await call(session, "search_conversations", query="boathouse", limit=1)
        assert again["conversations"][0]["id"] == created["id"]

        listed = await session.list_resources()
        assert len(listed.resources) > 10
        templates = (await session.list_resource_templates()).resourceTemplates
        assert len(templates) == 2
        resource = await session.read_resource(listed.resources[0].uri)
        assert json.loads(resource.contents[0].text)["id"]
        reference = getattr(types, "ResourceTemplateReference", None) or types.ResourceReference
        completed = await session.complete(
            reference(type="ref/resource", uri=templates[0].uriTemplate), {"name": "conversation_id", "value": ""}
        )
        assert completed.completion.values

        prompts = (await session.list_prompts()).prompts
        assert prompts
        assert (await session.get_prompt(prompts[0].name, {})).messages

        refused = await session.call_tool("get_conversation", {"conversation_id": "nowhere"})
        assert refused.isError
        await session.send_ping()
    print("   initialize, tools, search, read, create, resources, completion, prompts, errors, ping: all work")


async def call(session: ClientSession, tool: str, **arguments: object) -> dict:
    result = await session.call_tool(tool, arguments)
    text = "".join(block.text for block in result.content)
    assert not result.isError, text
    return json.loads(text)


asyncio.run(main(*sys.argv[1:]))
