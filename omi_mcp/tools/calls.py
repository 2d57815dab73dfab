"""What surrounds every tool call: what it is served with, the time it may take, its errors and its answer."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent

from omi_mcp.api.errors import OmiError, TimeUp
from omi_mcp.context import AppContext
from omi_mcp.database import Away
from omi_mcp.tasks import beside
from omi_mcp.views.budgets import compact_json
from omi_mcp.views.errors import Action, away, explain
from omi_mcp.views.models import View

WAITING = "Waiting for Omi"

BEAT_SECONDS = 10.0

ANSWER_SECONDS = 45.0
"""How long a call may take. Most hosts give up after a minute."""

Ctx = Context[AppContext]


def app_of(ctx: Ctx) -> AppContext:
    return ctx.request_context.lifespan_context


@asynccontextmanager
async def answering(ctx: Ctx, action: Action, message: str | Callable[[], str] = WAITING) -> AsyncIterator[None]:
    """Do what was asked for, within the time that hosts give a call, and tell errors as a model can act on them.

    Raises:
        ToolError: the library failed, or took too long.
    """
    with explained(action):
        async with kept_posted(ctx, message):
            yield


@contextmanager
def explained(action: Action) -> Iterator[None]:
    """Turn every `OmiError`, and `Away`, inside the block into a `ToolError` the model can act on."""
    try:
        yield
    except OmiError as error:
        raise ToolError(explain(error, action).model) from error
    except Away as error:
        raise ToolError(away(action)) from error


@asynccontextmanager
async def kept_posted(
    ctx: Ctx, message: str | Callable[[], str] = WAITING, *, seconds: float = ANSWER_SECONDS, after: float = 0.0
) -> AsyncIterator[None]:
    """Report progress, in seconds waited, for as long as the block runs, which is `seconds` at most.

    `after` is how long the same call may have waited before: what is reported has to grow.

    Raises:
        TimeUp: the block took too long.
    """
    clock = app_of(ctx).clock
    late = False

    async def beat() -> None:
        waited = after
        while True:
            await clock.sleep(BEAT_SECONDS)
            waited += BEAT_SECONDS
            try:
                await ctx.report_progress(waited, None, message if isinstance(message, str) else message())
            except Exception:
                return  # the client has gone, which is not for progress to find out

    async def limit() -> None:
        nonlocal late
        await clock.sleep(seconds)
        late = True
        scope.cancel()

    done = False
    async with beside(beat, limit) as scope:
        yield
        done = True
    if late and not done:
        raise TimeUp(f"not done in {seconds:.0f} seconds")


def reply(ctx: Ctx, answer: View) -> CallToolResult:
    """The same compact, null-free JSON as text and as structured content: hosts read one or the other.

    Without structured content for hosts that would show both to the model.
    """
    data = answer.dump()
    return CallToolResult(
        content=[TextContent(type="text", text=compact_json(data))],
        structured_content=data if app_of(ctx).settings.structured else None,
    )
