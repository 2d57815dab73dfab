"""Every format that is read, from what its program writes to who said what, when."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from omi_mcp.importing import FORMATS, Unreadable, find_files, read_file
from omi_mcp.importing.speakers import looks_like_name

BERLIN = ZoneInfo("Europe/Berlin")

Said = tuple[float | None, float | None, str | None, str]

ZOOM_VTT = """WEBVTT

1
00:00:01.000 --> 00:00:03.500
Ana Lima: Good morning. Shall we: begin?

2
00:00:03.500 --> 00:00:05.250
Ben: Yes &amp; no.
"""
TEAMS_VTT = """WEBVTT

3f-1/12-0
00:00:01.123 --> 00:00:03.456
<v Ana Lima>Good morning.</v>

3f-1/13-0
00:00:03.500 --> 00:00:05.000
<v Ben>Yes.</v> <v Ana Lima>OK then.</v>
"""
SRT = """1
00:00:01,123 --> 00:00:03,456
ANA: <i>Good</i> morning.

2
00:00:03,500 --> 00:00:05,000
there is more

3
00:00:05,500 --> 00:00:06,000
BEN: Note: fine
"""
OTTER = """Weekly planning
Mon, Mar 4, 2024 10:00AM \u2022 45:12

SUMMARY KEYWORDS
plan, week

SPEAKERS
Ana, Speaker 2

Ana Lima  0:03\x20\x20
Hello everyone.
This is the second line.

Speaker 2  0:15\x20\x20
Hi: how are you?

Ana Lima  1:02:05
Fine.
"""
ZOOM_TEXT = """[Ana Lima] 23:59:58
Hello everybody

[Ben] 00:00:03
Hi Ana
"""
TEAMS_TEXT = """Budget review
May 4, 2024, 10:00AM
45m 12s

Ana Lima   0:03
Hello.

Ben   0:09
Hi there.
"""
TEAMS_OLD = """0:0:0.0 --> 0:0:2.340
Ana Lima
Hello

0:0:2.340 --> 0:0:4.0
Ben
Hi
"""
MARKDOWN = """---
title: "A \\"b\\""
started: "2024-05-04T10:00:00+02:00"
fingerprint: 1-x
---
# Talk

Overview: not speech.

## Transcript

[00:00:00] **Ana:** hello \\*you\\*

[00:00:03.250] **Ben B.:** ok: fine

[00:00:07] **Ana:**
"""
WHISPER = {"text": "x", "language": "en", "segments": [{"id": 0, "start": 0.0, "end": 2.5, "text": " Hello"}]}
WHISPER_CPP = {"transcription": [{"offsets": {"from": 100, "to": 2500}, "text": " Hello"}]}
DEEPGRAM_WORDS = {
    "results": {
        "channels": [
            {
                "alternatives": [
                    {
                        "words": [
                            {"word": "hello", "punctuated_word": "Hello", "start": 0.1, "end": 0.5, "speaker": 0},
                            {"word": "ana", "punctuated_word": "Ana.", "start": 0.5, "end": 0.8, "speaker": 0},
                            {"word": "hi", "start": 0.9, "end": 1.2, "speaker": 1},
                        ]
                    }
                ]
            }
        ]
    }
}
DEEPGRAM = {"results": {"utterances": [{"start": 0.1, "end": 0.8, "transcript": "Hello Ana.", "speaker": 0}]}}
ASSEMBLY = {"utterances": [{"speaker": "A", "text": "Hello", "start": 100, "end": 900}], "language_code": "en_us"}
OMI = {
    "id": "x",
    "created_at": "2024-05-04T08:00:00Z",
    "started_at": "2024-05-04T08:00:00Z",
    "structured": {"title": "Talk"},
    "transcript_segments": [
        {"text": "Hello", "speaker_id": 0, "speaker_name": "User", "start": 0.0, "end": 2.0},
        {"text": "Hi", "speaker_id": 1, "speaker_name": "Ben", "start": 2.0, "end": 3.0},
    ],
}
SEGMENTS = [{"speaker": "SPEAKER_01", "text": "Hello", "start": 0, "end": 2}]

READ: dict[str, tuple[str, list[Said]]] = {
    "zoom.vtt": (
        ZOOM_VTT,
        [(1.0, 3.5, "Ana Lima", "Good morning. Shall we: begin?"), (3.5, 5.25, "Ben", "Yes & no.")],
    ),
    "teams.vtt": (
        TEAMS_VTT,
        [
            (1.123, 3.456, "Ana Lima", "Good morning."),
            (3.5, 4.0, "Ben", "Yes."),
            (4.0, 5.0, "Ana Lima", "OK then."),
        ],
    ),
    "talk.srt": (
        SRT,
        [
            (1.123, 3.456, "ANA", "Good morning."),
            (3.5, 5.0, "ANA", "there is more"),
            (5.5, 6.0, "BEN", "Note: fine"),
        ],
    ),
    "otter.txt": (
        OTTER,
        [
            (0.0, 0.5, None, "Weekly planning Mon, Mar 4, 2024 10:00AM \u2022 45:12"),
            (0.0, 0.5, None, "SUMMARY KEYWORDS plan, week"),
            (0.0, 0.5, None, "SPEAKERS Ana, Speaker 2"),
            (3.0, 15.0, "Ana Lima", "Hello everyone. This is the second line."),
            (15.0, 3725.0, "Speaker 2", "Hi: how are you?"),
            (3725.0, 3725.5, "Ana Lima", "Fine."),
        ],
    ),
    "zoom.txt": (ZOOM_TEXT, [(0.0, 5.0, "Ana Lima", "Hello everybody"), (5.0, 5.8, "Ben", "Hi Ana")]),
    "teams.txt": (
        TEAMS_TEXT,
        [
            (0.0, 0.5, None, "Budget review May 4, 2024, 10:00AM 45m 12s"),
            (3.0, 9.0, "Ana Lima", "Hello."),
            (9.0, 9.8, "Ben", "Hi there."),
        ],
    ),
    "old.txt": (TEAMS_OLD, [(0.0, 2.34, "Ana Lima", "Hello"), (2.34, 4.0, "Ben", "Hi")]),
    "tabs.txt": ("00:00:05\tAna:\thello\n00:00:08\tBen:\thi\n", [(5.0, 8.0, "Ana", "hello"), (8.0, 8.5, "Ben", "hi")]),
    "after.txt": ("Ana (00:05): hello\nBen (00:08): hi\n", [(5.0, 8.0, "Ana", "hello"), (8.0, 8.5, "Ben", "hi")]),
    "untimed.txt": (
        "Ana: hello there\nhow are you\nBen: fine\nAna: good\n",
        [
            (0.0, 0.8, "Ana", "hello there"),
            (0.8, 2.0, "Ana", "how are you"),
            (2.0, 2.5, "Ben", "fine"),
            (2.5, 3.0, "Ana", "good"),
        ],
    ),
    "prose.txt": (
        "Dear diary. Today was: good.\n\nShopping: milk and eggs.\n",
        [(0.0, 2.0, None, "Dear diary. Today was: good."), (2.0, 3.6, None, "Shopping: milk and eggs.")],
    ),
    "ours.md": (
        MARKDOWN,
        [(0.0, 3.25, "Ana", "hello *you*"), (3.25, 7.0, "Ben B.", "ok: fine"), (7.0, 7.5, "Ana", "")],
    ),
    "bold.md": (
        "# Notes of C#\n**Ana:** yes\n**Ben:** no\n**Ana:** why\n",
        [(0.0, 1.2, None, "Notes of C#"), (1.2, 1.7, "Ana", "yes"), (1.7, 2.2, "Ben", "no"), (2.2, 2.7, "Ana", "why")],
    ),
    "whisper.json": (json.dumps(WHISPER), [(0.0, 2.5, None, " Hello")]),
    "cpp.json": (json.dumps(WHISPER_CPP), [(0.1, 2.5, None, " Hello")]),
    "words.json": (
        json.dumps(DEEPGRAM_WORDS),
        [(0.1, 0.8, "Speaker 0", "Hello Ana."), (0.9, 1.2, "Speaker 1", "hi")],
    ),
    "deepgram.json": (json.dumps(DEEPGRAM), [(0.1, 0.8, "Speaker 0", "Hello Ana.")]),
    "assembly.json": (json.dumps(ASSEMBLY), [(0.1, 0.9, "Speaker A", "Hello")]),
    "omi.json": (json.dumps(OMI), [(0.0, 2.0, "User", "Hello"), (2.0, 3.0, "Ben", "Hi")]),
    "segments.json": (json.dumps(SEGMENTS), [(0.0, 2.0, "SPEAKER_01", "Hello")]),
}

NOTE = """Bread: two loaves
Milk: three litres
Remember: the bakery closes at noon
"""
TASKS = """TODO: call Ana
TODO: ask https://example.org: soon
9:00 Standup: Ana
Lunch 12:30
with Bob
Dentist 14:00
bring card
"""
TALK = """Interviewer: hello
Ana: hello
(laughs) Interviewer: good
Ana (softly): yes
Bakery: closes at noon
and opens at six
Interviewer: bye
"""
MEET = """Weekly sync (2025-03-14 09:30 GMT+1) - Transcript
Attendees
Ana Lima, Ben Ray

00:00:00

Ana Lima: Hello.

00:05:00

Ben Ray: Hi
Ana Lima: Bye
"""
FIREFLIES = "00:03 - Ana\nHello: you\n\n00:09 - Ben\nHi\n\n00:15 - Ana\nBye\n"
ZOOM_CHAT = "09:30:12\t From Ana Lima to Everyone: hello\n09:30:40\t From  Ben  to  Ana Lima:\n\tsecret\n"
SLACK = "Ana  9:30 AM\nhello\nBen  12:31 PM\nhi\nAna  12:32 PM\nbye\n"
GRANOLA = """# Pricing

- **Owner:** Ben

## Transcript

**Me:** nine?

**Them:** *nine*.

**Me:** ok
"""
MINUTES = """Present: Ana, Ben, Eve

1. Budget
Ana: less
Ben: agreed
Eve: yes
Ana: good
Decision: less

2. Room
None.
"""
RECIPE = "## Bread\n- Flour: 500 g\n- Water: 300 g\n- Flour: a little\n"
ROLLING = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start
\x20
hello<00:00:00.500><c> world</c>

00:00:02.000 --> 00:00:02.010 align:start
hello world
\x20

00:00:02.010 --> 00:00:04.000 align:start
hello world
next<00:00:03.000><c> line</c>
"""
WEBEX = 'WEBVTT\n\n1 "Ana Lima" (374)\n00:00:03.000 --> 00:00:05.000\n5 < 6: hello\n\nthere\n'

READ |= {
    "note.txt": (
        NOTE,
        [
            (0.0, 1.2, None, "Bread: two loaves"),
            (1.2, 2.4, None, "Milk: three litres"),
            (2.4, 4.8, None, "Remember: the bakery closes at noon"),
        ],
    ),
    "tasks.txt": (
        TASKS,
        [
            (0.0, 1.2, None, "TODO: call Ana"),
            (1.2, 7.2, None, " ".join(TASKS.splitlines()[1:])),
        ],
    ),
    "talk.txt": (
        TALK,
        [
            (0.0, 0.5, "Interviewer", "hello"),
            (0.5, 1.0, "Ana", "hello"),
            (1.0, 1.8, "Interviewer", "(laughs) good"),
            (1.8, 2.6, "Ana", "(softly) yes"),
            (2.6, 4.2, None, "Bakery: closes at noon"),
            (4.2, 5.8, None, "and opens at six"),
            (5.8, 6.3, "Interviewer", "bye"),
        ],
    ),
    "meet.txt": (
        MEET,
        [
            (0.0, 0.5, None, "Weekly sync (2025-03-14 09:30 GMT+1) - Transcript Attendees Ana Lima, Ben Ray"),
            (0.0, 300.0, "Ana Lima", "Hello."),
            (300.0, 300.5, "Ben Ray", "Hi"),
            (300.5, 301.0, "Ana Lima", "Bye"),
        ],
    ),
    "fireflies.txt": (
        FIREFLIES,
        [(3.0, 9.0, "Ana", "Hello: you"), (9.0, 15.0, "Ben", "Hi"), (15.0, 15.5, "Ana", "Bye")],
    ),
    "zoom chat.txt": (ZOOM_CHAT, [(0.0, 28.0, "Ana Lima", "hello"), (28.0, 29.6, "Ben", "(to Ana Lima) secret")]),
    "slack.txt": (
        SLACK,
        [(0.0, 60.0, "Ana", "hello"), (10860.0, 10920.0, "Ben", "hi"), (10920.0, 10920.5, "Ana", "bye")],
    ),
    "granola.md": (
        GRANOLA,
        [
            (0.0, 0.5, None, "Pricing"),
            (0.5, 1.3, None, "Owner: Ben"),
            (1.3, 1.8, None, "Transcript"),
            (1.8, 2.3, "Me", "nine?"),
            (2.3, 2.8, "Them", "*nine*."),
            (2.8, 3.3, "Me", "ok"),
        ],
    ),
    "minutes.txt": (
        MINUTES,
        [
            (0.0, 1.6, None, "Present: Ana, Ben, Eve"),
            (1.6, 2.4, None, "1. Budget"),
            (2.4, 2.9, "Ana", "less"),
            (2.9, 3.4, "Ben", "agreed"),
            (3.4, 3.9, "Eve", "yes"),
            (3.9, 4.4, "Ana", "good"),
            (4.4, 5.2, None, "Decision: less"),
            (5.2, 6.0, None, "2. Room"),
            (6.0, 6.5, None, "None."),
        ],
    ),
    "recipe.md": (
        RECIPE,
        [
            (0.0, 0.5, None, "Bread"),
            (0.5, 1.7, None, "Flour: 500 g"),
            (1.7, 2.9, None, "Water: 300 g"),
            (2.9, 4.1, None, "Flour: a little"),
        ],
    ),
    "list.md": (
        "- **Ana:** hi\n- **Ben:** hi\n- **Ana:** bye\n",
        [(0.0, 0.5, "Ana", "hi"), (0.5, 1.0, "Ben", "hi"), (1.0, 1.5, "Ana", "bye")],
    ),
    "irc.txt": (
        "[09:30] <ana> hi\n[09:31] <ben> hi: you\n",
        [(0.0, 60.0, "ana", "hi"), (60.0, 60.8, "ben", "hi: you")],
    ),
    "whisperx.txt": (
        "[00:00:01.000 --> 00:00:03.000] [SPEAKER_00]: hi\n[00:00:03.000 --> 00:00:05.000] [SPEAKER_01]: hello\n",
        [(1.0, 3.0, "SPEAKER_00", "hi"), (3.0, 5.0, "SPEAKER_01", "hello")],
    ),
    "rolling.vtt": (ROLLING, [(0.0, 2.0, None, "hello world"), (2.01, 4.0, None, "next line")]),
    "webex.vtt": (WEBEX, [(3.0, 5.0, "Ana Lima", "5 < 6: hello there")]),
    "untimed.json": (
        '[{"speaker": "Ana", "text": "hello"}, {"speaker": "Ben", "text": "hi"}]',
        [(0.0, 0.5, "Ana", "hello"), (0.5, 1.0, "Ben", "hi")],
    ),
    "one.jsonl": (
        '{"speaker": "Ana", "text": "a\u2028b"}\n{"speaker": "Ben", "text": "hi"}\n',
        [(0.0, 0.8, "Ana", "a\u2028b"), (0.8, 1.3, "Ben", "hi")],
    ),
    "milliseconds.json": (
        '[{"speaker": "Ana", "text": "hello you", "start": 0, "end": 108000}]',
        [(0.0, 108.0, "Ana", "hello you")],
    ),
    "plain.json": ('{"text": "hello you"}', [(0.0, 0.8, None, "hello you")]),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_who_said_what_and_when(name: str, tmp_path: Path) -> None:
    content, expected = READ[name]
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    (source,) = read_file(file, BERLIN)
    assert [(line.start, line.end, line.speaker, line.text) for line in source.transcript.lines] == expected


@pytest.mark.parametrize(
    "content",
    [
        "\u200e[14/03/2025, 09:30:00] {}[14/03/2025, 09:30:00] {}[15/03/2025, 08:00:00] {}",
        "3/14/25, 9:30\u202fAM - {}3/14/25, 9:30\u202fAM - {}3/15/25, 8:00\u202fAM - {}",
        "14.03.25, 09:30 - {}14.03.25, 09:30 - {}15.03.25, 08:00 - {}",
    ],
    ids=["iPhone", "Android, USA", "Android, Germany"],
)
def test_each_day_of_a_chat_is_a_conversation_unless_little_was_said(content: str, tmp_path: Path) -> None:
    file = tmp_path / "chat.txt"
    for more, days in (("of it " * 30, 2), ("", 1)):
        file.write_text(content.format(f"Ana: hello\nmore: {more}\n", "+49 1: hi\n", "Ana: bye\n"), encoding="utf-8")
        sources = read_file(file, BERLIN)
        began = ["2025-03-14T09:30", "2025-03-15T08:00"]
        assert [source.started_at.isoformat()[:16] for source in sources] == began[:days]
        said = [line for source in sources for line in source.transcript.lines]
        assert [line.speaker for line in said] == ["Ana", "+49 1", "Ana"]
        assert said[0].text == f"hello more: {more}".strip()
        assert said[1].start == said[0].end
    assert said[2].start == 22.5 * 3600


def test_json_lines_are_several_transcripts_and_those_without_words_are_none(tmp_path: Path) -> None:
    silent = OMI | {"transcript_segments": []}
    file = tmp_path / "out.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in (OMI, silent, OMI)))
    assert [source.name for source in read_file(file, BERLIN)] == ["out.jsonl #1", "out.jsonl #2"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.vtt", "no captions at all", "no WebVTT"),
        ("a.vtt", "WEBVTT\n\nNOTE nothing\n", "no captions"),
        ("a.srt", "", "SRT"),
        ("a.json", "{", "not JSON"),
        ("a.json", '{"x": 1}', "none of transcript_segments"),
        ("a.json", '{"segments": [{"text": "x", "start": -1, "end": 0}]}', "segments.0.start"),
        ("a.json", '{"segments": [{"text": " ", "start": 0, "end": 1}]}', "nobody says"),
        ("a.json", '[{"speaker": "Ana"}]', "segments.0.text: Field required"),
        ("a.json", "3", "no transcript"),
        ("a.txt", "\n \n", "no words"),
        ("a.docx", "x", "is not read"),
    ],
)
def test_what_is_no_transcript_is_refused_with_the_reason(name: str, content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(Unreadable, match=reason):
        read_file(file, BERLIN)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding_and_line_end_gives_the_same_transcript_and_session(encoding: str, tmp_path: Path) -> None:
    words = "Ana: gr\u00fc\u00df dich\nBen: ja\nAna: gut\nBen: sch\u00f6n\n"
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes(words.encode(encoding))
    second.write_bytes(words.replace("\n", "\r\n").encode())
    ours, theirs = read_file(first, BERLIN)[0], read_file(second, BERLIN)[0]
    assert ours.transcript == theirs.transcript
    assert ours.session == theirs.session


@pytest.mark.parametrize(
    ("name", "began", "witness"),
    [
        ("2025-03-14 talk.srt", "2025-03-14T00:00:00+01:00", "name"),
        ("2025-03-14 09.30 talk.srt", "2025-03-14T09:30:00+01:00", "name"),
        ("talk_20250314_093015.srt", "2025-03-14T09:30:15+01:00", "name"),
        ("GMT20250314-083000_Recording.srt", "2025-03-14T08:30:00+00:00", "name"),
        ("2025-99-14 talk.srt", None, "date of the file"),
        ("talk.srt", None, "date of the file"),
    ],
)
def test_the_start_is_taken_from_the_files_name(name: str, began: str | None, witness: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(SRT)
    (source,) = read_file(file, BERLIN)
    assert source.started_from == witness
    assert began is None or source.started_at == datetime.fromisoformat(began)


def test_better_witnesses_of_the_start_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "2024-05-04 10.00.00 Anas Zoom Meeting"
    folder.mkdir()
    chat, otter = folder / "meeting_saved_closed_caption.txt", folder / "otter.txt"
    chat.write_text(ZOOM_TEXT)
    otter.write_text(OTTER)
    assert read_file(chat, BERLIN)[0].started_at == datetime(2024, 5, 4, 10, 0, tzinfo=BERLIN)
    assert read_file(otter, BERLIN)[0].started_at == datetime(2024, 3, 4, 10, 0, tzinfo=BERLIN)
    given = datetime(2020, 1, 1, tzinfo=UTC)
    assert read_file(otter, BERLIN, given)[0].started_at == given


def test_folders_are_searched_for_transcripts_only(tmp_path: Path) -> None:
    for name in ("b.srt", "sub/a.vtt", ".hidden/c.srt", "movie.mp4", "d.TXT"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [file.name for file in find_files([tmp_path, tmp_path / "b.srt"])] == ["b.srt", "d.TXT", "a.vtt"]
    assert {".vtt", ".srt", ".json", ".jsonl", ".txt", ".md"} <= set(FORMATS)


@pytest.mark.parametrize("name", ["Ana", "PhD E", "Speaker 1", "SPEAKER_00", "Dr. Li (Acme (Berlin), CPC)", "Jo d'Ark"])
def test_names_are_told_from_words(name: str) -> None:
    assert looks_like_name(name)


@pytest.mark.parametrize("words", ["and then he said", "the thing is", "Music", "", "10:30", "I said to her and"])
def test_words_are_told_from_names(words: str) -> None:
    assert not looks_like_name(words)
