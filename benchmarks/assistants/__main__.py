"""Assistants with only the tools, judged by a script. See README.md beside this file.

python -m benchmarks.assistants build BASE --meetings DIR
python -m benchmarks.assistants serve FOLDER --base BASE --arm tools
python -m benchmarks.assistants score FOLDER
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from benchmarks.assistants import recorded, scoring, worker
from benchmarks.assistants.brief import brief
from benchmarks.assistants.corpus import meetings, own
from benchmarks.assistants.rooms import ARMS, build
from benchmarks.assistants.worker import Refused, Worker

MINUTES = 120.0


def main(given: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(given)
    try:
        said = arguments.act(arguments)
    except Refused as refusal:
        print(f"REFUSED: {refusal}", file=sys.stderr)
        return 1
    print(said)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.assistants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Any, text: str, *, folder: str = "FOLDER") -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.add_argument("folder", type=Path, metavar=folder)
        found.set_defaults(act=act)
        return found

    built = command("build", _build, "Make the account and the mirror that every task begins with.", folder="BASE")
    built.add_argument(
        "--meetings", type=Path, metavar="DIR", help="with conversations.jsonl[.gz], as far as there are"
    )
    served = command("serve", _serve, "Begin an assistant's folder, attended to in the background.")
    served.add_argument("--base", type=Path, required=True)
    served.add_argument("--arm", choices=ARMS, required=True)
    served.add_argument("--minutes", type=float, default=MINUTES, help="without a call, after which it ends")
    attended = command("attend", _attend, "The same in the foreground, for a folder that was begun.")
    attended.add_argument("--minutes", type=float, default=MINUTES)
    asked = command("tasks", _tasks, "Ids and questions.")
    asked.add_argument("range", nargs="?", default="t01-t60", metavar="tNN-tNN")
    command("tools", _tools, "Today, the server's instructions and the tools, as a model gets them.")
    called = command("call", _call, "One call of a tool; prints what the model would get.")
    called.add_argument("task")
    called.add_argument("name")
    called.add_argument("arguments", nargs="?", default="{}", metavar="JSON")
    answered = command("answer", _answer, "The answer to a task, once.")
    answered.add_argument("task")
    answered.add_argument("answer", metavar="JSON", help='{"answer": "...", "cited": ["id"], "not_found": false}')
    briefed = command("brief", _brief, "The whole instruction of an assistant at a shell.")
    briefed.add_argument("range", nargs="?", default="t01-t60", metavar="tNN-tNN")
    command("stop", _stop, "End the background process of a folder.")
    scored = command("score", _score, "Judge all answers below a folder.")
    scored.add_argument("--json", action="store_true")
    ran = command("run", _run, "Have a model of the OpenAI agents SDK do the tasks.")
    ran.add_argument("--base", type=Path, required=True)
    ran.add_argument("--arm", choices=ARMS, required=True)
    ran.add_argument("--model", required=True)
    ran.add_argument("--base-url", help="of an API like OpenAI's; the key is in OPENAI_API_KEY")
    ran.add_argument("--range", default="t01-t60", metavar="tNN-tNN")
    recording = commands.add_parser("record", help="Set the ceilings of the recorded calls to what they cost now.")
    recording.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="with calls of assistants")
    recording.set_defaults(act=_record)
    return parser


def _build(arguments: argparse.Namespace) -> str:
    lines = [*own(), *(meetings(arguments.meetings) if arguments.meetings else ())]
    count = anyio.run(partial(build, arguments.folder, lines, meetings=arguments.meetings is not None))
    return f"{count} conversations in {arguments.folder}"


def _serve(arguments: argparse.Namespace) -> str:
    if not (arguments.base / "base.json").exists():
        raise Refused(f"{arguments.base}: nothing is built there. Start with build.")
    begun = Worker(arguments.folder, arguments.arm, arguments.base)
    if (arguments.folder / "worker.json").exists():
        known = Worker.at(arguments.folder)
        if (known.arm, known.base) != (begun.arm, begun.base.resolve()):
            raise Refused(f"{arguments.folder}: begun with another arm or base")
    worker.start(begun, arguments.minutes)
    tasks = len(begun.tasks())
    return f"{arguments.folder}: {arguments.arm}, {tasks} tasks, ends after {arguments.minutes:g} quiet minutes"


def _attend(arguments: argparse.Namespace) -> str:
    anyio.run(worker.attend, Worker.at(arguments.folder), arguments.minutes)
    return "ended"


def _tasks(arguments: argparse.Namespace) -> str:
    tasks = Worker.at(arguments.folder).tasks()
    return "\n".join(f"{name}  {tasks[name].question}" for name in _chosen(arguments.range, list(tasks)))


def _tools(arguments: argparse.Namespace) -> str:
    return worker.ask(Worker.at(arguments.folder), MINUTES, do="tools")


def _call(arguments: argparse.Namespace) -> str:
    given = _json(arguments.arguments)
    return worker.ask(
        Worker.at(arguments.folder), MINUTES, do="call", task=arguments.task, name=arguments.name, arguments=given
    )


def _answer(arguments: argparse.Namespace) -> str:
    given = _json(arguments.answer)
    return worker.ask(Worker.at(arguments.folder), MINUTES, do="answer", task=arguments.task, answer=given)


def _brief(arguments: argparse.Namespace) -> str:
    Worker.at(arguments.folder)
    return brief(arguments.folder, arguments.range)


def _stop(arguments: argparse.Namespace) -> str:
    worker.stop(Worker.at(arguments.folder))
    return "stopped"


def _score(arguments: argparse.Namespace) -> str:
    found = scoring.results(arguments.folder)
    if not found:
        raise Refused(f"{arguments.folder}: no answers there")
    return json.dumps(scoring.report(found)) if arguments.json else scoring.table(found)


def _run(arguments: argparse.Namespace) -> str:
    from benchmarks.assistants import agents_runner  # the SDK is a development dependency, and slow to load

    begun = Worker(arguments.folder, arguments.arm, arguments.base)
    begun.save()
    chosen = _chosen(arguments.range, list(begun.tasks()))
    model = agents_runner.model(arguments.model, arguments.base_url)
    anyio.run(partial(agents_runner.run, begun, chosen, model))
    return scoring.table(scoring.results(arguments.folder))


def _record(arguments: argparse.Namespace) -> str:
    return anyio.run(recorded.record, arguments.folder)


def _chosen(span: str, names: list[str]) -> list[str]:
    first, _, last = span.partition("-")
    chosen = [name for name in names if first <= name <= (last or first)]
    if not chosen:
        raise Refused(f"{span}: no tasks; there are {names[0]} to {names[-1]}")
    return chosen


def _json(text: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise Refused(f"not JSON: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
