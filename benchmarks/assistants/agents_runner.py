"""The tasks done by a model of the OpenAI agents SDK, in this process."""

import json
import os
from collections.abc import Sequence
from typing import Any

from agents import Agent, FunctionTool, Model, OpenAIChatCompletionsModel, RunConfig, Runner, ToolsToFinalOutputResult
from agents.exceptions import AgentsException
from agents.tool_context import ToolContext
from openai import AsyncOpenAI

from benchmarks.assistants.keys import Answer
from benchmarks.assistants.rooms import INTRODUCTION
from benchmarks.assistants.worker import Desk, Refused, Worker

TURNS = 40

RULES = """\
Answer the question from the user's conversations, with the tools only, and finish with the tool answer: first the \
value that was asked for, in one or two sentences; cited: the ids of the conversations that say so, and no others; \
not_found: true where the conversations do not say it, or could not be looked through.\
"""

ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "cited": {"type": "array", "items": {"type": "string"}},
        "not_found": {"type": "boolean"},
    },
    "required": ["answer", "cited", "not_found"],
    "additionalProperties": False,
}


def model(name: str, base_url: str | None) -> Model:
    """A model by its name, at OpenAI or at `base_url`, which may want no key. Raises Refused."""
    key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
    if key is None:
        raise Refused("OPENAI_API_KEY is not set; a server of your own is named with --base-url")
    return OpenAIChatCompletionsModel(model=name, openai_client=AsyncOpenAI(api_key=key, base_url=base_url))


async def run(worker: Worker, tasks: Sequence[str], model: Model) -> None:
    """Have `model` do the tasks that are not answered yet, each in a fresh context."""
    desk = Desk(worker)
    try:
        for task in tasks:
            if task not in worker.answered():
                await _one(desk, worker, task, model)
    finally:
        await desk.leave()


async def _one(desk: Desk, worker: Worker, task: str, model: Model) -> None:
    room = await desk.room(task)
    answers: list[Any] = []
    tools = [_tool(desk, task, definition) for definition in await room.offer.definitions()]
    agent = Agent(
        name="assistant",
        instructions=f"{INTRODUCTION}\n{RULES}\n\n{await room.offer.instructions()}",
        tools=[*tools, _answer_tool(answers)],
        tool_use_behavior=lambda _, __: ToolsToFinalOutputResult(is_final_output=bool(answers), final_output=""),
        model=model,
    )
    try:
        result = await Runner.run(
            agent, worker.tasks()[task].question, max_turns=TURNS, run_config=RunConfig(tracing_disabled=True)
        )
        said = str(result.final_output)
    except AgentsException as error:
        said = f"no answer: {error}"
    await desk.answer(task, answers[0] if answers else {"answer": said or "no answer"})


def _tool(desk: Desk, task: str, definition: dict[str, Any]) -> FunctionTool:
    async def invoke(_: ToolContext[Any], given: str) -> str:
        try:
            return await desk.call(task, definition["name"], json.loads(given or "{}"))
        except (Refused, ValueError) as error:
            return f"[error] {error}"

    return FunctionTool(
        name=definition["name"],
        description=definition["description"] or "",
        params_json_schema=definition["parameters"],
        on_invoke_tool=invoke,
        strict_json_schema=False,
    )


def _answer_tool(answers: list[Any]) -> FunctionTool:
    """Its calls may run in other tasks than the room's, which is why it does not record the answer itself."""

    async def invoke(_: ToolContext[Any], given: str) -> str:
        try:
            answer = json.loads(given)
            Answer.read(answer)
        except (TypeError, ValueError) as error:
            return f"[error] {error}"
        answers.append(answer)
        return "answered"

    return FunctionTool("answer", "The answer; ends the task.", ANSWER, invoke, strict_json_schema=False)
