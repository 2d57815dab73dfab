"""An agent of the OpenAI Agents SDK with your conversations as tools.

    pip install openai-agents
    OPENAI_API_KEY=... OMI_API_KEY=... python examples/openai_agents.py "what did I promise last week?"

With --demo it works on the invented sample library and needs no Omi key. Any model of the Agents SDK will do.
"""

import argparse
import asyncio
import os
import sys

from agents import Agent, Model, Runner
from agents.mcp import MCPServer, MCPServerStdio

INSTRUCTIONS = (
    "Answer from the user's conversations only. Find with search_conversations, then read the part that matters with "
    "get_conversation. Cite title, date and time of every statement, and say what was not found or not searched."
)


def conversations(*, demo: bool = False) -> MCPServerStdio:
    """The server, read-only: an agent that only answers needs no tools that write."""
    return MCPServerStdio(
        name="omi",
        params={
            "command": sys.executable,
            "args": ["-m", "omi_mcp", *(["--demo"] if demo else [])],
            "env": {**os.environ, "OMI_MCP_READ_ONLY": "on"},
        },
        cache_tools_list=True,
        # The first search of a new account waits for the first page, up to a minute.
        client_session_timeout_seconds=120,
    )


def agent(server: MCPServer, model: str | Model | None = None) -> Agent:
    return Agent(name="Omi", instructions=INSTRUCTIONS, mcp_servers=[server], model=model)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("question")
    parser.add_argument("--demo", action="store_true", help="ask the invented sample library")
    options = parser.parse_args()
    async with conversations(demo=options.demo) as server:
        result = await Runner.run(agent(server), options.question)
        print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
