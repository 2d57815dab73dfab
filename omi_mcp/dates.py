"""Times as people and models write them: parsed at the door into exact moments, and written back in local time.

Days, weeks, months and years are those of the person's timezone; a week begins on Monday. What is asked about lies in
the past: "june" and "friday" are the latest that have begun. A date that may be one of two days is refused. No error
repeats the text it refuses.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal, NamedTuple, TypeVar

ACCEPTED_SPANS = (
    "an ISO date (2025-03-14), date and time (2025-03-14T09:30, with or without an offset), week (2025-W11), month "
    "(2025-03), quarter (2025-Q1) or year (2025); june, june 2025, june 5, 5 june 2025; now, today, yesterday, "
    "monday ... sunday (the latest, today included), last monday; this or last week, weekend, month, quarter or year; "
    "3 days ago, 6 hours ago; last 7 days, past month; this morning, last night, monday 3pm"
)
ACCEPTED_PERIODS = f"{ACCEPTED_SPANS}; since yesterday; until friday; 2025-03-01 to 2025-03-14"
ACCEPTED_MOMENTS = (
    "an ISO date and time such as 2025-03-14T09:30 or 2025-03-14T09:30:00+01:00, yesterday 14:30, june 5 3pm, or a "
    "day (its first instant)"
)
ACCEPTED_OFFSETS = "hh:mm:ss (00:41:00), mm:ss (41:00), seconds (2460) or 1h2m3s"

LONGEST_TEXT = 100
"""No way to say when something was takes more characters."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NEARBY = {"today": 0, "yesterday": -1, "tomorrow": 1, "day before yesterday": -2, "day after tomorrow": 2}
_PARTS = {"morning": (4, 12), "afternoon": (12, 18), "evening": (17, 24), "night": (18, 28)}
"""Hours of the day, wide rather than narrow: who asks about the morning wants the early call, too."""

_FILLERS = frozenset({"the", "of", "in", "on", "at", "during", "within", "over", "for", "earlier", "o'clock"})
_SAME = (
    {name[:3]: name for name in (*_WEEKDAYS, *_MONTHS)}
    | {"tues": "tuesday", "thur": "thursday", "thurs": "thursday", "sept": "september"}
    | {name: str(number) for number, name in enumerate(_NUMBERS, 1)}
    | {"a": "1", "an": "1", "couple": "2", "first": "1", "second": "2", "third": "3", "fourth": "4"}
    | {"previous": "last", "current": "this", "beginning": "start", "midday": "noon", "tonight": "this night"}
    | {"from": "since", "starting": "since", "till": "until", "through": "until", "thru": "until", "by": "until"}
)
_SPELLINGS = tuple(
    (re.compile(spelling), same)
    for spelling, same in (
        ("[\u2013\u2014]", " - "),
        ("['\u2019]s(?= )", ""),
        (r"(?<=[0-9])(?:st|nd|rd|th)(?= )", ""),
        (r"(?<=[0-9 ])([ap])[.]?m[.]?(?= )", r"\1m"),
        (r"(?<= )([0-9]{1,2})-([0-9]{1,2})(?= )", r"\1 to \2"),
        (" half an hour ", " 30 minutes "),
        (" a couple ", " couple "),
        (" up to ", " until "),
        (" this past ", " past "),
    )
)

_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[t ](?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2}(?P<fraction>[.][0-9]{1,9})?)?"
    r" ?(?P<offset>z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})")
_YEAR = re.compile(r"[0-9]{4}")
_WEEK = re.compile(r"([0-9]{4})-?w([0-9]{1,2})|week ([0-9]{1,2}) ([0-9]{4})")
_MONTH = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})")
_QUARTER = re.compile(r"(?:([0-9]{4})[- ]?)?(?:q([1-4])|([1-4]) quarter)(?: ([0-9]{4}))?")
_WHICH = r"(?:(?P<which>this|last|past|next) )?"
_NAMED_MONTH = re.compile(
    rf"{_WHICH}(?:(?P<before>[0-9]{{1,2}}) )?(?P<name>{'|'.join(_MONTHS)})(?: (?P<after>[0-9]{{1,2}}))?"
    r"(?: (?P<year>[0-9]{4}))?"
)
_WEEKDAY = re.compile(rf"{_WHICH}(?P<name>{'|'.join(_WEEKDAYS)})")
_STRETCH = re.compile(r"(this|last|next) (week|weekend|month|quarter|year)")
_AGO = re.compile(r"([0-9]{1,4}) (minute|hour|day|week|month|year)s? ago")
_ROLLING = re.compile(
    r"(?:(?:last|past) ([0-9]{1,4}) |past |last (?=hour|minute))(minute|hour|day|week|month|quarter|year)s?"
)
_TIME = (
    rf"(?:(?P<part>{'|'.join(_PARTS)})|(?P<named>noon|midnight)"
    r"|(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))? ?(?P<half>[ap]m)|(?P<hour24>[0-9]{1,2}):(?P<minute24>[0-9]{2}))"
)
_TIME_ALONE, _DAY_TIME, _TIME_DAY = (
    re.compile(form) for form in (_TIME, rf"(?P<day>.+) {_TIME}", rf"{_TIME} (?P<day>.+)")
)
_FROM_TO = re.compile(r"(.+?) (?:to|until|-) (.+)|between (.+?) and (.+)|(.+?) ?[.]{2,3} ?(.+)|(.+-.+)/(.+-.+)")
_NUMBER = re.compile(r"\b[0-9]{1,2}\b")
_NUMBER_YEAR = re.compile(r"([0-9]{1,2})( [0-9]{4})?")
_CLOCK = re.compile(r"(?:(?P<h>[0-9]{1,4}):(?=[0-9]{2}:))?(?P<m>[0-9]{1,4}):(?P<s>[0-9]{2}(?:[.][0-9]{1,6})?)")
_UNITS = re.compile(
    r"(?=.)(?:(?P<h>[0-9]{1,4}) ?h ?)?(?:(?P<m>[0-9]{1,5}) ?m(?:in)? ?)?(?:(?P<s>[0-9]{1,7}) ?s(?:ec)?)?"
)
_SECONDS = re.compile(r"[0-9]{1,9}(?:[.][0-9]{1,6})?")

_NAMES_A_TIME = re.compile(
    r"\b(?:(?:19|20)[0-9]{2}\b|(?:yesterday|today|tonight|ago|last (?:night|week|weekend|month|quarter|year))$)",
    re.IGNORECASE,
)
_OPENING = frozenset({"since", "after", "from"})
_LONGEST_NAME = 4
"""Words of a time in a question."""
_LONGEST_QUESTION = 1_000

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_LONGEST_OFFSET = 1000 * 3600 - 1

Read = TypeVar("Read")
Days = tuple[date, date]
"""The first day of a stretch, and the first one after it."""


class Span(NamedTuple):
    """A stretch of time, both ends inclusive, aware, in the person's timezone."""

    first: datetime
    last: datetime


class Range(NamedTuple):
    """A stretch of time that may be open at either end; both ends inclusive, aware, in the person's timezone."""

    first: datetime | None = None
    last: datetime | None = None

    def is_ahead(self, now: datetime) -> bool:
        """Whether it has not begun yet."""
        return self.first is not None and self.first > now


class _Ambiguous(ValueError):
    """A date that is one day in one country and another day in another."""


def parse_span(text: str, now: datetime, zone: tzinfo) -> Span:
    """The stretch of time that `text` names, as precise as it is written: 2025-03-14 is a day, 2025-03 a month.

    A time without an offset is in `zone`, the first of two where the clocks repeat an hour. "3 days ago" and
    "2 weeks ago" are that one day; "6 hours ago" and "now" are an instant; "last 7 days" and "past week" reach from
    the start of the day 7 days ago until now, "last week" from its Monday to its Sunday.
    Raises ValueError, listing what is accepted.
    """
    reader = _Reader(now.astimezone(zone), zone)
    return _understood(reader.span, text, "a date", ACCEPTED_SPANS)


def last_named(text: str, now: datetime, zone: tzinfo) -> datetime | None:
    """The end of the latest time that a question names with its year or by how long ago it was ("March 2024", "last
    year"); None where it names none, or one that is open ("since March 2024").
    """
    words = text[:_LONGEST_QUESTION].split()
    ends: list[datetime] = []
    place = 0
    while place < len(words):
        for count in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
            named = " ".join(words[place : place + count]).strip(".,;:?!()\"'")
            if not _NAMES_A_TIME.search(named) or _FILLERS.intersection(named.casefold().split()[:1]):
                continue
            try:
                ends.append(parse_span(named, now, zone).last)
            except ValueError:
                continue
            if place and words[place - 1].casefold() in _OPENING:
                return None
            place += count - 1
            break
        place += 1
    return max(ends, default=None)


def parse_period(text: str, now: datetime, zone: tzinfo) -> Range:
    """A period to look back on: anything `parse_span` reads, "since ..." (until now), "until ...", or "... to ...".

    "2 weeks ago" is all of that week here, and so for months and years.
    Raises ValueError, listing what is accepted, and for a period that ends before it begins.
    """
    reader = _Reader(now.astimezone(zone), zone, whole_units=True)
    found = _understood(reader.period, text, "a period", ACCEPTED_PERIODS)
    if found.first and found.last and found.last < found.first:
        raise ValueError("the period ends before it begins.")
    return found


def parse_range(
    start: str | None, end: str | None, period: str | None, now: datetime, zone: tzinfo, *, option: str = ""
) -> Range:
    """What is meant by a start and an end, or by a period that says both. None and "" are not given.

    "since" and "after" may open `start`, "until" and "before" `end`.
    Raises ValueError that names the argument, with `option` before its name.
    """
    if period and (start or end):
        raise ValueError(f"{option}period says both ends: leave it out, or {option}start and {option}end.")
    reader = _Reader(now.astimezone(zone), zone)
    name = "period"
    try:
        if period:
            return parse_period(period, now, zone)
        name = "start"
        first = _understood(reader.start, start, "a date", ACCEPTED_SPANS).first if start else None
        name = "end"
        last = _understood(reader.end, end, "a date", ACCEPTED_SPANS).last if end else None
    except ValueError as error:
        raise ValueError(f"{option}{name}: {error}") from None
    if first and last and last < first:
        raise ValueError(f"{option}end lies before {option}start: exchange them. Both are inclusive.")
    return Range(first, last)


def parse_moment(text: str, now: datetime, zone: tzinfo) -> datetime:
    """One exact moment, for a record that is about to be made. Without an offset it is in `zone`; a day is its first
    instant, and what is longer than a day is refused.

    Raises ValueError, listing what is accepted.
    """
    reader = _Reader(now.astimezone(zone), zone)
    return _understood(reader.moment, text, "a time", ACCEPTED_MOMENTS)


def written(found: Range) -> tuple[str | None, str | None]:
    """Both ends as `parse_range` reads them back, to the second: whole days as dates, all else with its offset."""
    first, last = found
    return _written(first, "first") if first else None, _written(last, "last") if last else None


def parse_offset(text: str) -> float:
    """Seconds into a conversation, from "00:41:00", "41:00", "2460" or "41m". Raises ValueError."""
    seconds = _offset(" ".join(text.split()).casefold())
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


@dataclass(frozen=True)
class _Reader:
    """Reads plain words as seen from `now`. Answers None, or raises ValueError or OverflowError, for what it cannot."""

    now: datetime
    zone: tzinfo
    whole_units: bool = False

    @property
    def today(self) -> date:
        return self.now.date()

    def period(self, words: str) -> Range | None:
        if ends := _FROM_TO.fullmatch(words):
            return self._between(*(end for end in ends.groups() if end is not None))
        opening = words.partition(" ")[0]
        if opening in ("since", "after"):
            start = self.start(words)
            return start and Range(start.first, self.now)
        if opening in ("until", "before"):
            return self.end(words)
        span = self.span(words)
        return span and Range(*span)

    def start(self, words: str) -> Range | None:
        if words.startswith("after "):
            span = self.span(words.removeprefix("after "))
            return span and Range(first=span.last + _TICK)
        span = self.span(words.removeprefix("since "))
        return span and Range(first=span.first)

    def end(self, words: str) -> Range | None:
        if words.startswith("before "):
            span = self.span(words.removeprefix("before "))
            return span and Range(last=span.first - _TICK)
        span = self.span(words.removeprefix("until "))
        return span and Range(last=span.last)

    def moment(self, words: str) -> datetime | None:
        span = self.span(words)
        return span.first if span and span.last - span.first < _DAY else None

    def span(self, words: str) -> Span | None:
        if words == "now":
            return Span(self.now, self.now)
        if days := self._days(words):
            return _whole_days(*days, self.zone)
        return self._iso(words) or self._ago(words) or self._rolling(words) or self._time_of_day(words)

    def _between(self, first: str, last: str) -> Range | None:
        """Two ends, one of which may leave out what the other says: "5 to 7 june 2025", "yesterday 9am to 11am"."""
        if _NUMBER.fullmatch(first):
            first = _NUMBER.sub(first, last, count=1)
        elif match := _NUMBER_YEAR.fullmatch(last):
            last = _NUMBER.sub(match[1], first, count=1) + (match[2] or "")
        year = _YEAR.search(last)
        start = (year and not _YEAR.search(first) and self.start(f"{first} {year[0]}")) or self.start(first)
        if start and start.first and _TIME_ALONE.fullmatch(last):
            last = f"{start.first.date()} {last}"
        end = self.end(last)
        return start and end and Range(start.first, end.last)

    def _days(self, words: str) -> Days | None:
        if words in _NEARBY:
            return _one_day(self.today + _NEARBY[words] * _DAY)
        for read in (_written_days, self._month, self._quarter, self._weekday, self._stretch, self._days_ago):
            if days := read(words):
                return days
        return self._part(words) or self._within(words)

    def _month(self, words: str) -> Days | None:
        match = _NAMED_MONTH.fullmatch(words)
        if match is None or (match["before"] and match["after"]) or (match["year"] and match["which"]):
            return None
        month, day = _MONTHS.index(match["name"]) + 1, int(match["before"] or match["after"] or 0)
        if match["year"]:
            return _in_month(int(match["year"]), month, day)
        years = {}
        for shift in range(-8, 9):  # a 29 February is never farther away
            with suppress(ValueError):
                years[shift] = _in_month(self.today.year + shift, month, day)
        return self._pick(match["which"], years)

    def _quarter(self, words: str) -> Days | None:
        match = _QUARTER.fullmatch(words)
        if match is None or (match[1] and match[4]):
            return None
        month = 3 * int(match[2] or match[3]) - 2
        if year := match[1] or match[4]:
            return _months(date(int(year), month, 1), 3)
        return self._pick(None, {shift: _months(date(self.today.year + shift, month, 1), 3) for shift in (-1, 0)})

    def _weekday(self, words: str) -> Days | None:
        match = _WEEKDAY.fullmatch(words)
        if match is None:
            return None
        day = _monday(self.today) + _WEEKDAYS.index(match["name"]) * _DAY
        return self._pick(match["which"], {shift: _one_day(day + 7 * shift * _DAY) for shift in (-1, 0, 1)})

    def _pick(self, which: str | None, candidates: Mapping[int, Days]) -> Days | None:
        """Of the same day or month in other weeks or years: the latest that has begun, unless `which` says another."""
        match which:
            case "this":
                return candidates.get(0)
            case "next":
                return min((days for days in candidates.values() if days[0] > self.today), default=None)
            case None:
                return max((days for days in candidates.values() if days[0] <= self.today), default=None)
        return max((days for days in candidates.values() if days[1] <= self.today), default=None)

    def _stretch(self, words: str) -> Days | None:
        if words in ("weekend", "this weekend", "past weekend"):
            words = "this weekend" if self.today.weekday() >= 5 else "last weekend"
        elif words in ("week", "month", "quarter", "year"):
            words = f"this {words}"
        match = _STRETCH.fullmatch(words)
        if match is None:
            return None
        shift = {"last": -1, "this": 0, "next": 1}[match[1]]
        monday = _monday(self.today) + 7 * shift * _DAY
        match match[2]:
            case "week":
                return monday, monday + 7 * _DAY
            case "weekend":
                return monday + 5 * _DAY, monday + 7 * _DAY
            case "month":
                return _months(_shift_months(self.today.replace(day=1), shift), 1)
            case "quarter":
                opening = self.today.replace(month=(self.today.month - 1) // 3 * 3 + 1, day=1)
                return _months(_shift_months(opening, 3 * shift), 3)
        return _months(date(self.today.year + shift, 1, 1), 12)

    def _days_ago(self, words: str) -> Days | None:
        match = _AGO.fullmatch(words)
        if match is None or match[2] in ("minute", "hour"):
            return None
        day = _back(self.today, int(match[1]), match[2])
        if self.whole_units and match[2] == "week":
            return _monday(day), _monday(day) + 7 * _DAY
        if self.whole_units and match[2] == "month":
            return _months(day.replace(day=1), 1)
        if self.whole_units and match[2] == "year":
            return _months(date(day.year, 1, 1), 12)
        return _one_day(day)

    def _part(self, words: str) -> Days | None:
        """The week around a day, or the day a stretch begins or ends with."""
        which, _, rest = words.partition(" ")
        days = self._days(rest) if which in ("week", "start", "end") else None
        if days is None:
            return None
        if which == "week":
            return (_monday(days[0]), _monday(days[0]) + 7 * _DAY) if days[1] - days[0] == _DAY else None
        return _one_day(days[0] if which == "start" else days[1] - _DAY)

    def _within(self, words: str) -> Days | None:
        """A weekday in a week that is named, or beside its date: "friday last week", "thu 5 june"."""
        first, _, rest = words.partition(" ")
        if first not in _WEEKDAYS:
            rest, _, first = words.rpartition(" ")
        days = self._days(rest) if first in _WEEKDAYS else None
        if days is None or days[1] - days[0] not in (_DAY, 7 * _DAY):
            return None
        if rest.endswith(" ago"):
            days = _monday(days[0]), _monday(days[0]) + 7 * _DAY
        named = days[0] + (_WEEKDAYS.index(first) - days[0].weekday()) % 7 * _DAY
        return _one_day(named) if named < days[1] else None

    def _iso(self, words: str) -> Span | None:
        match = _ISO.fullmatch(words)
        if match is None:
            return None
        clock = time.fromisoformat(match["minute"] + (match["second"] or "")[:3])
        fraction = match["fraction"]
        microsecond = int(fraction[1:7].ljust(6, "0")) if fraction else 0
        zone = self.zone if match["offset"] is None else _offset_zone(match["offset"])
        day = date.fromisoformat(match["date"])
        first = datetime.combine(day, clock.replace(microsecond=microsecond), zone).astimezone(UTC)
        if fraction:
            return Span(first.astimezone(self.zone), first.astimezone(self.zone))
        length = timedelta(seconds=1) if match["second"] else timedelta(minutes=1)
        return Span(first.astimezone(self.zone), (first + length - _TICK).astimezone(self.zone))

    def _ago(self, words: str) -> Span | None:
        match = _AGO.fullmatch(words)
        if match is None or match[2] not in ("minute", "hour"):
            return None
        moment = self._earlier(int(match[1]), match[2])
        return Span(moment, moment)

    def _rolling(self, words: str) -> Span | None:
        match = _ROLLING.fullmatch(words)
        if match is None:
            return None
        count, unit = int(match[1] or 1), match[2]
        if unit in ("minute", "hour"):
            return Span(self._earlier(count, unit), self.now)
        return Span(_whole_days(*_one_day(_back(self.today, count, unit)), self.zone).first, self.now)

    def _earlier(self, count: int, unit: str) -> datetime:
        """`count` minutes or hours of real time before now."""
        return (self.now.astimezone(UTC) - timedelta(**{f"{unit}s": count})).astimezone(self.zone)

    def _time_of_day(self, words: str) -> Span | None:
        match = _TIME_ALONE.fullmatch(words) or _DAY_TIME.fullmatch(words) or _TIME_DAY.fullmatch(words)
        if match is None:
            return None
        named = match.groupdict().get("day") or "this"
        days = self._days({"this": "today", "last": "yesterday"}.get(named, named))
        clock = _hours(match)
        if days is None or clock is None or days[1] - days[0] != _DAY:
            return None
        midnight = datetime.combine(days[0], time())
        opens, closes = ((midnight + hours).replace(tzinfo=self.zone).astimezone(UTC) for hours in clock)
        return Span(opens.astimezone(self.zone), max(opens, closes - _TICK).astimezone(self.zone))


def _plain(text: str) -> str:
    """`text` in the words that a reader knows: without case, punctuation and fillers, one word for one thing."""
    if len(text) > LONGEST_TEXT:
        return ""
    words = f" {' '.join(text.casefold().replace(',', ' ').split())} "
    for spelling, same in _SPELLINGS:
        words = spelling.sub(same, words)
    tokens = (_SAME.get(token.rstrip("."), token) for token in words.split() if token not in _FILLERS)
    return " ".join(tokens).rstrip(".?!")


def _understood(read: Callable[[str], Read | None], text: str, what: str, accepted: str) -> Read:
    try:
        found = read(_plain(text))
    except _Ambiguous:
        raise
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise ValueError(f"not {what} that can be read. Accepted: {accepted}.")
    return found


def _written_days(words: str) -> Days | None:
    """What is written in numbers: a day, a week, a month or a year."""
    if match := _YEAR_FIRST.fullmatch(words):
        year, month, day = (int(part) for part in match.groups() if part and part.isdigit())
        return _one_day(date(year, month, day))
    if match := _YEAR_LAST.fullmatch(words):
        return _one_day(_day_of(int(match[4]), int(match[1]), int(match[3])))
    if match := _WEEK.fullmatch(words):
        monday = date.fromisocalendar(int(match[1] or match[4]), int(match[2] or match[3]), 1)
        return monday, monday + 7 * _DAY
    if match := _MONTH.fullmatch(words):
        return _months(date(int(match[1]), int(match[2]), 1), 1)
    if _YEAR.fullmatch(words):
        return _months(date(int(words), 1, 1), 12)
    return None


def _day_of(year: int, one: int, other: int) -> date:
    """The day of a year whose day and month are written in an order that depends on the country."""
    if one <= 12 and other <= 12 and one != other:
        raise _Ambiguous(f"can be two days: write {date(year, one, other)} or {date(year, other, one)}.")
    return date(year, min(one, other), max(one, other)) if min(one, other) <= 12 else date(year, one, other)


def _hours(match: re.Match[str]) -> tuple[timedelta, timedelta] | None:
    """From when to when in its day a time reaches: an hour where no minutes are said. ValueError for no such time."""
    if match["part"]:
        first, last = _PARTS[match["part"]]
        return timedelta(hours=first), timedelta(hours=last)
    if match["named"]:
        opens = timedelta(hours=12 if match["named"] == "noon" else 0)
        return opens, opens + timedelta(minutes=1)
    if match["half"] and not 1 <= int(match["hour"]) <= 12:
        return None
    hour = int(match["hour"]) % 12 + (12 if match["half"] == "pm" else 0) if match["half"] else int(match["hour24"])
    clock = time(hour, int(match["minute"] or match["minute24"] or 0))
    opens = timedelta(hours=clock.hour, minutes=clock.minute)
    return opens, opens + (timedelta(minutes=1) if match["minute"] or match["minute24"] else timedelta(hours=1))


def _offset_zone(offset: str) -> tzinfo | None:
    return datetime.fromisoformat(f"2000-01-01T00:00:00{offset.upper()}").tzinfo


def _whole_days(first: date, after: date, zone: tzinfo | None) -> Span:
    """From the first instant of `first` to the last microsecond before `after`, in `zone`.

    Counted through UTC, because a day that a clock change shortens or lengthens is not 24 hours and may begin at 01:00.
    """
    opens = datetime.combine(first, time(), zone).astimezone(UTC)
    closes = datetime.combine(after, time(), zone).astimezone(UTC) - _TICK
    return Span(opens.astimezone(zone), max(opens, closes).astimezone(zone))


def _written(moment: datetime, end: Literal["first", "last"]) -> str:
    """`moment` as a date where its day begins or ends with it, else to the second; in UTC where its own offset has
    seconds, as those of the nineteenth century have."""
    if getattr(_whole_days(moment.date(), moment.date() + _DAY, moment.tzinfo), end) == moment:
        return moment.date().isoformat()
    offset = moment.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds")


def _one_day(day: date) -> Days:
    return day, day + _DAY


def _months(first: date, count: int) -> Days:
    return first, _shift_months(first, count)


def _in_month(year: int, month: int, day: int) -> Days:
    """That day, or with 0 the whole month."""
    return _one_day(date(year, month, day)) if day else _months(date(year, month, 1), 1)


def _monday(day: date) -> date:
    return day - day.weekday() * _DAY


def _back(day: date, count: int, unit: str) -> date:
    if unit in ("day", "week"):
        return day - timedelta(**{f"{unit}s": count})
    return _shift_months(day, -count * {"month": 1, "quarter": 3, "year": 12}[unit])


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
