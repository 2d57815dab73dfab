"""The measurement of many machines would see what is wrong."""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.hosting.accounts import mark
from benchmarks.hosting.assistants import Tally
from benchmarks.hosting.killing import Create, Trial


def test_a_create_made_twice_lost_or_never_asked_for_is_found() -> None:
    trial = Trial("http://127.0.0.1:1", [], 0, random.Random(0), Tally(), 0)
    trial.creates = [Create(0, text, text, doubled=False) for text in ("well", "twice", "lost", "unanswered")]
    trial.creates[0].answered, trial.creates[1].answered, trial.creates[2].answered = {"a"}, {"b"}, {"d"}
    assert trial.judged({0: {"a": "well", "b": "twice", "e": "unanswered"}}) == [
        "answered with ['d'], there is []: lost"
    ]
    found = trial.judged({0: {"a": "well", "b": "twice", "c": "twice", "d": "lost"}, 1: {"f": "well"}})
    assert "made 2 times: twice" in found
    assert "1 that nobody asked for" in found


def test_another_accounts_words_are_counted() -> None:
    tally = Tally()
    tally.check("search", f"of {mark(1)}", 1)
    assert not tally.wrong
    tally.check("search", f"of {mark(1)} and {mark(2)}", 1)
    tally.check("read", "of nobody", 1)
    assert tally.wrong.total() == 2
