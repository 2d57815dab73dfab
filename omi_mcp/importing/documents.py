"""JSON of Omi, Deepgram, AssemblyAI and Whisper: each shape told by its keys, checked, and read into recordings."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from omi_mcp.importing.recordings import Line, Recording, Unreadable, timed


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore")

    def recording(self) -> Recording:
        raise NotImplementedError


class _Spoken(BaseModel):
    """A segment as Omi, Whisper and most programs write it; times are seconds."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    text: str
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    speaker: str | None = None
    speaker_name: str | None = None
    speaker_id: int | None = None
    is_user: bool = False

    def line(self) -> Line:
        numbered = None if self.speaker_id is None else f"SPEAKER_{self.speaker_id:02d}"
        name = self.speaker_name or self.speaker or numbered
        # OMI API: the person's own speech is named `User` while their profile has no name.
        return Line(self.text, self.start, self.end, name, is_user=self.is_user or name == "User")


class _Structured(BaseModel):
    title: str | None = None


class Omi(_Shape):
    """A conversation as the Omi API answers it, or as this program exports it."""

    transcript_segments: list[_Spoken]
    started_at: datetime | None = None
    created_at: datetime | None = None
    structured: _Structured = _Structured()
    language: str | None = None

    def recording(self) -> Recording:
        lines, _ = timed([spoken.line() for spoken in self.transcript_segments])
        title = self.structured.title or None
        return Recording(lines, self.started_at or self.created_at, title=title, language=self.language)


class Segments(_Shape):
    """Whisper and its kin: `segments`, with a `speaker` where somebody diarised."""

    segments: list[_Spoken]
    language: str | None = None
    started_at: datetime | None = None
    title: str | None = None

    @field_validator("language")
    @classmethod
    def _code_only(cls, language: str | None) -> str | None:
        return language if language and len(language) == 2 else None

    def recording(self) -> Recording:
        lines, _ = timed([spoken.line() for spoken in self.segments])
        return Recording(lines, self.started_at, title=self.title, language=self.language)


class _Offsets(BaseModel):
    start: float = Field(alias="from", ge=0)
    end: float = Field(alias="to", ge=0)


class _Heard(BaseModel):
    text: str
    offsets: _Offsets


class WhisperCpp(_Shape):
    """The JSON of whisper.cpp; its offsets are milliseconds."""

    transcription: list[_Heard]

    def recording(self) -> Recording:
        heard = [Line(each.text, each.offsets.start / 1000, each.offsets.end / 1000) for each in self.transcription]
        return Recording(timed(heard)[0])


class _Utterance(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    speaker: str | None = None
    text: str = Field(alias="transcript", default="")


class _Word(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    speaker: str | None = None
    word: str = ""
    punctuated_word: str | None = None
    text: str = ""


class _Alternative(BaseModel):
    words: list[_Word] = []


class _Channel(BaseModel):
    alternatives: list[_Alternative] = Field(min_length=1)


class _Results(BaseModel):
    utterances: list[_Utterance] | None = None
    channels: list[_Channel] = []


class Deepgram(_Shape):
    """Utterances where they were asked for, else the words of each speaker; several channels are several speakers."""

    results: _Results

    def recording(self) -> Recording:
        if self.results.utterances:
            said = [Line(each.text, each.start, each.end, _label(each.speaker)) for each in self.results.utterances]
        else:
            channels = self.results.channels
            said = [
                line
                for number, channel in enumerate(channels)
                for line in _turns(channel.alternatives[0].words, str(number) if len(channels) > 1 else None)
            ]
        return Recording(timed(sorted(said, key=lambda line: line.start or 0.0))[0])


class _Assembled(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    text: str
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    speaker: str | None = None


class AssemblyAI(_Shape):
    """Utterances with speakers, else words; times are milliseconds."""

    utterances: list[_Assembled] | None = None
    words: list[_Word] | None = None
    language_code: str | None = None

    def recording(self) -> Recording:
        if self.utterances:
            said = [Line(each.text, each.start, each.end, _label(each.speaker)) for each in self.utterances]
        else:
            said = list(_turns(self.words or [], None))
        lines = [Line(line.text, (line.start or 0) / 1000, (line.end or 0) / 1000, line.speaker) for line in said]
        return Recording(timed(lines)[0], language=self.language_code and self.language_code[:2])


SHAPES: tuple[tuple[str, type[_Shape]], ...] = (
    ("transcript_segments", Omi),
    ("results", Deepgram),
    ("segments", Segments),
    ("transcription", WhisperCpp),
    ("utterances", AssemblyAI),
    ("words", AssemblyAI),
)
"""The key that tells each shape, the most telling first."""


def read_json(text: str) -> list[Recording]:
    """The recordings of one JSON value, or of JSON lines.

    Raises:
        Unreadable: it is not JSON, or of no shape that is known.
    """
    try:
        values = [json.loads(text)]
    except ValueError:
        values = list(_values_of_lines(text))
    if len(values) == 1 and isinstance(values[0], list) and not _is_segment(next(iter(values[0]), None)):
        values = values[0]
    recordings = [_read(value) for value in values]
    spoken = [recording for recording in recordings if any(line.text.strip() for line in recording.lines)]
    if not spoken:
        raise Unreadable("nobody says anything in it")
    return spoken


def _values_of_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise Unreadable(f"line {number} is not JSON") from None


def _read(value: Any) -> Recording:
    if isinstance(value, list):
        value = {"segments": value}
    if not isinstance(value, dict):
        raise Unreadable("this JSON is no transcript")
    for key, shape in SHAPES:
        if value.get(key) is not None:
            try:
                recording = shape.model_validate(value).recording()
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in problem["loc"])
                raise Unreadable(f"{where}: {problem['msg']}") from None
            return recording
    known = ", ".join(key for key, _ in SHAPES)
    raise Unreadable(f"this JSON is no transcript that is known: it has none of {known}")


def _is_segment(value: Any) -> bool:
    return isinstance(value, dict) and {"text", "start", "end"} <= value.keys()


def _turns(words: list[_Word], channel: str | None) -> Iterator[Line]:
    """Words of one speaker in a row as one line, ended by a full stop or by another speaker."""
    turn: list[_Word] = []
    for word in words:
        if turn and (word.speaker != turn[-1].speaker or _shown(turn[-1]).endswith((".", "?", "!"))):
            yield _line(turn, channel)
            turn = []
        turn.append(word)
    if turn:
        yield _line(turn, channel)


def _line(turn: list[_Word], channel: str | None) -> Line:
    speaker = turn[0].speaker if turn[0].speaker is not None else channel
    return Line(" ".join(_shown(word) for word in turn), turn[0].start, turn[-1].end, _label(speaker))


def _shown(word: _Word) -> str:
    return word.punctuated_word or word.word or word.text


def _label(speaker: str | None) -> str | None:
    return f"Speaker {speaker}" if speaker else None
