"""No time is ever moved silently."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.fields import convert
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.connectors.googlecalendar.times import (
    TimeOptions,
    localize,
    needs_zone,
    resolve_times,
    time_options,
)

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "UTC",
]
CHANGES = [
    datetime.fromisoformat("2026-03-29"),
    datetime.fromisoformat("2026-10-25"),
    datetime.fromisoformat("2026-03-08"),
    datetime.fromisoformat("2026-11-01"),
    datetime.fromisoformat("2026-04-05"),
]


def timed(start: str, end: str, **more: Any) -> dict[str, Any]:
    return {"start": {"dateTime": start}, "end": {"dateTime": end}, **more}


def local_times() -> st.SearchStrategy[datetime]:
    """Times on the days around clock changes, and any others."""
    near = st.builds(
        lambda day, minutes: day + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(0, 1440),
    )
    return near | st.datetimes(
        datetime.fromisoformat("1980-01-01"), datetime.fromisoformat("2040-01-01")
    ).map(lambda moment: moment.replace(microsecond=0))


@given(local_times(), st.sampled_from(ZONES))
def test_a_local_time_is_the_moment_that_its_clock_shows_or_an_error(
    local: datetime, zone: str
) -> None:
    """In every zone: the moment has that time on the clock, or a clock change makes it doubtful."""
    try:
        moment = localize(local, zone, "error", "start.dateTime")
    except FieldError as error:
        assert "metaData.daylightSaving" in error.message
        # Python compares two times of one zone by their clocks; in UTC it compares the moments.
        earlier, later, compatible = (
            localize(local, zone, choice, "start").astimezone(UTC)
            for choice in ("earlier", "later", "compatible")
        )
        assert earlier < later
        assert compatible in {earlier, later}
        return
    shown = moment.astimezone(UTC).astimezone(ZoneInfo(zone))
    assert shown.replace(tzinfo=None, fold=0) == local
    assert {
        localize(local, zone, choice, "start") for choice in ("earlier", "later", "compatible")
    } == {moment}


def test_a_time_that_clocks_skip_is_refused_with_both_readings() -> None:
    """02:30 on the last Sunday in March is not in Berlin."""
    with pytest.raises(FieldError) as error:
        resolve_times(
            timed("2026-03-29T02:30:00", "2026-03-29T04:00:00"),
            zone="Europe/Berlin",
            options=TimeOptions(),
        )
    assert "does not exist in Europe/Berlin" in error.value.message
    assert "2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00" in error.value.message


def test_a_time_that_exists_twice_is_the_one_that_the_caller_wants() -> None:
    """02:30 on the last Sunday in October, the first or the second time."""
    body = timed("2026-10-25T02:30:00", "2026-10-25T04:00:00")
    for choice, offset in (("earlier", "+02:00"), ("later", "+01:00"), ("compatible", "+02:00")):
        event = resolve_times(
            body, zone="Europe/Berlin", options=TimeOptions(daylight_saving=choice)
        )
        assert event["start"]["dateTime"] == f"2026-10-25T02:30:00{offset}"
    with pytest.raises(FieldError, match="exists twice"):
        resolve_times(body, zone="Europe/Berlin", options=TimeOptions())


def test_the_zone_of_a_row_comes_first() -> None:
    """Its own, the one of its start for its end, else the default."""
    body = timed("2026-05-30T10:00:00", "2026-05-30T11:00:00")
    assert resolve_times(body, zone="Asia/Tokyo", options=TimeOptions())["start"] == {
        "dateTime": "2026-05-30T10:00:00+09:00",
        "timeZone": "Asia/Tokyo",
    }
    body["start"]["timeZone"] = "America/New_York"
    event = resolve_times(body, zone="Asia/Tokyo", options=TimeOptions())
    assert event["end"] == {"dateTime": "2026-05-30T11:00:00-04:00", "timeZone": "America/New_York"}
    assert not needs_zone(body)


def test_a_time_with_an_offset_needs_no_zone_unless_it_recurs() -> None:
    """Google wants to know in which zone a series recurs."""
    body = timed("2026-05-30T10:00:00+02:00", "2026-05-30T11:00:00+02:00")
    assert not needs_zone(body)
    assert resolve_times(body, zone="UTC", options=TimeOptions()) == body
    weekly = {**body, "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]}
    assert needs_zone(weekly)
    assert (
        resolve_times(weekly, zone="Europe/Berlin", options=TimeOptions())["start"]["timeZone"]
        == "Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"start": {"date": "2026-05-30"}, "end": {"date": "2026-05-30"}},
            "2026-05-31 for one day",
        ),
        (
            {"start": {"date": "2026-05-30"}, "end": {"dateTime": "2026-05-30T10:00:00"}},
            "give both a time, or neither of them",
        ),
        (timed("2026-05-30T10:00:00", "2026-05-30T09:00:00"), "is before start.dateTime"),
        (
            {"start": {"dateTime": "2026-05-30T10:00:00", "timeZone": "Europe/Berln"}},
            "did you mean 'Europe/Berlin'?",
        ),
        (
            {"start": {"dateTime": "2026-05-30T10:00:00", "timeZone": "W. Europe Standard Time"}},
            "did you mean 'Europe/Berlin'?",
        ),
        ({"recurrence": ["every week"]}, "it looks like RRULE:FREQ=WEEKLY"),
        ({"recurrence": ["RRULE:COUNT=3"]}, "has no FREQ"),
        (
            {
                **timed("2026-05-30T10:00:00", "2026-05-30T11:00:00"),
                "recurrence": ["RRULE:FREQ=HOURLY;INTERVAL=8"],
            },
            "has FREQ=HOURLY, and Google takes no rule that recurs more often than daily",
        ),
        ({"recurrence": ["RRULE:FREQ=DAILY;COUNT=3;UNTIL=20260601"]}, "keep one"),
    ],
)
def test_what_google_would_refuse_costs_no_call(body: dict[str, Any], says: str) -> None:
    """The message says what would be right."""
    with pytest.raises(FieldError) as error:
        resolve_times(body, zone="UTC", options=TimeOptions())
    assert says in error.value.message


def test_an_all_day_event_without_an_end_is_one_day() -> None:
    """Its end is exclusive."""
    event = resolve_times({"start": {"date": "2026-12-31"}}, zone="UTC", options=TimeOptions())
    assert event["end"] == {"date": "2027-01-01"}


def test_choices_that_are_not_known_are_refused() -> None:
    """With those that are."""
    assert time_options({"daylightSaving": "Later", "timeZone": "UTC"}) == TimeOptions(
        "UTC", "later"
    )
    with pytest.raises(FieldError, match="it can be error, earlier, later, compatible"):
        time_options({"daylightSaving": "never"})


def test_a_time_before_there_were_zones_goes_out_in_utc() -> None:
    """Its offset had seconds, which RFC 3339 cannot write."""
    event = resolve_times(
        timed("1890-01-01T12:00:00", "1890-01-01T13:00:00"),
        zone="Europe/Berlin",
        options=TimeOptions(),
    )
    assert event["start"] == {"dateTime": "1890-01-01T11:06:32+00:00", "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize("text", ["2026-05-30-05:00", "2026-05-30110:00", "2026-05-30"])
def test_what_is_no_time_is_not_read_as_one(text: str) -> None:
    """A date with an offset, a slip of the finger, a date."""
    with pytest.raises(FieldError, match="is not a date with a time"):
        convert({"start": {"dateTime": text}}, event_schema())
