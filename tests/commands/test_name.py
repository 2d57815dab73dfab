"""Names of speakers: from an import and by the person's own word, found like Omi's own, and never lost."""

from pathlib import Path
from typing import Any

from command_kit import Account, live, talk

from omi_mcp import database
from omi_mcp.clock import SystemClock
from omi_mcp.database import Database
from omi_mcp.library import Library
from omi_mcp.mirror.names import SpeakerNames

ZOOM = """WEBVTT

00:00:01.000 --> 00:00:04.000
Ana Lima: The pelican budget is what we came for.

00:00:05.000 --> 00:00:09.000
Bob Ray: I would rather talk about the turbine.

00:00:10.000 --> 00:00:12.000
Ana Lima: Then let us begin with the turbine.
"""

NUMBERED = [
    {"speaker": "SPEAKER_00", "text": "The heron budget is what we came for.", "start": 0, "end": 4},
    {"speaker": "SPEAKER_01", "text": "I would rather talk about the lighthouse.", "start": 5, "end": 9},
]


async def found(account: Account, *words: str, speaker: str) -> list[dict[str, Any]]:
    """The hits of every conversation found."""
    ended = await account.run("search", *words, "--speaker", speaker, "--json")
    return [hit for card in ended.json["conversations"] for hit in card.get("hits", ())]


def test_names_of_an_import_are_found_shown_and_never_sent(tmp_path: Path) -> None:
    (tmp_path / "2025-03-14 0930 stand-up.vtt").write_text(ZOOM)

    async def story(account: Account) -> None:
        ended = await account.run("import", tmp_path / "2025-03-14 0930 stand-up.vtt", "--me", "Ana", "--json")
        identity = ended.json[0]["conversations"][0]["id"]
        sent = account.sandbox.record(identity)["transcript_segments"]
        assert [each["speaker_name"] for each in sent] == ["User", "Speaker 1", "User"]
        (hit,) = await found(account, "turbine", speaker="bob")
        assert (hit["speaker"], hit["text"]) == ("Bob Ray", "I would rather talk about the turbine.")
        assert [hit["speaker"] for hit in await found(account, "pelican", speaker="Ana Lima")] == ["Ana Lima"]
        assert await found(account, "pelican", speaker="You"), "the user stays the user"
        assert "[00:00:05] Bob Ray: I would" in (await account.run("show", identity)).out
        for speaker in ("Speaker 1", "Bob"):
            assert "Ana" not in (await account.run("show", identity, "--speaker", speaker)).out.partition("[")[2]
        assert "[00:00:01] Ana Lima" in (await account.run("show", identity, "--speaker", "me")).out
        again = await account.run("name", identity, "Bob Ray", "Robert")
        assert "Speaker 1 = Robert (named here)" in again.out
        await account.run("import", tmp_path / "2025-03-14 0930 stand-up.vtt")
        assert await found(account, "turbine", speaker="robert"), "the person's own word wins"

    live(story, tmp_path)


def test_a_person_names_a_speaker_and_takes_it_back(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED), talk("kitchen", segments=NUMBERED)])
        await account.run("sync")
        assert await found(account, "lighthouse", speaker="Bob") == []
        assert (await account.run("name", "harbour", "Speaker 1", " Bob\n [Ray]\u202e ")).code == 0
        (hit,) = await found(account, "lighthouse", speaker="Bob")
        assert hit["speaker"] == "Bob Ray"
        assert (await account.run("search", "Bob Ray", "--json")).json["matched"] == 1
        listed = await account.run("name")
        assert listed.out.splitlines() == ["About the harbour  harbour", "    Speaker 1 = Bob Ray"]
        assert (await account.run("name", "harbour", "bob ray", "--undo")).out.splitlines() == [
            "Speaker 0, 1 segment",
            "Speaker 1, 1 segment",
        ]
        assert await found(account, "lighthouse", speaker="Bob") == []
        assert len(await found(account, "lighthouse", speaker="Speaker 1")) == 2
        assert "No names" in (await account.run("name")).err

    live(story, tmp_path)


def test_what_cannot_be_a_name_or_a_speaker_is_said(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        for arguments, told in (
            (("harbour", "Bob", "Robert"), "Speakers: Speaker 0, Speaker 1"),
            (("harbour", "1", " "), "1 to 100 characters"),
            (("harbour", "1", "x" * 101), "1 to 100 characters"),
            (("harbour", "1", "Speaker 0"), "this is what Omi calls"),
            (("harbour", "1"), "what is 1 called?"),
            (("nowhere", "1", "Bob"), "no conversation with this id"),
        ):
            ended = await account.run("name", *arguments)
            assert ended.code in (1, 2)
            assert told in ended.err, arguments
        assert not account.settings.account_file.exists(), "nothing was named"

    live(story, tmp_path)


def test_a_locked_conversation_is_not_said_to_have_no_transcript(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        await account.run("search")
        account.sandbox.lock("harbour")
        assert (await account.run("rename", "harbour", "Boats")).code == 1
        for arguments in (["name", "harbour"], ["name", "harbour", "Speaker 1", "Bob"]):
            ended = await account.run(*arguments)
            assert (ended.code, "locked by the plan" in ended.err) == (1, True)

    live(story, tmp_path)


def test_names_outlive_the_copy_and_a_name_of_omis_own_wins(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        await account.run("name", "harbour", "1", "Bob Ray")
        for file in database.files(account.settings.mirror_file):
            file.unlink()
        await account.run("sync")
        assert await found(account, "lighthouse", speaker="Bob")
        for file in database.files(account.settings.mirror_file):
            file.unlink()
        renamed = [NUMBERED[0], NUMBERED[1] | {"speaker": "Roberta"}]
        account.sandbox.insert(talk("harbour", segments=renamed))
        await account.run("sync")
        assert await found(account, "lighthouse", speaker="Bob") == []
        assert await found(account, "lighthouse", speaker="Roberta")

    live(story, tmp_path)


def test_a_name_that_was_noted_before_a_kill_is_shown_at_the_next_start(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        await account.run("sync")
        lasting = Database(account.settings.account_file)
        SpeakerNames(lasting, account.clock).give("harbour", {"Speaker 1": "Bob Ray"})
        lasting.close()
        assert await found(account, "lighthouse", speaker="Bob")

    live(story, tmp_path)


def test_names_are_kept_where_no_copy_is_kept_and_a_damaged_file_is_told_of(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        await account.run("name", "harbour", "1", "Bob Ray", mirror="memory")
        assert "Bob Ray: I would" in (await account.run("show", "harbour", mirror="memory")).out
        assert not account.settings.mirror_file.exists()
        account.settings.account_file.write_bytes(b"no database, though it once was one" * 100)
        ended = await account.run("name", "harbour", "1", "Ben")
        assert "Speaker 1 = Ben" in ended.out
        assert [file.name for file in account.settings.data_dir.glob("account-*.corrupt-*")]
        account.settings.account_file.write_bytes(b"no database, though it once was one" * 100)
        told = await account.run("mirror", "status", "--json")
        assert "the file of this account's names, imports and open creates was damaged" in told.json["warning"]

    live(story, tmp_path)


def test_nothing_is_kept_of_who_names_nobody_nor_of_what_was_deleted(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", segments=NUMBERED)])
        await account.run("sync")
        await account.run("search", "heron")
        assert not account.settings.account_file.exists()
        await account.run("name", "harbour", "1", "Bob Ray")
        library = Library(account.settings, transport=account.sandbox.transport(), clock=account.clock)
        async with library.running(syncing=False):
            assert list(await library.named_speakers()) == ["harbour"]
            await library.delete("harbour")
            assert await library.named_speakers() == {}

    live(story, tmp_path)


def test_a_file_that_was_not_there_is_met_when_another_process_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite3"
    clock = SystemClock()
    first, second = (SpeakerNames(Database(path, lazy=True), clock) for _ in range(2))
    assert first.of("harbour") == {}
    assert not path.exists()
    second.give("harbour", {"Speaker 1": "Bob"})
    assert first.of("harbour") == {"Speaker 1": "Bob"}
    path.unlink()
    assert first.of("harbour") == {}
    first.give("harbour", {"Speaker 1": "Ben"})
    assert second.of("harbour") == {"Speaker 1": "Ben"}
