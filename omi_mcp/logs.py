"""The log on standard error: lines for people, or JSON for machines. No line has anything in it that somebody said."""

import json
import logging
import re
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from omi_mcp.settings import LogFormat, LogLevel

ACCESS = "omi_mcp.access"
"""The logger of the line that each request over HTTP has."""

OURS = ("omi_mcp", "uvicorn")
"""Whose messages are safe whole. Of others the message is logged without what is filled in."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._=-]{8,64}")

Value = str | int | float


@dataclass
class Request:
    """The request over HTTP that is being served, and what its line in the log will say."""

    id: str
    notes: dict[str, Value] = field(default_factory=dict)


_request: ContextVar[Request | None] = ContextVar("omi_mcp.logs.request", default=None)


@contextmanager
def serving(given: str | None) -> Iterator[Request]:
    """Serve a request in this block, with the id that it came with, where that is a safe one."""
    safe = given is not None and _SAFE_ID.fullmatch(given) is not None
    request = Request(given if given is not None and safe else secrets.token_hex(8))
    before = _request.set(request)
    try:
        yield request
    finally:
        _request.reset(before)


def note(**values: Value) -> None:
    """Say something of the request that is being served, if one is."""
    if (request := _request.get()) is not None:
        request.notes.update(values)


def set_up(level: LogLevel, form: LogFormat) -> None:
    """Log to standard error from now on, before the SDK would configure logging. Request URLs are never logged.

    Machines can leave out by themselves what they do not want: for them it is all that happens here.
    """
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
        logging.getLogger("omi_mcp").setLevel(min(logging.getLevelNamesMapping()[level], logging.INFO))


class JsonLines(logging.Formatter):
    """An event is a line of JSON: time, level, logger, message, and the request it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] in OURS
        request = _request.get()
        event: dict[str, Value | list[str]] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage() if ours else str(record.msg),
        }
        if request is not None:
            event["request"] = request.id
        event |= getattr(record, "notes", {})
        if record.exc_info and record.exc_info[1] is not None:
            # Not what it says, which may be what somebody said.
            causes = list(_causes(record.exc_info[1]))
            event["error"] = " from ".join(type(each).__name__ for each in causes)
            frames = traceback.extract_tb(causes[-1].__traceback__)
            event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(event, ensure_ascii=False)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what it came from, and so on."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
