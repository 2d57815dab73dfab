"""`search` and `fetch`: the two tools, with their exact answers, that some chat hosts require of every server.

Those hosts check the shapes: `{"results": [{id, title, url}]}` and `{id, title, text, url, metadata}`, nothing more.
"""

from datetime import tzinfo
from typing import Annotated

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from omi_mcp import dates, front
from omi_mcp.mirror.types import Filters, Stored
from omi_mcp.tools.calls import Ctx, answering, app_of, reply
from omi_mcp.views import budgets, cards
from omi_mcp.views.models import ConversationDetail, View
from omi_mcp.views.notes import RECORDED_SPEECH, coverage
from omi_mcp.views.text import enumerated

RESULTS = 20

URL = "omi://conversations/{conversation_id}"
"""This server's own resource: Omi documents no web address of a conversation."""

TRANSCRIPT = "Transcript:\n"

SEARCH = """\
Find the user's own recorded conversations (Omi) by what was said, by title, people or topic. Any word may match, best \
first: add synonyms; what has a "quoted phrase" comes first. Returns ids to read with fetch."""

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


async def search(
    query: Annotated[str, Field(description='Words, "quoted phrases", names')],
    ctx: Ctx,
) -> Annotated[CallToolResult, SearchResults]:
    app = app_of(ctx)
    async with answering(ctx, "read"):
        found = await app.library.search(query, Filters(), limit=RESULTS)
    seen = coverage(found.counts, found.progress, app.settings.timezone, app.clock.now())
    if not (found.matches or seen.complete):
        # The answer has no room for what was not searched, and an empty one would say that there is nothing.
        raise ToolError(f"Nothing found so far. {seen.note or ''}".rstrip())
    zone = app.settings.timezone
    return reply(ctx, SearchResults(results=[_result(match.stored, zone) for match in found.matches]))


async def fetch(
    id: Annotated[str, Field(min_length=1, max_length=512, description="id from search, or a next_id")],
    ctx: Ctx,
) -> Annotated[CallToolResult, Document]:
    app = app_of(ctx)
    conversation_id, _, cursor = id.partition("#")
    async with answering(ctx, "read"):
        try:
            opened = await front.read(app.library, conversation_id, cursor=cursor or None)
        except front.Misused as error:
            raise ToolError(f"id: {error}") from None
    return reply(ctx, _document(opened, id, app.settings.timezone))


def _result(stored: Stored, zone: tzinfo) -> SearchResult:
    conversation_id = stored.conversation.id
    return SearchResult(id=conversation_id, title=_title(stored, zone), url=URL.format(conversation_id=conversation_id))


def _title(stored: Stored, zone: tzinfo) -> str:
    return (
        f"{cards.title(stored.conversation, stored.opening)} ({dates.local(stored.conversation.began, zone):%Y-%m-%d})"
    )


def _document(opened: front.Opened, document_id: str, zone: tzinfo) -> Document:
    stored = opened.stored
    conversation_id = stored.conversation.id
    about: dict[str, str | None]
    if opened.absence is None:
        card = cards.detail_card(stored, zone, opened.transcript.speakers)
        summary = "" if "#" in document_id else _summary(card)
        window = opened.transcript.window(opened.place, budgets.WINDOW_MAX - len(summary) - len(TRANSCRIPT))
        shown = opened.transcript.view(window)
        text = f"{summary}{TRANSCRIPT}{shown.text}"
        about = {
            "covers": shown.covers,
            "next_id": f"{conversation_id}#{shown.next_cursor}" if shown.next_cursor else None,
            "note": RECORDED_SPEECH,
        }
    else:
        card = cards.detail_card(stored, zone)
        text = _summary(card).rstrip() or card.title
        about = {"note": opened.absence.model}
    about |= {
        "started": card.started,
        "minutes": str(card.minutes) if card.minutes else None,
        "category": card.category,
        "folder": card.folder,
        "speakers": enumerated(card.speakers or (), card.speakers_left_out),
    }
    return Document(
        id=document_id,
        title=_title(stored, zone),
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
