"""JSON of Omi, Deepgram, AssemblyAI, Whisper and their kin: each shape told by its keys, checked, and read."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from omi_mcp.importing.formats.exported import read_record
from omi_mcp.importing.formats.text import paragraphs
from omi_mcp.importing.transcript import STAMP, Line, Transcript, Unreadable, seconds_of, timed, untimed

_STAMP = re.compile(STAMP)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

AN_INSTANT = 1e9
"""Seconds. More than this are counted from 1970, and not from the beginning."""

SLOWEST = 30.0
"""Seconds a word. Who is said to speak slower than this was timed in milliseconds."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore")

    def transcript(self) -> Transcript:
        raise NotImplementedError


def _seconds(value: Any) -> Any:
    """A time in seconds, also of `00:41:03`; None for an instant of the calendar."""
    if isinstance(value, str):
        if _STAMP.fullmatch(value):
            return seconds_of(value)
        return value if _NUMBER.fullmatch(value) else None
    return None if isinstance(value, int | float) and value > AN_INSTANT else value


def _name(value: Any) -> Any:
    """Of a speaker that is an object, the name."""
    return value.get("name", value.get("id")) if isinstance(value, dict) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str | None, BeforeValidator(_name)]

_TEXT = ("text", "content", "transcript", "body", "sentence", "message")


class _Spoken(BaseModel):
    """A segment as Omi, Whisper and most programs write it; times are seconds, and may be missing."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    text: str = Field(validation_alias=AliasChoices(*_TEXT))
    start: Seconds | None = Field(None, validation_alias=AliasChoices("start", "start_time", "startTime", "timestamp"))
    end: Seconds | None = Field(None, validation_alias=AliasChoices("end", "end_time", "endTime"))
    speaker: Name = Field(None, validation_alias=AliasChoices("speaker", "name", "role"))
    speaker_name: str | None = Field(None, validation_alias=AliasChoices("speaker_name", "speakerName"))
    speaker_id: int | str | None = None
    is_user: bool = False

    def line(self) -> Line:
        numbered = f"SPEAKER_{self.speaker_id:02d}" if isinstance(self.speaker_id, int) else self.speaker_id
        name = self.speaker_name or self.speaker or numbered
        # OMI API: the person's own speech is named `User` while their profile has no name.
        return Line(self.text, self.start, self.end, name, is_user=self.is_user or name == "User")


def _recorded(spoken: list[_Spoken]) -> Transcript:
    """Their times made whole, and in seconds."""
    said = [each.line() for each in spoken]
    lines = timed(said)
    words = sum(len(line.text.split()) for line in lines)
    total = sum((line.end or 0.0) - (line.start or 0.0) for line in lines)
    if not untimed(said) and total > SLOWEST * words and _whole(said):
        lines = _from_milliseconds(lines)
    return Transcript(lines, estimated=untimed(said))


def _whole(lines: list[Line]) -> bool:
    """Whether no time has a fraction."""
    return all(float(time).is_integer() for line in lines for time in (line.start, line.end) if time is not None)


def _from_milliseconds(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(replace(line, start=(line.start or 0.0) / 1000, end=(line.end or 0.0) / 1000) for line in lines)


class _Structured(BaseModel):
    title: str | None = None


class Omi(_Shape):
    """A conversation as the Omi API answers it, or as this program exports it."""

    transcript_segments: list[_Spoken]
    started_at: datetime | None = None
    created_at: datetime | None = None
    structured: _Structured = _Structured()
    language: str | None = None

    def transcript(self) -> Transcript:
        return replace(
            _recorded(self.transcript_segments),
            started_at=self.started_at or self.created_at,
            title=self.structured.title or None,
            language=self.language,
        )


class Segments(_Shape):
    """Whisper and its kin, with a `speaker` where somebody diarised; Fireflies' `sentences`, a chat's `messages`."""

    segments: list[_Spoken] = Field(
        validation_alias=AliasChoices("segments", "sentences", "utterances", "messages", "transcript", "entries")
    )
    language: str | None = None
    started_at: datetime | None = None
    title: str | None = None

    @field_validator("language")
    @classmethod
    def _code_only(cls, language: str | None) -> str | None:
        return language if language and len(language) == 2 else None

    def transcript(self) -> Transcript:
        return replace(
            _recorded(self.segments), started_at=self.started_at, title=self.title or None, language=self.language
        )


class Plain(_Shape):
    """Words alone, as Whisper answers when it is not asked for more."""

    text: str = Field(validation_alias=AliasChoices("text", "transcript"))

    def transcript(self) -> Transcript:
        return paragraphs(self.text)


class _Offsets(BaseModel):
    start: float = Field(alias="from", ge=0)
    end: float = Field(alias="to", ge=0)


class _Heard(BaseModel):
    text: str
    offsets: _Offsets


class WhisperCpp(_Shape):
    """The JSON of whisper.cpp; its offsets are milliseconds."""

    transcription: list[_Heard]

    def transcript(self) -> Transcript:
        heard = [Line(each.text, each.offsets.start / 1000, each.offsets.end / 1000) for each in self.transcription]
        return Transcript(timed(heard))


class _Timed(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    speaker: str | None = None


class _Utterance(_Timed):
    text: str = Field(alias="transcript", default="")


class _Word(_Timed):
    word: str = ""
    punctuated_word: str | None = None
    text: str = ""

    @property
    def shown(self) -> str:
        return self.punctuated_word or self.word or self.text


class _Alternative(BaseModel):
    words: list[_Word] = []


class _Channel(BaseModel):
    alternatives: list[_Alternative] = Field(min_length=1)


class _Whole(BaseModel):
    transcript: str


class _Results(BaseModel):
    utterances: list[_Utterance] | None = None
    channels: list[_Channel] = []
    transcripts: list[_Whole] = []


class Deepgram(_Shape):
    """Utterances where they were asked for, else the words of each speaker; several channels are several speakers.

    AWS Transcribe has `results`, too; there the whole `transcripts` are read.
    """

    results: _Results

    def transcript(self) -> Transcript:
        if self.results.transcripts:
            return paragraphs("\n\n".join(each.transcript for each in self.results.transcripts))
        if self.results.utterances:
            said = [Line(each.text, each.start, each.end, _label(each.speaker)) for each in self.results.utterances]
        else:
            channels = self.results.channels
            said = [
                line
                for number, channel in enumerate(channels)
                for line in _turns(channel.alternatives[0].words, str(number) if len(channels) > 1 else None)
            ]
        return Transcript(timed(sorted(said, key=lambda line: line.start or 0.0)))


class AssemblyAI(_Shape):
    """Utterances with speakers, else words; times are milliseconds, unless there are fractions of them."""

    utterances: list[_Spoken] | None = None
    words: list[_Word] | None = None
    language_code: str | None = None

    def transcript(self) -> Transcript:
        if self.utterances:
            said = [replace(each.line(), speaker=_label(each.line().speaker)) for each in self.utterances]
        else:
            said = list(_turns(self.words or [], None))
        lines = timed(said)
        if not untimed(said) and _whole(said):
            lines = _from_milliseconds(lines)
        return Transcript(lines, language=self.language_code and self.language_code[:2], estimated=untimed(said))


SHAPES: tuple[tuple[str, type, type[_Shape]], ...] = (
    ("transcript_segments", list, Omi),
    ("results", dict, Deepgram),
    ("segments", list, Segments),
    ("sentences", list, Segments),
    ("transcription", list, WhisperCpp),
    ("utterances", list, AssemblyAI),
    ("words", list, AssemblyAI),
    ("messages", list, Segments),
    ("entries", list, Segments),
    ("transcript", list, Segments),
    ("transcript", str, Plain),
    ("text", str, Plain),
)
"""The key that tells each shape, and what stands there; the most telling first."""


def read_json(text: str) -> list[Transcript]:
    """The transcripts of one JSON value, or of JSON lines.

    Raises:
        Unreadable: it is not JSON, or of no shape that is known.
    """
    try:
        values = [json.loads(text)]
    except ValueError:
        values = list(_values_of_lines(text))
    if len(values) == 1 and isinstance(values[0], list) and not _is_segment(next(iter(values[0]), None)):
        values = values[0]
    elif len(values) > 1 and all(_is_segment(value) for value in values):
        values = [values]
    transcripts = [_read(value) for value in values]
    spoken = [
        each
        for each in transcripts
        if (each.origin and each.origin.locked) or any(line.text.strip() for line in each.lines)
    ]
    if not spoken:
        raise Unreadable("nobody says anything in it")
    return spoken


def _values_of_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise Unreadable(f"line {number} is not JSON") from None


def _read(value: Any) -> Transcript:
    if isinstance(value, list):
        value = {"segments": value}
    elif _is_segment(value) and value.keys() & {"speaker", "speaker_name", "start"}:
        value = {"segments": [value]}
    if not isinstance(value, dict):
        raise Unreadable("this JSON is no transcript")
    if (exported := read_record(value)) is not None:
        return exported
    for key, kind, shape in SHAPES:
        if isinstance(value.get(key), kind):
            try:
                return shape.model_validate(value).transcript()
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in problem["loc"])
                raise Unreadable(f"{where}: {problem['msg']}") from None
    known = ", ".join(dict.fromkeys(key for key, _, _ in SHAPES))
    raise Unreadable(f"this JSON is no transcript that is known: it has none of {known}")


def _is_segment(value: Any) -> bool:
    """Whether `value` is one of the stretches of a list, and not a transcript of its own."""
    if not isinstance(value, dict):
        return False
    said = "speaker" in value or any(isinstance(value.get(key), str) for key in _TEXT)
    return said and not any(isinstance(value.get(key), kind) for key, kind, _ in SHAPES if kind is not str)


def _turns(words: list[_Word], channel: str | None) -> Iterator[Line]:
    """Words of one speaker in a row as one line, ended by a full stop or by another speaker."""
    turn: list[_Word] = []
    for word in words:
        if turn and (word.speaker != turn[-1].speaker or turn[-1].shown.endswith((".", "?", "!"))):
            yield _line(turn, channel)
            turn = []
        turn.append(word)
    if turn:
        yield _line(turn, channel)


def _line(turn: list[_Word], channel: str | None) -> Line:
    speaker = turn[0].speaker if turn[0].speaker is not None else channel
    return Line(" ".join(word.shown for word in turn), turn[0].start, turn[-1].end, _label(speaker))


def _label(speaker: str | None) -> str | None:
    """Numbers and letters stand for speakers; what is longer is a name."""
    return f"Speaker {speaker}" if speaker and len(speaker) < 3 else speaker
