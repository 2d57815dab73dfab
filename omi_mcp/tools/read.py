"""`get_conversation`: the card in full and a window of the transcript, opened where it matters."""

from collections.abc import Sequence
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import dates
from omi_mcp.clock import Clock
from omi_mcp.library import Library, Reading
from omi_mcp.mirror.types import Hit
from omi_mcp.settings import Settings
from omi_mcp.tools.arguments import ConversationId, Index, WindowSize, Words
from omi_mcp.tools.errors import explained
from omi_mcp.tools.replies import READ, Replies
from omi_mcp.tools.waiting import WAITING, kept_posted
from omi_mcp.views import budgets
from omi_mcp.views.cards import detail_card, heading_card, hit
from omi_mcp.views.errors import explain
from omi_mcp.views.models import ConversationDetail
from omi_mcp.views.notes import RECORDED_SPEECH, no_transcript
from omi_mcp.views.transcripts import Place, Transcript, user_name

DESCRIPTION = """\
Read one conversation: summary, action items, events and a window of its transcript. Open the window where it matters: \
find (words; opens at the best passage and lists other moments), at (time), segment (from a search hit), or cursor to \
page on; speaker shows only that person's turns. Check transcript.covers: it tells which part you have. Do not page \
through a whole long transcript to find something: use find. include_transcript=false gives the summary alone."""

LEAD_IN = 2
"""Segments shown before the moment that was looked for: what it answers is mostly said just before."""

CANDIDATES = 5 * budgets.MOMENTS
"""Moments looked at, to have enough of one speaker's."""

HIDDEN = "This conversation is hidden (discarded): not in lists or search. discard with restore=true brings it back."


def register(server: MCPServer[None], library: Library, settings: Settings, clock: Clock, replies: Replies) -> None:
    @replies.tool(server, title="Read a conversation", description=DESCRIPTION, annotations=READ)
    async def get_conversation(
        conversation_id: ConversationId,
        ctx: Context[None],
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
        try:
            seconds = dates.parse_offset(at) if at else None
        except ValueError as error:
            raise ToolError(f"at: {error}") from None
        places = {"find": find, "at": seconds, "segment": segment, "cursor": cursor}
        given = [name for name, value in places.items() if value]  # 0 is the start, where it opens anyway
        if len(given) > 1:
            raise ToolError(f"Give one of find, at, segment and cursor, not {' and '.join(given)}.")
        include_transcript = include_transcript or bool(given)
        with explained("read"):
            async with kept_posted(ctx, clock, WAITING):
                reading = await library.get(conversation_id, transcript=include_transcript)
            stored = reading.stored
            hits = await library.find_in(stored.conversation.id, find, CANDIDATES) if find else ()
        segments = stored.conversation.transcript_segments
        notes = [HIDDEN] if stored.hidden else []
        if not (include_transcript and segments):
            card = detail_card(stored, settings.timezone)
            notes.append(absence(reading, asked=include_transcript))
            return replies.reply(card.model_copy(update={"note": " ".join(notes)}))
        people = await library.people()
        transcript = Transcript(stored.conversation.id, segments, stored.conversation.seconds)
        user = transcript.user(people.user)
        if speaker and people.means_user(speaker):
            speaker = user or speaker
        moments = _moments(transcript, hits, speaker)
        if find and not moments:
            notes.append("None of the words of find occur in this transcript; it opens at the start.")
        try:
            place = _place(transcript, moments, seconds=seconds, segment=segment, cursor=cursor, speaker=speaker)
        except ValueError as error:
            raise ToolError(f"{given[0] if given else 'speaker'}: {error}") from None
        # Whoever pages on has the card already.
        card = (
            heading_card(stored, settings.timezone)
            if cursor
            else detail_card(stored, settings.timezone, transcript.speakers)
        )
        size = max_chars or (budgets.FIND_WINDOW if find else budgets.WINDOW)
        return replies.reply(
            card.model_copy(
                update={
                    "user": None if cursor else user_name(user),
                    "moments": [hit(moment) for moment in moments] or None,
                    "transcript": transcript.view(transcript.window(place, size)),
                    "note": " ".join([*notes, RECORDED_SPEECH]),
                }
            )
        )


def _moments(transcript: Transcript, hits: Sequence[Hit], speaker: str | None) -> list[Hit]:
    """The best moments of the transcript, of that speaker alone where one is named."""
    spoken = [found for found in hits if found.segment is not None]
    if speaker:
        spoken = [found for found in spoken if transcript.says(speaker, found.segment or 0)]
    return spoken[: budgets.MOMENTS]


def _place(
    transcript: Transcript,
    moments: Sequence[Hit],
    *,
    seconds: float | None,
    segment: int | None,
    cursor: str | None,
    speaker: str | None,
) -> Place:
    if cursor:
        return transcript.at_cursor(cursor)
    if seconds:
        return transcript.at_time(seconds, speaker)
    if moments and moments[0].segment is not None:
        return transcript.at_segment(max(0, moments[0].segment - LEAD_IN), speaker)
    return transcript.at_segment(segment or 0, speaker)


def absence(reading: Reading, *, asked: bool) -> str:
    """Why a conversation is shown without its transcript."""
    if asked and reading.obstacle is not None:
        return f"The transcript has not been copied yet and cannot be fetched now. {explain(reading.obstacle).model}"
    return no_transcript(reading.stored.transcript, asked=asked)
