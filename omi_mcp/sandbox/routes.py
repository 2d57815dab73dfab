"""The routes of the Omi Developer API, as an ASGI application.

Every route keeps the service's order: authentication, scope, rate limit, validation, and only then the work.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from omi_mcp.sandbox.access import Caller, Keyring, Limiter
from omi_mcp.sandbox.creating import Creator
from omi_mcp.sandbox.meaning import similar
from omi_mcp.sandbox.store import ItemQuery, Query, Record, Store
from omi_mcp.sandbox.wire import (
    CATEGORIES,
    Crash,
    GetQuery,
    ItemsQuery,
    ListQuery,
    PatchForm,
    Refusal,
    SearchQuery,
    SegmentsForm,
    TextForm,
    aware,
    parse_body,
    parse_query,
    read_json,
)

MAX_LIMIT = 100
MAX_LIMIT_WITH_TRANSCRIPT = 25
"""OMI API: a larger `limit` is silently cut to these."""

MAX_ITEMS = 1_000
"""OMI API: a larger `limit` of action items is silently cut to this."""

OVER_FETCH = 3
"""OMI API: the search looks for so many times its `limit`, because locked ones are dropped of what it found."""

MAX_CATEGORIES = 30
"""OMI API: more values than its database takes in one filter end in a 500."""

_EVERYTHING = 2**31
_ROOT = "/v1/dev/user/conversations"
_NOT_FOUND = "Conversation not found"
_READS = "dev:conversation_reads_total"
_TRANSCRIPTS = "dev:conversation_transcript_read"


NewerRoute = Literal["search", "action-items"]


class Api:
    """The handlers, and what they share. `without` are routes that it does not have, as older services have not."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        limiter: Limiter,
        creator: Creator,
        without: Collection[NewerRoute] = (),
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._limiter = limiter
        self._creator = creator
        self._without = without

    def app(self) -> Starlette:
        newer: dict[NewerRoute, Route] = {
            "search": _route(f"{_ROOT}/search", self.search_conversations, "GET"),
            "action-items": _route("/v1/dev/user/action-items", self.list_action_items, "GET"),
        }
        return Starlette(
            routes=[
                *(route for name, route in newer.items() if name not in self._without),
                _route("/v1/dev/key", self.key, "GET"),
                _route("/v1/dev/user/folders", self.folders, "GET"),
                _route(_ROOT, self.list_conversations, "GET"),
                _route(_ROOT, self.create_from_text, "POST"),
                _route(f"{_ROOT}/from-segments", self.create_from_segments, "POST"),
                _route(f"{_ROOT}/{{id}}", self.get_conversation, "GET"),
                _route(f"{_ROOT}/{{id}}", self.update_conversation, "PATCH"),
                _route(f"{_ROOT}/{{id}}", self.delete_conversation, "DELETE"),
            ],
            exception_handlers={Refusal: _refuse, Crash: _crash, HTTPException: _refuse_route},
        )

    def _caller(self, request: Request) -> Caller:
        return self._keyring.authenticate(request.headers.get("authorization"))

    def _reader(self, request: Request, policy: str) -> Caller:
        caller = self._caller(request)
        caller.require("conversations:read")
        self._limiter.spend(caller.key, _READS)
        self._limiter.spend(caller.key, policy)
        return caller

    async def list_action_items(self, request: Request) -> Response:
        caller = self._caller(request)
        caller.require("action_items:read")
        self._limiter.spend(caller.key, "dev:action_items_read")
        query = parse_query(ItemsQuery, request)
        page = self._store.items(
            ItemQuery(
                limit=max(1, min(query.limit, MAX_ITEMS)),
                offset=max(0, query.offset),
                conversation_id=query.conversation_id,
                completed=query.completed,
                start=query.start_date,
                end=query.end_date,
            )
        )
        return JSONResponse([vars(item) for item, locked in page if not locked])

    async def search_conversations(self, request: Request) -> Response:
        self._reader(request, "dev:conversations_read")
        query = parse_query(SearchQuery, request)
        if query.start_date and query.end_date and aware(query.start_date) > aware(query.end_date):
            raise Refusal(422, "start_date must be before end_date")
        limit = max(1, min(query.limit, MAX_LIMIT))
        listed = self._store.page(
            Query(limit=_EVERYTHING, offset=0, start=query.start_date, end=query.end_date), segments=False
        )
        found = similar(query.query, listed)[: OVER_FETCH * limit]
        folders = self._store.folder_names()
        return JSONResponse(
            [
                {"conversation": answer(record, folders), "score": round(score, 4)}
                for record, score in found
                if not record.locked and not record.malformed
            ][:limit]
        )

    def _writer(self, request: Request) -> None:
        caller = self._caller(request)
        caller.require("conversations:write")
        self._limiter.spend(caller.key, "dev:conversations")

    async def key(self, request: Request) -> Response:
        return JSONResponse({"scopes": self._caller(request).scopes})

    async def folders(self, request: Request) -> Response:
        self._reader(request, "dev:conversations_read")
        return JSONResponse(self._store.folders())

    async def list_conversations(self, request: Request) -> Response:
        caller = self._reader(request, "dev:conversations_read")
        query = parse_query(ListQuery, request)
        if query.include_transcript:
            self._limiter.spend(caller.key, _TRANSCRIPTS)
        cap = MAX_LIMIT_WITH_TRANSCRIPT if query.include_transcript else MAX_LIMIT
        page = self._store.page(
            Query(
                limit=max(1, min(query.limit, cap)),
                offset=max(0, query.offset),
                start=query.start_date,
                end=query.end_date,
                categories=_categories(query.categories),
                folder_id=query.folder_id,
                starred=query.starred,
            ),
            segments=query.include_transcript,
        )
        folders = self._store.folder_names()
        # After paging, as upstream: locked and malformed rows leave a page short while more lies behind it.
        return JSONResponse([answer(record, folders) for record in page if not record.locked and not record.malformed])

    async def get_conversation(self, request: Request) -> Response:
        caller = self._reader(request, "dev:conversation_detail_read")
        query = parse_query(GetQuery, request)
        if query.include_transcript:
            self._limiter.spend(caller.key, _TRANSCRIPTS)
        record = self._store.get(request.path_params["id"], segments=query.include_transcript)
        if record is None or record.locked:
            raise Refusal(404, _NOT_FOUND)
        if record.malformed:
            raise Crash
        return JSONResponse(answer(record, self._store.folder_names()))

    async def create_from_text(self, request: Request) -> Response:
        body = await read_json(request)
        self._writer(request)
        return JSONResponse(await self._creator.from_text(parse_body(TextForm, body)))

    async def create_from_segments(self, request: Request) -> Response:
        body = await read_json(request)
        self._writer(request)
        return JSONResponse(await self._creator.from_segments(parse_body(SegmentsForm, body)))

    async def update_conversation(self, request: Request) -> Response:
        body = await read_json(request)
        self._writer(request)
        form = parse_body(PatchForm, body)
        record = self._unlocked(request.path_params["id"])
        if form.title is None and form.discarded is None:
            raise Refusal(422, "At least one field (title or discarded) must be provided")
        if form.title is not None:
            record.structured["title"] = form.title.strip()
        if form.discarded is not None:
            record.discarded = form.discarded
        self._store.put([record])
        if record.malformed:
            raise Crash
        return JSONResponse(_raw_answer(record))

    async def delete_conversation(self, request: Request) -> Response:
        self._writer(request)
        self._store.delete(self._unlocked(request.path_params["id"]).id)
        return JSONResponse({"success": True})

    def _unlocked(self, conversation_id: str) -> Record:
        record = self._store.get(conversation_id)
        if record is None:
            raise Refusal(404, _NOT_FOUND)
        if record.locked:
            raise Refusal(402, "A paid plan is required to access this conversation.")
        return record


def answer(record: Record, folders: dict[str, str]) -> dict[str, Any]:
    """The conversation as list and get answer it: every key, null where there is nothing."""
    return {
        "id": record.id,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "structured": record.structured,
        "language": record.language,
        "source": record.source,
        "transcript_segments": record.segments,
        "geolocation": record.geolocation,
        "folder_id": record.folder_id,
        "folder_name": folders.get(record.folder_id) if record.folder_id else None,
    }


def _raw_answer(record: Record) -> dict[str, Any]:
    """What PATCH answers: the stored document with its whole transcript, names of speakers and folder not filled in."""
    segments = [{**segment, "speaker_name": None} for segment in record.segments or []]
    return {**answer(record, {}), "transcript_segments": segments}


def _categories(text: str | None) -> list[str]:
    categories = [category for part in (text or "").split(",") if (category := part.strip())]
    for category in categories:
        if category not in CATEGORIES:
            raise Refusal(400, f"Invalid category {category!r} is not a valid CategoryEnum")
    if len(categories) > MAX_CATEGORIES:
        raise Crash
    return categories


def _route(path: str, handler: Callable[[Request], Any], method: str) -> Route:
    route = Route(path, handler, methods=[method])
    route.methods = {method}  # upstream's framework adds no HEAD to a GET
    return route


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    try:
        return JSONResponse({"detail": error.detail}, error.status, error.headers)
    except ValueError:  # the echoed input holds NaN or half a surrogate pair: upstream fails on it as well
        return await _crash(request, error)


async def _crash(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Internal Server Error", 500)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
