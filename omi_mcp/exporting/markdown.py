"""A conversation as Markdown: front matter, summary, and every segment with its time and speaker.

What people said or a model wrote is escaped: in a Markdown viewer it can neither format, link, embed nor run anything.
`omi-mcp import` reads the transcript back word for word.
"""

import json
import re
from collections.abc import Iterator
from datetime import tzinfo

from omi_mcp import dates
from omi_mcp.api.models import Segment
from omi_mcp.exporting.records import fingerprint, local_names
from omi_mcp.mirror.types import Stored
from omi_mcp.views.cards import title
from omi_mcp.views.text import clean_line, clean_prose

VERSION = 2
"""Changes with the layout: files of an older one are written anew."""

FINGERPRINT = re.compile(r"\A---\n(?:.*\n)*?fingerprint: (\S+)\n")

_ACTIVE = re.compile(r"[\\`*_\[\]<>#$]|&(?=[#\w]+;)|~(?=~)|=(?==)|%(?=%)|(?<=~)~|(?<==)=|(?<=%)%")
_RULE = re.compile(r"^(?=[-+][-+ ]*$)", re.MULTILINE)

_WITHOUT = {
    "locked": "The transcript is locked by the plan of the Omi account.",
    "none": "There is no transcript.",
    "pending": "The transcript has not been copied yet.",
}


def markdown(stored: Stored, zone: tzinfo) -> str:
    """The whole file, times in `zone`."""
    return "\n".join([*_front_matter(stored, zone), "", *_body(stored, zone)]) + "\n"


def mark(stored: Stored) -> str:
    """What `FINGERPRINT` finds in the file of `stored` as it is now."""
    return f"{VERSION}-{fingerprint(stored)}"


def escape(text: str) -> str:
    """`text` as Markdown that shows just that."""
    return _ACTIVE.sub(r"\\\g<0>", text)


def _front_matter(stored: Stored, zone: tzinfo) -> Iterator[str]:
    conversation = stored.conversation
    segments = conversation.transcript_segments or ()
    speakers = {clean_line(segment.speaker): segment.speaker_id for segment in segments}
    place = conversation.geolocation
    facts = {
        "title": clean_line(conversation.structured.title),
        "id": conversation.id,
        "started": conversation.began.astimezone(zone).isoformat(),
        "finished": conversation.finished_at.astimezone(zone).isoformat() if conversation.finished_at else None,
        "category": clean_line(conversation.structured.category),
        "folder": conversation.folder_name and clean_line(conversation.folder_name),
        "starred": stored.starred or None,
        "speakers": list(speakers),
        "numbers": list(speakers.values()),
        "names": local_names(segments),
        "transcript": None if stored.transcript == "stored" else stored.transcript,
        "language": conversation.language,
        "source": conversation.source,
        "place": place and clean_line(place.address or ""),
        "coordinates": place and place.latitude is not None and [place.latitude, place.longitude],
    }
    yield "---"
    for name, value in facts.items():
        if value:
            yield f"{name}: {json.dumps(value, ensure_ascii=False)}"  # JSON strings and lists are YAML, too
    yield f"fingerprint: {mark(stored)}"
    yield "---"


def _body(stored: Stored, zone: tzinfo) -> Iterator[str]:
    structured = stored.conversation.structured
    yield f"# {escape(clean_line(structured.title) or title(stored.conversation))}"
    if overview := clean_prose(structured.overview):
        yield from ("", _RULE.sub(r"\\", escape(overview)))
    if structured.action_items:
        yield from ("", "## Action items", "")
        for item in structured.action_items:
            due = f" (due {dates.local(item.due_at, zone):%Y-%m-%d})" if item.due_at else ""
            yield f"- [{'x' if item.completed else ' '}] {escape(clean_line(item.description))}{due}"
    if structured.events:
        yield from ("", "## Events", "")
        for event in structured.events:
            start = f"{dates.local(event.start, zone):%Y-%m-%d %H:%M} " if event.start else ""
            description = f": {escape(clean_line(event.description))}" if event.description.strip() else ""
            yield f"- {start}{escape(clean_line(event.title))}{description}"
    yield from ("", "## Transcript")
    for segment in stored.conversation.transcript_segments or ():
        yield from ("", _line(segment))
    if not stored.conversation.transcript_segments:
        yield from ("", _WITHOUT.get(stored.transcript, _WITHOUT["none"]))


def _line(segment: Segment) -> str:
    name = escape(clean_line(segment.speaker)) or "Speaker"
    return f"[{_stamp(segment.start)}-{_stamp(segment.end)}] **{name}:** {escape(clean_line(segment.text))}".rstrip()


def _stamp(seconds: float) -> str:
    """hh:mm:ss, with milliseconds where there are any."""
    thousandths = round(seconds * 1000)
    return dates.format_offset(thousandths // 1000) + (f".{thousandths % 1000:03}" if thousandths % 1000 else "")
