"""WebVTT and SRT: cues with times, and a speaker in a voice tag or at the beginning of the words."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import Literal

import webvtt
from webvtt.errors import MalformedFileError

from omi_mcp.importing.recordings import Line, Recording, Unreadable, timed
from omi_mcp.importing.speakers import split_labels

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>]*)>(.*?)(?=<v[ .]|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[^<>]*>")
_SRT_STYLE = re.compile(r"</?(?:[biu]|font)(?: [^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)


def read_captions(text: str, kind: Literal["vtt", "srt"]) -> Recording:
    """One recording, a line for each cue, or for each voice in it.

    Raises:
        Unreadable: there is no cue in it.
    """
    try:
        captions = webvtt.from_buffer(StringIO(text), format=kind).captions
    except MalformedFileError:
        raise Unreadable(f"this is no {'WebVTT' if kind == 'vtt' else 'SRT'} file") from None
    cues = [line for caption in captions for line in _voices(caption, kind)]
    if not cues:
        raise Unreadable("there are no captions in it")
    lines, _ = timed(list(_named(cues)))
    return Recording(lines)


def _voices(caption: webvtt.Caption, kind: str) -> Iterator[Line]:
    """A cue's words, one line for each voice; several share its time by their length."""
    start, end = _seconds(caption.start), _seconds(caption.end)
    if kind == "srt":
        spoken = [(None, _SRT_STYLE.sub("", caption.raw_text))]
    else:
        spoken = [(name.strip(), words) for name, words in _VOICE.findall(caption.raw_text)]
        lead = _VOICE.sub("", caption.raw_text)
        spoken = [(None, lead), *spoken] if lead.strip() else spoken
        spoken = [(name and html.unescape(name), html.unescape(_TAG.sub("", words))) for name, words in spoken]
    spoken = [(name, " ".join(words.split())) for name, words in spoken if words.strip()]
    total = sum(len(words) for _, words in spoken)
    at = start
    for name, words in spoken:
        until = end if (name, words) == spoken[-1] else at + (end - start) * len(words) / total
        yield Line(words, round(at, 3), round(until, 3), name or None)
        at = until


def _named(cues: list[Line]) -> Iterator[Line]:
    """Cues with the speakers they begin with, where the file has no voice tags."""
    if any(cue.speaker for cue in cues):
        yield from cues
        return
    for cue, said in zip(cues, split_labels([cue.text for cue in cues]), strict=True):
        yield replace(cue, text=said.text, speaker=said.speaker)


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
