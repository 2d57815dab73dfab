"""Days in words: how a date is indexed, and which words of a query can mean one."""

import re
from collections.abc import Sequence
from datetime import date

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAY_WORDS = frozenset(name.lower() for name in _WEEKDAYS)
_MONTH_WORDS = frozenset(name.lower() for name in _MONTHS)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"0?([1-9]|[12]\d|3[01])(?:st|nd|rd|th)?")
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d\b")


def in_words(day: date) -> str:
    """Such as "Tuesday 4 March 2025", whatever the locale."""
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def spell_out(text: str) -> str:
    """`text` with its ISO dates in words, as they are indexed."""
    return _ISO.sub(_spelled, text)


def day_words(words: Sequence[str]) -> dict[str, str]:
    """Those of folded `words` that can name a day, a month or a year: as `in_words` writes them in lower case, and as
    they stand in `words`.

    A number is a day of the month only beside a month's name.
    """
    found = {}
    for place, word in enumerate(words):
        if word in _WEEKDAY_WORDS or word in _MONTH_WORDS or _YEAR.fullmatch(word):
            found[word] = word
        elif (day := _DAY.fullmatch(word)) and _MONTH_WORDS.intersection(words[max(0, place - 1) : place + 2]):
            found[day.group(1)] = word
    return found


def _spelled(match: re.Match[str]) -> str:
    try:
        return in_words(date.fromisoformat(match.group()))
    except ValueError:
        return match.group()
