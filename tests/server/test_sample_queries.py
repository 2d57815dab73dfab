"""Eighty questions to the sample library: keyword, vague, person, date, phrase, filter, German and everyday ones."""

import json
from pathlib import Path

import pytest
from hosting import Connect, call

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

QUERIES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data" / "sample_queries.jsonl").read_text("utf-8").splitlines()
]

OUT_OF_REACH = {"flooding in our basement", "doctor"}
"""Asked in words that the conversation does not use: no lexical index finds these."""


async def test_each_question_finds_its_conversation(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load_sample()
    async with connect() as client:
        missed = []
        for asked in QUERIES:
            answer = await call(client, "search_conversations", query=asked["query"], **asked.get("args", {}))
            found = [card["id"] for card in answer["conversations"][: asked["top"]]]
            if not set(found) & set(asked["expect"]):
                missed.append(asked["query"])
        assert set(missed) <= OUT_OF_REACH
