"""What the model is told when something fails: what happened, whether anything changed, what to do next."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from mcp.server.mcpserver.exceptions import ToolError

from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Conflict,
    Forbidden,
    Garbled,
    InvalidRequest,
    NotConfigured,
    NotFound,
    OmiError,
    PaymentRequired,
    RateLimited,
    Refused,
    Rejected,
    ServerFault,
    Unauthorized,
    Unreachable,
)
from omi_mcp.tools.waiting import TimeUp
from omi_mcp.views.budgets import shorten
from omi_mcp.views.text import clean_line
from omi_mcp.writes import NotBooked, NotCreated, OutcomeUnknown, Unconfirmed, Unfinished

Action = Literal["read", "create", "duplicate", "segments", "edit", "delete"]
"""What was asked for; `duplicate` is a create with allow_duplicate, `segments` one from segments."""

LONGEST = 1_500
"""Characters of what was wrong with an argument: it may list names, such as folders, that come from the API."""

NOTHING: dict[Action, str] = {
    "read": "",
    "create": " Nothing was created.",
    "duplicate": " Nothing was created.",
    "segments": " Nothing was created by this call.",
    "edit": " Nothing was changed.",
    "delete": " Nothing was deleted.",
}

KEY_HELP = (
    "In the Omi app: Settings > Developer > Create Key (it starts with omi_dev_). Put it into the environment variable "
    "OMI_API_KEY of this server's entry in the host's configuration and restart the host."
)


@contextmanager
def explained(action: Action) -> Iterator[None]:
    """Turn every `OmiError` inside the block into a `ToolError` the model can act on."""
    try:
        yield
    except OmiError as error:
        raise ToolError(explain(error, action)) from error


def explain(error: OmiError, action: Action = "read") -> str:
    """One or two sentences for the model. Never an upstream body, a key, or the user's own text."""
    nothing = NOTHING[action]
    match error:
        case NotConfigured():
            return f"{_sentence(error)}{nothing} {KEY_HELP}"
        case InvalidRequest():
            wrong = shorten(clean_line(str(error)), LONGEST)
            return f"{wrong}{'' if wrong.endswith('.') else '.'}{nothing}"
        case OutcomeUnknown():
            return (
                "The answer was lost and the Omi API cannot be asked now: the conversation may or may not exist. "
                f"Make {_same_create(action)} {_later(error.retry_after)}: it first looks for what this one created, "
                "and does not create it twice."
            )
        case Unfinished() | TimeUp() if action in ("create", "duplicate", "segments"):
            return (
                "Not finished yet: Omi may still be working on it, which can take two minutes, and nothing more is "
                f"sent for it now. Make {_same_create(action)} in two minutes: it gives the outcome, and does not "
                "create it twice."
            )
        case TimeUp() if action == "read":
            return "The Omi API has not answered in time. Make the same call again in a minute."
        case NotCreated() if action == "segments":
            return f"The Omi API failed on it again and again.{nothing} Make the same call later to try again."
        case NotCreated():
            return (
                "The Omi API failed and, asked again, lists no such conversation. Nothing was created, unless Omi "
                "found no words in it: such a one is saved hidden. Make the same call to try again."
            )
        case NotBooked():
            return (
                f"The server cannot write to its own file (is the disk full?), and so did not send anything.{nothing} "
                "Free some space, or set OMI_MCP_MIRROR=memory, and make the same call again."
            )
        case Unconfirmed() | TimeUp():
            if action == "delete":
                return (
                    "The Omi API did not confirm the deletion: the conversation may or may not be gone. Make the same "
                    "call again: it says that there is no conversation with this id once it is gone."
                )
            return (
                "The Omi API did not confirm the change: it may or may not have been applied. "
                "Make the same call again: repeating it does no harm."
            )
        case RateLimited(retry_after=None, detail=detail) if detail:
            return f"The Omi API refuses for now: {detail}.{nothing} Try again later."
        case BudgetSpent() | RateLimited():
            return f"The hourly limit of the Omi API is reached.{nothing} {_when(error.retry_after)}"
        case Unauthorized():
            if error.wrong_family:
                return (
                    "The Omi API refuses this key: it is an MCP key (omi_mcp_...), but this server needs a developer "
                    f"key.{nothing} {KEY_HELP}"
                )
            return f"The Omi API does not accept the key: it is mistyped, revoked or incomplete.{nothing} {KEY_HELP}"
        case PaymentRequired():
            return f"This conversation is locked by the account's Omi plan.{nothing} It can be used with a paid plan."
        case Forbidden():
            scope = error.scope or ("conversations:read" if action == "read" else "conversations:write")
            return (
                f"The key is not allowed to do this: it lacks the scope {scope}.{nothing} Keys are read-only unless "
                "write access was chosen: create a new key in the Omi app under Settings > Developer."
            )
        case NotFound():
            return (
                f"There is no conversation with this id: it was deleted, is locked by the account's plan, or the id is "
                f"wrong.{nothing} Use an id from search_conversations, copied whole."
            )
        case Conflict():
            return f"The same create is already in progress.{nothing} Make the same call again in a minute."
        case Rejected():
            fields = "; ".join(f"{field}: {message}" for field, message in error.problems) or error.detail
            return f"The Omi API rejected the request{': ' + fields if fields else ''}.{nothing}"
        case Unreachable():
            return f"The Omi API could not be reached.{nothing} Check the network connection, then try again."
        case Garbled():
            return (
                f"What answered is not the Omi API: a proxy or a login page on the way, or a wrong OMI_API_BASE_URL."
                f"{nothing} Check the network connection, then try again."
            )
        case ServerFault() | AnswerLost():
            return f"The Omi API failed to answer.{nothing} Try again in a minute."
        case Refused():
            return f"{_sentence(error)}{nothing}"
        case _:
            return f"The request could not be completed.{nothing}"


def _sentence(error: OmiError) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def _same_create(action: Action) -> str:
    return "the same call without allow_duplicate" if action == "duplicate" else "exactly the same call again"


def _later(seconds: float | None) -> str:
    return "in a few minutes" if seconds is None or seconds < 120 else f"in {math.ceil(seconds / 60)} minutes"


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "Try again later."
    if seconds < 90:
        return f"Try again in {max(1, math.ceil(seconds))} seconds."
    return f"Try again in {math.ceil(seconds / 60)} minutes; until then say so instead of retrying."
