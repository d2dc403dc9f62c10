"""Rows that could not be read: their results have all of their text, and they come back mended."""

import csv
import io
import json
from dataclasses import dataclass

import pytest
import xlsxwriter  # type: ignore[import-untyped]

from acceptance.test_retries import mend, names, outcomes, retried, with_file
from support.harness import Server

HEADER = b"name,start,fail\n"
STILL_THERE = "row 2 could not be read, and still has text in openbulk.unread ("


def workbook() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for row, cells in enumerate([["name", "start", "fail"], ["Ann", "1"], ["Bob"]]):
            sheet.write_row(row, 0, cells)
        sheet.write_formula("B3", "=1/0", None, "#DIV/0!")
        sheet.write("E3", "beyond")
    return file.getvalue()


@dataclass
class Kind:
    """A kind of rows that cannot be read. It is the second row of its file."""

    file: bytes
    cells: list[str]
    """What its results have of it."""
    unread: str
    unchanged: str
    """Why the row is refused if it comes back as it was."""


KINDS = {
    "surplus cells": Kind(
        HEADER + b"Ann,1,\nSmith, Bob,2,x,y\n",
        ["Smith", " Bob", "2"],
        "x,y",
        f"{STILL_THERE}the row has 5 cells",
    ),
    "missing cells": Kind(
        HEADER + b"Ann,1,\nBob,2\n", ["Bob", "2", ""], "Bob,2", f"{STILL_THERE}the row has 2 cells"
    ),
    "an open quote": Kind(
        HEADER + b'Ann,1,\n"Bob,2,\nCid,3,\n', ["", "", ""], '"Bob,2,', f"{STILL_THERE}a quote"
    ),
    "a broken character": Kind(
        HEADER + "Ann,1,\nBöb,".encode() + b"2\xff,\n",
        ["Böb", "2\ufffd", ""],
        "",
        "row 2 could not be read, and still has characters that could not be read (\ufffd), in "
        "'start'",
    ),
    "an error in a workbook": Kind(
        workbook(),
        ["Bob", "", ""],
        "B3 is the error #DIV/0!; correct its formula, or clear the cell; E3 'beyond'",
        STILL_THERE,
    ),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_row_that_could_not_be_read_comes_back_mended_or_is_refused(
    kind: Kind, shared_memory: Server
) -> None:
    server = shared_memory
    first = server.done("records", kind.file, {"action": "create"})["id"]
    text = server.call("GET", f"/bulk/{first}/results?kind=failed").body.decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text))
    header, row = reader
    assert row[:3] == kind.cells
    assert (row[3], row[-1]) == ("2", kind.unread)
    assert server.call("GET", f"/bulk/{first}/rows/2").json.get("unread", "") == kind.unread

    refused = with_file(server, first, text.encode())
    assert refused.status == 400
    assert refused.json["message"].startswith(f"line 2 of the file: {kind.unchanged}")
    partly = with_file(server, first, b"openbulk.row,name\n2,Bob\n")
    assert partly.status == 400
    missing = "start, fail, openbulk.unread" if kind.unread else "start, fail"
    assert partly.json["message"] == (
        "line 2 of the file: row 2 could not be read, and needs all its columns, and "
        f"{missing} are missing; mend it, or leave it out"
    )
    out = io.StringIO()
    csv.writer(out).writerows([header, ["Bob", "2", "", *row[3:-1], ""]])
    reply = with_file(server, first, out.getvalue().encode())
    assert reply.status == 200, reply.body
    assert server.finished(reply.json["id"])["recordsFailedCount"] == 0
    assert names(server)["Bob"] == 1


@pytest.mark.parametrize(
    ("file", "unread"),
    [
        (b'{"name": "Ann"}\n{"name": "Bob" "start": 2}\n', '{"name": "Bob" "start": 2}'),
        (b'[{"name": "Ann"},\n {"name": "Bob", "start": NaN}]', '{"name": "Bob", "start": NaN}'),
        (b'[{"name": "Ann"},\n {"name": "Bob", start: 2}]', '{"name": "Bob", start: 2}'),
        (b'{"name": "Ann"}\n5\n', "5"),
    ],
    ids=["a broken line", "a number that is none", "a broken element", "no object"],
)
def test_json_that_is_none_comes_back_as_a_record_or_is_refused(
    file: bytes, unread: str, shared_memory: Server
) -> None:
    server = shared_memory
    first = server.done("records", file, {"action": "create"})["id"]
    path = f"/bulk/{first}/results?kind=failed&format=jsonl"
    line = json.loads(server.call("GET", path).body)
    assert line["openbulk.unread"] == unread

    def send(**fields: object) -> tuple[int, str]:
        reply = with_file(server, first, json.dumps({**line, **fields}).encode())
        return reply.status, reply.json.get("message", "")

    status, message = send(name="Bob")
    assert (status, "still has text in openbulk.unread" in message) == (400, True)
    status, message = send(**{"openbulk.unread": None})
    assert (status, "row 2 could not be read, and has no value" in message) == (400, True)
    del line["openbulk.unread"]
    status, message = send(name="Bob")
    assert (status, "and openbulk.unread is missing" in message) == (400, True)
    assert send(**{"name": "Bob", "openbulk.unread": ""})[0] == 200


def test_an_event_of_a_calendar_that_could_not_be_read_shows_its_lines(
    shared_memory: Server,
) -> None:
    server = shared_memory
    event = b"BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Choir\r\nDTSTART:tomorrow\r\nEND:VEVENT"
    good = b"BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Band\r\nDTSTART:20260604T100000Z\r\nEND:VEVENT"
    file = b"BEGIN:VCALENDAR\r\n" + event + b"\r\n" + good + b"\r\nEND:VCALENDAR\r\n"
    first = server.done("records", file, {"action": "create"})["id"]
    shown = server.call("GET", f"/bulk/{first}/rows/1").json
    assert shown["unread"] == event.decode().replace("\r\n", "\n")
    assert mend(server, first, 1, {"name": "Choir"}).status == 200
    assert outcomes(retried(server, first)) == {"created": 1}


def test_columns_of_googles_file_are_refused_where_fields_are_needed(
    shared_memory: Server,
) -> None:
    """Its columns become fields when it is read; a row that comes back is read already."""
    server = shared_memory
    file = b"Subject,Start Date,End Date\nA,06/21/2026,06/21/2026\nB,06/99/2026,06/22/2026\n"
    first = server.done("records", file, {"action": "create", "format": "googlecsv"})["id"]
    path = f"/bulk/{first}/results?kind=failed&format=jsonl"
    refused = with_file(server, first, server.call("GET", path).body)
    assert refused.status == 400
    assert (
        "row 2 could not be read, and has 'Subject', which is a column" in refused.json["message"]
    )
