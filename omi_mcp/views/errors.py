"""What each error means, and what to do about it: once for a model, once for a person at a terminal."""

import math
from typing import Literal, NamedTuple

from omi_mcp.accounts import Busy, KeyRefused, NotServed
from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Conflict,
    Forbidden,
    Garbled,
    InvalidRequest,
    NotBooked,
    NotConfigured,
    NotCreated,
    NotFound,
    OmiError,
    OutcomeUnknown,
    PaymentRequired,
    RateLimited,
    Refused,
    Rejected,
    ServerFault,
    TimeUp,
    Unauthorized,
    Unconfirmed,
    Unfinished,
    Unreachable,
)
from omi_mcp.away import Away
from omi_mcp.views.budgets import shorten
from omi_mcp.views.text import clean_line, duration

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
CREATE_KEY = "create a developer key in the Omi app under Settings > Developer"


SIGN_IN_AGAIN = (
    "Tell the user to sign in again: open this connector's settings in the host and connect it anew, with an Omi "
    "developer key (Omi app: Settings > Developer). If this call was to change something, look whether it was done "
    "before repeating it."
)


class Wording(NamedTuple):
    """The same thing in words for a model, and in words for a person at a terminal."""

    model: str
    person: str


AWAY_SECONDS = 30
"""When to ask again where the server's own database does not answer."""


class Unserved(NamedTuple):
    """Why a caller is not served, for a model, and after how many seconds it may be."""

    said: str
    seconds: int | None = None


def unserved(error: NotServed | Away) -> Unserved:
    """Why a signed-in account is not served."""
    match error:
        case Busy(own=True):
            return Unserved(
                "Nothing was done: this account has as many calls under way as may be at once. "
                f"Wait {error.seconds} seconds, then repeat this one.",
                error.seconds,
            )
        case Busy():
            return Unserved(
                f"Nothing was done: the server is busy. Wait {error.seconds} seconds, then repeat the call.",
                error.seconds,
            )
        case Away():
            return Unserved(away("read"), AWAY_SECONDS)
        case KeyRefused():
            return Unserved(
                f"Omi no longer accepts the key of this account: it was revoked or deleted. {SIGN_IN_AGAIN}"
            )
    return Unserved(f"This account was disconnected from the server. {SIGN_IN_AGAIN}")


def away(action: Action) -> str:
    """That the server's own database does not answer, for a model. What was to be written may have been."""
    gone = "The server's own database does not answer right now; nothing that was saved before is lost."
    match action:
        case "read":
            return f"{gone} Make the same call again in {AWAY_SECONDS} seconds."
        case "edit":
            return (
                f"{gone} The change may or may not have been made: make the same call again in {AWAY_SECONDS} seconds; "
                "repeating it does no harm."
            )
        case "delete":
            return (
                f"{gone} The conversation may or may not be gone: make the same call again in {AWAY_SECONDS} seconds; "
                "once it is gone, that says so."
            )
    same = "the same call without allow_duplicate" if action == "duplicate" else "exactly the same call"
    return (
        f"{gone} The conversation may or may not have been created: make {same} again in {AWAY_SECONDS} seconds; it "
        "first looks for what this one created, and does not create it twice."
    )


def explain(error: OmiError, action: Action = "read") -> Wording:
    """What happened, whether anything changed, and what to do next, in a sentence or two.

    Never an upstream body, a key, or the user's own text.
    """
    nothing = NOTHING[action]
    match error:
        case NotConfigured():
            return Wording(
                f"{_sentence(error)}{nothing} {KEY_HELP}",
                f"{error}: {CREATE_KEY}, and set OMI_API_KEY to it. Without an account, try `omi-mcp demo`.",
            )
        case InvalidRequest():
            wrong = shorten(clean_line(str(error)), LONGEST)
            ended = wrong if wrong.endswith(".") else f"{wrong}."
            return Wording(f"{ended}{nothing}", ended)
        case BudgetSpent() | RateLimited():
            return _held_back(error, nothing)
        case Unauthorized() if error.wrong_family:
            return Wording(
                "The Omi API refuses this key: it is an MCP key (omi_mcp_...), but this server needs a developer key."
                f"{nothing} {KEY_HELP}",
                "the Omi API does not accept the key, which is an MCP key (omi_mcp_...): "
                f"{CREATE_KEY} (omi_dev_...), and set OMI_API_KEY to it.",
            )
        case Unauthorized():
            return Wording(
                f"The Omi API does not accept the key: it is mistyped, revoked or incomplete.{nothing} {KEY_HELP}",
                f"the Omi API does not accept the key: {CREATE_KEY} (omi_dev_...), and set OMI_API_KEY to it.",
            )
        case PaymentRequired():
            return Wording(
                f"This conversation is locked by the account's Omi plan.{nothing} It can be used with a paid plan.",
                "this conversation is locked by the plan of the Omi account.",
            )
        case Forbidden():
            scope = error.scope or ("conversations:read" if action == "read" else "conversations:write")
            return Wording(
                f"The key is not allowed to do this: it lacks the scope {scope}.{nothing} Keys are read-only unless "
                "write access was chosen: create a new key in the Omi app under Settings > Developer.",
                f"the key lacks {f'the scope {error.scope}' if error.scope else 'a scope'} for this: "
                f"{CREATE_KEY} that has it.",
            )
        case NotFound():
            return Wording(
                "There is no conversation with this id: it was deleted, is locked by the account's plan, or the id is "
                f"wrong.{nothing} Use an id from search_conversations, copied whole.",
                "there is no conversation with this id: it was deleted, is locked by the plan, or the id is wrong.",
            )
        case Conflict():
            return Wording(
                f"The same create is already in progress.{nothing} Make the same call again in a minute.",
                "the Omi API is still busy with the same conversation; run this again in a minute.",
            )
        case Rejected():
            problems = "; ".join(f"{field}: {message}" for field, message in error.problems) or error.detail
            return Wording(
                f"The Omi API rejected the request{f': {problems}' if problems else ''}.{nothing}",
                f"the Omi API rejected the request{f' ({problems})' if problems else ''}.",
            )
        case Unreachable():
            return Wording(
                f"The Omi API could not be reached.{nothing} Check the network connection, then try again.",
                "the Omi API could not be reached: check the network and OMI_API_BASE_URL, then run this again.",
            )
        case Garbled():
            proxy = "a proxy or a login page on the way, or a wrong OMI_API_BASE_URL"
            return Wording(
                f"What answered is not the Omi API: {proxy}.{nothing} Check the network connection, then try again.",
                f"what answered is not the Omi API: {proxy}; check both, then run this again.",
            )
        case ServerFault() | AnswerLost():
            return Wording(
                f"The Omi API failed to answer.{nothing} Try again in a minute.",
                "the Omi API failed to answer; run this again in a minute.",
            )
        case Refused():
            return Wording(f"{_sentence(error)}{nothing}", f"{error}.")
        case NotBooked():
            return Wording(
                f"The server cannot write to its own file (is the disk full?), and so did not send anything.{nothing} "
                "Free some space, and make the same call again.",
                "nothing was sent, because it could not be noted on this computer first: perhaps the disk is full.",
            )
        case NotCreated():
            return Wording(
                f"The Omi API failed on it again and again.{nothing} Make the same call later to try again."
                if action == "segments"
                else "The Omi API failed and, asked again, lists no such conversation. Nothing was created, unless Omi "
                "found no words in it: such a one is saved hidden. Make the same call to try again.",
                "the Omi API failed, and has no such conversation; run this again later.",
            )
        case _:
            return Wording(
                _open(error, action),
                "the outcome is not known; run this again in a few minutes, nothing is done twice.",
            )


def _held_back(error: BudgetSpent | RateLimited, nothing: str) -> Wording:
    """The hourly limit, and what else the API asks to wait for."""
    if isinstance(error, RateLimited) and error.retry_after is None and error.detail:
        return Wording(
            f"The Omi API refuses for now: {error.detail}.{nothing} Try again later.",
            f"the Omi API refuses for now: {error.detail}; run this again later.",
        )
    seconds = error.retry_after
    free = "later" if seconds is None else f"in {duration(max(1, seconds))}"
    patience = "; until then say so instead of retrying" if seconds is not None and seconds >= 90 else ""
    return Wording(
        f"The hourly limit of the Omi API is reached.{nothing} Try again {free}{patience}.",
        f"the hourly limit of the Omi API is reached; run this again {free}.",
    )


def _open(error: OmiError, action: Action) -> str:
    """For a model, what is known where the outcome is not, and how to find out."""
    creating = action in ("create", "duplicate", "segments")
    same = "the same call without allow_duplicate" if action == "duplicate" else "exactly the same call again"
    match error:
        case OutcomeUnknown():
            seconds = error.retry_after
            later = "in a few minutes" if seconds is None or seconds < 120 else f"in {math.ceil(seconds / 60)} minutes"
            return (
                "The answer was lost and the Omi API cannot be asked now: the conversation may or may not exist. "
                f"Make {same} {later}: it first looks for what this one created, and does not create it twice."
            )
        case Unfinished() | TimeUp() if creating:
            return (
                "Not finished yet: Omi may still be working on it, which can take two minutes, and nothing more is "
                f"sent for it now. Make {same} in two minutes: it gives the outcome, and does not create it twice."
            )
        case TimeUp() if action == "read":
            return "The Omi API has not answered in time. Make the same call again in a minute."
        case Unconfirmed() | TimeUp() if action == "delete":
            return (
                "The Omi API did not confirm the deletion: the conversation may or may not be gone. Make the same "
                "call again: it says that there is no conversation with this id once it is gone."
            )
        case Unconfirmed() | TimeUp():
            return (
                "The Omi API did not confirm the change: it may or may not have been applied. "
                "Make the same call again: repeating it does no harm."
            )
        case _:
            return f"The request could not be completed.{NOTHING[action]}"


def _sentence(error: OmiError) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."
