"""A question about one person, one subject and one half of a three-hour meeting, at the cost of a few pages."""

import json

import pytest
from hosting import Connect, talk, text_of

from omi_mcp.dates import parse_offset
from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

FILLER = "we went through the list of the winter season once more, point by point, without deciding anything new. " * 2
SAID = {
    101: "The ferry is far too expensive for what it brings us, I am against it.",
    340: "I looked at the ferry again, and I am still against it.",
    481: "All right, I changed my mind: take the ferry, but only until the bridge is open again.",
    482: "Good, then the ferry it is, until the bridge opens.",
}


async def test_what_somebody_said_about_something_late_in_a_long_meeting_takes_three_calls(
    connect: Connect, sandbox: Sandbox
) -> None:
    words = {index: f"At {index} {FILLER}" for index in range(720)} | SAID
    sandbox.load([talk("meeting", minutes=180, words=words), *(talk(f"talk-{number}") for number in range(5))])
    async with connect() as client:
        cost = 0

        async def ask(tool: str, **arguments: object) -> dict[str, object]:
            nonlocal cost
            answer = text_of(await client.call_tool(tool, arguments))
            cost += len(answer)
            return json.loads(answer)

        meeting = (await ask("search_conversations", query="ferry meeting"))["conversations"][0]
        opened = await ask("get_conversation", conversation_id=meeting["id"], find="ferry", max_chars=4_000)
        half = meeting["minutes"] * 60 / 2
        late = [moment for moment in opened["moments"] if parse_offset(moment["at"]) > half]
        (by_ben,) = (moment for moment in late if moment["speaker"] == "Ben")
        read = await ask("get_conversation", conversation_id=meeting["id"], segment=by_ben["segment"], max_chars=4_000)
        marked, answer = read["transcript"]["text"].split("\n>> ")[1].splitlines()[:2]
        assert "I changed my mind: take the ferry" in marked
        assert "then the ferry it is" in answer
        assert cost <= 25_000
