"""What was asked, as terms: nothing a person types is syntax except quotes, which keep a phrase together."""

import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from omi_mcp.mirror.index import MONTHS, WEEKDAYS, in_words, run_length, storable, words
from omi_mcp.names import fold

MOST_TERMS = 32
"""Of a longer query the longest words are kept: they are the rarest."""

ASKING_WEIGHT = 0.3
"""What a word that only asks counts, beside words that describe."""

DECIDING_WORDS = frozenset(
    word
    for line in (
        "agree agreed agreement agreements agrees conclude concluded concludes conclusion conclusions decide decided",
        "decides deciding decision decisions settle settled settles",
    )
    for word in line.split()
)
"""Words that ask what became of a matter. Whoever tells it rarely uses the same one."""

DECISIONS = ("decide", "decision", "settle")
"""What stands in for any of `DECIDING_WORDS`: their stems differ."""

ASKING_WORDS = DECIDING_WORDS | frozenset(
    word
    for line in (
        "according ask asked conversation conversations describe describes discuss discussed discusses discussing",
        "discussion discussions explain explained meeting meetings mention mentioned mentions opinion opinions said",
        "say says speak spoke spoken summaries summarise summarize summary talk talked talking talks tell think thinks",
        "thought thoughts told view views",
        "besprechen besprochen diskutiert erzählt gesagt gespräch gesprochen meinung meint sagt sagte zusammenfassung",
    )
    for word in line.split()
)
"""Words that ask about any conversation rather than describe one."""

_LONGEST_QUERY = 10_000
_QUOTED = re.compile(r'["“”„«»]([^"“”„«»]+)["“”„«»]')
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b", re.IGNORECASE)

_WEEKDAY_WORDS = frozenset(name.lower() for name in WEEKDAYS)
_MONTH_WORDS = frozenset(name.lower() for name in MONTHS)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"[1-9]|[12]\d|3[01]")
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_NUMBER = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})\b"
_DAY_AND_MONTH = (
    re.compile(rf"\b{_NUMBER}\s+(?:of\s+)?{_MONTH}", re.IGNORECASE),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?{_NUMBER}", re.IGNORECASE),
)


@dataclass(frozen=True)
class Term:
    """One thing to look for: a word, or several that must stand side by side. `weight` is 1, less for a dull word."""

    words: tuple[str, ...]
    weight: float = 1.0

    @property
    def text(self) -> str:
        """As it was asked for, folded; a piece of a run of characters without spaces has none."""
        return ("" if run_length(self.words[0]) > 1 else " ").join(self.words)

    @property
    def expression(self) -> str:
        """As an FTS5 string, so that nothing in it is syntax."""
        quoted = " ".join(self.words).replace('"', '""')
        return f'"{quoted}"'


@dataclass(frozen=True)
class Query:
    """`terms` are alternatives in the order asked, the more the better, the words of `phrases` among them.

    What has a phrase comes before all that has none; with `quoted` nothing but phrases is asked for. `synonyms` say the
    same as the deciding words among the terms. They add to what is found and find nothing alone.
    """

    terms: tuple[Term, ...]
    phrases: tuple[Term, ...] = ()
    synonyms: tuple[Term, ...] = ()
    quoted: bool = False

    @property
    def everything(self) -> tuple[Term, ...]:
        return tuple(dict.fromkeys((*self.phrases, *self.terms)))

    @property
    def telling(self) -> tuple[Term, ...]:
        """The terms that describe; those that only ask where there is no other."""
        return tuple(term for term in self.terms if term.weight == 1.0) or (() if self.phrases else self.terms)

    def within(self, phrase: Term) -> tuple[Term, ...]:
        """The terms that are words of `phrase`: all but its stop words."""
        return tuple(term for term in self.terms if set(term.words) <= set(phrase.words))


def count(connection: sqlite3.Connection, term: Term, most: int = -1) -> int:
    """The entries that have `term`, at most `most`."""
    counted = "select count(*) from (select 1 from entries where entries match ? limit ?)"
    (count,) = connection.execute(counted, (term.expression, most)).fetchone()
    return int(count)


def any_of(terms: Iterable[Term]) -> str:
    """The FTS5 expression for entries that match at least one of `terms`."""
    return " OR ".join(term.expression for term in terms)


def all_of(terms: Iterable[Term]) -> str:
    """The same for entries that match every one of `terms`."""
    return f"({' AND '.join(term.expression for term in terms)})"


def two_of(terms: Sequence[Term]) -> str:
    """The same for at least two of `terms`, which are two or more: one in each half, or two in one of them."""
    half = len(terms) // 2
    first, second = terms[:half], terms[half:]
    ways = [f"(({any_of(first)}) AND ({any_of(second)}))"]
    return " OR ".join([*ways, *(two_of(part) for part in (first, second) if len(part) > 1)])


def parse(text: str) -> Query:
    """The query in `text`; without terms and phrases when nothing in it is a word."""
    text = fold(spell_out(storable(text[:_LONGEST_QUERY])))
    phrases = [Term(tuple(word.folded for word in words(quoted))) for quoted in _QUOTED.findall(text)]
    quoted = tuple(dict.fromkeys(phrase for phrase in phrases if phrase.words))[:MOST_TERMS]
    asked = list(dict.fromkeys(_terms(_POSSESSIVE.sub("", _QUOTED.sub(r" \1 ", text)))))
    dull = _stop_words([term.words[0] for term in asked if len(term.words) == 1])
    telling = [term for term in asked if term.words[0] not in dull or len(term.words) > 1]
    if not telling and not quoted:
        return Query(_longest(asked))
    if not quoted and all(term.words[0] in ASKING_WORDS for term in telling):
        return Query(_longest(telling))
    beside = _terms(_POSSESSIVE.sub("", _QUOTED.sub(" ", text))) if quoted else ()
    alone = all(term.words[0] in dull | ASKING_WORDS for term in beside)
    telling = [replace(term, weight=ASKING_WEIGHT) if term.words[0] in ASKING_WORDS else term for term in telling]
    return Query(_longest(telling), quoted, _synonyms(telling), quoted=bool(quoted) and alone)


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
    kept = set(sorted(terms, key=lambda term: -sum(map(len, term.words)))[:MOST_TERMS])
    return tuple(term for term in terms if term in kept)


def _spelled(match: re.Match[str]) -> str:
    try:
        return in_words(date.fromisoformat(match.group()))
    except ValueError:
        return match.group()


def _stop_words(words: Collection[str]) -> frozenset[str]:
    """The stop words of the language `words` seem to be in.

    English unless another has more and at least two, so that "civil war" and "the van" keep their nouns.
    """
    counts = {language: sum(word in listed for word in words) for language, listed in _STOP_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return _STOP_WORDS[best if counts[best] >= 2 else "en"]


_LISTS = {
    "en": """
        a about after again all also am an and any are aren as at be because been before being both but by can cannot
        could couldn d did didn do does doesn doing don done down during each else ever every few for from further get
        gets got had hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn
        it its itself just let ll m many me might mine more most much must my myself no nor not now of off on once
        only or other our ours ourselves out over own please re s same shall she should shouldn so some such t than
        that the their theirs them themselves then there these they this those through to too under until up upon us
        ve very was wasn we were weren what when where which while who whom whose why will with won would wouldn you
        your yours yourself yourselves
    """,
    "de": """
        aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis da damit dann das dass dazu dein
        deine dem den denn der des dessen dich die dir doch dort du durch ein eine einem einen einer eines er es euch
        euer eure für gewesen hab habe haben hast hat hatte hatten ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in
        ins ist ja jede jedem jeden jeder jedes kann kein keine keinem keinen keiner können könnte man mein meine
        meinem meinen meiner mich mir mit möchte nach nicht noch nur ob oder ohne sehr sein seine seinem seinen seiner
        seit sich sie sind so soll sollte sondern um und uns unser unsere unter vom von vor wann war waren warum was
        weil welche welchem welchen welcher welches wem wen wenn wer werde werden wie wieder will wir wird wo wurde
        wurden würde über zu zum zur zwischen
    """,
    "fr": """
        a ai as au aux avec avez avons ce ces cet cette comment d dans de des dont du elle elles en est et eu eux il
        ils j je l la le les leur leurs lui m ma mais me mes moi mon n ne nos notre nous on ont ou où par pas pour
        pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se ses son sont sur ta te tes toi ton tu un
        une vos votre vous y à ça été être
    """,
    "es": """
        a al algo como con cual cuando cuándo cuál de del donde dónde e el ella ellos en entre era es esa ese eso esta
        este esto está están fue ha han hay he la las le les lo los me mi mis muy más nada ni no nos o para pero por
        porque que quien quién qué se si sin sobre son su sus sí también te tu tus un una uno unos y ya yo él
    """,
    "it": """
        a ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e ed era gli ha
        hai hanno ho i il in io l la le lei lo loro lui ma mi mia mio ne nei nel nella noi non o per perché più quale
        quando quello questa questo se si sono su sua sul sulla suo ti tra tu un una uno voi è
    """,
    "pt": """
        a ao aos as com como da das de do dos e ela ele eles em entre era essa esse esta este eu foi isso isto já lhe
        mais mas me meu minha muito na nas nem no nos não nós o os ou para pela pelo por porque quais qual quando que
        quem se sem ser seu sua são também te tem teu um uma você vocês à é
    """,
    "nl": """
        aan al als bij dan dat de deze die dit door dus een en er had heb hebben heeft hem het hij hoe hun ik in is je
        jij kan maar me met mijn naar niet nog nu of om onder ons ook op over te tot u uit van voor waar waren was wat
        we wel werd wie wij zal ze zich zij zijn zo
    """,
}
_STOP_WORDS = {language: frozenset(text.split()) for language, text in _LISTS.items()}
