"""How an answer is judged by a script: cited conversations, values, "not found", and what became of the account."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date as Date  # noqa: N812 - a type beside the function of that name
from typing import Any

UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
    *("twentieth", "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth", "twenty-sixth"),
    *("twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first"),
)

SPARE = 3
"""How many conversations more than the key has an answer may cite: naming everything seen is no citation."""

INCOMPLETE = (
    r"not (all|every\w*|yet|fully|complete\w*|been|have|currently)|n[o']t (copied|synced|searched|mirrored|available)|"
    r"incomplete|only (the )?(newest|recent|part|some|\d+)|pending|still (being )?(copi|sync|load)|rate.?limit|"
    r"could(n't| not| only)|cannot|can't|unable|missing|partial"
)
"""That not everything could be looked through."""


def number(value: float) -> str:
    """A pattern for a number, in figures with or without separators, or in words."""
    whole = f"{value:.10g}"
    if "." in whole:
        before, after = whole.split(".")
        spoken = " ".join((_words(int(before)), "point", *(UNITS[int(each)] for each in after)))
        return rf"(?<![\d.,]){_grouped(before)}[.,]{after}0*(?!\d)|\b{spoken}\b"
    words = _words(int(value)).replace(" ", "[ -]").replace("hundred[ -]", "hundred (?:and )?")
    words = re.sub(
        "^one(?=.(hundred|thousand)|$)", "(?:an?|one)" if value >= 100 else "one", words.replace("[ -]", " ")
    )
    return rf"(?<![\d.,]){_grouped(whole)}(?![\d])(?![.,]\d*[1-9])|\b{words.replace(' ', '[ -]')}\b"


def _grouped(figures: str) -> str:
    if len(figures) <= 3:
        return figures
    return rf"{figures[:-3]}[.,' \u202f\u00a0]?{figures[-3:]}"


def _words(value: int) -> str:
    if value < 20:
        return UNITS[value]
    if value < 100:
        ten, unit = divmod(value, 10)
        return TENS[ten - 2] + (f" {UNITS[unit]}" if unit else "")
    if value < 1000:
        hundred, rest = divmod(value, 100)
        return f"{UNITS[hundred]} hundred" + (f" {_words(rest)}" if rest else "")
    thousand, rest = divmod(value, 1000)
    return f"{_words(thousand)} thousand" + (f" {_words(rest)}" if rest else "")


def day(year: int, month: int, number_: int) -> str:
    """A pattern for a date in the usual ways of writing, with or without its year."""
    name = f"{Date(year, month, number_):%b}[a-z]*\\.?"
    d, m = rf"0?{number_}", rf"0?{month}"
    nth = rf"(?:\b{d}(?:st|nd|rd|th)?|\b{ORDINALS[number_ - 1]})"
    through = r"(?: ?(?:to|until|-|\u2013) ?(?:the )?(?:\d+(?:th)?|[a-z-]+th))?"
    return (
        rf"{year}-{month:02}-{number_:02}|{nth}{through}\.?,? (?:of )?{name}|"
        rf"\b{name} (?:the )?{nth}\b|\b{d}[./]{m}\b"
    )


def clock(hours: int, minutes: int = 0) -> str:
    """A pattern for a time of day."""
    twelve = (hours - 1) % 12 + 1
    half = "p" if hours >= 12 else "a"
    short = rf"|\b{twelve} ?{half}\.?m|\b{hours} (?:o'clock|Uhr|h)\b" if minutes == 0 else ""
    return rf"\b0?{hours}[:.h]{minutes:02}|\b{twelve}[:.]{minutes:02} ?{half}\.?m{short}"


@dataclass(frozen=True)
class State:
    """What became of the account in a room."""

    created: list[dict[str, Any]] = field(default_factory=list)
    """`id`, `title`, `text`, `started_at` and `discarded` of each."""
    renamed: dict[str, str] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Created:
    """A conversation that must be there exactly once: each pattern in its title or text."""

    holds: tuple[str, ...]
    started: str | None = None
    """How `started_at`, in UTC, must begin."""


@dataclass(frozen=True)
class Key:
    """What a right answer has. What is not named in `created`, `renamed` and `hidden` must be as it was.

    Patterns are searched for in the answer, without regard to case.
    """

    any_of: tuple[str, ...] = ()
    """Ids, of which one must be cited."""
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    """All of them must be found."""
    at_least: int | None = None
    """How many of `says` are enough, and of `all_of` as many."""
    says_not: tuple[str, ...] = ()
    not_found: bool | None = False
    """Whether the answer must say that it was not found; None where either will do."""
    created: Created | None = None
    renamed: tuple[tuple[str, str], ...] = ()
    """Ids with a pattern for the whole new title."""
    hidden: tuple[str, ...] = ()
    may_hide: tuple[str, ...] = ()
    """Ids that may be hidden, and need not be."""


@dataclass(frozen=True)
class Answer:
    """What an assistant answered."""

    answer: str
    cited: tuple[str, ...] = ()
    not_found: bool = False

    @classmethod
    def read(cls, given: Any) -> "Answer":
        """Raises TypeError or ValueError saying what is wrong with it."""
        if not isinstance(given, dict):
            raise TypeError('an answer is a JSON object: {"answer": "...", "cited": ["id", ...], "not_found": false}')
        text, cited, not_found = given.get("answer"), given.get("cited", []), given.get("not_found", False)
        if not isinstance(text, str) or not text.strip():
            raise ValueError("answer: text is missing")
        if not isinstance(cited, list) or not all(isinstance(each, str) for each in cited):
            raise ValueError("cited: a list of conversation ids")
        if not isinstance(not_found, bool):
            raise TypeError("not_found: true or false")
        if unknown := sorted(given.keys() - {"answer", "cited", "not_found"}):
            raise ValueError(f"unknown: {', '.join(unknown)}")
        return cls(text, tuple(dict.fromkeys(each.strip() for each in cited)), not_found)


def faults(keys: Sequence[Key], answer: Answer, state: State) -> list[str]:
    """What is wrong with an answer by the key it comes nearest to; nothing when it is right."""
    return min((_faults(key, answer, state) for key in keys), key=len)


def _faults(key: Key, answer: Answer, state: State) -> list[str]:
    found = [*_said(key, answer), *_cited(key, answer), *_written(key, state)]
    if key.not_found is not None and key.not_found != answer.not_found:
        found.append(f"not_found is {str(answer.not_found).lower()}")
    return found


def _said(key: Key, answer: Answer) -> list[str]:
    text = answer.answer.replace("\u2019", "'")
    missing = [each for each in key.says if not re.search(each, text, re.IGNORECASE)]
    enough = len(key.says) if key.at_least is None else key.at_least
    found = [f"does not say {each}" for each in missing] if len(key.says) - len(missing) < enough else []
    return found + [f"says {each}" for each in key.says_not if re.search(each, text, re.IGNORECASE)]


def _cited(key: Key, answer: Answer) -> list[str]:
    cited = set(answer.cited)
    found = []
    if key.any_of and not cited & set(key.any_of):
        found.append("cites none of the conversations that say so")
    missing = set(key.all_of) - cited
    enough = len(key.all_of) if key.at_least is None else min(key.at_least, len(key.all_of))
    if len(key.all_of) - len(missing) < enough:
        found.append(f"does not cite {len(missing)} of {len(key.all_of)}")
    if cited & set(key.none_of):
        found.append("cites a conversation that does not answer")
    if len(cited) > len(set(key.any_of) | set(key.all_of)) + SPARE:
        found.append(f"cites {len(cited)} conversations")
    return found


def _written(key: Key, state: State) -> list[str]:
    found = []
    wanted = 0 if key.created is None else 1
    if len(state.created) != wanted:
        found.append(f"created {len(state.created)}, not {wanted}")
    elif key.created is not None:
        (made,) = state.created
        text = f"{made['title']}\n{made['text']}"
        found += [f"created without {each}" for each in key.created.holds if not re.search(each, text, re.IGNORECASE)]
        if key.created.started and not str(made["started_at"]).startswith(key.created.started):
            found.append(f"created at {made['started_at']}")
        if made["discarded"]:
            found.append("created and hidden")
    wrong = [each for each, title in key.renamed if not re.fullmatch(title, state.renamed.get(each, ""), re.IGNORECASE)]
    found += [f"did not rename {each}" for each in wrong]
    found += [f"renamed {each}" for each in state.renamed.keys() - dict(key.renamed).keys()]
    found += [f"did not hide {each}" for each in set(key.hidden) - set(state.hidden)]
    found += [f"hid {each}" for each in set(state.hidden) - set(key.hidden) - set(key.may_hide)]
    return found + [f"deleted {each}" for each in state.deleted]
