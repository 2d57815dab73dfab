"""What a command works with: the open library, the output, and progress."""

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
    "fail",
    "follow",
    "in_session",
    "run_command",
    "wrapped",
]
