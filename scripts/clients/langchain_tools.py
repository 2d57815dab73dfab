"""LangChain's adapter: the tools as LangChain tools, each called as an agent would, and a resource."""

import asyncio
import json
import os
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient


def connection(transport: str, *server: str) -> dict[str, object]:
    if transport == "stdio":
        return {"transport": "stdio", "command": server[0], "args": list(server[1:]), "env": dict(os.environ)}
    url, token = server
    return {"transport": "streamable_http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}


def text(answer: object) -> str:
    return answer if isinstance(answer, str) else "".join(block["text"] for block in answer)


async def main() -> None:
    client = MultiServerMCPClient({"omi": connection(*sys.argv[1:])})
    tools = {tool.name: tool for tool in await client.get_tools()}
    assert len(tools) >= 6
    found = json.loads(text(await tools["search_conversations"].ainvoke({"query": "launch price decision"})))
    first = found["conversations"][0]["id"]
    read = await tools["get_conversation"].ainvoke({"conversation_id": first, "find": "price"})
    assert "price" in json.loads(text(read))["transcript"]["text"].lower()
    resources = await client.get_resources("omi", uris=[f"omi://conversations/{first}/transcript"])
    assert len(resources[0].as_string().splitlines()) > 5


asyncio.run(main())
