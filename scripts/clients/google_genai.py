"""Google's Gen AI SDK with an MCP session as its tool, against a Gemini on this computer that plays a script."""

import asyncio
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from google import genai
from google.genai import types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

REFUSED = {"additionalProperties", "$ref", "$defs", "const", "oneOf", "patternProperties"}
"""Keywords of a schema that the Gemini API is reported to refuse."""


class Gemini(BaseHTTPRequestHandler):
    """Asks for one search, and then says what it found."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = asked["contents"][-1]["parts"]
        if "functionResponse" in parts[0]:
            reply: dict[str, Any] = {"text": json.dumps(parts[0]["functionResponse"]["response"])}
        else:
            declared = [each for tool in asked["tools"] for each in tool["functionDeclarations"]]
            assert len(declared) >= 6
            assert not (found := keywords(declared) & REFUSED), f"sent to Gemini: {found}"
            reply = {"functionCall": {"name": "search_conversations", "args": {"query": "launch price decision"}}}
        body = json.dumps({"candidates": [{"content": {"role": "model", "parts": [reply]}, "finishReason": "STOP"}]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def keywords(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(keywords, value)) if value else set()
    if isinstance(value, dict):
        return set(value).union(*map(keywords, value.values()))
    return set()


async def main(_: str, command: str, *arguments: str) -> None:
    gemini = HTTPServer(("127.0.0.1", 0), Gemini)
    threading.Thread(target=gemini.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{gemini.server_port}"
    client = genai.Client(api_key="not-a-key", http_options=types.HttpOptions(base_url=address))
    server = StdioServerParameters(command=command, args=list(arguments), env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        answer = await client.aio.models.generate_content(
            model="gemini-scripted", contents="What does it cost?", config={"tools": [session]}
        )
        assert "conversations" in str(answer.text), answer
        tools = await session.list_tools()
        assert tools.tools
    gemini.shutdown()


asyncio.run(main(*sys.argv[1:]))
