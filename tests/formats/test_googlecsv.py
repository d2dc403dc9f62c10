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

HEADER = (
    "Subject,Start Date,Start Time,End Date,End Time,All Day Event,Description,Location,Private"
)
GOOGLES_OWN = (
    f"{HEADER}\n"
    "Final Exam,05/30/2026,10:00 AM,05/30/2026,1:00 PM,False,"
    '"50 multiple choice questions, two essays",Room 214,True\n'
)


def rows(text: str, **options: Any) -> list[Row]:
    return list(GoogleCsv().read(io.BytesIO(text.encode()), options))


def event(*lines: str, header: str = HEADER, **options: Any) -> Mapping[str, Any]:
    found = rows("\n".join([header, *lines]), **options)[0]
    assert found.values is not None, found.problem
    return found.values


def test_googles_own_example_is_recognized_and_read() -> None:
    """The example of its help page. Cases, orders of columns and delimiters may differ."""
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


def test_blanks_in_the_header_are_blanks() -> None:
    """A no-break blank looks like any other."""
    header = HEADER.replace(" ", "\u00a0")
    assert inspect(io.BytesIO(f"{header}\nx,2026-05-30,,,,,,,\n".encode()), None, {}).name == (
        "googlecsv"
    )
    assert event("x,2026-05-30,,,,,,,", header=header)["start"] == {"date": "2026-05-30"}


def test_the_end_date_of_an_all_day_event_is_its_last_day() -> None:
    """In the API, the end is the day after."""
    assert event("Camp,05/30/2026,,06/01/2026,,True,,,")["end"] == {"date": "2026-06-02"}
    assert event("Camp,05/30/2026,,,,,,,")["end"] == {"date": "2026-05-31"}


def test_the_summary_may_have_its_name_in_the_api() -> None:
    """It is in no place twice."""
    assert event("Camp,05/30/2026", header="summary,Start Date")["summary"] == "Camp"
    with pytest.raises(BadInput, match="'Subject' and 'summary' mean the same"):
        rows("Subject,summary,Start Date\na,b,05/30/2026")


def test_filled_columns_without_a_place_are_a_remark() -> None:
    """Outlook fills some of its own for each event: they say nothing."""
    header = "Subject,Start Date,Guests,Room,Reminder Date,Priority"
    first, second = rows(f"{header}\na,05/30/2026,b@x.org,,05/30/2026,Normal\nb,05/30/2026,,,,")
    assert first.remarks == (
        "the column 'Guests' ('b@x.org') is not part of Google Calendar's CSV and is left out",
    )
    assert not second.remarks


def test_missing_ends_are_as_google_reads_them() -> None:
    """No end time is an hour later, no end date is the first day."""
    assert event("x,05/30/2026,11:30 PM,,,,,,")["end"] == {"dateTime": "2026-05-31T00:30:00"}
    assert event("x,05/30/2026,10:00 AM,,11:00 AM,,,,")["end"] == {
        "dateTime": "2026-05-30T11:00:00"
    }


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (["05/30/2026", "06/01/2026"], "2026-05-30"),
        (["03/04/2026", "30/04/2026"], "2026-04-03"),
        (["03.04.26", "30.04.26"], "2026-04-03"),
        (["2026-04-03", "2026-05-30"], "2026-04-03"),
        (["2026/04/03", "2026/05/30"], "2026-04-03"),
    ],
)
def test_all_dates_of_the_file_decide_their_order(dates: Sequence[str], first: str) -> None:
    """One 30th decides for every row."""
    assert event(*(f"x,{day},,,,,,," for day in dates))["start"] == {"date": first}


def test_date_order_in_metadata_wins() -> None:
    """It is one of three."""
    assert event("x,03/04/2026,,,,,,,", dateOrder="dmy")["start"] == {"date": "2026-04-03"}
    with pytest.raises(BadInput, match="it can be MDY, DMY, YMD"):
        rows(GOOGLES_OWN, dateOrder="german")


def test_a_wrong_date_breaks_its_row_and_no_other() -> None:
    """The problem names the column and the reason."""
    found = rows(
        f"{HEADER}\na,05/30/2026,,,,,,,\nb,02/30/2026,,,,,,,\nc,05/31/2026,25:00,,,,,,\nd,,,,,,,,\n"
    )
    problems = [
        row.problem and (row.problem.field, row.problem.message.partition(";")[0]) for row in found
    ]
    assert problems == [
        None,
        ("Start Date", 'Start Date "02/30/2026" is not a date: February 2026 has 28 days'),
        ("Start Time", 'Start Time "25:00" is not a time: a day has 24 hours, an hour 60 minutes'),
        ("Start Date", "Start Date is empty"),
    ]


@pytest.mark.parametrize(
    ("cells", "times"),
    [
        ("06/25/2026,8.15,06/25/2026,19h30", ("2026-06-25T08:15:00", "2026-06-25T19:30:00")),
        ("06/25/2026,10:00\u202fAM,,12:15 p. m.", ("2026-06-25T10:00:00", "2026-06-25T12:15:00")),
        ("25.06.2026,8:15 Uhr,25.06.2026,24:00", ("2026-06-25T08:15:00", "2026-06-26T00:00:00")),
        ("06/25/2026 22:00,,06/26/2026 06:00,", ("2026-06-25T22:00:00", "2026-06-26T06:00:00")),
        ("06/25/2026 0:00,,06/25/2026 06:00,", ("2026-06-25T00:00:00", "2026-06-25T06:00:00")),
        ("06/25/2026 22:00,,06/26/2026 0:00,", ("2026-06-25T22:00:00", "2026-06-26T00:00:00")),
        (
            "2026-06-25 00:00:00,08:15,2026-06-25,9:00",
            ("2026-06-25T08:15:00", "2026-06-25T09:00:00"),
        ),
        ("25 June 2026,8:15,25 June 2026,9:00", ("2026-06-25T08:15:00", "2026-06-25T09:00:00")),
        (
            "2026-06-25,1899-12-30T08:15:00,2026-06-25,12/31/1899 9:00:00 AM",
            ("2026-06-25T08:15:00", "2026-06-25T09:00:00"),
        ),
    ],
)
def test_times_are_read_as_people_and_spreadsheets_write_them(
    cells: str, times: tuple[str, str]
) -> None:
    """In a cell of their own, or in that of the date. A spreadsheet's midnight is a day."""
    found = event(f"x,{cells},,,,")
    assert (found["start"]["dateTime"], found["end"]["dateTime"]) == times


@pytest.mark.parametrize(
    ("cells", "end"),
    [
        ("21-4-2026,00:00:00,22-4-2026,00:00:00,True", "2026-04-22"),
        ("4/21/2026,12:00:00 AM,4/24/2026,12:00:00 AM,True", "2026-04-24"),
        ("4/21/2026,12:00:00 AM,4/21/2026,12:00:00 AM,True", "2026-04-22"),
        ("4/21/2026,,4/22/2026,,True", "2026-04-23"),
        ("4/21/2026,,4/22/2026,,", "2026-04-23"),
        ("2026-04-21 00:00:00,,2026-04-22 00:00:00,,", "2026-04-23"),
    ],
)
def test_outlook_ends_a_day_at_the_midnight_after_it(cells: str, end: str) -> None:
    """In Google's own CSV, the end is the last day, and has no time."""
    found = event(f"Leave,{cells},,,")
    assert (found["start"], found["end"]) == ({"date": "2026-04-21"}, {"date": end})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("06/25/2026,,06/25/2026,11:00 AM,,,,", 'Start Time is empty, but End Time is "11:00 AM"'),
        ("06/25/2026,10:00,06/27/2026,,,,,", 'End Time is empty, but End Date is "06/27/2026"'),
        ("06/25/2026 9:00,10:00,,,,,,", 'Start Time "10:00" is another time than in Start Date'),
        ("06/25/2026,06/26/2026 10:00,,,,,,", 'Start Time "06/26/2026 10:00" is not a time'),
        ("06/25/2026,10:00,,,maybe,,,", 'All Day Event "maybe" is not known'),
        ("06/25/2026,10:00,,,,,,secret", 'Private "secret" is not known'),
        ("31.09.2026,10:00,,,,,,", 'Start Date "31.09.2026" is not a date: September has 30 days'),
        ("soon,10:00,,,,,,", 'Start Date "soon" is not a date'),
        ("2026-06-25T10:00:00Z,,,,,,,", 'Start Date "2026-06-25T10:00:00Z" has an offset'),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_cell(cells: str, message: str) -> None:
    """Never left out in silence."""
    (row,) = rows(f"{HEADER}\nx,{cells}\n")
    assert row.problem is not None
    assert row.problem.message.startswith(message)


def test_a_file_with_open_dates_is_refused() -> None:
    """The header names Google's columns, which shows nothing of the person's dates."""
    with pytest.raises(BadInput, match=r'row 2: Start Date "03/04/2026" is 2026-04-03 \(day first'):
        rows(f"{HEADER}\nx,2026-05-30,,,,,,,\nx,03/04/2026,,,,,,,\n")
    assert event("x,03/04/2026,10:00 AM,,,,,,")["start"] == {"dateTime": "2026-03-04T10:00:00"}


def test_a_large_file_is_recognized_before_its_dates_show_their_order() -> None:
    """The rest of the file may show it."""
    text = f"{HEADER}\n" + "x,03/04/2026,,,,,,,\n" * 60_000
    assert inspect(io.BytesIO(text.encode()), None, {}).name == "googlecsv"
    with pytest.raises(BadInput, match=r"metaData\.dateOrder"):
        rows(text)
    assert rows(f"{text}x,30/04/2026,,,,,,,\n")[0].values == {
        "summary": "x",
        "start": {"date": "2026-04-03"},
        "end": {"date": "2026-04-04"},
    }


@pytest.mark.parametrize(
    "above",
    ["sep=,\r\n", '"sep=,"\n', "\n\n", "Maths autumn 2026\n", '"Maths, 2026",,,\n\n', "\ufeff"],
)
def test_a_header_below_other_lines_is_recognized(above: str) -> None:
    """As that of any CSV."""
    content = f"{above}{GOOGLES_OWN}".encode()
    assert inspect(io.BytesIO(content), None, {}).name == "googlecsv"
    assert [row.values and row.values["summary"] for row in rows(f"{above}{GOOGLES_OWN}")] == [
        "Final Exam"
    ]


@pytest.mark.parametrize("other", ["SUBJECT", "summary", "start DATE", "End Date "])
def test_two_columns_for_one_field_are_refused(other: str) -> None:
    """Of two texts, neither is dropped in silence."""
    content = f"Subject,Start Date,End Date,{other}\nA,05/30/2026,05/30/2026,05/31/2026\n"
    with pytest.raises(BadInput, match=r"mean the same; keep one of them|are both called"):
        GoogleCsv().read(io.BytesIO(content.encode()), {})


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("Start Tim", "Start Time"),
        ("Starttime", "Start Time"),
        ("Descripton", "Description"),
        ("Locaton", "Location"),
        ("End_Date", "End Date"),
        ("Start Timezone", "start.timeZone"),
    ],
)
def test_a_misspelt_column_is_refused(column: str, meant: str) -> None:
    """Before there is a row without its value."""
    with pytest.raises(BadInput, match=f"{column!r} is not a column .* did you mean {meant!r}"):
        rows(f"Subject,Start Date,{column}\nx,05/30/2026,y\n")


@pytest.mark.parametrize(
    "column",
    [
        *("Meeting Organizer", "Required Attendees", "Optional Attendees", "Meeting Resources"),
        *("Billing Information", "Categories", "Mileage", "Priority", "Sensitivity", "Due Date"),
        *("Show time as", "Reminder on/off", "Reminder Date", "Reminder Time", "Guests", "Room"),
        *("Calendar", "Send Date", "Sent Date", "Restart Time", "Allocation", "Prescription"),
        *("Half Day Event", "Location 2", "Location ID", "LocationURL", "Description EN"),
    ],
)
def test_a_column_of_another_name_is_not_called_misspelt(column: str) -> None:
    """Outlook's own columns, and those that people add."""
    assert rows(f"Subject,Start Date,{column}\nx,05/30/2026,y\n")[0].values


def test_a_file_without_start_dates_is_refused_as_a_whole() -> None:
    """If its caller says that it is Google's."""
    with pytest.raises(BadInput, match="the column 'Start Date' is missing; the file's columns"):
        rows("Subject,Start\nx,05/30/2026\n")


def test_other_columns_of_outlook_are_ignored() -> None:
    """Its export begins with Google's columns."""
    header = (
        '"Subject","Start Date","Start Time","End Date","End Time","All day event",'
        '"Reminder on/off","Categories"'
    )
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
def test_dates_are_read_in_any_order_that_the_file_shows(days: list[date], form: str) -> None:
    """One day after the twelfth is enough."""
    text = "\n".join([HEADER, *(f"x,{day.strftime(form)},,,,,,," for day in days)])
    assert [row.values and row.values["start"]["date"] for row in rows(text)] == [
        day.isoformat() for day in days
    ]


def test_an_event_at_the_end_of_the_calendar_breaks_its_row_and_no_other() -> None:
    """Its exclusive end would be after the last day of the year 9999."""
    found = rows(f"{HEADER}\na,12/31/9999,,,,,,,\nb,05/30/2026,,,,,,,\n")
    assert [row.problem is None for row in found] == [False, True]


# --- writing ---


def write(*events: Mapping[str, Any]) -> str:
    return b"".join(GoogleCsv().write(events)).decode()


def read_again(*events: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    return [row.values for row in rows(write(*events))]


def test_an_event_is_written_as_googles_help_page_shows_it() -> None:
    """Its id, calendar and zones have columns beside Google's."""
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
    header, line, _ = write(exam).split("\n")
    assert header == f"{HEADER},id,iCalUID,calendarId,start.timeZone,end.timeZone"
    assert line == (
        "Final Exam,05/30/2026,10:00 AM,05/30/2026,1:00 PM,False,"
        '"50 multiple choice questions, two essays",Room 214,'
        "True,exam1,exam1@google.com,,America/New_York,America/New_York"
    )
    assert read_again(exam) == [
        {
            **exam,
            "start": {"dateTime": "2026-05-30T10:00:00", "timeZone": "America/New_York"},
            "end": {"dateTime": "2026-05-30T13:00:00", "timeZone": "America/New_York"},
        }
    ]


def test_a_days_event_is_read_again_as_it_was_written() -> None:
    """openbulk's own header says that the month is first."""
    day = {"start": {"date": "2026-05-06"}, "end": {"date": "2026-05-07"}}
    assert read_again(day) == [day]


def test_start_and_end_keep_different_zones() -> None:
    """As of a flight."""
    start = {"dateTime": "2026-05-30T23:30:00", "timeZone": "Europe/Berlin"}
    end = {"dateTime": "2026-05-31T01:45:30", "timeZone": "America/New_York"}
    assert read_again({"start": start, "end": end}) == [{"start": start, "end": end}]


def test_cancelled_events_are_left_out_and_other_records_are_refused() -> None:
    """Before the first byte: a half-written file cannot be taken back."""
    day = {"start": {"date": "2026-05-30"}, "end": {"date": "2026-05-31"}}
    assert read_again({"status": "cancelled", "id": "x_20260530"}, day) == [day]
    with pytest.raises(
        BadInput, match=r"record 2 cannot be written: it has no start; an event has a start"
    ):
        next(GoogleCsv().write([day, {"summary": "no event"}]))


def test_confidential_events_are_written_as_private() -> None:
    """Both are the same to Google. As False, others could read the event after the next import."""
    day = {"start": {"date": "2026-05-30"}, "end": {"date": "2026-05-31"}}
    assert [
        (event or {}).get("visibility")
        for event in read_again({**day, "visibility": "confidential"}, day)
    ] == [
        "private",
        None,
    ]


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
    st.integers(0, 100_000),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
    ),
)
def test_any_moment_is_read_as_it_was_written(begins: datetime, minutes: int, zone: str) -> None:
    """Also in the hour that clocks show twice."""
    start = begins.replace(microsecond=0, tzinfo=UTC).astimezone(ZoneInfo(zone))
    end = (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    moments = [start, end]
    (found,) = read_again(
        {
            n: {"dateTime": m.isoformat(), "timeZone": zone}
            for n, m in zip(("start", "end"), moments, strict=True)
        }
    )
    assert found is not None
    again = [
        datetime.fromisoformat(found[name]["dateTime"]).replace(
            tzinfo=ZoneInfo(found[name]["timeZone"])
        )
        for name in ("start", "end")
    ]
    assert [moment.timestamp() for moment in again] == [moment.timestamp() for moment in moments]


def test_a_text_that_metadata_names_clears_a_field() -> None:
    """An empty cell leaves it, in quotes or not: Outlook quotes every cell."""
    found = event('x,05/30/2026,,,,,#N/A,"",', nullValue="#N/A")
    assert found["description"] is None
    assert "location" not in found
