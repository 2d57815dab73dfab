"""Words as the index sees them: one way to fold, split and stem text, for indexing, for queries and for snippets.

The tokenizer is SQLite's own (porter over unicode61). Characters of scripts written without spaces, and pictures such
as emoji, are set apart first: each is a word of its own, and a run of them an ordinary phrase.
"""

import atexit
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from omi_mcp.names import fold

TOKENIZER = "porter unicode61 remove_diacritics 2 categories 'L* N* Co M* So'"
"""FTS5's `tokenize` option: letters, digits, marks and symbols make words, diacritics do not count."""

_WIDE = (
    "\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_RUNNING = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1780-\u17d3"
_PICTURES = "\u2190-\u2bff\U0001f000-\U0001faff"
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06ed\u0900-\u0963"
    "\u0971-\u0dff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
)
_SINGLE = f"[{_WIDE}{_RUNNING}{_PICTURES}][{_MARKS}]*"
_APART = re.compile(_SINGLE)
_ASCII_WORD = re.compile("[0-9A-Za-z]+")
_TO_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}
_SPACED_WORD = re.compile(f"[\\w{_MARKS}{_PICTURES}]+")
_WORD = re.compile(f"{_SINGLE}|(?:(?![{_WIDE}{_RUNNING}])[\\w{_MARKS}])+")
_WIDE_CHARACTER = re.compile(f"[{_WIDE}]")
_RUNNING_CHARACTER = re.compile(f"[{_RUNNING}]")
_APOSTROPHES = ("'", "\u2019")
_JOINER = "\u200d"
_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_STEMS_KEPT = 200_000
_stems: dict[str, str] = {}
_tokenizing = threading.Lock()


class Word(NamedTuple):
    """One word of a text: its place in characters, and its folded form."""

    start: int
    end: int
    folded: str


def storable(text: str) -> str:
    """`text` as SQLite can take it: lone surrogates and NUL become U+FFFD."""
    return text if text.isascii() and "\x00" not in text else _UNSTORABLE.sub("\ufffd", text)


def indexable(text: str) -> str:
    """`text` as it is handed to the tokenizer."""
    return text if text.isascii() else _APART.sub(r" \g<0> ", fold(text))


def words(text: str) -> Iterator[Word]:
    """The words of `text` in order."""
    if text.isascii():
        for match in _ASCII_WORD.finditer(text):
            yield Word(match.start(), match.end(), match.group().lower())
        return
    pattern = _WORD if _APART.search(text) else _SPACED_WORD
    for match in pattern.finditer(text.replace("_", " ")):
        yield Word(match.start(), match.end(), fold(match.group()))


def is_torn(text: str, at: int) -> bool:
    """Whether a cut before `at`, between two words of the index, would tear apart what is one to a reader.

    That is "don't", a picture made of several, its skin tone, or the two letters of a flag.
    """
    before, after = text[at - 1 : at], text[at : at + 1]
    if before in _APOSTROPHES:
        return text[at - 2 : at - 1].isalnum() and after.isalnum()
    if after in _APOSTROPHES:
        return before.isalnum() and text[at + 1 : at + 2].isalnum()
    return _JOINER in (before, after) or bool(_SKIN_TONE.match(after) or _FLAG.fullmatch(before + after))


def folded_words(text: str) -> list[str]:
    """The folded words of `text` that is `indexable` already, without their places."""
    if text.isascii():
        return text.lower().translate(_TO_SPACES).split()
    return _SPACED_WORD.findall(text.replace("_", " "))


def word_count(text: str) -> int:
    """The number of words of ASCII `text`."""
    return len(_ASCII_WORD.findall(text))


def run_length(word: str) -> int:
    """How many single characters of this word's script make a searchable piece; 1 where words have spaces."""
    if word.isascii():
        return 1
    if _WIDE_CHARACTER.match(word):
        return 2
    return 3 if _RUNNING_CHARACTER.match(word) else 1


def stems(folded: Iterable[str]) -> dict[str, str]:
    """The index term of each folded word, as SQLite's tokenizer makes it; a word it finds nothing in is left out."""
    wanted = set(folded)
    found = {word: term for word in wanted if (term := _stems.get(word)) is not None}
    unknown = [word for word in wanted if word not in found]
    if unknown:
        fresh = _stemmed(unknown)
        if len(_stems) + len(fresh) > _STEMS_KEPT:
            _stems.clear()
        _stems.update(fresh)
        found |= fresh
    return {word: term for word, term in found.items() if term}


def _stemmed(unknown: list[str]) -> dict[str, str]:
    fresh = dict.fromkeys(unknown, "")  # of a mark that stands alone the tokenizer leaves nothing
    with _tokenizing:
        scratch = _scratch()
        scratch.execute("begin")
        try:
            scratch.executemany("insert into lexicon(rowid, word) values (?, ?)", enumerate(unknown))
            for place, term in scratch.execute("select doc, term from term order by doc, offset desc"):
                fresh[unknown[place]] = term or ""
        finally:
            scratch.execute("rollback")
    return fresh


@cache
def _scratch() -> sqlite3.Connection:
    """An empty index for SQLite's tokenizer to work in. Kept, because making one costs as much as a small search."""
    scratch = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    atexit.register(scratch.close)
    scratch.execute("create virtual table lexicon using fts5(word, content='', tokenize=\"" + TOKENIZER + '")')
    scratch.execute("create virtual table term using fts5vocab(lexicon, instance)")
    return scratch
