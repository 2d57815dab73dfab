"""What a command works with: the open library, the output, progress, and words for errors."""

from omi_mcp.terminal.errors import duration, in_words
from omi_mcp.terminal.output import Bar, Terminal, agreed, bar, wrapped
from omi_mcp.terminal.progress import follow
from omi_mcp.terminal.session import (
    DONE,
    FAILED,
    INCOMPLETE,
    USAGE,
    CommandFailed,
    Session,
    fail,
    in_session,
    run_command,
)

__all__ = [
    "DONE",
    "FAILED",
    "INCOMPLETE",
    "USAGE",
    "Bar",
    "CommandFailed",
    "Session",
    "Terminal",
    "agreed",
    "bar",
    "duration",
    "fail",
    "follow",
    "in_session",
    "in_words",
    "run_command",
    "wrapped",
]
