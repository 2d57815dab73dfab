"""What Markdown adds to text: front matter, headings, lists, bold type and escapes."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from omi_mcp.importing.transcript import Line, moment_of

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_BOLD = re.compile(r"(?<!\\)\*\*(?=\S)(.+?)(?<=[^\s\\])\*\*")
_ALL_BOLD = re.compile(r"\*\*([^*]+[^*:])\*\*")
FRONT_MATTER = re.compile(r"---\n(.*?)\n---(?:\n|\Z)", re.DOTALL)
TRANSCRIPT_HEADING = re.compile(r"^## Transcript\n", re.MULTILINE)
_HEADING = re.compile(r"#{1,6}[ \t]+")
_CLOSING = re.compile(r"\s+#+$")
_MARKUP = re.compile(r"(?:> |[-*+] (?:\[[ xX]\] )?|\d{1,3}[.)] )")


@dataclass(frozen=True)
class Row:
    """A line of the file, without its markup."""

    text: str
    heading: bool = False
    item: bool = False
    """Of a list."""

    @property
    def words(self) -> bool:
        """Whether there are any, but for headings."""
        return bool(self.text) and not self.heading


def row_of(row: str, markdown: bool) -> Row:
    row = row.strip()
    if not markdown:
        return Row(row, item=_MARKUP.match(row) is not None)
    if (whole := _ALL_BOLD.fullmatch(row)) is not None:
        row = whole[1]
    if heading := _HEADING.match(row):
        return Row(_CLOSING.sub("", row[heading.end() :]), heading=True)
    if set(row) <= set("-=*_ "):
        return Row("")
    marked = _MARKUP.match(row)
    return Row(row[marked.end() :], item=marked[0] != "> ") if marked else Row(row)


def front_matter(text: str) -> tuple[dict[str, str], list[str], str]:
    """The simple values of a YAML front matter that mean something here, its other rows, and the text behind it."""
    match = FRONT_MATTER.match(text)
    if match is None:
        return {}, [], text
    values, others = {}, []
    for row in match[1].splitlines():
        name, separator, value = row.partition(":")
        if separator and name in ("title", "started", "language", "fingerprint"):
            values[name] = _scalar(value.strip())
        elif separator and name == "date" and moment_of(_scalar(value.strip())):
            values["started"] = _scalar(value.strip())
        elif row.strip():
            others.append(row.strip())
    return values, [] if "fingerprint" in values else others, text[match.end() :]


def _scalar(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            pass
    return value.strip("'\"")


def unescaped(text: str) -> str:
    """Without Markdown's backslashes."""
    return _ESCAPED.sub(r"\1", text)


def plain(lines: Sequence[Line]) -> Iterator[Line]:
    """Without Markdown's bold type and escapes."""
    for line in lines:
        text = unescaped(_BOLD.sub(r"\1", line.text))
        yield replace(line, text=text, speaker=line.speaker and unescaped(line.speaker))
