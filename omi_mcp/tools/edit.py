"""`update_title` and `discard`: the two changes the API allows, both harmless to repeat."""

from typing import Annotated, Literal

from mcp.types import CallToolResult
from pydantic import BeforeValidator, Field

from omi_mcp.tools.arguments import ConversationId, Switch, as_text
from omi_mcp.tools.calls import Ctx, answering, app_of, reply
from omi_mcp.views import cards
from omi_mcp.views.models import View

UPDATE_TITLE = """\
Give a conversation a new title. Use it only when the user asks for a rename; the title is the one thing that can \
be edited (overview, category, folder and star cannot)."""

DISCARD = """\
Hide a conversation from Omi's lists and from search, as the user asks; nothing is deleted. restore=true brings a \
hidden one back. Needs the id: note it before hiding, a hidden conversation is not found by search."""


class Renamed(View):
    id: str
    title: str
    status: Literal["renamed"] = "renamed"


class Discarded(View):
    id: str
    title: str
    status: Literal["hidden", "restored"]
    note: str


async def update_title(
    conversation_id: ConversationId,
    title: Annotated[
        str, BeforeValidator(as_text), Field(max_length=500, description="The new title, 1 to 500 characters")
    ],
    ctx: Ctx,
) -> Annotated[CallToolResult, Renamed]:
    async with answering(ctx, "edit"):
        conversation = await app_of(ctx).library.update_title(conversation_id, title)
    return reply(ctx, Renamed(id=conversation.id, title=cards.title(conversation)))


async def discard(
    conversation_id: ConversationId,
    ctx: Ctx,
    restore: Annotated[Switch, Field(description="true: bring a hidden conversation back")] = None,
) -> Annotated[CallToolResult, Discarded]:
    library = app_of(ctx).library
    async with answering(ctx, "edit"):
        conversation = await (library.restore if restore else library.discard)(conversation_id)
    return reply(
        ctx,
        Discarded(
            id=conversation.id,
            title=cards.title(conversation),
            status="restored" if restore else "hidden",
            note="It is listed and searched again."
            if restore
            else "Hidden from lists and search, not deleted. To undo: discard with this id and restore=true.",
        ),
    )
