"""One assistant's folder: a process in the background that has its rooms, and the records it leaves.

worker.json    arm, base and meetings
calls.jsonl    every call: task, name, arguments, characters, requests, and the text as the model got it
answers.jsonl  every answer, with what became of the account
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from benchmarks.assistants.keys import Answer
from benchmarks.assistants.rooms import INTRODUCTION, Arm, Room, conversations_in, opened, state
from benchmarks.assistants.tasks import TASKS, Task

REPOSITORY = Path(__file__).parents[2]

START_SECONDS = 60.0
CALL_SECONDS = 240.0


class Refused(Exception):
    """What was asked for cannot be had; `str()` says why."""


@dataclass(frozen=True)
class Worker:
    """The folder of one assistant."""

    folder: Path
    arm: Arm
    base: Path

    @classmethod
    def at(cls, folder: Path) -> "Worker":
        file = folder / "worker.json"
        if not file.exists():
            raise Refused(f"{folder}: nothing is served there. Start with serve.")
        known = json.loads(file.read_text("utf-8"))
        return cls(folder, known["arm"], Path(known["base"]))

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        known = {"arm": self.arm, "base": str(self.base.resolve())}
        (self.folder / "worker.json").write_text(json.dumps(known), "utf-8")

    def tasks(self) -> dict[str, Task]:
        """Those that can be asked over this base."""
        meetings = json.loads((self.base / "base.json").read_text("utf-8"))["meetings"]
        return {name: task for name, task in TASKS.items() if meetings or not task.meetings}

    def answered(self) -> set[str]:
        return {record["task"] for record in records(self.folder / "answers.jsonl")}

    def note(self, file: str, record: dict[str, Any]) -> None:
        with (self.folder / file).open("a", encoding="utf-8") as out:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def records(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


class Desk:
    """Opens the room of a task when it is first called for, and leaves it with the next task, or its answer."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._stack = AsyncExitStack()
        self._open: tuple[str, Room] | None = None

    async def room(self, task: str) -> Room:
        if task not in self._worker.tasks():
            raise Refused(f"{task}: there is no such task here; see tasks.")
        if self._open and self._open[0] == task:
            return self._open[1]
        await self.leave()
        room = await self._stack.enter_async_context(
            opened(self._folder(task), self._worker.base, self._worker.arm, TASKS[task])
        )
        self._open = task, room
        return room

    async def leave(self) -> None:
        self._open = None
        await self._stack.aclose()

    async def tools(self) -> str:
        """Today, the instructions and the definitions, as an assistant gets them before its first task."""
        folder = self._worker.folder / "looking"
        await self.leave()
        first = next(iter(self._worker.tasks().values()))
        async with opened(folder, self._worker.base, self._worker.arm, first) as room:
            definitions = json.dumps(await room.offer.definitions(), ensure_ascii=False, indent=1)
            text = f"{INTRODUCTION}\n\n{await room.offer.instructions()}\n\n{definitions}"
        shutil.rmtree(folder, ignore_errors=True)
        return text

    async def call(self, task: str, name: str, arguments: Any) -> str:
        if task in self._worker.answered():
            raise Refused(f"{task}: it is answered already.")
        if not isinstance(arguments, dict):
            raise Refused("arguments: a JSON object")
        room = await self.room(task)
        since = time.perf_counter()
        result = await room.call(name, arguments)
        self._worker.note(
            "calls.jsonl",
            {
                "task": task,
                "name": name,
                "arguments": arguments,
                "characters": len(result.text),
                "error": result.error,
                "requests": result.requests,
                "seconds": round(time.perf_counter() - since, 2),
                "text": result.text,
            },
        )
        return f"[error] {result.text}" if result.error else result.text

    async def answer(self, task: str, given: Any) -> str:
        if task in self._worker.answered():
            raise Refused(f"{task}: it is answered already.")
        try:
            answer = Answer.read(given)
        except (TypeError, ValueError) as error:
            raise Refused(str(error)) from None
        await self.room(task)
        await self.leave()
        became = state(self._folder(task))
        self._worker.note("answers.jsonl", {"task": task, **asdict(answer), "state": asdict(became)})
        shutil.rmtree(self._folder(task), ignore_errors=True)
        left = len(self._worker.tasks()) - len(self._worker.answered())
        return f"{task} is answered; {left} are open in this folder."

    def _folder(self, task: str) -> Path:
        return self._worker.folder / "rooms" / task


def read_shown(record: dict[str, Any]) -> list[tuple[str, int]]:
    """The conversations that one call read, and in how many characters: a card of a search or list is no reading."""
    one = "get_conversation" in record["name"]
    with_transcripts = str(record["arguments"].get("include_transcript")).lower() == "true"
    return list(conversations_in(record["text"])) if one or with_transcripts else []


async def attend(worker: Worker, minutes: float) -> None:
    """Answer requests on loopback, one at a time, until told to stop or nobody has asked for `minutes`."""
    desk = Desk(worker)
    send, receive = anyio.create_memory_object_stream[SocketStream](32)
    async with anyio.create_task_group() as tasks, await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, send.send)
        (worker.folder / "port").write_text(str(port), "utf-8")
        try:
            while True:
                with anyio.move_on_after(minutes * 60) as waiting:
                    stream = await receive.receive()
                if waiting.cancelled_caught:
                    break
                async with stream:
                    try:
                        asked = json.loads(await _line(stream))
                    except anyio.EndOfStream:
                        continue  # somebody looked whether this is attended to
                    done = {"text": "stopped"} if asked["do"] == "stop" else await _done(desk, asked)
                    with suppress(anyio.BrokenResourceError):
                        await stream.send(json.dumps(done).encode() + b"\n")
                    if asked["do"] == "stop":
                        break
        finally:
            (worker.folder / "port").unlink(missing_ok=True)
            with anyio.CancelScope(shield=True):
                await desk.leave()
            tasks.cancel_scope.cancel()


async def _line(stream: SocketStream) -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        said += await stream.receive()
    return said


async def _done(desk: Desk, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        match asked["do"]:
            case "tools":
                return {"text": await desk.tools()}
            case "call":
                return {"text": await desk.call(asked["task"], asked["name"], asked["arguments"])}
            case _:
                return {"text": await desk.answer(asked["task"], asked["answer"])}
    except Refused as refusal:
        return {"refused": str(refusal)}
    except Exception as error:  # it goes to whoever asked, and the next task may do
        return {"refused": f"{type(error).__name__}: {error}"}


_started: dict[Path, subprocess.Popen[bytes]] = {}
"""By folder, what this process has started; it outlives this process."""


def start(worker: Worker, minutes: float) -> None:
    """Have the folder attended to in the background, if it is not yet."""
    if _port(worker) is not None:
        return
    worker.save()
    with (worker.folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __package__, "attend", worker.folder.resolve(), "--minutes", str(minutes)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=REPOSITORY,
        )
    _started[worker.folder] = process
    until = time.monotonic() + START_SECONDS
    while _port(worker) is None:
        if process.poll() is not None or time.monotonic() > until:
            raise Refused(f"it did not start; see {worker.folder / 'serve.log'}")
        time.sleep(0.1)


def ask(worker: Worker, minutes: float, **asked: Any) -> str:
    """What the background process says. Raises Refused."""
    start(worker, minutes)
    port = _port(worker)
    with socket.create_connection(("127.0.0.1", port or 0), timeout=CALL_SECONDS) as line:
        line.sendall(json.dumps(asked).encode() + b"\n")
        said = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
    if "refused" in said:
        raise Refused(said["refused"])
    return str(said["text"])


def stop(worker: Worker) -> None:
    if _port(worker) is not None:
        ask(worker, 0, do="stop")
    if process := _started.pop(worker.folder, None):
        process.wait(START_SECONDS)


def _port(worker: Worker) -> int | None:
    """Where the folder is attended to, if it is: a file that a killed process left behind does not count."""
    try:
        port = int((worker.folder / "port").read_text("utf-8"))
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (OSError, ValueError):
        return None
    return port
