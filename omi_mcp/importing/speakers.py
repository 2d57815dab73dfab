"""Evidence for speakers: a name at the beginning of a line, or words that happen to end in a colon."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

LONGEST_NAME = 120

_LABEL = re.compile(
    r"(?:>>\s*)?"
    r"(?:(?P<bold>\*\*|__)(?P<strong>[^*:\uff1a\[\]<>]{1,120}?)(?::(?P=bold)|(?P=bold)\s*:)"
    r"|\[(?P<boxed>[^\[\]:]{1,120})\]:?"
    r"|\((?P<round>[^():]{1,120})\):"
    r"|<(?P<angled>[^\s<>:][^<>:]{0,60})>"
    r"|(?P<plain>[^:\uff1a\[\]<>*]{1,120}?)\s*[:\uff1a])"
    r"(?:\s+|$|(?<=\uff1a))(?!//)"
)
"""**Ana:** · [Ana] · (Ana): · <ana> · Ana:"""

_WORDS = re.compile(r"[^\W\d_][\w.'\u2019&-]*|\d{1,4}")
_ASIDE = re.compile(r"\([^()]*\)")
_LEADING_ASIDES = re.compile(r"(?:\([^()]*\)\s*)+(?=\S)")
_TRAILING_ASIDE = re.compile(r"\s*(\([^()]*\))$")
_LOWER_PARTS = frozenset({"de", "da", "di", "la", "le", "van", "von", "der", "den", "bin", "al", "el", "dos", "du"})
_SOUNDS = re.compile(
    r"(?:background )?(?:music|applause|laughter|laughs|silence|pause|inaudible|unintelligible|crosstalk|noise)",
    re.IGNORECASE,
)
_USER = frozenset({"me", "myself"})
NAMELESS = _USER | {"you", "user"}
"""What stands for a person in a file, and is no name."""

_NUMBERED = re.compile(r"(?:speaker|participant|person)[ _-]?(?:\d{1,3}|[a-z])", re.IGNORECASE)

_ORDINARY = """
    note notes nb ps tip hint warning caution important remember reminder todo to-do task tasks action actions
    item items decision decisions decided next step steps topic topics agenda summary overview conclusion result
    results outcome goal goals idea ideas issue issues risk risks problem problems solution reason example
    examples e.g. i.e. question questions answer answers update updates status done open closed pending blocked
    date time start end duration when where who what why how place location venue room address phone tel email
    mail e-mail fax link url website re fw fwd aw subject from to cc bcc sent attendees participants present
    absent regrets apologies invited minutes title author version total price cost budget expense expenses amount
    quantity ingredients method buy call ask tell send check pay book bring fix add write read clean wash get see
    source sources file files name monday tuesday wednesday thursday friday saturday sunday today tomorrow
    yesterday morning afternoon evening night breakfast lunch dinner first second third finally also part chapter
    section page week day month year
"""
_NO_NAMES = frozenset(_ORDINARY.split())
"""Words that stand before a colon in any note; never a name, however often they come back."""


class Labelled(NamedTuple):
    """What was said, without the name it begins with; `begins` where a name stands here."""

    speaker: str | None
    text: str
    begins: bool = False


@dataclass(frozen=True)
class Label:
    """What stands at the beginning of a line like a name, and the words behind it."""

    name: str
    text: str
    bold: bool
    weak: bool
    """Not written as names are, or without a colon: it may be a mark."""

    @property
    def key(self) -> str:
        return same(self.name)

    def without_asides(self, names: Collection[str]) -> "Label":
        name, text = without_asides(self.name, self.text, names)
        return replace(self, name=name, text=text)


def split_labels(texts: Sequence[str], *, captions: bool = False, listed: Collection[str] = ()) -> list[Labelled]:
    """Each text with the speaker it begins with; one without goes on with the speaker before.

    A name needs evidence: it comes back; the same person speaks before and after it; it is bold like those that come
    back; it says "Speaker 2" or "Me"; its words are among those `listed` as present; or these are `captions`, which
    have times, and most begin with a name. A text that begins with what only may be a name is left whole and is
    nobody's, as is what follows it; in captions, which cut speech anywhere, the speaker before goes on.
    """
    labels = [label_of(text) for text in texts]
    names = {label.name for label in labels if label}
    labels = [label and label.without_asides(names) for label in labels]
    found = [label for label in labels if label]
    known = _proven(found, listed)
    if captions and len(found) * 2 >= max(len(texts), 4):
        known |= {label.key for label in found if not label.weak}
    said, current = [], None
    for text, label in zip(texts, labels, strict=True):
        if label and label.key in known:
            current = label.name
            said.append(Labelled(current, label.text, begins=True))
        else:
            if not captions and ((label and not label.weak) or _is_ordinary(text)):
                current = None
            said.append(Labelled(current, text))
    return said


def label_of(text: str) -> Label | None:
    """The name-like beginning of `text`; no evidence is asked for."""
    match = _LABEL.match(text)
    if match is None:
        return None
    name = next(
        group for group in match.group("strong", "boxed", "round", "angled", "plain") if group is not None
    ).strip()
    words = same(name).split()
    if not words or all(word in _NO_NAMES or word.isdigit() for word in words) or _SOUNDS.fullmatch(name):
        return None
    if not looks_like_name(name) and not (len(words) == 1 and _WORDS.fullmatch(words[0]) and not words[0].isdigit()):
        return None
    weak = not looks_like_name(name) or (match["plain"] is None and ":" not in match[0])
    return Label(name, text[match.end() :].strip(), bold=match["bold"] is not None, weak=weak)


def looks_like_name(text: str) -> bool:
    """Whether `text` looks like a name or a label: Ana, PhD E, Speaker 1, SPEAKER_00, Dr. Li (Acme)."""
    if not 0 < len(text) <= LONGEST_NAME or _SOUNDS.fullmatch(text):
        return False
    while text != (shorter := _ASIDE.sub(" ", text)):
        text = shorter
    parts = text.replace("_", " ").replace(",", " ").split()
    if not 0 < len(parts) <= 8 or not all(_WORDS.fullmatch(part) for part in parts):
        return False
    # d'Entremont and McLeod have their capital inside; many scripts have none.
    return (
        not parts[0][0].islower()
        and not all(part.isdigit() for part in parts)
        and all(part in _LOWER_PARTS or not part.islower() for part in parts[1:])
    )


def is_user(name: str, others: Collection[str]) -> bool:
    """Whether a program wrote `name` for its user: Me, You (where nobody is Me), Ana (You), User."""
    key = name.casefold().strip()
    aside = _TRAILING_ASIDE.search(key)
    if key in _USER or (aside and aside[1] in ("(you)", "(me)")):
        return True
    return key in ("you", "user") and not any(other.casefold().strip() in _USER for other in others)


def same(name: str) -> str:
    """What the spellings of one name have in common: without case, and without asides such as (laughs)."""
    return " ".join(_ASIDE.sub(" ", name).split()).casefold() or name.casefold()


def without_asides(name: str, text: str, names: Collection[str]) -> tuple[str, str]:
    """Name and words, an aside given back to the words: of (laughs) Ana; of Ana (laughs), where Ana is in `names`."""
    if leading := _LEADING_ASIDES.match(name):
        name, text = name[leading.end() :], f"{leading[0].strip()} {text}".strip()
    trailing = _TRAILING_ASIDE.search(name)
    if trailing and name[: trailing.start()] in names:
        name, text = name[: trailing.start()], f"{trailing[1]} {text}".strip()
    return name, text


def _proven(labels: Sequence[Label], listed: Collection[str]) -> set[str]:
    """The keys of those that are speakers, by the evidence that `split_labels` asks for."""
    keys = [label.key for label in labels]
    recurring = {key for key, times in Counter(keys).items() if times > 1}
    if not _take_turns(keys):
        recurring -= {label.key for label in labels if label.weak}
    bold = any(label.bold for label in labels if label.key in recurring)
    weak = any(label.weak for label in labels if label.key in recurring)

    def is_proven(before: str, label: Label, after: str) -> bool:
        answers = before == after and before in recurring
        if label.weak:
            return answers and weak
        return (
            answers
            or (bold and label.bold)
            or _NUMBERED.fullmatch(label.key) is not None
            or label.key in _USER
            or all(part in listed for part in label.key.split())
        )

    around = zip(["", *keys], labels, [*keys[1:], ""], strict=False)
    return recurring | {label.key for before, label, after in around if is_proven(before, label, after)}


def _take_turns(keys: Sequence[str]) -> bool:
    """Whether somebody speaks again after another did."""
    left: set[str] = set()
    for before, key in pairwise(keys):
        if key != before:
            left.add(before)
            if key in left:
                return True
    return False


def _is_ordinary(text: str) -> bool:
    """Whether `text` begins with a word such as Note: or Next steps:, which is no name and belongs to nobody's turn."""
    match = _LABEL.match(text)
    return (
        match is not None
        and label_of(text) is None
        and all(word in _NO_NAMES for word in same(match[0].rstrip(" :\uff1a")).split())
    )
