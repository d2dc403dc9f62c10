"""Results of uploads: every row of a file as it was, with what became of it."""

import codecs
import csv
import io
import json
from typing import Any

import pytest

from openbulk.formats.xlsx import Xlsx
from openbulk.formats.xlsx.writing import encode_workbook
from support.harness import Process, Server, multipart, until

OWN = [
    "openbulk.row",
    "openbulk.outcome",
    "openbulk.id",
    "openbulk.field",
    "openbulk.error",
    "openbulk.unread",
]
FILE = b"""name;note;fail;amount
Ann;"a; b";;1,50
Bob;;no such band;-5
Cid;=1+1;=cmd;+43 1
Dora;short
Eva;;;12
"""


def rows_of(server: Server, job_id: str, query: str = "") -> list[list[str]]:
    reply = server.call("GET", f"/bulk/{job_id}/results?{query}")
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "text/csv"
    assert reply.body.startswith(b"\xef\xbb\xbf"), "spreadsheets read UTF-8 by its mark"
    text = reply.body.decode("utf-8-sig")
    delimiter = ";" if ";openbulk.row;" in text else ","
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_results_have_every_column_in_order_and_what_became_of_each_row(
    shared_memory: Server,
) -> None:
    server = shared_memory
    job_id = server.done("records", FILE, {"action": "create"})["id"]

    header, *rows = rows_of(server, job_id)
    assert header == ["name", "note", "fail", "amount", *OWN]
    assert [row[4:6] for row in rows] == [
        ["1", "created"],
        ["2", "failed"],
        ["3", "failed"],
        ["4", "failed"],
        ["5", "created"],
    ]
    assert rows[0][:4] == ["Ann", "a; b", "", "1,50"]
    assert rows[1][:4] == ["Bob", "", "no such band", "-5"]
    assert rows[1][7:] == ["fail", "no such band", ""]
    assert rows[0][6] and not rows[1][6], "the id of a record that is there"
    assert rows[3][:4] == ["Dora", "short", "", ""], "a broken row, as far as it can be had"
    assert "2 cells, the header has 4" in rows[3][8]

    header, *failed = rows_of(server, job_id, "kind=failed,unknown,notReached")
    assert header == ["name", "note", "fail", "amount", *OWN], "also columns that are empty here"
    assert failed == rows[1:4]
    outcomes = server.call("GET", f"/bulk/{job_id}").json["outcomes"]
    by_kind = {kind: len(rows_of(server, job_id, f"kind={kind}")) - 1 for kind in outcomes}
    assert by_kind == outcomes
    assert sum(by_kind.values()) == 5


def test_cells_that_a_spreadsheet_would_run_are_guarded_and_numbers_stay(
    shared_memory: Server,
) -> None:
    server = shared_memory
    job_id = server.done("records", FILE, {"action": "create"})["id"]
    _, ann, bob, cid, *_ = rows_of(server, job_id, "guard=true")
    assert (ann[3], bob[3]) == ("1,50", "-5")
    assert cid[1:4] == ["'=1+1", "'=cmd", "'+43 1"]
    assert cid[8] == "'=cmd", "an error names a value of the file"


def test_results_come_as_a_workbook_and_as_json_lines(shared_memory: Server) -> None:
    server = shared_memory
    job_id = server.done("records", FILE, {"action": "create"})["id"]
    reply = server.call("GET", f"/bulk/{job_id}/results?kind=failed&format=xlsx")
    sheet = Xlsx().open(io.BytesIO(reply.body), {})
    assert sheet.header == ["name", "note", "fail", "amount", *OWN]
    bob = next(sheet.rows()).values or {}
    assert bob.items() >= {"name": "Bob", "amount": "-5", "openbulk.row": 2}.items()
    assert "note" not in bob
    reply = server.call("GET", f"/bulk/{job_id}/results?kind=failed&format=jsonl")
    first, *others = map(json.loads, reply.body.splitlines())
    assert len(others) == 2
    assert first == {
        "name": "Bob",
        "note": None,
        "fail": "no such band",
        "amount": "-5",
        "openbulk.row": 2,
        "openbulk.outcome": "failed",
        "openbulk.id": None,
        "openbulk.field": "fail",
        "openbulk.error": "no such band",
        "openbulk.unread": None,
    }


def test_records_that_were_no_table_keep_what_is_in_them(shared_memory: Server) -> None:
    server = shared_memory
    record: Any = {"name": "Ann", "at": {"day": 4}, "tags": ["a"], "fail": "no"}
    file = json.dumps([record, {"other": 1}]).encode()
    job_id = server.done("records", file, {"action": "create"})["id"]
    reply = server.call("GET", f"/bulk/{job_id}/results?kind=failed&format=jsonl")
    assert {name: json.loads(reply.body)[name] for name in record} == record
    header, *rows = rows_of(server, job_id)
    assert header == ["name", "at.day", "tags", "fail", "other", *OWN]
    assert rows[0][:6] == ["Ann", "4", '["a"]', "no", "", "1"]


def test_a_row_of_googles_file_is_mended_by_the_fields_of_its_event(
    shared_server: Server, shared_google: Process
) -> None:
    """A cell that is no date makes no event: its results have what Google's columns had."""
    server = shared_server.google(shared_google)
    file = b"Subject,Start Date,End Date\nA,06/21/2026,06/21/2026\nB,06/99/2026,06/22/2026\n"
    job_id = server.done("events", file, {"action": "create"})["id"]
    header, row = rows_of(server, job_id, "kind=failed")
    found = dict(zip(header, row, strict=True))
    assert (found["Subject"], found["Start Date"], found["openbulk.row"]) == (
        "B",
        "06/99/2026",
        "2",
    )
    path = f"/bulk/{job_id}/rows/2"
    refused = server.call("PATCH", path, json_body={"values": {"Start Date": "06/22/2026"}})
    assert refused.status == 400
    assert "mend row 2 with the fields of the whole record" in refused.json["message"]
    event = {"summary": "B", "start.date": "2026-06-22", "end.date": "2026-06-23"}
    assert server.call("PATCH", path, json_body={"values": event}).status == 200
    again = server.call("POST", f"/bulk/{job_id}/retry").json["id"]
    assert server.finished(again)["recordsFailedCount"] == 0


def test_results_of_a_job_that_runs_are_those_of_one_moment(shared_memory: Server) -> None:
    server = shared_memory
    rows = 20_000
    file = b"name,fail\n" + b"Ann,\n" * rows
    job_id = server.upload("records", file, {"action": "create"}).json["id"]
    until(lambda: server.status(job_id)["recordsCount"], 300, "the first records are written")
    _, *found = rows_of(server, job_id)
    kinds = [row[3] for row in found]
    assert len(kinds) == rows
    assert "created" in kinds
    assert {*kinds} <= {"created", "notReached"}
    server.finished(job_id)
    assert len(rows_of(server, job_id, "kind=created")) == rows + 1


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_results_open_in_a_spreadsheet_and_come_back_as_they_were(
    format: str, shared_memory: Server
) -> None:
    """A file of an old program, in its own encoding and with its own delimiter."""
    server = shared_memory
    file = "name;zip;day;amount;fail\nJörg;00715;05.06.2026;1,50;no\n".encode("windows-1252")
    job_id = server.done("records", file, {"action": "create"})["id"]
    content = server.call("GET", f"/bulk/{job_id}/results?format={format}").body
    if format == "csv":
        _, second = content.decode("utf-8-sig").splitlines()
        assert content.startswith(codecs.BOM_UTF8 + b"name;zip;day;amount;fail;openbulk.row;")
        assert second.startswith("Jörg;00715;05.06.2026;1,50;no;1;failed;")
        content = content.replace(b";no;1;failed", b";;1;failed")
    else:
        row = next(Xlsx().open(io.BytesIO(content), {}).rows()).values or {}
        texts = {"name": "Jörg", "zip": "00715", "day": "05.06.2026", "amount": "1,50"}
        assert row.items() >= texts.items()
        mended = {**row, "fail": None}
        content = b"".join(encode_workbook(list(mended), [list(mended.values())]))
    body, kind = multipart(content, {})
    sent = {"Content-Type": kind}
    again = server.call("POST", f"/bulk/{job_id}/retry", body=body, headers=sent)
    assert again.status == 200, again.body
    assert server.finished(again.json["id"])["recordsFailedCount"] == 0
    (record,) = server.call("GET", "/records").json
    assert (record["name"], record["zip"]) == ("Jörg", "00715")
    assert (record["day"], record["amount"]) == ("05.06.2026", "1,50")
    header = server.call("GET", f"/bulk/{again.json['id']}/results").body
    assert b"name;zip" in header, "a retry has the delimiter of its file, too"


def test_a_delimiter_that_only_its_caller_knows_comes_back_too(shared_memory: Server) -> None:
    server = shared_memory
    options = {"action": "create", "delimiter": "#"}
    job_id = server.done("records", b"name#fail\nAnn#no\n", options)["id"]
    content = server.call("GET", f"/bulk/{job_id}/results").body
    assert b"\nAnn#no#1#failed#" in content
    body, kind = multipart(content, {})
    sent = {"Content-Type": kind}
    assert server.call("POST", f"/bulk/{job_id}/retry", body=body, headers=sent).status == 200
