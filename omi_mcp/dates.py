"""Times as people and models write them: parsed at the door into exact moments, and written back in local time.

Days, weeks, months and years are those of the person's timezone; a week begins on Monday. No error repeats the
text it refuses.
"""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

ACCEPTED_SPANS = (
    "an ISO date (2025-03-14), date and time (2025-03-14T09:30, with or without an offset), week (2025-W11), month "
    "(2025-03) or year (2025); now, today, yesterday, tomorrow; monday ... sunday (the latest, today included), last "
    "monday; this or last week, month or year; 3 days ago, 2 weeks ago, 6 hours ago; last 7 days"
)
ACCEPTED_PERIODS = f"{ACCEPTED_SPANS}; since yesterday; 2025-03-01 to 2025-03-14"
ACCEPTED_MOMENTS = "an ISO date and time such as 2025-03-14T09:30 or 2025-03-14T09:30:00+01:00, or a date (midnight)"
ACCEPTED_OFFSETS = "hh:mm:ss (00:41:00), mm:ss (41:00), seconds (2460) or 1h2m3s"

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEARBY = {"yesterday": 1, "today": 0, "tomorrow": -1}
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[t ](?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2}(?P<fraction>[.][0-9]{1,9})?)?"
    r" ?(?P<offset>z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_WEEK = re.compile(r"([0-9]{4})-w([0-9]{2})")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_YEAR = re.compile(r"[0-9]{4}")
_AGO = re.compile(r"([0-9]{1,4}|an?) (minute|hour|day|week|month|year)s? ago")
_LAST_N = re.compile(r"(?:last|past) ([0-9]{1,4}) (minute|hour|day|week|month|year)s?")
_CLOCK = re.compile(r"(?:(?P<h>[0-9]{1,4}):(?=[0-9]{2}:))?(?P<m>[0-9]{1,4}):(?P<s>[0-9]{2}(?:[.][0-9]{1,6})?)")
_UNITS = re.compile(
    r"(?=.)(?:(?P<h>[0-9]{1,4}) ?h ?)?(?:(?P<m>[0-9]{1,5}) ?m(?:in)? ?)?(?:(?P<s>[0-9]{1,7}) ?s(?:ec)?)?"
)
_SECONDS = re.compile(r"[0-9]{1,9}(?:[.][0-9]{1,6})?")

_TICK = timedelta(microseconds=1)
_LONGEST_OFFSET = 1000 * 3600 - 1


class Span(NamedTuple):
    """A stretch of time, both ends inclusive, aware, in the person's timezone."""

    first: datetime
    last: datetime


def parse_span(text: str, now: datetime, zone: tzinfo) -> Span:
    """The stretch of time that `text` names, as precise as it is written: 2025-03-14 is a day, 2025-03 a month.

    A time without an offset is in `zone`, the first of two where the clocks repeat an hour. "3 days ago" and
    "2 weeks ago" are that one day; "6 hours ago" and "now" are an instant; "last 7 days" reaches from the start of
    the day 7 days ago until now.
    Raises ValueError, listing what is accepted.
    """
    words = _words(text)
    try:
        span = _iso_span(words, zone) or _named_span(words, now.astimezone(zone), zone)
    except (ValueError, OverflowError):
        span = None
    if span is None:
        raise ValueError(f"not a date that can be read. Accepted: {ACCEPTED_SPANS}.")
    return span


def parse_period(text: str, now: datetime, zone: tzinfo) -> Span:
    """A period to look back on: anything `parse_span` reads, "since ..." (until now), or "... to ...".

    Raises ValueError, listing what is accepted, and for a period that ends before it begins.
    """
    words = _words(text)
    first, separator, last = words.partition(" to ")
    try:
        if words.startswith("since "):
            span = Span(parse_span(words.removeprefix("since "), now, zone).first, now.astimezone(zone))
        elif separator:
            span = Span(parse_span(first, now, zone).first, parse_span(last, now, zone).last)
        else:
            return parse_span(words, now, zone)
    except ValueError:
        raise ValueError(f"not a period that can be read. Accepted: {ACCEPTED_PERIODS}.") from None
    if span.last < span.first:
        raise ValueError("the period ends before it begins.")
    return span


def parse_moment(text: str, zone: tzinfo) -> datetime:
    """One exact moment, for a record that is about to be made. Without an offset it is in `zone`; a date alone is
    its first instant. Words such as "yesterday" are refused: a record deserves an explicit time.

    Raises ValueError, listing what is accepted.
    """
    try:
        span = _iso_span(_words(text), zone)
    except (ValueError, OverflowError):
        span = None
    if span is None:
        raise ValueError(f"not a time that can be read. Accepted: {ACCEPTED_MOMENTS}.")
    return span.first


def parse_offset(text: str) -> float:
    """Seconds into a conversation, from "00:41:00", "41:00", "2460" or "41m". Raises ValueError."""
    seconds = _offset(_words(text))
    if seconds is None or seconds > _LONGEST_OFFSET:
        raise ValueError(f"not a time into a conversation. Accepted: {ACCEPTED_OFFSETS}.")
    return seconds


def format_offset(seconds: float) -> str:
    """Seconds into a conversation as hh:mm:ss, rounded down."""
    whole = int(min(max(seconds, 0), _LONGEST_OFFSET))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def local(moment: datetime, zone: tzinfo) -> datetime:
    """`moment` in `zone`, to the second; left as it is at the far ends of the calendar, where zones run out."""
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return moment.replace(microsecond=0)


def weekday(moment: datetime) -> str:
    """The English name of the day, whatever the locale."""
    return _WEEKDAYS[moment.weekday()].capitalize()


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


def _iso_span(words: str, zone: tzinfo) -> Span | None:
    match = _ISO.fullmatch(words)
    if match is None:
        return None
    day = date.fromisoformat(match["date"])
    if match["minute"] is None:
        return _days(day, day + timedelta(days=1), zone)
    clock = time.fromisoformat(match["minute"] + (match["second"] or "")[:3])
    fraction = match["fraction"]
    microsecond = int(fraction[1:7].ljust(6, "0")) if fraction else 0
    written = datetime.combine(day, clock.replace(microsecond=microsecond), _offset_zone(match["offset"], zone))
    first = written.astimezone(UTC)
    if fraction:
        return Span(first.astimezone(zone), first.astimezone(zone))
    length = timedelta(seconds=1) if match["second"] else timedelta(minutes=1)
    return Span(first.astimezone(zone), (first + length - _TICK).astimezone(zone))


def _offset_zone(offset: str | None, zone: tzinfo) -> tzinfo | None:
    return zone if offset is None else datetime.fromisoformat(f"2000-01-01T00:00:00{offset.upper()}").tzinfo


def _named_span(words: str, now: datetime, zone: tzinfo) -> Span | None:
    today = now.date()
    if words == "now":
        return Span(now, now)
    if match := _WEEK.fullmatch(words):
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return _days(monday, monday + timedelta(weeks=1), zone)
    if match := _MONTH.fullmatch(words):
        month = date(int(match[1]), int(match[2]), 1)
        return _days(month, _shift_months(month, 1), zone)
    if _YEAR.fullmatch(words):
        return _days(date(int(words), 1, 1), date(int(words) + 1, 1, 1), zone)
    if match := _LAST_N.fullmatch(words):
        first, _ = _ago(int(match[1]), match[2], now, zone)
        return Span(first, now)
    if match := _AGO.fullmatch(words):
        return _ago(1 if match[1].startswith("a") else int(match[1]), match[2], now, zone)
    for bounds in (_relative_day, _relative_stretch):
        if found := bounds(words, today):
            return _days(*found, zone)
    return None


def _ago(count: int, unit: str, now: datetime, zone: tzinfo) -> Span:
    """The day `count` units back, or the instant for hours and minutes."""
    if unit in ("minute", "hour"):
        moment = (now.astimezone(UTC) - timedelta(**{f"{unit}s": count})).astimezone(zone)
        return Span(moment, moment)
    if unit in ("day", "week"):
        day = now.date() - timedelta(**{f"{unit}s": count})
    else:
        day = _shift_months(now.date(), -count * (12 if unit == "year" else 1))
    return _days(day, day + timedelta(days=1), zone)


def _relative_day(words: str, today: date) -> tuple[date, date] | None:
    name = words.removeprefix("last ")
    if words in _NEARBY:
        back = _NEARBY[words]
    elif name in _WEEKDAYS:
        back = (today.weekday() - _WEEKDAYS.index(name)) % 7
        if back == 0 and name != words:
            back = 7
    else:
        return None
    day = today - timedelta(days=back)
    return day, day + timedelta(days=1)


def _relative_stretch(words: str, today: date) -> tuple[date, date] | None:
    which, _, unit = words.partition(" ")
    if which not in ("this", "last"):
        return None
    shift = -1 if which == "last" else 0
    if unit == "week":
        monday = today - timedelta(days=today.weekday()) + timedelta(weeks=shift)
        return monday, monday + timedelta(weeks=1)
    if unit == "month":
        month = _shift_months(today.replace(day=1), shift)
        return month, _shift_months(month, 1)
    if unit == "year":
        return date(today.year + shift, 1, 1), date(today.year + shift + 1, 1, 1)
    return None


def _days(first: date, after: date, zone: tzinfo) -> Span:
    """From the first instant of `first` to the last microsecond before `after`, in `zone`.

    Counted through UTC, because a day that a clock change shortens or lengthens is not 24 hours and may begin at 01:00.
    """
    opens = datetime.combine(first, time(), zone).astimezone(UTC)
    closes = datetime.combine(after, time(), zone).astimezone(UTC) - _TICK
    return Span(opens.astimezone(zone), max(opens, closes).astimezone(zone))


def _shift_months(day: date, months: int) -> date:
    """The same day `months` later or earlier, or the last day of a month that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))


def _offset(words: str) -> float | None:
    if _SECONDS.fullmatch(words):
        return float(words)
    match = _CLOCK.fullmatch(words) or _UNITS.fullmatch(words)
    if match is None:
        return None
    hours, minutes, seconds = (float(match[part] or 0) for part in ("h", "m", "s"))
    if ":" in words and (seconds >= 60 or (match["h"] is not None and minutes >= 60)):
        return None
    return hours * 3600 + minutes * 60 + seconds
