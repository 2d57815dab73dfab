"""Searching, reading and syncing at a terminal."""

from datetime import timedelta
from pathlib import Path

import pytest
from command_kit import Account, live, talk, talks
from virtual_time import START

from omi_mcp.sandbox import Faults
from omi_mcp.terminal import Bar, Terminal


def test_a_search_shows_the_moments_and_a_reading_opens_there(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", lines=40), talk("kitchen")])
        found = await account.run("search", "harbour", "sentence-30", "--limit", "1")
        assert found.code == 0
        assert "About the harbour" in found.out
        assert "00:07:37 Ana: " in found.out
        assert "\x1b" not in found.out
        assert "1 of 2" in found.err
        read = await account.run("show", "harbour", "--find", "sentence-30")
        assert "About the harbour\n" in read.out
        assert "Ana and Ben" not in read.out
        (marked,) = (line for line in read.out.splitlines() if line.startswith(">> "))
        assert marked.startswith(">> [00:07:37] Ana: At the harbour we counted sentence-30")
        assert read.out.splitlines()[-10] == marked
        later = await account.run("show", "harbour", "--at", "9m", "--speaker", "ben")
        assert [line[:17] for line in later.out.splitlines() if "] Ben: " in line][-3:] == [
            ">> [00:08:53] Ben",
            "[00:09:24] Ben: A",
            "[00:09:54] Ben: A",
        ]

    live(story, tmp_path)


def test_a_reading_opens_at_the_words_of_the_speaker_that_is_named(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        said = talk("harbour", lines=40)
        said["segments"][12]["text"] = "The price, the price: always the price."
        said["segments"][31]["text"] = "I can live with that price."
        account.sandbox.load([said])
        for speaker, opening in (("Ana", "[00:03:03] Ana: "), ("Ben", "[00:07:52] Ben: ")):
            read = await account.run("show", "harbour", "--find", "price", "--speaker", speaker)
            assert next(line for line in read.out.splitlines() if line.startswith(">> ")).startswith(f">> {opening}")
        missing = await account.run("show", "harbour", "--find", "zeppelin", "--speaker", "Ben")
        assert (missing.code, "does not say these words" in missing.err) == (1, True)
        nobody = await account.run("show", "harbour", "--find", "price", "--speaker", "Zoe")
        assert (nobody.code, "--speaker: nobody of that name" in nobody.err) == (2, True)

    live(story, tmp_path)


def test_a_person_is_told_nothing_of_the_arguments_of_a_tool(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        for json in ([], ["--json"]):
            read = await account.run("show", "harbour", "--no-transcript", *json)
            assert read.code == 0
            assert "The transcript was not asked for." in read.out + read.err
            assert "include_transcript" not in read.out + read.err

    live(story, tmp_path)


def test_a_person_says_when_and_who_as_people_do(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen"), talk("garden", began="2025-12-31T09:30:00+00:00")])
        found = (await account.run("search", "--period", "feb 14, 2026", "--speaker", "ben", "--json")).json
        assert (found["matched"], found["range"]) == (2, {"start": "2026-02-14", "end": "2026-02-14"})
        shown = await account.run("search", "--start", "Q4 2025", "--end", "before 2026")
        assert "About the garden" in shown.out
        assert "From 2025-10-01 to 2025-12-31." in shown.err
        refused = await account.run("search", "--period", "03/04/2026")
        assert refused.code == 2
        assert "--period: can be two days: write 2026-03-04 or 2026-04-03." in refused.err
        read = await account.run("show", "harbour", "--speaker", "me")
        assert read.code == 2
        assert "Ana, Ben" in read.err

    live(story, tmp_path)


def test_json_is_for_programs(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        found = (await account.run("search", "harbour", "--json")).json
        assert found["matched"] == 1
        assert found["coverage"]["complete"] is True
        read = (await account.run("show", found["conversations"][0]["id"], "--json")).json
        assert read["transcript"][1] == {
            "start": 15.25,
            "end": 29.75,
            "speaker": "Ben",
            "text": "At the harbour we counted sentence-1 of our plan for the winter season.",
        }
        assert (await account.run("show", "harbour", "--no-transcript", "--json")).json["transcript"] is None

    live(story, tmp_path)


def test_whoever_is_shown_as_you_is_found_as_you(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        said = {
            "text": "I will book the boathouse.",
            "start": 0.0,
            "end": 3.0,
            "speaker": "SPEAKER_00",
            "is_user": True,
        }
        account.sandbox.load([talk("harbour"), talk("mine", segments=[said])])
        found = (await account.run("search", "--speaker", "You", "--json")).json
        assert [card["speakers"] for card in found["conversations"]] == [["You"]]
        read = await account.run("show", "mine", "--speaker", "me")
        assert "You: I will book the boathouse." in read.out

    live(story, tmp_path)


def test_nothing_found_is_said_and_is_no_failure(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        found = await account.run("search", "zeppelin")
        assert (found.code, found.out) == (0, "")
        assert "Nothing matches" in found.err
        assert "Nothing matches" in (await account.run("search", "zeppelin", "--json")).json["note"]

    live(story, tmp_path)


def test_a_search_that_found_something_else_than_asked_says_so(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        found = await account.run("search", '"winter harbour"')
        assert (found.code, "About the harbour" in found.out) == (0, True)
        assert 'Conversations with "winter harbour": none. The ones shown have words of it, apart.' in found.err
        assert '"habrour" occurs nowhere; searched as "harbour".' in (await account.run("search", "habrour")).err
        assert "note" not in (await account.run("search", "harbour", "--json")).json

    live(story, tmp_path)


def test_what_cannot_be_seen_is_not_written_to_a_terminal(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", title="Red \x1b[31malert\x1b[0m\x07", overview="wipe\x1b[2J")])
        for arguments in (["search"], ["show", "harbour"]):
            shown = (await account.run(*arguments)).out
            assert "\x1b" not in shown
            assert "\x07" not in shown

    live(story, tmp_path)


@pytest.mark.exhaustive
def test_sync_waits_for_the_hourly_limit_says_so_and_copies_everything(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(talks(700))
        began = account.clock.now()
        stopped = await account.run("sync", "--no-wait")
        assert stopped.code == 3
        assert "run this again in" in stopped.err
        done = await account.run("sync")
        assert done.code == 0
        assert "700 conversations, 700 with everything" in done.out
        assert "is kept for searching and reading, which go on" in done.err
        assert (account.clock.now() - began).total_seconds() > 3000
        status = (await account.run("mirror", "status", "--json")).json
        assert (status["conversations"], status["transcripts"], status["complete"]) == (700, 700, True)

    live(story, tmp_path, limits="real")


def test_a_sync_and_a_refreshed_search_look_for_what_is_new_however_lately_that_was_done(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour"), talk("kitchen")])
        await account.run("sync")
        await account.run("search")
        account.sandbox.insert(talk("garden", began=account.clock.now().isoformat()))
        before = len(account.sandbox.requests)
        assert "3 conversations, 3 with everything" in (await account.run("sync")).out
        assert len(account.sandbox.requests) - before == 2, "one for the news, one for its transcript"
        account.sandbox.insert(talk("zeppelin", began=account.clock.now().isoformat()))
        assert "zeppelin" not in (await account.run("search", "zeppelin")).out
        assert "zeppelin" in (await account.run("search", "zeppelin", "--refresh")).out

    live(story, tmp_path)


def test_looks_that_were_asked_for_do_not_make_those_of_searches_rare(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        for _ in range(4):
            await account.run("sync")
        await account.clock.sleep(70)
        account.sandbox.insert(talk("zeppelin", began=account.clock.now().isoformat()))
        assert (await account.run("search", "zeppelin", "--json")).json["matched"] == 1

    live(story, tmp_path)


def test_a_sync_that_cannot_look_for_what_is_new_does_not_say_that_all_is_there(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        await account.run("sync")
        account.sandbox.faults = Faults.parse("refuse@reads")
        ended = await account.run("sync", "--no-wait")
        assert ended.code == 3
        assert "New conversations could not be looked for: the Omi API cannot be reached." in ended.err
        account.sandbox.faults = Faults()
        assert (await account.run("sync")).code == 0

    live(story, tmp_path)


@pytest.mark.exhaustive
def test_coverage_is_of_the_range_and_who_speaks_is_looked_up_first_where_it_was_asked_for(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(
            talk(f"talk-{number}", began=(START - timedelta(hours=number)).isoformat(), lines=2)
            for number in range(900)
        )
        assert (await account.run("sync", "--no-wait")).code == 3
        recent = (await account.run("search", "--start", "2026-02-24", "--json")).json["coverage"]
        assert (recent["conversations"], recent["transcripts"], recent["complete"]) == (155, 155, True)
        assert "note" not in recent

        january = ("search", "--speaker", "Ben", "--start", "2026-01-25", "--end", "2026-01-26", "--json")
        found = (await account.run(*january)).json
        assert found["matched"] == 0
        assert "Who speaks is not known yet of 48 conversations" in found["note"]
        assert found["coverage"]["complete"] is False
        assert "48 transcripts are not copied: who speaks there is not known." in found["coverage"]["note"]

        await account.clock.sleep(3600)
        before = len(account.sandbox.requests)
        await account.run("sync")
        queries = [each.query for each in account.sandbox.requests[before:]]
        ends = [query["end_date"][:10] for query in queries if query.get("include_transcript") == "true"]
        assert ends[:2] == ["2026-01-26", "2026-01-25"]
        assert (await account.run(*january)).json["matched"] == 48

    live(story, tmp_path, limits="real")


def test_a_search_that_may_miss_the_newest_says_so_unless_it_cannot_have_been_meant(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(talks(3))
        await account.run("sync")
        await account.clock.sleep(70)
        await account.run("search")
        await account.clock.sleep(90)
        account.sandbox.insert(talk("zeppelin", began=account.clock.now().isoformat()))
        missed = (await account.run("search", "zeppelin", "--json")).json["coverage"]
        assert missed["complete"] is False
        assert "Conversations newer than 2026-03-02 10:0" in missed["note"]
        before = (await account.run("search", "--end", "2026-03-01", "--json")).json["coverage"]
        assert (before["complete"], before.get("note")) == (True, None)
        fresh = (await account.run("search", "zeppelin", "--refresh", "--json")).json
        assert (fresh["matched"], "may be missing" in fresh["coverage"].get("note", "")) == (1, False)
        await account.run("sync")  # a search does not wait for a transcript, so whether it has come is chance
        await account.clock.sleep(2 * 86_400)
        stale = (await account.run("search", "--json")).json["coverage"]
        assert (stale["complete"], "were added after 2026-03-02 may be missing" in stale["note"]) == (False, True)
        assert (await account.run("search", "--start", "2026-03-01", "--json")).json["coverage"]["complete"] is True
        await account.run("sync")
        assert (await account.run("search", "--json")).json["coverage"]["complete"] is True

    live(story, tmp_path)


def test_a_full_sync_finds_what_changed_long_ago(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", began="2024-01-05T10:00:00Z"), talk("kitchen")])
        await account.run("sync")
        account.sandbox.edit("harbour", title="The zeppelin")
        assert "zeppelin" not in (await account.run("search", "zeppelin")).out
        assert (await account.run("sync", "--full")).code == 0
        assert "zeppelin" in (await account.run("search", "zeppelin")).out

    live(story, tmp_path)


def test_status_tells_where_the_copy_is_without_asking_the_api(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        assert "Nothing is copied yet" in (await account.run("mirror", "status")).out
        assert account.sandbox.requests == []
        account.sandbox.load([talk("harbour")])
        await account.run("sync")
        asked = len(account.sandbox.requests)
        shown = (await account.run("mirror", "status")).out
        assert str(tmp_path / "data") in shown
        assert "1 copied, 0 not yet, 0 locked" in shown
        assert len(account.sandbox.requests) == asked

    live(story, tmp_path)


class Screen:
    """A terminal that remembers."""

    def __init__(self) -> None:
        self.written = ""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no terminal of the system's")

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_bar_shows_speed_and_time_left_and_lines_appear_above_it() -> None:
    screen = Screen()
    terminal = Terminal(screen)  # type: ignore[arg-type]
    now = 0.0
    bar = Bar(terminal, lambda: now)
    bar.show("Transcripts", 0, 100)
    now = 10.0
    bar.show("Transcripts", 25, 100)
    assert screen.written.endswith("25 of 100, 2.5 a second, 0:00:30 left")
    terminal.print("Waiting")
    assert screen.written.split("\r\x1b[2K")[-1].startswith("Waiting\nTranscripts [")
    terminal.status("")
    assert screen.written.endswith("\r\x1b[2K")


def test_what_is_still_to_do_is_shown_with_what_is_overdue(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        due = (START - timedelta(days=3)).isoformat()
        items = [{"description": "Buy rope", "due_at": due}, {"description": "Sell the boat"}]
        account.sandbox.load([talk("harbour", action_items=items), talk("kitchen")])
        account.sandbox.add_item("Renew the passport")
        found = await account.run("search", "--open-items")
        assert found.code == 0
        assert f"[ ] Buy rope  overdue, due {due[:10]}" in found.out
        assert "[ ] Sell the boat" in found.out
        assert "About the kitchen" not in found.out
        assert found.out.index("Of no conversation") < found.out.index("[ ] Renew the passport")
        (rope,) = [item["id"] for item in account.sandbox.action_items() if item["description"] == "Buy rope"]
        account.sandbox.change_item(rope, completed=True)
        again = await account.run("search", "--open-items", "--refresh", "--json")
        assert [item["description"] for item in again.json["conversations"][0]["action_items"]] == ["Sell the boat"]

    live(story, tmp_path)
