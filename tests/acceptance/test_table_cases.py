"""Tables with which people had trouble, and dates as they write them, into real services."""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.harness import Process, Server, request

CASES = Path(__file__).parents[1] / "cases"
ZONE = {"timeZone": "Europe/Berlin"}


def events(sandbox: Process) -> dict[str, tuple[str, str]]:
    """Start and end of each event of the sandbox, by its summary."""
    found = request("GET", f"{sandbox.url}/sandbox/events").json

    def moment(time: Mapping[str, str]) -> str:
        return time.get("date") or time["dateTime"][:16]

    return {event["summary"]: (moment(event["start"]), moment(event["end"])) for event in found}


def records(server: Server) -> list[dict[str, Any]]:
    reply = server.call("GET", "/records")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json
    return [{name: value for name, value in one.items() if name != "id"} for one in found]


def require_no_failure(server: Server, status: Mapping[str, Any]) -> None:
    assert (status["status"], status["recordsFailedCount"]) == ("COMPLETE", 0), server.errors(
        status["id"]
    )


@pytest.fixture
def sandbox(shared_google: Process) -> Process:
    return shared_google


@pytest.fixture
def google(shared_server: Server, sandbox: Process) -> Server:
    return shared_server.google(sandbox)


def test_the_cases_of_calendars_come_out_right(google: Server, sandbox: Process) -> None:
    """Blanks that look like blanks, Outlook's midnight behind the last day, Excel's `sep=;`."""
    for name in ("narrow-blank", "outlook-all-day", "sep-line"):
        file = (CASES / "calendar" / f"{name}.csv").read_bytes()
        require_no_failure(google, google.done("events", file))
        if name == "narrow-blank":
            assert events(sandbox)["A"] == ("2026-06-25T10:00", "2026-06-25T11:00")
    assert events(sandbox) == {
        "A": ("2026-06-25T10:00", "2026-06-25T11:00"),
        "Leave": ("2026-04-21", "2026-04-22"),
    }


@pytest.mark.parametrize(
    ("file", "metadata", "right"),
    [
        (
            "summary,start.date\na,07.09.2026\nb,01.10.26\n",
            {},
            {"a": ("2026-09-07", "2026-09-08"), "b": ("2026-10-01", "2026-10-02")},
        ),
        (
            "Summary;Start.DateTime;End.DateTime\n"
            "a;05/06/2026 8:15 Uhr;05/06/2026 19h30\nb;30/06/2026 23.00;30/06/2026 24:00\n",
            ZONE,
            {
                "a": ("2026-06-05T08:15", "2026-06-05T19:30"),
                "b": ("2026-06-30T23:00", "2026-07-01T00:00"),
            },
        ),
        (
            "summary,start.dateTime,end.dateTime\na,05/06/2026 7:30 PM,05/06/2026 8:30 PM\n",
            ZONE,
            {"a": ("2026-05-06T19:30", "2026-05-06T20:30")},
        ),
        (
            "summary,start.date\na,05/06/2026\n",
            {"dateOrder": "dmy"},
            {"a": ("2026-06-05", "2026-06-06")},
        ),
        (
            '[{"summary": "a", "start": {"date": "2026-06-25 00:00:00"}},'
            ' {"summary": "b", "start": {"date": "30. Mai 2026"}}]',
            {},
            {"a": ("2026-06-25", "2026-06-26"), "b": ("2026-05-30", "2026-05-31")},
        ),
        (
            "Subject,Start Date,Start Time,End Date,End Time\n"
            "a,05/06/2026,10:00,05/06/2026,11:00\nb,15/06/2026,10:00,15/06/2026,24:00\n",
            ZONE,
            {
                "a": ("2026-06-05T10:00", "2026-06-05T11:00"),
                "b": ("2026-06-15T10:00", "2026-06-16T00:00"),
            },
        ),
    ],
    ids=["dots", "one shows it", "AM and PM", "stated", "json", "google"],
)
def test_dates_are_read_by_what_the_file_shows(
    google: Server,
    sandbox: Process,
    file: str,
    metadata: Mapping[str, str],
    right: Mapping[str, tuple[str, str]],
) -> None:
    """In any table, in any format."""
    require_no_failure(google, google.done("events", file.encode(), metadata))
    assert events(sandbox) == right


def test_a_file_that_does_not_show_the_order_of_its_dates_is_refused(google: Server) -> None:
    """With both readings of its first open date. A large file ends before the first record."""
    open_files = [
        "summary,start.date\na,2026-05-30\nb,05/06/2026\n",
        "Subject,Start Date,End Date\na,05/05/2026,05/05/2026\nb,05/06/2026,05/06/2026\n",
    ]
    for file in open_files:
        reply = google.upload("events", file.encode())
        assert reply.status == 400, reply.body
        message = reply.json["message"]
        assert "row 2" in message
        assert '"05/06/2026" is 2026-06-05 (day first) or 2026-05-06 (month first)' in message
        assert "metaData.dateOrder" in message
    rows = "".join(f"{n},05/06/2026\n" for n in range(1_500))
    status = google.done("events", f"summary,start.date\n{rows}".encode())
    assert status["status"] == "ABORTED"
    detail = google.call("GET", f"/bulk/{status['id']}").json
    assert '"05/06/2026" is 2026-06-05 (day first)' in str(detail)
    assert detail["recordsCount"] == 0


def test_the_last_row_of_a_large_file_decides_for_the_first(
    google: Server, sandbox: Process
) -> None:
    """The first rows of the file do not show it, and the job is accepted all the same."""
    rows = ["first,05/06/2026", *["x,05/05/2026"] * 300, "last,30/06/2026"]
    status = google.done("events", ("summary,start.date\n" + "\n".join(rows)).encode())
    require_no_failure(google, status)
    assert events(sandbox)["first"] == ("2026-06-05", "2026-06-06")


def test_a_day_that_does_not_exist_costs_its_row(google: Server, sandbox: Process) -> None:
    """The error quotes the cell."""
    file = b"summary,start.date\na,07.09.2026\nb,31.09.2026\nc,08.09.2026\n"
    status = google.done("events", file)
    (error,) = google.errors(status["id"])
    assert 'start.date "31.09.2026" is not a date: September has 30 days' in str(error)
    assert set(events(sandbox)) == {"a", "c"}


def test_a_single_record_is_read_as_a_file_is(google: Server) -> None:
    """Without a job."""
    event = {"summary": "a", "start": {"date": "07.09.2026"}}
    reply = google.call("POST", "/events", json_body=event)
    assert reply.status == 200, reply.body
    assert reply.json["start"]["date"] == "2026-09-07"
    event["start"] = {"date": "05/06/2026"}
    reply = google.call("POST", "/events", json_body=event)
    assert (reply.status, '"05/06/2026" is 2026-06-05' in str(reply.json)) == (400, True)


@pytest.fixture
def database(sqlite_folder: Path) -> Path:
    return sqlite_folder / f"{uuid.uuid4().hex}.db"


@pytest.fixture
def sqlite(shared_server: Server, database: Path) -> Server:
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE member (id INTEGER PRIMARY KEY, born DATE, seen DATETIME, at TIME, "
            "note TEXT)"
        )
    return shared_server.instance("sqlite", {"db.file": database.name})


def rows_of(database: Path) -> Sequence[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM member ORDER BY id").fetchall()


def test_columns_of_dates_in_a_database_are_read_alike(sqlite: Server, database: Path) -> None:
    """A date, a moment, a time. A text that looks like a date stays as it is."""
    file = (
        "ID,Born,Seen,At,Note\n"
        "1,05/06/1990,05/06/2026 8.15,7:30 p. m.,01/02/2026\n"
        "2,1990-04-02 00:00:00,30/06/2026,19h30,13/13/2026\n"
        "3,31/06/1990,,,\n"
    )
    status = sqlite.done("member", file.encode())
    (error,) = sqlite.errors(status["id"])
    assert 'born "31/06/1990" is not a date: June has 30 days' in str(error)
    assert rows_of(database) == [
        (1, "1990-06-05", "2026-06-05 08:15:00", "19:30:00", "01/02/2026"),
        (2, "1990-04-02", "2026-06-30 00:00:00", "19:30:00", "13/13/2026"),
    ]


def test_a_csv_can_clear_a_field_empty_it_or_leave_it(sqlite: Server, database: Path) -> None:
    """By the text that metaData names, by quotes, by an empty cell."""
    file = b"id,at,note\n1,10:00,x\n2,10:00,x\n3,10:00,x\n"
    require_no_failure(sqlite, sqlite.done("member", file))
    file = b'id,at,note\n1,#N/A,\n2,,""\n3,,#N/A\n'
    metadata = {"action": "update", "nullValue": "#N/A"}
    require_no_failure(sqlite, sqlite.done("member", file, metadata))
    assert [row[3:] for row in rows_of(database)] == [
        (None, "x"),
        ("10:00:00", ""),
        ("10:00:00", None),
    ]


def test_a_csv_can_clear_the_texts_of_an_event(google: Server, sandbox: Process) -> None:
    """Other fields of an event cannot be cleared, and say so."""
    file = b"id,summary,start.date,location,description\nabcde,a,2026-05-30,Bern,x\n"
    require_no_failure(google, google.done("events", file))
    file = b'id,summary,location,description,colorId\nabcde,"b",#N/A,"",\n'
    metadata = {"action": "update", "nullValue": "#N/A"}
    require_no_failure(google, google.done("events", file, metadata))
    (found,) = request("GET", f"{sandbox.url}/sandbox/events").json
    assert (found["summary"], found.get("location"), found.get("description")) in [
        ("b", "", ""),
        ("b", None, None),
    ]
    status = google.done("events", b"id,colorId\nabcde,#N/A\n", metadata)
    assert "colorId cannot be cleared by a file" in str(google.errors(status["id"]))


def test_an_encoding_is_recognized_or_asked_for(
    shared_memory: Server, shared_eloqua: Process
) -> None:
    """Windows-1252 is recognized. Windows-1251 is no guess: it has to be named."""
    memory, eloqua = shared_memory, shared_memory.eloqua(shared_eloqua)
    contacts = (CASES / "records" / "cp1252-semicolon.csv").read_bytes()
    require_no_failure(eloqua, eloqua.done("contact", contacts))
    found = request("GET", f"{shared_eloqua.url}/sandbox/contacts").json
    assert "Zoë" in str(found)
    assert "Köln" in str(found)
    file = b"C_EmailAddress,City\nuwe@x.example,#N/A\n"
    status = eloqua.done("contact", file, {"nullValue": "#N/A"})
    assert "City is to be cleared" in str(eloqua.errors(status["id"])) or (
        "C_City is to be cleared" in str(eloqua.errors(status["id"]))
    )
    metadata = {"nullValue": "#N/A", "updateRule": "always"}
    require_no_failure(eloqua, eloqua.done("contact", file, metadata))
    found = request("GET", f"{shared_eloqua.url}/sandbox/contacts").json
    assert "Köln" not in str(found)
    cyrillic = (CASES / "records" / "cyrillic-1251.csv").read_bytes()
    reply = memory.upload("records", cyrillic)
    assert (reply.status, "metaData.encoding" in reply.json["message"]) == (400, True)
    status = memory.done("records", cyrillic, {"encoding": "windows-1251"})
    require_no_failure(memory, status)
    assert records(memory) == [{"email": "a@x.example", "имя": "Анна", "город": "Казань"}]
