"""The formats that are read. A reader takes the text of a file, and gives its transcripts or raises `Unreadable`."""

from collections.abc import Callable

from omi_mcp.importing.formats.captions import read_captions
from omi_mcp.importing.formats.exported import read_markdown
from omi_mcp.importing.formats.json_shapes import read_json
from omi_mcp.importing.formats.text import read_text
from omi_mcp.importing.transcript import Transcript

FORMATS: dict[str, Callable[[str], list[Transcript]]] = {
    ".vtt": lambda text: [read_captions(text, "vtt")],
    ".srt": lambda text: [read_captions(text, "srt")],
    ".json": read_json,
    ".jsonl": read_json,
    ".txt": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
}
"""The reader of a file, by the end of its name."""
