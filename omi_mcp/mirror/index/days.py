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
_DAY = re.compile(r"[1-9]|[12]\d|3[01]")
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_NUMBER = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})\b"
_DAY_AND_MONTH = (
    re.compile(rf"\b{_NUMBER}\s+(?:of\s+)?{_MONTH}", re.IGNORECASE),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?{_NUMBER}", re.IGNORECASE),
)


def in_words(day: date) -> str:
    """Such as "Tuesday 4 March 2025", whatever the locale."""
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def spell_out(text: str) -> str:
    """`text` with its dates as they are indexed: "2025-03-04" and "March 4th" in words, the day as a bare number."""
    text = _ISO.sub(_spelled, text)
    for pattern in _DAY_AND_MONTH:
        text = pattern.sub(lambda match: f"{int(match['day'])} {match['month']}", text)
    return text


def day_words(words: Sequence[str]) -> frozenset[str]:
    """Those of folded `words` that can name a day, a month or a year; a number is a day only beside a month."""
    found = set()
    for place, word in enumerate(words):
        beside = _MONTH_WORDS.intersection(words[max(0, place - 1) : place + 2])
        if word in _WEEKDAY_WORDS | _MONTH_WORDS or _YEAR.fullmatch(word) or (beside and _DAY.fullmatch(word)):
            found.add(word)
    return frozenset(found)


def _spelled(match: re.Match[str]) -> str:
    try:
        return in_words(date.fromisoformat(match.group()))
    except ValueError:
        return match.group()
