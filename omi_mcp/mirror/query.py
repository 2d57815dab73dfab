"""What was asked, as terms: nothing a person types is syntax except quotes, which keep a phrase together."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from omi_mcp.mirror.stopwords import stop_words
from omi_mcp.mirror.words import fold, run_length, storable, words

MOST_TERMS = 32
"""Of a longer query the longest words are kept: they are the rarest."""

_LONGEST_QUERY = 10_000
_QUOTED = re.compile(r'["“”„«»]([^"“”„«»]+)["“”„«»]')
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b", re.IGNORECASE)


@dataclass(frozen=True)
class Term:
    """One thing to look for: a word, or several that must stand side by side; `prefix` if the last is a beginning."""

    words: tuple[str, ...]
    prefix: bool = False

    @property
    def expression(self) -> str:
        """As an FTS5 string, so that nothing in it is syntax."""
        quoted = " ".join(self.words).replace('"', '""')
        return f'"{quoted}"*' if self.prefix else f'"{quoted}"'


@dataclass(frozen=True)
class Query:
    """`terms` are alternatives, of which more is better; each of `phrases` is required."""

    terms: tuple[Term, ...]
    phrases: tuple[Term, ...] = ()

    @property
    def expression(self) -> str:
        """The FTS5 query for everything worth ranking."""
        return any_of((*self.phrases, *self.terms))


def any_of(terms: Iterable[Term]) -> str:
    return " OR ".join(term.expression for term in terms)


def parse(text: str) -> Query:
    """The query in `text`; without terms and phrases when nothing in it is a word."""
    text = fold(storable(text[:_LONGEST_QUERY]))
    phrases = [Term(tuple(word.folded for word in words(quoted))) for quoted in _QUOTED.findall(text)]
    rest = _POSSESSIVE.sub("", _QUOTED.sub(" ", text))
    terms = list(dict.fromkeys(_terms(rest)))
    dull = stop_words([term.words[0] for term in terms if len(term.words) == 1])
    telling = [term for term in terms if len(term.words) > 1 or term.words[0] not in dull]
    required = tuple(dict.fromkeys(phrase for phrase in phrases if phrase.words))[:MOST_TERMS]
    return Query(_longest(telling if telling or required else terms), required)


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
