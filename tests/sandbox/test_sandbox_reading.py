"""List, get and folders against the facts of the Omi Developer API."""

import httpx
import pytest
from sandbox_kit import CONVERSATIONS, plain

from omi_mcp.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def ids(client: httpx.AsyncClient, **query: str | int | bool) -> list[str]:
    answer = await client.get(CONVERSATIONS, params=query)
    assert answer.status_code == 200, answer.text
    return [conversation["id"] for conversation in answer.json()]


async def test_a_conversation_has_every_key_and_null_where_there_is_nothing(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a", title="Prices", overview="Up in May.", category="business"))
    [conversation] = (await client.get(CONVERSATIONS)).json()
    assert conversation == {
        "id": "a",
        "created_at": "2026-03-01T09:00:00Z",
        "started_at": "2026-03-01T09:00:00Z",
        "finished_at": "2026-03-01T09:00:06Z",
        "structured": {
            "title": "Prices",
            "overview": "Up in May.",
            "emoji": "📈",
            "category": "business",
            "action_items": [],
            "events": [],
        },
        "language": "en",
        "source": "omi",
        "transcript_segments": None,
        "geolocation": None,
        "folder_id": None,
        "folder_name": None,
    }


async def test_the_transcript_comes_only_when_asked_for(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    light = (await client.get(f"{CONVERSATIONS}/a")).json()
    whole = (await client.get(f"{CONVERSATIONS}/a", params={"include_transcript": True})).json()
    [listed] = (await client.get(CONVERSATIONS, params={"include_transcript": True})).json()
    assert light["transcript_segments"] is None
    assert listed == whole
    first, second = whole["transcript_segments"]
    assert set(first) == {"id", "text", "speaker_id", "speaker_name", "start", "end"}
    assert (first["speaker_id"], first["speaker_name"]) == (0, "Maya")
    assert (second["speaker_id"], second["speaker_name"]) == (7, "Speaker 7")


async def test_a_moment_has_a_fraction_only_where_it_is_not_zero(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a", "2026-03-01T09:00:03.000456+01:00"))
    assert (await client.get(f"{CONVERSATIONS}/a")).json()["created_at"] == "2026-03-01T08:00:03.000456Z"


async def test_the_list_is_newest_first_by_created_at(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load([plain("old", "2025-01-01"), plain("new", "2026-01-01"), plain("middle", "2025-06-01")])
    assert await ids(client) == ["new", "middle", "old"]


@pytest.mark.parametrize(
    ("asked", "received"),
    [({}, 25), ({"limit": 1000}, 100), ({"limit": 100, "include_transcript": True}, 25), ({"limit": -5}, 1)],
)
async def test_the_limit_is_cut_without_a_word(
    sandbox: Sandbox, client: httpx.AsyncClient, asked: dict[str, int], received: int
) -> None:
    sandbox.load(plain(f"c{number:03}") for number in range(120))
    assert len(await ids(client, **asked)) == received


async def test_a_negative_offset_is_zero_and_a_huge_one_is_the_end(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load([plain("a", "2025-01-01"), plain("b", "2025-01-02")])
    assert await ids(client, offset=-3) == ["b", "a"]
    assert await ids(client, offset=1) == ["a"]
    assert await ids(client, offset=10**30) == []


async def test_locked_and_malformed_rows_leave_a_page_short_while_more_lies_behind_it(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load(plain(name, f"2025-01-0{day}") for day, name in enumerate("abcde", 1))
    sandbox.lock("e")
    sandbox.lock("d")
    sandbox.damage("c")
    assert await ids(client, limit=2) == []
    assert await ids(client, limit=2, offset=2) == ["b"]
    assert await ids(client, limit=2, offset=4) == ["a"]


async def test_only_completed_conversations_that_are_not_discarded_are_listed(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load(plain(name, f"2025-01-0{day}") for day, name in enumerate("abc", 1))
    sandbox.discard("a")
    sandbox.set_status("b", "processing")
    assert await ids(client) == ["c"]
    assert (await client.get(f"{CONVERSATIONS}/a")).status_code == 200
    assert (await client.get(f"{CONVERSATIONS}/b")).status_code == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"start_date": "2025-01-31T10:00:00Z"}, ["late", "noon"]),
        ({"end_date": "2025-01-31T10:00:00Z"}, ["noon", "midnight", "early"]),
        ({"end_date": "2025-01-31"}, ["midnight", "early"]),
        ({"start_date": "2025-01-31", "end_date": "2025-01-31"}, ["midnight"]),
        ({"start_date": "2025-01-31T10:00:00"}, ["late", "noon"]),
        ({"start_date": "2025-01-31T11:00:00+01:00"}, ["late", "noon"]),
        ({"start_date": "1738317600"}, ["late", "noon"]),
        ({"start_date": "2025-01-31T10:00:00.000001Z"}, ["late"]),
    ],
)
async def test_date_filters_are_inclusive_and_a_date_alone_is_its_midnight_in_utc(
    sandbox: Sandbox, client: httpx.AsyncClient, query: dict[str, str], expected: list[str]
) -> None:
    sandbox.load(
        [
            plain("early", "2025-01-30T23:59:59Z"),
            plain("midnight", "2025-01-31T00:00:00Z"),
            plain("noon", "2025-01-31T10:00:00Z"),
            plain("late", "2025-02-01T10:00:00Z"),
        ]
    )
    assert await ids(client, **query) == expected


async def test_dates_filter_created_at_and_not_started_at(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a", "2025-01-01"))
    answered = (await client.get(f"{CONVERSATIONS}/a")).json()
    sandbox.insert({**answered, "created_at": "2025-06-01T00:00:00Z"})
    assert await ids(client, start_date="2025-05-01") == ["a"]


async def test_a_moment_stored_without_an_offset_comes_out_without_one(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a", "2025-01-01"))
    answered = (await client.get(f"{CONVERSATIONS}/a")).json()
    sandbox.insert({**answered, "created_at": "2025-01-01T08:00:00"})
    assert (await client.get(f"{CONVERSATIONS}/a")).json()["created_at"] == "2025-01-01T08:00:00"
    assert await ids(client, end_date="2025-01-01T08:00:00Z") == ["a"]


async def test_categories_are_any_of_and_trimmed(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load(plain(name, f"2025-01-0{day}", category=name) for day, name in enumerate(["work", "music", "news"], 1))
    assert await ids(client, categories=" work , ,news,") == ["news", "work"]
    assert await ids(client, categories=" ") == ["news", "music", "work"]


async def test_an_unknown_category_is_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.get(CONVERSATIONS, params={"categories": "work,romance"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "Invalid category 'romance' is not a valid CategoryEnum"}


async def test_more_categories_than_the_database_takes_crash_the_service(client: httpx.AsyncClient) -> None:
    assert (await client.get(CONVERSATIONS, params={"categories": ",".join(["work"] * 30)})).status_code == 200
    assert (await client.get(CONVERSATIONS, params={"categories": ",".join(["work"] * 31)})).status_code == 500


async def test_folder_and_star_filter(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load([plain("a", "2025-01-01", folder="Work"), plain("b", "2025-01-02", starred=True)])
    [folder] = (await client.get("/v1/dev/user/folders")).json()
    assert await ids(client, folder_id=folder["id"]) == ["a"]
    assert await ids(client, folder_id="nowhere") == []
    assert await ids(client, starred=True) == ["b"]
    assert await ids(client, starred=False) == ["a"]


async def test_unknown_parameters_are_ignored_and_the_last_of_a_repeated_one_counts(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.load([plain("a", "2025-01-01"), plain("b", "2025-01-02")])
    answer = await client.get(f"{CONVERSATIONS}?query=zebra&limit=abc&limit=1")
    assert [conversation["id"] for conversation in answer.json()] == ["b"]


async def test_folders_tell_how_many_conversations_they_list(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/dev/user/folders")).json() == []
    sandbox.load([plain("a", folder="Work"), plain("b", folder="Work"), plain("c", folder="Family")])
    sandbox.discard("a")
    folders = (await client.get("/v1/dev/user/folders")).json()
    assert [(folder["name"], folder["conversation_count"]) for folder in folders] == [("Work", 1), ("Family", 1)]
    assert set(folders[0]) == {
        "id", "name", "description", "color", "icon", "created_at", "updated_at", "order", "is_default", "is_system",
        "conversation_count",
    }  # fmt: skip
    conversation = (await client.get(f"{CONVERSATIONS}/b")).json()
    assert (conversation["folder_id"], conversation["folder_name"]) == (folders[0]["id"], "Work")


@pytest.mark.parametrize("conversation_id", ["nope", "from-segments", "a%2Fb"])
async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient, conversation_id: str) -> None:
    answer = await client.get(f"{CONVERSATIONS}/{conversation_id}")
    assert answer.status_code == 404


async def test_a_locked_conversation_cannot_be_told_from_one_that_is_gone(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.insert(plain("a"))
    sandbox.lock("a")
    gone = await client.get(f"{CONVERSATIONS}/nope")
    locked = await client.get(f"{CONVERSATIONS}/a")
    assert (locked.status_code, locked.json()) == (gone.status_code, gone.json()) == (404, gone.json())


async def test_a_malformed_record_is_a_plain_text_500(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.insert(plain("a"))
    sandbox.damage("a")
    answer = await client.get(f"{CONVERSATIONS}/a")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_equal_moments_still_page_without_loss_or_repetition(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.load(plain(f"c{number}") for number in range(30))
    seen = [name for offset in range(0, 40, 7) for name in await ids(client, limit=7, offset=offset)]
    assert sorted(seen) == sorted(f"c{number}" for number in range(30))
