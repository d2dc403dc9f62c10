"""Limits of organizations: what is refused, what waits, and who sees and changes them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.harness import Processes, Reply, Server, multipart, request, until

ONE = "/organizations/1/limits"
MANY_ROWS = b"name\n" + b"Ann\n" * 200_000
RAISED = "an administrator of the installation can raise the limit"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, processes: Processes) -> Iterator[Server]:
    """A server on each database."""
    env = {}
    if request.param == "postgresql":
        env = {"OPENBULK_DATABASE_URL": request.getfixturevalue("database")}
    yield processes.server(**env).instance("memory", {"keep": "false"})


def limit(server: Server, **limits: int | None) -> Any:
    reply = server.call("PATCH", ONE, json_body=limits)
    assert reply.status == 200, reply.body
    return reply.json


def usage(server: Server) -> dict[str, int]:
    return {name: one["used"] for name, one in server.call("GET", ONE).json.items()}


def send_file(server: Server, content: bytes) -> Reply:
    body, kind = multipart(content, {})
    return server.call("POST", "/files", body=body, headers={"Content-Type": kind})


def paused_job(server: Server) -> str:
    """A job that stays unfinished."""
    job_id: str = server.upload("records", MANY_ROWS).json["id"]
    assert server.call("PUT", f"/bulk/{job_id}/pause").status == 200
    return job_id


def refusal(reply: Reply) -> str:
    """The message of a 429, whose body is that of every error."""
    assert reply.status == 429, reply.body
    assert int(reply.headers["retry-after"]) > 0
    assert set(reply.json) == {"message", "requestId"}
    message: str = reply.json["message"]
    return message


def kept_in_store(processes: Processes) -> set[str]:
    folder = processes.folder / "data" / "files"
    return {path.parts[len(folder.parts)] for path in Path(folder).rglob("*") if path.is_file()}


def next_minute() -> None:
    time.sleep(60.5 - time.time() % 60)


def begin_of_a_minute() -> None:
    """Wait for another minute if this one is over soon."""
    if time.time() % 60 > 40:
        next_minute()


def test_jobs_beyond_the_limit_are_refused_and_a_repeated_request_gets_its_job(
    server: Server,
) -> None:
    limit(server, jobs=1)
    key = {"Idempotency-Key": "nightly"}
    job_id = server.upload("records", MANY_ROWS, headers=key).json["id"]
    assert server.call("PUT", f"/bulk/{job_id}/pause").status == 200
    message = refusal(server.upload("records", b"name\nAnn\n"))
    assert message == (
        "the organization has 1 unfinished jobs, and its limit is 1; wait until some are "
        f"finished, or cancel some (GET /bulk/jobs lists them); {RAISED}"
    )
    assert server.upload("records", MANY_ROWS, headers=key).json["id"] == job_id
    assert usage(server)["jobs"] == 1
    server.call("PUT", f"/bulk/{job_id}/cancel")
    assert server.finished(job_id)["status"] == "CANCELLED"
    assert server.upload("records", b"name\nAnn\n").status == 200


def test_files_beyond_the_limit_leave_nothing(server: Server, processes: Processes) -> None:
    first = send_file(server, b"name\nAnn\n").json
    limit(server, bytes=20)
    assert usage(server)["bytes"] == 9
    before = kept_in_store(processes)
    for reply in (server.upload("records", b"name\nBob\nCara\n"), send_file(server, b"x" * 12)):
        message = refusal(reply)
        assert message.startswith("the organization keeps 9 bytes of files and downloads, and")
        assert "its limit is 20. Delete finished jobs" in message
    assert kept_in_store(processes) == before
    assert server.call("GET", "/bulk/jobs").json == []
    # A job that uses a file which is there keeps no more.
    limit(server, bytes=9)
    job = server.call("POST", "/bulk/records", json_body={"metaData": {"fileId": first["id"]}})
    assert server.finished(job.json["id"])["status"] == "COMPLETE"
    assert usage(server)["bytes"] == 9
    assert server.call("DELETE", f"/files/{first['id']}").status == 200
    assert usage(server)["bytes"] == 0
    assert server.done("records", b"name\nAnn\n")["status"] == "COMPLETE"


def test_a_large_file_is_refused_before_it_arrives(server: Server) -> None:
    limit(server, bytes=1000)
    assert refusal(server.upload("records", MANY_ROWS)).startswith("the organization keeps 0 bytes")


def test_records_of_downloads_count_until_the_job_is_deleted(processes: Processes) -> None:
    server = processes.server().instance("memory")
    server.done("records", b"name\nAnn\n")
    before = usage(server)["bytes"]
    answer = server.call("POST", "/bulk/query?q=select%20*%20from%20records")
    server.finished(answer.json["id"])
    used = usage(server)["bytes"]
    assert used > before
    limit(server, bytes=used)
    assert "its limit is" in refusal(
        server.call("POST", "/bulk/query?q=select%20*%20from%20records")
    )
    assert server.call("DELETE", f"/bulk/{answer.json['id']}").status == 200
    assert usage(server)["bytes"] == before


def test_calls_beyond_the_limit_of_the_minute_are_refused(server: Server) -> None:
    begin_of_a_minute()
    limit(server, callsPerMinute=30)
    replies = [server.call("GET", "/ping") for _ in range(40)]
    assert [reply.status for reply in replies].count(200) in (30, 29)
    message = refusal(replies[-1])
    assert message == (
        "the organization has made 30 calls in this minute, which is its limit; send the request "
        f"again in the next one; {RAISED}"
    )
    assert 0 < int(replies[-1].headers["retry-after"]) <= 60
    url = server.process.url
    assert request("GET", f"{url}/healthz").status == 200
    assert request("GET", f"{url}/readyz").status == 200


def test_two_processes_share_the_calls_of_a_minute(processes: Processes, database: str) -> None:
    env: dict[str, Any] = {
        "OPENBULK_DATABASE_URL": database,
        "OPENBULK_MAX_CALLS_PER_MINUTE": "120",
    }
    servers = [processes.server(**env) for _ in range(2)]
    begin_of_a_minute()

    def count(server: Server) -> int:
        return [server.call("GET", "/organizations").status for _ in range(120)].count(200)

    with ThreadPoolExecutor(2) as threads:
        answered = sum(threads.map(count, servers))
    assert 116 <= answered <= 120


def test_the_limits_of_one_organization_are_not_those_of_another(server: Server) -> None:
    other = server.call(
        "POST", "/organizations", json_body={"name": "Choir", "email": "cara@example.com"}
    ).json
    theirs = {
        "Authorization": f"User {other['userSecret']}, Organization {other['organizationSecret']}"
    }
    path = f"/organizations/{other['id']}/limits"
    shown = server.call("PATCH", path, json_body={"callsPerMinute": 5, "jobs": 7})
    assert shown.json["jobs"] == {"limit": 7, "own": 7, "used": 0}
    seen = server.call("GET", path, headers=theirs).json
    assert seen["callsPerMinute"]["limit"] == 5
    assert server.call("PATCH", path, json_body={"jobs": 8}, headers=theirs).status == 403
    assert server.call("GET", ONE, headers=theirs).status == 404
    statuses = [server.call("GET", path, headers=theirs).status for _ in range(12)]
    assert 429 in statuses
    assert server.call("GET", "/ping").status == 200
    again = server.call("PATCH", path, json_body={"jobs": None}).json
    assert again["jobs"] == {"limit": 10_000, "own": None, "used": 0}
    assert again["callsPerMinute"]["own"] == 5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"jobs": 0}, "body.jobs must be at least 1"),
        ({"jobs": "5"}, "body.jobs must be a whole number"),
        ({"calls": 5}, "body.calls is not known"),
    ],
)
def test_a_limit_is_a_whole_number(
    processes: Processes, body: dict[str, Any], message: str
) -> None:
    reply = processes.server().call("PATCH", ONE, json_body=body)
    assert (reply.status, reply.json["message"]) == (400, message)


def test_a_run_waits_for_the_limit_and_is_carried_out(processes: Processes) -> None:
    server = processes.server().instance("memory")
    server.done("records", b"name\nAnn\n")
    waiting = paused_job(server)
    limit(server, jobs=1)
    target = server.instance("memory", {"space": "other"})
    copy = {
        "query": "select * from records",
        "targetConfiguration": {"token": target.element_token, "objectName": "records"},
    }
    run = server.call("POST", "/bulk/workflows", json_body=copy)
    assert run.status == 200, run.body
    (transfer,) = server.call("GET", "/bulkloader").json
    assert transfer["status"] == "RUNNING"
    assert len(server.call("GET", "/bulk/jobs").json) == 2
    server.call("PUT", f"/bulk/{waiting}/cancel")
    until(
        lambda: server.call("GET", "/bulkloader").json[0]["status"] == "COMPLETED",
        60,
        "the run is carried out",
    )


def test_admin_shows_and_changes_limits(processes: Processes) -> None:
    server = processes.server()
    env = {"OPENBULK_DATA_DIR": str(processes.folder / "data")}

    def admin(*arguments: str) -> Any:
        done = processes.command("admin", "limits", *arguments, "--json", env=env)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    assert admin()["jobs"] == {"limit": 10_000, "own": None, "used": 0}
    assert admin("--jobs", "5", "--bytes", "1000")["bytes"]["own"] == 1000
    assert server.call("GET", ONE).json["jobs"]["limit"] == 5
    assert admin("--jobs", "default")["jobs"]["limit"] == 10_000
    assert server.call("GET", ONE).json["bytes"]["limit"] == 1000
    assert "'many' is not a limit; it is a whole number from 1 on, or 'default'" in " ".join(
        admin("--jobs", "many").replace("│", " ").split()
    )
