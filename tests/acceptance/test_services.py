"""Whole flows against the sandboxes: sign-in, upload, and services that misbehave."""

import re
import time
import urllib.parse

from support.harness import Process, Processes, Server, request

CALENDAR = b"""summary,start.dateTime,start.timeZone,end.dateTime,end.timeZone,location
Maths,2026-09-01T08:00:00,Europe/Berlin,2026-09-01T08:45:00,Europe/Berlin,Room 1
"Art, and music",2026-09-01T09:00:00+02:00,,2026-09-01T09:45:00+02:00,,Room 2
"""


def sign_in(server: Server, sandbox: Process) -> str:
    """Sign in as a person does in the browser; the code that comes back."""
    back = "https://app.example.com/oauth"
    query = urllib.parse.urlencode(
        {
            "apiKey": "client",
            "apiSecret": "secret",
            "callbackUrl": back,
            "state": "s1",
            "siteAddress": sandbox.url,
        }
    )
    url = server.call("GET", f"/elements/googlecalendar/oauth/url?{query}").json["oauthUrl"]
    page = request("GET", url).body.decode()
    form = dict(re.findall(r"name='([^']+)' value='([^']*)'", page)) | {"decision": "allow"}
    body = urllib.parse.urlencode(
        {name: value.replace("&amp;", "&") for name, value in form.items()}
    ).encode()
    answer = request(
        "POST", url, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    found = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["location"]).query)
    assert found["state"] == ["s1"]
    return found["code"][0]


def test_events_are_uploaded_through_oauth_sign_in(processes: Processes) -> None:
    sandbox = processes.sandbox("google")
    server = processes.server()
    configuration = {
        "base.url": sandbox.url,
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.callback.url": "https://app.example.com/oauth",
    }
    server = server.instance(
        "googlecalendar", configuration, providerData={"code": sign_in(server, sandbox)}
    )
    status = server.done("events", CALENDAR)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        2,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert [
        (event["summary"], event["start"]["dateTime"], event["location"]) for event in events
    ] == [
        ("Maths", "2026-09-01T08:00:00+02:00", "Room 1"),
        ("Art, and music", "2026-09-01T09:00:00+02:00", "Room 2"),
    ]


def test_a_service_that_is_down_is_waited_for(processes: Processes) -> None:
    sandbox = processes.sandbox("google")
    port = int(sandbox.url.rsplit(":", 1)[1])
    server = processes.server().google(sandbox)
    refresh = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    sandbox.kill()
    job_id = server.upload("events", CALENDAR).json["id"]
    deadline = time.monotonic() + 10
    while "cannot be reached" not in (status := server.status(job_id)).get("infoMessage", ""):
        assert status["status"] in {"CREATED", "RUNNING"} and time.monotonic() < deadline, (
            server.process.log()
        )
        time.sleep(0.1)

    sandbox = processes.sandbox("google", port=port)
    refresh = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    change = {"configuration": {"oauth.user.refresh_token": refresh["refresh_token"]}}
    assert server.call("PATCH", "/instances/1", json_body=change).status == 200
    assert server.finished(job_id, within=10)["recordsCount"] == 2


def test_lost_answers_busy_answers_and_expired_tokens_cost_nothing(processes: Processes) -> None:
    faults = (
        "drop-after=0.02,drop-before=0.02,error-500=0.02,error-503=0.01,expire-token=0.005,seed=7"
    )
    sandbox = processes.sandbox("google", "--faults", faults)
    server = processes.server().google(sandbox)
    rows = "\n".join(f"Lesson {n},2026-09-01,2026-09-02" for n in range(400))
    status = server.done("events", f"summary,start.date,end.date\n{rows}\n".encode(), within=60)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        400,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert sorted(event["summary"] for event in events) == sorted(f"Lesson {n}" for n in range(400))


def test_rejected_contacts_come_back_with_their_rows_and_what_would_be_right(
    processes: Processes,
) -> None:
    sandbox = processes.sandbox("eloqua")
    server = processes.server().eloqua(sandbox)
    rows = (
        b"C_EmailAddress,C_FirstName\n"
        b"ann@example.com,Ann\nnot an address,Bob\ncara@example.com,Cara\n,Dan\n"
    )
    status = server.done("contact", rows)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        4,
        2,
    )
    errors = server.errors(status["id"])
    assert [(error["rowNum"], error["lineNum"], error["field"]) for error in errors] == [
        (2, 3, "C_EmailAddress"),
        (4, 5, "C_EmailAddress"),
    ]
    assert (
        errors[0]["error"] == "the e-mail address is not valid; addresses look like ann@example.com"
    )
    assert errors[0]["response"] == "ELQ-00002: Invalid email address."


def test_an_import_survives_a_kill_between_submit_and_collect(processes: Processes) -> None:
    sandbox = processes.sandbox("eloqua", "--latency-ms", "150")
    server = processes.server().eloqua(sandbox)
    rows = "\n".join(f"person{n}@example.com,P{n}" for n in range(3_000))
    job_id = server.upload("contact", f"C_EmailAddress,C_FirstName\n{rows}\n".encode()).json["id"]
    for _ in range(3):
        time.sleep(0.5)
        server.process.kill()
        server = Server(processes.server().process, server.element_token)
    status = server.finished(job_id, within=60)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        3_000,
        0,
    )
    assert len(request("GET", f"{sandbox.url}/sandbox/contacts").json) == 3_000


def test_campaigns_are_created_one_by_one(processes: Processes) -> None:
    sandbox = processes.sandbox("eloqua")
    server = processes.server().eloqua(sandbox)
    status = server.done("campaign", b'[{"name": "Spring"}, {"description": "nameless"}]')
    assert (status["fileFormat"], status["recordsCount"], status["recordsFailedCount"]) == (
        "json",
        2,
        1,
    )
    assert [
        campaign["name"] for campaign in request("GET", f"{sandbox.url}/sandbox/campaigns").json
    ] == ["Spring"]
    assert "name: NonEmptyTextRequirement" in server.errors(status["id"])[0]["error"]


def test_the_fields_of_an_object_are_those_of_the_service(processes: Processes) -> None:
    server = processes.server()
    events = (
        server.google(processes.sandbox("google"))
        .call("GET", "/objects/events/metadata")
        .json["fields"]
    )
    contact = server.eloqua(processes.sandbox("eloqua"))
    contacts = contact.call("GET", "/hubs/marketing/objects/contact/metadata").json["fields"]
    event = {field["vendorPath"]: field for field in events}
    assert (event["start"]["vendorRequired"], event["summary"]["vendorRequired"]) == (True, False)
    assert (event["htmlLink"]["vendorReadOnly"], event["summary"]["vendorReadOnly"]) == (
        True,
        False,
    )
    assert event["start.dateTime"]["format"] == "date-time"
    assert "private" in event["visibility"]["enum"]
    assert event["attendees[*].email"]["type"] == "string"
    fields = {field["vendorPath"]: field for field in contacts}
    assert (
        fields["C_EmailAddress"]["vendorRequired"],
        fields["C_FirstName"]["vendorDisplayName"],
    ) == (
        True,
        "First Name",
    )
    assert fields["C_DateCreated"]["vendorReadOnly"]
