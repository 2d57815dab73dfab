"""How names are compared, and which of the speakers is the user.

Case, width, accents and spacing do not count, and a word of a name stands for the whole.

The API does not say which speaker is the user: their own speech carries the name of their profile, or `User` while
that has none. So it is the name in the settings, or the one who is heard in most conversations by far; and whoever it
is, what `User` says is theirs too.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import chain, takewhile

RECENT = 100
"""Conversations looked at, the newest: enough to tell, and a changed profile name is soon known."""

ENOUGH = 3
"""Conversations before anybody stands out."""

PROFILE_FALLBACK = "User"

ALIKE = 0.7
"""How much has to be the same, letter by letter, for a name to be the one that was meant."""

Person = tuple[str, ...]
"""The names that one person goes by in transcripts, each whole or a word of it."""

_UNNAMED = re.compile(r"speaker(?: ?\d+|_\d+)?", re.IGNORECASE)
_ONESELF = frozenset({"me", "i", "myself", "you", "user", "the user"})
_FALLBACK = PROFILE_FALLBACK.lower()


def fold(text: str) -> str:
    """`text` without differences of case and width. Accents stay."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def unaccented(text: str) -> str:
    """`text` folded, without accents and with single spaces: how names and titles are compared."""
    folded = unicodedata.normalize("NFKD", fold(text))
    return " ".join("".join(character for character in folded if not unicodedata.combining(character)).split())


@lru_cache(maxsize=10_000)
def is_called(name: str, wanted: str) -> bool:
    """Whether `wanted` is this name or one or more words of it. `User` is whole: others are called User Interface."""
    sought, known = unaccented(wanted), unaccented(name)
    return sought == known or (sought != _FALLBACK and f" {sought} " in f" {known} ")


def those_called(names: Iterable[str], wanted: str) -> list[str]:
    """Which of `names` are `wanted`; where none is, those of which it is a word."""
    partly = [name for name in names if is_called(name, wanted)]
    return [name for name in partly if unaccented(name) == unaccented(wanted)] or partly


def people_asked(names: Iterable[str]) -> tuple[Person, ...]:
    """Persons by the names they were asked for by, each once; several may be in one text, with commas between them."""
    asked = [name.strip() for each in names for name in each.split(",") if name.strip()]
    return tuple({unaccented(name): (name,) for name in reversed(asked)}.values())[::-1]


def nearest(wanted: str, names: Mapping[str, int], most: int) -> list[str]:
    """Those of folded `names` that can be meant by `wanted`, the likeliest first; of equals who is heard more often."""
    sought = unaccented(wanted).split()

    def alike(name: str) -> float:
        """Of the one or the other name, whichever has less to it: the share that the other has too."""
        return max(_shared(sought, name.split()), _shared(name.split(), sought))

    found = {name: likeness for name in names if (likeness := alike(name)) >= ALIKE}
    return sorted(found, key=lambda name: (-found[name], -names[name], name))[:most]


def _shared(words: Sequence[str], others: Sequence[str]) -> float:
    same = sum(len(word) * max((_alike(word, other) for other in others), default=0.0) for word in words)
    return same / max(1, sum(map(len, words)))


def _alike(one: str, other: str) -> float:
    """The share of two words that is the same."""
    compared = SequenceMatcher(None, one, other, autojunk=False)
    if compared.real_quick_ratio() < ALIKE or compared.quick_ratio() < ALIKE:
        return 0.0
    return compared.ratio()


@dataclass(frozen=True)
class People:
    """`names` as they are in transcripts, those in most conversations first; `user` is the person's own, if known.

    `called` is the name in the settings.
    """

    names: tuple[str, ...] = ()
    user: str | None = None
    called: str | None = None

    @classmethod
    def of(cls, conversations: Iterable[Sequence[str]], called: str | None = None) -> "People":
        """From the names of the speakers of each conversation, the newest first."""
        heard = [dict.fromkeys(names) for names in conversations if names]
        names = tuple(name for name, _ in _heard_most(heard))
        if called is not None:
            own = next((name for name in names if is_called(name, called)), None)
            return cls(names, own or (PROFILE_FALLBACK if PROFILE_FALLBACK in names else called), called)
        if PROFILE_FALLBACK not in names:
            return cls(names, _standing_out(heard))
        # The profile may have been named since: then nobody was ever heard beside `User` whose name it is.
        since = list(takewhile(lambda speakers: PROFILE_FALLBACK not in speakers, heard))
        beside = set().union(*(speakers for speakers in heard if PROFILE_FALLBACK in speakers))
        own = _standing_out(since) or _standing_out(heard)
        return cls(names, PROFILE_FALLBACK if own is None or own in beside else own)

    def meant(self, speaker: str) -> Person | None:
        """The names in transcripts that `speaker` stands for; None for the user where that is not known."""
        if not self.means_user(speaker):
            part = self.user is not None and is_called(self.user, speaker)
            return (speaker, PROFILE_FALLBACK) if part else (speaker,)
        if self.user is None:
            return (PROFILE_FALLBACK,) if unaccented(speaker) in ("you", _FALLBACK) else None
        return tuple(dict.fromkeys((self.user, PROFILE_FALLBACK)))

    def means_user(self, speaker: str) -> bool:
        """Whether `speaker` stands for the person: "me", "you" or their own name, in transcripts or in the settings.
        Somebody else who is really called that is not meant."""
        wanted = unaccented(speaker)
        if wanted == _FALLBACK or any(name and wanted == unaccented(name) for name in (self.user, self.called)):
            return True
        return wanted in _ONESELF and not any(unaccented(name) == wanted for name in self.names)


def _heard_most(heard: Iterable[Iterable[str]]) -> list[tuple[str, int]]:
    """Names, and in how many conversations each is heard, most first."""
    counts = Counter(chain.from_iterable(heard))
    return [(name, count) for name, count in counts.most_common() if not _UNNAMED.fullmatch(name)]


def _standing_out(heard: Sequence[Iterable[str]]) -> str | None:
    """Who is heard in most conversations by far."""
    (first, most), (_, next_most) = [*_heard_most(heard), ("", 0), ("", 0)][:2]
    return first if most >= ENOUGH and 3 * most >= 2 * len(heard) and most >= 2 * next_most else None
