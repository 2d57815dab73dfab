"""Telling a speaker's name at the beginning of a line from words that happen to end in a colon."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LONGEST_NAME = 120

_LABEL = re.compile(
    r"(?:>>\s*)?(?:\[([^\[\]:]{1,120})\]:?|\(([^():]{1,120})\):|([^:\[\]<>]{1,120}?)\s*:)(?:\s+|$)(?!//)"
)
_WORDS = re.compile(r"[^\W\d_][\w.'\u2019&-]*|\d{1,4}")
_ASIDE = re.compile(r"\([^()]*\)")
_LOWER_PARTS = frozenset({"de", "da", "di", "la", "le", "van", "von", "der", "den", "bin", "al", "el", "dos", "du"})
_SOUNDS = re.compile(r"(?:music|applause|laughter|laughs|silence|inaudible|crosstalk|noise)", re.IGNORECASE)


class Labelled(NamedTuple):
    """What was said, without the name it begins with."""

    speaker: str | None
    text: str


def split_labels(texts: Sequence[str]) -> Iterator[Labelled]:
    """Each text with the speaker it begins with; one without goes on with the speaker before.

    A name counts only in a file that uses such names: it comes again, or most lines have one.
    """
    labels = [_label(text) for text in texts]
    count = Counter(label.speaker for label in labels if label)
    most = sum(count.values()) * 2 >= max(len(texts), 4)
    current = None
    for text, label in zip(texts, labels, strict=True):
        if label and (most or count[label.speaker] > 1):
            current = label.speaker
            yield label
        else:
            yield Labelled(current, text)


def has_labels(texts: Sequence[str]) -> bool:
    """Whether these are lines of people who take turns."""
    return any(said.speaker for said in split_labels(texts))


def is_name(text: str) -> bool:
    """Whether `text` looks like a name or a label: Ana, PhD E, Speaker 1, SPEAKER_00, Dr. Li (Acme)."""
    if not 0 < len(text) <= LONGEST_NAME or _SOUNDS.fullmatch(text):
        return False
    while text != (shorter := _ASIDE.sub(" ", text)):
        text = shorter
    parts = text.replace("_", " ").replace(",", " ").split()
    if not 0 < len(parts) <= 8 or not all(_WORDS.fullmatch(part) for part in parts):
        return False
    first, rest = parts[0], parts[1:]
    # d'Entremont and McLeod have their capital inside.
    return not first[0].islower() and all(
        part in _LOWER_PARTS or part != part.lower() or part.isdigit() for part in rest
    )


def _label(text: str) -> Labelled | None:
    match = _LABEL.match(text)
    if match is None:
        return None
    name = next(group for group in match.groups() if group is not None).strip()
    return Labelled(name, text[match.end() :].strip()) if is_name(name) else None
