"""`get_conversation`: the card in full and a window of the transcript, opened where it matters."""

from typing import Annotated

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import dates, front
from omi_mcp.tools.arguments import ConversationId, Index, WindowSize, Words, checked
from omi_mcp.tools.calls import Ctx, answering, app_of, reply
from omi_mcp.views import budgets
from omi_mcp.views.cards import detail_card, heading_card, moments
from omi_mcp.views.models import ConversationDetail
from omi_mcp.views.notes import RECORDED_SPEECH
from omi_mcp.views.transcripts import user_name

DESCRIPTION = """\
Read one conversation: summary, action items, events and a window of its transcript. Open the window where it matters: \
find (words; opens at the best passage and lists other moments), at (time), segment (from a search hit), or cursor to \
page on: then without the summary, the place marked >>. speaker shows only that person's turns. Check \
transcript.covers: it tells which part you have. Do not page through a long transcript to find something: use find. \
include_transcript=false gives the summary alone, with every action item."""

HIDDEN = "This conversation is hidden (discarded): not in lists or search. discard with restore=true brings it back."


async def get_conversation(
    conversation_id: ConversationId,
    ctx: Ctx,
    include_transcript: Annotated[bool, Field(description="default true; false: only the summary")] = True,
    find: Annotated[Words, Field(description="Open at the best match for these words")] = None,
    at: Annotated[Words, Field(description="Open at this time: 00:41:00, 41:00 or seconds")] = None,
    segment: Annotated[Index, Field(description="Open at this segment, counted from 0")] = None,
    cursor: Annotated[Words, Field(description="next_cursor or previous_cursor of this transcript")] = None,
    speaker: Annotated[Words, Field(description="Only this person's turns")] = None,
    max_chars: Annotated[
        WindowSize,
        Field(
            description=f"Size of the window, {budgets.WINDOW_MIN} to {budgets.WINDOW_MAX}; default "
            f"{budgets.WINDOW}, {budgets.FIND_WINDOW} with find"
        ),
    ] = None,
) -> Annotated[CallToolResult, ConversationDetail]:
    app = app_of(ctx)
    with checked("at"):
        seconds = dates.parse_offset(at) if at else None
    places = {"find": find, "at": seconds, "segment": segment, "cursor": cursor}
    given = [name for name, value in places.items() if value]  # 0 is the start, where it opens anyway
    if len(given) > 1:
        raise ToolError(f"Give one of find, at, segment and cursor, not {' and '.join(given)}.")
    async with answering(ctx, "read"):
        opened = await front.read(
            app.library,
            conversation_id,
            transcript=include_transcript or bool(given),
            find=find,
            at=seconds,
            segment=segment,
            cursor=cursor,
            speaker=speaker,
        )
    zone = app.settings.timezone
    notes = [HIDDEN] if opened.stored.hidden and not given else []
    if opened.absence is not None:
        notes.append(opened.absence.model)
        return reply(ctx, detail_card(opened.stored, zone).model_copy(update={"note": " ".join(notes)}))
    if find and not opened.hits:
        notes.append("None of the words of find occur in this transcript; it opens at the start.")
    size = max_chars or (budgets.FIND_WINDOW if find else budgets.WINDOW)
    listed = moments(opened.hits, size // budgets.MOMENTS)
    window = opened.transcript.window(opened.place, size - sum(budgets.json_size(each.dump()) + 1 for each in listed))
    shown = {
        "moments": listed or None,
        "transcript": opened.transcript.view(window),
        "note": " ".join([*notes, RECORDED_SPEECH]),
    }
    speakers = opened.transcript.speakers
    if given:
        return reply(ctx, heading_card(opened.stored, zone, speakers).model_copy(update=shown))
    card = detail_card(opened.stored, zone, speakers, most_items=budgets.CARD_ITEMS)
    return reply(ctx, card.model_copy(update=shown | {"user": user_name(opened.user)}))
