"""A host's configuration as a document that can be changed in one place and written back with the rest as it was."""

import json
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import tomlkit
from tomlkit.exceptions import TOMLKitError

Format = Literal["json", "jsonc", "toml"]
"""jsonc is JSON in which the host also takes comments and commas after the last member."""

Document = MutableMapping[str, Any]

_GAP = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_INDENT = re.compile(r"^[ \t]+(?=\")", re.MULTILINE)


class UnusableConfig(Exception):
    """The configuration cannot be changed without harm. `str()` says why and where, in one plain sentence."""


def parse(text: str, format: Format) -> Document:
    """Read a configuration; an empty one is an empty document.

    Raises:
        UnusableConfig: it is broken.
    """
    if format == "toml":
        try:
            return tomlkit.parse(text.replace("\r\n", "\n"))
        except TOMLKitError as error:
            raise UnusableConfig(f"it is not valid TOML: {error}") from None
    if not text.strip():
        return {}
    try:
        document = _STRICT.decode(text.strip()) if format == "json" else _lenient(text)
    except (json.JSONDecodeError, RecursionError) as error:
        if format == "json" and _is_json_with_comments(text):
            raise UnusableConfig("it has comments or trailing commas, which this host does not read") from None
        at = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UnusableConfig(f"it is not valid JSON{at}") from None
    if not isinstance(document, dict):
        raise UnusableConfig("it holds something other than a JSON object")
    return document


def render(document: Document, format: Format, before: str) -> str:
    """`document` as text: that of `before`, from which it was read, changed only where the two differ.

    Raises:
        UnusableConfig: the change cannot be made in that text.
    """
    if format == "toml":
        text = tomlkit.dumps(document)
        return _proven(text.replace("\n", "\r\n") if "\r\n" in before else text, format, document)
    text = before
    if _after_gap(text, 0) == len(text):
        indented = json.dumps(document, indent=2, ensure_ascii=False)
        return f"{text.rstrip()}\n{indented}\n" if text.strip() else f"{indented}\n"
    while edit := _first_edit(text, _after_gap(text, 0), document):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return _proven(text, format, document)


def _proven(text: str, format: Format, document: Document) -> str:
    """`text`, if it says what the document holds: a person's file is not the place to find a mistake."""
    try:
        if parse(text, format) == document:
            return text
    except UnusableConfig:
        pass
    raise UnusableConfig("the entry cannot be put into it without harm")


def table(document: Document, name: str) -> Document:
    """The table `name` of the document, made when there is none.

    Raises:
        UnusableConfig: something else has that name.
    """
    if document.get(name) is None:
        document[name] = {}
    found = document[name]
    if not isinstance(found, MutableMapping):
        raise UnusableConfig(f"its {name} is not a table of servers")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(name, "", 0)


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)


@dataclass(frozen=True)
class _Member:
    """A member of an object, or an item of a list: where it stands in the text, from its key on.

    `value_at` is where its value begins, `comma` where the comma after it is, if there is one.
    """

    key: str | None
    value: Any
    start: int
    value_at: int
    end: int
    comma: int | None


@dataclass(frozen=True)
class _Edit:
    """What stands from `start` to `end` becomes `text`."""

    start: int
    end: int
    text: str


def _lenient(text: str) -> Any:
    at = _after_gap(text, 0)
    if at == len(text):
        return {}
    value, end = _scan(text, at)
    if (rest := _after_gap(text, end)) < len(text):
        raise json.JSONDecodeError("Extra data", text, rest)
    return value


def _is_json_with_comments(text: str) -> bool:
    try:
        _lenient(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _after_gap(text: str, at: int) -> int:
    """Where the blanks and comments that begin at `at` end."""
    match = _GAP.match(text, at)
    return match.end() if match else at


def _scan(text: str, at: int) -> tuple[Any, int]:
    """The value at `at`, and where it ends."""
    try:
        return _STRICT.raw_decode(text, at)
    except json.JSONDecodeError:
        if text[at : at + 1] not in ("{", "["):
            raise
    members, end = _members(text, at)
    if text[at] == "{":
        return {member.key: member.value for member in members}, end
    return [member.value for member in members], end


def _members(text: str, at: int) -> tuple[list[_Member], int]:
    """What the object or list at `at` holds, and where it ends."""
    keyed = text[at] == "{"
    closing = "}" if keyed else "]"
    found: list[_Member] = []
    place = _after_gap(text, at + 1)
    while text[place : place + 1] != closing:
        if found and found[-1].comma is None:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
        start, key = place, None
        if keyed:
            if text[place : place + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, place)
            key, place = _STRICT.raw_decode(text, place)
            place = _after_gap(text, place)
            if text[place : place + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, place)
            place = _after_gap(text, place + 1)
        value, end = _scan(text, place)
        after = _after_gap(text, end)
        comma = after if text[after : after + 1] == "," else None
        found.append(_Member(key, value, start, place, end, comma))
        place = after if comma is None else _after_gap(text, comma + 1)
    return found, place + 1


def _first_edit(text: str, at: int, wanted: Any) -> _Edit | None:
    """The first of the edits that make the value at `at` the `wanted` one; None when it is that already."""
    value, end = _scan(text, at)
    if value == wanted:
        return None
    if isinstance(value, dict) and isinstance(wanted, Mapping):
        return _object_edit(text, at, wanted)
    if isinstance(value, list) and isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return _list_edit(text, at, value, wanted)
    return _Edit(at, end, _dumped(text, wanted, spread="\n" in text, indent=_indent_at(text, at)))


def _object_edit(text: str, at: int, wanted: Mapping[str, Any]) -> _Edit | None:
    members, end = _members(text, at)
    for place, member in enumerate(members):
        if member.key not in wanted:
            return _removal(text, at, end, members, place)
    present = {member.key: member for member in members}  # of a key that is there twice, hosts read the last
    for key, item in wanted.items():
        if key not in present:
            return _addition(text, at, end, members, key, item)
        if edit := _first_edit(text, present[key].value_at, item):
            return edit
    return None


def _list_edit(text: str, at: int, value: Sequence[Any], wanted: Sequence[Any]) -> _Edit | None:
    members, end = _members(text, at)
    shared = min(len(value), len(wanted))
    differs = next((place for place in range(shared) if value[place] != wanted[place]), shared)
    if len(value) > len(wanted):
        return _removal(text, at, end, members, differs)
    if differs < len(value):
        return _first_edit(text, members[differs].value_at, wanted[differs])
    return _addition(text, at, end, members, None, wanted[differs])


def _addition(text: str, at: int, end: int, members: Sequence[_Member], key: str | None, item: Any) -> _Edit:
    """Put one more behind what is there, its comments included, in the style of the text around."""
    newline = "\r\n" if "\r\n" in text else "\n"
    last = members[-1] if members else None
    whole_line = last is not None and not text[_line_start(text, last.start) : last.start].strip()
    spread = "\n" in (text[at:end] if members else text) or not text[:at].strip()
    indent = _indent_at(text, last.start if last and whole_line else at) + ("" if whole_line else _unit(text))
    added = _dumped(text, item, spread=spread, indent=indent)
    if key is not None:
        added = f"{json.dumps(key)}: {added}"
    start = last.end if last else at + 1
    inside = text[start : end - 1]
    kept = inside.rstrip()
    rest = inside[len(kept) :]
    if last and last.comma is None:
        kept = f",{kept}"
    after = "," if last and last.comma is not None else ""
    if spread:
        rest = rest if last and "\n" in rest else newline + _indent_at(text, at)
        return _Edit(start, end - 1, f"{kept}{newline}{indent}{added}{after}{rest}")
    return _Edit(start, end - 1, f"{kept}{' ' if last else ''}{added}{after}{rest if last else ''}")


def _removal(text: str, at: int, end: int, members: Sequence[_Member], place: int) -> _Edit:
    """Take one out, with its line where it has one of its own, and with one comma."""
    member = members[place]
    line = _line_start(text, member.start)
    own_line = line > at and not text[line : member.start].strip()
    start = len(text[:line].rstrip("\r\n")) if own_line else member.start
    kept = ""
    if member.comma is not None:
        stop = member.comma + 1
        if not own_line:
            stop += len(text[stop:]) - len(text[stop:].lstrip(" \t"))
    else:
        stop = member.end
        if place:
            comma = members[place - 1].comma
            kept = text[(comma or 0) + 1 : start]
            start = comma or start
            kept = kept if own_line else kept.rstrip()
    if not (text[at + 1 : start] + kept + text[stop : end - 1]).strip():
        return _Edit(at + 1, end - 1, "")
    return _Edit(start, stop, kept)


def _dumped(text: str, value: Any, *, spread: bool, indent: str) -> str:
    dumped = json.dumps(value, indent=_unit(text) if spread else None, ensure_ascii=text.isascii())
    return dumped.replace("\n", ("\r\n" if "\r\n" in text else "\n") + indent)


def _unit(text: str) -> str:
    found = _INDENT.search(text)
    return found.group() if found else "  "


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent_at(text: str, at: int) -> str:
    """The blanks that begin the line of `at`."""
    start = _line_start(text, at)
    line = text[start:at]
    return line[: len(line) - len(line.lstrip(" \t"))]
