"""What a person sees: plain lines, styled and with a moving status line where the stream is a terminal.

A library would do more, but the MCP SDK loads the usual one whenever it is installed, and every host would wait for it.
"""

import os
import re
import signal
import sys
import unicodedata
from typing import Literal, TextIO

Style = Literal["bold", "dim", "red", "cyan", "yellow"]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "cyan": "36", "yellow": "1;33"}
_CLEAR = "\r\x1b[2K"
_STYLE = re.compile(r"\x1b\[[\d;]*m")


class Terminal:
    """One output stream. Without a terminal, or with NO_COLOR, only the words are written."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._styled = self.interactive and not os.environ.get("NO_COLOR")
        self._status = ""
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Windows pipes have a code page that lacks most of what people say.
            reconfigure(errors="replace", **({} if stream.isatty() else {"encoding": "utf-8"}))
        if self._styled and sys.platform == "win32":
            os.system("")

    def paint(self, text: str, style: Style) -> str:
        """`text` as it is shown in `style`."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._styled and text else text

    def print(self, text: str = "") -> None:
        """A line, above the status line; on a terminal wrapped at words."""
        status, self._status = self._status, ""
        if self.interactive:
            text = "\n".join(wrapped(line, _columns(self.stream)) for line in text.split("\n"))
        self.stream.write((_CLEAR if status else "") + text + "\n" + status)
        self._status = status
        self.stream.flush()

    def fail(self, message: str) -> None:
        """The one line that says why a command ends without having done its work."""
        self.print(self.paint(f"omi-mcp: {message}", "red"))

    def status(self, text: str) -> None:
        """Show `text` in place of the status line; "" takes it away. Nothing without a terminal."""
        if self.interactive and text != self._status:
            self._status = text[: _columns(self.stream) - 1]
            self.stream.write(_CLEAR + self._status)
            self.stream.flush()


def discard_output() -> None:
    """Drop what is still to be printed: the reader of a pipe has seen enough, and nothing may raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def confirm(question: str) -> bool:
    """Whether the person at the keyboard says yes. Blocks; Ctrl-C is a no at once, in an event loop too."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    finally:
        signal.signal(signal.SIGINT, handler)


def wrapped(line: str, columns: int) -> str:
    """`line` broken between words so that nothing stands beyond `columns`; what follows begins as far in as it did.

    Styles take no room. A word that is longer than a line stays whole.
    """
    if _width(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines, room = [indent], columns - len(indent)
    for word in line.split():
        width = _width(word)
        if lines[-1] != indent and width + 1 > room:
            lines.append(indent)
            room = columns - len(indent)
        lead = "" if lines[-1] == indent else " "
        lines[-1] += lead + word
        room -= width + len(lead)
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    return sum(_character_width(character) for character in _STYLE.sub("", text))


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
