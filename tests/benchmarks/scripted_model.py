"""A model that plays a script through the agents SDK: one or two calls of a tool, then the answer."""

import json
from pathlib import Path
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import ResponseFunctionToolCall

from benchmarks.assistants import agents_runner
from benchmarks.assistants.corpus import id_of
from benchmarks.assistants.rooms import Arm
from benchmarks.assistants.scoring import Result, results
from benchmarks.assistants.tasks import TASKS
from benchmarks.assistants.worker import Worker


def _id(question: str) -> str:
    return next(task.id for task in TASKS.values() if task.question.startswith(question))


KEY, SOUP, HIDE, TODAY = (
    _id(each) for each in ("What did it cost us", "Whose lunch", "My recorder", "When do the seals")
)

CALLS: dict[Arm, dict[str, tuple[str, dict[str, Any]]]] = {
    "tools": {
        KEY: ("search_conversations", {"query": "lab key locksmith"}),
        SOUP: ("search_conversations", {"query": "soup boiled over test bench"}),
        HIDE: ("discard", {"conversation_id": id_of("television")}),
        TODAY: ("search_conversations", {"query": "seals Bassi", "period": "today"}),
    },
    "raw": {
        KEY: ("list_conversations", {"include_transcript": True, "limit": 25, "end_date": "2025-12-01"}),
        SOUP: ("list_conversations", {"limit": 5}),
        HIDE: ("update_conversation", {"conversation_id": id_of("television"), "discarded": True}),
        TODAY: ("list_conversations", {"limit": 1}),
    },
}
ANSWERS = {
    KEY: {"answer": "180 euros", "cited": [id_of("stand-up-2025-03-18")], "not_found": False},
    SOUP: {"answer": "Tomasz's lentil soup", "cited": [id_of("soup")], "not_found": False},
    HIDE: {"answer": "It is hidden.", "cited": [], "not_found": False},
    TODAY: {"answer": "On Monday, 9 March", "cited": [id_of("bassi-today")], "not_found": False},
}
IN_RAW = {SOUP: {"answer": "Tomasz's soup", "cited": [id_of("soup")], "not_found": False}}


class Script(Model):
    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        items = [{"content": input}] if isinstance(input, str) else input
        task = next(task.id for task in TASKS.values() if task.question == items[0]["content"])
        first = not any(item.get("type") == "function_call_output" for item in items)
        answer = (IN_RAW.get(task) if self._arm == "raw" else None) or ANSWERS[task]
        name, arguments = CALLS[self._arm][task] if first else ("answer", answer)
        call = ResponseFunctionToolCall(
            type="function_call", call_id=f"{task}-{first}", name=name, arguments=json.dumps(arguments)
        )
        return ModelResponse(output=[call], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


async def evaluated(base: Path, runs: Path) -> list[Result]:
    """What the script scores with the tools and with the raw API, on four tasks."""
    for arm in CALLS:
        worker = Worker(runs / arm, arm, base)
        worker.save()
        await agents_runner.run(worker, [KEY, SOUP, HIDE, TODAY], Script(arm))
    return results(runs)
