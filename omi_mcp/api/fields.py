"""Raw values as they come from a model or a file, made into checked ones. Each refusal names the field."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from omi_mcp.api.errors import InvalidRequest
from omi_mcp.api.models import well_formed

SHORT_LIMIT = 200
"""Characters of an id, a label or a code (OMI API: `client_session_id`)."""

LONGEST = timedelta(days=7)
"""No recording is longer. The API has no limit, and would take milliseconds for seconds."""

_ISO_639_1 = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka
    kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng
    nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su
    sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
LANGUAGES = frozenset(_ISO_639_1.split())
"""The 183 codes of ISO 639-1. OMI API: `language` is not validated there."""


def moment(field: str, value: Any) -> datetime:
    """An aware datetime, in UTC, with room for a recording after it."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidRequest(field, "must be a date and time with a timezone")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        utc = datetime.max.replace(tzinfo=UTC)
    if utc > datetime.max.replace(tzinfo=UTC) - LONGEST:
        raise InvalidRequest(field, "is out of range")
    return utc


def text(field: str, value: Any) -> str:
    """A trimmed text that is not blank."""
    if not isinstance(value, str):
        raise InvalidRequest(field, "must be text")
    trimmed = well_formed(value).strip()
    if not trimmed:
        raise InvalidRequest(field, "must not be blank")
    return trimmed


def short_text(field: str, value: Any) -> str | None:
    """A trimmed text of at most `SHORT_LIMIT` characters; None where none or a blank one is given."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    trimmed = text(field, value)
    if len(trimmed) > SHORT_LIMIT:
        raise InvalidRequest(field, f"has {len(trimmed):,} characters, at most {SHORT_LIMIT} are accepted")
    return trimmed


def number(field: str, value: Any) -> float:
    """A finite number, from a number or its text."""
    try:
        parsed = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise InvalidRequest(field, "must be a number")
    return parsed


def seconds(field: str, value: Any) -> float:
    """A time within a recording."""
    parsed = number(field, value)
    if parsed < 0:
        raise InvalidRequest(field, "must not be negative")
    if parsed > LONGEST.total_seconds():
        raise InvalidRequest(field, f"is more than {LONGEST.days} days; the unit is seconds")
    return parsed


def flag(field: str, value: Any) -> bool:
    """True or false, or its text; false where none is given."""
    match value:
        case None | False:
            return False
        case True:
            return True
        case str() if value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    raise InvalidRequest(field, "must be true or false")


def choice(field: str, value: Any, accepted: tuple[str, ...]) -> str | None:
    """One of `accepted`, in any case; None where none is given."""
    chosen = (short_text(field, value) or "").lower()
    if chosen and chosen not in accepted:
        raise InvalidRequest(field, f"must be one of {', '.join(accepted)}")
    return chosen or None


def language(value: Any) -> str | None:
    """An ISO 639-1 code; None where none is given."""
    code = (short_text("language", value) or "").lower()
    if code and code not in LANGUAGES:
        raise InvalidRequest("language", "must be a two-letter ISO 639-1 code such as en, de or ja")
    return code or None


def coordinates(latitude: Any, longitude: Any) -> tuple[float | None, float | None]:
    """Degrees: both or neither."""
    if latitude is None and longitude is None:
        return None, None
    for field, value in (("latitude", latitude), ("longitude", longitude)):
        if value is None:
            raise InvalidRequest(field, "is missing: give both latitude and longitude, or neither")
    return _degrees("latitude", latitude, 90), _degrees("longitude", longitude, 180)


def _degrees(field: str, value: Any, limit: int) -> float:
    degrees = number(field, value)
    if abs(degrees) > limit:
        raise InvalidRequest(field, f"must be between -{limit} and {limit}")
    return degrees
