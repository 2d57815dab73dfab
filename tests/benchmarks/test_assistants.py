"""The evaluation with assistants: its keys are fair, its judge is strict, and recorded answers do not grow."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.assistants import recorded, scoring
from benchmarks.assistants.__main__ import main
from benchmarks.assistants.corpus import TODAY, id_of, own
from benchmarks.assistants.keys import Answer, Created, Key, State, clock, day, faults, number
from benchmarks.assistants.rooms import build, opened, state
from benchmarks.assistants.tasks import MAMA, MAMA_MOVED, TASKS, Kind
from omi_mcp.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

NOT_IN_SO_MANY_WORDS = {
    id_of("stand-up-2025-09-23"): "yesterday",
    MAMA: "Vierzehn Stufen",
    MAMA_MOVED: "Hüft-OP von Mama",
}
"""Where the value is worked out from what is said: a relative day, German, an event."""


@pytest.fixture(scope="module")
def account() -> Iterator[Sandbox]:
    with Sandbox(now=lambda: TODAY) as sandbox:
        sandbox.load_sample()
        sandbox.load(own())
        yield sandbox


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample library and a few of the invented conversations."""
    folder = tmp_path_factory.mktemp("assistants") / "base"
    needed = {id_of(name) for name in ("stand-up-2025-03-18", "stand-up-2024-11-12", "soup", "television")}
    anyio.run(build, folder, [line for line in own() if line["id"] in needed])
    return folder


@pytest.fixture(scope="module")
def whole_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All but meetings."""
    folder = tmp_path_factory.mktemp("assistants") / "whole"
    anyio.run(build, folder, own())
    return folder


async def test_recorded_answers_have_not_grown(whole_base: Path) -> None:
    calls = recorded.load()
    answers = await recorded.replayed(calls, whole_base)
    grown = recorded.grown(calls, answers)
    assert not grown, "\n".join(grown)
    assert recorded.more_requests(calls, answers) <= 0


async def test_what_is_not_copied_yet_cannot_be_read_in_a_young_room(whole_base: Path, tmp_path: Path) -> None:
    (task,) = (each for each in TASKS.values() if "tetanus" in each.question)
    async with opened(tmp_path / "room", whole_base, "tools", task) as room:
        found = await room.call("search_conversations", {"query": "tetanus injection"})
        read = await room.call("get_conversation", {"conversation_id": id_of("adeyemi-tetanus")})
    assert json.loads(found.text)["coverage"]["complete"] is False
    assert "not copied" in found.text
    assert "transcript has not been copied" in read.text
    assert "thirty-four" not in read.text


async def test_what_is_still_processed_was_not_hidden_by_the_assistant(base: Path, tmp_path: Path) -> None:
    (task,) = (each for each in TASKS.values() if "Frau Ohlsen ask me" in each.question)
    async with opened(tmp_path / "room", base, "tools", task) as room:
        await room.call("search_conversations", {"query": "Ohlsen"})
    assert state(tmp_path / "room") == State()
    async with opened(tmp_path / "again", base, "tools", task) as room:
        await room.call("discard", {"conversation_id": id_of("television")})
    assert state(tmp_path / "again").hidden == [id_of("television")]


def test_growth_is_told_by_call() -> None:
    call = recorded.Recorded("search_conversations", {"query": "key"}, characters=3, requests=0)
    (longer, dearer) = recorded.grown([call], [recorded.Answered("12345", error=False, requests=2)])
    assert longer == 'search_conversations {"query": "key"}: 5 characters, 2 more than its ceiling 3'
    assert dearer.endswith("2 API requests, its ceiling is 0")


def test_there_are_sixty_tasks_of_eight_kinds() -> None:
    assert len(TASKS) == 60
    assert {task.kind for task in TASKS.values()} == set(Kind)
    assert len({task.question for task in TASKS.values()}) == 60


@pytest.mark.parametrize("task", [task for task in TASKS.values() if not task.meetings], ids=lambda task: task.id)
def test_a_key_says_what_its_conversations_say(account: Sandbox, task: Any) -> None:
    known = set(account.ids())
    task.arrange(account)
    for key in task.keys:
        named = [*key.any_of, *key.all_of]
        assert {*named, *key.none_of, *key.hidden, *dict(key.renamed)} <= set(account.ids(listable=False))
        text = "\n".join(_text(account.record(each)) for each in named)
        said = [pattern for pattern in key.says if re.search(pattern, text, re.IGNORECASE)]
        derived = [words for each, words in NOT_IN_SO_MANY_WORDS.items() if each in named and words in text]
        assert len(said) + len(derived) >= (len(key.says) if named else 0)
    for each in set(account.ids(listable=False)) - known:
        account.delete(each)


def _text(record: dict[str, Any]) -> str:
    structured = record["structured"]
    spoken = (f"{each['speaker_name']}: {each['text']}" for each in record["transcript_segments"] or ())
    events = (event["title"] for event in structured["events"])
    return "\n".join((record["started_at"], structured["title"], structured["overview"], *events, *spoken))


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (
            number(7250),
            ("7,250 euros", "7.250 Euro", "€7250", "seven thousand two hundred and fifty"),
            ("72,50", "17250"),
        ),
        (number(83.5), ("83.50 each", "83,5"), ("83", "183.5", "83.55")),
        (number(180), ("€180.", "180.00", "a hundred and eighty"), ("1,180", "1800", "180.50")),
        (number(2), ("two days", "2 days"), ("12", "2.5", "twenty-two"[:6])),
        (day(2025, 8, 2), ("2 August 2025", "Aug 2nd", "2025-08-02", "the second of August", "02.08."), ("12 August",)),
        (
            day(2026, 6, 8),
            ("8 to 12 June", "8\u201312 June 2026", "from the eighth to the twelfth of June"),
            ("18 June",),
        ),
        (clock(8, 20), ("08:20", "8.20 am", "8:20"), ("18:20", "8:02")),
    ],
)
def test_values_are_read_as_people_write_them(pattern: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    assert [text for text in right if not re.search(pattern, text, re.IGNORECASE)] == []
    assert [text for text in wrong if re.search(pattern, text, re.IGNORECASE)] == []


NOTE = {
    "id": "n",
    "title": "Trailer",
    "text": "back on the 16th",
    "started_at": "2026-03-03T18:00:00Z",
    "discarded": False,
}


@pytest.mark.parametrize(
    ("key", "answer", "state", "wrong"),
    [
        (Key(any_of=("a", "b"), says=("54",)), Answer("54 euros", ("b",)), State(), 0),
        (Key(any_of=("a", "b"), says=("54",)), Answer("59 euros", ("c",)), State(), 2),
        (Key(all_of=("a", "b")), Answer("both", ("a",)), State(), 1),
        (Key(all_of=("a", "b"), says=("x", "y"), at_least=1), Answer("x", ("a",)), State(), 0),
        (Key(any_of=("a",), none_of=("z",)), Answer("a", ("a", "z")), State(), 1),
        (Key(any_of=("a",)), Answer("all of them", tuple("abcdefgh")), State(), 1),
        (Key(not_found=True), Answer("never said"), State(), 1),
        (Key(not_found=True), Answer("never said", not_found=True), State(), 0),
        (Key(), Answer("done"), State(renamed={"a": "APPROVED"}), 1),
        (Key(), Answer("done"), State(deleted=["a"], hidden=["b"]), 2),
        (Key(renamed=(("a", "New"),)), Answer("done"), State(renamed={"a": "New"}), 0),
        (Key(renamed=(("a", "New"),)), Answer("done"), State(renamed={"a": "New one", "b": "New"}), 2),
        (Key(hidden=("a",)), Answer("done"), State(hidden=["a"]), 0),
        (Key(created=Created(("trailer", "16"), "2026-03-03T18")), Answer("saved"), State(created=[NOTE]), 0),
        (Key(created=Created(("trailer",))), Answer("saved"), State(created=[NOTE, NOTE]), 1),
        (Key(created=Created(("trailer",))), Answer("saved"), State(), 1),
        (Key(created=Created(("ladder",), "2026-03-04")), Answer("saved"), State(created=[NOTE]), 2),
    ],
)
def test_an_answer_is_judged_by_its_key(key: Key, answer: Answer, state: State, wrong: int) -> None:
    assert len(faults([key], answer, state)) == wrong


@pytest.mark.skipif(find_spec("agents") is None, reason="needs the package openai-agents")
async def test_a_model_of_the_agents_sdk_does_tasks_in_both_arms(base: Path, tmp_path: Path) -> None:
    from scripted_model import evaluated  # needs the SDK

    found = await evaluated(base, tmp_path)
    tools, raw = ([each for each in found if each.arm == arm] for arm in ("tools", "raw"))
    assert [result.wrong for result in tools] == [(), (), (), ()]
    assert [result.wrong for result in raw] == [(), ("does not say lentil",), (), ()]
    assert tools[0].over == 0 < raw[0].over
    (_, *rows) = scoring.table(found).splitlines()
    assert rows[0].split()[:5] == ["one", "fact", "tools", "2/2", "34-100"]
    assert any(row.split()[:4] == ["in", "all", "tools", "4/4"] for row in rows)
    assert any(row.split()[:2] == ["raw", "3/4"] for row in rows)


def test_an_assistant_at_a_shell_works_through_a_process_in_the_background(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "one")

    def run(*given: str) -> str:
        code = main(given)
        said = capsys.readouterr()
        assert code == bool(said.err)
        return said.out + said.err

    try:
        assert "54 tasks" in run("serve", folder, "--base", str(base), "--arm", "tools")
        assert f"answer {folder} TASK" in run("brief", folder)
        questions = run("tasks", folder, "t01-t08")
        assert questions.startswith("t01  What did it cost us")
        assert "180" not in questions
        assert "no tasks" in run("tasks", folder, "t61-t70")
        assert '"name": "search_conversations"' in run("tools", folder)
        found = run("call", folder, "t01", "search_conversations", '{"query": "lab key locksmith"}')
        assert json.loads(found)["conversations"][0]["id"] == id_of("stand-up-2025-03-18")
        assert run("call", folder, "t01", "search_conversations", '{"words": "key"}').startswith("[error] Unknown")
        assert run("call", folder, "t01", "search_conversations", "{").startswith("REFUSED: not JSON")
        assert run("call", folder, "t99", "search_conversations").startswith("REFUSED: t99")
        assert run("answer", folder, "t01", '{"cited": []}').startswith("REFUSED: answer")
        right = json.dumps({"answer": "180 euros", "cited": [id_of("stand-up-2025-03-18")]})
        assert "53 are open" in run("answer", folder, "t01", right)
        assert "answered already" in run("answer", folder, "t01", right)
        assert json.loads(run("score", str(tmp_path), "--json"))["tools"]["in all"]["passed"] == 1
    finally:
        run("stop", folder)
