"""`delete_conversation`: the one thing that cannot be undone, so the person is asked, or the title must be named."""

from typing import Annotated, Literal

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import BaseModel, BeforeValidator, Field

from omi_mcp import dates
from omi_mcp.api.errors import AnswerLost, TimeUp
from omi_mcp.api.models import Conversation
from omi_mcp.tools.arguments import ConversationId, Words
from omi_mcp.tools.calls import ANSWER_SECONDS, Ctx, app_of, explained, kept_posted, reply
from omi_mcp.views import cards
from omi_mcp.views.errors import NOTHING
from omi_mcp.views.models import View

DELETE = """\
Delete one conversation for good: summary and transcript cannot be brought back. Use it only when the user asks for \
exactly that; to tidy up, discard hides instead. Where the host can ask, the user is asked to confirm; elsewhere \
confirm_title must be the conversation's current title. Memories and action items that Omi made of it stay."""

STAYS = "Deleted for good. Memories and action items that Omi made of it stay in the Omi app."


READ_SECONDS = 15.0
DELETE_SECONDS = ANSWER_SECONDS - READ_SECONDS
"""A call looks at the conversation first, and both together have to be answered in time."""


class Confirmation(BaseModel):
    """What the person is asked. Some hosts leave out what was not ticked."""

    delete: Annotated[bool, BeforeValidator(lambda value: value is True)] = Field(
        False, title="Delete", description="Yes, delete this conversation for good"
    )


class Deleted(View):
    id: str
    title: str
    status: Literal["deleted"] = "deleted"
    note: str = STAYS


async def current(conversation_id: str, ctx: Ctx) -> Conversation:
    with explained("delete"):
        try:
            async with kept_posted(ctx, seconds=READ_SECONDS):
                return await app_of(ctx).library.current(conversation_id)
        except TimeUp:
            raise AnswerLost("the Omi API does not answer") from None


async def confirmation(
    confirm_title: str | None, conversation: Annotated[Conversation, Resolve(current)], ctx: Ctx
) -> Confirmation | Elicit[Confirmation]:
    stored = await app_of(ctx).library.copied(conversation.id)
    title = cards.title(conversation, stored.opening if stored else "")
    untitled = not conversation.structured.title.strip()
    given = None if confirm_title is None else confirm_title.strip()
    # What is shown in place of a missing title depends on how much of the conversation could be read.
    if given not in (None, title) and not (untitled and given and given.startswith(cards.UNTITLED)):
        raise ToolError(
            f"confirm_title is not the conversation's current title: read it with get_conversation, and ask the "
            f"user whether this is the one.{NOTHING['delete']}"
        )
    if not _can_ask(ctx):
        return Confirmation(delete=confirm_title is not None)
    began = dates.local(conversation.began, app_of(ctx).settings.timezone)
    return Elicit(
        f'Delete "{title}" of {began:%Y-%m-%d %H:%M} for good? Its summary and transcript cannot be brought back. '
        "Memories and action items that Omi made of it stay.",
        Confirmation,
    )


async def delete_conversation(
    conversation_id: ConversationId,
    conversation: Annotated[Conversation, Resolve(current)],
    answer: Annotated[ElicitationResult[Confirmation], Resolve(confirmation)],
    ctx: Ctx,
    confirm_title: Annotated[Words, Field(description="The current title, for hosts that cannot ask")] = None,
) -> Annotated[CallToolResult, Deleted]:
    if not (isinstance(answer, AcceptedElicitation) and answer.data.delete):
        raise ToolError(
            f"The user did not agree.{NOTHING['delete']}"
            if _can_ask(ctx)
            else "Ask the user first; then make this call with confirm_title, the conversation's current title."
            f"{NOTHING['delete']}"
        )
    with explained("delete"):
        async with kept_posted(ctx, seconds=DELETE_SECONDS, after=READ_SECONDS):
            await app_of(ctx).library.delete(conversation_id)
    return reply(ctx, Deleted(id=conversation_id, title=cards.title(conversation)))


def _can_ask(ctx: Ctx) -> bool:
    """Whether the host shows forms. MCP: a bare `elicitation: {}` is the older way to say so."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
