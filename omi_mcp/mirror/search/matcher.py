"""What a query looks for in a text, in the index's own terms, and how much of it a text holds."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import fsum
from typing import NamedTuple, Self

from omi_mcp.mirror.index import Word, folded_words, indexable, stems, word_count, words
from omi_mcp.mirror.search.query import DECIDING_WORDS, Query, Term

NEAR = 4
"""Words between which neighbours of the query still belong together."""

_NOTHING: frozenset[str] = frozenset()


class Occurrence(NamedTuple):
    """A word of a text that is sought: its place among the words, the word, and the index term it counts for."""

    place: int
    word: Word
    term: str


class Quoted(NamedTuple):
    """A phrase of the query, what it is in the index, and its weight."""

    term: Term
    terms: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class TermMatcher:
    """Index terms with their weights (rare is heavy), and which of them stand next to each other in the query.

    A word that is only in `phrases` counts in them alone. `asked` are the words of the query, in order, with what they
    are in the index.
    """

    weights: Mapping[str, float]
    neighbours: tuple[tuple[str, str], ...]
    phrases: tuple[Quoted, ...] = ()
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Query, rarity: Mapping[Term, float] | None = None) -> Self:
        """`rarity` is what each term is worth; without it all are worth the same."""
        known = stems(word for term in (*query.everything, *query.synonyms) for word in term.words)
        weights: dict[str, float] = {}
        order: list[str] = []
        phrases = tuple(
            Quoted(
                phrase, tuple(known[word] for word in phrase.words if word in known), rarity[phrase] if rarity else 1.0
            )
            for phrase in query.phrases
            if any(word in known for word in phrase.words)
        )
        asked = {term.text: tuple(known[word] for word in term.words if word in known) for term in query.terms}
        for term in (*query.terms, *query.synonyms):
            worth = term.weight * (rarity[term] if rarity else 1.0) / len(term.words)
            for stem in (known[word] for word in term.words if word in known):
                weights[stem] = max(worth, weights.get(stem, 0.0))
                order.append(stem)
        pairs = list(pairwise(order[: len(order) - len(query.synonyms)]))
        deciding = {known[word] for term in query.terms for word in term.words if word in DECIDING_WORDS}
        for synonym in order[len(order) - len(query.synonyms) :]:
            pairs += [(synonym, other) for one, other in pairs if one in deciding and other not in deciding]
            pairs += [(one, synonym) for one, other in pairs if other in deciding and one not in deciding]
        return cls(weights, tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1])), phrases, asked)

    @staticmethod
    def stems_of(term: Term) -> tuple[str, ...]:
        """The index terms of its words."""
        known = stems(term.words)
        return tuple(known[word] for word in term.words if word in known)

    def recognise(self, folded: Collection[str]) -> dict[str, str]:
        """The sought term of each folded word that is one, be it only in a phrase."""
        lines = "\n".join(folded)
        possible = set(self._possible.findall(lines))
        if not lines.isascii():
            possible.update(word for word in folded if not word.isascii())
        return {word: stem for word, stem in stems(possible).items() if stem in self._sought}

    def find(self, text: str) -> list[Occurrence]:
        """The sought words of `text`, in order."""
        if not self._sought:
            return []
        if text.isascii():
            found = self._find_ascii(text)
        else:
            known = self.recognise(set(folded_words(indexable(text))))
            if not known:
                return []
            found = [
                Occurrence(place, word, known[word.folded])
                for place, word in enumerate(words(text))
                if word.folded in known
            ]
        if not self.phrases or not found:
            return found
        inside = {index for start, phrase in self._runs(found) for index in range(start, start + len(phrase.terms))}
        return [each for index, each in enumerate(found) if index in inside or each.term in self.weights]

    def _runs(self, found: Sequence[Occurrence]) -> Iterator[tuple[int, Quoted]]:
        """Where among the words found a phrase begins, and which."""
        for phrase in self.phrases:
            length = len(phrase.terms)
            for start in range(len(found) - length + 1):
                run = found[start : start + length]
                if run[-1].place - run[0].place == length - 1 and tuple(each.term for each in run) == phrase.terms:
                    yield start, phrase

    def terms_of_each(self, texts: Sequence[str]) -> list[Set[str]]:
        """The sought terms in each of `texts`: as `find`, without places, and in less time for many short ones."""
        plain = [text if text.isascii() else "" for text in texts]
        terms: dict[int, set[str]] = {
            number: {each.term for each in self.find(text)}
            for number, text in enumerate(texts)
            if text and not plain[number]
        }
        possible = [(match.start(), match.group().lower()) for match in self._possible_words.finditer("\n".join(plain))]
        known = stems({word for _, word in possible}) if possible and self._sought else {}
        ends = list(accumulate(len(text) + 1 for text in plain))
        for start, word in possible:
            if (term := known.get(word, "")) in self._sought:
                terms.setdefault(bisect_right(ends, start), set()).add(term)
        return [terms.get(number, _NOTHING) for number in range(len(texts))]

    def _find_ascii(self, text: str) -> list[Occurrence]:
        """The same in a fraction of the time: only words that begin as a sought term does are looked at."""
        possible = [Word(*match.span(), match.group().lower()) for match in self._possible_words.finditer(text)]
        known = stems({word.folded for word in possible}) if possible else {}
        found = []
        place = end = 0
        for word in possible:
            if (term := known.get(word.folded, "")) in self._sought:
                place += word_count(text[end : word.start])
                found.append(Occurrence(place, word, term))
                end = word.start
        return found

    @cached_property
    def _possible(self) -> re.Pattern[str]:
        """Lines that begin as a sought term does: stemming an ASCII word changes no more than its end."""
        return re.compile(f"^{self._beginnings}.*$", re.MULTILINE)

    @cached_property
    def _possible_words(self) -> re.Pattern[str]:
        return re.compile(f"(?<![0-9A-Za-z]){self._beginnings}[0-9A-Za-z]*", re.IGNORECASE)

    @cached_property
    def _sought(self) -> Set[str]:
        return self.weights.keys() | {term for phrase in self.phrases for term in phrase.terms}

    @property
    def _beginnings(self) -> str:
        beginnings = {term[: min(4, max(1, len(term) - 1))] for term in self._sought}
        return f"(?:{'|'.join(map(re.escape, sorted(beginnings)))})"

    def worth(self, terms: Set[str]) -> float:
        """What these terms are worth together. Exact, so that it does not depend on the order of a set."""
        return fsum(map(self.weights.__getitem__, terms))

    def closeness(self, places: Sequence[tuple[int, str]]) -> float:
        """What it adds that neighbours of the query are near each other: the mean worth of each such pair, once.

        `places` are those of sought terms in a text, in order.
        """
        pairs = self._pairs
        near: set[tuple[str, str]] = set()
        for index, (place, term) in enumerate(places):
            if len(near) == len(pairs):
                break
            for other, following in places[index + 1 : index + 1 + NEAR]:
                if other - place > NEAR:
                    break
                if (term, following) in pairs:
                    near.add((term, following))
                if (following, term) in pairs:
                    near.add((following, term))
        return fsum([worth for pair, worth in pairs.items() if pair in near]) if near else 0.0

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], float]:
        """What each pair of neighbours is worth."""
        return {(one, other): (self.weights[one] + self.weights[other]) / 2 for one, other in self.neighbours}

    def value(self, found: Sequence[Occurrence]) -> float:
        """What the words found in one text are worth, together and by being close."""
        known = [(each.place, each.term) for each in found if each.term in self.weights]
        quoted = fsum(phrase.weight for phrase in self.whole(found))
        return self.worth({term for _, term in known}) + self.closeness(known) + quoted

    def whole(self, found: Sequence[Occurrence]) -> Set[Quoted]:
        """The phrases that are among the words found in one text."""
        return {phrase for _, phrase in self._runs(found)}

    def by_words(self, found: Sequence[Occurrence], named: Set[str] = frozenset()) -> tuple[str, ...]:
        """By which words and phrases of the query a text was found, as asked for; empty where it has all of them.

        `named` are sought terms in the name of who says it.
        """
        held = {each.term for each in found} | named
        whole = self.whole(found)
        words = {word: terms for word, terms in self.asked.items() if held.issuperset(terms)}
        if len(words) == len(self.asked) and len(whole) == len(self.phrases):
            return ()
        inside = {term for phrase in whole for term in phrase.terms}
        phrases = (f'"{phrase.term.text}"' for phrase in self.phrases if phrase in whole)
        return (*phrases, *(word for word, terms in words.items() if not inside.issuperset(terms)))
