"""From an error status to an exception that says no more than the API can be trusted to say.

An error body is upstream text: it may repeat what the user wrote (OMI API: a 422 echoes `input`), and whoever runs the
server at the base URL writes it. So nothing of it is passed on. Sentences, codes, scopes and field names are recognised
here, and what is not recognised is dropped.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from omi_mcp.api.errors import (
    Conflict,
    Forbidden,
    NotFound,
    PaymentRequired,
    RateLimited,
    Refused,
    Rejected,
    ServerFault,
    Unauthorized,
)

SENTENCES = frozenset(
    {
        "A paid plan is required to access this conversation.",
        "At least one field (title or discarded) must be provided",
        "Conversation creation already in progress",
        "Conversation not found",
        "E2EE is enabled. Provide X-E2EE-Key-Hash header.",
        "Error processing conversation, please try again later",
        "Invalid API Key",
        "Invalid authentication credentials",
        "Method Not Allowed",
        "Missing API key identity",
        "Missing or invalid Authorization header. Must be 'Bearer API_KEY'",
        "Rate limiter unavailable",
        "finished_at must be after started_at",
        "text cannot be empty",
    }
)
"""What the API's own handlers say, word for word."""

CODES = {
    "account_deletion_in_progress": "the account is being deleted",
    "account_deletion_state_unavailable": "the state of the account cannot be checked",
    "byok_rate_limit": "the account's own language-model key is rate limited",
    "provider_unavailable": "the language model behind the service is unavailable",
}
"""The codes of details that are objects."""

FIELDS = frozenset(
    {
        "categories", "client_session_id", "conversation_id", "discarded", "end", "end_date", "finished_at",
        "folder_id", "geolocation", "include_transcript", "is_user", "language", "latitude", "limit", "longitude",
        "offset", "person_id", "query", "source", "speaker", "speaker_id", "starred", "start", "start_date",
        "started_at", "text", "text_source", "title", "transcript_segments",
    }
)  # fmt: skip
"""Every field this client sends; no other can be the trouble."""

PROBLEMS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "datetime_from_date_parsing": "must be a date and time",
    "datetime_parsing": "must be a date and time",
    "enum": "is not one of the accepted values",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than_equal": "is too small",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "is too large",
    "list_type": "must be a list",
    "literal_error": "is not one of the accepted values",
    "missing": "is required",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_type": "must be text",
    "too_long": "has too many items",
    "too_short": "has too few items",
}
"""Pydantic's error types, in words."""

LONGEST_RETRY_AFTER = 86_400.0

_SCOPE = re.compile(r"Insufficient permissions\. Required scope: ([a-z_]{1,24}:(?:read|write))")
_SEGMENT = re.compile(
    r"Segment [0-9]{1,4}: "
    r"(?:end time must be after start time|start time cannot be negative|text cannot be empty)"
)
_TRY_AGAIN = re.compile(r"Rate limit exceeded\. Try again in ([0-9]{1,6})s\.")
_SECONDS = re.compile(r"[0-9]{1,6}")


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, mcp_key: bool = False) -> Refused:
    """The exception for an answer with an error status (anything but 2xx).

    `headers` are looked up in lower case. `mcp_key`: the key sent was one of the `omi_mcp_` family.
    """
    upstream = _detail(body)
    detail = _recognised(upstream)
    match status:
        case 400 | 422:
            return Rejected(status, detail, problems=_problems(upstream))
        case 401:
            wrong_family = mcp_key or _starts(upstream, "MCP API keys (omi_mcp_")
            return Unauthorized(
                "this is an MCP key, not a developer key" if wrong_family else detail, wrong_family=wrong_family
            )
        case 402:
            return PaymentRequired(402, detail)
        case 403:
            return Forbidden(detail, scope=_first_group(_SCOPE, upstream))
        case 404 if isinstance(upstream, str) and upstream != "Not Found":
            return NotFound(404, detail)
        case 404:
            # A framework's or a proxy's own 404 says nothing about a conversation.
            return Refused(404, "there is no such route: check OMI_API_BASE_URL")
        case 409:
            return Conflict(409, detail)
        case 429:
            return RateLimited(detail, retry_after=_retry_after(headers, upstream), limit=_limit(headers))
        case _ if status >= 500:
            return ServerFault(status, detail)
        case _ if 300 <= status < 400:
            return Refused(status, "a redirect, which is not followed: check OMI_API_BASE_URL")
        case _:
            return Refused(status, detail)


def _detail(body: bytes) -> Any:
    """The body's `detail`: a string, a list, an object, or None when there is no such thing."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed.get("detail") if isinstance(parsed, dict) else None


def _recognised(detail: Any) -> str:
    if isinstance(detail, dict):
        code = detail.get("code")
        return CODES.get(code, "") if isinstance(code, str) else ""
    if not isinstance(detail, str):
        return ""
    if detail in SENTENCES or any(shape.fullmatch(detail) for shape in (_SCOPE, _SEGMENT, _TRY_AGAIN)):
        return detail
    return "unknown category" if detail.startswith("Invalid category ") else ""


def _problems(detail: Any, limit: int = 10) -> tuple[tuple[str, str], ...]:
    if not isinstance(detail, list):
        return ()
    return tuple(
        (_field(item.get("loc")), PROBLEMS.get(str(item.get("type")), "is not accepted"))
        for item in detail[:limit]
        if isinstance(item, dict)
    )


def _field(loc: Any) -> str:
    """`["body", "transcript_segments", 3, "end"]` as `transcript_segments[3].end`; the first says where it was sent."""
    path = ""
    for part in loc[1:8] if isinstance(loc, list) else ():
        if isinstance(part, str) and part in FIELDS:
            path += f".{part}" if path else part
        elif path and type(part) is int and 0 <= part < 1000:
            path += f"[{part}]"
    return path or "request"


def _retry_after(headers: Mapping[str, str], detail: Any) -> float | None:
    header = headers.get("retry-after", "").strip()
    seconds = header if _SECONDS.fullmatch(header) else _first_group(_TRY_AGAIN, detail)
    return None if seconds is None else min(float(seconds), LONGEST_RETRY_AFTER)


def _limit(headers: Mapping[str, str]) -> int | None:
    header = headers.get("x-ratelimit-limit", "").strip()
    return int(header) if _SECONDS.fullmatch(header) else None


def _first_group(shape: re.Pattern[str], detail: Any) -> str | None:
    match = shape.fullmatch(detail) if isinstance(detail, str) else None
    return match[1] if match else None


def _starts(detail: Any, beginning: str) -> bool:
    return isinstance(detail, str) and detail.startswith(beginning)
