"""FastMCP's client: tools, a search and a read, resources, prompts, completion."""

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp.types import ResourceTemplateReference


def connect(transport: str, *server: str) -> Client:
    if transport == "stdio":
        return Client(StdioTransport(server[0], list(server[1:]), env=dict(os.environ)))
    url, token = server
    return Client(StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"}))


async def main() -> None:
    async with connect(*sys.argv[1:]) as client:
        assert len(await client.list_tools()) >= 6
        found = await client.call_tool("search_conversations", {"query": "launch price decision", "limit": 2})
        first = found.structured_content["conversations"][0]["id"]
        read = await client.call_tool("get_conversation", {"conversation_id": first, "find": "price"})
        assert "price" in json.loads(read.content[0].text)["transcript"]["text"].lower()
        assert len(await client.list_resources()) > 10
        card = await client.read_resource(f"omi://conversations/{first}")
        assert json.loads(card[0].text)["id"] == first
        prompt = await client.get_prompt("catch_up", {"period": "yesterday"})
        assert prompt.messages
        template = ResourceTemplateReference(type="ref/resource", uri="omi://conversations/{conversation_id}")
        completion = await client.complete(template, {"name": "conversation_id", "value": ""})
        assert completion.values
        refused = await client.call_tool("get_conversation", {"conversation_id": "nowhere"}, raise_on_error=False)
        assert refused.is_error


asyncio.run(main())
