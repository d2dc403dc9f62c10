"""Recurrences are brought to the type and the zone of the start, or refused with an example."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.recurrence import (
    OriginalStart,
    fit_lines,
    same_recurrence,
    time_value,
)
from openbulk.connectors.googlecalendar.times import TimeOptions, needs_zone, resolve_times

TIMED = {"dateTime": "2026-06-04T10:00:00+02:00", "timeZone": "Europe/Berlin"}
TIMED_END = {"dateTime": "2026-06-04T11:00:00+02:00", "timeZone": "Europe/Berlin"}
DAY, DAY_END = {"date": "2026-06-04"}, {"date": "2026-06-05"}


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("EXDATE:20260611T100000", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        ("EXDATE:20260611T080000Z", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        ("EXDATE;VALUE=DATE:20260611", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        ("EXDATE:20260611", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        ("EXDATE:2026-06-11T10:00:00", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        ("exdate:20260611T100000,", "EXDATE;TZID=Europe/Berlin:20260611T100000"),
        (
            "EXDATE;TZID=America/New_York:20260611T040000",
            "EXDATE;TZID=Europe/Berlin:20260611T100000",
        ),
        ("RDATE:20260612T100000", "RDATE;TZID=Europe/Berlin:20260612T100000"),
        (
            "RDATE;VALUE=PERIOD:20260612T100000/PT1H",
            "RDATE;TZID=Europe/Berlin:20260612T100000",
        ),
        ("RRULE:FREQ=DAILY;UNTIL=20260610", "RRULE:FREQ=DAILY;UNTIL=20260610T215959Z"),
        ("RRULE:FREQ=DAILY;UNTIL=20260610T100000", "RRULE:FREQ=DAILY;UNTIL=20260610T080000Z"),
        ("RRULE:FREQ=DAILY;UNTIL=20260610T080000Z", "RRULE:FREQ=DAILY;UNTIL=20260610T080000Z"),
        ("rrule:freq=daily;count=3", "RRULE:FREQ=DAILY;COUNT=3"),
    ],
)
def test_a_series_with_times_has_times_in_its_zone(line: str, right: str) -> None:
    """UNTIL is in UTC, the other dates in the zone of the start."""
    assert fit_lines([line], TIMED, TIMED_END, "UTC") == [right]


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("EXDATE:20260611T100000", "EXDATE;VALUE=DATE:20260611"),
        ("EXDATE;TZID=Europe/Berlin:20260611T000000", "EXDATE;VALUE=DATE:20260611"),
        ("EXDATE:20260610T220000Z", "EXDATE;VALUE=DATE:20260611"),
        ("EXDATE:20260611", "EXDATE;VALUE=DATE:20260611"),
        ("RRULE:FREQ=DAILY;UNTIL=20260610T220000Z", "RRULE:FREQ=DAILY;UNTIL=20260611"),
        ("RRULE:FREQ=DAILY;UNTIL=2026-06-11", "RRULE:FREQ=DAILY;UNTIL=20260611"),
    ],
)
def test_a_series_of_days_has_days(line: str, right: str) -> None:
    """A moment is the day that it is in the calendar's zone."""
    assert fit_lines([line], DAY, DAY_END, "Europe/Berlin") == [right]


def test_the_zone_of_the_calendar_is_only_looked_up_where_it_matters() -> None:
    """A moment in a series of days needs it."""
    day = {"start": DAY, "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20260610T220000Z"]}
    assert needs_zone(day)
    assert not needs_zone({**day, "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20260611"]})
    resolved = resolve_times(day, TimeOptions(), zone="Europe/Berlin")
    assert resolved["recurrence"] == ["RRULE:FREQ=DAILY;UNTIL=20260611"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "EXDATE:11.06.2026",
            "EXDATE is '11.06.2026', which is neither a day nor a time; it",
        ),
        ("EXDATE:20260631T100000", "which no calendar and no clock has"),
        ("RRULE:FREQ=DAILY;UNTIL=never", "UNTIL=20261218T225959Z"),
        ("EXDATE;TZID=Mars/Olympus:20260611T100000", "'Mars/Olympus', which is not known"),
        ("RDATE;VALUE=PERIOD:20260612T100000/PT3H", "as a row of its own, with originalStartTime"),
        ("DTSTART:20260604T100000", "it looks like RRULE:FREQ=WEEKLY;COUNT=10"),
        ("EXDATE:", "it looks like RRULE:FREQ=WEEKLY;COUNT=10"),
    ],
)
def test_what_cannot_be_brought_to_it_is_refused(line: str, says: str) -> None:
    """With what would be right; it is never sent as text."""
    with pytest.raises(FieldError) as error:
        fit_lines([line], TIMED, TIMED_END, "UTC")
    assert says in error.value.message
    assert error.value.field == "recurrence"


def test_one_recurrence_in_two_spellings_is_the_same() -> None:
    """Google may show a date in another zone than openbulk sends it in."""
    event = {
        "start": TIMED,
        "end": TIMED_END,
        "recurrence": ["RRULE:FREQ=WEEKLY", "EXDATE:20260611T080000Z"],
    }
    wanted = ["RRULE:FREQ=WEEKLY", "EXDATE;TZID=Europe/Berlin:20260611T100000"]
    assert same_recurrence(wanted, event)
    assert not same_recurrence(wanted[:1], event)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Tokyo"]),
)
def test_a_date_is_the_same_moment_in_the_zone_of_the_start(
    local: datetime, zone: str, series_zone: str
) -> None:
    """From whatever zone it comes, over all changes of clocks."""
    moment = local.replace(microsecond=0, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    start = {"dateTime": "2026-06-04T10:00:00", "timeZone": series_zone}
    (line,) = fit_lines([f"EXDATE:{moment:%Y%m%dT%H%M%SZ}"], start, start, "UTC")
    head, _, value = line.partition(":")
    if value.endswith("Z"):  # the clocks there show that time twice
        assert value == f"{moment:%Y%m%dT%H%M%SZ}"
        return
    assert head == f"EXDATE;TZID={series_zone}"
    read = datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(series_zone))
    assert read.astimezone(UTC) == moment


SERIES: dict[str, Any] = {"start": TIMED, "recurrence": ["RRULE:FREQ=WEEKLY"]}


@pytest.mark.parametrize(
    ("original", "series", "name"),
    [
        ({"date": "2026-06-11"}, SERIES, "20260611T080000Z"),
        ({"dateTime": "2026-06-11T10:00:00"}, SERIES, "20260611T080000Z"),
        ({"dateTime": "2026-06-11T08:00:00+00:00"}, SERIES, "20260611T080000Z"),
        (
            {"dateTime": "2026-06-11T17:00:00", "timeZone": "Asia/Tokyo"},
            SERIES,
            "20260611T080000Z",
        ),
        ({"date": "2026-06-11"}, {"start": DAY}, "20260611"),
        ({"dateTime": "2026-06-11T00:00:00"}, {"start": DAY}, "20260611"),
        ({"dateTime": "2026-06-10T22:00:00+00:00"}, {"start": DAY}, "20260611"),
    ],
)
def test_an_occurrence_is_the_one_that_the_series_has(
    original: dict[str, str], series: dict[str, Any], name: str
) -> None:
    """In the type and the zone of the series."""
    stated = OriginalStart(time_value(original), is_this_and_future=False)
    assert stated.fit_to(series, "Europe/Berlin").name == name


def test_a_day_says_too_little_of_a_series_that_recurs_twice_on_it() -> None:
    """The message says what would be enough."""
    series = {"start": TIMED, "recurrence": ["RRULE:FREQ=DAILY;BYHOUR=10,16"]}
    stated = OriginalStart(time_value({"date": "2026-06-11"}), is_this_and_future=False)
    with pytest.raises(FieldError, match="write which one is meant, like 2026-06-11T10:00:00"):
        stated.fit_to(series, "UTC")
