"""What may go wrong on the way, as rules: which fault, on which routes, how often. Seeded, so a run can be replayed.

A spec is a list of rules parted by commas, each `kind[=number][@route[+route...]][*rate][#times]`:

    drop-after@create#1                 the first text create is made, its answer never comes
    503@list*0.2, delay=2@reads*0.5     every fifth list fails, every second read takes two seconds longer

Kinds, with what the client sees and what the service has done by then:

    refuse          no connection                               nothing
    drop-before     the connection closes without an answer     nothing
    drop-during=s   the connection closes without an answer     the request, s seconds later (0.05)
    drop-after      the connection closes without an answer     the request
    reset           the connection is reset in mid-answer       the request
    hang            silence                                     the request
    delay=s         the answer, s seconds late (1)              the request, when the answer comes
    slow=s          the body in pieces over s seconds (1)       the request
    429=s           429, `Retry-After: s` (60)                  nothing
    500, 503        the service's 500 and 503 for that route    nothing
    504             504 without a body                          the request: the time limit does not stop the work
    truncate        half of the body, well framed               the request
    html            200 with a gateway's HTML page              the request
    mistype         the answer labelled text/plain              the request

Routes: list, get, create, segments, update, delete, folders, key; reads and writes for the groups; none means all.
Where several rules fit a request, the first one whose dice fall wins.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_NUMBERS: dict[str, float] = {"drop-during": 0.05, "delay": 1.0, "slow": 1.0, "429": 60.0}
KINDS: tuple[str, ...] = (
    "refuse", "drop-before", "drop-during", "drop-after", "reset", "hang", "delay", "slow",
    "429", "500", "503", "504", "truncate", "html", "mistype",
)  # fmt: skip
_GROUPS: dict[str, frozenset[str]] = {
    "reads": frozenset({"list", "get", "folders", "key"}),
    "writes": frozenset({"create", "segments", "update", "delete"}),
}
ROUTES = frozenset().union(*_GROUPS.values())
_RULE = re.compile(
    r"(?P<kind>[a-z0-9-]+)(?:=(?P<number>\d+(?:\.\d+)?))?(?:@(?P<routes>[a-z+]+))?"
    r"(?:\*(?P<rate>\d*\.?\d+))?(?:#(?P<times>\d+))?"
)
_CONVERSATIONS = "/v1/dev/user/conversations"


@dataclass(frozen=True)
class Rule:
    """One fault. `number` is in seconds; `rate` a probability; `times` how often at most, None without end."""

    kind: str
    number: float = 0.0
    routes: frozenset[str] = ROUTES
    rate: float = 1.0
    times: int | None = None


class Faults:
    """The rules in force, and how often each has struck."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._struck: Counter[int] = Counter()

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read a spec as described above. Raises ValueError naming the rule that does not fit."""
        return cls(_parse(text.strip()) for text in spec.split(",") if text.strip())

    def pick(self, method: str, path: str, dice: random.Random) -> Rule | None:
        """The fault that strikes this request, if any."""
        route = _route(method, path)
        for index, rule in enumerate(self._rules):
            spent = rule.times is not None and self._struck[index] >= rule.times
            if route in rule.routes and not spent and dice.random() < rule.rate:
                self._struck[index] += 1
                return rule
        return None


def _parse(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        raise ValueError(
            f"fault {text!r}: expected kind[=number][@route+route][*rate][#times], kinds {', '.join(KINDS)}"
        )
    kind, number = match["kind"], match["number"]
    if number is not None and kind not in _NUMBERS:
        raise ValueError(f"fault {text!r}: {kind} takes no number")
    rate = float(match["rate"] or 1)
    if rate > 1:
        raise ValueError(f"fault {text!r}: the rate is a probability, 0 to 1")
    return Rule(
        kind=kind,
        number=_NUMBERS.get(kind, 0.0) if number is None else float(number),
        routes=_routes(text, match["routes"]),
        rate=rate,
        times=int(match["times"]) if match["times"] else None,
    )


def _routes(text: str, names: str | None) -> frozenset[str]:
    if names is None:
        return ROUTES
    chosen: set[str] = set()
    for name in names.split("+"):
        if name not in ROUTES and name not in _GROUPS:
            raise ValueError(f"fault {text!r}: unknown route {name!r}, known: {', '.join(sorted({*ROUTES, *_GROUPS}))}")
        chosen |= _GROUPS.get(name, {name})
    return frozenset(chosen)


def _route(method: str, path: str) -> str | None:
    """The name a request's route has in a spec; None for one the service does not know."""
    match method, path.removeprefix(_CONVERSATIONS):
        case "GET", "/v1/dev/user/folders":
            return "folders"
        case "GET", "/v1/dev/key":
            return "key"
        case "GET", "":
            return "list"
        case "POST", "":
            return "create"
        case "POST", "/from-segments":
            return "segments"
        case (("GET" | "PATCH" | "DELETE"), rest) if rest.startswith("/") and rest != path:
            return {"GET": "get", "PATCH": "update", "DELETE": "delete"}[method]
    return None
