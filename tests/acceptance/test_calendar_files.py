"""Calendar files that people have: uploaded once, and again a week later."""

import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.harness import Process, Server, request

CASES = Path(__file__).parents[1] / "cases" / "calendar"
GOOGLE_CSV = b"""Subject,Start Date,Start Time,End Date,End Time,\
All Day Event,Description,Location,Private
Maths,09/07/2026,8:00 AM,09/07/2026,8:45 AM,False,Room changes,Room 4,False
Camp,09/14/2026,,09/18/2026,,True,,Lake,True
"""
ICS = b"""BEGIN:VCALENDAR
VERSION:2.0
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VEVENT
UID:maths-7a@school.example
DTSTART;TZID=Europe/Berlin:20260907T080000
DTEND;TZID=Europe/Berlin:20260907T084500
RRULE:FREQ=WEEKLY;UNTIL=20261218;BYDAY=MO
EXDATE;TZID=Europe/Berlin:20261012T080000
ORGANIZER;CN=School:mailto:office@school.example
ATTENDEE;CN=Ann;PARTSTAT=ACCEPTED:mailto:ann@example.com
SUMMARY:Maths
DESCRIPTION:Bring:\\n- ruler
SEQUENCE:1
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT10M
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:camp@school.example
DTSTART;VALUE=DATE:20260914
DTEND;VALUE=DATE:20260919
SUMMARY:Camp
END:VEVENT
BEGIN:VEVENT
UID:flight@school.example
DTSTART;TZID=Europe/Berlin:20260920T100000
DTEND;TZID=America/New_York:20260920T130000
SUMMARY:Flight
END:VEVENT
BEGIN:VEVENT
UID:gone@school.example
DTSTART:20260921T100000Z
STATUS:CANCELLED
SUMMARY:Called off
END:VEVENT
END:VCALENDAR
"""


def writes(sandbox: Process) -> int:
    """The number of calls so far that change something."""
    counted: Mapping[str, int] = request("GET", f"{sandbox.url}/sandbox/stats").json["by_method"]
    return sum(number for method, number in counted.items() if method != "GET")


@pytest.fixture
def sandbox(shared_google: Process) -> Process:
    return shared_google


@pytest.fixture
def server(shared_server: Server, sandbox: Process) -> Server:
    """An instance of the empty calendar."""
    return shared_server.google(sandbox)


@pytest.mark.parametrize(
    ("file", "kind", "events"), [(GOOGLE_CSV, "googlecsv", 2), (ICS, "ics", 3)]
)
def test_a_file_is_recognized_and_the_same_file_again_writes_nothing(
    server: Server, sandbox: Process, file: bytes, kind: str, events: int
) -> None:
    """Its metadata names no format. The second upload finds every event as it should be."""
    metadata = {"action": "upsert", "timeZone": "Europe/Berlin"}
    status = server.done("events", file, metadata)
    assert (status["fileFormat"], status["recordsFailedCount"]) == (kind, 0), server.errors(
        status["id"]
    )
    assert len(request("GET", f"{sandbox.url}/sandbox/events").json) == events
    before = writes(sandbox)
    status = server.done("events", file, metadata)
    assert (status["recordsFailedCount"], writes(sandbox) - before) == (0, 0)


def test_a_file_goes_into_the_calendar_that_its_path_names(server: Server) -> None:
    """The object's name is the path of the resource."""
    status = server.done("calendars/ann%40example.com/events", GOOGLE_CSV, {"timeZone": "UTC"})
    assert (status["recordsCount"], status["recordsFailedCount"]) == (2, 0)
    status = server.done("calendars/nobody@x/events", GOOGLE_CSV, {"timeZone": "UTC"})
    assert status["recordsFailedCount"] == 2
    assert "calendar 'nobody@x'" in server.errors(status["id"])[0]["status"]


def test_the_status_names_an_alarm_that_was_left_out(server: Server, sandbox: Process) -> None:
    """The event itself is there."""
    file = (CASES / "alarm-six-weeks.ics").read_bytes()
    status = server.done("events", file, {"action": "upsert"})
    assert (status["recordsCount"], status["recordsFailedCount"]) == (1, 0)
    (event,) = request("GET", f"{sandbox.url}/sandbox/events").json
    assert event["summary"] == "s"
    assert status["infoMessage"].startswith(
        "1 row has a remark: row 1 (line 4): "
        "the alarm on line 10 is left out: it is 60480 minutes before the start"
    )


def test_the_status_shows_three_rows_and_counts_the_others(server: Server) -> None:
    event = (
        "BEGIN:VEVENT\nUID:{0}@x\nDTSTART:20260907T08{0:02}00Z\nDTEND:20260907T090000Z\nSUMMARY:{0}\n"
        "ATTENDEE;CN=Ann:ann\nEND:VEVENT\n"
    )
    events = "".join(event.format(number) for number in range(12))
    file = f"BEGIN:VCALENDAR\nVERSION:2.0\n{events}END:VCALENDAR\n".encode()
    status = server.done("events", file, {"action": "upsert"})
    assert (status["recordsCount"], status["recordsFailedCount"]) == (12, 0)
    assert status["infoMessage"].startswith("12 rows have remarks: row 1 (line 3): ")
    for remark in (
        "row 1 (line 3): ATTENDEE on line 8 is left out",
        "row 3 (line 17): ATTENDEE on line 22 is left out",
    ):
        assert remark in status["infoMessage"]
    assert "row 4" not in status["infoMessage"]
    assert status["infoMessage"].endswith("; and 9 more rows")


def timetable(*events: str) -> bytes:
    blocks = "".join(f"BEGIN:VEVENT\nUID:maths@x\n{event}END:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{blocks}END:VCALENDAR\n".encode()


def weekly(hour: str) -> str:
    return (
        f"DTSTART;TZID=Europe/Berlin:20261019T{hour}0000\n"
        f"DTEND;TZID=Europe/Berlin:20261019T{hour}4500\nRRULE:FREQ=WEEKLY;COUNT=3\nSUMMARY:Maths\n"
    )


MOVED_TO_TEN = (
    "RECURRENCE-ID;TZID=Europe/Berlin:20261026T080000\n"
    "DTSTART;TZID=Europe/Berlin:20261026T100000\n"
    "DTEND;TZID=Europe/Berlin:20261026T104500\nSUMMARY:Maths\n"
)


def hours_in(server: Server) -> list[str]:
    """When something happens, as Google shows the dates of series."""
    where = urllib.parse.quote("singleEvents='true'")
    reply = server.call("GET", f"/events?where={where}")
    assert reply.status == 200, reply.body
    return sorted(one["start"]["dateTime"][5:13] for one in reply.json)


def test_a_date_happens_once_when_its_series_is_moved(server: Server) -> None:
    """The status names the date whose change is gone, and the one whose change stays."""
    upsert = {"action": "upsert"}
    first = server.done("events", timetable(weekly("08"), MOVED_TO_TEN), upsert)
    assert (first["recordsFailedCount"], first.get("infoMessage")) == (0, None)
    assert hours_in(server) == ["10-19T08", "10-26T10", "11-02T08"]
    again = server.done("events", timetable(weekly("08"), MOVED_TO_TEN), upsert)
    assert again.get("infoMessage") is None
    without = server.done("events", timetable(weekly("08")), upsert)
    assert without["infoMessage"] == (
        "1 row has a remark: row 1 (line 3): the calendar has changes of its own on these dates of "
        "the series, which the file does not have, and they stay: 2026-10-26"
    )
    moved = server.done("events", timetable(weekly("09")), upsert)
    assert moved["infoMessage"] == (
        "1 row has a remark: row 1 (line 3): the series no longer has these dates, and their "
        "changes were removed from the calendar: 2026-10-26"
    )
    assert hours_in(server) == ["10-19T09", "10-26T09", "11-02T09"]
