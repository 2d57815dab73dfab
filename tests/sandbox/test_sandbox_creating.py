"""Both creates against the facts of the Omi Developer API."""

import uuid
from typing import Any

import anyio
import httpx
import pytest
from sandbox_kit import CONVERSATIONS, Clock, spoken

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio

FROM_SEGMENTS = f"{CONVERSATIONS}/from-segments"
TEXT = "We agreed to raise the price in May. I'll tell the customers."


async def from_text(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post(CONVERSATIONS, json={"text": TEXT, **fields})


async def from_segments(client: httpx.AsyncClient, *segments: Any, **fields: Any) -> httpx.Response:
    body = {"transcript_segments": segments or [spoken()], "source": "phone", **fields}
    return await client.post(FROM_SEGMENTS, json=body)


async def test_a_text_becomes_a_conversation_with_a_name(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    answer = await from_text(client)
    assert answer.status_code == 200
    receipt = answer.json()
    assert receipt == {"id": str(uuid.UUID(receipt["id"])), "status": "completed", "discarded": False}
    conversation = (await client.get(f"{CONVERSATIONS}/{receipt['id']}")).json()
    assert conversation["structured"]["title"] == "We agreed to raise the price in May"
    assert [item["description"] for item in conversation["structured"]["action_items"]] == ["I'll tell the customers."]
    assert conversation["source"] == "external_integration"
    assert sandbox.ids() == [receipt["id"]]


async def test_a_text_can_never_be_read_back(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    conversation_id = (await from_text(client)).json()["id"]
    answer = await client.get(f"{CONVERSATIONS}/{conversation_id}", params={"include_transcript": True})
    assert answer.json()["transcript_segments"] == []
    assert sandbox.record(conversation_id)["text"] == TEXT


async def test_the_same_text_twice_is_two_conversations(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await from_text(client)
    await from_text(client)
    assert len(sandbox.ids()) == 2


async def test_what_a_text_does_not_say_gets_the_documented_defaults(client: httpx.AsyncClient) -> None:
    receipt = (await from_text(client, title="ignored", folder_id="ignored", language=None)).json()
    conversation = (await client.get(f"{CONVERSATIONS}/{receipt['id']}")).json()
    assert conversation["created_at"] == conversation["started_at"] == "2026-03-04T12:00:00Z"
    assert conversation["finished_at"] == "2026-03-04T12:05:00Z"
    assert conversation["language"] == "en"
    assert conversation["folder_id"] is None


async def test_a_given_start_becomes_created_at_to_the_microsecond(client: httpx.AsyncClient) -> None:
    await from_text(client, started_at="2019-07-01T10:00:00.123456+02:00")
    exactly = {"start_date": "2019-07-01T08:00:00.123456Z", "end_date": "2019-07-01T08:00:00.123456Z"}
    [conversation] = (await client.get(CONVERSATIONS, params=exactly)).json()
    assert conversation["created_at"] == "2019-07-01T08:00:00.123456Z"


async def test_a_naive_start_is_utc(client: httpx.AsyncClient) -> None:
    receipt = (await from_text(client, started_at="2019-07-01T10:00:00")).json()
    conversation = (await client.get(f"{CONVERSATIONS}/{receipt['id']}")).json()
    assert conversation["started_at"] == "2019-07-01T10:00:00Z"


async def test_a_text_may_end_when_it_starts_but_not_before(client: httpx.AsyncClient) -> None:
    moments = {"started_at": "2026-01-01T10:00:00Z", "finished_at": "2026-01-01T10:00:00Z"}
    assert (await from_text(client, **moments)).status_code == 200
    answer = await from_text(client, **moments | {"finished_at": "2026-01-01T09:59:59Z"})
    assert (answer.status_code, answer.json()) == (422, {"detail": "finished_at must be after started_at"})


async def test_segments_must_end_after_they_start(client: httpx.AsyncClient) -> None:
    moments = {"started_at": "2026-01-01T10:00:00Z", "finished_at": "2026-01-01T10:00:00Z"}
    answer = await from_segments(client, **moments)
    assert (answer.status_code, answer.json()) == (422, {"detail": "finished_at must be after started_at"})


@pytest.mark.parametrize(
    "moments",
    [
        {"started_at": "2026-01-01T10:00:00", "finished_at": "2026-01-01T11:00:00Z"},
        {"started_at": "2026-01-01T10:00:00Z", "finished_at": "2026-01-01T11:00:00"},
        {"finished_at": "2026-05-01T11:00:00"},
        {"started_at": "9999-12-31T23:59:59Z"},
    ],
)
async def test_moments_with_and_without_offset_mixed_crash_the_service(
    sandbox: Sandbox, client: httpx.AsyncClient, moments: dict[str, str]
) -> None:
    for answer in (await from_text(client, **moments), await from_segments(client, **moments)):
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert answer.headers["content-type"].startswith("text/plain")
    assert sandbox.ids(listable=False) == []


async def test_blank_text_is_refused_with_a_sentence(client: httpx.AsyncClient) -> None:
    answer = await from_text(client, text=" \n ")
    assert (answer.status_code, answer.json()) == (422, {"detail": "text cannot be empty"})


async def test_a_text_without_words_is_saved_but_hidden(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    receipt = (await from_text(client, text="...")).json()
    assert receipt["discarded"] is True
    assert sandbox.ids() == []


async def test_a_place_is_kept_unless_it_is_not_on_earth(client: httpx.AsyncClient) -> None:
    here = (await from_text(client, geolocation={"latitude": 52.1, "longitude": 5.1})).json()["id"]
    nowhere = (await from_text(client, geolocation={"latitude": 152, "longitude": 5})).json()["id"]
    assert (await client.get(f"{CONVERSATIONS}/{here}")).json()["geolocation"] == {
        "latitude": 52.1, "longitude": 5.1, "google_place_id": None, "address": None, "location_type": None,
    }  # fmt: skip
    assert (await client.get(f"{CONVERSATIONS}/{nowhere}")).json()["geolocation"] is None


async def test_segments_become_a_conversation_with_a_transcript(client: httpx.AsyncClient) -> None:
    answer = await from_segments(
        client,
        spoken(" We agreed to raise the price in May. ", 0, 4.5, is_user=True),
        spoken("Then I'll tell the customers.", 5, 8, speaker="SPEAKER_03", speaker_id=99),
        started_at="2026-01-01T10:00:00Z",
    )
    assert answer.json() == {"id": answer.json()["id"], "status": "completed", "discarded": False}
    url = f"{CONVERSATIONS}/{answer.json()['id']}"
    conversation = (await client.get(url, params={"include_transcript": True})).json()
    first, second = conversation["transcript_segments"]
    assert (first["text"], first["speaker_id"], first["speaker_name"]) == (
        "We agreed to raise the price in May.", 0, "User",
    )  # fmt: skip
    assert (second["speaker_id"], second["speaker_name"]) == (3, "Speaker 3")
    assert conversation["finished_at"] == "2026-01-01T10:00:08Z"
    assert conversation["source"] == "phone"


async def test_the_end_comes_from_the_last_segment_of_the_array_not_from_the_latest(client: httpx.AsyncClient) -> None:
    receipt = await from_segments(
        client, spoken(start=50, end=60), spoken(start=0, end=7), started_at="2026-01-01T10:00:00Z"
    )
    conversation = (await client.get(f"{CONVERSATIONS}/{receipt.json()['id']}")).json()
    assert conversation["finished_at"] == "2026-01-01T10:00:07Z"


@pytest.mark.parametrize(
    ("segment", "detail"),
    [
        (spoken(start=4, end=4), "Segment 1: end time must be after start time"),
        (spoken(start=-1, end=4), "Segment 1: start time cannot be negative"),
        (spoken("  "), "Segment 1: text cannot be empty"),
    ],
)
async def test_a_bad_segment_is_named_by_its_index(client: httpx.AsyncClient, segment: Any, detail: str) -> None:
    answer = await from_segments(client, spoken(), segment)
    assert (answer.status_code, answer.json()) == (422, {"detail": detail})


@pytest.mark.parametrize("label", ["Alice", "SPEAKER_x", "SPEAKER"])
async def test_a_label_that_is_no_speaker_number_crashes_the_service(client: httpx.AsyncClient, label: str) -> None:
    answer = await from_segments(client, spoken(speaker=label))
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


@pytest.mark.parametrize("text", ["Hm, yes.", "Hi! How are you? Good, thanks, and you? Nice weather."])
async def test_a_scrap_of_talk_is_saved_hidden_and_without_a_title(
    sandbox: Sandbox, client: httpx.AsyncClient, text: str
) -> None:
    receipt = (await from_segments(client, spoken(text))).json()
    assert (receipt["status"], receipt["discarded"]) == ("completed", True)
    assert sandbox.ids() == []
    conversation = (await client.get(f"{CONVERSATIONS}/{receipt['id']}")).json()
    assert conversation["structured"]["title"] == ""


@pytest.mark.parametrize(("sent", "stored"), [("toaster", "unknown"), (None, "phone"), ("omi", "omi")])
async def test_a_source_that_is_not_known_becomes_unknown(
    client: httpx.AsyncClient, sent: str | None, stored: str
) -> None:
    receipt = (await from_segments(client, source=sent)).json()
    assert (await client.get(f"{CONVERSATIONS}/{receipt['id']}")).json()["source"] == stored


@pytest.mark.parametrize("source", ["external_integration", "workflow"])
async def test_integration_sources_fail_and_leave_the_session_free(
    sandbox: Sandbox, client: httpx.AsyncClient, source: str
) -> None:
    answer = await from_segments(client, source=source, client_session_id="one")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Error processing conversation, please try again later"}
    assert sandbox.ids(listable=False) == []
    assert (await from_segments(client, client_session_id="one")).status_code == 200


async def test_a_desktop_recording_stays_in_processing_until_it_is_opened(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    receipt = (await from_segments(client, source="desktop")).json()
    assert (receipt["status"], receipt["discarded"]) == ("processing", False)
    assert sandbox.ids() == []
    sandbox.complete_late(receipt["id"])
    assert sandbox.ids() == [receipt["id"]]
    assert sandbox.record(receipt["id"])["structured"]["title"] == "We agreed to raise the price in May"


async def test_a_session_id_repeated_gives_the_stored_receipt_and_ignores_the_new_body(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    first = (await from_segments(client, client_session_id="one")).json()
    again = await from_segments(client, spoken("Something else altogether was said."), client_session_id=" one ")
    assert again.json() == first
    assert uuid.UUID(first["id"]).version == 5
    assert sandbox.ids() == [first["id"]]
    assert sandbox.record(first["id"])["structured"]["title"] == "We agreed to raise the price in May"


async def test_the_receipt_of_a_repeat_tells_the_present_state(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    first = (await from_segments(client, client_session_id="one")).json()
    sandbox.discard(first["id"])
    assert (await from_segments(client, client_session_id="one")).json() == {**first, "discarded": True}


async def test_a_session_that_was_completed_is_remembered_for_good(
    sandbox: Sandbox, client: httpx.AsyncClient, clock: Clock
) -> None:
    done = (await from_segments(client, client_session_id="one")).json()
    deferred = (await from_segments(client, client_session_id="two", source="desktop")).json()
    clock.advance(days=400)
    assert (await from_segments(client, client_session_id="one")).json() == done
    assert (await from_segments(client, client_session_id="two")).json() == deferred
    assert set(sandbox.ids(listable=False)) == {done["id"], deferred["id"]}
    assert sandbox.record(done["id"])["created_at"] == "2026-03-04T12:00:00Z"


@pytest.mark.parametrize("alias", ["client_conversation_id", "session_id", "client_id"])
async def test_the_session_id_has_three_aliases(sandbox: Sandbox, client: httpx.AsyncClient, alias: str) -> None:
    first = (await from_segments(client, client_session_id="one")).json()
    assert (await from_segments(client, **{alias: "one"})).json() == first


@pytest.mark.parametrize("session", ["", "   ", "x" * 201])
async def test_a_session_id_has_1_to_200_characters(client: httpx.AsyncClient, session: str) -> None:
    answer = await from_segments(client, client_session_id=session)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "client_session_id"]


async def test_a_repeat_while_the_first_is_at_work_conflicts_and_later_sees_it_processing(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    steps = [anyio.Event(), anyio.Event()]
    waiting = iter(steps)
    sandbox.pause = lambda: next(waiting).wait()
    first: list[httpx.Response] = []

    async def create() -> None:
        first.append(await from_segments(client, client_session_id="one"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create)
            await anyio.wait_all_tasks_blocked()
            early = await from_segments(client, client_session_id="one")
            steps[0].set()
            await anyio.wait_all_tasks_blocked()
            late = await from_segments(client, client_session_id="one")
            steps[1].set()
    assert (early.status_code, early.json()) == (409, {"detail": "Conversation creation already in progress"})
    assert late.json() == {**first[0].json(), "status": "processing"}
    assert sandbox.ids() == [first[0].json()["id"]]


async def test_a_claim_older_than_a_quarter_of_an_hour_is_given_up(
    sandbox: Sandbox, client: httpx.AsyncClient, clock: Clock
) -> None:
    go, stuck = anyio.Event(), anyio.Event()
    go.set()
    waiting = iter([go, stuck])
    sandbox.pause = lambda: next(waiting, go).wait()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(from_segments_of_session_one, client)
            await anyio.wait_all_tasks_blocked()
            clock.advance(minutes=15)
            young = (await from_segments(client, client_session_id="one")).json()
            clock.advance(seconds=1)
            old = (await from_segments(client, client_session_id="one")).json()
            stuck.set()
    assert (young["status"], old["status"]) == ("processing", "completed")


async def from_segments_of_session_one(client: httpx.AsyncClient) -> None:
    await from_segments(client, client_session_id="one")
