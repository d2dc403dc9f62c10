"""The audit log: who did what, on what, from where, when; whole after any crash."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from openbulk.api.http.operations import AUDITED, operation_of
from openbulk.api.refusal_limit import AT_ONCE
from support.harness import (
    ORGANIZATION_SECRET,
    USER_SECRET,
    Processes,
    Server,
    request,
    until,
)

Entry = Mapping[str, Any]
PASSWORD = "correct horse battery"
UNAUDITED = {"GET", "HEAD"}


@pytest.fixture(params=[False, True], ids=["sqlite", "postgresql"])
def is_shared(request: pytest.FixtureRequest) -> bool:
    """Whether several servers can share the ledger."""
    shared: bool = request.param
    return shared


@pytest.fixture
def start(
    request: pytest.FixtureRequest, processes: Processes, is_shared: bool
) -> Callable[..., Server]:
    """Starts servers on one ledger, in a SQLite file and in PostgreSQL."""
    settings: dict[str, Any] = {}
    if is_shared:
        settings["OPENBULK_DATABASE_URL"] = request.getfixturevalue("database")
    return lambda **more: processes.server(**settings, **more)


@pytest.fixture
def server(processes: Processes) -> Server:
    return processes.server(OPENBULK_USER="ann@example.com", OPENBULK_PASSWORD=PASSWORD)


def entries(server: Server, query: str = "") -> list[Entry]:
    """All entries, oldest first."""
    reply = server.call("GET", f"/audit?format=jsonl{query}")
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in reply.body.splitlines()]


def last(server: Server, query: str = "") -> Entry:
    return entries(server, query)[-1]


def short(entry: Entry) -> tuple[str, str, str]:
    return entry["action"], entry["target"], entry["outcome"]


def check(server: Server, query: str = "") -> Any:
    reply = server.call("GET", f"/audit/verification{query}")
    assert reply.status == 200, reply.body
    return reply.json


def made(server: Server, path: str, body: Any) -> Any:
    reply = server.call("POST", path, json_body=body)
    assert reply.status == 200, reply.body
    return reply.json


def as_role(server: Server, role: str) -> dict[str, str]:
    """The header of a new user with this role."""
    user = made(server, "/organizations/users", {"email": f"{role}@example.com", "role": role})
    secret = made(server, f"/organizations/users/{user['id']}/secrets", {"name": "x"})["secret"]
    return {"Authorization": f"User {secret}, Organization {ORGANIZATION_SECRET}"}


def test_an_entry_says_who_did_what_on_what_from_where_and_when(server: Server) -> None:
    before = time.time()
    one = server.instance("memory")
    reply = one.upload("records", b"name\nAnn\n")
    entry = last(one)
    assert short(entry) == ("job.load", f"job {reply.json['id']} of records", "done")
    assert (entry["user"], entry["userId"], entry["organizationId"]) == ("ann@example.com", 1, 1)
    assert (entry["instanceId"], entry["address"]) == (int(str(one.instance_id)), "127.0.0.1")
    assert entry["requestId"] == reply.headers["elements-request-id"]
    assert entry["time"][:10] in {
        time.strftime("%Y-%m-%d", time.gmtime(t)) for t in (before, time.time())
    }
    assert check(one)["valid"]


def test_every_operation_has_a_line_and_every_change_is_audited(shared_server: Server) -> None:
    """The documents of all operations, walked: none can be forgotten."""
    document = request("GET", f"{shared_server.process.url}/openapi.json").json
    operations = {
        operation_of(method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert operations <= set(AUDITED)
    changes = {one for one in operations if one.split()[0] not in UNAUDITED}
    assert {one for one in changes if AUDITED[one] is None} == set()


def test_deeds_are_in_the_log(server: Server) -> None:
    one = server.instance("memory", {"keep": "true"})
    number = one.instance_id
    job = one.done("records", b"name\nAnn\nBob\n")["id"]
    plan = one.upload("records", b"name\nAnn\n", query="?plan=true").json["id"]
    one.finished(plan)
    digest = one.call("GET", f"/bulk/{plan}/plan").json["digest"]
    one.call("PUT", f"/bulk/{plan}/apply", json_body={"plan": digest})
    one.call("GET", f"/bulk/{job}/status")
    one.call("GET", f"/bulk/{job}/results")
    undone = one.call("POST", f"/bulk/{job}/undo", json_body={}).json["id"]
    one.call("PUT", f"/bulk/{job}/cancel")
    one.call("PUT", "/bulk/999/cancel")
    record = one.call("POST", "/records", json_body={"name": "Cara"}).json["id"]
    one.call("GET", "/records")
    one.call("PATCH", f"/instances/{number}", json_body={"name": "Mine"})
    secret = made(one, "/organizations/users/me/secrets", {"name": "key", "scopes": ["read"]})
    one.call("DELETE", f"/organizations/users/me/secrets/{secret['id']}")
    one.call("DELETE", f"/instances/{number}")
    assert [short(entry) for entry in entries(server)][1:] == [
        ("job.load", f"job {job} of records", "done"),
        ("job.plan", f"job {plan} of records", "done"),
        ("job.apply", f"job {plan}", "done"),
        ("job.read", f"job {job} results", "done"),
        ("job.undo", f"job {job} as job {undone}", "done"),
        ("job.cancel", f"job {job}", "done"),
        ("job.cancel", "job 999", "refused"),
        ("record.create", f"records {record}", "done"),
        ("record.read", "records", "done"),
        ("instance.change", f"instance {number}", "done"),
        ("secret.make", f"secret {secret['id']} of user 1", "done"),
        ("secret.end", f"secret {secret['id']} of user 1", "done"),
        ("instance.delete", f"instance {number}", "done"),
    ]


def test_sign_ins_are_in_the_log(server: Server) -> None:
    for password in ("wrong", PASSWORD):
        body = {"username": "ann@example.com", "password": password}
        server.call("POST", "/authentication", json_body=body, headers={"Authorization": ""})
    assert [(*short(one), one["user"]) for one in entries(server)] == [
        ("sign-in", "", "refused", ""),
        ("sign-in", "", "done", "ann@example.com"),
    ]


def test_sign_ins_at_the_console_are_in_the_log(server: Server) -> None:
    for secret in ("wrong-secret", USER_SECRET):
        form = f"user={secret}&organization={ORGANIZATION_SECRET}".replace("+", "%2B")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request("POST", f"{server.process.url}/sign-in", body=form.encode(), headers=headers)
    assert [(*short(one), one["user"]) for one in entries(server)] == [
        ("sign-in", "", "refused", ""),
        ("sign-in", "user 1", "done", "ann@example.com"),
    ]


def test_refused_calls_are_in_the_log(server: Server) -> None:
    viewer = as_role(server, "viewer")
    server.call("POST", "/instances", json_body={"element": {"key": "memory"}}, headers=viewer)
    server.call("GET", "/organizations/users", headers=viewer)
    server.call("GET", "/bulk/jobs", headers={"Authorization": "User wrong, Organization x"})
    found = [
        (*short(one), one["user"], one["status"]) for one in entries(server, "&outcome=refused")
    ]
    assert found == [
        ("instance.connect", "instance", "refused", "viewer@example.com", 403),
        ("call", "GET /organizations/users", "refused", "viewer@example.com", 403),
        ("call", "GET /bulk/jobs", "refused", "", 401),
    ]


def test_a_program_that_is_refused_again_and_again_does_not_fill_the_log(server: Server) -> None:
    viewer = as_role(server, "viewer")
    for _ in range(AT_ONCE + 20):
        server.call("PUT", "/bulk/1/cancel", headers=viewer)
    refused = entries(server, "&outcome=refused")
    assert AT_ONCE <= len(refused) < AT_ONCE + 20
    assert check(server)["valid"]


def test_the_log_has_no_secrets_and_no_values(server: Server) -> None:
    one = server.instance("memory", {"keep": "true"})
    one.done("records", b"name\nvalue-of-a-cell\n")
    one.call("POST", "/records", json_body={"name": "value-of-a-cell", "path": "value-of"})
    one.call("GET", "/records?where=name%3D%27value-of-a-cell%27")
    one.call(
        "PATCH",
        f"/instances/{one.instance_id}/configuration/keep",
        json_body={"propertyValue": "value-of-a-setting"},
    )
    secret = made(one, "/organizations/secrets", {"name": "x"})["secret"]
    body = {"username": "typed-for-a-name", "password": "typed-for-a-password"}
    one.call("POST", "/authentication", json_body=body)
    text = one.call("GET", "/audit?format=jsonl").body.decode()
    for word in ("value-of", USER_SECRET, str(one.element_token), secret, "typed-for"):
        assert word not in text


def test_nobody_sees_the_log_of_another_organization(server: Server) -> None:
    other = made(server, "/organizations", {"name": "Other", "email": "bob@example.com"})
    theirs = {
        "Authorization": f"User {other['userSecret']}, Organization {other['organizationSecret']}"
    }
    server.call(
        "POST", "/organizations/users", json_body={"email": "c@example.com"}, headers=theirs
    )
    assert [one["action"] for one in entries(server)] == ["organization.add"]
    reply = server.call("GET", "/audit", headers=theirs)
    assert [(one["action"], one["number"]) for one in reply.json] == [("user.add", 1)]


def test_entries_come_in_pages_and_by_filter(server: Server) -> None:
    one = server.instance("memory")
    for _ in range(5):
        one.upload("records", b"name\nAnn\n")
    page = one.call("GET", "/audit?pageSize=4")
    rest = one.call("GET", f"/audit?nextPage={page.headers['elements-next-page-token']}")
    assert [entry["number"] for entry in page.json + rest.json] == [6, 5, 4, 3, 2, 1]
    assert "elements-next-page-token" not in rest.headers
    today = page.json[0]["time"][:10]
    for query, count in {
        "action=job": 5,
        "action=instance.connect": 1,
        "target=job%202": 1,
        "user=ANN@example.com": 6,
        "user=bob@example.com": 0,
        f"from={today}&to={today}": 6,
        "to=2026-01-01": 0,
        "outcome=failed": 0,
    }.items():
        assert len(one.call("GET", f"/audit?{query}").json) == count, query


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/audit?outcome=good", "outcome is 'good'; it can be done, refused, failed, unknown"),
        ("/audit?from=yesterday", "from is 'yesterday'; write a date like 2026-05-30, or a time"),
        ("/audit?to=2026-13-01", "to is '2026-13-01'; write a date"),
        ("/audit?format=csv", "format is 'csv'; it can be json, jsonl"),
        ("/audit?form=jsonl", "the parameter 'form' is not known"),
        ("/audit/verification?number=1", "number and hash belong together"),
        ("/audit/verification?number=1&hash=x", "hash is 'x'; it must be 64 hexadecimal digits"),
    ],
)
def test_a_wrong_question_is_refused(shared_server: Server, path: str, message: str) -> None:
    reply = shared_server.call("GET", path)
    assert reply.status == 400
    assert message in reply.json["message"]


def test_json_lines_can_be_had_by_the_accept_header(server: Server) -> None:
    server.instance("memory")
    reply = server.call("GET", "/audit", headers={"Accept": "application/jsonl"})
    assert json.loads(reply.body)["action"] == "instance.connect"


def test_the_command_finds_what_was_changed(
    server: Server, processes: Processes, tmp_path: Path
) -> None:
    one = server.instance("memory")
    one.upload("records", b"name\nAnn\n")
    one.upload("records", b"name\nAnn\n")
    end = check(one)
    data = str(tmp_path / "data")
    whole = processes.command("audit", "verify", "--data-dir", data)
    assert whole.returncode == 0, whole.stderr
    assert "organization 1: entries 1 to 3 are whole; the last one is 3:" in whole.stdout
    export = tmp_path / "audit.jsonl"
    lines = one.call("GET", "/audit?format=jsonl").body.splitlines(keepends=True)
    export.write_bytes(b"".join(lines))
    noted = f"--noted=3:{end['lastHash']}"
    assert processes.command("audit", "verify", str(export), noted).returncode == 0
    export.write_bytes(b"".join(lines[:2]))
    cut = processes.command("audit", "verify", str(export), noted)
    assert (cut.returncode, cut.stdout) == (1, "entry 3, which you noted, is missing at the end\n")
    export.write_bytes(lines[0] + lines[1].replace(b"job 1", b"job 7") + lines[2])
    changed = processes.command("audit", "verify", str(export))
    assert "entry 2 was changed" in changed.stdout
    export.write_bytes(b"no entry\n")
    wrong = processes.command("audit", "verify", str(export))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "line 1 is not JSON" in wrong.stderr
    with sqlite3.connect(tmp_path / "data" / "ledger.db") as ledger:
        ledger.execute("UPDATE audit_entries SET user = 'bob@example.com' WHERE number = 2")
    changed = processes.command("audit", "verify", "--data-dir", data)
    assert changed.returncode == 1
    assert "entry 2 was changed" in changed.stdout
    assert check(one)["faults"] == ["entry 2 was changed: its hash is not that of its content"]
    nothing = processes.command("audit", "verify", "--data-dir", str(tmp_path / "none"))
    assert nothing.returncode == 1
    assert "there is no master key in" in nothing.stderr


def test_old_entries_go_and_the_rest_is_whole(processes: Processes) -> None:
    server = processes.server(OPENBULK_KEEP_AUDIT_DAYS="0.00002")
    server.instance("memory")

    def is_pruned() -> bool:
        return bool(entries(server, "&action=audit.prune"))

    until(is_pruned, 120, "entries are deleted by age")
    assert "instance.connect" not in {entry["action"] for entry in entries(server)}
    assert check(server)["valid"]


def test_two_servers_write_one_chain(start: Callable[..., Server], is_shared: bool) -> None:
    one = start().instance("memory", {"keep": "false"})
    servers = [one]
    if is_shared:
        servers.append(Server(start().process, one.element_token, one.instance_id))
    with ThreadPoolExecutor(8) as callers:
        calls = [servers[n % len(servers)] for n in range(60)]
        replies = list(callers.map(lambda each: each.upload("records", b"name\nAnn\n"), calls))
    jobs = {reply.json["id"] for reply in replies}
    found = entries(servers[-1])
    assert [entry["number"] for entry in found] == list(range(1, 62))
    assert {entry["target"].split()[1] for entry in found[1:]} == jobs
    assert check(servers[0])["valid"]


def test_no_job_without_its_entry_whenever_the_server_is_killed(
    start: Callable[..., Server],
) -> None:
    """Both are one transaction."""
    server = start()
    one = server.instance("memory", {"keep": "false"})
    with ThreadPoolExecutor(4) as callers:
        sent = [callers.submit(one.upload, "records", b"name\nAnn\n") for _ in range(80)]
        until(lambda: sum(each.done() for each in sent) > 15, 120, "some jobs are there")
        server.process.kill()
    again = Server(start().process, one.element_token, one.instance_id)
    jobs = Counter(str(job["id"]) for job in again.call("GET", "/bulk/jobs?pageSize=200").json)
    audited = Counter(
        entry["target"].split()[1] for entry in entries(again, "&action=job.load&outcome=done")
    )
    assert audited == jobs
    assert len(jobs) > 15
    assert check(again)["valid"]


def test_a_deed_under_way_when_the_server_is_killed_is_unknown(
    processes: Processes,
) -> None:
    """It was written before it began: whether it was done, nobody knows."""
    sandbox = processes.sandbox("google", "--latency-ms", "3000")
    server = processes.server()
    one = server.google(sandbox)
    event = {"summary": "Choir", "start": {"date": "2026-09-01"}, "end": {"date": "2026-09-02"}}
    ledger = sqlite3.connect(processes.folder / "data" / "ledger.db")

    def is_begun() -> bool:
        question = "SELECT count(*) FROM audit_attempts WHERE action = 'record.create'"
        return bool(ledger.execute(question).fetchone()[0])

    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(one.call, "POST", "/events", json_body=event)
        until(is_begun, 60, "the deed is written")
        server.process.kill()
        assert call.exception() is not None
    again = Server(processes.server().process)
    entry = last(again)
    assert short(entry) == ("record.create", "events", "unknown")
    assert entry["detail"] == "the server ended before it answered"
    assert check(again)["valid"]
