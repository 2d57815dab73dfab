"""What `omi-mcp export` wrote, read back as it was: which conversation it is, and everything the API lets one set."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from omi_mcp.api.drafts import USER_LABEL
from omi_mcp.api.models import Conversation, is_conversation_id
from omi_mcp.importing.formats.markdown import FRONT_MATTER, TRANSCRIPT_HEADING, unescaped
from omi_mcp.importing.formats.text import read_text
from omi_mcp.importing.transcript import Line, Origin, Transcript, moment_of, seconds_of, timed

_SAID = re.compile(r"\[([\d:.]+)(?:-([\d:.]+))?\] \*\*((?:\\.|[^\\*])+?):\*\* ?(.*)")
_MARKUP = re.compile(r"- (?:\[[ x]\] )?")

SUMMARY = "Summary"
"""Who "says" the summary of a conversation that has no transcript."""


def read_record(value: dict[str, Any]) -> Transcript | None:
    """A conversation in JSON; None where it is not one of the Omi API or of an export."""
    if not {"id", "created_at", "structured", "transcript_segments"} <= value.keys():
        return None
    try:
        conversation = Conversation.model_validate(value)
    except ValidationError:
        return None
    given = value.get("local_names")
    names = {str(label): str(name) for label, name in given.items()} if isinstance(given, dict) else {}
    segments = conversation.transcript_segments
    lines = [Line(each.text, each.start, each.end, each.label, number=each.speaker_id) for each in segments or ()]
    structured = conversation.structured
    written = [
        *structured.overview.splitlines(),
        *(item.description for item in structured.action_items),
        *(f"{event.title}: {event.description}" if event.description else event.title for event in structured.events),
    ]
    place = conversation.geolocation
    origin = Origin(
        id=conversation.id,
        finished_at=conversation.finished_at,
        source=conversation.source,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        folder=conversation.folder_name,
        local_names=names,
        locked=segments is None,
    )
    title = structured.title or None
    return _transcript(lines, written, Transcript((), conversation.began, None, title, conversation.language), origin)


def read_markdown(text: str) -> list[Transcript]:
    """A Markdown file: what an export wrote, by its front matter, or any other."""
    exported = _exported_markdown(text)
    return read_text(text, markdown=True) if exported is None else [exported]


def _exported_markdown(text: str) -> Transcript | None:
    front = _front_matter(text)
    marked = TRANSCRIPT_HEADING.search(text)
    if front is None or marked is None or not is_conversation_id(str(front.get("id", ""))):
        return None
    above, below = text[: marked.start()].partition("\n---\n")[2], text[marked.end() :]
    state = front.get("transcript", "stored")
    lines = _said(below.splitlines(), front) if state == "stored" else []
    if state == "stored" and not lines:
        return None
    place = front.get("coordinates") or [None, None]
    origin = Origin(
        id=front["id"],
        finished_at=moment_of(front.get("finished")),
        source=front.get("source"),
        latitude=place[0],
        longitude=place[1],
        folder=front.get("folder"),
        local_names=front.get("names", {}),
        locked=state == "locked",
    )
    transcript = Transcript((), moment_of(front.get("started")), None, front.get("title"), front.get("language"))
    return _transcript(lines, list(_written(above)), transcript, origin)


def _transcript(lines: list[Line], written: Iterable[str], transcript: Transcript, origin: Origin) -> Transcript:
    """With its lines; without a transcript, with what Omi wrote about it, as words of nobody but a summary."""
    if lines or origin.locked:
        user = {USER_LABEL, origin.local_names.get(USER_LABEL)}
        return replace(
            transcript,
            lines=tuple(replace(line, is_user=line.speaker in user) for line in lines),
            origin=origin,
        )
    summed_up = timed([Line(each, speaker=SUMMARY, number=0) for each in written if each.strip()])
    return replace(transcript, lines=summed_up, estimated=True, origin=replace(origin, summed_up=True))


def _front_matter(text: str) -> dict[str, Any] | None:
    """Its values are JSON, but for the fingerprint, which tells that an export wrote it."""
    match = FRONT_MATTER.match(text)
    if match is None or "\nfingerprint: " not in match[0]:
        return None
    front: dict[str, Any] = {}
    for row in match[1].splitlines():
        name, _, value = row.partition(": ")
        if name != "fingerprint":
            try:
                front[name] = json.loads(value)
            except ValueError:
                continue  # a property that the person added
    return front


def _said(rows: Iterable[str], front: dict[str, Any]) -> list[Line]:
    """Every segment; what a person wrote below one belongs to it."""
    speakers, numbers = front.get("speakers", []), front.get("numbers", [])
    numbered = dict(zip(speakers, numbers, strict=False)) if len(speakers) == len(numbers) else {}
    lines: list[Line] = []
    for row in rows:
        if match := _SAID.fullmatch(row):
            speaker = unescaped(match[3])
            end = seconds_of(match[2]) if match[2] else None
            lines.append(Line(unescaped(match[4]), seconds_of(match[1]), end, speaker, number=numbered.get(speaker)))
        elif lines and row.strip():
            lines[-1] = replace(lines[-1], text=f"{lines[-1].text} {unescaped(row.strip())}")
    return lines if all(line.end for line in lines) else list(timed(lines))


def _written(body: str) -> Iterator[str]:
    """The summary, without headings."""
    for row in body.splitlines():
        if row.strip() and not row.startswith("#"):
            yield unescaped(_MARKUP.sub("", row, count=1))
