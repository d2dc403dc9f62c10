"""A verification compares what a job has written with what the service has now."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.harness import Process, Processes, Server, request, until

UPSERT = {"action": "upsert"}


def verify(server: Server, job_id: str) -> Any:
    """Verify a job; return what was found once all rows are compared."""
    reply = server.call("POST", f"/bulk/{job_id}/verify")
    assert reply.status == 200, reply.body
    assert server.finished(reply.json["id"])["status"] == "VERIFIED"
    return server.call("GET", f"/bulk/{reply.json['id']}/verification").json


def rows_of(server: Server, found: Mapping[str, Any], query: str = "") -> list[Any]:
    reply = server.call("GET", f"/bulk/{found['id']}/verification/rows{query}")
    assert reply.status == 200, reply.body
    rows: list[Any] = reply.json
    return rows


def counts(found: Mapping[str, Any]) -> dict[str, int]:
    assert sum(found["counts"].values()) == found["rows"]
    return {name: count for name, count in found["counts"].items() if count}


def test_each_row_is_compared_with_the_record_that_it_wrote(shared_memory: Server) -> None:
    """Rows that failed are not checked; the job and its results stay as they are."""
    file = b"name,age,fail\nAnn,41,\nBob,7,\nCara,5,\nDan,1,no\n"
    job = shared_memory.done("records", file)
    results = shared_memory.call("GET", f"/bulk/{job['id']}/results").body
    found = verify(shared_memory, job["id"])
    assert counts(found) == {"confirmed": 3, "notChecked": 1}
    by_name = {one["name"]: one["id"] for one in shared_memory.call("GET", "/records").json}
    change = f"id,age\n{by_name['Bob']},8\n".encode()
    shared_memory.done("records", change, {"action": "update"})
    shared_memory.done("records", f"id\n{by_name['Cara']}\n".encode(), {"action": "delete"})
    found = verify(shared_memory, job["id"])
    assert found["verifyOf"] == job["id"]
    assert (found["completeness"], found["rowsCompared"]) == ("complete", 4)
    assert counts(found) == {"confirmed": 1, "different": 1, "missing": 1, "notChecked": 1}
    (different,) = rows_of(shared_memory, found, "?kind=different")
    assert different == {
        "rowNum": 2,
        "lineNum": 3,
        "kind": "different",
        "id": by_name["Bob"],
        "differences": {"age": {"expected": "7", "found": "8"}},
    }
    rows = rows_of(shared_memory, found)
    assert [row["kind"] for row in rows] == ["confirmed", "different", "missing", "notChecked"]
    assert rows[2]["id"] == by_name["Cara"]
    assert rows[3]["reason"] == f"the row failed in job {job['id']}, so nothing was written"
    assert shared_memory.call("GET", f"/bulk/{job['id']}/results").body == results
    details = shared_memory.call("GET", f"/bulk/{found['id']}").json
    assert (details["verifyOf"], details["status"]) == (job["id"], "VERIFIED")
    assert not any(count for name, count in details["outcomes"].items() if name != "notReached")


def test_rows_of_one_record_count_by_the_last_one_that_wrote_each_field(
    shared_memory: Server,
) -> None:
    """An upload that is verified at once is always N of N, whatever rows it repeats."""
    file = b"id,name,age\n1,Ann,41\n2,Bob,7\n1,Anna,\n1,,42\n2,Bob,8\n"
    job = shared_memory.done("records", file, UPSERT)
    assert counts(verify(shared_memory, job["id"])) == {"confirmed": 5}
    shared_memory.done("records", b"id,name\n1,Other\n", UPSERT)
    found = verify(shared_memory, job["id"])
    assert counts(found) == {"confirmed": 4, "different": 1}
    (different,) = rows_of(shared_memory, found, "?kind=different")
    assert different["rowNum"] == 3
    assert different["differences"] == {"name": {"expected": "Anna", "found": "Other"}}


def test_deleted_rows_are_confirmed_if_their_records_are_gone(shared_memory: Server) -> None:
    shared_memory.done("records", b"id,name\n1,Ann\n2,Bob\n", UPSERT)
    job = shared_memory.done("records", b"id\n1\n2\n3\n", {"action": "delete"})
    assert counts(verify(shared_memory, job["id"])) == {"confirmed": 3}
    shared_memory.done("records", b"id,name\n2,Bob\n", UPSERT)
    found = verify(shared_memory, job["id"])
    assert counts(found) == {"confirmed": 2, "different": 1}
    (different,) = rows_of(shared_memory, found, "?kind=different")
    assert (different["rowNum"], different["reason"]) == (
        2,
        "the record is there, although the row deleted it",
    )


def test_a_retry_is_verified_with_its_mended_values(shared_memory: Server) -> None:
    job = shared_memory.done("records", b"name,fail\nAnn,\nBob,no\n")
    mend = {"values": {"fail": None, "name": "Rob"}}
    assert shared_memory.call("PATCH", f"/bulk/{job['id']}/rows/2", json_body=mend).status == 200
    retry = shared_memory.call("POST", f"/bulk/{job['id']}/retry").json["id"]
    shared_memory.finished(retry)
    found = verify(shared_memory, retry)
    assert (found["rows"], counts(found)) == (1, {"confirmed": 1})
    assert [row["rowNum"] for row in rows_of(shared_memory, found)] == [2]


@pytest.fixture
def people(shared_server: Server, sqlite_folder: Path, tmp_path: Path) -> tuple[Server, Path]:
    """An instance of a database whose trigger writes names in its own way, and its file."""
    file = sqlite_folder / f"{tmp_path.name}.db"
    with sqlite3.connect(file) as database:
        database.executescript(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, name TEXT, age INTEGER "
            "DEFAULT 18, code TEXT UNIQUE); CREATE TRIGGER upper_name AFTER INSERT ON people BEGIN "
            "UPDATE people SET name = upper(name) WHERE id = new.id; END; CREATE TRIGGER upper_new "
            "AFTER UPDATE OF name ON people BEGIN UPDATE people SET name = upper(name) WHERE id = "
            "new.id AND name <> upper(name); END;"
        )
    return shared_server.instance("sqlite", {"db.file": file.name}), file


def test_what_a_database_fills_in_or_normalizes_is_not_different(
    people: tuple[Server, Path],
) -> None:
    """Rows that somebody has changed are, also if writing them once more would be refused."""
    server, file = people
    rows = b"email,name,code\nann@x,Ann,a\nbob@x,Bob,b\ncara@x,Cara,c\ndan@x,Dan,d\n"
    job = server.done("people", rows, {**UPSERT, "identifierFieldName": "email"})
    assert counts(verify(server, job["id"])) == {"confirmed": 4}
    with sqlite3.connect(file) as database:
        database.execute("UPDATE people SET code = 'x' WHERE id = 1")
        database.execute("UPDATE people SET code = 'a', name = 'Rob' WHERE id = 2")
        database.execute("DELETE FROM people WHERE id = 3")
        database.execute("INSERT INTO people (email, name) VALUES ('dan@x', 'Dan')")
        before = database.execute("SELECT * FROM people ORDER BY id").fetchall()
    found = verify(server, job["id"])
    assert counts(found) == {"different": 2, "missing": 1, "extra": 1}
    compared = rows_of(server, found)
    assert compared[0]["differences"] == {"code": {"expected": "a", "found": "x"}}
    assert compared[1]["differences"] == {
        "code": {"expected": "b", "found": "a"},
        "name": {"expected": "Bob", "found": "ROB"},
    }
    assert (compared[2]["kind"], compared[3]["matches"]) == ("missing", 2)
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT * FROM people ORDER BY id").fetchall() == before


def test_events_are_compared_with_their_listing_and_no_write(
    shared_server: Server, shared_google: Process
) -> None:
    """Google says when an event was changed."""
    server = shared_server.google(shared_google)
    rows = [f"Lesson {n},2026-09-01,2026-09-02" for n in range(30)]
    file = "\n".join(["summary,start.date,end.date", *rows, ""]).encode()
    job = server.done("events", file)
    calls = request("GET", f"{shared_google.url}/sandbox/stats").json["by_method"]
    assert counts(verify(server, job["id"])) == {"confirmed": 30}
    after = request("GET", f"{shared_google.url}/sandbox/stats").json["by_method"]
    assert {name for name in after if after[name] > calls.get(name, 0)} <= {"GET", "TOKEN"}
    results = server.call("GET", f"/bulk/{job['id']}/results?format=jsonl").body
    ids = [
        line.split(b'"openbulk.id":"')[1].split(b'"')[0].decode() for line in results.splitlines()
    ]
    assert server.call("PATCH", f"/events/{ids[4]}", json_body={"location": "Aula"}).status == 200
    assert server.call("PATCH", f"/events/{ids[5]}", json_body={"summary": "Other"}).status == 200
    assert server.call("DELETE", f"/events/{ids[6]}").status in {200, 204}
    found = verify(server, job["id"])
    assert counts(found) == {"confirmed": 28, "different": 1, "missing": 1}
    (different,) = rows_of(server, found, "?kind=different")
    assert different["differences"] == {"summary": {"expected": "Lesson 5", "found": "Other"}}
    assert (different["rowNum"], different["id"]) == (6, ids[5])
    assert different["changedAt"].endswith("Z")
    (missing,) = rows_of(server, found, "?kind=missing")
    assert missing["id"] == ids[6]


def test_an_object_that_cannot_be_compared_says_so(
    shared_server: Server, shared_eloqua: Process
) -> None:
    server = shared_server.eloqua(shared_eloqua)
    file = b"C_EmailAddress,C_FirstName\nann@example.com,Ann\n"
    job = server.done("contact", file, UPSERT)
    found = verify(server, job["id"])
    if found["completeness"] == "none":
        assert counts(found) == {"notChecked": 1}
        (row,) = rows_of(server, found)
        assert row["reason"].startswith("openbulk cannot compare records of 'contact'")
    else:
        assert counts(found) == {"confirmed": 1}


def test_what_cannot_be_verified_says_what_to_do(shared_memory: Server) -> None:
    job = shared_memory.done("records", b"name\nAnn\n")["id"]
    planned = shared_memory.upload("records", b"name\nAnn\n", {"plan": True}).json["id"]
    shared_memory.finished(planned)
    found = verify(shared_memory, job)["id"]
    download = shared_memory.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    shared_memory.finished(download)
    for other, status, words in (
        (planned, 400, "is a plan, which writes nothing"),
        (found, 400, f"is a verification itself; verify job {job} once more"),
        (download, 400, "is a download; only what an upload wrote can be verified"),
        ("987654", 404, "987654"),
    ):
        reply = shared_memory.call("POST", f"/bulk/{other}/verify")
        assert (reply.status, words in reply.json["message"]) == (status, True), reply.body
    reply = shared_memory.call("GET", f"/bulk/{job}/verification")
    assert reply.status == 404
    assert reply.json["message"] == (
        f"job {job} verifies no other; POST /bulk/{{id}}/verify makes a job that does"
    )
    reply = shared_memory.call("GET", f"/bulk/{found}/verification/rows?kind=wrong")
    assert reply.status == 400
    assert "it can be confirmed, missing, different, extra, notChecked" in reply.json["message"]
    assert shared_memory.call("POST", f"/bulk/{found}/retry").status == 400
    assert shared_memory.call("POST", f"/bulk/{job}/verify", json_body={"deep": True}).status == 400


def test_a_verification_is_whole_whatever_is_killed(processes: Processes) -> None:
    """Each row once, also rows whose record a later one has changed."""
    server = processes.server()
    memory = server.instance("memory", {"keep": "false"})
    lines = [f"{n % 12_000},Name {n}\n" for n in range(20_000)]
    job = memory.done("records", ("id,name\n" + "".join(lines)).encode(), UPSERT)
    job_id = memory.call("POST", f"/bulk/{job['id']}/verify").json["id"]
    path = f"/bulk/{job_id}/verification"
    until(lambda: memory.call("GET", path).json["rowsCompared"] > 0, 120, "rows are compared")
    server.process.kill()
    memory = replace(memory, process=processes.server().process)
    assert memory.finished(job_id)["status"] == "VERIFIED"
    assert counts(memory.call("GET", path).json) == {"missing": 20_000}
