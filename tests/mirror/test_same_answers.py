"""The same conversations give the same answers, however a mirror came to them."""

import os
import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import history_kit
from history_kit import Mirror, Searched, Step, differences, little_is_much, searches, steps
from hypothesis import given
from hypothesis import strategies as st
from search_kit import find, ids, opened, talk

from omi_mcp.mirror.types import Replaced


@given(lived=steps, asked=searches, seed=st.integers(0, 9), much=st.booleans())
def test_what_a_mirror_lived_through_makes_no_difference(
    lived: list[Step], asked: list[Searched], seed: int, much: bool
) -> None:
    with Mirror.opened() as mirror, little_is_much() if much else nullcontext():
        for step in lived:
            mirror.live(step)
        with mirror.made_anew(random.Random(seed)) as other:
            assert not differences(mirror.store, other.store, asked)


def test_a_word_that_is_gone_stands_in_for_none() -> None:
    with opened() as store:
        store.upsert([talk("a", ("Ana", "The heliotropes bloom.")), talk("b", ("Ana", "One heliotrope blooms."))])
        assert find(store, "heliotropesq").replaced == (Replaced("heliotropesq", ("heliotropes",)),)
        store.upsert([talk("a", ("Ana", "The roses bloom."))])
        found = find(store, "heliotropesq")
        assert (found.replaced, ids(found)) == ((Replaced("heliotropesq", ("heliotrope",)),), ["b"])
        store.set_hidden("b", True)
        assert not find(store, "heliotropesq").replaced
        store.set_hidden("b", False)
        assert ids(find(store, "heliotropesq")) == ["b"]
        store.remove(["b"])
        assert not find(store, "heliotropesq").replaced


def test_answers_do_not_depend_on_how_python_hashes() -> None:
    script = [sys.executable, history_kit.__file__]
    seeds = [
        os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(history_kit.__file__).parent)} for seed in "12"
    ]
    processes = [subprocess.Popen(script, env=environment, stdout=subprocess.PIPE) for environment in seeds]
    one, other = (process.communicate(timeout=60)[0] for process in processes)
    assert len(one) > 10_000
    assert one == other
