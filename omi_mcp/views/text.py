"""Text made fit to show: untrusted text with nothing invisible or unprintable in it, and lists and times in words."""

import math
import re
from collections.abc import Sequence

# Control characters (line breaks and tabs apart), fillers, bidirectional marks and overrides, tags and every other
# character that shows nothing. The joiners and the emoji variation selectors are looked at in context, below.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U00013455\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINERS = re.compile("[\u200c\u200d]+")
_SELECTORS = re.compile("[\ufe0e\ufe0f]+")
_NAME_MARKS = re.compile(r"[\[\]:]")


def clean_line(text: str) -> str:
    """`text` on one line: every run of white space and line breaks becomes one space."""
    return " ".join(_visible(text).split())


def clean_prose(text: str) -> str:
    """`text` with its paragraphs kept: line breaks stay, empty lines and runs of spaces are closed up."""
    lines = (" ".join(line.split()) for line in _visible(text).splitlines())
    return "\n".join(line for line in lines if line)


def clean_name(text: str) -> str:
    """A name on one line, without the characters that punctuate a transcript line (`[`, `]` and `:`)."""
    return clean_line(_NAME_MARKS.sub(" ", text))


def enumerated(names: Sequence[str], more: int | None = None) -> str:
    """`names` in one line, and how many `more` there are."""
    listed = ", ".join(names)
    return f"{listed} and {more} more" if listed and more else listed


def duration(seconds: float) -> str:
    """A waiting time as people say it, rounded up."""
    if seconds < 90:
        return _counted(math.ceil(seconds), "second")
    minutes = math.ceil(seconds / 60)
    if minutes < 90:
        return _counted(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    return _counted(hours, "hour") + (f" {_counted(minutes, 'minute')}" if minutes and hours < 10 else "")


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    return _JOINERS.sub(_joiner, _SELECTORS.sub(_selector, text))


def _selector(run: re.Match[str]) -> str:
    """A character chooses once between its emoji and its text form."""
    before = run.string[run.start() - 1 : run.start()]
    return "" if not before or before.isspace() or _JOINERS.match(before) else run[0][0]


def _joiner(run: re.Match[str]) -> str:
    """Persian, Indic scripts and emoji need one joiner between two of their characters; elsewhere it only hides."""
    before, after = run.string[run.start() - 1 : run.start()], run.string[run.end() : run.end() + 1]
    return "" if before.isascii() or after.isascii() or before.isspace() or after.isspace() else run[0][0]
