from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from omi_mcp import dates

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 3, 12, 14, 30, 15, 500, BERLIN)  # a Wednesday
TICK = timedelta(microseconds=1)

zones = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati",
            "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana", "Asia/Beirut",
        )
    ]
)  # fmt: skip
days = st.dates(date(1975, 1, 1), date(2100, 1, 1))


def span(text: str, now: datetime = NOW, zone: ZoneInfo = BERLIN) -> tuple[str, str]:
    first, last = dates.parse_span(text, now, zone)
    return first.isoformat(), last.isoformat()


def from_to(text: str, now: datetime = NOW, zone: ZoneInfo = BERLIN) -> tuple[str, str]:
    """The days a span reaches over, checked to begin and end with them."""
    first, last = dates.parse_span(text, now, zone)
    assert (first - TICK).date() < first.date()
    assert (last + TICK).date() > last.date()
    return first.date().isoformat(), last.date().isoformat()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025-03-14", "2025-03-14", "2025-03-14"),
        ("2025-03", "2025-03-01", "2025-03-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024-12", "2024-12-01", "2024-12-31"),
        ("2025", "2025-01-01", "2025-12-31"),
        ("2025-W10", "2025-03-03", "2025-03-09"),
        ("today", "2025-03-12", "2025-03-12"),
        ("  Yesterday ", "2025-03-11", "2025-03-11"),
        ("tomorrow", "2025-03-13", "2025-03-13"),
        ("wednesday", "2025-03-12", "2025-03-12"),
        ("Monday", "2025-03-10", "2025-03-10"),
        ("thursday", "2025-03-06", "2025-03-06"),
        ("last wednesday", "2025-03-05", "2025-03-05"),
        ("last monday", "2025-03-10", "2025-03-10"),
        ("this week", "2025-03-10", "2025-03-16"),
        ("last week", "2025-03-03", "2025-03-09"),
        ("this month", "2025-03-01", "2025-03-31"),
        ("last month", "2025-02-01", "2025-02-28"),
        ("this year", "2025-01-01", "2025-12-31"),
        ("last year", "2024-01-01", "2024-12-31"),
        ("3 days ago", "2025-03-09", "2025-03-09"),
        ("a week ago", "2025-03-05", "2025-03-05"),
        ("2 weeks ago", "2025-02-26", "2025-02-26"),
        ("1 month ago", "2025-02-12", "2025-02-12"),
        ("2 years ago", "2023-03-12", "2023-03-12"),
    ],
)
def test_words_and_dates_mean_whole_days_in_the_persons_zone(text, first, last):
    assert from_to(text) == (first, last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025-03-14T09:30", "2025-03-14T09:30:00+01:00", "2025-03-14T09:30:59.999999+01:00"),
        ("2025-03-14 09:30:15", "2025-03-14T09:30:15+01:00", "2025-03-14T09:30:15.999999+01:00"),
        ("2025-03-14T09:30:15.25Z", "2025-03-14T10:30:15.250000+01:00", "2025-03-14T10:30:15.250000+01:00"),
        ("2025-07-14T09:30:00-04:00", "2025-07-14T15:30:00+02:00", "2025-07-14T15:30:00.999999+02:00"),
        ("2025-07-14T09:30+0530", "2025-07-14T06:00:00+02:00", "2025-07-14T06:00:59.999999+02:00"),
        ("now", "2025-03-12T14:30:15.000500+01:00", "2025-03-12T14:30:15.000500+01:00"),
        ("6 hours ago", "2025-03-12T08:30:15.000500+01:00", "2025-03-12T08:30:15.000500+01:00"),
        ("last 7 days", "2025-03-05T00:00:00+01:00", "2025-03-12T14:30:15.000500+01:00"),
        ("past 24 hours", "2025-03-11T14:30:15.000500+01:00", "2025-03-12T14:30:15.000500+01:00"),
    ],
)
def test_a_time_means_the_stretch_it_is_written_to(text, first, last):
    assert span(text) == (first, last)


def test_today_is_the_persons_today_not_the_servers():
    late = datetime(2025, 3, 12, 23, 30, tzinfo=UTC)
    assert from_to("today", late, BERLIN) == ("2025-03-13", "2025-03-13")
    assert from_to("today", late, ZoneInfo("America/New_York")) == ("2025-03-12", "2025-03-12")


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2025-03-30", "Europe/Berlin", 23),
        ("2025-10-26", "Europe/Berlin", 25),
        ("2025-06-01", "Europe/Berlin", 24),
        ("2018-02-17", "America/Sao_Paulo", 25),  # its last hour came twice
        ("2025-04-06", "Australia/Lord_Howe", 24.5),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(day, zone, hours):
    first, last = dates.parse_span(day, NOW, ZoneInfo(zone))
    assert last.astimezone(UTC) - first.astimezone(UTC) + TICK == timedelta(hours=hours)


def test_hours_ago_are_counted_in_real_time_across_a_clock_change():
    after = datetime(2025, 3, 30, 4, 0, tzinfo=BERLIN)
    assert span("3 hours ago", after)[0] == "2025-03-30T00:00:00+01:00"


def test_a_day_whose_midnight_does_not_exist_begins_after_it():
    first, _ = dates.parse_span("2025-03-30", NOW, ZoneInfo("Asia/Beirut"))
    assert first.isoformat() == "2025-03-30T01:00:00+03:00"


def test_a_day_that_a_zone_skipped_has_no_length():
    first, last = dates.parse_span("2011-12-30", NOW, ZoneInfo("Pacific/Apia"))
    assert first == last


def test_a_month_ago_from_a_long_month_is_the_last_day_of_a_short_one():
    assert from_to("1 month ago", datetime(2024, 3, 31, 12, tzinfo=BERLIN)) == ("2024-02-29", "2024-02-29")


@given(days, zones)
def test_days_tile_time_without_gap_or_overlap(day, zone):
    today = dates.parse_span(day.isoformat(), NOW, zone)
    tomorrow = dates.parse_span((day + timedelta(days=1)).isoformat(), NOW, zone)
    assert today.last.astimezone(UTC) + TICK == tomorrow.first.astimezone(UTC)
    assert today.first.date() == day == today.last.date()


@given(days, zones, st.sampled_from(["yesterday", "today", "monday", "last friday", "3 days ago", "last 7 days"]))
def test_every_instant_of_a_day_gives_the_same_span_for_words(day, zone, text):
    first, last = dates.parse_span(day.isoformat(), NOW, zone)
    assert dates.parse_span(text, first, zone).first == dates.parse_span(text, last, zone).first


@given(st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)), zones)  # noqa: DTZ001
def test_a_moment_that_was_written_is_read_back(naive, zone):
    moment = naive.replace(tzinfo=UTC).astimezone(zone)
    assert dates.parse_moment(moment.isoformat(), NOW, zone).astimezone(UTC) == moment.astimezone(UTC)
    assert dates.parse_span(moment.isoformat(), NOW, zone).first.tzinfo is zone


def understood(text: str, now: datetime = NOW, zone: ZoneInfo = BERLIN) -> tuple[str | None, str | None]:
    return dates.written(dates.parse_period(text, now, zone))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("in June", "2024-06-01", "2024-06-30"),
        ("march", "2025-03-01", "2025-03-31"),
        ("last march", "2024-03-01", "2024-03-31"),
        ("June 2026", "2026-06-01", "2026-06-30"),
        ("June 5, 2025", "2025-06-05", "2025-06-05"),
        ("Thursday, 5th of June 2025", "2025-06-05", "2025-06-05"),
        ("5 Jun", "2024-06-05", "2024-06-05"),
        ("feb 29", "2024-02-29", "2024-02-29"),
        ("2025/06/01", "2025-06-01", "2025-06-01"),
        ("20250601", "2025-06-01", "2025-06-01"),
        ("14.03.2025", "2025-03-14", "2025-03-14"),
        ("04/13/2025", "2025-04-13", "2025-04-13"),
        ("Q3 2025", "2025-07-01", "2025-09-30"),
        ("third quarter of 2024", "2024-07-01", "2024-09-30"),
        ("last quarter", "2024-10-01", "2024-12-31"),
        ("this year", "2025-01-01", "2025-12-31"),
        ("next week", "2025-03-17", "2025-03-23"),
        ("week of June 5", "2024-06-03", "2024-06-09"),
        ("last weekend", "2025-03-08", "2025-03-09"),
        ("two weeks ago", "2025-02-24", "2025-03-02"),
        ("a couple of months ago", "2025-01-01", "2025-01-31"),
        ("fri", "2025-03-07", "2025-03-07"),
        ("friday two weeks ago", "2025-02-28", "2025-02-28"),
        ("monday last week", "2025-03-03", "2025-03-03"),
        ("this friday", "2025-03-14", "2025-03-14"),
        ("the day before yesterday", "2025-03-10", "2025-03-10"),
        ("this morning", "2025-03-12T04:00:00+01:00", "2025-03-12T11:59:59+01:00"),
        ("last night", "2025-03-11T18:00:00+01:00", "2025-03-12T03:59:59+01:00"),
        ("friday evening", "2025-03-07T17:00:00+01:00", "2025-03-07"),
        ("yesterday at 3 p.m.", "2025-03-11T15:00:00+01:00", "2025-03-11T15:59:59+01:00"),
        ("yesterday 9am to 11:30", "2025-03-11T09:00:00+01:00", "2025-03-11T11:30:59+01:00"),
        ("past week", "2025-03-05", "2025-03-12T14:30:15+01:00"),
        ("over the last two weeks", "2025-02-26", "2025-03-12T14:30:15+01:00"),
        ("since Monday", "2025-03-10", "2025-03-12T14:30:15+01:00"),
        ("since the beginning of the year", "2025-01-01", "2025-03-12T14:30:15+01:00"),
        ("after friday", "2025-03-08", "2025-03-12T14:30:15+01:00"),
        ("until friday", None, "2025-03-07"),
        ("before june", None, "2024-05-31"),
        ("between 1 and 5 June", "2024-06-01", "2024-06-05"),
        ("June 5-7, 2024", "2024-06-05", "2024-06-07"),
        ("from march to may 2024", "2024-03-01", "2024-05-31"),
        ("2025-03-01/2025-03-05", "2025-03-01", "2025-03-05"),
    ],
)
def test_what_people_say_is_understood(text, first, last):
    assert understood(text) == (first, last)


@pytest.mark.parametrize("text", ["03/04/2025", "3.4.2025", "since 4/3/2025"])
def test_what_may_be_two_days_is_refused_with_both(text):
    with pytest.raises(ValueError, match=r"write 2025-0[34]-0[34] or 2025-0[34]-0[34]"):
        understood(text)


@pytest.mark.parametrize("text", ["recently", "the other day", "last few days", "wednesday 5 june 2025", "june 31"])
def test_what_is_vague_or_does_not_exist_is_not_guessed(text):
    with pytest.raises(ValueError, match="Accepted"):
        understood(text)


SAID = (
    "today", "yesterday", "last week", "this month", "last quarter", "weekend", "friday", "last monday", "june",
    "5 june", "june 2024", "q2", "3 days ago", "two weeks ago", "last year", "this morning", "last night",
    "yesterday 3pm", "monday 9:30", "last 7 days", "past hour", "2025-W10", "since yesterday", "until friday",
)  # fmt: skip


@given(st.sampled_from(SAID), st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)), zones)  # noqa: DTZ001
def test_a_range_that_is_shown_is_read_back_as_the_same(text, naive, zone):
    """Whatever the clocks do: the words of an answer can be used in the next question."""
    now = naive.replace(microsecond=0, tzinfo=UTC).astimezone(zone)
    found = dates.parse_period(text, now, zone)
    start, end = dates.written(found)
    again = dates.parse_range(start, end, None, now, zone)
    assert again.first == found.first
    assert again.last in (found.last, found.last and found.last + timedelta(seconds=1) - TICK)


@given(
    st.sampled_from([text for text in SAID if "20" not in text]),
    st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    zones,
)
def test_what_is_said_has_begun(text, naive, zone):
    now = naive.replace(tzinfo=UTC).astimezone(zone)
    today = dates.parse_span("today", now, zone)
    first = dates.parse_period(text, now, zone).first
    assert first is None or first.astimezone(UTC) <= today.last.astimezone(UTC)


def test_one_place_reads_start_end_and_period():
    def read(start=None, end=None, period=None):
        return dates.written(dates.parse_range(start, end, period, NOW, BERLIN, option="--"))

    assert read("2 weeks ago", "until friday") == ("2025-02-26", "2025-03-07")
    assert read("after monday", "before wednesday") == ("2025-03-11", "2025-03-11")
    assert read(period="2 weeks ago") == ("2025-02-24", "2025-03-02")
    for arguments, refused in (
        (("soonish",), "--start: not a date"),
        ((None, "soonish"), "--end: not a date"),
        ((None, None, "soonish"), "--period: not a period"),
        (("today", "yesterday"), "--end lies before --start"),
        (("today", None, "last week"), "--period says both ends"),
    ):
        with pytest.raises(ValueError, match=refused):
            read(*arguments)


def accepts(text: str) -> bool:
    try:
        dates.parse_span(text, NOW, BERLIN)
    except ValueError:
        return False
    return True


@given(
    st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2})?)?)?")
)
def test_any_other_text_is_refused_without_repeating_it(text):
    assume(not accepts(text))
    with pytest.raises(ValueError, match="ISO date") as refusal:
        dates.parse_span(text, NOW, BERLIN)
    assert str(refusal.value) == f"not a date that can be read. Accepted: {dates.ACCEPTED_SPANS}."


@pytest.mark.parametrize(
    "text",
    [
        "", "christmas", "2025-02-30", "2025-13", "2025-W54", "2025-03-14T25:00", "2025-03-14T09:30+99:00",
        "0001-01-01", "9999", "9999-12-31", "9999 years ago", "99999 weeks ago", "0 years ago to", "٢٠٢٥-٠٣",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match="ISO date"):
        dates.parse_span(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("last week", "2025-03-03T00:00:00+01:00", "2025-03-09T23:59:59.999999+01:00"),
        ("since monday", "2025-03-10T00:00:00+01:00", "2025-03-12T14:30:15.000500+01:00"),
        ("2025-03-01 to 2025-03-05", "2025-03-01T00:00:00+01:00", "2025-03-05T23:59:59.999999+01:00"),
        ("last month to yesterday", "2025-02-01T00:00:00+01:00", "2025-03-11T23:59:59.999999+01:00"),
    ],
)
def test_a_period_may_be_open_or_have_two_ends(text, first, last):
    period = dates.parse_period(text, NOW, BERLIN)
    assert (period.first.isoformat(), period.last.isoformat()) == (first, last)


@pytest.mark.parametrize("text", ["since", "since tea", "a to b", "tomorrow to", ""])
def test_a_period_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="since yesterday"):
        dates.parse_period(text, NOW, BERLIN)


@pytest.mark.parametrize("text", ["today to yesterday", "since tomorrow"])
def test_a_period_that_ends_before_it_begins_is_refused(text):
    with pytest.raises(ValueError, match="ends before it begins"):
        dates.parse_period(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-14T09:30", "2025-03-14T09:30:00+01:00"),
        ("2025-03-14T09:30:00.123456Z", "2025-03-14T10:30:00.123456+01:00"),
        ("2025-03-14", "2025-03-14T00:00:00+01:00"),
        ("2025-03-30T02:30", "2025-03-30T03:30:00+02:00"),
        ("yesterday", "2025-03-11T00:00:00+01:00"),
        ("yesterday 3pm", "2025-03-11T15:00:00+01:00"),
        ("09:30", "2025-03-12T09:30:00+01:00"),
        ("now", "2025-03-12T14:30:15.000500+01:00"),
        ("two hours ago", "2025-03-12T12:30:15.000500+01:00"),
    ],
)
def test_a_moment_without_an_offset_is_in_the_persons_zone(text, moment):
    assert dates.parse_moment(text, NOW, BERLIN).isoformat() == moment


@pytest.mark.parametrize("text", ["last week", "2025-03", "last 2 days", "1741858200", ""])
def test_a_moment_is_no_longer_than_a_day(text):
    with pytest.raises(ValueError, match="ISO date and time"):
        dates.parse_moment(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("00:41:00", 2460), ("41:00", 2460), ("2460", 2460), ("12.5", 12.5), ("1:02:03.5", 3723.5),
        ("90:00", 5400), ("1h2m", 3720), ("1h 2m 3s", 3723), ("41m", 2460), ("5 min", 300), ("90s", 90), ("0", 0),
    ],
)  # fmt: skip
def test_an_offset_is_read_as_seconds(written, seconds):
    assert dates.parse_offset(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "h",
        "41:75",
        "1:70:00",
        "-1",
        "nan",
        "inf",
        "1e3",
        "\u0664\u0661:\u0660\u0660",
        "9" * 400,
    ],
)
def test_an_offset_that_is_none_is_refused_with_what_is_accepted(written):
    with pytest.raises(ValueError, match="hh:mm:ss"):
        dates.parse_offset(written)


@given(st.integers(0, 3_599_999))
def test_an_offset_that_was_written_is_read_back(seconds):
    assert dates.parse_offset(dates.format_offset(seconds)) == seconds


@given(st.floats(0))
def test_any_number_of_seconds_can_be_written(seconds):
    assert len(dates.format_offset(seconds)) <= len("999:59:59")


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_far_ends_of_the_calendar_can_be_shown(moment):
    for zone in (ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/New_York")):
        assert dates.local(moment, zone).year in (1, 9999)


def test_a_day_has_its_english_name():
    assert dates.weekday(NOW) == "Wednesday"
