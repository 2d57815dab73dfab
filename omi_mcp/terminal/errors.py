"""What a person at a terminal is told when the API refuses or fails: what happened, and what to do about it."""

import math

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
from omi_mcp.views.text import clean_line
from omi_mcp.writes import NotBooked, NotCreated

KEY = "create a developer key in the Omi app under Settings > Developer"


def in_words(error: OmiError) -> str:
    """One sentence or two. Never an upstream body, a key, or the user's own text."""
    match error:
        case NotConfigured():
            return f"{error}: {KEY}, and set OMI_API_KEY to it. Without an account, try `omi-mcp demo`."
        case Unauthorized():
            family = ", which is an MCP key (omi_mcp_...)" if error.wrong_family else ""
            return f"the Omi API does not accept the key{family}: {KEY} (omi_dev_...), and set OMI_API_KEY to it."
        case Forbidden():
            scope = f"the scope {error.scope}" if error.scope else "a scope"
            return f"the key lacks {scope} for this: {KEY} that has it."
        case BudgetSpent() | RateLimited():
            free = "later" if error.retry_after is None else f"in {duration(error.retry_after)}"
            return f"the hourly limit of the Omi API is reached; run this again {free}."
        case NotFound():
            return "there is no conversation with this id: it was deleted, is locked by the plan, or the id is wrong."
        case PaymentRequired():
            return "this conversation is locked by the plan of the Omi account."
        case Conflict():
            return "the Omi API is still busy with the same conversation; run this again in a minute."
        case Rejected():
            problems = "; ".join(f"{field}: {message}" for field, message in error.problems) or error.detail
            return f"the Omi API rejected the request{f' ({problems})' if problems else ''}."
        case Unreachable():
            return "the Omi API could not be reached: check the network and OMI_API_BASE_URL, then run this again."
        case Garbled():
            return (
                "what answered is not the Omi API: a proxy or a login page on the way, or a wrong OMI_API_BASE_URL; "
                "check both, then run this again."
            )
        case ServerFault() | AnswerLost():
            return "the Omi API failed to answer; run this again in a minute."
        case InvalidRequest():
            return f"{clean_line(str(error)).rstrip('.')}."  # it may name what the API has, such as folders
        case Refused():
            return f"{error}."
        case NotCreated():
            return "the Omi API failed, and has no such conversation; run this again later."
        case NotBooked():
            return "nothing was sent, because it could not be noted on this computer first: perhaps the disk is full."
        case _:
            return "the outcome is not known; run this again in a few minutes, nothing is done twice."


def duration(seconds: float) -> str:
    """A waiting time as people say it, rounded up."""
    if seconds < 90:
        return _counted(math.ceil(seconds), "second")
    minutes = math.ceil(seconds / 60)
    if minutes < 90:
        return _counted(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    return _counted(hours, "hour") + (f" {_counted(minutes, 'minute')}" if minutes and hours < 10 else "")


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
