"""Workbooks and JSON files with which people had trouble, in calendars, Eloqua and Memory."""

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.harness import Process, Server, request

CASES = Path(__file__).parents[1] / "cases"


def case(name: str) -> bytes:
    """The file of a case."""
    return (CASES / name).read_bytes()


@pytest.fixture
def memory(shared_memory: Server) -> Server:
    return shared_memory


@pytest.fixture
def google(shared_server: Server, shared_google: Process) -> Server:
    return shared_server.google(shared_google)


@pytest.fixture
def eloqua(shared_server: Server, shared_eloqua: Process) -> Server:
    return shared_server.eloqua(shared_eloqua)


def records(server: Server) -> list[Mapping[str, Any]]:
    """What Memory has, without the keys that it makes up."""
    found = server.call("GET", "/records").json
    return [{name: value for name, value in one.items() if name != "id"} for one in found]


def events_of(google: Server, sandbox: Process, name: str) -> list[Mapping[str, Any]]:
    """The events of a case, none of whose rows is refused."""
    status = google.done("events", case(f"calendar/{name}"), {"timeZone": "Europe/Berlin"})
    assert status["recordsFailedCount"] == 0, google.errors(status["id"])
    events: list[Mapping[str, Any]] = request("GET", f"{sandbox.url}/sandbox/events").json
    return events


# --- workbooks ---


def test_a_cell_at_midnight_has_a_time(google: Server, shared_google: Process) -> None:
    """Its format says so, not its value."""
    (event,) = events_of(google, shared_google, "midnight.xlsx")
    assert event["end"]["dateTime"].startswith("2026-06-26T00:00:00")
    assert event["start"]["dateTime"].startswith("2026-06-25T22:00:00")


def test_a_shift_that_ends_at_24_00_ends_at_the_end_of_its_day(
    google: Server, shared_google: Process
) -> None:
    (event,) = events_of(google, shared_google, "hour-24.xlsx")
    assert event["start"]["dateTime"].startswith("2026-06-25T22:00:00")
    assert event["end"]["dateTime"].startswith("2026-06-26T00:00:00")


def test_the_header_is_below_a_title(google: Server, shared_google: Process) -> None:
    (event,) = events_of(google, shared_google, "title-row.xlsx")
    assert (event["summary"], event["start"]) == ("A", {"date": "2026-06-25"})


def test_a_hidden_sheet_is_not_loaded(memory: Server) -> None:
    status = memory.done("records", case("records/hidden-first-sheet.xlsx"))
    assert (status["recordsCount"], status["recordsFailedCount"]) == (1, 0)
    assert records(memory) == [{"email": "a@x.example", "plan": "gold"}]


def test_an_error_of_the_workbook_breaks_its_row_alone(memory: Server) -> None:
    status = memory.done("records", case("records/error-cell.xlsx"))
    assert records(memory) == [{"email": "a@x.example", "score": 5}]
    (error,) = memory.errors(status["id"])
    assert "cell B3 is the error #DIV/0!" in error["status"]


def test_a_cell_beyond_the_header_breaks_its_row_alone(memory: Server) -> None:
    status = memory.done("records", case("records/cell-without-header.xlsx"))
    assert records(memory) == [{"email": "b@x.example", "city": "Genf"}]
    (error,) = memory.errors(status["id"])
    assert "the row has 3 cells, the header has 2: cell C2 is 'VIP'" in error["status"]


def test_a_code_keeps_the_zeros_that_its_format_shows(
    eloqua: Server, shared_eloqua: Process
) -> None:
    status = eloqua.done("contact", case("records/zip-number-format.xlsx"))
    assert status["recordsFailedCount"] == 0, eloqua.errors(status["id"])
    (contact,) = request("GET", f"{shared_eloqua.url}/sandbox/contacts").json
    assert "00742" in contact.values()


# --- JSON ---


def test_nan_breaks_its_row_alone(memory: Server) -> None:
    status = memory.done("records", case("records/nan.json"))
    assert (status["recordsCount"], status["recordsFailedCount"]) == (3, 1)
    assert [one["email"] for one in records(memory)] == ["a@x.example", "c@x.example"]
    (error,) = memory.errors(status["id"])
    assert "score is NaN, which JSON does not have" in error["status"]


def test_an_object_around_the_list_is_refused_with_the_place_of_the_list(memory: Server) -> None:
    reply = memory.upload("records", case("records/wrapped.json"))
    assert (reply.status, "its list is in 'results'" in reply.json["message"]) == (400, True)


def test_a_null_in_a_row_that_eloqua_refuses_does_not_hold_up_the_job(
    eloqua: Server, shared_eloqua: Process
) -> None:
    status = eloqua.done("contact", case("records/null-in-refused-row.json"))
    assert (status["status"], status["recordsFailedCount"]) == ("COMPLETE", 1)
    (error,) = eloqua.errors(status["id"])
    assert "the email address is not valid" in error["status"]
    assert len(request("GET", f"{shared_eloqua.url}/sandbox/contacts").json) == 1


NUMBERS = (
    b'[{"name": "a", "exact": 98765432109876543.21, "money": 1.50, "big": 123456789012345678901}]'
)


def test_numbers_keep_their_digits_from_a_file_to_the_service_and_back(memory: Server) -> None:
    """In records, in a download in any format, and in a copy of that download."""
    assert memory.done("records", NUMBERS)["recordsFailedCount"] == 0
    job = memory.call("POST", "/bulk/query?q=select%20name,exact,money,big%20from%20records")
    memory.finished(job.json["id"])
    row = b"a,98765432109876543.21,1.50,123456789012345678901"
    downloads = f"/bulk/{job.json['id']}/records"
    assert row in memory.call("GET", downloads, headers={"Accept": "text/csv"}).body
    digits = b'"exact":98765432109876543.21,"money":1.50,"big":123456789012345678901'
    for path in (downloads, f"{downloads}/data", "/records"):
        assert digits in memory.call("GET", path, headers={"Accept": "application/json"}).body


# --- what a file is ---


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_a_packed_file_is_unpacked_whatever_it_is_called(memory: Server) -> None:
    """gzip, and a zip archive of one file; also of a workbook."""
    for number, packed in enumerate(
        (
            gzip.compress(b"email\na@x.example\n"),
            zipped(people=b"email\nb@x.example\n"),
            gzip.compress(case("records/hidden-first-sheet.xlsx")),
        ),
        1,
    ):
        assert memory.done("records", packed)["recordsFailedCount"] == 0
        assert len(records(memory)) == number
    reply = memory.upload("records", zipped(a=b"x\n1\n", b=b"x\n1\n"))
    assert (reply.status, "it has a, b" in reply.json["message"]) == (400, True)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (b"<!DOCTYPE html><html><table></table></html>", "a web page (HTML)"),
        (b"BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n", "a vCard file"),
        (zipped(**{"word/document.xml": b""}), "a Word document"),
    ],
)
def test_a_file_that_is_no_table_is_refused_at_once_as_what_it_is(
    memory: Server, file: bytes, kind: str
) -> None:
    for metadata in ({}, {"format": "csv"}):
        reply = memory.upload("records", file, metadata)
        assert (reply.status, kind in reply.json["message"]) == (400, True), reply.body


def test_activities_of_a_crm_are_no_calendar_events(memory: Server, google: Server) -> None:
    """Where records may have any field, and where they go into a calendar."""
    file = case("records/crm-activities.csv")
    assert memory.done("records", file)["fileFormat"] == "csv"
    assert records(memory)[0]["Related To"] == "A-17"
    assert google.done("events", file)["fileFormat"] == "googlecsv"
