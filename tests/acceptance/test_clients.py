"""Programs that were written for the service that we replace work with openbulk, unchanged.

Each test replays the requests of one published client, in its order and with its headers.
"""

import json
import time
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from support.harness import BASE_PATH, SLOWER, Processes, Server, multipart, request

STATUS_KEYS = {
    *(
        "id",
        "instanceId",
        "status",
        "object_name",
        "job_direction",
        "recordsCount",
        "recordsFailedCount",
        "fileFormat",
    ),
    *(
        "fileSize",
        "metadata",
        "vendorJobId",
        "requestId",
        "bulk_start_time",
        "bulk_finish_time",
        "infoMessage",
    ),
    *("message", "error"),
}
"""What a Java client's class has fields for; it breaks on any other key."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all clients here."""
    with Processes(tmp_path_factory.mktemp("live")) as processes:
        yield processes.server(OPENBULK_COMPATIBILITY="live")


@pytest.fixture
def server(live: Server) -> Server:
    """An instance for one client, in a space of its own."""
    return live.instance("memory", {"space": uuid.uuid4().hex})


POLL = 0.1
"""Seconds between two looks at a job; most clients take half a second."""


def polled(server: Server, path: str, every: float) -> dict[str, object]:
    """As clients do: at once, and then again and again."""
    for _ in range(round(300 / every)):
        status: dict[str, object] = server.call("GET", path).json
        if status["status"] == "COMPLETED":
            return status
        time.sleep(every)
    raise AssertionError(status)


def test_the_vendors_own_tests_of_uploads_and_downloads(server: Server) -> None:
    """They send a hub prefix, metaData before or after the file, and a stray `where`."""
    for first in (True, False):
        body, kind = multipart(
            b"name\nAnn\nBob\n", {"metaData": json.dumps({"format": "csv"})}, metadata_first=first
        )
        made = server.call(
            "POST", "/hubs/general/bulk/records", body=body, headers={"Content-Type": kind}
        )
        assert (made.status, made.json["status"], "message" in made.json) == (200, "CREATED", False)
        status = polled(server, f"/hubs/general/bulk/{made.json['id']}/status", POLL)
        assert (status["recordsCount"], status["recordsFailedCount"]) == (2, 0)
    query = quote("select * from records")
    path = f"/hubs/general/bulk/query?q={query}&where=&lastRunDate="
    job_id = server.call("POST", path, headers={"Content-Length": "0"}).json["id"]
    polled(server, f"/hubs/general/bulk/{job_id}/status", POLL)
    native = quote('{"convertToNativeType":"false"}')
    for accept in ("text/csv", "application/json", "application/jsonl"):
        reply = server.call(
            "GET", f"/hubs/general/bulk/{job_id}/records?json={native}", headers={"Accept": accept}
        )
        assert (reply.status, reply.headers["content-type"]) == (200, accept)
        assert reply.body.count(b"Ann") == 2


def test_the_vendors_own_test_of_an_object_that_is_not_there(server: Server) -> None:
    """An error for each row, in two pages."""
    body, kind = multipart(b"name\n" + b"x\n" * 37, {})
    job_id = server.call(
        "POST", "/hubs/crm/bulk/bad", body=body, headers={"Content-Type": kind}
    ).json["id"]
    assert polled(server, f"/hubs/crm/bulk/{job_id}/status", POLL)["recordsFailedCount"] == 37
    first = server.call("GET", f"/hubs/crm/bulk/{job_id}/errors?pageSize=30")
    assert (len(first.json), first.headers["elements-returned-count"]) == (30, "30")
    token = first.headers["elements-next-page-token"]
    second = server.call("GET", f"/hubs/crm/bulk/{job_id}/errors?pageSize=30&nextPage={token}")
    assert (len(second.json), "elements-next-page-token" in second.headers) == (7, False)
    older = server.call("GET", f"/hubs/crm/bulk/{job_id}/errors?pageSize=30&page=2&fields=rowNum")
    assert older.json == [{"rowNum": one["rowNum"]} for one in second.json]
    for name, options in (
        ("records", {"action": "upsert", "identifierFieldName": "no such column"}),
        ("log", {"action": "delete"}),
    ):
        body, kind = multipart(b"name\nx\n", {"metaData": json.dumps(options)})
        job_id = server.call(
            "POST", f"/bulk/{name}", body=body, headers={"Content-Type": kind}
        ).json["id"]
        assert polled(server, f"/bulk/{job_id}/status", POLL)["recordsFailedCount"] == 1


def test_the_vendors_own_test_of_a_cancelled_job(server: Server) -> None:
    """Within three seconds the job is CANCELLED, even if it had finished before."""
    body, kind = multipart(b"name\nAnn\n", {})
    job_id = server.call("POST", "/bulk/records", body=body, headers={"Content-Type": kind}).json[
        "id"
    ]
    assert (
        server.call("PUT", f"/bulk/{job_id}/cancel", headers={"Content-Length": "0"}).status == 200
    )
    deadline = time.monotonic() + 3 * SLOWER
    while (status := server.status(job_id)["status"]) != "CANCELLED":
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def test_the_python_client(server: Server) -> None:
    """It sends a content type without a body, and its upload is in truth a query with a fault."""
    server.done("records", b"name\nAnn\nBob\nCara\n")
    plain = {"Content-Type": "text/plain;charset=UTF-8"}
    query = quote("select * from records limit 2")
    made = server.call("POST", f"/hubs/crm/bulk/query?q={query}&fileFormat=csv", headers=plain)
    first = polled(server, f"/hubs/crm/bulk/{made.json['id']}/status", POLL)
    assert (first["recordsCount"], first["fileFormat"]) == (2, "csv")
    made = server.call(
        "POST",
        f"/hubs/crm/bulk/query?continueFromJobId={first['id']}&fileFormat=csv",
        headers=plain,
    )
    second = polled(server, f"/hubs/crm/bulk/{made.json['id']}/status", POLL)
    assert second["recordsCount"] == 1
    csv = server.call(
        "GET", f"/hubs/crm/bulk/{second['id']}/records", headers={"Accept": "text/csv"}
    )
    assert b"Cara" in csv.body and csv.body.endswith(b"\n")
    raw = server.call(
        "POST", "/hubs/crm/bulk/query?identifierFieldName=name", body=b"name\nAnn\n", headers=plain
    )
    assert (raw.status, "select" in raw.json["message"]) == (400, True)


def test_the_java_client(server: Server) -> None:
    """It breaks on unknown keys, polls every 50 ms, and reads records in pages."""
    server.done("records", b"name\n" + b"".join(b"N%d\n" % n for n in range(450)))
    made = server.call("POST", f"/bulk/query?q={quote('select * from records LIMIT 1000')}")
    status = polled(server, f"/bulk/{made.json['id']}/status", 0.05)
    assert set(status) <= STATUS_KEYS
    found: list[object] = []
    token = ""
    while True:
        page = server.call(
            "GET", f"/bulk/{status['id']}/records/data?pageSize=200&nextPage={token}"
        )
        found += page.json
        token = page.headers.get("elements-next-page-token", "")
        if not token:
            break
    assert len(found) == 450


def test_the_formulas(server: Server) -> None:
    """They query in a JSON body, and stream the JSON into an upload without a format."""
    server.done("records", b"name\nAnn\nBob\n")
    body = {"query": "select * from records", "headerData": {}}
    job_id = server.call("POST", "/bulk/query", json_body=body).json["id"]
    polled(server, f"/bulk/{job_id}/status", POLL)
    records = server.call(
        "GET", f"/bulk/{job_id}/records", headers={"Accept": "application/json"}
    ).body
    body_of_upload, kind = multipart(records, {})
    metadata = quote(json.dumps({"callback-payload": {"run": 1}}))
    made = server.call(
        "POST",
        f"/bulk/log?metaData={metadata}",
        body=body_of_upload,
        headers={"Content-Type": kind},
    )
    assert polled(server, f"/bulk/{made.json['id']}/status", POLL)["recordsCount"] == 2


def test_the_generated_clients(server: Server) -> None:
    """They use version 3 with the fields of the vendor's document, and the list of jobs."""
    server.done("records", b"name,age\nAnn,7\nBob,8\n")
    body = {
        "objectName": "records",
        "format": "txt/csv",
        "selectFields": "name,age",
        "where": "name='Ann' and age='7'",
        "limit": 10,
        "apiLimit": 5,
        "pageSize": 200,
        "filterNulls": True,
        "query": {},
    }
    job_id = server.call("POST", "/bulk/download", json_body=body).json["id"]
    status = polled(server, f"/bulk/{job_id}/status", POLL)
    assert (status["recordCount"], status["jobDirection"], status["fileFormat"]) == (
        1,
        "DOWNLOAD",
        "CSV",
    )
    assert (status["jobCriteria"], status["jobStatus"]) == (body, "COMPLETED")
    csv = server.call("GET", f"/bulk/{job_id}/records", headers={"Accept": "text/csv"}).body
    assert csv == b"name,age\nAnn,7\n"
    where = quote("job_status='COMPLETED' and object_name='records'")
    jobs = server.call("GET", f"/bulk/jobs?where={where}&pageSize=1")
    assert [one["id"] for one in jobs.json] == [int(job_id)]
    assert jobs.headers["elements-next-page-token"]


def test_a_page_in_a_browser(server: Server) -> None:
    """A page of another origin sends a preflight, and can read the headers that it needs."""
    job_id = server.done("records", b"fail\nno\n")["id"]
    path = f"/hubs/crm/bulk/{job_id}/errors"
    origin = {"Origin": "https://loader.example.com"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    url = f"{server.process.url}{BASE_PATH}{path}"
    assert request("OPTIONS", url, headers=asked).status == 200
    listed = Server(server.process).call("GET", "/instances/", headers=origin)
    assert [one["token"] for one in listed.json if str(one["id"]) == server.instance_id] == [
        server.element_token
    ]
    reply = server.call("GET", path, headers=origin)
    assert "elements-next-page-token" in reply.headers["access-control-expose-headers"].lower()
    assert {"rowNum", "status", "error"} <= set(reply.json[0])


def test_the_vendors_own_test_of_workflows(server: Server) -> None:
    """A workflow runs at once, then on a schedule; the client polls the newest transfer alone."""
    target = {
        "token": server.element_token,
        "elementKey": "memory",
        "objectName": "log",
        "path": "/log",
    }
    workflow = [
        {
            "query": "select * from records",
            "objectName": "records",
            "elementKey": "memory",
            "statusCheckInterval": 3000,
            "targetConfiguration": target,
        }
    ]
    server.done("records", b"name\nAnn\n")
    made = server.call("POST", "/hubs/crm/bulk/workflows", json_body=workflow).json
    assert made["status"] == "CREATED"
    loaded(server, "pageSize=1", group=made["id"])
    every_second = {"Elements-Schedule-Request": "* * * * * ?"}
    job_id = server.call(
        "POST", "/hubs/crm/bulk/workflows", headers=every_second, json_body=workflow
    ).json["id"]
    assert job_id
    loaded(server, f"jobId={job_id}")
    assert server.call("DELETE", f"/jobs/{job_id}").status == 200


def loaded(server: Server, query: str, group: str | None = None) -> dict[str, object]:
    """The newest transfer once it is done."""
    for _ in range(round(300 / POLL)):
        found: list[dict[str, object]] = server.call("GET", f"/bulkloader?{query}").json
        is_done = bool(found) and found[0]["status"] == "COMPLETED"
        if is_done and group in (None, found[0]["groupName"]):
            return found[0]
        time.sleep(POLL)
    raise AssertionError(found)


def test_the_bulk_loader(server: Server) -> None:
    """The vendor's page sends an instance's token only to read records, and creates schedules."""
    platform = Server(server.process)
    target = {
        "token": server.element_token,
        "elementKey": "memory",
        "objectName": "log",
        "metaData": {"format": "json"},
    }
    workflow = [
        {"query": "select * from records", "elementKey": "memory", "targetConfiguration": target}
    ]
    server.done("records", b"name\nAnn\n")
    made = server.call("POST", "/hubs/general/bulk/workflows", json_body=workflow).json
    transfer = loaded(platform, "page=1&pageSize=100", group=made["id"])
    assert (transfer["sourceRecordCount"], transfer["targetErrorCount"]) == (1, 0)
    assert server.call("GET", f"/hubs/general/bulk/{transfer['targetJobId']}/errors").json == []
    for cron in ("0 0 0/1 1/1 * ? *", "0 0 12 1/1 * ? *", "0 0 12 ? * MON *", "0 0 12 15 1/1 ? *"):
        header = {"Elements-Schedule-Request": cron}
        job_id = server.call(
            "POST", "/hubs/general/bulk/workflows", headers=header, json_body=workflow
        ).json["id"]
        assert [job["trigger"]["cron"] for job in platform.call("GET", "/jobs").json] == [cron]
        assert platform.call("PUT", f"/jobs/{job_id}/disable").status == 200
        assert platform.call("DELETE", f"/jobs/{job_id}", body=b"null").status == 200
    assert platform.call("GET", "/bulkloader?page=1&pageSize=100&parentBulkLoaderId=1").json == []


def test_sap_cloud_integrations_adapter(server: Server) -> None:
    """It looks at the instance and its objects first; then pages of plain records, with the secrets
    in any order."""
    assert server.call("GET", "/hubs/general/ping").json["valid"] is True
    assert "records" in server.call("GET", "/objects").json
    assert server.call("GET", "/objects/records/metadata?customFieldsOnly=false").json["fields"]
    server.done("records", b"name\n" + b"".join(b"N%d\n" % n for n in range(5)))
    user, organization, element = server.authorization.split(", ")
    for secrets in ((organization, user, element), (element, user, organization), (element, user)):
        headers = {"Authorization": ", ".join(secrets), "Accept": "application/json"}
        page = server.call("GET", "/hubs/general/records?pageSize=3&nextPage=", headers=headers)
        assert [one["name"] for one in page.json] == ["N0", "N1", "N2"]
        token = page.headers["elements-next-page-token"]
        page = server.call(
            "GET", f"/hubs/general/records?pageSize=3&nextPage={token}", headers=headers
        )
        assert ([one["name"] for one in page.json], "elements-next-page-token" in page.headers) == (
            ["N3", "N4"],
            False,
        )
