"""Who the user is among the speakers: told where it is known, and taken for "me"."""

from typing import Any

import pytest
from hosting import Connect, call, copied, refusal, talk
from mcp.types import PromptReference

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


def spoken(name: str, *speakers: str, days_ago: float = 1) -> dict[str, Any]:
    said = [
        {"speaker": speaker, "text": f"{speaker} counts the boats.", "start": at, "end": at + 1}
        for at, speaker in enumerate(speakers)
    ]
    return talk(name, segments=said, days_ago=days_ago)


MAYAS = [spoken(f"talk-{number}", "Maya", f"Guest {number}", days_ago=number) for number in range(1, 5)]
BESIDES = spoken("besides", "Tom", "Lea", days_ago=5)


@pytest.mark.parametrize("me", ["me", "I", "Myself"])
async def test_who_speaks_in_most_conversations_is_me(connect: Connect, sandbox: Sandbox, me: str) -> None:
    sandbox.load([*MAYAS, BESIDES])
    async with connect() as client:
        await copied(client, 5)
        answer = await call(client, "search_conversations", query="boats", speakers=me)
        assert answer["user"] == "Maya"
        assert answer["matched"] == 4
        assert {hit["speaker"] for card in answer["conversations"] for hit in card["hits"][:1]} == {"Maya"}
        read = await call(client, "get_conversation", conversation_id="talk-1", speaker=me)
        assert read["user"] == "Maya"
        assert read["transcript"]["text"] == "[00:00:00] Maya: Maya counts the boats."
        assert "Tom, Lea" in await refusal(client, "get_conversation", conversation_id="besides", speaker=me)


async def test_who_has_no_name_in_the_profile_is_you(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([spoken("talk", "User", "Ben"), BESIDES])
    async with connect() as client:
        await copied(client, 2)
        for me in ("me", "You", "user"):
            answer = await call(client, "search_conversations", speakers=me)
            assert [card["id"] for card in answer["conversations"]] == ["talk"]
            assert "user" not in answer  # "You" tells itself
            read = await call(client, "get_conversation", conversation_id="talk", speaker=me)
            assert read["transcript"]["text"].startswith("[00:00:00] You: ")


async def test_a_name_in_the_settings_is_the_user_whoever_speaks_most(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([*MAYAS, BESIDES])
    async with connect(user_name="Tom") as client:
        await copied(client, 5)
        assert "(Tom)" in (client.instructions or "")
        answer = await call(client, "search_conversations", speakers="me")
        assert ([card["id"] for card in answer["conversations"]], answer["user"]) == (["besides"], "Tom")


async def test_the_own_name_finds_the_user_whom_the_service_calls_user(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([spoken("talk", "User", "Ben"), BESIDES])
    async with connect(user_name="Ana Lima") as client:
        await copied(client, 2)
        assert (await call(client, "search_conversations", speakers="Ana Lima"))["matched"] == 1


async def test_who_is_really_called_me_is_found(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([*MAYAS, spoken("imported", "Me", "Ben", days_ago=5)])
    async with connect() as client:
        await copied(client, 5)
        answer = await call(client, "search_conversations", speakers="me")
        assert [card["id"] for card in answer["conversations"]] == ["imported"]


async def test_nobody_is_taken_for_the_user_on_thin_evidence(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([spoken(f"talk-{number}", "Ana", "Ben", days_ago=number) for number in range(1, 7)])
    async with connect() as client:
        await copied(client, 6)
        assert "user" not in await call(client, "search_conversations")
        said = await refusal(client, "search_conversations", speakers="me")
        assert "OMI_MCP_USER_NAME" in said


async def test_people_and_periods_are_completed(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.load([*MAYAS, spoken("besides", "Maya", "Tom Berg", "Émile", days_ago=5)])

    async def completed(client: Any, prompt: str, name: str, typed: str) -> list[str]:
        ref = PromptReference(type="ref/prompt", name=prompt)
        values: list[str] = (await client.complete(ref, {"name": name, "value": typed})).completion.values
        return values

    async with connect() as client:
        await copied(client, 5)
        assert await completed(client, "prepare_for", "person_or_topic", "berg") == ["Tom Berg"]
        assert await completed(client, "prepare_for", "person_or_topic", "emi") == ["Émile"]
        everybody = await completed(client, "prepare_for", "person_or_topic", "")
        assert "Maya" not in everybody  # nobody prepares for themselves
        assert {"Tom Berg", "Émile", "Guest 1"} <= set(everybody)
        for period in await completed(client, "catch_up", "period", ""):
            await client.get_prompt("catch_up", {"period": period})
        assert await completed(client, "follow_ups", "period", "last w") == ["last week", "last weekend"]
        assert await completed(client, "follow_ups", "period", "month") == ["this month", "last month"]
