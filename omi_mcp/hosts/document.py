"""A host's configuration as a document that can be changed in one place and written back with the rest as it was."""

import json
import re
from collections.abc import MutableMapping
from typing import Any, Literal, NoReturn

Format = Literal["json", "toml"]
Document = MutableMapping[str, Any]

_INDENT = re.compile(r"^[ \t]+(?=\")", re.MULTILINE)
_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)


class UnusableConfig(Exception):
    """The configuration cannot be changed without harm. `str()` says why and where, in one plain sentence."""


def parse(text: str, format: Format) -> Document:
    """Read a configuration; an empty one is an empty document.

    Raises:
        UnusableConfig: it is broken, or something in it would be lost when it is written back.
    """
    if format == "toml":
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            return tomlkit.parse(text)
        except TOMLKitError as error:
            raise UnusableConfig(f"it is not valid TOML: {error}") from None
    if not text.strip():
        return {}
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if _is_json_with_comments(text):
            raise UnusableConfig("it has comments or trailing commas, which would be lost") from None
        raise UnusableConfig(f"it is not valid JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(document, dict):
        raise UnusableConfig("it holds something other than a JSON object")
    return document


def render(document: Document, format: Format, before: str) -> str:
    """`document` as text, in the style of the text that it was read from."""
    if format == "toml":
        import tomlkit

        return tomlkit.dumps(document)
    indent = _INDENT.search(before)
    text = json.dumps(document, indent=indent.group() if indent else 2, ensure_ascii=bool(before) and before.isascii())
    return text + "\n" if before.endswith("\n") or not before else text


def table(document: Document, name: str) -> Document:
    """The table `name` of the document, made when there is none.

    Raises:
        UnusableConfig: something else has that name.
    """
    if name not in document:
        document[name] = {}
    found = document[name]
    if not isinstance(found, MutableMapping):
        raise UnusableConfig(f"its {name} is not a table of servers")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise UnusableConfig(f"it has {repeated!r} twice in one place, one of which would be lost")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise UnusableConfig(f"it is not valid JSON ({name})")


def _is_json_with_comments(text: str) -> bool:
    def keep_strings(match: re.Match[str]) -> str:
        return match.group() if match.group().startswith('"') else " "

    try:
        json.loads(_TRAILING_COMMA.sub(keep_strings, _COMMENT_OR_STRING.sub(keep_strings, text)))
    except ValueError:
        return False
    return True
