"""What was asked, as terms: nothing a person types is syntax except quotes, which keep a phrase together."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from omi_mcp.mirror.index.days import spell_out
from omi_mcp.mirror.index.words import fold, run_length, storable, words
from omi_mcp.mirror.search.stopwords import ASKING_WORDS, DECIDING_WORDS, DECISIONS, stop_words

MOST_TERMS = 32
"""Of a longer query the longest words are kept: they are the rarest."""

ASKING_WEIGHT = 0.3
"""What a word that only asks counts, beside words that describe."""

_LONGEST_QUERY = 10_000
_QUOTED = re.compile(r'["“”„«»]([^"“”„«»]+)["“”„«»]')
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b", re.IGNORECASE)


@dataclass(frozen=True)
class Term:
    """One thing to look for: a word, or several that must stand side by side. `weight` is 1, less for a dull word."""

    words: tuple[str, ...]
    weight: float = 1.0

    @property
    def expression(self) -> str:
        """As an FTS5 string, so that nothing in it is syntax."""
        quoted = " ".join(self.words).replace('"', '""')
        return f'"{quoted}"'


@dataclass(frozen=True)
class Query:
    """`terms` are alternatives in the order asked, the more the better; each of `phrases` is required.

    `synonyms` say the same as the deciding words among the terms. They add to what is found and find nothing alone.
    """

    terms: tuple[Term, ...]
    phrases: tuple[Term, ...] = ()
    synonyms: tuple[Term, ...] = ()

    @property
    def everything(self) -> tuple[Term, ...]:
        return (*self.phrases, *self.terms)


def any_of(terms: Iterable[Term]) -> str:
    """The FTS5 expression for entries that match at least one of `terms`."""
    return " OR ".join(term.expression for term in terms)


def parse(text: str) -> Query:
    """The query in `text`; without terms and phrases when nothing in it is a word."""
    text = fold(spell_out(storable(text[:_LONGEST_QUERY])))
    phrases = [Term(tuple(word.folded for word in words(quoted))) for quoted in _QUOTED.findall(text)]
    required = tuple(dict.fromkeys(phrase for phrase in phrases if phrase.words))[:MOST_TERMS]
    asked = list(dict.fromkeys(_terms(_POSSESSIVE.sub("", _QUOTED.sub(" ", text)))))
    dull = stop_words([term.words[0] for term in asked if len(term.words) == 1])
    telling = [term for term in asked if term.words[0] not in dull or len(term.words) > 1]
    if not telling and not required:
        return Query(_longest(asked))
    if required or any(term.words[0] not in ASKING_WORDS for term in telling):
        telling = [replace(term, weight=ASKING_WEIGHT) if term.words[0] in ASKING_WORDS else term for term in telling]
        return Query(_longest(telling), required, _synonyms(telling))
    return Query(_longest(telling), required)


def _synonyms(terms: list[Term]) -> tuple[Term, ...]:
    asked = {term.words[0] for term in terms}
    if asked.isdisjoint(DECIDING_WORDS):
        return ()
    return tuple(Term((word,), ASKING_WEIGHT) for word in DECISIONS if word not in asked)


def _terms(text: str) -> Iterator[Term]:
    """Words as terms; a run of characters written without spaces as its overlapping pieces."""
    run: list[str] = []
    end, length = -1, 1
    for word in words(text):
        if run and (word.start != end or run_length(word.folded) != length):
            yield from _pieces(run, length)
            run = []
        length = run_length(word.folded)
        if length == 1:
            yield Term((word.folded,))
        else:
            run.append(word.folded)
        end = word.end
    if run:
        yield from _pieces(run, length)


def _pieces(run: list[str], length: int) -> Iterator[Term]:
    for start in range(max(1, len(run) - length + 1)):
        yield Term(tuple(run[start : start + length]))


def _longest(terms: list[Term]) -> tuple[Term, ...]:
    if len(terms) <= MOST_TERMS:
        return tuple(terms)
    kept = sorted(terms, key=lambda term: -sum(map(len, term.words)))[:MOST_TERMS]
    return tuple(term for term in terms if term in set(kept))
