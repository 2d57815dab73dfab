"""`search` and `fetch`: the two tools, with their exact answers, that some chat hosts require of every server.

Those hosts check the shapes: `{"results": [{id, title, url}]}` and `{id, title, text, url, metadata}`, nothing more.
"""

from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import dates
from omi_mcp.clock import Clock
from omi_mcp.library import Library, Reading
from omi_mcp.mirror.types import Filters, Stored
from omi_mcp.settings import Settings
from omi_mcp.tools.errors import explained
from omi_mcp.tools.read import absence
from omi_mcp.tools.replies import READ, Replies
from omi_mcp.tools.waiting import WAITING, kept_posted
from omi_mcp.views import budgets, cards
from omi_mcp.views.models import ConversationDetail, View
from omi_mcp.views.notes import RECORDED_SPEECH, coverage
from omi_mcp.views.text import enumerated
from omi_mcp.views.transcripts import START, Transcript

RESULTS = 20

URL = "omi://conversations/{conversation_id}"
"""This server's own resource: Omi documents no web address of a conversation."""

TRANSCRIPT = "Transcript:\n"

SEARCH = """\
Find the user's own recorded conversations (Omi) by what was said, by title, people or topic. Any word may match, best \
first: add synonyms; "quotes" keep a phrase together. Returns ids to read with fetch."""

FETCH = """\
Read one of the user's conversations: summary, action items and transcript. A long one comes in parts: while \
metadata.next_id is there, fetch that id to read on."""


class SearchResult(View):
    id: str
    title: str
    url: str


class SearchResults(View):
    results: list[SearchResult]


class Document(View):
    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, str]


def register(server: MCPServer[None], library: Library, settings: Settings, clock: Clock, replies: Replies) -> None:
    @replies.tool(server, title="Search", description=SEARCH, annotations=READ)
    async def search(
        query: Annotated[str, Field(description='Words, "quoted phrases", names')],
        ctx: Context[None],
    ) -> Annotated[CallToolResult, SearchResults]:
        with explained("read"):
            async with kept_posted(ctx, clock, WAITING):
                found = await library.search(query, Filters(), limit=RESULTS)
        seen = coverage(found.counts, found.progress, settings.timezone, clock.now())
        if not (found.results.matches or seen.complete):
            # The answer has no room for what was not searched, and an empty one would say that there is nothing.
            raise ToolError(f"Nothing found so far. {seen.note or ''}".rstrip())
        return replies.reply(
            SearchResults(results=[_result(match.stored, settings) for match in found.results.matches])
        )

    @replies.tool(server, title="Fetch", description=FETCH, annotations=READ)
    async def fetch(
        id: Annotated[str, Field(min_length=1, max_length=512, description="id from search, or a next_id")],
        ctx: Context[None],
    ) -> Annotated[CallToolResult, Document]:
        conversation_id, _, cursor = id.partition("#")
        with explained("read"):
            async with kept_posted(ctx, clock, WAITING):
                reading = await library.get(conversation_id)
        try:
            return replies.reply(_document(reading, id, cursor, settings))
        except ValueError as error:
            raise ToolError(f"id: {error}") from None


def _result(stored: Stored, settings: Settings) -> SearchResult:
    conversation_id = stored.conversation.id
    return SearchResult(
        id=conversation_id, title=_title(stored, settings), url=URL.format(conversation_id=conversation_id)
    )


def _title(stored: Stored, settings: Settings) -> str:
    return f"{cards.title(stored.conversation)} ({dates.local(stored.conversation.began, settings.timezone):%Y-%m-%d})"


def _document(reading: Reading, document_id: str, cursor: str, settings: Settings) -> Document:
    """Raises ValueError for a cursor of another transcript."""
    stored = reading.stored
    conversation_id = stored.conversation.id
    segments = stored.conversation.transcript_segments
    about: dict[str, str | None]
    if segments:
        transcript = Transcript(conversation_id, segments, stored.conversation.seconds)
        card = cards.detail_card(stored, settings.timezone, transcript.speakers)
        summary = "" if cursor else _summary(card)
        window = transcript.window(
            transcript.at_cursor(cursor) if cursor else START, budgets.WINDOW_MAX - len(summary) - len(TRANSCRIPT)
        )
        shown = transcript.view(window)
        text = f"{summary}{TRANSCRIPT}{shown.text}"
        about = {
            "covers": shown.covers,
            "next_id": f"{conversation_id}#{shown.next_cursor}" if shown.next_cursor else None,
            "note": RECORDED_SPEECH,
        }
    else:
        card = cards.detail_card(stored, settings.timezone)
        text = _summary(card).rstrip() or card.title
        about = {"note": absence(reading, asked=True)}
    about |= {
        "started": card.started,
        "minutes": str(card.minutes) if card.minutes else None,
        "category": card.category,
        "folder": card.folder,
        "speakers": enumerated(card.speakers or (), card.speakers_left_out),
    }
    return Document(
        id=document_id,
        title=_title(stored, settings),
        text=text,
        url=URL.format(conversation_id=conversation_id),
        metadata={name: value for name, value in about.items() if value},
    )


def _summary(card: ConversationDetail) -> str:
    parts = [f"Summary:\n{card.overview}"] if card.overview else []
    if card.action_items:
        items = (f"- [{'x' if item.completed else ' '}] {item.description}" for item in card.action_items)
        parts.append("\n".join(("Action items:", *items)))
    return "".join(f"{part}\n\n" for part in parts)
