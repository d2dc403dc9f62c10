"""Calendar files as programs export them, and as openbulk writes them."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icalendar import Timezone

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.ics import Ics
from openbulk.formats.recognition import inspect
from openbulk.testing.formats import RECORDS, FormatTests

GOOGLE = """BEGIN:VCALENDAR\r
PRODID:-//Google Inc//Google Calendar 70.9054//EN\r
VERSION:2.0\r
METHOD:PUBLISH\r
X-WR-CALNAME:School\r
X-WR-TIMEZONE:Europe/Berlin\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
X-LIC-LOCATION:Europe/Berlin\r
BEGIN:DAYLIGHT\r
TZOFFSETFROM:+0100\r
TZOFFSETTO:+0200\r
DTSTART:19700329T020000\r
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r
END:DAYLIGHT\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
DTSTART;TZID=Europe/Berlin:20260907T080000\r
DTEND;TZID=Europe/Berlin:20260907T084500\r
RRULE:FREQ=WEEKLY;UNTIL=20261218T225959Z;BYDAY=MO\r
EXDATE;TZID=Europe/Berlin:20261012T080000\r
DTSTAMP:20260801T120000Z\r
ORGANIZER;CN=School:mailto:school@group.calendar.google.com\r
UID:maths-7a@google.com\r
ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED;CN="Lee, Ann\r
 ";X-NUM-GUESTS=0:mailto:ann@example.com\r
ATTENDEE;CUTYPE=ROOM;PARTSTAT=NEEDS-ACTION:mailto:room4@example.com\r
CLASS:PRIVATE\r
SEQUENCE:2\r
STATUS:CONFIRMED\r
SUMMARY:Maths\\, class 7a and a title that is so long that it goes on in\r
  the next line\r
TRANSP:OPAQUE\r
BEGIN:VALARM\r
ACTION:DISPLAY\r
TRIGGER:-P0DT0H10M0S\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;TZID=Europe/Berlin:20260914T100000\r
DTEND;TZID=Europe/Berlin:20260914T104500\r
UID:maths-7a@google.com\r
RECURRENCE-ID;TZID=Europe/Berlin:20260914T080000\r
SUMMARY:Maths\\, later\r
END:VEVENT\r
END:VCALENDAR\r
"""


def rows(*events: str, head: str = "", **options: Any) -> list[Row]:
    blocks = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{blocks}END:VCALENDAR\n"
    return list(Ics().read(io.BytesIO(text.encode()), options))


def event(text: str, head: str = "") -> Mapping[str, Any]:
    (row,) = rows(text, head=head)
    assert row.values is not None, row.problem
    return row.values


def write(*events: Mapping[str, Any]) -> bytes:
    return b"".join(Ics().write(events))


def read_again(*events: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    found = list(Ics().read(io.BytesIO(write(*events)), {}))
    assert [row.problem for row in found] == [None] * len(found)
    return [row.values for row in found]


class TestIcs(FormatTests):
    format = Ics()
    has_numbers = False

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        return self.file([self.block(record) for record in records])

    def broken_file(self) -> bytes:
        blocks = [self.block(record) for record in RECORDS]
        blocks[self.broken_index] = blocks[self.broken_index].replace("DTSTART:2", "DTSTART:x")
        return self.file(blocks)

    def block(self, record: Mapping[str, Any]) -> str:
        summary = f"SUMMARY:{record['name']}"
        return f"BEGIN:VEVENT\r\n{summary}\r\nDTSTART:20260530T100000Z\r\nEND:VEVENT\r\n"

    def writable_records(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        return [{"summary": record["name"], "start": {"date": "2026-05-30"}} for record in records]

    def file(self, blocks: Sequence[str]) -> bytes:
        return f"BEGIN:VCALENDAR\r\n{''.join(blocks)}END:VCALENDAR\r\n".encode()

    def read(self, content: bytes, **options: Any) -> list[Row]:
        """Without the start and end that every event has."""
        city = {record["name"]: record["city"] for record in RECORDS}
        return [
            row
            if row.values is None
            else Row(
                row.number,
                {"name": (name := row.values["summary"]), "city": city[name]},
                line=row.line,
            )
            for row in super().read(content, **options)
        ]


def test_googles_export_is_recognized_and_read() -> None:
    """A series in its zone, with one occurrence at another time."""
    assert inspect(io.BytesIO(GOOGLE.encode()), None, {}).name == "ics"
    series, moved = (row.values for row in Ics().read(io.BytesIO(GOOGLE.encode()), {}))
    assert series == {
        "iCalUID": "maths-7a@google.com",
        "summary": "Maths, class 7a and a title that is so long that it goes on in the next line",
        "sequence": 2,
        "status": "confirmed",
        "visibility": "private",
        "transparency": "opaque",
        "start": {"dateTime": "2026-09-07T08:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-09-07T08:45:00", "timeZone": "Europe/Berlin"},
        "organizer": {"email": "school@group.calendar.google.com", "displayName": "School"},
        "attendees": [
            {
                "email": "ann@example.com",
                "displayName": "Lee, Ann",
                "responseStatus": "accepted",
                "optional": True,
            },
            {"email": "room4@example.com", "responseStatus": "needsAction", "resource": True},
        ],
        "recurrence": [
            "RRULE:FREQ=WEEKLY;UNTIL=20261218T225959Z;BYDAY=MO",
            "EXDATE;TZID=Europe/Berlin:20261012T080000",
        ],
        "reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 10}]},
    }
    assert moved is not None
    assert moved["originalStartTime"] == {
        "dateTime": "2026-09-14T08:00:00",
        "timeZone": "Europe/Berlin",
    }
    assert moved["iCalUID"] == series["iCalUID"]


@pytest.mark.filterwarnings("ignore:Timezone")  # icalendar warns that it guesses
@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("DTSTART;VALUE=DATE:20260530", {"date": "2026-05-30"}, {"date": "2026-05-31"}),
        (
            "DTSTART;VALUE=DATE:20260530\nDURATION:P3D",
            {"date": "2026-05-30"},
            {"date": "2026-06-02"},
        ),
        (
            "DTSTART:20260530T100000Z\nDURATION:PT90M",
            {"dateTime": "2026-05-30T10:00:00Z", "timeZone": "UTC"},
            {"dateTime": "2026-05-30T11:30:00Z", "timeZone": "UTC"},
        ),
        (
            "DTSTART:20260530T100000",
            {"dateTime": "2026-05-30T10:00:00"},
            {"dateTime": "2026-05-30T10:00:00"},
        ),
        (
            "DTSTART;TZID=W. Europe Standard Time:20260530T100000\n"
            "DTEND;TZID=W. Europe Standard Time:20260530T110000",
            {"dateTime": "2026-05-30T10:00:00", "timeZone": "Europe/Berlin"},
            {"dateTime": "2026-05-30T11:00:00", "timeZone": "Europe/Berlin"},
        ),
        (
            "DTSTART;TZID=/freeassociation.sourceforge.net/America/New_York:20260530T100000\nDURATION:PT1H",
            {"dateTime": "2026-05-30T10:00:00", "timeZone": "America/New_York"},
            {"dateTime": "2026-05-30T11:00:00", "timeZone": "America/New_York"},
        ),
    ],
    ids=["a day", "three days", "UTC", "floating", "Windows' zone", "a zone at the end of a path"],
)
def test_starts_and_ends_are_read(
    text: str, start: Mapping[str, str], end: Mapping[str, str]
) -> None:
    """With DTEND, with DURATION, or with neither."""
    values = event(text)
    assert (values["start"], values["end"]) == (start, end)


def test_a_described_zone_is_identified_by_its_place() -> None:
    """Some programs number their zones, and name the place in X-LIC-LOCATION."""
    head = (
        "BEGIN:VTIMEZONE\nTZID:zone-1\nX-LIC-LOCATION:Asia/Tokyo\nEND:VTIMEZONE\n"
        "X-WR-TIMEZONE:Europe/Paris\n"
    )
    assert event("DTSTART;TZID=zone-1:20260530T100000", head)["start"]["timeZone"] == "Asia/Tokyo"
    assert event("DTSTART:20260530T100000", head)["start"]["timeZone"] == "Europe/Paris"


OUTLOOK = """BEGIN:VCALENDAR
PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN
VERSION:2.0
METHOD:PUBLISH
X-MS-OLK-FORCEINSPECTOROPEN:TRUE
BEGIN:VTIMEZONE
TZID:{zone}
BEGIN:STANDARD
DTSTART:16011104T020000
RRULE:FREQ=YEARLY;BYDAY={autumn}
TZOFFSETFROM:{summer}
TZOFFSETTO:{winter}
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010311T020000
RRULE:FREQ=YEARLY;BYDAY={spring}
TZOFFSETFROM:{winter}
TZOFFSETTO:{summer}
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
CLASS:PUBLIC
CREATED:20260520T080000Z
DTEND;TZID="{zone}":20260530T110000
DTSTAMP:20260520T080000Z
DTSTART;TZID="{zone}":20260530T100000
LAST-MODIFIED:20260520T080000Z
PRIORITY:5
SEQUENCE:0
SUMMARY;LANGUAGE=en-us:Review
TRANSP:OPAQUE
UID:040000008200E00074C5B7101A82E00800000000
X-ALT-DESC;FMTTYPE=text/html:<html><body>Review</body></html>
X-MICROSOFT-CDO-BUSYSTATUS:BUSY
X-MICROSOFT-CDO-IMPORTANCE:1
END:VEVENT
END:VCALENDAR
"""
EUROPE = {"autumn": "-1SU;BYMONTH=10", "spring": "-1SU;BYMONTH=3"}
AMERICA = {"autumn": "1SU;BYMONTH=11", "spring": "2SU;BYMONTH=3"}


@pytest.mark.filterwarnings("ignore:Timezone")  # icalendar warns that it guesses
@pytest.mark.parametrize(
    ("zone", "rules", "winter", "summer", "found"),
    [
        ("Customized Time Zone", EUROPE, "+0100", "+0200", "Europe/Paris"),
        (
            "(UTC+01:00) Brussels, Copenhagen, Madrid, Paris",
            EUROPE,
            "+0100",
            "+0200",
            "Europe/Brussels",
        ),
        ("Customized Time Zone", AMERICA, "-0500", "-0400", "America/New_York"),
        ("Customized Time Zone", AMERICA, "+0100", "+0200", None),
        ("Customized Time Zone", EUROPE | {"spring": "SU;FREQ=SECONDLY"}, "+0100", "+0200", None),
    ],
    ids=[
        "Europe's rules",
        "a city in its name",
        "America's rules",
        "rules that nobody has",
        "rules without end",
    ],
)
def test_a_zone_described_by_outlook_is_identified_by_its_offsets(
    zone: str, rules: Mapping[str, str], winter: str, summer: str, found: str | None
) -> None:
    """All year. A zone that fits none is a problem that names it."""
    (row,) = Ics().read(
        io.BytesIO(OUTLOOK.format(zone=zone, winter=winter, summer=summer, **rules).encode()), {}
    )
    if found is None:
        assert row.problem is not None
        assert f"the time zone '{zone}', whose VTIMEZONE on line 6 " in row.problem.message
        return
    assert row.values is not None, row.problem
    assert row.values["end"] == {"dateTime": "2026-05-30T11:00:00", "timeZone": found}


@pytest.mark.parametrize(
    ("start", "until", "read"),
    [
        ("DTSTART;TZID=Europe/Berlin:20260907T080000", "20261218", "20261218T225959Z"),
        ("DTSTART;TZID=Europe/Berlin:20260907T080000", "20261218T235959", "20261218T225959Z"),
        ("DTSTART;VALUE=DATE:20260907", "20261218T225959Z", "20261218"),
    ],
)
def test_the_end_of_a_rule_fits_its_start(start: str, until: str, read: str) -> None:
    """RFC 5545 requires it, and many programs write it otherwise."""
    assert event(f"{start}\nRRULE:FREQ=WEEKLY;UNTIL={until};BYDAY=MO")["recurrence"] == [
        f"RRULE:FREQ=WEEKLY;UNTIL={read};BYDAY=MO"
    ]


def test_status_and_method_cancel_events() -> None:
    """STATUS cancels one event, METHOD all of a file."""
    assert event("DTSTART:20260530T100000Z\nSTATUS:CANCELLED")["status"] == "cancelled"
    assert (
        event("DTSTART:20260530T100000Z\nSTATUS:CONFIRMED", head="METHOD:CANCEL\n")["status"]
        == "cancelled"
    )


def test_an_event_that_cannot_be_read_says_why_and_on_which_line() -> None:
    """Its neighbours are read."""
    found = rows(
        "DTSTART:20260530T100000Z\nSUMMARY:good",
        "SUMMARY:no start",
        "DTSTART;TZID=Middle Earth:20260530T100000",
        "DTSTART:soon",
        "DTSTART:20260531T100000Z\nSUMMARY:good, too",
    )
    assert [row.values and row.values["summary"] for row in found] == [
        "good",
        None,
        None,
        None,
        "good, too",
    ]
    messages = [row.problem.message for row in found if row.problem]
    assert "has no DTSTART" in messages[0]
    assert "in the time zone 'Middle Earth', which is not known" in messages[1]
    assert messages[2].startswith("DTSTART on line 14 is 'soon', which is neither a day nor a time")
    assert [row.line for row in found] == [3, 7, 10, 13, 16]


def test_an_event_that_is_cut_off_does_not_swallow_the_next() -> None:
    """Neither in the middle nor at the end of the file."""
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\nBEGIN:VEVENT\nSUMMARY:b\nDTSTART:20260530T100000Z\nEND:VEVENT\n"
        "BEGIN:VEVENT\nSUMM"
    )
    found = list(Ics().read(io.BytesIO(text.encode()), {}))
    assert [row.problem is None for row in found] == [False, True, False]


def test_windows_1252_and_line_feeds_alone_are_read() -> None:
    """Old programs write them."""
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Füße\nDTSTART;VALUE=DATE:20260530\n"
        "END:VEVENT\nEND:VCALENDAR\n"
    )
    (row,) = Ics().read(io.BytesIO(text.encode("cp1252")), {})
    assert row.values is not None
    assert row.values["summary"] == "Füße"


def test_alarms_become_reminders() -> None:
    """Each alarm before the start is one, by mail or as a popup."""
    alarm = "BEGIN:VALARM\nACTION:{}\nTRIGGER:{}\nEND:VALARM\n"
    alarms = [("DISPLAY", "-PT15M"), ("AUDIO", "-PT15M"), ("EMAIL", "-P1D"), ("DISPLAY", "PT5M")]
    text = "DTSTART:20260530T100000Z\n" + "".join(alarm.format(*one) for one in alarms)
    assert event(text)["reminders"] == {
        "useDefault": False,
        "overrides": [{"method": "popup", "minutes": 15}, {"method": "email", "minutes": 1440}],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "DTSTART:20260530T100000Z\nDTSTART:20260531T100000Z",
            "the event has DTSTART 2 times, on lines 4 and 5; keep one",
        ),
        (
            "DTSTART:20260530T100000Z\nSUMMARY:a\nSUMMARY:b",
            "the event has SUMMARY 2 times, on lines 5 and 6; keep one",
        ),
        (
            "DTSTART:20260530T100000Z\nBEGIN:VALARM",
            "BEGIN:VALARM on line 5 has no END:VALARM in the event; add it",
        ),
    ],
)
def test_a_property_that_is_doubled_and_an_alarm_without_an_end_are_named(
    text: str, message: str
) -> None:
    """The event behind is read."""
    broken, good = rows(text, "DTSTART:20260530T100000Z")
    assert broken.problem is not None
    assert broken.problem.message == message
    assert good.values is not None


_LINES = st.sampled_from(
    [
        *(
            "DTSTART:20260530T100000Z",
            "DTSTART;VALUE=DATE:20260530",
            "DTSTART;TZID=Europe/Berlin:20260530T100000",
        ),
        *(
            "DTEND:20260530",
            "DTEND;VALUE=PERIOD:20260530T100000Z/PT1H",
            "DURATION:-P1D",
            "DURATION:PT0S",
        ),
        *(
            "SEQUENCE:-1",
            "SEQUENCE:x",
            "RRULE:FREQ=DAILY;UNTIL=20260601",
            "RRULE:",
            "EXDATE;TZID=?:20260530",
        ),
        *(
            "BEGIN:VALARM",
            "END:VALARM",
            "TRIGGER:-PT5M",
            "TRIGGER;RELATED=END:PT",
            "ACTION:EMAIL",
            "BEGIN:VEVENT",
        ),
        *(
            "ATTENDEE:mailto:",
            "ATTENDEE;CN=a,b;ROLE=X,Y:mailto:a@b.c",
            "ORGANIZER;CN:x",
            "STATUS:",
            ":",
            ";",
            "A",
            "=",
        ),
        *(
            "END:VTODO",
            "RECURRENCE-ID;TZID=Mars:20260530T100000",
            'SUMMARY;X="a:b',
            " folded",
            "\tfolded",
            "\x00",
        ),
    ]
)


@pytest.mark.filterwarnings("ignore:Timezone")  # icalendar warns that it guesses
@given(st.lists(st.one_of(_LINES, st.text(max_size=20)), max_size=8))
def test_any_lines_are_an_event_or_a_problem(lines: list[str]) -> None:
    """Rows are numbered without a gap."""
    content = "\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"])
    found = list(Ics().read(io.BytesIO(content.encode(errors="replace")), {"encoding": "utf-8"}))
    assert [row.number for row in found] == list(range(1, len(found) + 1))
    assert all((row.values is None) == (row.problem is not None) for row in found)


def test_a_fold_may_be_inside_a_character() -> None:
    """RFC 5545 counts bytes. A continuation is never the end of the event."""
    text = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20260530T100000Z\r\n"
    text += b"SUMMARY:Stra\xc3\r\n \x9fenfest \xc3\xbc\r\n"
    text += "DESCRIPTION:\ufffd\r\n END:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode()
    (row,) = Ics().read(io.BytesIO(text), {})
    assert row.values is not None, row.problem
    assert (row.values["summary"], row.values["description"]) == (
        "Straßenfest ü",
        "\ufffdEND:VEVENT",
    )


def test_an_alarm_before_the_end_is_left_out() -> None:
    """Google counts reminders from the start."""
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER;RELATED=END:-PT5M\nEND:VALARM"
    assert "reminders" not in event(f"DTSTART:20260530T100000Z\n{alarm}")


def test_a_duration_across_a_clock_change_keeps_its_hours() -> None:
    """Its hours go by the clock, its days by the calendar."""
    start = "DTSTART;TZID=Europe/Berlin:20261024T220000"
    assert event(f"{start}\nDURATION:PT8H")["end"]["dateTime"] == "2026-10-25T05:00:00"
    assert event(f"{start}\nDURATION:P1D")["end"]["dateTime"] == "2026-10-25T22:00:00"
    assert event(f"{start}\nDURATION:PT24H")["end"]["dateTime"] == "2026-10-25T21:00:00"
    assert event(f"{start}\nDURATION:P1DT24H")["end"]["dateTime"] == "2026-10-26T22:00:00"


def test_a_cancelled_event_needs_no_start() -> None:
    """UID identifies the event, RECURRENCE-ID the occurrence."""
    values = event("UID:a\nRECURRENCE-ID;VALUE=DATE:20260530\nSTATUS:CANCELLED")
    assert values == {
        "iCalUID": "a",
        "status": "cancelled",
        "originalStartTime": {"date": "2026-05-30"},
    }


# --- writing ---

_ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Etc/GMT+3"]
)
_TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from('\n\t\\,;:"^'),
    min_size=1,
    max_size=200,
)
_NAME = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\@"), min_size=1
).filter(str.strip)
"""icalendar takes a backslash in a parameter for an escape; RFC 5545, section 3.2, does not."""
_DAYS = st.dates(date(1971, 1, 1), date(2100, 1, 1))


@st.composite
def _places(draw: st.DrawFn) -> dict[str, Any]:
    """Start and end."""
    day, length = draw(_DAYS), draw(st.integers(0, 100))
    if draw(st.booleans()):
        # The end of an all-day event is the day behind it: one on its start is read as a day later.
        last = day + timedelta(days=length + 1)
        return {"start": {"date": f"{day}"}, "end": {"date": f"{last}"}}
    zone = draw(st.none() | st.just("UTC") | _ZONES)
    begin = datetime.combine(day, draw(st.times()).replace(microsecond=0))
    mark, beside = ("Z" if zone == "UTC" else ""), ({"timeZone": zone} if zone else {})
    return {
        name: {"dateTime": f"{moment.isoformat()}{mark}", **beside}
        for name, moment in (("start", begin), ("end", begin + timedelta(minutes=length)))
    }


@st.composite
def _recurrences(draw: st.DrawFn, start: Mapping[str, str]) -> list[str]:
    is_day, zone = "date" in start, start.get("timeZone", "")
    kind = ";VALUE=DATE" if is_day else f";TZID={zone}" if zone not in {"", "UTC"} else ""
    moments = [
        f"{day:%Y%m%d}" + ("" if is_day else "T080000") + ("Z" if zone == "UTC" else "")
        for day in draw(_SOME)
    ]
    until = "20300101" if is_day else "20300101T000000Z"
    rule = draw(
        st.sampled_from(
            ["FREQ=DAILY;COUNT=3", f"FREQ=WEEKLY;UNTIL={until};BYDAY=MO,WE", "FREQ=YEARLY"]
        )
    )
    return [f"RRULE:{rule}", *([f"EXDATE{kind}:{','.join(moments)}"] if moments else [])]


_SOME = st.lists(st.dates(date(2000, 1, 1), date(2030, 1, 1)), max_size=12)
_ATTENDEES = st.fixed_dictionaries(
    {"email": st.emails(domains=st.just("example.com"))},
    optional={
        "displayName": _NAME,
        "responseStatus": st.sampled_from(["needsAction", "declined", "tentative", "accepted"]),
        "optional": st.just(True),
        "resource": st.just(True),
    },
)
_REMINDERS = st.lists(
    st.fixed_dictionaries(
        {"method": st.sampled_from(["popup", "email"]), "minutes": st.integers(0, 40320)}
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda reminder: (reminder["method"], reminder["minutes"]),
)
_PROPERTIES = st.dictionaries(
    st.sampled_from(["private", "shared"]), st.dictionaries(_TEXT, _TEXT, max_size=3), min_size=1
)


@st.composite
def _events(draw: st.DrawFn) -> dict[str, Any]:
    fields = st.fixed_dictionaries(
        {"iCalUID": _TEXT},
        optional={
            "id": _TEXT,
            "recurringEventId": _TEXT,
            "summary": _TEXT,
            "description": _TEXT,
            "location": _TEXT,
            "sequence": st.integers(0, 9),
            "status": st.sampled_from(["tentative", "confirmed", "cancelled"]),
            "visibility": st.sampled_from(["public", "private", "confidential"]),
            "transparency": st.sampled_from(["opaque", "transparent"]),
            "organizer": st.fixed_dictionaries(
                {"email": st.just("ann@example.com")}, optional={"displayName": _NAME}
            ),
            "attendees": st.lists(_ATTENDEES, min_size=1, max_size=4),
            "extendedProperties": _PROPERTIES,
        },
    )
    event = {**draw(fields), **draw(_places())}
    if draw(st.booleans()):
        event["recurrence"] = draw(_recurrences(event["start"]))
    elif draw(st.booleans()):
        event["originalStartTime"] = draw(_places())["start"]
    if draw(st.booleans()):
        event["reminders"] = {"useDefault": False, "overrides": draw(_REMINDERS)}
    return event


@settings(suppress_health_check=[HealthCheck.too_slow])  # of the machine, which may be busy
@given(st.lists(_events(), max_size=4, unique_by=lambda event: event["iCalUID"].strip()))
def test_written_events_are_read_as_they_were(events: list[dict[str, Any]]) -> None:
    """All-day, timed, recurring, with guests and alarms. Lines are folded."""
    content = write(*events)
    assert read_again(*events) == events
    assert content.endswith(b"END:VCALENDAR\r\n")
    assert all(
        len(line) <= 75 and b"\r" not in line and b"\n" not in line
        for line in content.split(b"\r\n")
    )
    content.decode()


def test_a_time_is_read_as_the_same_moment_in_its_zone() -> None:
    """With an offset as in the API, and in the hour that clocks show twice."""

    def again(text: str, zone: str | None) -> Mapping[str, str]:
        place = {"dateTime": text, **({"timeZone": zone} if zone else {})}
        (values,) = read_again({"iCalUID": "a", "start": place, "end": place})
        assert values is not None
        assert values["start"] == values["end"]
        return dict(values["start"])

    berlin = "Europe/Berlin"
    assert again("2026-05-30T10:00:00+02:00", berlin) == {
        "dateTime": "2026-05-30T10:00:00",
        "timeZone": berlin,
    }
    assert again("2026-05-30T10:00:00-07:00", berlin) == {
        "dateTime": "2026-05-30T19:00:00",
        "timeZone": berlin,
    }
    assert again("2026-05-30T10:00:00+02:00", None) == {
        "dateTime": "2026-05-30T08:00:00Z",
        "timeZone": "UTC",
    }
    assert again("2026-10-25T02:30:00+02:00", berlin) == {
        "dateTime": "2026-10-25T02:30:00",
        "timeZone": berlin,
    }
    assert again("2026-10-25T02:30:00+01:00", berlin) == {
        "dateTime": "2026-10-25T01:30:00Z",
        "timeZone": berlin,
    }
    assert again("2026-05-30T10:00:00", "UTC") == {
        "dateTime": "2026-05-30T10:00:00Z",
        "timeZone": "UTC",
    }
    assert again("2026-05-30T10:00:00+02:00", "Middle/Earth")["dateTime"] == "2026-05-30T08:00:00Z"


def test_googles_export_is_the_same_after_it_is_written() -> None:
    """With its series and the moved occurrence."""
    events = [row.values for row in Ics().read(io.BytesIO(GOOGLE.encode()), {})]
    assert read_again(*[event for event in events if event]) == events


def test_a_cancelled_occurrence_is_written_with_its_few_fields() -> None:
    """Google lists no others."""
    gone = {
        "id": "maths_20260914T060000Z",
        "recurringEventId": "maths",
        "status": "cancelled",
        "originalStartTime": {"dateTime": "2026-09-14T08:00:00+02:00", "timeZone": "Europe/Berlin"},
    }
    (values,) = read_again(gone)
    assert values == {
        **gone,
        "iCalUID": "maths@google.com",
        "originalStartTime": {"dateTime": "2026-09-14T08:00:00", "timeZone": "Europe/Berlin"},
    }


def test_an_event_without_a_uid_gets_one_that_stays() -> None:
    """Programs identify events by it."""
    start = {"start": {"date": "2026-05-30"}}
    first, second = read_again({**start, "summary": "a"}, {**start, "summary": "b"})
    again = read_again({**start, "summary": "a"})[0]
    assert first is not None
    assert second is not None
    assert first == again
    assert first["iCalUID"] != second["iCalUID"]


def test_no_text_becomes_a_line_of_its_own() -> None:
    """A guest's or organizer's text cannot add events to the calendar."""
    trick = "x\rx\nx\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:y"
    event = {
        "iCalUID": trick,
        "summary": trick,
        "start": {"dateTime": "2026-05-30T10:00:00", "timeZone": trick},
        "attendees": [{"email": f"a@example.com{trick}", "displayName": trick}],
        "extendedProperties": {"private": {trick: trick}},
    }
    assert write(event).count(b"\r\nBEGIN:VEVENT\r\n") == 1
    assert write(event).count(b"\r\nSUMMARY:") == 1
    with pytest.raises(BadInput, match="is not a line of a recurrence"):
        write({**event, "recurrence": [f"RRULE:FREQ=DAILY{trick}"]})


@pytest.mark.parametrize(
    "start", [None, {}, {"date": "30.05.2026"}, {"dateTime": "soon"}, "2026-05-30"]
)
def test_a_record_that_is_no_event_is_refused_before_the_first_byte(start: Any) -> None:
    """A half-written file cannot be taken back."""
    with pytest.raises(BadInput, match=r"record 2 cannot be written: .*; an event has a start: "):
        next(Ics().write([{"start": {"date": "2026-05-30"}}, {"summary": "x", "start": start}]))


def test_an_iterator_of_records_is_refused() -> None:
    """Its second pass would write an empty calendar."""
    with pytest.raises(TypeError, match="read twice"):
        next(Ics().write(iter([])))


def description_of(zone: str) -> str:
    """The VTIMEZONE in a file that uses the zone."""
    day = {"date": "2026-05-30"}
    text = write({"start": day, "recurrence": [f"EXDATE;TZID={zone}:20260530T100000"]}).decode()
    end = "END:VTIMEZONE\r\n"
    return text[text.index("BEGIN:VTIMEZONE") : text.index(end) + len(end)]


@pytest.mark.parametrize(
    ("zone", "last_year"),
    [
        ("Europe/Berlin", 2060),
        ("America/New_York", 2060),
        ("Australia/Lord_Howe", 2060),
        ("Asia/Jerusalem", 2037),
        ("Africa/Casablanca", 2037),
        ("Africa/Monrovia", 2060),
        ("UTC", 2060),
    ],
)
def test_a_zone_is_described_as_its_clocks_go(zone: str, last_year: int) -> None:
    """Every half hour of days with a clock change, to a program that has only the description."""
    described: Any = Timezone.from_ical(description_of(zone))
    read, real = described.to_tz(lookup_tzid=False), ZoneInfo(zone)
    day, compared = datetime(1970, 1, 2, tzinfo=UTC), 0
    while day.year <= last_year:
        following = day + timedelta(days=1)
        if (
            day.day == 1
            or day.astimezone(real).utcoffset() != following.astimezone(real).utcoffset()
        ):
            for half_hour in range(1, 49):
                local = (day + timedelta(minutes=30 * half_hour)).astimezone(real)
                twice = local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset()
                assert twice or local.replace(tzinfo=read).utcoffset() == local.utcoffset(), local
                compared += 1
        day = following
    assert compared > 12 * 67


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Jerusalem"]
)
def test_a_zone_is_described_to_the_second_of_its_changes(zone: str) -> None:
    """An onset is on the clocks before it: 02:00 in spring, where 03:00 follows."""
    described: Any = Timezone.from_ical(description_of(zone))
    moments, offsets = described.get_transitions()
    second, real = timedelta(seconds=1), ZoneInfo(zone)
    known = [
        (moment, offset)
        for moment, (offset, *_) in zip(moments, offsets, strict=True)
        if 1970 < moment.year < 2038
    ]
    for moment, offset in known:
        exact = moment.replace(tzinfo=UTC)
        assert (
            offset
            == exact.astimezone(real).utcoffset()
            != (exact - second).astimezone(real).utcoffset()
        )
    assert len(known) > 80


def test_a_zone_without_a_rule_is_described_by_its_dates() -> None:
    """Morocco's clocks follow the moon; years that look like a rule are not one."""
    assert "RRULE" not in description_of("Africa/Casablanca")
    assert "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n" in description_of("America/New_York")
