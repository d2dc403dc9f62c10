"""Files are looked at before there is a job for them, and jobs use them again and again."""

import json
import time
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
