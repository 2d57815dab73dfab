"""Writing through to the mirror what the API just said or did, as well as the disk allows.

A mirror that cannot be written, as on a full disk, makes no failure of what the API did: the next sync mends it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar, TypeVarTuple

from omi_mcp import database
from omi_mcp.api.models import Conversation
from omi_mcp.clock import Clock
from omi_mcp.mirror.names import SpeakerNames, applied
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Names, Stored, TranscriptState

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

log = logging.getLogger(__name__)


class WriteThrough:
    """What one account's mirror learns from single answers. Raises nothing."""

    def __init__(self, store: Store, names: SpeakerNames, clock: Clock) -> None:
        self._store = store
        self._names = names
        self._clock = clock

    async def keep(
        self, conversation: Conversation, *, hidden: bool | None = None, asked: datetime | None = None
    ) -> Stored:
        """The conversation as it is mirrored now. `hidden` None leaves what the mirror knows.

        `asked` is when the API was asked for it, None where it was changed by us.
        """
        kept = await _if_possible(self._keep, conversation, hidden, asked)
        if kept is not None:
            return kept
        names = await _if_possible(self._names.of, conversation.id) or {}
        called = tuple(applied(conversation.transcript_segments or (), names))
        if called:
            conversation = conversation.model_copy(update={"transcript_segments": called})
        return self._passing(conversation, await self.hides(conversation.id) if hidden is None else hidden)

    async def locked(self, conversation_id: str) -> None:
        """The account's plan does not show it any more."""
        await _if_possible(self._store.set_transcript_state, [conversation_id], "locked")

    async def gone(self, conversation_id: str) -> None:
        await _if_possible(self._store.remove, [conversation_id])

    async def deleted(self, conversation_id: str) -> None:
        await _if_possible(self._store.note_change, conversation_id)
        await self.gone(conversation_id)
        await _if_possible(self._names.forget, conversation_id)

    async def learn_names(self, conversation_id: str, names: Names) -> None:
        """Speakers are called this on this side, unless the person has said otherwise."""
        if not names:
            return
        if await _if_possible(self._names.learn, conversation_id, names):
            await _if_possible(self._store.follow_names)

    async def hides(self, conversation_id: str) -> bool | None:
        """Whether the conversation is hidden; None where the mirror does not know it."""
        stored = await _if_possible(self._store.get, conversation_id)
        return stored.hidden if stored else None

    def _keep(self, conversation: Conversation, hidden: bool | None, asked: datetime | None) -> Stored | None:
        if asked is None:
            self._store.note_change(conversation.id)
        before = self._store.get(conversation.id)
        self._store.upsert([_with_folder_name(conversation, before)], asked=asked)
        if hidden or (hidden is None and before and before.hidden):
            self._store.set_hidden(conversation.id, True)
        return self._store.get(conversation.id)

    def _passing(self, conversation: Conversation, hidden: bool | None) -> Stored:
        segments = conversation.transcript_segments
        state: TranscriptState = "pending" if segments is None else "stored" if segments else "none"
        return Stored(conversation, state, starred=None, hidden=bool(hidden), synced_at=self._clock.now())


async def _if_possible(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result | None:
    try:
        return await database.run(function, *arguments)
    except database.UNUSABLE as error:
        log.warning("the mirror cannot be used: %s", type(error).__name__)
        return None


def _with_folder_name(conversation: Conversation, before: Stored | None) -> Conversation:
    """OMI API: the answer to a PATCH has the folder's id without its name."""
    known = before and before.conversation
    if conversation.folder_name or not known or known.folder_id != conversation.folder_id:
        return conversation
    return conversation.model_copy(update={"folder_name": known.folder_name})
