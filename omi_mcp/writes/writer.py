"""All that changes an account: carried out though its call is cancelled, noted for good, and shown in the mirror."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from omi_mcp import database
from omi_mcp.api.client import OmiClient
from omi_mcp.api.drafts import SegmentsDraft, TextDraft
from omi_mcp.api.errors import NotFound, OmiError, OutcomeUnknown, PaymentRequired
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock
from omi_mcp.mirror.types import Names
from omi_mcp.mirror.write_through import WriteThrough
from omi_mcp.writes import edits
from omi_mcp.writes.creates import Created, Creator
from omi_mcp.writes.lasting import Lasting, noted

DELIVERY_SECONDS = 10.0
"""After so long an answer has left the process, and reaches the host whatever becomes of the process."""

READ_THROUGH_SECONDS = 10.0
"""How long the answer to a create waits for the new conversation to be mirrored."""

Result = TypeVar("Result")


class Writer:
    """Writes to one account.

    Each is carried out in a task of its own in `tasks`. A call that is cancelled waits for it no longer and cancels
    it; a write that is cancelled sends nothing more. The request that is out is not cut off: it is finished and noted.
    """

    def __init__(
        self, client: OmiClient, lasting: Lasting, write_through: WriteThrough, clock: Clock, tasks: TaskGroup
    ) -> None:
        self._client = client
        self._lasting = lasting
        self._write_through = write_through
        self._clock = clock
        self._tasks = tasks
        self._creator = Creator(client, lasting.journal, clock)

    async def create_from_text(self, draft: TextDraft, *, dated: bool, allow_duplicate: bool) -> Created:
        """Create once. `dated`: the start was given, and tells this text from the same text of another day."""

        async def create() -> Created:
            created = await self._creator.create_from_text(draft, dated=dated, allow_duplicate=allow_duplicate)
            await self._mirror(created, transcript=False)
            return created

        async with nullcontext() if allow_duplicate else self._creator.turn(draft, dated=dated):
            created = await self._carry_out(create)
        return await self._told(created)

    async def create_from_segments(self, draft: SegmentsDraft, names: Names) -> Created:
        """Create once. `names` are what its speakers are called on this side, by label."""

        async def create() -> Created:
            created = await self._creator.create_from_segments(draft)
            with anyio.CancelScope(shield=True):
                await self._write_through.learn_names(created.receipt.id, names)
            await self._mirror(created, transcript=True)
            return created

        async with self._creator.turn(draft):
            created = await self._carry_out(create)
        return await self._told(created)

    async def note_import(self, draft: SegmentsDraft, conversation_id: str) -> None:
        """It was imported and all is done: the same is not sent again."""
        await noted(partial(self._lasting.imported.note, {draft.client_session_id: conversation_id}))

    async def rename(self, conversation_id: str, title: str) -> Conversation:
        async def rename() -> Conversation:
            async with self._refusal_noted(conversation_id):
                renamed = await edits.rename(self._client, self._clock, conversation_id, title)
            with anyio.CancelScope(shield=True):
                await self._write_through.keep(renamed)
            return renamed

        return await self._carry_out(rename)

    async def set_discarded(self, conversation_id: str, discarded: bool) -> Conversation:
        """Hide, or bring back."""

        async def change() -> Conversation:
            async with self._refusal_noted(conversation_id):
                changed = await edits.set_discarded(self._client, self._clock, conversation_id, discarded)
            with anyio.CancelScope(shield=True):
                await noted(partial(self._lasting.hidden.note, conversation_id, discarded))
                await self._write_through.keep(changed, hidden=discarded)
            return changed

        return await self._carry_out(change)

    async def delete(self, conversation_id: str) -> None:
        async def delete() -> None:
            async with self._refusal_noted(conversation_id):
                await edits.delete(self._client, self._clock, conversation_id)
            with anyio.CancelScope(shield=True):
                await self._write_through.deleted(conversation_id)
                await noted(partial(self._lasting.journal.forget_conversation, conversation_id))
                await noted(partial(self._lasting.hidden.note, conversation_id, False))

        await self._carry_out(delete)

    async def settle(self) -> None:
        """Find out, until cancelled, about creates that nobody waits for any more, of an earlier run too."""
        await self._creator.settle()

    async def _carry_out(self, write: Callable[[], Awaitable[Result]]) -> Result:
        results: list[Result] = []
        failures: list[Exception] = []
        ended = anyio.Event()
        wanted = anyio.CancelScope()

        async def carry() -> None:
            try:
                with wanted:
                    results.append(await write())
            except Exception as error:
                failures.append(error)
            finally:
                ended.set()

        self._tasks.start_soon(carry)
        try:
            await ended.wait()
        finally:
            wanted.cancel()
        if failures:
            raise failures[0]
        if not results:
            raise OutcomeUnknown("the server was stopped")
        return results[0]

    async def _told(self, created: Created) -> Created:
        """`created` as it is now, and noted as told: not before the answer has gone out, which a kill could prevent."""
        receipt = created.receipt

        async def note() -> None:
            try:
                await self._clock.sleep(DELIVERY_SECONDS)
            finally:
                await noted(partial(self._lasting.journal.heard, receipt.id))

        self._tasks.start_soon(note)
        hidden = await self._write_through.hides(receipt.id) if created.repeated else None
        if hidden is None or hidden == receipt.discarded:
            return created
        return replace(created, receipt=receipt.model_copy(update={"discarded": hidden}))

    async def _mirror(self, created: Created, *, transcript: bool) -> None:
        """Make a new conversation findable at once, and a hidden one known, because the API lists none.

        One that cannot be read now is found by the next sync, unless it is hidden.
        """
        receipt = created.receipt
        if created.repeated or receipt.status != "completed":
            return
        with anyio.move_on_after(READ_THROUGH_SECONDS), suppress(OmiError, database.Away):
            conversation = await self._client.get_conversation(receipt.id, include_transcript=transcript)
            if not transcript:
                conversation = conversation.model_copy(update={"transcript_segments": ()})
            await self._write_through.keep(conversation, hidden=receipt.discarded)

    @asynccontextmanager
    async def _refusal_noted(self, conversation_id: str) -> AsyncIterator[None]:
        """Let the mirror know what a refused change says about the conversation."""
        try:
            yield
        except PaymentRequired:
            with anyio.CancelScope(shield=True):
                await self._write_through.locked(conversation_id)
            raise
        except NotFound:
            with anyio.CancelScope(shield=True):
                await self._write_through.gone(conversation_id)
                await noted(partial(self._lasting.hidden.note, conversation_id, False))
            raise
