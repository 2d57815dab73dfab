"""Changes to a conversation that exists: harmless to repeat, so repeated and read back until they are confirmed.

Each function raises `Unconfirmed` when no answer said whether the change was applied, else what the API refused. One
that is cancelled returns what the request that is out brings, and repeats nothing.
"""

import unicodedata
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import AnswerLost, NotFound, OmiError, ServerFault, Unconfirmed
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock

REPEATS = (1.0, 4.0)
"""Seconds between repeats of a change whose answer was lost. Each costs one of 25 writes an hour."""

Result = TypeVar("Result")


async def rename(client: OmiClient, clock: Clock, conversation_id: str, title: str) -> Conversation:
    """The conversation with its new title."""

    async def send() -> Conversation:
        conversation = await client.update(conversation_id, title=title)
        if not _same(conversation.structured.title, title):
            raise AnswerLost("the Omi API answers with another title")
        return conversation

    async def read_back() -> Conversation | None:
        conversation = await client.get_conversation(conversation_id)
        return conversation if _same(conversation.structured.title, title) else None

    return await _confirmed(clock, send, read_back)


async def set_discarded(client: OmiClient, clock: Clock, conversation_id: str, discarded: bool) -> Conversation:
    """The conversation, hidden or restored."""

    async def send() -> Conversation:
        return await client.update(conversation_id, discarded=discarded)

    async def read_back() -> None:
        """OMI API: what is discarded is read like any other, and does not say that it is."""

    return await _confirmed(clock, send, read_back)


async def delete(client: OmiClient, clock: Clock, conversation_id: str) -> None:
    async def send() -> bool:
        await client.delete(conversation_id)
        return True

    async def read_back() -> bool | None:
        try:
            await client.get_conversation(conversation_id)
        except NotFound:
            return True
        return None

    await _confirmed(clock, send, read_back)


async def _confirmed(
    clock: Clock, send: Callable[[], Awaitable[Result]], read_back: Callable[[], Awaitable[Result | None]]
) -> Result:
    lost: OmiError | None = None
    for wait in (0.0, *REPEATS):
        if wait:
            await clock.sleep(wait)
        try:
            return await send()
        except OmiError as error:
            if lost is None and not isinstance(error, AnswerLost | ServerFault):
                raise
            lost = error
        with suppress(OmiError):
            if (found := await read_back()) is not None:
                return found
    raise Unconfirmed(str(lost)) from lost


def _same(one: str, other: str) -> bool:
    """Whether two titles differ at most in white space and in how letters are composed."""
    return _plain(one) == _plain(other)


def _plain(title: str) -> str:
    return " ".join(unicodedata.normalize("NFC", title).split())
