"""The agent of examples/openai_agents.py with a model that plays a script: one search, then its first title."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import openai_agents as example
from agents import Model, ModelResponse, Runner, Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Script(Model):
    """Calls the search once, and then tells what it found."""

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        tools = kwargs.get("tools") or args[1]
        answers = [item for item in input if isinstance(item, dict) and item.get("type") == "function_call_output"]
        if not answers:
            sys.stdout.write(", ".join(tool.name for tool in tools) + "\n")
            call = ResponseFunctionToolCall(
                type="function_call",
                call_id="1",
                name="search_conversations",
                arguments=json.dumps({"query": "fifty-four euros price", "limit": 2}),
            )
            return ModelResponse(output=[call], usage=Usage(), response_id=None)
        text = ResponseOutputText(type="output_text", text=str(answers[-1]["output"]), annotations=[])
        message = ResponseOutputMessage(id="2", type="message", role="assistant", status="completed", content=[text])
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


async def main() -> None:
    async with example.conversations(demo=True) as server:
        result = await Runner.run(example.agent(server, Script()), "What does it cost?")
        sys.stdout.write(str(result.final_output))


if __name__ == "__main__":
    asyncio.run(main())
