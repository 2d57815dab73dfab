"""The Omi Developer API's conversation routes, as typed calls."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from omi_mcp.api.budget import Bucket, Budget
from omi_mcp.api.drafts import SegmentsDraft, TextDraft, not_blank
from omi_mcp.api.errors import AnswerLost, InvalidRequest, Refused
from omi_mcp.api.models import (
    Conversation,
    Folder,
    ListedItem,
    Receipt,
    is_conversation_id,
    well_formed,
    wire_time,
)
from omi_mcp.clock import Clock

if TYPE_CHECKING:
    import httpx

LIST_LIMIT = 100
TRANSCRIPT_LIST_LIMIT = 25
"""OMI API: a larger `limit` is silently clamped to these."""

ITEM_LIMIT = 1_000
"""OMI API: a larger `limit` of action items is silently clamped to this."""

CATEGORY_LIMIT = 30
"""OMI API: the database behind it takes no more values in one filter."""

TITLE_LIMIT = 500
"""Characters (OMI API)."""

CONVERSATIONS = "/v1/dev/user/conversations"
SEARCH = f"{CONVERSATIONS}/search"
FOLDERS = "/v1/dev/user/folders"
ACTION_ITEMS = "/v1/dev/user/action-items"
KEY = "/v1/dev/key"

_WRITES: Sequence[Bucket] = ("writes",)

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True)
class Page:
    """One page of the list. `received` counts the rows that came, `unusable` those of them that could not be read."""

    conversations: tuple[Conversation, ...]
    received: int
    unusable: int


@dataclass(frozen=True)
class ItemPage:
    """One page of the list of action items. `received` counts the rows that came, usable or not."""

    items: tuple[ListedItem, ...]
    received: int


class OmiClient:
    """Raises only `omi_mcp.api.errors`. Nothing is opened before the first call.

    A write that is cancelled is carried to the end of the request that is out, and comes back as if it had not been
    cancelled; where none was out, the cancellation comes through, and nothing was sent.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        clock: Clock,
        budget: Budget | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
        rng: random.Random | None = None,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`refused` is called when the API does not accept the key."""
        # The HTTP library is a seventh of what a host waits for, and nothing needs it before the first call.
        from omi_mcp.api.connection import Connection

        self._connection = Connection(
            base_url, api_key, clock=clock, budget=budget, transport=transport, rng=rng, refused=refused
        )

    async def list_conversations(
        self,
        *,
        limit: int = LIST_LIMIT,
        offset: int = 0,
        start: datetime | None = None,
        end: datetime | None = None,
        categories: Sequence[str] = (),
        folder_id: str | None = None,
        starred: bool | None = None,
        include_transcript: bool = False,
        background: bool = False,
    ) -> Page:
        """A page, newest `created_at` first; `start` and `end` are inclusive bounds on it.

        A short or even empty page does not prove the end: the API drops locked rows after paging. The next page is at
        `offset + limit`, however many rows came.
        """
        if not 1 <= limit <= (TRANSCRIPT_LIST_LIMIT if include_transcript else LIST_LIMIT) or offset < 0:
            raise ValueError("limit or offset is out of range")
        if len(categories) > CATEGORY_LIMIT:
            raise InvalidRequest("categories", f"at most {CATEGORY_LIMIT} at once")
        params = {
            "limit": str(limit),
            "offset": str(offset),
            "start_date": wire_time(start) if start else "",
            "end_date": wire_time(end) if end else "",
            "categories": ",".join(categories),
            "folder_id": folder_id or "",
            "starred": "" if starred is None else _flag(starred),
            "include_transcript": _flag(include_transcript),
        }
        return await self._connection.request(
            "GET",
            CONVERSATIONS,
            # OMI API: a parameter that is there but empty is refused.
            params={name: well_formed(value) for name, value in params.items() if value},
            read=_page,
            buckets=_read_buckets(include_transcript),
            background=background,
        )

    async def get_conversation(
        self, conversation_id: str, *, include_transcript: bool = False, background: bool = False
    ) -> Conversation:
        """One conversation, whatever its state; `NotFound` for a locked one too."""
        return await self._connection.request(
            "GET",
            _conversation_path(conversation_id),
            params={"include_transcript": _flag(include_transcript)},
            read=_conversation,
            buckets=_read_buckets(include_transcript),
            background=background,
        )

    async def search_conversations(
        self, query: str, *, limit: int, start: datetime | None = None, end: datetime | None = None
    ) -> tuple[Conversation, ...]:
        """The service's own search by meaning, best first; `start` and `end` as in `list_conversations`. Tried once.

        OMI API: older backends have no such route, and take its name for an id: `NotFound`.
        """
        params = {
            "query": well_formed(query),
            "limit": str(limit),
            "start_date": wire_time(start) if start else "",
            "end_date": wire_time(end) if end else "",
        }
        return await self._connection.request(
            "GET",
            SEARCH,
            params={name: value for name, value in params.items() if value},
            read=_ranked,
            buckets=_read_buckets(),
            tries=1,
        )

    async def folders(self, *, background: bool = False) -> tuple[Folder, ...]:
        return await self._connection.request(
            "GET", FOLDERS, read=_folders, buckets=_read_buckets(), background=background
        )

    async def action_items(self, *, offset: int = 0, background: bool = False) -> ItemPage:
        """A page of `ITEM_LIMIT` of the account's own list of action items, in no known order.

        OMI API: it needs a scope of its own (`Forbidden` without), older backends have no such route (`Refused`, 404),
        and locked and malformed ones are dropped after paging, so a short page does not prove the end.
        """
        return await self._connection.request(
            "GET",
            ACTION_ITEMS,
            params={"limit": str(ITEM_LIMIT), "offset": str(offset)},
            read=_item_page,
            buckets=("action_items",),
            background=background,
        )

    async def create_from_text(self, draft: TextDraft) -> Receipt:
        """Not idempotent: after `AnswerLost` or `ServerFault` the conversation may or may not exist."""
        return await self._connection.request("POST", CONVERSATIONS, body=draft.body(), read=_receipt, buckets=_WRITES)

    async def create_from_segments(self, draft: SegmentsDraft) -> Receipt:
        """Idempotent by `draft.client_session_id`: a repeat answers with the first one's receipt."""
        return await self._connection.request(
            "POST", f"{CONVERSATIONS}/from-segments", body=draft.body(), read=_receipt, buckets=_WRITES
        )

    async def update(
        self, conversation_id: str, *, title: str | None = None, discarded: bool | None = None
    ) -> Conversation:
        """The conversation as it is now; its `transcript_segments` are always None."""
        body: dict[str, Any] = {}
        if title is not None:
            body["title"] = _checked_title(title)
        if discarded is not None:
            body["discarded"] = discarded
        if not body:
            raise ValueError("nothing to update")
        return await self._connection.request(
            "PATCH", _conversation_path(conversation_id), body=body, read=_updated, buckets=_WRITES
        )

    async def delete(self, conversation_id: str) -> None:
        """Irreversible. Extracted memories and action items stay (OMI API)."""
        await self._connection.request(
            "DELETE", _conversation_path(conversation_id), read=_confirmation, buckets=_WRITES
        )

    async def scopes(self) -> tuple[str, ...] | None:
        """What the key may do, e.g. `conversations:write`; None where the backend cannot say."""
        try:
            return await self._connection.request("GET", KEY, read=_scopes, buckets=_read_buckets())
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def check(self) -> tuple[str, ...] | None:
        """`scopes`, after making sure that what answers is the API and gives conversations to this key."""
        scopes = await self.scopes()
        if scopes is None:
            await self.list_conversations(limit=1)
        return scopes

    def hurry(self, seconds: float) -> None:
        """Give the writes that are out no longer than that: then they fail with `AnswerLost`."""
        self._connection.hurry(seconds)

    async def aclose(self) -> None:
        await self._connection.aclose()


def _conversation_path(conversation_id: str) -> str:
    if not is_conversation_id(conversation_id):
        raise InvalidRequest("conversation_id", "this cannot be the id of a conversation")
    return f"{CONVERSATIONS}/{quote(conversation_id, safe='')}"


def _checked_title(title: str) -> str:
    title = not_blank("title", title)
    if len(title) > TITLE_LIMIT:
        raise InvalidRequest("title", f"has {len(title)} characters; at most {TITLE_LIMIT}")
    return title


def _read_buckets(include_transcript: bool = False) -> Sequence[Bucket]:
    return ("reads", "transcripts") if include_transcript else ("reads",)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _page(answer: Any) -> Page:
    rows = _rows(answer)
    usable = _usable(Conversation, rows)
    return Page(usable, received=len(rows), unusable=len(rows) - len(usable))


def _ranked(answer: Any) -> tuple[Conversation, ...]:
    rows = [row.get("conversation") for row in _rows(answer) if isinstance(row, dict)]
    return _usable(Conversation, [row for row in rows if isinstance(row, dict)])


def _item_page(answer: Any) -> ItemPage:
    rows = _rows(answer)
    return ItemPage(_usable(ListedItem, rows), received=len(rows))


def _folders(answer: Any) -> tuple[Folder, ...]:
    return _usable(Folder, _rows(answer))


def _conversation(answer: Any) -> Conversation:
    return _record(Conversation, answer)


def _updated(answer: Any) -> Conversation:
    if isinstance(answer, dict):
        # OMI API: a PATCH answers with the whole transcript, without speaker names.
        answer.pop("transcript_segments", None)
    return _record(Conversation, answer)


def _receipt(answer: Any) -> Receipt:
    return _record(Receipt, answer)


def _confirmation(answer: Any) -> None:
    if not isinstance(answer, dict) or answer.get("success") is not True:
        raise AnswerLost("the Omi API did not confirm the delete")


def _scopes(answer: Any) -> tuple[str, ...] | None:
    scopes = answer.get("scopes") if isinstance(answer, dict) else None
    return tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else None


def _rows(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise AnswerLost("the Omi API's answer is not the expected list")
    return answer


def _usable(model: type[Record], rows: list[Any]) -> tuple[Record, ...]:
    """The rows that can be read; one bad row is no reason to lose the others."""
    records = (_record_or_none(model, row) for row in rows)
    return tuple(record for record in records if record is not None)


def _record(model: type[Record], answer: Any) -> Record:
    record = _record_or_none(model, answer)
    if record is None:
        raise AnswerLost("the Omi API's answer is not in the expected form")
    return record


def _record_or_none(model: type[Record], value: Any) -> Record | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None
