"""Importing: said beforehand, each file once, within the hourly limit, resumed after anything."""

from pathlib import Path
from typing import Any

import pytest
from command_kit import Account, live

from omi_mcp.sandbox import Faults


def captions(lines: int, *, words: str = "we counted the boats again and agreed", speakers: int = 3) -> str:
    """An SRT file."""
    text = ""
    for place in range(lines):
        start, end = (f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02},125" for s in (place * 4, place * 4 + 3))
        text += f"{place + 1}\n{start} --> {end}\n{'ABC'[place % speakers]}na: line-{place} {words}\n\n"
    return text


def meetings(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"2025-03-14 09{number:02} m{number}.srt").write_text(
            captions(4, words=f"of meeting {number}, a plan")
        )
    return folder


def spoken(account: Account) -> dict[str, list[dict[str, Any]]]:
    ids = account.sandbox.ids(listable=False)
    return {each: account.sandbox.record(each)["transcript_segments"] for each in ids}


def test_a_meeting_is_saved_with_its_speakers_times_and_start(tmp_path: Path) -> None:
    file = tmp_path / "2025-03-14 0930 review.srt"
    file.write_text(captions(5))

    async def story(account: Account) -> None:
        ended = await account.run("import", file, "--me", "bna", "--json")
        assert ended.code == 0
        (plan,) = ended.json
        assert plan["speakers"] == {"Ana": "Speaker 0", "Bna": "you", "Cna": "Speaker 2"}
        record = account.sandbox.record(plan["conversations"][0]["id"])
        assert record["started_at"] == "2025-03-14T08:30:00Z"
        assert [(each["speaker_name"], each["start"], each["end"]) for each in record["transcript_segments"]][:2] == [
            ("Speaker 0", 0.125, 3.125),
            ("User", 4.125, 7.125),
        ]

    live(story, tmp_path)


def test_a_dry_run_tells_everything_and_sends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "talk.srt"
    file.write_text(captions(1200))

    async def story(account: Account) -> None:
        ended = await account.run("import", file, "--dry-run", "--me", "Zoe", api_key=None)
        assert ended.code == 0
        for word in ("3 parts", "the date of the file", "Ana = Speaker 0", "nobody called Zoe", "1,200 segments"):
            assert word in ended.out, word
        assert "3 conversations to send" in ended.err
        assert account.sandbox.requests == []

    live(story, tmp_path)


def test_too_many_lines_are_joined_by_turn_and_then_split_with_nothing_lost(tmp_path: Path) -> None:
    (tmp_path / "turns.srt").write_text(captions(900, speakers=1))
    (tmp_path / "long.srt").write_text(captions(1200))

    async def story(account: Account) -> None:
        ended = await account.run("import", tmp_path / "turns.srt", tmp_path / "long.srt", "--titles", "--json")
        turns, long = ended.json
        assert (turns["merged_from"], turns["parts"]) == (900, 1)
        assert (long["merged_from"], long["parts"]) == (None, 3)
        for plan, lines in ((turns, 900), (long, 1200)):
            records = [account.sandbox.record(each["id"]) for each in plan["conversations"]]
            words = " ".join(each["text"] for record in records for each in record["transcript_segments"])
            assert [word for word in words.split() if word.startswith("line-")] == [f"line-{n}" for n in range(lines)]
            assert all(len(record["transcript_segments"]) <= 500 for record in records)
        titles = [account.sandbox.record(each["id"])["structured"]["title"] for each in long["conversations"]]
        assert titles == ["long (1 of 3)", "long (2 of 3)", "long (3 of 3)"]
        longest = max(each["end"] - each["start"] for each in spoken(account)[turns["conversations"][0]["id"]])
        assert longest <= 60

    live(story, tmp_path)


def test_the_hourly_limit_is_announced_waited_for_and_nothing_doubled(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 60)

    async def story(account: Account) -> None:
        began = account.clock.now()
        stopped = await account.run("import", folder, "--no-wait")
        assert stopped.code == 3
        assert "25 imported, 35 not sent yet" in stopped.out
        assert "60 conversations to send. Omi allows about 25 writes an hour: about 2 hours." in stopped.err
        ended = await account.run("import", folder)
        assert ended.code == 0
        assert "35 imported, 25 imported before." in ended.out
        assert "Waiting" in ended.err
        assert 1.9 < (account.clock.now() - began).total_seconds() / 3600 < 2.5
        assert len(spoken(account)) == 60
        again = await account.run("import", folder)
        assert "0 imported, 60 imported before." in again.out

    live(story, tmp_path, limits="real")


def test_the_same_file_elsewhere_under_another_name_is_not_saved_twice(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(captions(6))
    (tmp_path / "2024-01-01 b.srt").write_bytes(captions(6).replace("\n", "\r\n").encode())

    async def story(account: Account) -> None:
        await account.run("import", tmp_path / "a.srt")
        other = Account(tmp_path / "other")
        other.sandbox.close()
        other.sandbox = account.sandbox
        for arguments in ([], ["--again"]):
            ended = await account.run("import", tmp_path / "2024-01-01 b.srt", *arguments)
            assert ended.code == 0
        other.settings = account.settings.__class__(**vars(account.settings) | {"data_dir": tmp_path / "elsewhere"})
        assert (await other.run("import", tmp_path / "2024-01-01 b.srt")).code == 0
        assert len(spoken(account)) == 1

    live(story, tmp_path)


def test_answers_that_get_lost_double_nothing(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 6)

    async def story(account: Account) -> None:
        account.sandbox.sleep = account.clock.sleep
        account.sandbox.faults = Faults.parse("drop-after@segments*0.5")
        while (ended := await account.run("import", folder)).code:
            assert "run this again" in ended.err or "failed" in ended.out
        assert len(spoken(account)) == 6

    live(story, tmp_path)


def test_what_is_open_after_the_usual_repeats_is_waited_for(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 2)

    async def story(account: Account) -> None:
        account.sandbox.sleep = account.clock.sleep
        account.sandbox.faults = Faults.parse("drop-before@segments#5")
        ended = await account.run("import", folder)
        assert ended.code == 0, ended.err
        assert len(spoken(account)) == 2

    live(story, tmp_path)


def test_one_bad_file_holds_up_no_other(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 2)
    (folder / "package.json").write_text('{"name": "x"}')

    async def story(account: Account) -> None:
        ended = await account.run("import", folder)
        assert ended.code == 1
        assert "package.json: this JSON is no transcript" in ended.err
        assert "2 imported" in ended.out

    live(story, tmp_path)


def test_read_only_means_read_only(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 1)

    async def story(account: Account) -> None:
        ended = await account.run("import", folder, read_only=True)
        assert (ended.code, account.sandbox.requests) == (2, [])
        assert "OMI_MCP_READ_ONLY" in ended.err
        assert (await account.run("import", folder, "--dry-run", read_only=True)).code == 0

    live(story, tmp_path)


def test_a_key_that_may_not_write_is_told_so_at_once(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 3)

    async def story(account: Account) -> None:
        ended = await account.run("import", folder, api_key=account.sandbox.read_only_key)
        assert ended.code == 1
        assert "conversations:write" in ended.err
        assert len(account.sandbox.requests) == 1

    live(story, tmp_path)


def test_what_is_saved_while_the_disk_fills_up_is_reported_as_saved(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = meetings(tmp_path / "meetings", 1)

    async def story(account: Account) -> None:
        async def fill_up() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

        account.sandbox.pause = fill_up
        try:
            ended = await account.run("import", folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert ended.code == 0
        assert "1 imported." in ended.out
        assert len(spoken(account)) == 1

    live(story, tmp_path)


def test_what_omi_hides_is_said_to_be_hidden_and_every_conversation_has_its_id(tmp_path: Path) -> None:
    scrap, talk = tmp_path / "scrap.txt", tmp_path / "talk.srt"
    scrap.write_text("Hello?")
    talk.write_text(captions(5))

    async def story(account: Account) -> None:
        ended = await account.run("import", scrap, talk, "--json")
        hidden, kept = (plan["conversations"][0] for plan in ended.json)
        assert (hidden["status"], kept["status"]) == ("hidden", "completed")
        assert account.sandbox.record(hidden["id"])["discarded"] is True
        assert [each["id"] for each in (await account.run("restore", "--json")).json] == [hidden["id"]]
        assert "Hidden from lists and search" in (await account.run("show", hidden["id"][:8])).out
        other = Account(tmp_path / "other")
        ended = await other.run("import", scrap, talk)
        other.sandbox.close()
        ids = {line.split()[0]: line for line in ended.out.splitlines() if not line.startswith((" ", "2 "))}
        assert sum("scrap.txt  hidden" in line and len(key) > 20 for key, line in ids.items()) == 1
        assert sum(line.endswith("  talk.srt") and len(key) > 20 for key, line in ids.items()) == 1
        assert "1 of them hidden" in ended.out

    live(story, tmp_path)


def test_while_it_waits_the_bar_says_so_and_until_when(tmp_path: Path) -> None:
    folder = meetings(tmp_path / "meetings", 27)

    async def story(account: Account) -> None:
        ended = await account.run("import", folder, screen=True)
        assert "25 of 27, waiting until " in ended.err
        assert " left" not in ended.err
        assert "a second" not in ended.err

    live(story, tmp_path, limits="real")


def test_times_that_can_hardly_be_so_are_pointed_out(tmp_path: Path) -> None:
    file = tmp_path / "late.srt"
    stamps = [("30:00:01", "30:00:03"), ("123:00:03", "123:00:05")]
    file.write_text("\n".join(f"{start},000 --> {end},000\nAna: hello you\n" for start, end in stamps))

    async def story(account: Account) -> None:
        ended = await account.run("import", file, "--dry-run")
        assert "its first words are at 30:00:01" in ended.out
        assert "its times run over 93 hours" in ended.out
        assert len((await account.run("import", file, "--dry-run", "--json")).json[0]["doubts"]) == 2

    live(story, tmp_path)


@pytest.mark.parametrize(
    ("words", "mine"), [("**Me:** {}\n**Ana:** {}\n**Me:** {}\n", True), ("Bread: {} {} {}", False)]
)
def test_whom_the_file_calls_me_is_the_user(words: str, mine: bool, tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("# About boats\n" + words.format("we counted the boats", "all of them again", "and agreed"))

    async def story(account: Account) -> None:
        assert (await account.run("import", file)).code == 0
        ((said),) = spoken(account).values()
        names = [each["speaker_name"] for each in said]
        assert ("User" in names) == mine
        assert said[0]["text"] == "About boats"
        assert names.count(names[0]) == (1 if mine else 2), "a heading is in nobody's name"

    live(story, tmp_path)
