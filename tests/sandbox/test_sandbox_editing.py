"""PATCH and DELETE against the facts of the Omi Developer API."""

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, plain

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

LOCKED = {"detail": "A paid plan is required to access this conversation."}
GONE = {"detail": "Conversation not found"}


async def test_a_patch_answers_the_whole_transcript_without_names(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a", folder="Work"))
    answer = await client.patch(f"{CONVERSATIONS}/a", json={"title": "  Prices in May "})
    assert answer.status_code == 200
    conversation = answer.json()
    assert conversation["structured"]["title"] == "Prices in May"
    assert [segment["speaker_name"] for segment in conversation["transcript_segments"]] == [None, None]
    assert conversation["transcript_segments"][0]["text"] == "Shall we raise the price in May?"
    assert conversation["folder_id"] is not None
    assert (await client.get(f"{CONVERSATIONS}/a")).json()["structured"]["title"] == "Prices in May"


async def test_a_patch_that_discards_hides_and_one_that_restores_lists_again(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a"))
    await client.patch(f"{CONVERSATIONS}/a", json={"discarded": True})
    assert sandbox.ids() == []
    await client.patch(f"{CONVERSATIONS}/a", json={"discarded": False, "title": None})
    assert sandbox.ids() == ["a"]


async def test_a_title_of_spaces_passes_and_blanks_it(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    assert (await client.patch(f"{CONVERSATIONS}/a", json={"title": " "})).status_code == 200
    assert sandbox.record("a")["structured"]["title"] == ""


@pytest.mark.parametrize("body", [{}, {"title": None, "discarded": None}, {"starred": True, "overview": "x"}])
async def test_a_patch_needs_a_title_or_a_flag(
    sandbox: Sandbox, client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    sandbox.insert(plain("a"))
    answer = await client.patch(f"{CONVERSATIONS}/a", json=body)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "At least one field (title or discarded) must be provided"}


@pytest.mark.parametrize("title", ["", "x" * 501])
async def test_a_title_has_1_to_500_characters(sandbox: Sandbox, client: httpx.AsyncClient, title: str) -> None:
    sandbox.insert(plain("a"))
    answer = await client.patch(f"{CONVERSATIONS}/a", json={"title": title})
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "title"]
    assert problem["input"] == title


async def test_a_locked_conversation_wants_a_paid_plan(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    sandbox.lock("a")
    patched = await client.patch(f"{CONVERSATIONS}/a", json={"title": "x"})
    deleted = await client.delete(f"{CONVERSATIONS}/a")
    assert (patched.status_code, patched.json()) == (deleted.status_code, deleted.json()) == (402, LOCKED)
    sandbox.lock("a", locked=False)
    assert (await client.delete(f"{CONVERSATIONS}/a")).status_code == 200


async def test_a_deleted_conversation_is_gone_and_deleting_it_again_says_so(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a"))
    answer = await client.delete(f"{CONVERSATIONS}/a")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    again = await client.delete(f"{CONVERSATIONS}/a")
    assert (again.status_code, again.json()) == (404, GONE)
    assert sandbox.ids(listable=False) == []


async def test_an_unknown_id_cannot_be_patched(client: httpx.AsyncClient) -> None:
    answer = await client.patch(f"{CONVERSATIONS}/nope", json={"title": "x"})
    assert (answer.status_code, answer.json()) == (404, GONE)


async def test_a_malformed_record_is_changed_and_then_fails_to_be_answered(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a"))
    sandbox.damage("a")
    answer = await client.patch(f"{CONVERSATIONS}/a", json={"title": "New"})
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert sandbox.record("a")["structured"]["title"] == "New"
