"""The sandbox's stand-in for the service's search by meaning: words in common, and a small table of related words.

The service compares vectors of a language model. This compares words: it is no measure of how well the service finds.
"""

import re
from collections.abc import Iterable

from omi_mcp.sandbox.store import Record

_RELATED = (
    "hiring hire recruit recruiting candidate applicant interview position job",
    "contract agreement lease deal",
    "sign signed signature signing",
    "decision decide decided choose chosen",
    "price pricing cost euro fee",
    "doctor physician medical practice clinic illness tired tiredness iron blood",
    "holiday vacation trip travel hike ferry",
    "home house flat apartment mortgage",
    "accept accepted yes agreed",
    "late delay later postponed verschoben",
    "mother mum mom mama",
    "surgery operation hip op",
    "flood flooding water leak",
    "basement cellar",
)
"""Each line: words that are taken for one another."""

_RELATED_WORTH = 0.7
_TITLE_WORTH = 0.1
_COMMON = """
    a an and are as at be by did do for from had has have how i in is it me my of on or our that the this to was we were
    what when where which who why will with you your
"""
_WORD = re.compile(r"\w+")


def similar(query: str, records: Iterable[Record]) -> list[tuple[Record, float]]:
    """The records whose title and summary say what `query` does, most alike first, with a score from 0 to 1."""
    wanted = _words(query)
    if not wanted:
        return []
    found = []
    for record in records:
        structured = record.structured
        title = _words(structured["title"])
        items = " ".join(item["description"] for item in structured["action_items"])
        text = title | _words(f"{structured['overview']} {items}")
        groups = {_GROUP[word] for word in text & _GROUP.keys()}
        worth = sum(1.0 if word in text else _RELATED_WORTH * (_GROUP.get(word) in groups) for word in wanted)
        if worth:
            score = worth / len(wanted) * (1 - _TITLE_WORTH) + _TITLE_WORTH * bool(wanted & title)
            found.append((record, score))
    return sorted(found, key=lambda each: -each[1])


def _words(text: str) -> set[str]:
    return {_singular(word) for word in _WORD.findall(text.lower())} - _LEFT_OUT


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word


_LEFT_OUT = frozenset(map(_singular, _COMMON.split()))
_GROUP = {_singular(word): number for number, line in enumerate(_RELATED) for word in line.split()}
