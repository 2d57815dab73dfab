"""The accounts: what was said in each, and the words by which it is known whose an answer is."""

import random
import re
from datetime import datetime, timedelta
from typing import Any

SUBJECTS = ("budget", "doctor", "launch", "dinner", "pricing", "garden", "school", "server", "holiday", "ferry")
THINGS = (
    "contract", "invoice", "appointment", "kitchen", "bicycle", "presentation", "ticket", "insurance", "landlord",
    "piano", "vaccination", "newsletter", "warehouse", "interview", "birthday", "passport", "heating", "recipe",
)  # fmt: skip
PEOPLE = ("Ana", "Ben", "Cleo", "Dmitri", "Esra", "Femi", "Greta", "Hiro")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "the weekend")
LINES = (
    "We still have to settle the {a} for {own} before {day}.",
    "Did {who} ever answer about the {b}? It was {n} euros, I think.",
    "For {own} I would rather move the {a} than lose the {b}.",
    "Let me write that down: {who} calls about the {b} on {day}.",
    "No, the {a} of {own} was {n} last time, and nobody complained.",
    "I asked {who} twice. The {b} is not ready, so the {a} has to wait until {day}.",
    "Then {own} gets the {b}, and we look at the {a} again in {n} days.",
    "That is all there is to say of the {a}. What about the {b} of {own}?",
    "Honestly, without {who} the {a} would have gone wrong for {own}.",
    "Could you bring the {b} along on {day}? I need it for the {a}.",
)
MODELS = 100
LEAST, MOST = 5, 9
"""Lines of a conversation."""

_MARK = re.compile(r"\bown\d{5}own\b")


def mark(number: int) -> str:
    """The word that only this account's texts hold."""
    return f"own{number:05}own"


def marks(text: str) -> set[str]:
    """The accounts whose words are in `text`."""
    return set(_MARK.findall(text))


def model(number: int) -> int:
    """The first account that says the same, but for its mark: what was copied of it will do for this one too."""
    return number % MODELS


def key(number: int) -> str:
    """Of the account, at the service."""
    return f"omi_dev_benchmark{number:05}"


def talks(number: int, count: int, now: datetime) -> list[dict[str, Any]]:
    """The conversations of an account, the newest first, three or four a day."""
    dice = random.Random(model(number))
    own = mark(number)
    made = []
    for each in range(count):
        subject = SUBJECTS[each % len(SUBJECTS)]
        thing = dice.choice(THINGS)
        made.append(
            {
                "id": f"{own}-{each}",
                "started_at": (now - timedelta(hours=7 * each + 1 + dice.random())).isoformat(),
                "title": f"The {subject} and the {thing} of {own}",
                "overview": f"They speak about the {subject}, and what becomes of the {thing}, as {own} wanted.",
                "segments": [
                    {
                        "speaker": dice.choice(PEOPLE[:3]),
                        "text": _line(dice, own, subject, thing) + f" ({own})",
                    }
                    for _ in range(dice.randint(LEAST, MOST))
                ],
            }
        )
    return made


def note(number: int, unique: str, dice: random.Random) -> str:
    """A text that a person has their assistant keep: Omi makes its title of the first sentence, which is `heading`."""
    said = " ".join(_line(dice, mark(number), dice.choice(SUBJECTS), dice.choice(THINGS)) for _ in range(2))
    return f"{heading(number, unique)}. {said}"


def heading(number: int, unique: str) -> str:
    return f"Note {unique} of {mark(number)}"


def _line(dice: random.Random, own: str, subject: str, thing: str) -> str:
    return dice.choice(LINES).format(
        a=subject, b=thing, own=own, who=dice.choice(PEOPLE), day=dice.choice(DAYS), n=dice.randint(2, 90)
    )
