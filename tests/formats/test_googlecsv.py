"""Google Calendar's own CSV, and Outlook's."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.googlecsv import GoogleCsv
from openbulk.formats.recognition import inspect, recognize

HEADER = "Subject,Start Date,Start Time,End Date,End Time,All Day Event,Description,Location,Private"
GOOGLES_OWN = f"""{HEADER}
Final Exam,05/30/2026,10:00 AM,05/30/2026,1:00 PM,False,"50 multiple choice questions, two essays",Room 214,True
"""


def rows(text: str, **options: Any) -> list[Row]:
    return list(GoogleCsv().read(io.BytesIO(text.encode()), options))


def event(*lines: str, header: str = HEADER, **options: Any) -> Mapping[str, Any]:
    found = rows("\n".join([header, *lines]), **options)[0]
    assert found.values is not None, found.problem
    return found.values


def test_googles_own_example_is_recognized_and_read() -> None:
    """As its help page shows it; also in other cases and orders of columns, and with semicolons."""
    assert inspect(io.BytesIO(GOOGLES_OWN.encode()), None, {}).name == "googlecsv"
    assert recognize(b"start time;start date;SUBJECT\n10:00;30.05.2026;x\n").name == "googlecsv"
    assert recognize(b"Subject,Start,Owner\n1,2,3\n").name == "csv"
    assert recognize(GOOGLES_OWN.encode(), "csv").name == "csv"
    (row,) = rows(GOOGLES_OWN)
    assert row.values == {
        "summary": "Final Exam",
        "description": "50 multiple choice questions, two essays",
        "location": "Room 214",
        "visibility": "private",
        "start": {"dateTime": "2026-05-30T10:00:00"},
        "end": {"dateTime": "2026-05-30T13:00:00"},
    }


def test_the_last_day_of_an_all_day_event_is_one_of_its_days() -> None:
    """The API's end is the day after."""
    assert event("Camp,05/30/2026,,06/01/2026,,True,,,")["end"] == {"date": "2026-06-02"}
    assert event("Camp,05/30/2026,,,,,,,")["end"] == {"date": "2026-05-31"}


def test_what_is_left_out_is_as_google_reads_it() -> None:
    """No end is an hour later; no end date is the same day."""
    assert event("x,05/30/2026,11:30 PM,,,,,,")["end"] == {"dateTime": "2026-05-31T00:30:00"}
    assert event("x,05/30/2026,10:00 AM,,11:00 AM,,,,")["end"] == {"dateTime": "2026-05-30T11:00:00"}


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (["05/30/2026", "06/01/2026"], "2026-05-30"),
        (["03/04/2026", "30/04/2026"], "2026-04-03"),
        (["03/04/2026", "04/05/2026"], "2026-03-04"),
        (["03.04.26", "30.04.26"], "2026-04-03"),
        (["2026-04-03", "2026-05-30"], "2026-04-03"),
        (["2026/04/03", "2026/05/30"], "2026-04-03"),
    ],
)
def test_the_whole_file_tells_the_order_of_its_dates(dates: Sequence[str], first: str) -> None:
    """A 30th somewhere settles it for every row; where both fit, the month is first, as Google has it."""
    assert event(*(f"x,{day},,,,,,," for day in dates))["start"] == {"date": first}


def test_metadata_has_the_first_word_on_the_order() -> None:
    """And only one of the three."""
    assert event("x,03/04/2026,,,,,,,", dateOrder="dmy")["start"] == {"date": "2026-04-03"}
    with pytest.raises(BadInput, match="it can be MDY, DMY, YMD"):
        rows(GOOGLES_OWN, dateOrder="german")


def test_a_date_that_is_none_breaks_its_row_and_no_other() -> None:
    """Saying how the dates of the file look."""
    found = rows(f"{HEADER}\na,05/30/2026,,,,,,,\nb,02/30/2026,,,,,,,\nc,05/31/2026,25:00,,,,,,\nd,,,,,,,,\n")
    problems = [row.problem and (row.problem.field, row.problem.message.partition(";")[0]) for row in found]
    assert problems == [
        None,
        ("Start Date", "Start Date '02/30/2026' is not a date: February 2026 has 28 days"),
        ("Start Time", "Start Time '25:00' is not a time"),
        ("Start Date", "Start Date is empty"),
    ]


def test_outlooks_other_columns_are_left_out() -> None:
    """Its export begins as Google's does."""
    header = '"Subject","Start Date","Start Time","End Date","End Time","All day event","Reminder on/off","Categories"'
    line = '"Sitzung","5/30/2026","9:00:00 AM","5/30/2026","10:00:00 AM","False","True","Work"'
    assert event(line, header=header) == {
        "summary": "Sitzung",
        "start": {"dateTime": "2026-05-30T09:00:00"},
        "end": {"dateTime": "2026-05-30T10:00:00"},
    }


@given(
    st.lists(st.dates(date(2000, 1, 1), date(2060, 1, 1)), min_size=1).filter(
        lambda days: any(d.day > 12 for d in days)
    ),
    st.sampled_from(["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d"]),
)
def test_dates_are_read_as_they_were_written_in_any_order_that_the_file_gives_away(days: list[date], form: str) -> None:
    """A day beyond the twelfth is enough."""
    text = "\n".join([HEADER, *(f"x,{day.strftime(form)},,,,,,," for day in days)])
    assert [row.values and row.values["start"]["date"] for row in rows(text)] == [day.isoformat() for day in days]


def test_an_event_at_the_end_of_the_calendar_breaks_its_row_and_no_other() -> None:
    """Its exclusive end would be beyond the last day that there is."""
    found = rows(f"{HEADER}\na,12/31/9999,,,,,,,\nb,05/30/2026,,,,,,,\n")
    assert [row.problem is None for row in found] == [False, True]


# --- written ---


def written(*events: Mapping[str, Any]) -> str:
    return b"".join(GoogleCsv().write(events)).decode()


def read_again(*events: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    return [row.values for row in rows(written(*events))]


def test_an_event_is_written_as_googles_help_page_shows_it() -> None:
    """With what tells it apart beside it."""
    exam = {
        "id": "exam1",
        "iCalUID": "exam1@google.com",
        "summary": "Final Exam",
        "description": "50 multiple choice questions, two essays",
        "location": "Room 214",
        "visibility": "private",
        "start": {"dateTime": "2026-05-30T10:00:00-04:00", "timeZone": "America/New_York"},
        "end": {"dateTime": "2026-05-30T13:00:00-04:00", "timeZone": "America/New_York"},
    }
    header, line, _ = written(exam).split("\n")
    assert header == f"{HEADER},id,iCalUID,calendarId,start.timeZone,end.timeZone"
    assert line == (
        'Final Exam,05/30/2026,10:00 AM,05/30/2026,1:00 PM,False,"50 multiple choice questions, two essays",Room 214,'
        "True,exam1,exam1@google.com,,America/New_York,America/New_York"
    )
    assert read_again(exam) == [
        {
            **exam,
            "start": {"dateTime": "2026-05-30T10:00:00", "timeZone": "America/New_York"},
            "end": {"dateTime": "2026-05-30T13:00:00", "timeZone": "America/New_York"},
        }
    ]


def test_a_flight_starts_and_ends_by_different_clocks() -> None:
    """And both are read as they were."""
    start = {"dateTime": "2026-05-30T23:30:00", "timeZone": "Europe/Berlin"}
    end = {"dateTime": "2026-05-31T01:45:30", "timeZone": "America/New_York"}
    assert read_again({"start": start, "end": end}) == [{"start": start, "end": end}]


def test_called_off_events_are_left_out_and_others_than_events_are_refused() -> None:
    """Before anything is written: what is half written can't be taken back."""
    day = {"start": {"date": "2026-05-30"}, "end": {"date": "2026-05-31"}}
    assert read_again({"status": "cancelled", "id": "x_20260530"}, day) == [day]
    with pytest.raises(BadInput, match=r"record 2 cannot be written: it has no start; an event has a start"):
        next(GoogleCsv().write([day, {"summary": "no event"}]))


def test_what_google_holds_for_private_is_written_as_private() -> None:
    """`confidential` is the same to Google: written as False, others could read it after the next import."""
    day = {"start": {"date": "2026-05-30"}, "end": {"date": "2026-05-31"}}
    assert [(event or {}).get("visibility") for event in read_again({**day, "visibility": "confidential"}, day)] == [
        "private",
        None,
    ]


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
    st.integers(0, 100_000),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_any_moment_is_read_as_the_moment_that_was_written(begins: datetime, minutes: int, zone: str) -> None:
    """Also in the hour that clocks show twice."""
    start = begins.replace(microsecond=0, tzinfo=UTC).astimezone(ZoneInfo(zone))
    end = (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    moments = [start, end]
    (found,) = read_again(
        {n: {"dateTime": m.isoformat(), "timeZone": zone} for n, m in zip(("start", "end"), moments, strict=True)}
    )
    assert found is not None
    again = [
        datetime.fromisoformat(found[name]["dateTime"]).replace(tzinfo=ZoneInfo(found[name]["timeZone"]))
        for name in ("start", "end")
    ]
    assert [moment.timestamp() for moment in again] == [moment.timestamp() for moment in moments]
