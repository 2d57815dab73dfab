"""Exporting: everything, once, resumed after anything, and honest about what is missing."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from command_kit import Account, live, talk, talks

from omi_mcp.importing import read_file
from omi_mcp.sandbox import Faults

EARLIER, EARLIEST = "2026-01-14T09:30:00Z", "2026-01-01T09:30:00Z"


def files(folder: Path, pattern: str = "*") -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in sorted(folder.glob(pattern))}


def said(folder: Path, account: Account) -> dict[str, list[tuple[str | None, float | None, str]]]:
    """What each Markdown file says was said, by the id in it."""
    found = {}
    for file in folder.glob("*.md"):
        (source,) = read_file(file, account.settings.timezone)
        identity = json.loads(file.read_text("utf-8").split("\nid: ")[1].splitlines()[0])
        assert identity not in found
        found[identity] = [(line.speaker, line.start, line.text) for line in source.transcript.lines]
    return found


def told(account: Account) -> dict[str, list[tuple[str | None, float | None, str]]]:
    """The same, as the account has it."""
    return {
        each: [
            (segment["speaker_name"], segment["start"], " ".join(segment["text"].split()))
            for segment in account.sandbox.record(each)["transcript_segments"]
        ]
        for each in account.sandbox.ids()
    }


def test_every_conversation_becomes_a_file_with_all_that_was_said(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", lines=40), talk("kitchen", title="Über: <b>*Küche*</b> / CON?")])
        ended = await account.run("export", tmp_path / "out")
        assert ended.code == 0
        assert "2 of 2 conversations" in ended.out
        assert said(tmp_path / "out", account) == told(account)
        assert [name.rpartition("-")[0] for name in files(tmp_path / "out")] == [
            "2026-02-14-1030-about-the-harbour",
            "2026-02-14-1030-über-b-küche-b-con",
        ]

    live(story, tmp_path)


def test_what_people_say_stays_text_and_comes_back_word_for_word(tmp_path: Path) -> None:
    hostile = (
        "![x](http://evil/x.png) [[note]] <script>alert(1)</script> `rm` *bold* _it_ # tag",
        "[00:00:01] **Boss:** pay them \\ \\* 100 %% ~~gone~~ $5 and $6 ==mark== &lt;ok&gt; & fine",
        "---",
    )
    segments = [
        {"speaker": "An*a [x]", "text": text, "start": place, "end": place + 0.5} for place, text in enumerate(hostile)
    ]

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=segments, overview="# Big\n![x](http://evil/y.png)\n---")])
        await account.run("export", tmp_path / "out")
        (text,) = files(tmp_path / "out").values()
        assert "\n# Big" not in text
        assert "![" not in text
        assert " <script" not in text
        assert [line for _, _, line in said(tmp_path / "out", account)["harbour"]] == list(hostile)

    live(story, tmp_path)


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_can_be_loaded_into_another_account_unchanged(tmp_path: Path, form: str) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", starred=True), talk("kitchen", began="2026-01-01T00:00:00Z")])
        assert (await account.run("export", tmp_path / "out", "--format", form)).code == 0
        lines = (tmp_path / "out" / "conversations.jsonl").read_text("utf-8").splitlines() if form == "jsonl" else []
        exported = [json.loads(text) for text in lines or files(tmp_path / "out").values()]
        assert [each["id"] for each in exported] == ["kitchen", "harbour"]
        other = Account(tmp_path / "other")
        other.sandbox.load(exported)
        assert told(other) == told(account)
        assert [other.sandbox.record(each)["starred"] for each in ("harbour", "kitchen")] == [True, False]
        other.sandbox.close()

    live(story, tmp_path)


def test_a_second_run_writes_only_what_is_new_and_keeps_names(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        out = tmp_path / "out"
        account.sandbox.load([talk("harbour", began=EARLIEST), talk("kitchen", began=EARLIER)])
        await account.run("export", out)
        names = list(files(out))
        kept = (out / names[1]).stat()
        account.sandbox.edit("harbour", title="The port")
        account.sandbox.insert(talk("garden"))
        account.sandbox.delete("kitchen")
        ended = await account.run("export", out)
        assert "2 of 2 conversations" in ended.out
        assert "1 new, 1 updated" in ended.out
        assert f"1 conversation that is no longer in the account: {names[1]}." in ended.err
        assert set(names) < set(files(out))
        assert "# The port" in files(out)[names[0]]
        assert (out / names[1]).stat().st_mtime_ns == kept.st_mtime_ns
        again = await account.run("export", out)
        assert "(2 unchanged)" in again.out

    live(story, tmp_path)


def test_a_stream_keeps_what_left_the_account_and_says_of_each_line_what_became_of_it(tmp_path: Path) -> None:
    stream = tmp_path / "out" / "conversations.jsonl"

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", began=EARLIEST), talk("kitchen", began=EARLIER), talk("attic")])
        await account.run("export", tmp_path / "out", "--format", "jsonl")
        before = stream.read_text("utf-8").splitlines()
        stream.write_text("# mine\n" + stream.read_text("utf-8"))
        account.sandbox.edit("harbour", title="The port")
        account.sandbox.insert(talk("garden"))
        account.sandbox.delete("kitchen")
        ended = await account.run("export", tmp_path / "out", "--format", "jsonl", "--full")
        assert "(1 new, 1 unchanged, 1 updated)" in ended.out
        assert "1 conversation that is no longer in the account: kitchen." in ended.err
        after = stream.read_text("utf-8").splitlines()
        assert after[0] == "# mine"
        assert [json.loads(each)["id"] for each in after[1:]] == ["harbour", "kitchen", "attic", "garden"]
        assert after[2] == before[1]
        await account.run("export", tmp_path / "out", "--format", "jsonl", "--since", "2026-02")
        assert stream.read_text("utf-8").splitlines() == after, "what began before is kept, too"

    live(story, tmp_path)


def test_a_dash_is_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen", began=EARLIER)])
        ended = await account.run("export", "-")
        assert [json.loads(each)["id"] for each in ended.out.splitlines()] == ["kitchen", "harbour"]
        assert "2 of 2 conversations are written." in ended.err
        assert not (tmp_path / "-").exists()
        wrong = await account.run("export", "-", "--format", "markdown")
        assert (wrong.code, wrong.out) == (2, "")
        assert "as jsonl" in wrong.err

    live(story, tmp_path)


@pytest.mark.exhaustive
def test_real_limits_are_waited_for_or_told(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(talks(800))
        stopped = await account.run("export", tmp_path / "out", "--no-wait")
        assert stopped.code == 3
        assert "for want of their transcripts: the rest of this hour's requests" in stopped.err
        assert "Run the same command again in" in stopped.err
        partly = len(files(tmp_path / "out"))
        assert 0 < partly < 800
        done = await account.run("export", tmp_path / "out")
        assert done.code == 0
        assert "The Omi API lists 800 of them" in done.err
        assert said(tmp_path / "out", account) == told(account)

    live(story, tmp_path, limits="real")


@pytest.mark.parametrize("form", ["markdown", "jsonl"])
def test_an_account_that_is_as_it_was_costs_a_look_and_what_is_copied_is_written_before_any_wait(
    tmp_path: Path, form: str
) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(talks(30))
        out = tmp_path / "out"
        await account.run("export", out, "--format", form)
        for _ in range(5):
            before = len(account.sandbox.requests)
            ended = await account.run("export", out, "--format", form)
            assert len(account.sandbox.requests) - before <= 2
            assert (ended.code, "30 unchanged" in ended.out) == (0, True)

        account.sandbox.faults = Faults.parse("refuse@reads")
        ended = await account.run("export", tmp_path / "other", "--format", form)
        assert ended.code == 1
        written = "".join(files(tmp_path / "other").values())
        assert all(f'"talk-{number}"' in written for number in range(30))

    live(story, tmp_path, limits="real")


def test_locked_ones_are_written_without_transcript_and_told(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("garden"), talk("harbour", began=EARLIER), talk("kitchen", began=EARLIEST)])
        await account.run("sync")
        account.sandbox.lock("harbour")
        ended = await account.run("export", tmp_path / "out")
        assert "1 are written without transcript: it is locked by the plan" in ended.err

        def name_of(which: str) -> str:
            return next(name for name in files(tmp_path / "out") if which in name)

        assert "locked by the plan" in files(tmp_path / "out")[name_of("harbour")]
        account.sandbox.lock("kitchen")
        await account.run("export", tmp_path / "out")
        assert "sentence-3" in files(tmp_path / "out")[name_of("kitchen")], "what was exported before is kept"

    live(story, tmp_path)


def test_since_takes_only_what_began_then(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen", began=EARLIER)])
        ended = await account.run("export", tmp_path / "out", "--since", "2026-02")
        assert "1 of 1" in ended.out
        assert list(said(tmp_path / "out", account)) == ["harbour"]

    live(story, tmp_path)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.exhaustive
def test_after_twenty_kills_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    rng = random.Random(3)

    async def story(account: Account) -> None:
        account.sandbox.load(talks(60))
        out, reached = tmp_path / "out", set()
        for _ in range(20):
            await _export_killed(account, out, rng.randrange(1, 50))
            reached.add(len(list(out.glob("*.md"))) if out.exists() else 0)
            if len(list(out.glob("*.md"))) == 60:
                for file in rng.sample(sorted(out.glob("*.md")), 40):
                    file.unlink()
        assert len(reached) > 3
        assert (await account.run("export", out)).code == 0
        assert said(out, account) == told(account)
        assert [name for name in files(out) if name.startswith(".")] == []

    live(story, tmp_path)


async def _export_killed(account: Account, out: Path, after: int) -> None:
    """Export, and stop everything at the `after`-th file that is about to be put into its place."""
    from omi_mcp import files as writing

    replace, left = writing.Path.replace, after

    def dying(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return replace(self, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        with suppress(Killed, BaseExceptionGroup):
            await account.run("export", out)
