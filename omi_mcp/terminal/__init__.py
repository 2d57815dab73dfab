"""What a command works with: the open library, the output, and progress."""

from omi_mcp.terminal.output import Terminal, confirm, discard_output, wrapped
from omi_mcp.terminal.progress import Bar, add_no_wait, bar, follow
from omi_mcp.terminal.session import (
    DONE,
    FAILED,
    INCOMPLETE,
    USAGE,
    CommandFailed,
    Session,
    argument,
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
    "add_no_wait",
    "argument",
    "bar",
    "confirm",
    "discard_output",
    "follow",
    "in_session",
    "run_command",
    "wrapped",
]
