import unicodedata
from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_kit import find, opened, talk

from omi_mcp.mirror.index.words import words
from omi_mcp.mirror.search import find_in, occurrences
from omi_mcp.mirror.search.hits import CUT, SNIPPET_CHARACTERS, snippet
from omi_mcp.mirror.search.matcher import TermMatcher
from omi_mcp.mirror.search.query import parse
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Hit

FILLER = "and then nothing much was said about it for quite a while "


@pytest.fixture
def store() -> Iterator[Store]:
    with opened() as store:
        yield store


def hits(store: Store, query: str) -> tuple[Hit, ...]:
    return find(store, query).matches[0].hits


def cut(query: str, text: str) -> str:
    sought = TermMatcher.of(parse(query))
    return snippet(sought, text, sought.find(text))


def test_a_moment_has_its_segment_time_and_speaker(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Hello."), ("Ben", "The greenhouse is warm."), ("Ana", "Good."))])
    assert hits(store, "greenhouses") == (Hit("transcript", "The greenhouse is warm.", 1, 10.0, "Ben"),)


def test_three_moments_are_the_best_of_three_passages(store: Store) -> None:
    lines = [("Ana", FILLER * 9 + ("greenhouse" if number in (1, 3, 5, 7) else "")) for number in range(9)]
    lines[5] = ("Ana", "greenhouse orchard " + FILLER * 9)
    store.upsert([talk("a", *lines)])
    found = hits(store, "greenhouse orchard")
    assert len(found) == 3
    assert found[0].segment == 5
    assert {hit.segment for hit in found} < {1, 3, 5, 7}


def test_hits_outside_the_transcript_are_named(store: Store) -> None:
    store.upsert([talk("a", title="About the turbine", overview="A greenhouse.", items=["Call the plumber"])])
    for query, field, text in (
        ("turbine", "title", "About the turbine"),
        ("greenhouse", "overview", "A greenhouse."),
        ("plumber", "action_items", "Call the plumber"),
    ):
        assert hits(store, query) == (Hit(field, text),)  # type: ignore[arg-type]


def test_moments_come_before_what_is_shown_with_every_result_anyway(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "A greenhouse."), title="Greenhouse", overview="The greenhouse.")])
    assert [hit.field for hit in hits(store, "greenhouse")] == ["transcript", "title"]


def test_an_action_item_that_matches_best_has_its_place_among_three(store: Store) -> None:
    lines = [("Ana", FILLER * 9 + "invoice") for _ in range(4)]
    store.upsert([talk("a", *lines, items=["Send the invoice to the plumber"])])
    assert [hit.field for hit in hits(store, "plumber invoice")] == ["transcript", "transcript", "action_items"]


def test_a_match_by_its_speaker_or_day_alone_has_no_moment(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Hello."))])
    assert hits(store, "ana") == ()
    assert hits(store, "tuesday") == ()


def test_a_long_text_is_cut_around_its_best_words() -> None:
    text = FILLER * 5 + "a turbine, " + FILLER * 5 + "the greenhouse with a turbine in it, " + FILLER * 5
    shown = cut("greenhouse turbine", text)
    assert "greenhouse with a turbine" in shown
    assert shown.startswith(CUT)
    assert shown.endswith(CUT)
    assert shown.removeprefix(CUT).removesuffix(CUT) in text


def test_nothing_is_marked_as_cut_at_the_ends_of_a_text() -> None:
    assert cut("greenhouse", "The greenhouse. " + FILLER * 9).startswith("The greenhouse.")
    assert cut("greenhouse", FILLER * 9 + "the greenhouse!").endswith("the greenhouse!")
    assert cut("greenhouse", "The\n greenhouse.\t") == "The greenhouse."


@pytest.mark.parametrize("unit", ["don't", "l\u2019heure", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪"])
def test_what_is_one_to_a_reader_is_not_torn_apart(store: Store, unit: str) -> None:
    for before in range(40):
        text = "x" * before + f" {unit}" * 60 + " greenhouse" + f" {unit}" * 60
        assert {*cut("greenhouse", text).removeprefix(CUT).removesuffix(CUT).split()} == {unit, "greenhouse"}
    store.upsert([talk("a", ("Ana", f"{unit} " * 999))])
    pieces = [piece.text.split() for passage in store.passages("a") for piece in passage]
    assert len(pieces) > 1
    assert {each for piece in pieces for each in piece} == {unit}


def test_one_endless_word_is_cut_between_characters() -> None:
    shown = cut("greenhouse", "e\u0301" * 500)
    assert shown.removesuffix(CUT) == "e\u0301" * (SNIPPET_CHARACTERS // 2)


PARTS = ["greenhouse", "orchard", "naïve", "文字文字", "x" * 250, "🎉", "well,", "it's", "\n"]


@given(st.lists(st.sampled_from(PARTS), max_size=90))
def test_a_snippet_is_short_whole_and_has_what_was_sought(parts: list[str]) -> None:
    text = " ".join(parts)
    sought = TermMatcher.of(parse("greenhouse 文字"))
    found = sought.find(text)
    shown = snippet(sought, text, found)
    inner = shown.removeprefix(CUT).removesuffix(CUT)
    assert len(inner) <= SNIPPET_CHARACTERS
    assert inner in " ".join(text.split())
    if found:
        assert sought.find(shown)
    if "x" not in text:
        known = {word.folded for word in words(text)}
        assert {word.folded for word in words(inner)} <= known


@given(st.text(st.characters(codec=None), min_size=1, max_size=400), st.text(max_size=20))
def test_any_text_can_be_cut(text: str, query: str) -> None:
    shown = cut(query, text).removeprefix(CUT).removesuffix(CUT)
    assert len(shown) <= SNIPPET_CHARACTERS
    assert not shown or not unicodedata.combining(shown[0]) or unicodedata.combining(text.strip()[0])


def test_the_best_moments_inside_one_conversation(store: Store) -> None:
    lines = [("Ana", f"{FILLER * 9}{word}") for word in ("greenhouse", "nothing", "greenhouse orchard", "orchard")]
    store.upsert([talk("a", *lines), talk("b", ("Ben", "greenhouse orchard"))])
    assert [hit.segment for hit in find_in(store, "a", "orchard greenhouse", 10)] == [2, 0, 3]
    assert [hit.segment for hit in find_in(store, "a", "orchard greenhouse", 1)] == [2]
    assert find_in(store, "a", "turbine", 10) == find_in(store, "unknown", "greenhouse", 10) == ()
    assert find_in(store, "a", "?!", 10) == ()


def test_occurrences_are_the_words_that_a_search_takes_for_those_asked() -> None:
    text = "Greenhouses, a naïve 文字 and more greenhouse."
    assert [text[start:end] for start, end in occurrences("the greenhouse naive 文字", text)] == [
        "Greenhouses", "naïve", "文", "字", "greenhouse",
    ]  # fmt: skip


def test_what_words_are_worth_together_does_not_depend_on_their_order() -> None:
    weights = {"greenhouse": 0.1, "orchard": 0.2, "turbine": 0.3}
    matcher = TermMatcher(weights, ())
    assert len({matcher.worth(dict.fromkeys(order).keys()) for order in permutations(weights)}) == 1


@given(st.lists(st.text(max_size=30) | st.sampled_from(["a boat", "Boats, boats", "caf\u00e9 boat"]), max_size=6))
def test_the_words_of_many_texts_are_those_of_each(texts: list[str]) -> None:
    matcher = TermMatcher.of(parse("boats café"))
    assert matcher.terms_of_each(texts) == [{each.term for each in matcher.find(text)} for text in texts]
