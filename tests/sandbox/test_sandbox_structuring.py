"""The documented rules that stand for the service's language model."""

from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.sandbox.structuring import discarded, structure
from omi_mcp.sandbox.wire import CATEGORIES

NOTES = """# Roadmap review

- We walked the roadmap with the whole team.
- TODO: book a room for the next meeting
- [ ] Maya, don't forget to call the customer!
"""


def test_the_title_is_the_first_sentence_without_markup_or_full_stop() -> None:
    assert structure(NOTES)["title"] == "Roadmap review"
    assert structure("Prices go up. In May.")["title"] == "Prices go up"


def test_a_long_first_sentence_is_cut_at_a_word() -> None:
    title = structure("We " + "really " * 20 + "met")["title"]
    assert len(title) <= 60
    assert title.endswith(" really")


def test_action_items_are_what_somebody_takes_on() -> None:
    items = [item["description"] for item in structure(NOTES)["action_items"]]
    assert items == ["TODO: book a room for the next meeting", "Maya, don't forget to call the customer!"]


def test_the_category_is_that_of_the_most_words() -> None:
    assert structure(NOTES)["category"] == "work"
    assert structure("The guitar and the piano after the meeting")["category"] == "music"
    assert structure("Nothing of note")["category"] == "other"


def test_scraps_and_small_talk_are_discarded_and_statements_are_not() -> None:
    assert discarded("Hm, yes, four words")
    assert discarded("Hello! How are you doing? Good, thanks, and you?")
    assert not discarded("Prices go up in May.")


@given(st.text(max_size=400))
def test_any_text_is_structured_in_the_apis_terms(text: str) -> None:
    structured = structure(text)
    assert structured["category"] in CATEGORIES
    assert set(structured) == {"title", "overview", "emoji", "category", "action_items", "events"}
