"""Everything that can go wrong with an account's conversations, as one tree.

    OmiError
    ├── NotConfigured          no API key is set
    ├── InvalidRequest         refused on this side, nothing was sent
    ├── BudgetSpent            held back on this side: the hourly allowance is used up
    ├── Unreachable            the connection failed before anything was sent
    ├── AnswerLost             sent, but no usable answer came: a write may or may not have happened
    │   └── Garbled            what came back is no JSON
    ├── Refused                the API answered with an error status
    │   ├── Unauthorized       401
    │   ├── PaymentRequired    402, the conversation is locked by the plan
    │   ├── Forbidden          403, usually a missing scope
    │   ├── NotFound           404 of a conversation: gone, locked or never there
    │   ├── Conflict           409
    │   ├── Rejected           400 and 422, with the fields it names
    │   ├── RateLimited        429
    │   └── ServerFault        5xx
    ├── NotBooked              a create was not sent, because it could not be noted first
    ├── NotCreated             a create was sent and failed
    ├── Unfinished             a create was sent, and the service is still at work on it
    ├── OutcomeUnknown         a create was sent, and nothing can be found out about it now
    ├── Unconfirmed            a change was sent, and nothing confirms it
    └── TimeUp                 the caller does not wait any longer

No exception carries an upstream body, the user's own text or the API key: `str()` of any of them is safe to log.
"""


class OmiError(Exception):
    """Base of all. `str()` is one plain sentence without secrets.

    `retry_after` is in seconds, where it is known when the API can be asked again.
    """

    retry_after: float | None = None


class NotConfigured(OmiError):
    """No API key is set, so nothing can be asked."""


class InvalidRequest(OmiError):
    """Refused before sending. `field` names the argument."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class BudgetSpent(OmiError):
    """The hourly allowance of `bucket` is used up."""

    def __init__(self, bucket: str, retry_after: float) -> None:
        super().__init__(f"the hourly allowance for {bucket} is used up; free again in {retry_after:.0f} s")
        self.bucket = bucket
        self.retry_after = retry_after


class Unreachable(OmiError):
    """The connection could not be made: nothing was sent."""


class AnswerLost(OmiError):
    """The request went out and no usable answer came back. A write may or may not have been applied."""


class Garbled(AnswerLost):
    """What came back is no JSON: a proxy or a login page on the way, or a wrong address."""


class Refused(OmiError):
    """The API answered `status`. `detail` is a short, cleaned sentence of its own, never the raw body."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(f"the Omi API answered {status}" + (f": {detail}" if detail else ""))
        self.status = status
        self.detail = detail


class Unauthorized(Refused):
    """401: the key is wrong, revoked, or of another family (`wrong_family`)."""

    def __init__(self, detail: str = "", *, wrong_family: bool = False) -> None:
        super().__init__(401, detail)
        self.wrong_family = wrong_family


class PaymentRequired(Refused):
    """402: the conversation is locked by the account's plan."""


class Forbidden(Refused):
    """403: the key lacks `scope` (when the API names one)."""

    def __init__(self, detail: str = "", *, scope: str | None = None) -> None:
        super().__init__(403, detail)
        self.scope = scope


class NotFound(Refused):
    """404: deleted, locked by the plan (reads answer 404 for both), or never there. Not the 404 of a wrong address."""


class Conflict(Refused):
    """409: the same create is already in progress."""


class Rejected(Refused):
    """400 or 422. `problems` are (field path, message) pairs where the API names fields."""

    def __init__(self, status: int, detail: str = "", *, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, detail)
        self.problems = problems


class RateLimited(Refused):
    """429. `retry_after` in seconds (None when not given), `limit` per hour where the header says it."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None, limit: int | None = None) -> None:
        super().__init__(429, detail)
        self.retry_after = retry_after
        self.limit = limit


class ServerFault(Refused):
    """5xx: the service failed. After a write the outcome is unknown (a 504 does not stop the work behind it)."""


class NotBooked(OmiError):
    """The journal cannot be written, so the create was not sent."""


class NotCreated(OmiError):
    """A create was sent and failed: the API lists no such conversation, or said of every repeat that it failed."""


class Unfinished(OmiError):
    """The service is still at work on a create that was sent. Asking for the same create gives its outcome."""


class OutcomeUnknown(OmiError):
    """A create was sent, its answer was lost and the API cannot be asked. Asking for the same create settles it."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Unconfirmed(OmiError):
    """A change was sent and nothing confirms it: it may or may not have been applied."""


class TimeUp(OmiError):
    """The call took longer than its caller waits, and was cancelled: it sends nothing more."""
