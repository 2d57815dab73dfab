import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.views.budgets import break_after, break_before, excerpt, json_size, shorten

prose = st.text(st.sampled_from("abc. !?é🙂\u0301\u200d🇩🇪語。\n"), max_size=200)


def test_a_line_is_cut_after_a_word():
    assert shorten("The pricing of the plan", 15) == "The pricing..."
    assert shorten("The pricing", 11) == "The pricing"


def test_prose_is_cut_after_a_sentence_and_says_how_much_is_left_out():
    text = "We met. " + "It was agreed. " * 100
    assert excerpt(text.strip(), 60) == "We met. It was agreed. It was agreed... [+1,471 characters]"


def test_prose_without_room_for_more_than_the_number_is_left_out_whole():
    assert excerpt("word " * 100, 10) == ""


@given(prose, st.integers(4, 150))
def test_a_cut_text_keeps_to_its_limit_and_is_a_beginning(text, limit):
    cut = shorten(text, limit)
    assert len(cut) <= limit
    assert text.startswith(cut.removesuffix("...") if cut != text else cut)


@given(prose, st.integers(0, 150))
def test_an_excerpt_keeps_to_its_limit_and_counts_exactly(text, limit):
    cut = excerpt(text, limit)
    assert len(cut) <= limit
    if cut and cut != text:
        kept, _, left_out = cut.rpartition("... [+")
        assert text.startswith(kept)
        assert len(kept) + int(left_out.removesuffix(" characters]").replace(",", "")) == len(text)


@given(prose.filter(bool), st.integers(1, 150))
def test_a_first_part_is_never_empty_and_never_too_long(text, limit):
    assert 1 <= break_before(text, limit) <= limit or len(text) <= limit


@given(prose.filter(bool), st.integers(1, 150))
def test_a_last_part_is_never_empty_and_never_too_long(text, limit):
    assert 1 <= len(text) - break_after(text, limit) <= limit


@pytest.mark.parametrize(
    ("text", "limit", "first"),
    [
        ("One two. Three four", 15, "One two."),
        ("One. Two three four", 15, "One. Two three"),
        ('He said "no." Then he went', 18, 'He said "no."'),
        ("今天很好。明天也好", 7, "今天很好。"),
        ("abcdefgh", 5, "abcde"),
        ("ab🇩🇪🇫🇷", 5, "ab🇩🇪"),
        ("ab👩\u200d💻c", 4, "ab"),
    ],
)
def test_a_text_breaks_after_a_sentence_else_a_word_else_a_character(text, limit, first):
    assert text[: break_before(text, limit)] == first


@pytest.mark.parametrize(
    ("text", "limit", "last"),
    [
        ("One two. Three four", 15, "Three four"),
        ("One two three four", 15, "two three four"),
        ("abcdefgh", 5, "defgh"),
        ("a b     ", 6, "b     "),
        ("🇩🇪🇫🇷ab", 5, "🇫🇷ab"),
    ],
)
def test_a_last_part_begins_with_a_sentence_else_a_word_else_a_character(text, limit, last):
    assert text[break_after(text, limit) :] == last


def test_a_size_is_that_of_compact_json_in_plain_letters():
    assert json_size({"a": ["é", 1]}) == len('{"a":["é",1]}')
