"""Downloads: the records of a query come as a file, whatever happens on the way."""

import csv
import io
import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from support.google_sandbox import events_csv
from support.harness import Process, Processes, Reply, Server, request
from support.receiver import Receiver

CALENDAR = b"""summary,start.dateTime,start.timeZone,end.dateTime,end.timeZone,\
recurrence,attendees[0].email
Maths,2026-09-07T08:00:00,Europe/Berlin,2026-09-07T08:45:00,Europe/Berlin,\
RRULE:FREQ=WEEKLY;COUNT=10,bob@example.com
Flight,2026-09-20T10:00:00,Europe/Berlin,2026-09-20T13:00:00,America/New_York,,
"""


@pytest.fixture
def sandbox(shared_google: Process) -> Process:
    return shared_google


@pytest.fixture
def server(shared_server: Server, sandbox: Process) -> Server:
    """An instance for this test alone."""
    return shared_server.google(sandbox)


def post_query(server: Server, query: str, **parameters: str) -> Reply:
    """Post a query as most clients do: in the address, without a body."""
    more = "".join(f"&{name}={quote(value)}" for name, value in parameters.items())
    return server.call("POST", f"/bulk/query?q={quote(query)}{more}")


def run_query(server: Server, query: str, **parameters: str) -> Any:
    reply = post_query(server, query, **parameters)
    assert reply.status == 200, reply.body
    return server.finished(reply.json["id"])


def fetched(server: Server, job_id: str, accept: str = "", object: str = "events") -> Reply:
    return server.call(
        "GET", f"/bulk/{job_id}/{object}", headers={"Accept": accept} if accept else {}
    )


def rows(server: Server, query: str, **parameters: str) -> list[dict[str, str]]:
    status = run_query(server, query, **parameters)
    assert status["status"] == "COMPLETE", status
    reply = fetched(server, status["id"])
    assert reply.status == 200, reply.body
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


def test_a_query_is_posted_and_its_file_fetched(server: Server) -> None:
    """The answer, the status and the file are as the contract has them."""
    server.done("events", events_csv(3))
    reply = post_query(server, "select id, summary, start.date from events")
    assert reply.json.keys() == {"id", "status", "instanceId"}
    status = server.finished(reply.json["id"])
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        3,
        0,
    )
    assert (status["job_direction"], status["object_name"], status["fileFormat"]) == (
        "DOWNLOAD",
        "events",
        "csv",
    )
    file = fetched(server, status["id"])
    assert file.headers["content-type"] == "text/csv"
    assert file.body.endswith(b"\n")
    header, *lines = file.body.decode().splitlines()
    assert header == "id,summary,start.date"
    assert [line.split(",")[1] for line in lines] == ["Lesson 1", "Lesson 2", "Lesson 3"]


def test_a_condition_selects_records_and_a_limit_bounds_them(server: Server) -> None:
    """openbulk checks conditions; the service checks its own parameters."""
    server.done("events", events_csv(30))
    assert len(rows(server, "select * from events where summary like 'Lesson 1%'")) == 11
    assert (
        len(rows(server, "select summary from events where start.date >= 2026-09-20 limit 4")) == 4
    )
    assert [
        one["summary"] for one in rows(server, "select summary from events where q = 'Lesson 17'")
    ] == ["Lesson 17"]


def test_records_come_in_the_order_of_the_query(server: Server) -> None:
    """By several fields, descending or ascending; the limit takes the first of them."""
    server.done("events", events_csv(60))
    found = rows(
        server, "select summary, start.date from events order by start.date desc, summary limit 4"
    )
    assert [(one["start.date"], one["summary"]) for one in found] == [
        ("2026-09-28", "Lesson 27"),
        ("2026-09-28", "Lesson 55"),
        ("2026-09-27", "Lesson 26"),
        ("2026-09-27", "Lesson 54"),
    ]
    job_id = run_query(server, "select summary from events order by summary limit 2")["id"]
    assert server.status(job_id)["recordsCount"] == 2
    reply = server.call("POST", f"/bulk/query?continueFromJobId={job_id}")
    assert (reply.status, "remove `order by`" in reply.json["message"]) == (400, True)


def test_a_query_that_is_wrong_is_refused_with_the_part_that_is_wrong(server: Server) -> None:
    """It makes no job."""
    for query, part in (
        (
            "select * from evnts",
            "there is no object 'evnts' to read; did you mean 'events'?",
        ),
        ("select sumary from events", "has no field 'sumary'; did you mean 'summary'?"),
        (
            "select id from events order by summary",
            "order by summary needs summary among the selected fields",
        ),
        ("select * from events order by sumary", "has no field 'sumary'; did you mean 'summary'?"),
        ("", "q is missing"),
    ):
        reply = post_query(server, query)
        assert reply.status == 400
        assert part in reply.json["message"]


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("query", {"query": 5}, "is not understood"),
        (
            "query",
            {"query": "select id from events", "metaData": 5},
            "metaData is not a JSON object",
        ),
        (
            "query",
            {"query": "select id from events", "fileFormat": "pdf"},
            "fileFormat 'pdf' is not known",
        ),
        (
            "query",
            {"query": "select id from events", "from": "yesterday"},
            "from is 'yesterday'; it looks like 2026",
        ),
        ("query", {"continueFromJobId": 999}, "this instance has no bulk job 999"),
        ("query", [], "the body is not a JSON object"),
        ("download", {}, "objectName is missing"),
        ("download", {"objectName": "events", "selectFields": ["id"]}, "is not understood"),
        (
            "download",
            {"objectName": "events", "limit": -1},
            "limit is '-1'; it must be a whole number",
        ),
        (
            "download",
            {"objectName": "events", "query": "x"},
            "query is not a JSON object of parameters",
        ),
        (
            "download",
            {"objectName": "events", "docsHubDetails": {"path": "/x"}},
            "docsHubDetails is not possible",
        ),
        (
            "download",
            {"objectName": "events", "where": "showDeleted > 1"},
            "showDeleted is a parameter of the service",
        ),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_part_that_is_wrong(
    server: Server, path: str, body: Any, part: str
) -> None:
    """Never with a 500."""
    reply = server.call("POST", f"/bulk/{path}", json_body=body)
    assert reply.status in {400, 404}, reply.body
    assert part in reply.json["message"]


def test_a_query_may_come_in_any_way_that_clients_use(server: Server) -> None:
    """In the address, as JSON, as plain text, in a form, and as version 3."""
    server.done("events", events_csv(2))
    query = "select id from events"
    head = b'--b\r\nContent-Disposition: form-data; name="metaData"\r\n\r\n'
    form = head + b'{"fileName": "x"}\r\n--b--\r\n'
    path = f"/bulk/query?q={quote(query)}&where="
    replies = [
        server.call("POST", path),
        server.call("POST", "/bulk/query", json_body={"query": query, "headerData": {}}),
        server.call(
            "POST",
            "/bulk/query",
            body=query.encode(),
            headers={"Content-Type": "text/plain;charset=UTF-8"},
        ),
        server.call(
            "POST", path, body=form, headers={"Content-Type": "multipart/form-data; boundary=b"}
        ),
        server.call("POST", "/hubs/scheduling/bulk/query?q=" + quote(query)),
        server.call(
            "POST",
            "/bulk/download",
            json_body={"objectName": "events", "selectFields": "id", "format": "txt/csv"},
        ),
    ]
    for reply in replies:
        assert reply.status == 200, reply.body
        server.finished(reply.json["id"])
        assert len(fetched(server, reply.json["id"], "text/csv").body.splitlines()) == 3


def test_version_3_has_its_own_keys_and_one_format(server: Server) -> None:
    """As the documentation of the contract shows them."""
    server.done("events", events_csv(3))
    body = {
        "objectName": "events",
        "format": "application/json",
        "where": "summary != 'Lesson 2'",
        "limit": 1,
    }
    job_id = server.call("POST", "/bulk/download", json_body=body).json["id"]
    status = server.finished(job_id)
    assert (status["jobStatus"], status["recordCount"], status["jobDirection"]) == (
        "COMPLETE",
        1,
        "DOWNLOAD",
    )
    assert (status["fileFormat"], status["jobCriteria"], status["id"]) == (
        "JSON",
        body,
        int(job_id),
    )
    assert [one["summary"] for one in fetched(server, job_id, "application/json").json] == [
        "Lesson 1"
    ]
    refused = fetched(server, job_id, "text/csv")
    assert (refused.status, "send Accept: application/json" in refused.json["message"]) == (
        400,
        True,
    )


@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "xlsx", "ics", "googlecsv"])
def test_a_download_that_is_uploaded_again_writes_nothing(
    server: Server, sandbox: Process, name: str
) -> None:
    """In every format: all-day and recurring events, with guests, across time zones."""
    assert server.done("events", CALENDAR)["recordsFailedCount"] == 0
    server.done("events", b"summary,start.date,end.date\nCamp,2026-09-14,2026-09-19\n")
    status = run_query(server, "select * from events", fileFormat=name)
    assert status["fileFormat"] == name
    file = fetched(server, status["id"])
    assert file.status == 200
    before = request("GET", f"{sandbox.url}/sandbox/stats").json["by_method"]
    again = server.done("events", file.body, {"action": "upsert"})
    assert (again["recordsCount"], again["recordsFailedCount"]) == (3, 0), again
    after = request("GET", f"{sandbox.url}/sandbox/stats").json["by_method"]
    assert {method: after[method] for method in after if method != "GET"} == {
        method: before[method] for method in before if method != "GET"
    }
    assert request("GET", f"{sandbox.url}/sandbox/violations").json == []


def test_the_accept_header_chooses_the_format(server: Server) -> None:
    """CSV without the header; an unknown format is refused."""
    server.done("events", events_csv(2))
    job_id = run_query(server, "select summary from events")["id"]
    expected = [{"summary": "Lesson 1"}, {"summary": "Lesson 2"}]
    assert fetched(server, job_id, "application/json").json == expected
    lines = fetched(server, job_id, "application/jsonl").body.splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert fetched(server, job_id, "text/html, */*;q=0.8").headers["content-type"] == "text/csv"
    assert fetched(server, job_id, "image/png").status == 400


def test_an_instance_may_have_json_as_lines(server: Server, sandbox: Process) -> None:
    """Its configuration says so."""
    server = server.google(sandbox, **{"bulk.json.lines": "true"})
    server.done("events", events_csv(2))
    job_id = run_query(server, "select summary from events")["id"]
    assert (
        fetched(server, job_id, "application/json").body
        == b'{"summary":"Lesson 1"}\n{"summary":"Lesson 2"}\n'
    )


def test_records_also_come_in_pages(server: Server) -> None:
    """With a token as long as there are more."""
    server.done("events", events_csv(5))
    job_id = run_query(server, "select summary from events")["id"]
    first = server.call("GET", f"/bulk/{job_id}/events/data?pageSize=3&nextPage=")
    rest = server.call(
        "GET", f"/bulk/{job_id}/events/data?nextPage={first.headers['elements-next-page-token']}"
    )
    assert [one["summary"][-1] for one in [*first.json, *rest.json]] == list("12345")
    assert "elements-next-page-token" not in rest.headers


def test_a_job_continues_where_another_ended(server: Server) -> None:
    """Each has its limit. After the last record comes an empty file."""
    server.done("events", events_csv(5))
    seen: list[str] = []
    job_id = run_query(server, "select summary from events limit 2")["id"]
    for _ in range(4):
        file = fetched(server, job_id, "application/json").json
        seen += [one["summary"][-1] for one in file]
        reply = server.call("POST", f"/bulk/query?continueFromJobId={job_id}")
        assert reply.status == 200, reply.body
        job_id = reply.json["id"]
        server.finished(job_id)
    assert seen == list("12345")


def test_a_job_reads_no_more_pages_than_its_limit(server: Server) -> None:
    """Another job continues after them."""
    server.done("events", events_csv(10))
    body = {"objectName": "events", "format": "txt/csv", "pageSize": 2, "apiLimit": 3}
    first = server.call("POST", "/bulk/download", json_body=body).json["id"]
    assert server.finished(first)["recordCount"] == 6
    rest = server.call("POST", "/bulk/download", json_body={"continueFromJobId": first}).json["id"]
    assert server.finished(rest)["recordCount"] == 4


def test_a_file_has_the_name_that_its_query_gives_it(server: Server) -> None:
    """The name may hold the date. Characters that could lead out of a folder are replaced."""
    for name, expected in (
        ("{yyyy}_events", 'attachment; filename="20'),
        ("{ä}../../x", "attachment; filename=\"_.._.._x.csv\"; filename*=UTF-8''%C3%A4.._.._x.csv"),
        ("events.csv", 'attachment; filename="events.csv"'),
    ):
        metadata = quote(json.dumps({"fileName": name}))
        job_id = server.call(
            "POST", f"/bulk/query?q=select%20*%20from%20events&metaData={metadata}"
        ).json["id"]
        server.finished(job_id)
        reply = server.call("GET", f"/bulk/{job_id}/events", headers={"Accept": "text/csv"})
        assert reply.headers["content-disposition"].startswith(expected)


def test_the_callback_of_a_download_brings_the_payload_back(
    server: Server, receiver: Receiver
) -> None:
    """As that of an upload; the payload comes in metaData."""
    metadata = quote(json.dumps({"callback-payload": {"run": 7}}))
    headers = {"Elements-Async-Callback-URL": receiver.url}
    made = server.call(
        "POST", f"/bulk/query?q=select%20*%20from%20events&metaData={metadata}", headers=headers
    ).json
    receiver.wait_for(1)
    notification = json.loads(receiver.received[0].body)
    assert (notification["id"], notification["callback-payload"]) == (made["id"], {"run": 7})


def test_only_records_changed_since_a_date_are_read(server: Server) -> None:
    """By the date of change that the service keeps."""
    server.done("events", events_csv(3))
    time.sleep(0.05)
    moment = (
        server.status(run_query(server, "select id from events")["id"])["bulk_finish_time"] / 1000
    )
    since = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{round(moment % 1 * 1000):03}Z"
    )
    time.sleep(0.05)
    server.done("events", b"summary,start.date,end.date\nLate,2026-09-14,2026-09-19\n")
    assert [one["summary"] for one in rows(server, "select * from events", **{"from": since})] == [
        "Late"
    ]
    assert len(rows(server, "select * from events", to=since)) == 3
    before = {"from": "2014-10-06T13:22:17-08:00"}
    assert len(rows(server, "select * from events", **before)) == 4, (
        "Google lists changes for some weeks only"
    )
    reply = post_query(server, "select * from calendars", **{"from": since})
    assert (reply.status, "has no date of change" in reply.json["message"]) == (
        400,
        True,
    )


def test_a_file_that_cannot_be_fetched_says_why(server: Server) -> None:
    """That of an upload, of a job that does not exist, of one that failed."""
    upload = server.done("events", events_csv(1))
    assert fetched(server, upload["id"]).status == 400
    assert fetched(server, "999").status == 404
    status = run_query(server, "select * from calendars/nobody@x.y/events")
    assert status["status"] == "ERROR"
    reply = fetched(server, status["id"])
    assert (reply.status, "ended as ERROR" in reply.json["message"]) == (409, True)


def test_other_objects_and_paths_are_read(server: Server) -> None:
    """By their names, and by the path of a calendar."""
    server.done("calendars", b"summary\nClass 7a\n")
    found = rows(server, "select * from calendars")
    assert [one["summary"] for one in found] == ["ann@example.com", "Class 7a"]
    server.done(f"calendars/{found[1]['id']}/events", events_csv(2))
    assert len(rows(server, f"select * from calendars/{found[1]['id']}/events")) == 2
    assert len(rows(server, f"select * from events where calendarId = '{found[1]['id']}'")) == 2
    assert rows(server, "select * from events") == []


def test_a_callback_url_that_cannot_be_called_is_refused(server: Server) -> None:
    """Before the query makes a job."""
    reply = server.call(
        "POST",
        "/bulk/query?q=select+id+from+events",
        headers={"Elements-Async-Callback-Url": "ftp://x"},
    )
    assert reply.status == 400


@pytest.mark.long
def test_a_download_loses_and_doubles_nothing_when_the_server_is_killed(
    processes: Processes,
) -> None:
    """Between its pages, and while the service fails."""
    sandbox = processes.sandbox("google", "--latency-ms", "30")
    server = processes.server().google(sandbox)
    server.done("events", events_csv(3000), within=120)
    request(
        "POST",
        f"{sandbox.url}/sandbox/faults",
        json_body={"spec": "drop-after=0.1,error-503=0.1,seed=3"},
    )
    body = {
        "objectName": "events",
        "selectFields": "summary",
        "format": "application/json",
        "pageSize": 50,
    }
    job_id = server.call("POST", "/bulk/download", json_body=body).json["id"]
    for _ in range(2):
        time.sleep(1.0)
        port = int(server.process.url.rpartition(":")[2])
        server.process.kill()
        server = Server(processes.server(port=port).process, server.element_token)
    assert server.finished(job_id, within=120)["recordCount"] == 3000
    summaries = [one["summary"] for one in fetched(server, job_id, "application/json").json]
    assert sorted(summaries) == sorted(f"Lesson {number}" for number in range(1, 3001))


def test_the_jobs_of_an_instance_are_listed(server: Server, sandbox: Process) -> None:
    """Newest first, by a condition, in pages, without those of other instances."""
    upload = server.done("events", events_csv(3))
    download = run_query(server, "select id from events limit 2")
    other = server.google(sandbox)
    run_query(other, "select id from calendars")
    listed = server.call("GET", "/bulk/jobs").json
    assert [(job["id"], job["job_direction"], job["record_count"]) for job in listed] == [
        (int(download["id"]), "DOWNLOAD", 2),
        (int(upload["id"]), "UPLOAD", 3),
    ]
    assert listed[0]["job_query"] == "select id from events limit 2"
    where = quote("job_direction = 'UPLOAD' and record_count >= 3")
    assert server.call("GET", f"/bulk/jobs?where={where}&fields=id").json == [
        {"id": int(upload["id"])}
    ]
    first = server.call("GET", "/bulk/jobs?pageSize=1")
    rest = server.call(
        "GET", f"/bulk/jobs?pageSize=1&nextPage={first.headers['elements-next-page-token']}"
    )
    assert [job["id"] for job in [*first.json, *rest.json]] == [job["id"] for job in listed]
    assert "elements-next-page-token" not in rest.headers
    assert server.call("GET", f"/bulk/jobs?where={quote('colour = 1')}").status == 400
    detail = server.call("GET", f"/bulk/{upload['id']}").json
    assert detail.pop("outcomes")["created"] == 3
    more = {"recordsTotal": 3, "paused": False, "priority": 0, "createdBy": 1}
    assert detail == {**upload, **more}


def test_contacts_come_from_eloqua_in_bulk(processes: Processes, server: Server) -> None:
    """Under their field names. Only the fields of the query are exported."""
    sandbox = processes.sandbox("eloqua")
    contacts = server.eloqua(sandbox)
    people = [
        "C_EmailAddress,C_FirstName,C_City",
        "ann@example.com,Ann,Bonn",
        "bob@example.com,Bob,",
    ]
    contacts.done("contact", "\n".join([*people, "cara@example.com,Cara,Ulm"]).encode())
    found = rows(
        contacts, "select C_FirstName, C_EmailAddress from contact where C_City is not null"
    )
    assert found == [
        {"C_FirstName": "Ann", "C_EmailAddress": "ann@example.com"},
        {"C_FirstName": "Cara", "C_EmailAddress": "cara@example.com"},
    ]
    assert {"id", "C_EmailAddress", "C_DateModified"} <= rows(
        contacts, "select * from contact limit 1"
    )[0].keys()
    assert len(rows(contacts, "select id from contact", **{"from": "2020-01-01T00:00:00Z"})) == 3
    assert rows(contacts, "select id from contact", **{"from": "2090-01-01T00:00:00Z"}) == []
    reply = post_query(contacts, "select C_EmailAdress from contact")
    assert (reply.status, "did you mean 'C_EmailAddress'?" in reply.json["message"]) == (400, True)
