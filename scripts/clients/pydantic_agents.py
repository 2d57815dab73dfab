"""A Pydantic AI agent with a model that plays a script: one search, then what it found."""

import asyncio
import json
import os
import sys

from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel


def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    answers = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
    if answers:
        return ModelResponse(parts=[TextPart(answers[0].model_response_str())])
    assert len(info.function_tools) >= 6
    return ModelResponse(parts=[ToolCallPart("search_conversations", {"query": "launch price decision"})])


def toolset(transport: str, *server: str) -> MCPToolset:
    if transport == "stdio":
        return MCPToolset(StdioTransport(server[0], list(server[1:]), env=dict(os.environ)))
    url, token = server
    return MCPToolset(StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"}))


async def main() -> None:
    async with Agent(FunctionModel(script), toolsets=[toolset(*sys.argv[1:])]) as agent:
        result = await agent.run("What does it cost?")
    assert json.loads(result.output)["conversations"], result.output


asyncio.run(main())
