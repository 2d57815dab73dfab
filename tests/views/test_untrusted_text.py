import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.names import unaccented
from omi_mcp.views.text import clean_line, clean_name, clean_prose

VISIBLE_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Arabic and Kaithi number and verse signs: in Unicode's class of format characters, and drawn."""

anything = st.text(st.characters(), max_size=80) | st.text(
    st.sampled_from("a \n\r\t\u2028\u0085\x00\x1b\u200b\u200c\u200d\u202e\u2066\ufe0f\ufe0e\ud800\udc00\U000e0041é👩🇩"),
    max_size=40,
)


@given(anything)
def test_nothing_invisible_unprintable_or_reordering_is_left(text):
    for char in clean_prose(text).replace("\n", ""):
        kind = unicodedata.category(char)
        assert kind not in ("Cc", "Cs", "Zl", "Zp")
        assert kind != "Cf" or char in "\u200c\u200d" + VISIBLE_FORMATS


@given(anything)
def test_a_line_is_one_line_without_runs_of_space(text):
    line = clean_line(text)
    assert line.splitlines() in ([], [line])
    assert line == " ".join(line.split())


@given(anything)
def test_clean_text_stays_as_it_is(text):
    assert clean_line(clean_line(text)) == clean_line(text)
    assert clean_prose(clean_prose(text)) == clean_prose(text)


@given(anything)
def test_clean_text_can_be_sent(text):
    clean_line(text).encode()
    clean_prose(text).encode()


@given(anything)
def test_a_name_has_no_marks_of_a_transcript_line(text):
    assert not set(clean_name(text)) & set("[]:\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("pay\u202eevil\u2066", "payevil"),
        ("in\u200bvis\u00adible\ufeff", "invisible"),
        ("tag\U000e0068\U000e0069", "tag"),
        ("a\x00b\x1b[31m", "ab[31m"),
        ("a\ud800b", "a\ufffdb"),
        ("one\r\ntwo\u2028three\x0bfour\u00a0five", "one two three four five"),
        ("a\u200d\u200db", "ab"),
        ("\ufe0f\ufe0fx\ufe0f\ufe0f\ufe0f", "x\ufe0f"),
        ("\u3164name", "name"),
    ],
)
def test_what_hides_is_taken_out(text, line):
    assert clean_line(text) == line


@pytest.mark.parametrize("text", ["👩‍💻 👨‍👩‍👧", "❤️‍🔥", "می‌خواهم", "क्‍ष", "1️⃣", "שלום, עולם", "é", "日本語。", "🇩🇪"])
def test_what_writing_needs_is_kept(text):
    assert clean_line(text) == text


def test_prose_keeps_its_paragraphs():
    assert clean_prose(" One.\r\n\r\n\r\n  Two  three.\t\n") == "One.\nTwo three."


def test_names_are_compared_without_case_and_accents():
    assert unaccented("ÜNAL Öz") == unaccented("unal oz")
