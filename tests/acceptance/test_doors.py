"""What one caller sends never stops the server for the others."""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.harness import Processes, Server
from support.ledger_rows import copy_first_row
from support.receiver import Receiver

DEEP = "[" * 260 + "]" * 260


def test_metadata_that_cannot_be_shown_is_refused_before_there_is_a_job(
    shared_memory: Server,
) -> None:
    for value in (DEEP, '"\\ud800"', "NaN", '"\\u0000"'):
        reply = shared_memory.upload("records", b"name\nAnn\n", f'{{"callback-payload": {value}}}')
        assert reply.status == 400, value
        assert "metaData.callback-payload" in reply.json["message"]
    assert shared_memory.call("GET", "/bulk/jobs").json == []


def test_tags_and_schedules_that_cannot_be_shown_are_refused(shared_memory: Server) -> None:
    headers = {"Content-Type": "application/json"}
    schedule = '{"uri": "/bulk/query", "body": {"q": "select * from records", "x": %s}, "trigger": '
    schedule += '{"cron": "0 0 12 ? * *"}}'
    before = shared_memory.call("GET", "/jobs").json
    for path, body, place in (
        ("/instances", '{"element": {"key": "memory"}, "tags": [%s]}', "the body.tags[0]"),
        ("/jobs", schedule, "the body.body.x"),
    ):
        for value in (DEEP, '"\\ud800"', "Infinity"):
            reply = shared_memory.call("POST", path, body=(body % value).encode(), headers=headers)
            assert (reply.status, place in reply.json["message"]) == (400, True), reply.body
    assert shared_memory.call("GET", "/jobs").json == before


@pytest.fixture
def poisoned(processes: Processes, receiver: Receiver) -> Iterator[Server]:
    """A server whose ledger has what an earlier version took."""
    first = processes.server()
    server = first.instance("memory", tags=["a"])
    first.instance("memory", name="Another")
    for _ in range(2):
        server.done("records", b"name\nAnn\n")
    first.process.stop()
    with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET options = ? WHERE id = 1", (f'{{"a": {DEEP}}}',))
        ledger.execute("UPDATE instances SET tags = ? WHERE id = 1", ('["\\ud800"]',))
        # As if the process had died between the end of the jobs and their notifications.
        ledger.execute("UPDATE jobs SET callback_url = ?", (receiver.url,))
    again = processes.server()
    yield Server(again.process, server.element_token)


def test_what_an_earlier_version_took_costs_nobody_anything(
    poisoned: Server, receiver: Receiver
) -> None:
    """Lists and single answers go on, and the sweep recovers both notifications."""
    receiver.wait_for(2, within=120)
    for path in ("/instances", "/instances/1", "/bulk/jobs", "/bulk/1", "/bulk/1/status"):
        reply = poisoned.call("GET", path)
        assert reply.status == 200, (path, reply.body)
    assert len(poisoned.call("GET", "/instances").json) == 2
    assert len(poisoned.call("GET", "/bulk/jobs").json) == 2
    assert "Traceback" not in poisoned.process.log()


def test_a_row_that_cannot_be_read_is_logged_and_its_neighbours_are_shown(
    processes: Processes,
) -> None:
    first = processes.server()
    server = first.instance("memory")
    for _ in range(2):
        server.done("records", b"name\nAnn\n")
    first.process.stop()
    with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET action = 'dance' WHERE id = 1")
    again = Server(processes.server().process, server.element_token)
    assert [job["id"] for job in again.call("GET", "/bulk/jobs").json] == [2]
    assert "ledger row cannot be read" in again.process.log()


def test_page_tokens_belong_to_their_list(shared_memory: Server) -> None:
    shared_memory.done("records", b"name\nAnn\nBob\nCid\n")
    first = shared_memory.call("GET", "/records?pageSize=2")
    token = first.headers["elements-next-page-token"]
    second = shared_memory.call("GET", f"/records?pageSize=2&nextPage={token}")
    assert (second.status, len(second.json)) == (200, 1)
    for query in (
        f"/log?nextPage={token}",
        f"/records?orderBy=name&nextPage={token}",
        "/records?nextPage=WyJhYmMiLDBd",
        "/records?nextPage=bm9uc2Vuc2U=",
        "/records?nextPage=" + "9" * 5_000,
    ):
        reply = shared_memory.call("GET", query)
        assert (reply.status, "nextPage is not a token" in reply.json["message"]) == (400, True)


def test_schedules_have_pages(processes: Processes) -> None:
    body = {
        "uri": "/bulk/query",
        "body": {"q": "select * from records"},
        "trigger": {"cron": "0 0 12 ? * *"},
    }
    server = processes.server().instance("memory")
    made = [server.call("POST", "/jobs", json_body=body).json["id"] for _ in range(3)]
    first = server.call("GET", "/jobs?pageSize=2")
    token = first.headers["elements-next-page-token"]
    second = server.call("GET", f"/jobs?pageSize=2&nextPage={token}")
    assert [one["id"] for one in [*first.json, *second.json]] == made
    assert "elements-next-page-token" not in second.headers
    assert server.call("GET", "/jobs?nextPage=x").status == 400


def test_memory_is_off_unless_it_is_asked_for(processes: Processes, tmp_path: Path) -> None:
    on = processes.server()
    server = on.instance("memory")
    on.process.stop()
    off = processes.server(OPENBULK_MEMORY_CONNECTOR="false")
    reply = off.call("POST", "/instances", json_body={"element": {"key": "memory"}})
    assert reply.status == 404
    assert "OPENBULK_MEMORY_CONNECTOR=true" in reply.json["message"]
    assert "memory" not in [one["key"] for one in off.call("GET", "/elements").json]
    # An instance from before is listed, and says what is missing.
    assert off.call("GET", "/instances").json[0]["element"]["key"] == "memory"
    refusal = Server(off.process, server.element_token).call("GET", "/records")
    assert refusal.status == 401
    assert "OPENBULK_MEMORY_CONNECTOR=true" in refusal.json["message"]


def test_records_in_memory_are_gone_with_the_last_instance_of_their_space(
    shared_server: Server,
) -> None:
    space = {"space": uuid.uuid4().hex}
    first, second = (shared_server.instance("memory", space) for _ in range(2))
    first.done("records", b"name\nAnn\n")
    assert first.call("DELETE", "/instances").status == 200
    assert len(second.call("GET", "/records").json) == 1
    assert second.call("DELETE", "/instances").status == 200
    assert shared_server.instance("memory", space).call("GET", "/records").json == []


def test_tags_and_values_have_lengths(shared_memory: Server) -> None:
    made = {"element": {"key": "memory"}}
    for more in (
        {"tags": ["x"] * 101},
        {"tags": ["x" * 201]},
        {"name": "x" * 501},
        {"configuration": {"space": "x" * 20_001}},
    ):
        reply = shared_memory.call("POST", "/instances", json_body={**made, **more})
        assert reply.status == 400, more
    names = ("signature.key", "basic.username", "basic.password", "callback.hosts")
    long = {f"event.notification.{name}": "x" * 19_000 for name in names}
    own = f"/instances/{shared_memory.instance_id}"
    some = dict(list(long.items())[:2])
    for path, method, configuration, status in (
        ("/instances", "POST", long, 413),
        (own, "PATCH", some, 200),
        (own, "PATCH", long, 413),
    ):
        body = {**made, "configuration": configuration}
        reply = shared_memory.call(method, path, json_body=body)
        assert reply.status == status, (path, configuration.keys(), reply.body[:300])
    large = json.dumps({"callback-payload": "x" * 70_000})
    assert shared_memory.upload("records", b"name\nAnn\n", large).status == 413


def test_an_organization_has_a_limited_number_of_instances_and_schedules(
    processes: Processes,
) -> None:
    server = processes.server().instance("memory")
    schedule = {
        "uri": "/bulk/query",
        "body": {"q": "select * from records"},
        "trigger": {"cron": "0 0 12 ? * *"},
    }
    assert server.call("POST", "/jobs", json_body=schedule).status == 200
    with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
        copy_first_row(ledger, "schedules", 999, id="'copy' || n")
        unique = {"id": "n + 1", "token_fingerprint": "'copy' || n"}
        copy_first_row(ledger, "instances", 9_999, **unique)
    workflow = [
        {
            "objectName": "records",
            "targetConfiguration": {"token": server.element_token, "objectName": "records"},
        }
    ]
    scheduled = {"Elements-Schedule-Request": "0 0 12 ? * *"}
    instance = {"element": {"key": "memory"}}
    for path, body, headers in (
        ("/jobs", schedule, {}),
        ("/bulk/workflows", workflow, scheduled),
        ("/instances", instance, {}),
        ("/elements/memory/instances", {}, {}),
    ):
        reply = server.call("POST", path, json_body=body, headers=headers)
        assert (reply.status, "which is the limit" in reply.json["message"]) == (409, True), path


def test_an_organization_has_a_limited_number_of_jobs_and_workflows_under_way(
    processes: Processes,
) -> None:
    """One more is refused before its file is read; a repeated request gets its job."""
    server = processes.server().instance("memory")
    key = {"Idempotency-Key": "a"}
    accepted = server.upload("records", b"name\nAnn\n", headers=key)
    target = {"token": server.element_token, "objectName": "records"}
    workflow = [{"objectName": "records", "targetConfiguration": target}]
    assert server.call("POST", "/bulk/workflows", json_body=workflow).status == 200
    # So that no copy of these finishes, whatever the sweep does with it.
    assert server.call("DELETE", "/instances/enabled").status == 200
    with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
        copy, running = "'copy' || n", "'RUNNING'"
        copy_first_row(ledger, "runs", 1_000, id=copy, status=running)
        files = {"read_file": copy, "sent_file": "'sent' || n"}
        unique = {"id": "n + 1", "run_id": copy, **files}
        copy_first_row(ledger, "transfers", 1_000, **unique, status=running)
        new = {"id": "n + 10", "status": "'CREATED'", "finished_at": "NULL"}
        copy_first_row(ledger, "jobs", 10_000, **new, file="'job' || n")
    another = server.instance("memory")
    target["token"] = another.element_token
    for path, body in (
        ("/bulk/workflows", workflow),
        ("/bulk/download", {"objectName": "records"}),
        ("/bulk/query?q=select%20*%20from%20records", None),
        ("/bulk/records", {"this": "is no form"}),
    ):
        reply = another.call("POST", path, json_body=body)
        assert (reply.status, reply.headers.get("retry-after")) == (429, "5"), (path, reply.body)
        assert "wait until some are finished" in reply.json["message"]
    again = server.upload("records", b"name\nAnn\n", headers=key)
    assert (again.status, again.json["id"]) == (200, accepted.json["id"])


def test_an_organization_has_a_limited_number_of_callbacks_that_nobody_takes(
    processes: Processes, receiver: Receiver
) -> None:
    """The sweep looks at all of them. Jobs without a callback are still accepted."""
    server = processes.server().instance("memory")
    receiver.status = 500
    callback = {"Elements-Async-Callback-Url": receiver.url}
    first = server.upload("records", b"name\nAnn\n", headers=callback)
    server.finished(first.json["id"])
    receiver.wait_for(1)
    with closing(sqlite3.connect(processes.folder / "data" / "ledger.db")) as ledger, ledger:
        copy_first_row(ledger, "jobs", 10_000, id="n + 1", file="'job' || n")
        later = {"attempts": "3", "due_at": "due_at + 86400000", "finished_at": "NULL"}
        copy_first_row(ledger, "deliveries", 10_000, id="n + 1", job_id="n + 1", **later)
    refused = server.upload("records", b"name\nAnn\n", headers=callback)
    assert (refused.status, refused.headers.get("retry-after")) == (429, "5")
    assert "10,000 callbacks that no receiver has taken" in refused.json["message"]
    download = {"objectName": "records", "notificationUrl": receiver.url}
    assert server.call("POST", "/bulk/download", json_body=download).status == 429
    assert server.upload("records", b"name\nAnn\n").status == 200
