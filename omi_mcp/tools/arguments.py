"""Arguments as hosts really send them: numbers and lists as strings."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BeforeValidator, Field

from omi_mcp import dates
from omi_mcp.tools.calls import Ctx, app_of
from omi_mcp.views import budgets

MAX_LIMIT = 50


def _comma_list(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def as_text(value: Any) -> Any:
    """A number where a word is expected is meant as its digits: the title 2026, the offset 2460."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _not_zero(value: Any) -> Any:
    """Hosts that must send every number send 0 for "not given"."""
    return None if value in (0, "0") else value


ConversationId = Annotated[
    str, Field(min_length=1, max_length=256, description="id from search_conversations, copied whole")
]
Words = Annotated[str | None, BeforeValidator(as_text)]
Index = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_not_zero)]
PageSize = Annotated[Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None, BeforeValidator(_not_zero)]
WindowSize = Annotated[
    Annotated[int, Field(ge=budgets.WINDOW_MIN, le=budgets.WINDOW_MAX)] | None, BeforeValidator(_not_zero)
]
Switch = bool | None
Names = Annotated[list[str] | None, BeforeValidator(_comma_list)]


@contextmanager
def checked(argument: str) -> Iterator[None]:
    """Refuse what cannot be read, by the name of the argument.

    Raises:
        ToolError: the block raised ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise ToolError(f"{argument}: {error}") from None


def time_range(ctx: Ctx, start: str | None, end: str | None, period: str | None) -> dates.Range:
    """The first and last instant meant, in the user's timezone.

    Raises:
        ToolError: a date cannot be read, or the end lies before the start.
    """
    app = app_of(ctx)
    try:
        return dates.parse_range(start, end, period, app.clock.now(), app.settings.timezone)
    except ValueError as error:
        raise ToolError(str(error)) from None


def moment(ctx: Ctx, name: str, text: str | None) -> datetime | None:
    """One exact moment for a conversation that is about to be made.

    Raises:
        ToolError: it cannot be read.
    """
    app = app_of(ctx)
    try:
        return dates.parse_moment(text, app.clock.now(), app.settings.timezone) if text else None
    except ValueError as error:
        raise ToolError(f"{name}: {error} Nothing was created.") from None


def coordinates(latitude: float | None, longitude: float | None) -> dict[str, float | None]:
    """Where a conversation was, as a draft takes it. 0, 0 is nowhere: what a host sends that must send numbers."""
    return {"latitude": latitude, "longitude": longitude} if latitude or longitude else {}
