"""The records of an instance as plain REST: read, made, changed and deleted, one at a time."""

import pytest

from support.harness import Process, Processes, Server, request

DAY = {"start": {"date": "2026-09-01"}, "end": {"date": "2026-09-02"}}


@pytest.fixture
def google(shared_server: Server, shared_google: Process) -> Server:
    return shared_server.google(shared_google)


def test_a_record_that_a_job_wrote_is_read_changed_and_deleted(google: Server) -> None:
    """In the calendar that the path names, with or without a hub before it."""
    google.done(
        "events",
        b"summary,start.date,end.date\nChoir,2026-09-01,2026-09-02\nBand,2026-09-03,2026-09-04\n",
    )
    found = google.call("GET", "/events?where=summary='Choir'&fields=id,summary")
    assert (found.status, found.headers["elements-returned-count"]) == (200, "1")
    (choir,) = found.json
    assert set(choir) == {"id", "summary"}
    path = f"/hubs/scheduling/calendars/primary/events/{choir['id']}"
    changed = google.call("PATCH", path, json_body={"location": "Hall"})
    assert (changed.status, changed.json["location"], changed.json["summary"]) == (
        200,
        "Hall",
        "Choir",
    )
    assert (
        google.call("GET", f"/events/{choir['id']}").json
        == google.call("GET", path).json
        == changed.json
    )
    deleted = google.call(
        "DELETE", path, body=b"null", headers={"Content-Type": "application/json"}
    )
    assert (deleted.status, deleted.json) == (200, {})
    assert google.call("GET", path).status == 404
    assert google.call("DELETE", path).status == 200, "Google confirms it for a deleted event, too"
    assert google.call("DELETE", "/events/neverwasthere").status == 404
    assert google.call("PATCH", "/events/neverwasthere", json_body={"summary": "x"}).status == 404


def test_a_record_is_made_and_shown_as_the_service_has_it(google: Server) -> None:
    """With its id; also in a calendar that was made by REST."""
    calendar = google.call("POST", "/calendars", json_body={"summary": "Choir"}).json
    assert calendar["id"] and calendar["summary"] == "Choir"
    made = google.call(
        "POST", f"/calendars/{calendar['id']}/events", json_body={"summary": "Concert", **DAY}
    )
    assert (made.status, made.json["summary"], made.json["start"]) == (
        200,
        "Concert",
        {"date": "2026-09-01"},
    )
    (there,) = google.call("GET", f"/calendars/{calendar['id']}/events").json
    assert there == made.json
    assert google.call("GET", "/events").json == []
    rule = {"role": "reader", "scope": {"type": "user", "value": "bob@example.com"}}
    made = google.call("POST", f"/calendars/{calendar['id']}/access-control-list", json_body=rule)
    assert (made.status, made.json["id"]) == (200, "user:bob@example.com")
    path = f"/calendars/{calendar['id']}/access-control-list/user:bob@example.com"
    assert google.call("PUT", path, json_body={"role": "writer"}).json["role"] == "writer"
    assert google.call("GET", path).json["role"] == "writer"
    assert google.call("DELETE", path).status == 200
    assert google.call("DELETE", f"/calendars/{calendar['id']}").status == 200


def test_a_record_that_the_service_refuses_is_400_and_says_why(google: Server) -> None:
    """In the words of a job's error record."""
    reply = google.call(
        "POST", "/events", json_body={"summary": "Choir", "start": {"date": "2026-02-30"}}
    )
    assert reply.status == 400
    assert "2026-02-30" in reply.json["message"]


def test_lists_come_in_pages_sorted_and_filtered(shared_memory: Server) -> None:
    """Each page begins after the last one, whatever the filter left out in between."""
    memory = shared_memory
    memory.done("records", b"name,age\n" + b"".join(b"N%d,%d\n" % (n, n % 10) for n in range(500)))
    names: list[str] = []
    token = ""
    while True:
        page = memory.call("GET", f"/records?where=age>=5&pageSize=30&orderBy=&nextPage={token}")
        assert page.headers["elements-returned-count"] == str(len(page.json))
        names += [one["name"] for one in page.json]
        token = page.headers.get("elements-next-page-token", "")
        if not token:
            break
        assert len(page.json) == 30
    assert names == [f"N{n}" for n in range(500) if n % 10 >= 5]
    token = memory.call("GET", "/records?pageSize=150&where=age<9").headers[
        "elements-next-page-token"
    ]
    rest: list[str] = []
    while token:
        page = memory.call("GET", f"/records?pageSize=7&where=age<9&nextPage={token}")
        rest += [one["name"] for one in page.json]
        token = page.headers.get("elements-next-page-token", "")
    assert rest == [f"N{n}" for n in range(500) if n % 10 < 9][150:], (
        "the size of the pages does not matter"
    )
    ordered = memory.call("GET", "/records?orderBy=age%20desc,name&pageSize=3&fields=name,age")
    assert [one["name"] for one in ordered.json] == ["N109", "N119", "N129"]
    token = ordered.headers["elements-next-page-token"]
    ordered = memory.call(
        "GET", f"/records?orderBy=age%20desc,name&pageSize=1&fields=name,age&nextPage={token}"
    )
    assert [one["name"] for one in ordered.json] == ["N139"]
    for wrong in (
        "where=circus%20is",
        "pageSize=0",
        "nextPage=circus",
        "fields=a,a",
        "orderBy=%3B",
    ):
        reply = memory.call("GET", f"/records?{wrong}")
        assert (reply.status, bool(reply.json["message"])) == (400, True), wrong


def test_the_services_own_parameters_pass_through(google: Server) -> None:
    """In the address, or in `where`."""
    google.call("POST", "/events", json_body={"summary": "Choir", **DAY})
    gone = google.call("POST", "/events", json_body={"summary": "Band", **DAY}).json
    google.call("DELETE", f"/events/{gone['id']}")
    assert len(google.call("GET", "/events?where=").json) == 1
    assert len(google.call("GET", "/events?showDeleted=true").json) == 2
    assert len(google.call("GET", "/events?where=showDeleted='true'").json) == 2
    assert len(google.call("GET", "/calendar-list?where=minAccessRole='owner'").json) == 1


def test_a_path_that_does_not_exist_is_404_and_a_method_that_it_lacks_405(
    shared_memory: Server,
) -> None:
    """The methods that it has are in `Allow`. Without secrets the answer is 401."""
    memory = shared_memory
    made = memory.call("POST", "/records", json_body={"name": "Ann"}).json
    assert memory.call("GET", f"/records/{made['id']}").json == {"name": "Ann", "id": made["id"]}
    for method, path, status, allow in (
        ("GET", "/circus", 404, None),
        ("GET", "/records/circus", 404, None),
        ("POST", f"/records/{made['id']}", 405, "DELETE, GET, HEAD, PATCH, PUT"),
        ("PATCH", "/records", 405, "GET, HEAD, POST"),
        ("DELETE", "/log/1", 405, "GET, HEAD"),
        ("PUT", "/bulk/jobs", 405, "GET, HEAD"),
        ("DELETE", "/hubs/general/objects", 405, "GET, HEAD"),
    ):
        reply = memory.call(method, path, json_body={"name": "Bob"} if method != "GET" else None)
        assert (reply.status, bool(reply.json["message"])) == (status, True), (
            method,
            path,
            reply.body,
        )
        assert reply.headers.get("allow") == allow, (method, path)
    assert memory.call("POST", "/records", body=b"[1]").status == 400
    assert request("GET", f"{memory.process.url}/elements/api-v2/records").status == 401


def test_head_is_answered_wherever_get_is(shared_memory: Server) -> None:
    """With the same status and headers, and without a body. Load balancers ask like this."""
    memory = shared_memory
    assert memory.done("records", b"name\nAnn\n")["status"] == "COMPLETE"
    job = memory.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    memory.finished(job)
    base = f"{memory.process.url}/elements/api-v2"
    for address, status in (
        (f"{memory.process.url}/healthz", 200),
        (f"{memory.process.url}/readyz", 200),
        (f"{memory.process.url}/openapi.json", 200),
        (f"{base}/records", 200),
        (f"{base}/bulk/{job}/status", 200),
        (f"{base}/bulk/{job}/records", 200),
        (f"{base}/bulk/{job}/records/data", 200),
        (f"{base}/bulk/99999999/records", 404),
    ):
        secrets = {"Authorization": memory.authorization}
        whole, head = (request(method, address, headers=secrets) for method in ("GET", "HEAD"))
        assert (whole.status, head.status, head.body) == (status, status, b""), address
        ours = {"elements-request-id", "date"}
        assert {name: value for name, value in head.headers.items() if name not in ours} == {
            name: value for name, value in whole.headers.items() if name not in ours
        }, address
    assert memory.call("HEAD", "/instances", headers={"Authorization": "User x"}).status == 401
    assert "request failed" not in memory.process.log()


def test_eloquas_contacts_go_through_its_import_and_export(
    shared_server: Server, processes: Processes
) -> None:
    """And its campaigns through its REST API."""
    eloqua = shared_server.eloqua(processes.sandbox("eloqua"))
    for name in ("ann", "bob"):
        reply = eloqua.call("POST", "/contact", json_body={"C_EmailAddress": f"{name}@example.com"})
        assert reply.status == 200, reply.body
    (bob,) = eloqua.call("GET", "/contact?where=C_EmailAddress='bob@example.com'").json
    assert eloqua.call("GET", f"/contact/{bob['id']}").json == bob
    assert eloqua.call("GET", "/contact/99").status == 404
    reply = eloqua.call("PATCH", f"/contact/{bob['id']}", json_body={"C_City": "Tampa"})
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    campaign = eloqua.call("POST", "/hubs/marketing/campaign", json_body={"name": "Spring"}).json
    assert (
        eloqua.call("PATCH", f"/campaign/{campaign['id']}", json_body={"name": "May"}).json["name"]
        == "May"
    )
    assert eloqua.call("DELETE", f"/campaign/{campaign['id']}").status == 200
    assert eloqua.call("GET", f"/campaign/{campaign['id']}").status == 404


def test_a_call_that_the_service_could_not_take_is_made_again(
    google: Server, shared_google: Process
) -> None:
    """And a call whose answer was lost: it makes one record."""
    sandbox = shared_google
    request(
        "POST",
        f"{sandbox.url}/sandbox/faults",
        json_body={"spec": "error-503=0.1,drop-after=0.1,seed=4"},
    )
    for number in range(10):
        reply = google.call("POST", "/events", json_body={"summary": f"Lesson {number}", **DAY})
        assert reply.status == 200, reply.body
    request("POST", f"{sandbox.url}/sandbox/faults", json_body={"spec": ""})
    assert len(google.call("GET", "/events").json) == 10
