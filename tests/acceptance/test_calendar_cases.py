"""Calendar files with which people had trouble, uploaded; Google's calendar shows what is right.

The files are those of `tests/cases/calendar`. What the sandbox holds is read as Google shows it to
people: each occurrence by itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from support.harness import Process, Server, request
from support.occurrences import Moment, occurrences_by_library, read_moment, readable_cases
from support.random_series import CANCELLED, calendar_file

CASES = Path(__file__).parents[1] / "cases" / "calendar"
BERLIN, NEW_YORK, TOKYO = (
    ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
)
YEAR = {
    "singleEvents": "true",
    "maxResults": "2500",
    "timeMin": "2026-01-01T00:00:00Z",
    "timeMax": "2027-01-01T00:00:00Z",
}


@dataclass
class Account:
    """An account of Google's with an empty calendar, and openbulk's instance for it."""

    server: Server
    sandbox: Process
    token: str

    def upload(self, name: str, action: str = "create", **metadata: str) -> Any:
        """The status of the job of a case."""
        return self.send((CASES / f"{name}.ics").read_bytes(), action, **metadata)

    def send(self, file: bytes, action: str = "create", **metadata: str) -> Any:
        """The status of the job of a file."""
        return self.server.done("events", file, {"action": action, **metadata})

    def problems(self, status: Mapping[str, Any]) -> list[str]:
        """What is wrong with the rows of a job."""
        return [error["status"] for error in self.server.errors(status["id"])]

    def events(self) -> list[Mapping[str, Any]]:
        """Each occurrence of 2026, as Google lists them."""
        url = f"{self.sandbox.url}/calendar/v3/calendars/primary/events?{urlencode(YEAR)}"
        reply = request("GET", url, headers={"Authorization": f"Bearer {self.token}"})
        assert reply.status == 200, reply.body
        listed: list[Mapping[str, Any]] = reply.json["items"]
        return listed

    def occurrences(self) -> list[tuple[Moment, str]]:
        """Start and summary of each of them."""
        found = [(read_moment(one["start"], "UTC"), one["summary"]) for one in self.events()]
        return sorted(found, key=lambda one: (str(one[0]), one[1]))

    def starts(self) -> list[Moment]:
        """When they start."""
        return [start for start, _ in self.occurrences()]


@pytest.fixture
def account(shared_server: Server, shared_google: Process) -> Account:
    return open_account(shared_server, shared_google, "ann@example.com")


def open_account(server: Server, sandbox: Process, user: str) -> Account:
    """Sign a person in."""
    tokens = request("POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": user}).json
    configuration = {
        "base.url": sandbox.url,
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.user.refresh_token": tokens["refresh_token"],
    }
    return Account(
        server.instance("googlecalendar", configuration), sandbox, tokens["access_token"]
    )


def at(zone: ZoneInfo, *moments: str) -> list[datetime]:
    """Moments of 2026 in UTC, from texts such as `06-04 10:00`."""
    return [
        datetime.fromisoformat(f"2026-{one}").replace(tzinfo=zone).astimezone(UTC)
        for one in moments
    ]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("override-first", at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 10:00", "06-25 10:00")),
        ("this-and-future", at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 12:00", "06-25 12:00")),
        ("two-versions", [date(2026, 6, 1), date(2026, 7, 13), date(2026, 8, 3)]),
        ("exdate-colon-zone", at(BERLIN, "06-04 10:00", "06-18 10:00", "06-25 10:00")),
        ("exdate-date", at(BERLIN, "06-04 10:00", "06-18 10:00", "06-25 10:00")),
        ("exdate-comma", at(BERLIN, "06-04 10:00", "06-25 10:00")),
        ("until-utc-allday", [date(2026, 6, day) for day in (2, 9, 16, 23, 30)]),
        (
            "until-day-auckland",
            at(ZoneInfo("Pacific/Auckland"), "06-01 08:00", "06-02 08:00", "06-03 08:00"),
        ),
        ("tzid-and-z", at(BERLIN, "06-04 12:00")),
        ("end-is-start-day", [date(2026, 6, 4)]),
        ("blank-before-value", at(ZoneInfo("UTC"), "06-04 10:00")),
        ("xwr-value-text", at(NEW_YORK, "06-04 10:00")),
        ("merged-zones", at(TOKYO, "06-04 10:00") + at(NEW_YORK, "06-04 10:00")),
        ("merged-cancel", at(BERLIN, "06-04 10:00")),
        ("created-year-0", at(BERLIN, "06-04 10:00")),
        ("custom-zone", at(ZoneInfo("America/Los_Angeles"), "06-04 10:00")),
        ("two-zones", at(BERLIN, "06-04 10:00")),
    ],
)
def test_events_are_when_the_file_says(
    account: Account, name: str, right: Sequence[Moment]
) -> None:
    """And no row is refused."""
    status = account.upload(name, "create")
    assert account.problems(status) == []
    assert account.starts() == right


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_many_series_keep_their_changed_dates(account: Account, action: str) -> None:
    """However many calls are under way."""
    status = account.upload("many-series", action)
    assert (status["recordsCount"], account.problems(status)) == (30, [])
    found = account.occurrences()
    assert len(found) == 60
    moved = [start for start, summary in found if summary == "moved"]
    assert moved == at(BERLIN, "06-11 12:00") * 15


def test_one_date_of_a_series_that_nobody_has_is_refused_as_what_it_is(account: Account) -> None:
    """A person can do something about that."""
    status = account.upload("override-alone")
    (problem,) = account.problems(status)
    assert problem == (
        "this is one date (2026-06-11T10:00:00 (Europe/Berlin)) of a series with iCalUID 'a@x', "
        "and neither the rows of the file before it nor calendar 'primary' hold that series; send "
        "the whole series, with its dates behind it, or remove originalStartTime (RECURRENCE-ID) "
        "to make this a single event"
    )
    assert account.events() == []


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_one_uid_for_two_events_costs_the_second(account: Account, action: str) -> None:
    """One event never takes the place of another."""
    status = account.upload("same-uid", action)
    (problem,) = account.problems(status)
    assert "was used before in the file, for another event" in problem
    assert [summary for _, summary in account.occurrences()] == ["s"]


def test_what_cannot_be_read_is_refused_with_what_would_be_right(account: Account) -> None:
    (problem,) = account.problems(account.upload("zone-upside-down"))
    assert "whose VTIMEZONE on line 4 changes clocks as no IANA zone does" in problem
    reply = account.server.upload("events", (CASES / "gb18030.ics").read_bytes())
    assert reply.status == 400
    assert "(gb18030 reads 'SUMMARY:高等数学', " in reply.json["message"]
    assert account.events() == []


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("ansi", {"summary": "Frühstück"}),
        ("fold-in-emoji", {"description": "strong team 💪🏼 ok"}),
        (
            "raw-line-breaks",
            {"description": "Bring your own chair.\nDoors open at nine", "location": "Hall"},
        ),
        ("alarm-six-weeks", {"reminders": {"useDefault": True}}),
        (
            "alarm-p",
            {"reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 0}]}},
        ),
        ("end-is-start-day", {"end": {"date": "2026-06-05"}}),
        ("class-unknown", {"visibility": "private"}),
    ],
)
def test_events_are_what_the_file_says(
    account: Account, name: str, right: Mapping[str, Any]
) -> None:
    """Each event of the file."""
    assert account.problems(account.upload(name)) == []
    shown = [{field: event.get(field) for field in right} for event in account.events()]
    assert shown
    assert shown == [right] * len(shown)


def test_people_have_the_addresses_that_the_file_means(account: Account) -> None:
    """Percent-encoded, or in the parameter EMAIL."""
    assert account.problems(account.upload("people")) == []
    (event,) = account.events()
    guests = [guest["email"] for guest in event["attendees"]]
    assert guests == ["jane+tag@example.com", "cy@example.com"]
    assert event["organizer"]["email"] == "ann@example.com"


def test_the_end_may_be_in_another_zone(account: Account) -> None:
    """A flight."""
    assert account.problems(account.upload("two-zones")) == []
    (flight,) = account.events()
    assert read_moment(flight["end"], "UTC") == at(NEW_YORK, "06-04 08:00")[0]


@pytest.mark.parametrize("name", readable_cases(CASES))
@pytest.mark.filterwarnings("ignore")  # the other library warns of what it guesses
def test_another_library_says_that_the_same_happens(account: Account, name: str) -> None:
    """`icalendar` with `recurring-ical-events`, as far as it can read the file."""
    theirs = occurrences_by_library((CASES / f"{name}.ics").read_bytes())
    assert account.problems(account.upload(name, "upsert")) == []
    assert account.occurrences() == theirs


# --- the same kinds, otherwise ---

HEAD = """BEGIN:VCALENDAR
VERSION:2.0
"""
SERIES = """BEGIN:VEVENT
UID:a@x
DTSTART;TZID=Europe/Berlin:20260604T100000
DTEND;TZID=Europe/Berlin:20260604T110000
RRULE:FREQ=WEEKLY;COUNT=4
SUMMARY:s
END:VEVENT
"""
DAYS = """BEGIN:VEVENT
UID:a@x
DTSTART;VALUE=DATE:20260604
RRULE:FREQ=WEEKLY;COUNT=4
SUMMARY:s
END:VEVENT
"""
MOVED = """BEGIN:VEVENT
UID:a@x
RECURRENCE-ID{}
DTSTART;TZID=Europe/Berlin:20260611T120000
DTEND;TZID=Europe/Berlin:20260611T130000
SUMMARY:moved
END:VEVENT
"""
MOVED_DAY = """BEGIN:VEVENT
UID:a@x
RECURRENCE-ID{}
DTSTART;VALUE=DATE:20260612
SUMMARY:moved
END:VEVENT
"""


def file(*components: str) -> bytes:
    """A calendar file."""
    return f"{HEAD}{''.join(components)}END:VCALENDAR\n".encode()


ORIGINALS = [
    ";TZID=Europe/Berlin:20260611T100000",
    ":20260611T080000Z",
    ":20260611T100000",
    ";VALUE=DATE:20260611",
]


@pytest.mark.parametrize("action", ["create", "update", "upsert"])
@pytest.mark.parametrize("original", ORIGINALS)
def test_a_changed_date_of_a_series_that_the_calendar_alone_holds(
    account: Account, action: str, original: str
) -> None:
    """It is the date in the zone and the type of the series, in whatever way it is written."""
    account.send(file(SERIES))
    status = account.send(file(MOVED.format(original)), action)
    assert account.problems(status) == []
    right = at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 10:00", "06-25 10:00")
    assert account.starts() == right


@pytest.mark.parametrize("original", ORIGINALS)
def test_a_changed_day_of_a_series_that_the_calendar_alone_holds(
    account: Account, original: str
) -> None:
    """A time is the day on which it is."""
    account.send(file(DAYS))
    assert account.problems(account.send(file(MOVED_DAY.format(original)))) == []
    assert account.starts() == [date(2026, 6, day) for day in (4, 12, 18, 25)]


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_all_dates_from_one_on_of_a_series_that_the_calendar_alone_holds(
    account: Account, action: str
) -> None:
    """RANGE=THISANDFUTURE: Google's series is split, and sending the file again changes nothing."""
    account.send(file(SERIES))
    change = file(MOVED.format(";RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260611T100000"))
    right = at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 12:00", "06-25 12:00")
    for _ in range(2):
        assert account.problems(account.send(change, action)) == []
        assert account.starts() == right
    summaries = [summary for _, summary in account.occurrences()]
    assert summaries == ["s", "moved", "moved", "moved"]


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_a_cancelled_date_is_deleted(account: Account, action: str) -> None:
    """Under any action; sent again, it is no failure."""
    account.send(file(SERIES))
    gone = file(
        "BEGIN:VEVENT\nUID:a@x\nRECURRENCE-ID:20260611T080000Z\nSTATUS:CANCELLED\nEND:VEVENT\n"
    )
    for _ in range(2):
        assert account.problems(account.send(gone, action)) == []
        assert account.starts() == at(BERLIN, "06-04 10:00", "06-18 10:00", "06-25 10:00")


def test_all_later_dates_are_cancelled(account: Account) -> None:
    """The series ends before."""
    account.send(file(SERIES))
    gone = file(
        "BEGIN:VEVENT\nUID:a@x\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260618T080000Z\n"
        "STATUS:CANCELLED\nEND:VEVENT\n"
    )
    for _ in range(2):
        assert account.problems(account.send(gone)) == []
        assert account.starts() == at(BERLIN, "06-04 10:00", "06-11 10:00")


def test_a_cancelled_event_creates_nothing(account: Account) -> None:
    """It is no failure, unless the calendar holds the event: action create deletes nothing."""
    cancelled = file(SERIES.replace("SUMMARY", "STATUS:CANCELLED\nSUMMARY"))
    assert account.problems(account.send(cancelled)) == []
    assert account.events() == []
    account.send(file(SERIES))
    (problem,) = account.problems(account.send(cancelled))
    assert problem == (
        "the event is cancelled, and calendar 'primary' holds it; action create deletes nothing: "
        "use action upsert"
    )
    assert account.problems(account.send(cancelled, "upsert")) == []
    assert account.events() == []


def test_a_date_of_a_series_whose_own_row_was_refused_says_so(account: Account) -> None:
    """There is a row to correct."""
    bad = SERIES.replace("RRULE:", "ATTENDEE:mailto:nobody\nX-OPENBULK-EVENT-ID:No!\nRRULE:")
    status = account.send(file(bad, MOVED.format(";TZID=Europe/Berlin:20260611T100000")))
    series, occurrence = account.problems(status)
    assert "is not a legal event id" in series
    assert "whose own row was refused (row 1); correct that one, and send both" in occurrence


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_dates_in_json_may_come_before_their_series(account: Account, action: str) -> None:
    """Far before, in a file of another format than calendar files have."""
    time = {"timeZone": "Europe/Berlin"}
    series = {
        "iCalUID": "a@x",
        "summary": "s",
        "start": {"dateTime": "2026-06-04T10:00:00", **time},
        "end": {"dateTime": "2026-06-04T11:00:00", **time},
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
    }
    moved = {
        "iCalUID": "a@x",
        "summary": "moved",
        "originalStartTime": {"dateTime": "2026-06-11T10:00:00"},
        "start": {"dateTime": "2026-06-11T12:00:00", **time},
        "end": {"dateTime": "2026-06-11T13:00:00", **time},
    }
    others = [{**series, "iCalUID": f"{number}@x", "summary": "other"} for number in range(40)]
    rows = [moved, *others, series]
    status = account.send(b"\n".join(json.dumps(row).encode() for row in rows), action)
    assert account.problems(status) == []
    found = [start for start, summary in account.occurrences() if summary != "other"]
    assert found == at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 10:00", "06-25 10:00")


@pytest.mark.parametrize(
    ("first", "second", "is_refused"), [(2, 1, True), (1, 2, False), (1, 1, False), (0, 0, False)]
)
def test_an_older_version_never_overwrites_a_newer_one(
    account: Account, first: int, second: int, is_refused: bool
) -> None:
    """SEQUENCE decides (RFC 5545, section 3.8.7.4), and the row says so."""

    def version(sequence: int, hour: int) -> bytes:
        series = SERIES.replace("T100000", f"T{hour:02}0000").replace("T110000", "T200000")
        return file(series.replace("UID", f"SEQUENCE:{sequence}\nUID"))

    account.send(version(first, 10), "upsert")
    # The calendar counts this change, too: no version of the file's is older for it.
    account.send(version(first, 9), "upsert")
    problems = account.problems(account.send(version(second, 12), "upsert"))
    assert bool(problems) == is_refused
    if is_refused:
        (problem,) = problems
        assert problem.startswith(
            "the calendar holds a newer version of this event (SEQUENCE 2; this row has 1)"
        )
    assert account.starts()[0] == at(BERLIN, "06-04 09:00" if is_refused else "06-04 12:00")[0]


# --- any series ---


@pytest.mark.filterwarnings("ignore")  # the other library warns of what it guesses
def test_random_series_happen_when_another_library_says(account: Account) -> None:
    """Their dates left out, added, moved and cancelled; in a file, and copied in one of openbulk's.

    Sent again, nothing of it is written.
    """
    content = calendar_file(range(60))
    theirs = [one for one in occurrences_by_library(content) if one[1] != CANCELLED]
    assert account.problems(account.send(content)) == []
    assert account.occurrences() == theirs
    again = account.send(content, "upsert")
    outcomes = account.server.call("GET", f"/bulk/{again['id']}").json["outcomes"]
    assert outcomes["unchanged"] == again["recordsCount"]
    query = urlencode({"q": "select * from events"})
    job = account.server.call("POST", f"/bulk/query?{query}").json["id"]
    account.server.finished(job)
    copy = account.server.call("GET", f"/bulk/{job}/events?format=ics").body
    other = open_account(account.server, account.sandbox, "copy@example.com")
    assert other.problems(other.send(copy)) == []
    assert other.occurrences() == theirs


def test_a_file_without_its_change_of_all_later_dates_takes_it_back(account: Account) -> None:
    """No date happens twice, and the status of the job names what was removed."""
    split = (CASES / "this-and-future.ics").read_bytes()
    head, series, _ = split.split(b"BEGIN:VEVENT")
    whole = head + b"BEGIN:VEVENT" + series + b"END:VCALENDAR\r\n"
    for file in (split, whole, split, whole):
        status = account.send(file, "upsert")
        assert account.problems(status) == []
        assert account.occurrences() == occurrences_by_library(file)
    removed = "its later parts were removed from the calendar: 2026-06-11"
    assert removed in status["infoMessage"], status


def test_an_exdate_that_is_no_date_of_its_series_is_in_the_status(account: Account) -> None:
    """Also of a series that changes from a date on; dates that are left out are not named."""
    head, series, rest = (CASES / "this-and-future.ics").read_bytes().split(b"BEGIN:VEVENT")
    wrong = b"EXDATE;TZID=Europe/Berlin:20260605T100000,20260618T100000\r\nEND:VEVENT"
    file = b"BEGIN:VEVENT".join([head, series.replace(b"END:VEVENT", wrong), rest])
    status = account.send(file)
    assert account.problems(status) == []
    assert status["infoMessage"].endswith(
        "EXDATE has dates that the series does not have: 2026-06-05 10:00"
    ), status
    assert account.starts() == at(BERLIN, "06-04 10:00", "06-11 12:00", "06-25 12:00")
