"""Rows that were not written are mended and retried, and nothing is made twice."""

import csv
import io
import json
from collections import Counter
from typing import Any

from support.harness import Process, Reply, Server, multipart, request

HEADER = b"name,start,fail\n"
FILE = HEADER + b"Ann,1,\nBob,2,no\nCid,3,no\nDora\nEva,5,\n"


def job(server: Server, file: bytes = FILE, object: str = "records") -> str:
    job_id: str = server.done(object, file, {"action": "create"})["id"]
    return job_id


def retry(server: Server, job_id: str, body: Any = None, **more: Any) -> Reply:
    return server.call("POST", f"/bulk/{job_id}/retry", json_body=body, **more)


def retried(server: Server, job_id: str, body: Any = None) -> Any:
    """The details of a finished retry."""
    reply = retry(server, job_id, body)
    assert reply.status == 200, reply.body
    server.finished(reply.json["id"])
    return server.call("GET", f"/bulk/{reply.json['id']}").json


def with_file(server: Server, job_id: str, file: bytes, **more: Any) -> Reply:
    body, content_type = multipart(file, more)
    headers = {"Content-Type": content_type}
    return server.call("POST", f"/bulk/{job_id}/retry", body=body, headers=headers)


def mend(server: Server, job_id: str, row: int, values: Any) -> Reply:
    return server.call("PATCH", f"/bulk/{job_id}/rows/{row}", json_body={"values": values})


def names(server: Server, object: str = "records") -> Counter[str]:
    found = server.call("GET", f"/{object}?pageSize=2000").json
    return Counter(record["name"] for record in found)


def outcomes(details: Any) -> dict[str, int]:
    return {kind: count for kind, count in details["outcomes"].items() if count}


def test_a_mended_row_is_retried_under_its_number_and_nothing_else_is_sent(
    shared_memory: Server,
) -> None:
    server = shared_memory
    first = job(server)
    row = server.call("GET", f"/bulk/{first}/rows/2").json
    assert row == {
        "rowNum": 2,
        "lineNum": 3,
        "outcome": "failed",
        "error": "no",
        "field": "fail",
        "values": {"name": "Bob", "start": "2", "fail": "no"},
    }
    reply = mend(server, first, 2, {"fail": None, "name": "Bobby"})
    assert reply.json["mended"] == {"name": "Bobby", "fail": None}
    assert reply.json["values"] == row["values"], "the file stays as it is"
    assert mend(server, first, 2, {"start": "7"}).json["mended"]["name"] == "Bobby"

    second = retried(server, first)
    assert second["retryOf"] == first
    assert outcomes(second) == {"created": 1, "failed": 2}
    assert second["recordsCount"] == 3
    assert [(error["rowNum"], error["lineNum"]) for error in server.errors(second["id"])] == [
        (3, 4),
        (4, 5),
    ]
    assert names(server) == {"Ann": 1, "Bobby": 1, "Eva": 1}
    results = server.call("GET", f"/bulk/{second['id']}/results").body.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(results)))
    assert [(one["openbulk.row"], one["name"], one["start"]) for one in rows] == [
        ("2", "Bobby", "7"),
        ("3", "Cid", "3"),
        ("4", "Dora", ""),
    ], "the rows of a retry are those that it sends"


def test_a_row_that_could_not_be_read_is_mended_whole(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    reply = mend(server, first, 4, {"start": "4"})
    assert reply.status == 400
    assert "each of its columns, null for an empty one: name, start, fail" in reply.json["message"]
    assert mend(server, first, 4, {"name": "Dora", "start": "4", "fail": ""}).status == 200
    assert outcomes(retried(server, first)) == {"created": 1, "failed": 2}
    assert names(server) == {"Ann": 1, "Dora": 1, "Eva": 1}


def test_a_group_is_mended_at_once_and_retried_alone(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server, HEADER + b"Ann,a-x,no\nBob,b-x,no\nCid,c-x,full\nDora,d-x,no\n")
    groups = server.call("GET", f"/bulk/{first}/errors/groups").json
    group = next(one["id"] for one in groups if one["count"] == 3)
    path = f"/bulk/{first}/rows/mend"
    trial = {"group": group, "column": "fail", "set": None, "dryRun": True}
    done = server.call("POST", path, json_body=trial).json
    assert done == {
        "changed": 3,
        "dryRun": True,
        "examples": [{"rowNum": row, "before": "no", "after": None} for row in (1, 2, 4)],
    }
    assert "mended" not in server.call("GET", f"/bulk/{first}/rows/1").json
    assert server.call("POST", path, json_body={**trial, "dryRun": False}).json["changed"] == 3
    assert server.call("POST", path, json_body={**trial, "dryRun": False}).json["changed"] == 0
    replace = {"rows": [1, 2], "column": "start", "replace": ["-x", "-y"]}
    assert server.call("POST", path, json_body=replace).json["examples"][1]["after"] == "b-y"
    values = {"rows": [1, 2, 4], "column": "start", "values": {"d-x": "d", "b-y": "b"}}
    assert server.call("POST", path, json_body=values).json["changed"] == 2

    second = retried(server, first, {"group": group})
    assert outcomes(second) == {"created": 3}
    found = server.call("GET", "/records").json
    assert [(one["name"], one["start"]) for one in found] == [
        ("Ann", "a-y"),
        ("Bob", "b"),
        ("Dora", "d"),
    ]
    assert outcomes(retried(server, first)) == {"failed": 1}, "the other one, which nobody retries"


def test_results_that_were_mended_outside_are_matched_by_their_row(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server, HEADER + b"Ann,=1,\nBob,=2,no\nCid,,no\nDora\n")
    text = server.call("GET", f"/bulk/{first}/results?kind=failed&guard=true").body.decode(
        "utf-8-sig"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["start"] == "'=2"
    rows[0]["fail"] = rows[1]["fail"] = ""
    rows[1]["start"] = "3"
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows[::-1])
    reply = with_file(server, first, out.getvalue().encode())
    assert reply.status == 400, "the row that nobody has mended"
    assert reply.json["message"].startswith(
        "line 2 of the file: row 4 could not be read, and still has text in openbulk.unread "
        "(the row has 1 cell, the header has 3: the first missing is 'start'; "
    )
    assert reply.json["message"].endswith("; mend it, or leave it out")
    without = "".join(line for line in out.getvalue().splitlines(True) if "Dora" not in line)
    reply = with_file(server, first, without.encode())
    assert reply.status == 200, reply.body
    server.finished(reply.json["id"])
    found = server.call("GET", "/records").json
    assert [(one["name"], one.get("start")) for one in found] == [
        ("Ann", "=1"),
        ("Bob", "=2"),
        ("Cid", "3"),
    ], "an apostrophe of ours goes"


def test_a_file_does_not_change_back_what_was_mended_here(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    file = server.call("GET", f"/bulk/{first}/results?kind=failed").body
    assert mend(server, first, 2, {"fail": ""}).status == 200
    reply = with_file(server, first, file)
    assert reply.status == 409
    assert (
        "which this file would change back (2); retry these rows without" in (reply.json["message"])
    )
    assert retry(server, first).status == 200


def test_a_file_with_the_mended_columns_alone_leaves_the_others(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    file = b'{"openbulk.row": 3, "fail": null}\n'
    reply = with_file(server, first, file)
    assert reply.status == 200, reply.body
    server.finished(reply.json["id"])
    assert names(server) == {"Ann": 1, "Cid": 1, "Eva": 1}
    assert outcomes(retried(server, first)) == {"failed": 2}, "those that were not in the file"


def test_what_cannot_be_retried_is_refused_with_its_line(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    for file, says in (
        (b"fail\n\n,\n", "line"),
        (b"openbulk.row,fail\n1,x\n", "line 2 of the file: row 1 of job"),
        (b"openbulk.row,fail\n2,x\n2,y\n", "line 3 of the file: row 2 comes twice"),
        (b"openbulk.row,fail\n9,x\n", f"line 2 of the file: job {first} has no row 9"),
        (b"openbulk.row,fail\nx,x\n", "openbulk.row is 'x'; it is the number of a row"),
        (b"openbulk.row,fial\n2,x\n", "has no column 'fial'; did you mean 'fail'?"),
    ):
        reply = with_file(server, first, file)
        assert reply.status == 400, (file, reply.body)
        assert says in reply.json["message"], reply.json
    for row, values, status, says in (
        (1, {"fail": ""}, 409, "was written"),
        (9, {"fail": ""}, 404, "the last one is 5"),
        (2, {"fial": ""}, 400, "its columns: name, start, fail"),
        (2, {}, 400, "values"),
    ):
        reply = mend(server, first, row, values)
        assert (reply.status, says in reply.json["message"]) == (status, True), reply.json
    assert retry(server, first, {"kind": ["created"]}).status == 400
    assert retry(server, first, {"group": None}).status == 400
    assert names(server) == {"Ann": 1, "Eva": 1}


def test_rows_that_a_job_retries_are_retried_by_no_other(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    headers = {"Idempotency-Key": "once"}
    second = retry(server, first, headers=headers).json["id"]
    again = retry(server, first, headers=headers)
    assert (again.json["id"], again.headers["idempotent-replayed"]) == (second, "true")
    server.finished(second)
    reply = retry(server, first)
    assert reply.status == 409
    assert reply.json["message"] == (
        f"job {second} retries these rows of job {first}; retry that one"
    )
    assert mend(server, first, 2, {"fail": ""}).status == 409
    assert mend(server, second, 2, {"fail": ""}).status == 200
    third = retried(server, second, {"kind": ["failed"]})
    assert (third["retryOf"], outcomes(third)) == (second, {"created": 1, "failed": 2})
    assert server.call("DELETE", f"/bulk/{second}").status == 200
    assert retry(server, first).status == 409, "what a deleted job has retried is not sent again"
    assert names(server) == {"Ann": 1, "Bob": 1, "Eva": 1}


def test_a_body_or_a_number_that_says_something_else_is_refused(shared_memory: Server) -> None:
    """Nothing of it is taken for what it may mean, and no row is left out in silence."""
    server = shared_memory
    first = job(server)
    one = {"rows": [2], "column": "fail", "set": "x"}
    for body, status, says in (
        ({**one, "rows": [True]}, 400, "body.rows.0 must be a whole number"),
        ({**one, "rows": ["2"]}, 400, "body.rows.0 must be a whole number"),
        ({**one, "dryRun": "yes"}, 400, "body.dryRun must be true or false"),
        ({**one, "dryrun": True}, 400, "body.dryrun is not known"),
        ({**one, "column": 5}, 400, "body.column must be a string"),
        ({"rows": [2], "column": "fail", "replace": None}, 400, 'send one of "set"'),
        ({**one, "rows": [2, 1]}, 409, f"row 1 of job {first} was written"),
        ({**one, "rows": [2, 9]}, 400, f"job {first} has no row 9"),
    ):
        reply = server.call("POST", f"/bulk/{first}/rows/mend", json_body=body)
        assert (reply.status, says in reply.json["message"]) == (status, True), reply.json
    long = {**one, "set": "é" * 300}
    done = server.call("POST", f"/bulk/{first}/rows/mend", json_body=long).json
    assert done["examples"][0]["after"] == "é" * 200 + "…"
    for row in ("a", "-1", "0", "2.0"):
        reply = server.call("GET", f"/bulk/{first}/rows/{row}")
        assert (reply.status, reply.json["message"]) == (
            400,
            f"the number of the row is {row!r}; it must be a whole number of at least 1",
        )
    reply = server.call("PATCH", f"/bulk/{first}", json_body={"priority": True})
    assert (reply.status, reply.json["message"]) == (
        400,
        "body.priority must be a whole number",
    )


def test_columns_are_found_in_any_case_unless_two_are_meant(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server, b"Name,fail,x y,X  Y\nAnn,no,1,2\nBob,no,1,2\n")
    assert mend(server, first, 1, {"NAME": "Anna"}).json["mended"] == {"Name": "Anna"}
    change = {"rows": [1], "column": "Fail", "set": None}
    assert server.call("POST", f"/bulk/{first}/rows/mend", json_body=change).json["changed"] == 1
    for values, says in (
        ({"X y": 1}, "'X y' can mean the column 'x y' or 'X  Y'; write its name exactly"),
        ({"name": "a", "NAME": "b"}, "'Name' is mended twice; send one value for it"),
    ):
        reply = mend(server, first, 2, values)
        assert (reply.status, reply.json["message"]) == (400, says)
    reply = with_file(server, first, b"OPENBULK.ROW,FAIL\n2,\n".replace(b"OPENBULK", b"openbulk"))
    assert reply.status == 400, "the column of the number has its own name"
    assert with_file(server, first, b"openbulk.row,FAIL\n2,\n").status == 200


def test_nothing_is_done_for_an_instance_that_was_deleted(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server)
    assert server.call("DELETE", f"/instances/{server.instance_id}").status == 200
    server = Server(server.process)
    assert server.call("GET", f"/bulk/{first}/results").status == 200
    for reply in (
        retry(server, first),
        with_file(server, first, b"openbulk.row,fail\n2,\n"),
        mend(server, first, 2, {"fail": None}),
        server.call(
            "POST",
            f"/bulk/{first}/rows/mend",
            json_body={"rows": [2], "column": "fail", "set": None},
        ),
        server.call("PUT", f"/bulk/{first}/pause"),
        server.call("PUT", f"/bulk/{first}/resume"),
        server.call("PATCH", f"/bulk/{first}", json_body={"priority": 1}),
    ):
        assert reply.status == 409
        assert f"of job {first} was deleted" in reply.json["message"]
        assert f"/bulk/{first}/results?kind=failed" in reply.json["message"]
    assert server.call("DELETE", f"/bulk/{first}").status == 200


def test_rows_of_an_object_without_keys_are_not_written_twice(shared_memory: Server) -> None:
    server = shared_memory
    first = job(server, FILE, "log")
    for row in (2, 3):
        assert mend(server, first, row, {"fail": ""}).status == 200
    second = retried(server, first)
    assert outcomes(second) == {"created": 2, "failed": 1}
    assert names(server, "log") == {"Ann": 1, "Bob": 1, "Cid": 1, "Eva": 1}


def test_records_of_json_are_mended_by_their_paths(shared_memory: Server) -> None:
    server = shared_memory
    records = [{"name": "Ann", "at": {"day": 4, "hour": 5}, "fail": "no"}, {"name": "Bob"}]
    first = job(server, json.dumps(records).encode())
    deep = mend(server, first, 1, {".".join("a" * 3_000): 6})
    assert (deep.status, "more than 32 steps" in deep.json["message"]) == (400, True)
    for values, says in (
        ({"at": {}, "at.day": 6}, "'at' and 'at.day' are mended, and one is inside of the other"),
        ({"name.first": 6}, "inside 'name', which is not an object in this row"),
        ({"at[0]": 6}, "is an item of a list; mend the list as a whole"),
    ):
        clash = mend(server, first, 1, values)
        assert (clash.status, says in clash.json["message"]) == (400, True), clash.json
    assert mend(server, first, 1, {"at.DAY": 6, "fail": ""}).status == 200
    assert outcomes(retried(server, first)) == {"created": 1}
    found = {one["name"]: one for one in server.call("GET", "/records").json}
    assert found["Ann"]["at"] == {"day": 6, "hour": 5}
    refused = with_file(server, first, b"openbulk.row,name\n1,x\n")
    assert "mend its results in the format jsonl" in refused.json["message"]


def test_an_event_is_mended_and_not_made_twice(
    shared_server: Server, shared_google: Process
) -> None:
    """A date of a series means its series, which the first job has written."""
    server = shared_server.google(shared_google)
    file = (
        b"iCalUID,summary,start.date,end.date,recurrence,originalStartTime.date\n"
        b'choir@x,Choir,2026-06-01,2026-06-02,"[""RRULE:FREQ=DAILY;COUNT=3""]",\n'
        b"choir@x,Choir outside,2026-06-99,2026-06-03,,2026-06-02\n"
        b"band@x,Band,2026-06-99,2026-06-05,,\n"
    )
    first = server.done("events", file, {"action": "upsert"})["id"]
    assert [error["rowNum"] for error in server.errors(first)] == [2, 3]
    for row, day in ((2, "2026-06-02"), (3, "2026-06-04")):
        assert mend(server, first, row, {"start.date": day}).status == 200
    second = retried(server, first)
    assert server.errors(second["id"]) == []
    events = request("GET", f"{shared_google.url}/sandbox/events").json
    found = sorted((one["summary"], one["start"]["date"]) for one in events)
    assert found == [
        ("Band", "2026-06-04"),
        ("Choir", "2026-06-01"),
        ("Choir outside", "2026-06-02"),
    ]
