"""Export then import is a backup: in another account everything comes back that the API lets one write, and once."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_kit import Account, live, talk, talks

SPOKEN = [
    {
        "speaker": "SPEAKER_03",
        "text": "We begin with the *harbour* [00:01] and **all**: of it.",
        "start": 0.25,
        "end": 4,
    },
    {"speaker": "User", "text": "Then the boats, \\ and # the rest.", "start": 4.5, "end": 9.125},
    {"speaker": "Ana: Lima", "text": "## Transcript", "start": 9.125, "end": 9.125},
    {"speaker": "SPEAKER_01", "text": "I have nothing against it, said the third of us.", "start": 9, "end": 3700.5},
]


def library() -> list[dict[str, Any]]:
    """Conversations with all that the API lets one write: times to the microsecond, a place, a source, a language."""
    heard = [
        {"text": each["text"], "speaker_name": name, "speaker_id": number, "start": each["start"], "end": each["end"]}
        for each, name, number in zip(SPOKEN, ("Speaker 3", "User", "Ana Lima", "Speaker 1"), (3, 0, 2, 1), strict=True)
    ]
    api = {
        "id": "harbour",
        "created_at": "2026-02-14T09:30:00.123456Z",
        "started_at": "2026-02-14T09:30:00.123456Z",
        "finished_at": "2026-02-14T10:31:40.7Z",
        "structured": {"title": 'Boats: "what" we have', "overview": "Boats.", "category": "work"},
        "language": "de",
        "source": "omi",
        "transcript_segments": heard,
        "geolocation": {"latitude": 52.52, "longitude": -13.405, "address": "Berlin"},
        "folder_id": "f1",
        "folder_name": "Sea",
    }
    scrap = [{"speaker": "SPEAKER_00", "text": "Hm.", "start": 0, "end": 1}]
    return [api, talk("kitchen", began="2026-02-10T09:30:00Z"), talk("scrap", title="Kept", segments=scrap)]


def written(account: Account) -> list[dict[str, Any]]:
    """Of every listed conversation, what the API lets one write."""
    found = []
    for each in account.sandbox.ids():
        record = account.sandbox.record(each)
        names = ("started_at", "finished_at", "language", "source")
        place = record["geolocation"] or {}
        found.append(
            {name: record[name] for name in names}
            | {"title": record["structured"]["title"]}
            | {"place": (place.get("latitude"), place.get("longitude"))}
            | {
                "segments": [
                    (said["text"], said["speaker_id"], said["speaker_name"] == "User", said["start"], said["end"])
                    for said in sorted(record["transcript_segments"], key=lambda said: said["start"])
                ]
            }
        )
    return found


async def speakers(account: Account, folder: Path) -> list[list[str]]:
    """Who is said to speak in each conversation, in an export of its own."""
    await account.run("export", folder, "--format", "json")
    records = [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]
    return [
        [said["speaker_name"] or f"Speaker {said['speaker_id']}" for said in each["transcript_segments"]]
        for each in records
    ]


@pytest.mark.parametrize("form", ["markdown", "json", "jsonl"])
def test_another_account_has_everything_back_once(tmp_path: Path, form: str) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(library())
        await account.run("sync")
        await account.run("name", "harbour", "Speaker 3", "Cleo")
        await account.run("export", tmp_path / "out", "--format", form)
        other = Account(tmp_path / "other")
        ended = await other.run("import", tmp_path / "out")
        assert ended.code == 0, ended
        expected = written(account)
        for each in expected:  # Omi lets nobody say something in no time
            each["segments"] = [(*said[:4], max(said[4], round(said[3] + 0.001, 3))) for said in each["segments"]]
        assert written(other) == expected
        assert await speakers(other, tmp_path / "theirs") == await speakers(account, tmp_path / "ours")
        assert "In Sea belong:" in ended.err
        again = await other.run("import", tmp_path / "out", "--again")
        assert "0 imported, 3 imported before." in again.out
        assert written(other) == expected
        other.sandbox.close()

    live(story, tmp_path)


def test_many_are_found_there_by_the_list_and_not_one_by_one(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(talks(60))
        await account.run("export", tmp_path / "out", "--format", "jsonl")
        for arguments, data in ((["--again"], "data"), ([], "a new computer")):
            asked = len(account.sandbox.requests)
            ended = await account.run("import", tmp_path / "out", *arguments, data_dir=tmp_path / data)
            assert "0 imported, 60 imported before." in ended.out
            assert len(account.sandbox.requests) - asked <= 3

    live(story, tmp_path)


def test_what_is_there_already_stays_as_it_is_in_whatever_form(tmp_path: Path) -> None:
    async def story(account: Account) -> None:
        account.sandbox.load(library())
        for form in ("markdown", "json", "jsonl"):
            await account.run("export", tmp_path / "out", "--format", form)
        before = written(account)
        account.sandbox.discard("scrap")
        elsewhere = account.settings.data_dir / "elsewhere"
        for options in ({}, {"data_dir": elsewhere}):
            ended = await account.run("import", tmp_path / "out", **options)
            assert (ended.code, "0 imported, 9 imported before." in ended.out) == (0, True), ended
        account.sandbox.discard("scrap", False)
        assert written(account) == before
        account.sandbox.delete("kitchen")
        other = Account(tmp_path / "other")
        assert "3 imported, 6 imported before." in (await other.run("import", tmp_path / "out")).out
        assert "1 imported, 8 imported before." in (await account.run("import", tmp_path / "out", "--again")).out
        assert sorted(each["title"] for each in written(account)) == sorted(each["title"] for each in before)
        other.sandbox.close()

    live(story, tmp_path)


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_without_a_transcript_its_summary_comes_back_and_a_locked_one_is_refused(tmp_path: Path, form: str) -> None:
    async def story(account: Account) -> None:
        note = talk("note", segments=[], title="A note", overview="The heron *nests* in May.\nNobody is to go there.")
        oldest = talk("garden", began="2026-02-01T09:30:00Z")
        account.sandbox.load([note, talk("locked", began="2026-02-10T09:30:00Z"), oldest])
        await account.run("sync")
        account.sandbox.lock("locked")
        await account.run("export", tmp_path / "out", "--format", form)
        other = Account(tmp_path / "other")
        ended = await other.run("import", tmp_path / "out")
        assert ended.code == 1
        assert "its transcript was locked when it was exported" in ended.err
        assert "what Omi wrote about it is saved as its words" in ended.out
        back, _ = written(other)
        assert back["title"] == "A note"
        assert [said[0] for said in back["segments"]][:2] == ["The heron *nests* in May.", "Nobody is to go there."]
        found = await other.run("search", "heron", "--speaker", "Summary", "--json")
        assert found.json["matched"] == 1
        other.sandbox.close()

    live(story, tmp_path)
