"""Files are looked at before there is a job for them, and jobs use them again and again."""

import gzip
import hashlib
import json
import time
import uuid
from typing import Any

from support.harness import Reply, Server, multipart

TABLE = (
    "Titel;Datum;Beginn;Gäste;Preis;Mail\n"
    "Elternabend;07.09.2026;19:30;12;1.234,50;ann@example.com\n"
    "Sportfest;08.09.2026;08:00;250;12,00;bo@example.com\n"
    "Kaputt;09.09.2026\n"
    "Ausflug;10.09.2026;07:45;30;;li@example.com\n"
).encode()


def send(server: Server, content: bytes, metadata: Any = None, **headers: str) -> Reply:
    fields = {"metaData": json.dumps(metadata)} if metadata else {}
    body, content_type = multipart(content, fields)
    return server.call(
        "POST", "/files", body=body, headers={"Content-Type": content_type, **headers}
    )


def test_a_file_is_described_at_once(shared_memory: Server) -> None:
    file = send(shared_memory, TABLE).json
    types = {column["name"]: column["types"] for column in file["columns"]}
    assert (file["format"], file["delimiter"], file["headerRow"]) == ("csv", ";", 1)
    assert (file["encoding"], file["rows"], file["brokenRows"]) == ("utf-8", 4, 1)
    assert file["complete"] is True
    assert types == {
        "Titel": [{"type": "text", "share": 1.0}],
        "Datum": [{"type": "date", "share": 1.0, "detail": "DMY"}],
        "Beginn": [{"type": "time", "share": 1.0}],
        "Gäste": [{"type": "number", "share": 1.0}],
        "Preis": [{"type": "number", "share": 1.0, "detail": ","}],
        "Mail": [{"type": "email", "share": 1.0}],
    }
    price = next(column for column in file["columns"] if column["name"] == "Preis")
    assert (price["filled"], price["distinct"]) == (0.6667, 2)
    assert price["samples"] == ["1.234,50", "12,00"]


def test_rows_are_listed_by_page_with_those_that_are_broken(shared_memory: Server) -> None:
    file_id = send(shared_memory, TABLE).json["id"]
    reply = shared_memory.call("GET", f"/files/{file_id}/rows?from=2&limit=2")
    assert [(row["row"], row["line"]) for row in reply.json] == [(2, 3), (3, 4)]
    assert reply.json[0]["values"]["Titel"] == "Sportfest"
    assert "the first missing is 'Beginn'" in reply.json[1]["problem"]
    following = reply.headers["elements-next-page-token"]
    reply = shared_memory.call("GET", f"/files/{file_id}/rows?from={following}")
    assert [row["row"] for row in reply.json] == [4]
    assert "elements-next-page-token" not in reply.headers


def test_several_jobs_use_one_file(shared_memory: Server) -> None:
    file_id = send(shared_memory, TABLE).json["id"]
    for _ in range(2):
        body = {"metaData": {"fileId": file_id, "action": "create"}}
        job = shared_memory.call("POST", "/bulk/records", json_body=body).json
        status = shared_memory.finished(job["id"])
        assert (status["status"], status["recordsFailedCount"]) == ("COMPLETE", 1)


def test_the_whole_file_is_described_once_it_is_read(shared_memory: Server) -> None:
    lines = b"".join(b"%d,2026-01-%02d\n" % (row, row % 28 + 1) for row in range(1, 30_001))
    file = send(shared_memory, b"id,day\n" + lines).json
    assert (file["complete"], file["rows"]) == (False, 1_000)
    file = read_whole(shared_memory, file["id"])
    assert file["rows"] == 30_000
    assert 20_000 < file["columns"][0]["distinct"] < 40_000
    assert file["columns"][1]["distinct"] == 28
    last = shared_memory.call("GET", f"/files/{file['id']}/rows?from=30000").json
    assert [row["values"]["id"] for row in last] == ["30000"]


def read_whole(server: Server, file_id: str) -> Any:
    """The file, once all of it is read."""
    deadline = time.monotonic() + 300
    while not (file := server.call("GET", f"/files/{file_id}").json)["complete"]:
        assert time.monotonic() < deadline, file
        time.sleep(0.02)
    return file


def test_what_a_file_leaves_open_is_asked_and_a_job_of_it_is_refused(shared_memory: Server) -> None:
    """With the same sentence; the key of the question answers it."""
    file = send(shared_memory, "name,town\nPaweł,Łódź\n".encode("cp1250")).json
    (question,) = file["questions"]
    assert (question["key"], question["required"]) == ("encoding", True)
    readings = {one["value"]: one["shown"] for one in question["choices"]}
    assert readings["windows-1250"] == "Paweł,Łódź"
    assert (file["complete"], file["columns"], file["error"]) == (True, [], question["message"])
    use = {"fileId": file["id"], "action": "create"}
    reply = shared_memory.call("POST", "/bulk/records", json_body=use)
    assert (reply.status, reply.json["message"]) == (400, question["message"])
    use["encoding"] = "windows-1250"
    job = shared_memory.call("POST", "/bulk/records", json_body=use).json
    assert shared_memory.finished(job["id"])["recordsCount"] == 1


def test_an_open_order_of_dates_has_an_example_from_the_file(shared_memory: Server) -> None:
    (question,) = send(shared_memory, b"name,day\nAnn,05/06/2026\n").json["questions"]
    assert question["key"] == "dateOrder"
    assert question["example"] == {"row": 1, "column": "day", "text": "05/06/2026"}
    assert [one["value"] for one in question["choices"]] == ["DMY", "MDY"]
    answered = send(shared_memory, b"name,day\nAnn,05/06/2026\n", {"dateOrder": "DMY"}).json
    assert answered["questions"] == []


def test_a_stated_header_row_is_used_by_jobs_of_the_file(shared_memory: Server) -> None:
    table = b"Class 5a\nname,town\nAnn,Bonn\n"
    file = send(shared_memory, table, {"headerRow": 2}).json
    assert (file["headerRow"], [one["name"] for one in file["columns"]]) == (2, ["name", "town"])
    assert file["notes"] == ["row 1 above the header, row 2, are no records: 'Class 5a'"]
    (row,) = shared_memory.call("GET", f"/files/{file['id']}/rows").json
    assert (row["line"], row["values"]) == (3, {"name": "Ann", "town": "Bonn"})
    use = {"fileId": file["id"], "action": "create"}
    job = shared_memory.call("POST", "/bulk/records", json_body=use).json
    assert shared_memory.finished(job["id"])["recordsFailedCount"] == 0


def test_a_body_may_be_the_file_itself(shared_memory: Server) -> None:
    content = gzip.compress(TABLE)
    reply = shared_memory.call("POST", "/files?name=termine.csv.gz", body=content)
    assert (reply.json["name"], reply.json["format"], reply.json["rows"]) == (
        "termine.csv.gz",
        "csv",
        4,
    )
    assert reply.json["digest"] == hashlib.sha256(content).hexdigest()


def test_a_repeated_request_gets_its_file(shared_memory: Server) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = (send(shared_memory, TABLE, **key) for _ in range(2))
    assert first.json["id"] == second.json["id"]
    assert second.headers["idempotent-replayed"] == "true"
    assert send(shared_memory, TABLE + b"\n", **key).status == 409


def test_a_file_is_seen_by_its_instance_alone_until_it_is_deleted(shared_memory: Server) -> None:
    file_id = send(shared_memory, TABLE).json["id"]
    other = shared_memory.instance("memory", {"space": uuid.uuid4().hex})
    use = {"fileId": file_id, "action": "create"}
    assert other.call("GET", f"/files/{file_id}").status == 404
    assert other.call("POST", "/bulk/records", json_body=use).status == 404
    assert file_id not in [one["id"] for one in other.call("GET", "/files").json]
    both = shared_memory.upload("records", TABLE, use)
    assert (both.status, "leave one of them out" in both.json["message"]) == (400, True)
    assert shared_memory.call("DELETE", f"/files/{file_id}").status == 200
    assert shared_memory.call("GET", f"/files/{file_id}/rows").status == 404
    assert shared_memory.call("POST", "/bulk/records", json_body=use).status == 404


# --- read in another way ---

OPEN_TABLE = b"name,town;born\nLi,Bonn;1990\nBo,Bern;1991\n"


def change(server: Server, file_id: str, **metadata: Any) -> Reply:
    return server.call("PATCH", f"/files/{file_id}", json_body={"metaData": metadata})


def test_an_answer_to_what_a_file_leaves_open_reads_it_again(shared_memory: Server) -> None:
    """Its rows, its mapping and the jobs that use it."""
    file = send(shared_memory, OPEN_TABLE).json
    (question,) = file["questions"]
    answers = [one["value"] for one in question["choices"]]
    assert (question["key"], answers) == ("delimiter", ["comma", "semicolon"])
    use = {"fileId": file["id"], "action": "create"}
    refused = shared_memory.call("POST", "/bulk/records", json_body=use)
    assert (refused.status, refused.json["message"]) == (400, question["message"])
    changed = change(shared_memory, file["id"], delimiter="Semicolon").json
    assert (changed["delimiter"], changed["questions"], changed["rows"]) == (";", [], 2)
    assert changed["metaData"] == {"delimiter": "Semicolon"}
    rows = shared_memory.call("GET", f"/files/{file['id']}/rows").json
    assert rows[0]["values"] == {"name,town": "Li,Bonn", "born": "1990"}
    proposal = shared_memory.call("GET", f"/files/{file['id']}/mapping?object=records").json
    assert set(proposal["mapping"]) == {"name,town", "born"}
    job = shared_memory.call("POST", "/bulk/records", json_body=use).json
    assert shared_memory.finished(job["id"])["recordsCount"] == 2


def test_a_file_read_in_another_way_is_read_to_its_end_again(shared_memory: Server) -> None:
    """Also if its rows are still being read in the first way."""
    lines = b"".join(b"%d,x;y\n" % row for row in range(1, 20_001))
    file = send(shared_memory, b"id,a;b\n" + lines, {"delimiter": ","}).json
    assert file["complete"] is False
    assert change(shared_memory, file["id"], delimiter=";").json["complete"] is False
    file = read_whole(shared_memory, file["id"])
    assert ([one["name"] for one in file["columns"]], file["rows"]) == (["id,a", "b"], 20_000)
    last = shared_memory.call("GET", f"/files/{file['id']}/rows?from=20000").json
    assert [row["values"] for row in last] == [{"id,a": "20000,x", "b": "y"}]


def test_null_takes_an_answer_back(shared_memory: Server) -> None:
    file = send(shared_memory, b"name,day\nAnn,05/06/2026\n", {"dateOrder": "DMY"}).json
    assert file["questions"] == []
    changed = change(shared_memory, file["id"], dateOrder=None).json
    assert [one["key"] for one in changed["questions"]] == ["dateOrder"]
    assert changed["metaData"] == {}


def test_a_change_that_cannot_be_is_refused_with_what_can(shared_memory: Server) -> None:
    """And the file stays as it is."""
    file = send(shared_memory, TABLE).json
    for metadata, says in (
        ({"dateOrder": "YDM"}, "it can be MDY, DMY, YMD"),
        ({"decimal": "x"}, 'it is "." (1,234.50) or'),
        ({"sheet": "Plan"}, "has no effect on a file in csv; it takes format, encoding, delimiter"),
        ({"headerRow": 99}, "the file has 5 lines"),
        ({"encoding": "klingon"}, "klingon"),
        ({"action": "create"}, "takes no key 'action'"),
        ({}, "metaData"),
    ):
        reply = change(shared_memory, file["id"], **metadata)
        assert (reply.status, says in reply.json["message"]) == (400, True), reply.json
    assert shared_memory.call("GET", f"/files/{file['id']}").json == file


# --- numbers ---


def test_a_decimal_sign_that_no_number_shows_is_asked_for(shared_memory: Server) -> None:
    (question,) = send(shared_memory, b"name;price\nAnn;1.234\nBo;5\n").json["questions"]
    assert (question["key"], question["required"]) == ("decimal", True)
    assert question["choices"] == [
        {"value": ".", "shown": "1.234"},
        {"value": ",", "shown": "1234"},
    ]
    assert question["example"] == {"row": 1, "column": "price", "text": "1.234"}
    for others in (b"Bo;5,5\n", b"Bo;12.345,10\n"):
        assert send(shared_memory, b"name;price\nAnn;1.234\n" + others).json["questions"] == []
    shown_beside = b"name;price;fee\nAnn;1.234;0,50\n"
    assert send(shared_memory, shown_beside).json["questions"] == []
