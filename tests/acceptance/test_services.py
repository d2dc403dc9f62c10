"""Whole flows against the sandboxes: sign-in, upload, and services that misbehave."""

import json
import re
import socket
import sqlite3
import threading
import urllib.parse
from contextlib import ExitStack, closing
from pathlib import Path

from openbulk.app import CONNECTIONS_TO_ONE
from support.harness import BASE_PATH, Process, Processes, Server, request, set_faults, until

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


def test_events_are_uploaded_through_oauth_sign_in(
    shared_server: Server, shared_google: Process
) -> None:
    server, sandbox = shared_server, shared_google
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


def test_a_service_that_is_down_is_waited_for(processes: Processes, shared_server: Server) -> None:
    sandbox = processes.sandbox("google")
    port = int(sandbox.url.rsplit(":", 1)[1])
    server = shared_server.google(sandbox)
    sandbox.kill()
    job_id = server.upload("events", CALENDAR).json["id"]
    says = "cannot be reached"
    until(lambda: says in server.status(job_id).get("infoMessage", ""), 120, "the job waits")
    assert server.status(job_id)["status"] == "RUNNING"
    sandbox = processes.sandbox("google", port=port)
    refresh = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    change = {"configuration": {"oauth.user.refresh_token": refresh["refresh_token"]}}
    path = f"/instances/{server.instance_id}"
    assert server.call("PATCH", path, json_body=change).status == 200
    assert server.finished(job_id)["recordsCount"] == 2


def test_lost_answers_busy_answers_and_expired_tokens_cost_nothing(
    shared_server: Server, shared_google: Process
) -> None:
    server, sandbox = shared_server.google(shared_google), shared_google
    set_faults(
        sandbox,
        "drop-after=0.04,drop-before=0.04,error-500=0.04,error-503=0.02,expire-token=0.01,seed=7",
    )
    rows = "\n".join(f"Lesson {n},2026-09-01,2026-09-02" for n in range(200))
    status = server.done("events", f"summary,start.date,end.date\n{rows}\n".encode())
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        200,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert sorted(event["summary"] for event in events) == sorted(f"Lesson {n}" for n in range(200))
    statuses = request("GET", f"{sandbox.url}/sandbox/stats").json["by_status"]
    assert {"401", "499", "500", "503"} <= statuses.keys(), "each of them happened"


def test_rejected_contacts_come_back_with_their_rows_and_what_would_be_right(
    shared_server: Server, shared_eloqua: Process
) -> None:
    server = shared_server.eloqua(shared_eloqua)
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
        errors[0]["error"] == "the email address is not valid; addresses look like ann@example.com"
    )
    assert errors[0]["response"] == "ELQ-00002: Invalid email address."


def test_an_import_survives_a_kill_between_submit_and_collect(
    processes: Processes, tmp_path: Path
) -> None:
    """It is not submitted again."""
    data = tmp_path / "data"
    sandbox = processes.sandbox("eloqua", "--latency-ms", "1000")
    server = processes.server(data_dir=data).eloqua(sandbox)
    rows = "\n".join(f"person{n}@example.com,P{n}" for n in range(300))
    job_id = server.upload("contact", f"C_EmailAddress,C_FirstName\n{rows}\n".encode()).json["id"]
    until(lambda: is_submitted(data), 120, "the import is submitted")
    server.process.kill()
    before = posts(sandbox)
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        300,
        0,
    )
    assert len(request("GET", f"{sandbox.url}/sandbox/contacts").json) == 300
    assert posts(sandbox) == before


def is_submitted(data: Path) -> bool:
    """Whether the ledger holds the ticket of an import."""
    with closing(sqlite3.connect(f"file:{data / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        query = "select count(*) from jobs where ticket is not null"
        return bool(ledger.execute(query).fetchone()[0])


def posts(sandbox: Process) -> int:
    """The number of calls so far that submit something."""
    return int(request("GET", f"{sandbox.url}/sandbox/stats").json["by_method"]["POST"])


def test_campaigns_are_created_one_by_one(shared_server: Server, shared_eloqua: Process) -> None:
    server, sandbox = shared_server.eloqua(shared_eloqua), shared_eloqua
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


def test_the_fields_of_an_object_are_those_of_the_service(
    shared_server: Server, shared_google: Process, shared_eloqua: Process
) -> None:
    server = shared_server
    events = server.google(shared_google).call("GET", "/objects/events/metadata").json["fields"]
    contact = server.eloqua(shared_eloqua)
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


class Silent:
    """A service that says who has signed in, and answers no other call."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        if not connection.recv(65_536).startswith(b"GET /id "):
            self.held.append(connection)
            return
        urls = {"base": self.url, "apis": {"rest": {}, "soap": {}}}
        body = json.dumps({"site": {"id": 1}, "user": {"id": 1}, "urls": urls}).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.close()


def test_a_service_that_does_not_answer_holds_up_no_call_to_another(
    shared_server: Server, shared_eloqua: Process
) -> None:
    """More calls wait for it than the other may have connections."""
    another = shared_server.eloqua(shared_eloqua)
    address = urllib.parse.urlsplit(shared_server.process.url)
    with ExitStack() as stack:
        silent = Silent(stack.enter_context(socket.create_server(("127.0.0.1", 0))))
        signed_in = {"base.url": silent.url, "username": "Acme\\ann", "password": "secret"}
        server = shared_server.instance("eloqua", signed_in)
        head = f"Host: x\r\nAuthorization: {server.authorization}\r\nConnection: close\r\n\r\n"
        for _ in range(CONNECTIONS_TO_ONE + 20):
            caller = socket.create_connection((address.hostname, address.port), 5)
            stack.enter_context(caller)
            caller.sendall(f"GET {BASE_PATH}/contact HTTP/1.1\r\n{head}".encode())
        until(lambda: len(silent.held) >= CONNECTIONS_TO_ONE, 120, "the calls wait")
        assert another.call("GET", "/contact?pageSize=1", timeout=60).status == 200
        assert len(silent.held) == CONNECTIONS_TO_ONE
        for connection in silent.held:
            stack.enter_context(connection)
