"""`show_conversation`: a conversation for the user's own eyes, in hosts that render MCP Apps."""

from typing import Annotated

from mcp.server.apps import client_supports_apps
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import dates, front, viewer
from omi_mcp.tools.arguments import ConversationId, Index, Words, checked
from omi_mcp.tools.calls import Ctx, answering, app_of, reply
from omi_mcp.views import budgets, notes
from omi_mcp.views.cards import shown_card
from omi_mcp.views.models import ShownConversation

DESCRIPTION = """\
Show the user one conversation: the host opens a viewer with its time line and transcript, at the passage that find, \
at or segment names. Use it when they want to see or browse a conversation or to check a passage; to read it yourself, \
use get_conversation. The answer is the passage it opens at: say what matters in words, too."""


async def show_conversation(
    conversation_id: ConversationId,
    ctx: Ctx,
    find: Annotated[Words, Field(description="Open where these words are said")] = None,
    at: Annotated[Words, Field(description="Open at this time: 00:41:00, 41:00 or seconds")] = None,
    segment: Annotated[Index, Field(description="Open at this segment, counted from 0")] = None,
) -> Annotated[CallToolResult, ShownConversation]:
    app = app_of(ctx)
    with checked("at"):
        seconds = dates.parse_offset(at) if at else None
    given = [name for name, value in {"find": find, "at": seconds, "segment": segment}.items() if value]
    if len(given) > 1:
        raise ToolError(f"Give one of find, at and segment, not {' and '.join(given)}.")
    async with answering(ctx, "read"):
        opened = await front.read(app.library, conversation_id, find=find, at=seconds, segment=segment)
    zone = app.settings.timezone
    missing = opened.absence
    card = shown_card(opened.stored, zone, opened.transcript.speakers, summary=missing is not None or not given)
    passage = None if missing else opened.transcript.view(opened.transcript.window(opened.place, budgets.PASSAGE))
    note = notes.shown(missing, unsaid=bool(find and not opened.hits))
    answer = reply(ctx, card.model_copy(update={"transcript": passage, "note": note}))
    if app.settings.viewer != "on" and not client_supports_apps(ctx):
        return answer
    # What hosts hand to the view alone; the rest may reach the model, and is small.
    return answer.model_copy(update={"meta": {viewer.DATA: front.viewed(opened, zone, find=find)}})
