"""Real meetings out to files and back in: nothing lost, nothing doubled, to the millisecond.

    python benchmarks/round_trip.py FILE [--kills 20]

FILE has conversations as JSON lines (`omi-mcp sandbox --load` reads the same). They are loaded into a sandbox with the
service's real limits; hours of waiting pass in virtual time.

1. Exported to Markdown, JSON and JSON lines, and compared segment by segment with what was loaded.
2. The same with `kill -9` at random instants, on a server of its own and with limits off, so that it is real.
3. Written as WebVTT and SRT, imported into a second sandbox, and read back.

Exits with 1 when anything differs.
"""

# ruff: noqa: E402 - the folders of the tests have to be found first
import argparse
import html
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

REPOSITORY = Path(__file__).parent.parent
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("", "tests", "tests/commands")]

from command_kit import Account, live

from omi_mcp.importing import Transcript, read_file
from omi_mcp.sandbox import Sandbox

LIMIT = 500

SPENT = 23
"""Of the 25 transcript reads of the first hour, those that another program uses up before the export begins."""


class Said(NamedTuple):
    """One segment as everyone has to agree on it; times in milliseconds, `end` None where a format has none."""

    speaker: str
    start: int
    end: int | None
    text: str


def main() -> int:
    parser = argparse.ArgumentParser(description="round trip of real meetings")
    parser.add_argument("file", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    with Sandbox() as sandbox:
        sandbox.load_file(options.file)
        meetings = {each: _said(sandbox.record(each)["transcript_segments"]) for each in sandbox.ids()}
    segments = sum(map(len, meetings.values()))
    print(f"{len(meetings)} meetings, {segments:,} segments")
    failures = 0
    for what, check in (
        ("exported, real limits", lambda folder: _exported(options.file, folder, meetings)),
        (f"exported, {options.kills} kills", lambda folder: _killed(options.file, folder, meetings, options.kills)),
        ("imported from WebVTT", lambda folder: _imported(folder, meetings, "vtt")),
        ("imported from SRT", lambda folder: _imported(folder, meetings, "srt")),
    ):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            problems, note = check(Path(folder))
        failures += len(problems)
        verdict = f"{len(problems)} differ: {', '.join(problems[:5])}" if problems else "equal"
        print(f"{what:<24} {verdict:<8} {note}  ({time.monotonic() - began:.0f} s)")
    return 1 if failures else 0


def _exported(file: Path, folder: Path, meetings: dict[str, list[Said]]) -> tuple[list[str], str]:
    hours = 0.0

    async def story(account: Account) -> None:
        nonlocal hours
        account.sandbox.load_file(file)
        for each in account.sandbox.ids()[:SPENT]:
            await account.run("show", each, mirror="memory")
        began = account.clock.now()
        for form in ("markdown", "json", "jsonl"):
            ended = await account.run("export", folder / form, "--format", form)
            assert ended.code == 0, ended.err
            hours = hours or (account.clock.now() - began).total_seconds() / 3600

    live(story, folder, limits="real")
    problems = _compared(folder / "markdown", meetings, ends=False)
    problems += _compared(folder / "json", meetings) + _compared(folder / "jsonl", meetings)
    return problems, f"Markdown, JSON, JSON lines; {hours:.1f} virtual hours"


def _killed(file: Path, folder: Path, meetings: dict[str, list[Said]], kills: int) -> tuple[list[str], str]:
    rng = random.Random(7)
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "omi_mcp", "sandbox", "--port", "0", "--limits", "off", "--load", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    done = 0
    try:
        assert sandbox.stdout is not None
        account = dict(sandbox.stdout.readline().strip().split("=", 1) for _ in range(2))
        env = {**os.environ, **account, "OMI_MCP_DATA_DIR": str(folder / "data")}
        quietly: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": REPOSITORY}
        quietly["env"] = env
        command = [sys.executable, "-m", "omi_mcp", "export", str(folder / "markdown")]
        while done < kills:
            with subprocess.Popen(command, **quietly) as export:
                time.sleep(rng.uniform(0.3, 2.5))
                if export.poll() is None:
                    export.kill()
                else:
                    _damage(folder, rng)
                done += 1
        subprocess.run(command, check=True, **quietly)
    finally:
        sandbox.kill()
        sandbox.communicate()
    return _compared(folder / "markdown", meetings, ends=False), "Markdown, SIGKILL at random instants"


def _damage(folder: Path, rng: random.Random) -> None:
    """Once all is exported there is nothing left to interrupt: take some of it away."""
    for file in rng.sample(sorted((folder / "markdown").glob("*.md")), 20):
        file.unlink()
    for file in (folder / "data").glob("*"):
        file.unlink()


def _imported(folder: Path, meetings: dict[str, list[Said]], form: str) -> tuple[list[str], str]:
    write = {"vtt": _vtt, "srt": _srt}[form]
    # OMI API: a segment without words cannot be created.
    meetings = {name: [each for each in said if each.text] for name, said in meetings.items()}
    for name, said in meetings.items():
        (folder / f"2025-01-06 0900 {name}.{form}").write_text("".join(write(said)), encoding="utf-8")
    problems: list[str] = []
    parts = 0

    async def story(account: Account) -> None:
        nonlocal parts
        for _ in range(2):  # the second time finds everything there
            ended = await account.run("import", folder, "--json")
            assert ended.code == 0, ended.err
        listed = account.sandbox.ids(listable=False)
        parts = len(listed)
        made = [made["id"] for plan in ended.json for made in plan["conversations"]]
        if sorted(made) != sorted(listed):
            problems.append("conversations doubled or lost")
        for plan in ended.json:
            name = Path(plan["file"]).stem.split()[-1]
            records = [account.sandbox.record(each["id"]) for each in plan["conversations"]]
            names = {label: name for name, label in plan["speakers"].items()}
            if _joined(records, names) != _expected(meetings[name]):
                problems.append(name)

    live(story, folder)
    return problems, f"{parts} conversations, imported twice"


def _expected(said: Sequence[Said]) -> list[Said]:
    """Lines of one speaker in a row joined, up to a minute, where there are more than fit."""
    if len(said) <= LIMIT:
        return list(said)
    joined: list[Said] = []
    for each in said:
        last = joined[-1] if joined else None
        if last and last.speaker == each.speaker and (each.end or 0) - last.start <= 60_000:
            joined[-1] = Said(last.speaker, last.start, max(last.end or 0, each.end or 0), f"{last.text} {each.text}")
        else:
            joined.append(each)
    return joined


def _joined(records: Sequence[dict[str, Any]], names: dict[str, str]) -> list[Said]:
    """The parts of one meeting as a whole."""
    began = [datetime.fromisoformat(record["started_at"]) for record in records]
    found = []
    for record, start in zip(records, began, strict=True):
        offset = round((start - began[0]).total_seconds() * 1000)
        for said in _said(record["transcript_segments"]):
            found.append(Said(names[said.speaker], said.start + offset, (said.end or 0) + offset, said.text))
    return found


def _compared(folder: Path, meetings: dict[str, list[Said]], *, ends: bool = True) -> list[str]:
    """The meetings of which the files say anything else."""
    found: dict[str, list[list[Said]]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".md":
            name = json.loads(
                next(line for line in file.read_text("utf-8").splitlines() if line.startswith("id: "))[4:]
            )
            (source,) = read_file(file, ZoneInfo("UTC"))
            found.setdefault(name, []).append(list(_of(source.transcript)))
        else:
            for line in [file.read_text("utf-8")] if file.suffix == ".json" else file.read_text("utf-8").splitlines():
                record = json.loads(line)
                found.setdefault(record["id"], []).append(_said(record["transcript_segments"]))
    problems = sorted(found.keys() ^ meetings.keys())
    for name in found.keys() & meetings.keys():
        wanted = meetings[name] if ends else [said._replace(end=None) for said in meetings[name]]
        if found[name] != [wanted]:
            problems.append(name)
    return problems


def _of(transcript: Transcript) -> Iterator[Said]:
    for line in transcript.lines:
        yield Said(line.speaker or "", round((line.start or 0) * 1000), None, line.text)


def _said(segments: Iterable[dict[str, Any]]) -> list[Said]:
    return [
        Said(
            each["speaker_name"],
            round(each["start"] * 1000),
            round(each["end"] * 1000),
            " ".join(each["text"].split()),
        )
        for each in segments
    ]


def _vtt(said: Iterable[Said]) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for each in said:
        words = html.escape(each.text, quote=False)
        yield f"{_stamp(each.start, '.')} --> {_stamp(each.end or 0, '.')}\n<v {each.speaker}>{words}</v>\n\n"


def _srt(said: Iterable[Said]) -> Iterator[str]:
    for number, each in enumerate(said, 1):
        yield f"{number}\n{_stamp(each.start, ',')} --> {_stamp(each.end or 0, ',')}\n{each.speaker}: {each.text}\n\n"


def _stamp(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


if __name__ == "__main__":
    sys.exit(main())
