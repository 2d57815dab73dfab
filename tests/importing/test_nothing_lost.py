"""Whatever a file says can be found afterwards: in the segments that are sent, in a speaker's name, or in the title."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.importing import plan_import, read_file

NAMES = ("Ana", "Ben Ray", "Me", "Note", "TODO", "Q", "A", "ana", "Speaker 2", "Dr. Li (Acme)", "Bread")

ROWS = """
Wx Wx wx. | Wx: wx wx | N: wx wx | N: | N | Wx: | wx wx: wx | 12:30 Wx | Wx 12:30 | 14:15 Wx: wx | at 12:30: wx
https://wx.org/wx | see https://wx.org: wx | [00:00:05] N: wx | [00:09] N: wx | [00:00:07.5] **N:** wx | N   0:05
N  1:02:05 | 00:07 - N | 0:09 N | N (00:41): wx | **N** [00:00:50] wx | 00:00:05 | 0:10 | N 9:30 AM | [9:31 PM] N: wx
[14/03/2025, 09:30:12] N: wx | 14/03/2025, 09:31 - N: wx wx | 15/03/2025, 09:31 - wx wx | [N] 10:02:15
2025-03-16 09:30 N: wx | 10:02:15 From N to Everyone: wx | 10:02:18 From N to Wx: wx | [00:00.000 --> 00:05.000] wx
00:00:01,000 --> 00:00:03,000 | 7 | 0:0:2.340 --> 0:0:4.0 | # Wx wx | ## N | - Wx: wx | - [ ] wx | **Wx:** wx
**N:** wx | **N**: wx | **wx wx** wx | wx ** wx | > wx | 1. wx | --- | ==== | (wx) N: wx | N (wx): wx | [wx] wx
[N] wx | (Wx): wx | Attendees: N, Wx | Transcribed by https://wx.org | SPEAKERS | SUMMARY KEYWORDS
March 4, 2024, 10:00AM | 45m 12s wx | 5 < wx and wx > 3 | wx <wx> wx | >> N: wx | N\uff1a wx | -- wx | wx --> wx
NOTE wx | <N> wx | [09:30] <N> wx | **N: wx** | **Wx wx** | Decision: wx | 2025 wx | Wx\u2028wx | \u200ewx
""".replace("\n", " | ")

Fill = Callable[[str], str]
"""Writes a name for each N, and for each `wx` or `Wx` a word that is nowhere else."""


@st.composite
def filled(draw: st.DrawFn, patterns: st.SearchStrategy[list[str]]) -> list[str]:
    numbers = count()
    rows = []
    for pattern in draw(patterns):
        row = re.sub(r"\b([Ww])x\b", lambda match: f"{match[1]}q{next(numbers)}z", pattern)
        rows.append(re.sub(r"\bN\b", lambda _: draw(st.sampled_from(NAMES)), row))
    return rows


ANY_ROW = st.sampled_from(["", *(row.strip() for row in ROWS.split(" | ") if row.strip())])
ALIKE = st.lists(ANY_ROW, min_size=1, max_size=4).flatmap(lambda few: st.lists(st.sampled_from(few), max_size=14))
TEXTS = filled(st.lists(ANY_ROW, max_size=14) | ALIKE)
SPOKEN = filled(
    st.lists(
        st.sampled_from(["wx wx", "N: wx", "Wx: wx wx", "(wx) N: wx", "- wx", "5 < wx", "12:30 wx", "<i>wx</i> wx"]),
        max_size=8,
    )
)


def saved(name: str, content: str) -> tuple[Counter[str], str]:
    """How often each word is in the segments of all drafts; and the names and titles."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(content, encoding="utf-8")
        plans = [plan_import(source) for source in read_file(file, UTC)]
    text = " ".join(segment.text for each in plans for part in each.parts for segment in part.segments)
    beside = " ".join(f"{each.source.transcript.title} {each.speakers}" for each in plans)
    return Counter(re.findall(r"[Ww]q\d+z", text)), beside


def check(name: str, content: str) -> None:
    words = re.findall(r"[Ww]q\d+z", content)
    if not words:
        return
    found, beside = saved(name, content)
    lost = [word for word in words if not found[word] and word not in beside]
    assert not lost, content
    doubled = [word for word, times in found.items() if times > 1]
    assert not doubled, content


@given(TEXTS, st.sampled_from([".txt", ".md"]))
def test_of_text(rows: list[str], suffix: str) -> None:
    check(f"file{suffix}", "\n".join(rows))


@given(SPOKEN, st.booleans(), st.booleans())
def test_of_captions(spoken: list[str], numbered: bool, blank: bool) -> None:
    cues = [
        (f"{place}\n" if numbered else "") + f"00:00:{place:02},000 --> 00:00:{place + 1:02},500\n{words}\n"
        for place, words in enumerate(spoken, 10)
    ]
    srt = ("\n" if blank or not numbered else "").join(cues)
    check("file.srt", srt)
    check("file.vtt", "WEBVTT\n\n" + srt.replace(",000", ".000").replace(",500", ".500"))
    check("file.txt", srt)


SEGMENTS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "a list": lambda said: said,
    "without times": lambda said: [{"speaker": each["speaker"], "text": each["text"]} for each in said],
    "text alone": lambda said: {"text": "\n\n".join(each["text"] for each in said)},
    "Whisper": lambda said: {"text": "", "segments": said},
    "Omi": lambda said: {"id": "x", "structured": {"title": "x"}, "transcript_segments": said},
    "whisper.cpp": lambda said: {
        "transcription": [
            {"text": each["text"], "offsets": {"from": each["start"] * 1000, "to": each["end"] * 1000}} for each in said
        ]
    },
    "AssemblyAI": lambda said: {
        "utterances": [each | {"start": each["start"] * 1000, "end": each["end"] * 1000} for each in said]
    },
    "AssemblyAI, words": lambda said: {
        "words": [
            {"text": word, "start": each["start"] * 1000, "end": each["end"] * 1000, "speaker": "A"}
            for each in said
            for word in each["text"].split()
        ]
    },
    "Deepgram": lambda said: {
        "results": {
            "channels": [
                {
                    "alternatives": [
                        {
                            "words": [
                                {
                                    "word": word,
                                    "start": each["start"],
                                    "end": each["end"],
                                    "speaker": len(each["text"]) % 3,
                                }
                                for each in said
                                for word in each["text"].split()
                            ]
                        }
                    ]
                }
            ]
        }
    },
    "Deepgram, utterances": lambda said: {
        "results": {"utterances": [each | {"transcript": each["text"], "speaker": 0} for each in said]}
    },
    "AWS": lambda said: {"results": {"transcripts": [{"transcript": each["text"]} for each in said], "items": []}},
    "Fireflies": lambda said: {
        "title": "x",
        "sentences": [
            {
                "speaker_name": each["speaker"],
                "text": each["text"],
                "start_time": each["start"],
                "end_time": each["end"],
            }
            for each in said
        ],
    },
    "podcast": lambda said: {
        "version": "1.0.0",
        "segments": [
            {"speaker": each["speaker"], "startTime": each["start"], "endTime": each["end"], "body": each["text"]}
            for each in said
        ],
    },
    "a chat": lambda said: {"messages": [{"role": "user", "content": each["text"]} for each in said]},
}


@given(SPOKEN, st.sampled_from(sorted(SEGMENTS)), st.booleans())
def test_of_json(spoken: list[str], shape: str, lines: bool) -> None:
    said = [
        {"speaker": NAMES[place % 3], "text": words, "start": place, "end": place + 1}
        for place, words in enumerate(spoken)
    ]
    value = SEGMENTS[shape](said)
    if lines:
        check("file.jsonl", "\n".join(json.dumps(each) for each in (value if isinstance(value, list) else [value])))
    else:
        check("file.json", json.dumps(value, ensure_ascii=False))


def test_of_a_long_file_whose_cues_are_out_of_order() -> None:
    places = [*range(5, 1100), 3, 4]
    stamps = [f"{place // 60:02}:{place % 60:02}" for place in places]
    cues = [
        f"00:{stamp},000 --> 00:{stamp},900\nAna: wq{place}z\n" for place, stamp in zip(places, stamps, strict=True)
    ]
    check("file.srt", "\n".join(cues))
