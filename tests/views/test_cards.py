import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omi_mcp.api.models import Conversation
from omi_mcp.mirror.types import Hit, Match, Stored
from omi_mcp.views import budgets
from omi_mcp.views.cards import detail_card, search_cards
from omi_mcp.views.models import ConversationDetail

BERLIN = ZoneInfo("Europe/Berlin")
BEGAN = datetime(2025, 3, 14, 22, 59, 58, 123456, UTC)
ID = "0b8e7a52-3c1f-4e6d-9a7b-2f5d8c4e1a90"


def stored(starred: bool | None = None, **fields: object) -> Stored:
    fields = {"id": ID, "created_at": BEGAN, "finished_at": BEGAN + timedelta(minutes=46, seconds=40), **fields}
    return Stored(Conversation.model_validate(fields), "stored", starred, hidden=False, synced_at=BEGAN)


def match(*hits: Hit, speakers: tuple[str, ...] = ("User", "Anna"), **fields: object) -> Match:
    return Match(stored(**fields), speakers, segments=300, hits=hits)


def moment(number: int, text: str = "We said it costs nine euros a seat. " * 5) -> Hit:
    return Hit("transcript", text, segment=number, at=number * 6.4, speaker="Anna")


def sent(cards: object) -> str:
    return json.dumps([card.dump() for card in cards], ensure_ascii=False, separators=(",", ":"))


def test_a_search_card_holds_what_helps_to_choose():
    structured = {
        "title": "Pricing review",
        "overview": "Nine euros a seat.",
        "category": "work",
        "action_items": [{"description": "Tell Bo"}, {"description": "Done", "completed": True}],
    }
    found = match(moment(118, "nine euros a seat"), structured=structured, folder_name="Northwind", starred=True)
    (card,) = search_cards([found], BERLIN)
    assert card.dump() == {
        "id": ID,
        "title": "Pricing review",
        "started": "2025-03-14T23:59:58+01:00",
        "weekday": "Friday",
        "minutes": 47,
        "category": "work",
        "folder": "Northwind",
        "starred": True,
        "speakers": ["You", "Anna"],
        "overview": "Nine euros a seat.",
        "open_action_items": 1,
        "hits": [{"at": "00:12:35", "segment": 118, "speaker": "Anna", "text": "nine euros a seat"}],
    }


def test_the_day_is_that_of_the_persons_zone():
    card = detail_card(stored(), ZoneInfo("Asia/Tokyo"))
    assert (card.started, card.weekday) == ("2025-03-15T07:59:58+09:00", "Saturday")


def test_what_is_unknown_or_empty_is_left_out():
    (card,) = search_cards([match(speakers=(), finished_at=None, starred=False)], BERLIN)
    assert list(card.dump()) == ["id", "title", "started", "weekday", "category"]
    assert card.title == "(no title)"


def test_the_whole_card_holds_action_items_events_place_and_language():
    structured = {
        "title": "Trip",
        "overview": "First.\n\nSecond.",
        "action_items": [
            {"description": "Pack", "completed": True},
            {"description": "Book\nthe train", "due_at": "2025-03-15T08:00:00Z"},
            {"description": " "},
        ],
        "events": [{"title": "Departure", "start": "2025-03-16T09:00:00Z", "duration": 60}],
    }
    geolocation = {"latitude": 52.5, "longitude": 13.4, "google_place_id": "x", "address": "Café Oslo, Berlin"}
    card = detail_card(stored(structured=structured, geolocation=geolocation, language="en"), BERLIN, ["You"])
    assert card.dump() == {
        "id": ID,
        "title": "Trip",
        "started": "2025-03-14T23:59:58+01:00",
        "weekday": "Friday",
        "minutes": 47,
        "category": "other",
        "language": "en",
        "place": "Café Oslo, Berlin",
        "speakers": ["You"],
        "overview": "First.\nSecond.",
        "action_items": [
            {"description": "Book the train", "due": "2025-03-15T09:00:00+01:00"},
            {"description": "Pack", "completed": True},
        ],
        "events": [{"title": "Departure", "start": "2025-03-16T10:00:00+01:00", "minutes": 60}],
    }


def test_a_long_overview_is_cut_in_a_concise_card_and_whole_in_a_full_one():
    overview = "It was agreed after a long talk. " * 40
    found = match(structured={"overview": overview})
    (concise,) = search_cards([found], BERLIN)
    (full,) = search_cards([found], BERLIN, "full")
    assert len(concise.overview) <= 240
    assert concise.overview.endswith(" characters]")
    assert full.overview == overview.strip()


def test_a_full_card_lists_the_action_items():
    found = match(structured={"action_items": [{"description": "Tell Bo"}]})
    assert search_cards([found], BERLIN)[0].action_items is None
    assert search_cards([found], BERLIN, "full")[0].action_items[0].description == "Tell Bo"


def test_a_hit_in_the_title_is_not_told_twice():
    (card,) = search_cards([match(Hit("title", "Pricing"), Hit("overview", "the pricing was"))], BERLIN)
    assert card.dump()["hits"] == [{"field": "overview", "text": "the pricing was"}]


def test_many_speakers_are_named_up_to_a_number_and_the_others_counted():
    names = [f"Speaker {number}" for number in range(50)]
    (card,) = search_cards([match(speakers=tuple(names))], BERLIN)
    assert (card.speakers, card.speakers_left_out) == (names[:6], 44)
    detail = detail_card(stored(), BERLIN, names)
    assert (detail.speakers, detail.speakers_left_out) == (names[:40], 10)


@given(st.integers(0, 60), st.integers(1, 50))
def test_no_speaker_is_dropped_in_silence(speakers, conversations):
    present = tuple(f"Speaker {number}" for number in range(speakers))
    for card in search_cards([match(*map(moment, range(3)), speakers=present)] * conversations, BERLIN):
        assert len(card.speakers or ()) + (card.speakers_left_out or 0) == speakers


def test_too_many_action_items_are_counted():
    items = [{"description": f"Item {number} " + "of the list " * 20} for number in range(100)]
    card = detail_card(stored(structured={"action_items": items}), BERLIN)
    assert len(card.action_items) + card.action_items_left_out == 100
    assert budgets.json_size([item.dump() for item in card.action_items]) <= budgets.ITEMS + 2


def page(number: int, hits: int) -> list[Match]:
    overview = "They went through the offer and settled the price for next year, with two things left open. " * 6
    structured = {"title": "Pricing review with Northwind", "overview": overview, "category": "work"}
    return [
        match(*map(moment, range(hits)), structured=structured, folder_name="Work", speakers=("User", "Anna", "Bo"))
        for _ in range(number)
    ]


def test_of_ten_results_the_best_three_keep_hits_and_all_their_headings():
    cards = search_cards(page(10, hits=3), BERLIN)
    assert len(sent(cards)) <= 3_600
    assert [bool(card.hits) for card in cards] == [True] * 3 + [False] * 7
    assert all(card.title.startswith("Pricing review") for card in cards)


def test_a_list_of_ten_leaves_room_for_their_overviews():
    cards = search_cards(page(10, hits=0), BERLIN)
    assert 3_600 < len(sent(cards)) <= 5_250
    assert all(card.overview for card in cards)


def test_few_results_keep_all_that_is_known_of_them():
    for card in search_cards(page(3, hits=3), BERLIN):
        assert len(card.hits) == 3
        assert len(card.overview) > 150


def test_the_best_results_are_the_last_to_be_cut():
    sizes = [budgets.json_size(card.dump()) for card in search_cards(page(8, hits=3), BERLIN)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


hostile = st.text(max_size=300) | st.builds(
    lambda char, times: char * times, st.sampled_from(['"', "\\", "a ", "🙂", "\u202e", "\n"]), st.integers(1, 5_000)
)


@pytest.mark.parametrize("detail", ["concise", "full"])
@settings(max_examples=30)
@given(number=st.integers(1, 50), text=hostile, name=hostile)
def test_no_page_of_cards_exceeds_its_budget(detail, number, text, name):
    structured = {
        "title": text,
        "overview": text * 3,
        "category": text,
        "action_items": [{"description": text}] * 40,
    }
    found = match(*[moment(9, text)] * 3, structured=structured, folder_name=text, speakers=(name, text, "Bo") * 5)
    size = len(sent(search_cards([found] * number, BERLIN, detail)))
    assert size <= (budgets.concise_page(number) if detail == "concise" else budgets.FULL_PAGE) + 2


@given(hostile)
def test_no_whole_card_exceeds_its_budget(text):
    structured = {
        "title": text,
        "overview": text * 9,
        "action_items": [{"description": text}] * 90,
        "events": [{"title": text, "description": text}] * 90,
    }
    card = detail_card(
        stored(structured=structured, folder_name=text, language=text, geolocation={"address": text}),
        BERLIN,
        [text] * 9,
    )
    assert isinstance(card, ConversationDetail)
    assert budgets.json_size(card.dump()) <= 2 * budgets.OVERVIEW + budgets.ITEMS + budgets.EVENTS + 2_000


@given(hostile)
def test_every_card_can_be_sent_as_json(text):
    sent(search_cards([match(moment(1, text), structured={"title": text, "overview": text})], BERLIN)).encode()
