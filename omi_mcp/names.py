"""How names are compared, and which of the speakers is the user.

Case, width, accents and spacing do not count, and a word of a name stands for the whole.

The API does not say which speaker is the user: their own speech carries the name of their profile, or `User` where
that has none. So it is the name in the settings, or the one who is heard in most conversations by far.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

RECENT = 100
"""Conversations looked at, the newest: enough to tell, and a changed profile name is soon known."""

ENOUGH = 3
"""Conversations before anybody stands out."""

PROFILE_FALLBACK = "User"

_UNNAMED = re.compile(r"speaker(?: ?\d+|_\d+)?", re.IGNORECASE)
_ONESELF = frozenset({"me", "i", "myself", "you", "user", "the user"})


def fold(text: str) -> str:
    """`text` without differences of case and width. Accents stay."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def unaccented(text: str) -> str:
    """`text` folded, without accents and with single spaces: how names and titles are compared."""
    folded = unicodedata.normalize("NFKD", fold(text))
    return " ".join("".join(character for character in folded if not unicodedata.combining(character)).split())


def is_called(name: str, wanted: str) -> bool:
    """Whether `wanted` is this name or one or more words of it."""
    return f" {unaccented(wanted)} " in f" {unaccented(name)} "


def those_called(names: Iterable[str], wanted: str) -> list[str]:
    """Which of `names` are `wanted`; where none is, those of which it is a word."""
    partly = [name for name in names if is_called(name, wanted)]
    return [name for name in partly if unaccented(name) == unaccented(wanted)] or partly


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
        """From the names of the speakers of each conversation."""
        heard = [set(names) for names in conversations if names]
        counts = Counter(chain.from_iterable(heard))
        ranking = [(name, count) for name, count in counts.most_common() if not _UNNAMED.fullmatch(name)]
        names = tuple(name for name, _ in ranking)
        if called is not None:
            own = next((name for name in names if is_called(name, called)), None)
            return cls(names, own or (PROFILE_FALLBACK if PROFILE_FALLBACK in names else called), called)
        (first, most), (_, next_most) = [*ranking, ("", 0), ("", 0)][:2]
        stands_out = most >= ENOUGH and 3 * most >= 2 * len(heard) and most >= 2 * next_most
        return cls(names, first if stands_out else PROFILE_FALLBACK if PROFILE_FALLBACK in names else None)

    def meant(self, speaker: str) -> str | None:
        """The name in transcripts that `speaker` stands for; None for the user where that is not known."""
        if not self.means_user(speaker):
            return speaker
        if unaccented(speaker) in ("you", "user") and (self.user is None or PROFILE_FALLBACK in self.names):
            return PROFILE_FALLBACK
        return self.user

    def means_user(self, speaker: str) -> bool:
        """Whether `speaker` stands for the person: "me", "you" or their name in the settings. Whoever is really called
        that is not meant."""
        wanted = unaccented(speaker)
        if any(unaccented(name) == wanted for name in self.names):
            return False
        return wanted in _ONESELF or (self.called is not None and wanted == unaccented(self.called))
