"""Workflows transfer records from one instance into another, at once and by a schedule."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from support.harness import Process, Processes, Server
from support.receiver import Receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here that do not stop it."""
    with Processes(tmp_path_factory.mktemp("workflows")) as processes:
        yield processes.server()


def instances(server: Server, count: int) -> list[Server]:
    """Instances of Memory, each in a space of its own."""
    return [server.instance("memory", {"space": uuid.uuid4().hex}) for _ in range(count)]


def wait_for(look: Callable[[], Any], *, within: float = 120.0) -> Any:
    """Call `look` until it returns something true, and return that."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def transfers(server: Server, **filters: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return server.call("GET", f"/bulkloader?{query}").json


def finished_transfers(
    server: Server, run_id: str, count: int = 1, *, within: float = 120.0
) -> list[Any]:
    """The transfers of a run in their order, once all are finished."""

    def look() -> list[Any]:
        found = [one for one in transfers(server) if one["groupName"] == run_id]
        finished = [one for one in found if one["status"] != "RUNNING"]
        return finished if len(finished) == len(found) == count else []

    return list(reversed(wait_for(look, within=within)))


def has_job(server: Server, run_id: str, key: str) -> bool:
    return any(key in one for one in transfers(server) if one["groupName"] == run_id)


def transfer_of(
    source: Server, target: Server, query: str, object: str = "records", **more: Any
) -> dict[str, Any]:
    to = {
        "token": target.element_token,
        "objectName": object,
        "elementKey": "memory",
        **more.pop("to", {}),
    }
    return {
        "query": query,
        "statusCheckInterval": 3000,
        "elementKey": "memory",
        "targetConfiguration": to,
        **more,
    }


def held(instance: Server, object: str = "records") -> list[Any]:
    found: list[Any] = instance.call("GET", f"/{object}?pageSize=2000").json
    return found


def test_a_workflow_reads_records_from_one_instance_and_writes_them_into_another(
    server: Server,
) -> None:
    source, target = instances(server, 2)
    source.done("records", b"name,city\nAnn,Bern\nBob,Basel\nCid,Bern\n")
    reply = source.call(
        "POST",
        "/hubs/crm/bulk/workflows",
        json_body=[transfer_of(source, target, "select name from records where city = 'Bern'")],
    )
    assert (reply.status, reply.json["status"]) == (200, "CREATED")
    (transfer,) = finished_transfers(server, reply.json["id"])
    assert transfer["status"] == "COMPLETED"
    assert (
        transfer["sourceElementKey"],
        transfer["sourceObjectName"],
        transfer["sourceRecordCount"],
    ) == (
        "memory",
        "records",
        2,
    )
    assert (transfer["targetObjectName"], transfer["targetErrorCount"]) == ("records", 0)
    assert sorted(one["name"] for one in held(target)) == ["Ann", "Cid"]
    assert source.status(transfer["sourceJobId"])["job_direction"] == "DOWNLOAD"
    sent = target.status(transfer["targetJobId"])
    assert (sent["job_direction"], sent["recordsCount"], sent["recordsFailedCount"]) == (
        "UPLOAD",
        2,
        0,
    )


def test_the_transfers_of_a_workflow_run_one_after_another(server: Server) -> None:
    """So that parents come before their children: each ends before the next begins."""
    source, target = instances(server, 2)
    source.done("records", b"name\n" + b"Ann\n" * 2_000)
    plans = [
        transfer_of(source, target, f"select * from records limit {count}")
        for count in (2_000, 1, 1_500)
    ]
    found = finished_transfers(
        server, source.call("POST", "/bulk/workflows", json_body=plans).json["id"], 3
    )
    assert [one["sourceRecordCount"] for one in found] == [2_000, 1, 1_500]
    jobs = [server.status(one[side]) for one in found for side in ("sourceJobId", "targetJobId")]
    for before, after in pairwise(jobs):
        assert before["bulk_finish_time"] <= after["bulk_start_time"]


def test_a_transfer_that_fails_says_why_and_the_next_one_runs(
    server: Server, shared_google: Process
) -> None:
    (source,), target = instances(server, 1), server.google(shared_google)
    source.done("records", b"summary\nLesson\n")
    plans = [
        transfer_of(
            source,
            target,
            "select summary from records",
            "events",
            to={"metaData": {"action": "create"}},
        ),
        transfer_of(source, source, "select summary from records", "log"),
    ]
    run_id = source.call("POST", "/bulk/workflows", json_body=plans).json["id"]
    first, second = finished_transfers(server, run_id, 2)
    assert (first["status"], first["targetErrorCount"]) == ("COMPLETED", 1), (
        "an event without times is an error record"
    )
    errors = target.call("GET", f"/hubs/scheduling/bulk/{first['targetJobId']}/errors").json
    assert "start is missing" in errors[0]["error"]
    assert (second["status"], len(held(source, "log"))) == ("COMPLETED", 1)


def test_a_transfer_whose_instance_is_deleted_ends_with_the_reason(
    server: Server, processes: Processes
) -> None:
    sandbox = processes.sandbox("google")
    (source,), target = instances(server, 1), server.google(sandbox)
    start, end = {"date": "2026-09-01"}, {"date": "2026-09-02"}
    source.done("records", json.dumps([{"summary": "Lesson", "start": start, "end": end}]).encode())
    # The transfer waits for its service, and cannot end before the instance is deleted.
    sandbox.kill()
    run_id = source.call(
        "POST",
        "/bulk/workflows",
        json_body=transfer_of(source, target, "select summary, start, end from records", "events"),
    ).json["id"]
    wait_for(partial(has_job, server, run_id, "targetJobId"))
    assert server.call("DELETE", f"/instances/{target.instance_id}").status == 200
    (transfer,) = finished_transfers(server, run_id, within=120)
    assert transfer["status"] == "ERROR"
    assert "sending ended as ABORTED: instance" in transfer["statusMessage"]


def test_a_workflow_loses_and_doubles_nothing_when_the_server_is_killed_between_its_steps(
    processes: Processes,
) -> None:
    sandbox = processes.sandbox("google")
    server = processes.server()
    source, target = server.google(sandbox), server.google(sandbox)
    rows = b"".join(b"Lesson %d,2026-09-01,2026-09-02\n" % number for number in range(600))
    source.done("events", b"summary,start.date,end.date\n" + rows)
    to = {"objectName": "calendars/second/events", "metaData": {"sendUpdates": "none"}}
    assert target.call("POST", "/calendars", json_body={"summary": "Second"}).status == 200
    second = next(one for one in held(target, "calendar-list") if one.get("summary") == "Second")[
        "id"
    ]
    to["objectName"] = f"calendars/{second}/events"
    plan = transfer_of(source, target, "select summary, start, end from events", to=to)
    run_id = source.call("POST", "/bulk/workflows", json_body=[plan]).json["id"]
    for key in ("sourceJobId", "targetJobId"):
        wait_for(partial(has_job, server, run_id, key))
        server.process.kill()
        server = processes.server()
        source, target = (
            Server(server.process, source.element_token),
            Server(server.process, target.element_token),
        )
    (transfer,) = finished_transfers(server, run_id)
    assert (transfer["status"], transfer["sourceRecordCount"], transfer["targetErrorCount"]) == (
        "COMPLETED",
        600,
        0,
    )
    copied = held(target, f"calendars/{second}/events")
    assert sorted(one["summary"] for one in copied) == sorted(
        f"Lesson {number}" for number in range(600)
    )


def test_each_upload_of_a_workflow_sends_a_callback(server: Server, receiver: Receiver) -> None:
    source, target = instances(server, 2)
    source.done("records", b"name\nAnn\n")
    plans = [
        transfer_of(source, target, "select name from records", name) for name in ("records", "log")
    ]
    headers = {"Elements-Async-Callback-Url": receiver.url}
    run_id = source.call("POST", "/bulk/workflows", headers=headers, json_body=plans).json["id"]
    jobs = [one["targetJobId"] for one in finished_transfers(server, run_id, 2)]
    receiver.wait_for(2)
    assert sorted(json.loads(one.body)["id"] for one in receiver.received) == sorted(jobs)


REFUSED_WORKFLOWS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"targetConfiguration": None}, {}, "targetConfiguration is missing"),
    ({}, {"token": "nobody's"}, "targetConfiguration.token is not the token of an instance"),
    ({}, {"objectName": "nothing"}, "there is no object 'nothing'"),
    ({}, {"method": "GET"}, "method 'GET' is not known; it can be POST"),
    ({}, {"addToCampaign": {"id": 1}}, "addToCampaign is not possible"),
    ({"query": "select * from nothing"}, {}, "there is no object 'nothing' to read"),
    ({"query": "select name"}, {}, "select * from"),
    ({"fileUpload": True}, {}, "upload the file into the target instance"),
    (
        {"notificationConfiguration": {"to": "ann@example.com"}},
        {},
        "openbulk has no connector for mail",
    ),
    ({"from": "2026-09-01T00:00:00Z"}, {}, "has no date of change"),
]


def test_a_wrong_workflow_is_refused_before_it_reads_or_writes(server: Server) -> None:
    (instance,) = instances(server, 1)
    before = transfers(server)
    for change, to, message in REFUSED_WORKFLOWS:
        plan = transfer_of(instance, instance, "select * from records", to=to)
        reply = instance.call("POST", "/bulk/workflows", json_body=[{**plan, **change}])
        assert (reply.status, message in reply.json["message"]) == (400, True), reply.json
    for body in (b"[", b"[]", b"[1]"):
        reply = instance.call("POST", "/bulk/workflows", body=body)
        assert (reply.status, "looks like" in reply.json["message"]) == (400, True), reply.json
    assert transfers(server) == before


# --- schedules ---


def test_a_schedule_transfers_records_whenever_it_is_due(server: Server) -> None:
    source, target = instances(server, 2)
    source.done("records", b"name\nAnn\n")
    plan = transfer_of(source, target, "select name from records", to={"objectName": "log"})
    reply = source.call(
        "POST",
        "/bulk/workflows",
        headers={"Elements-Schedule-Request": "0/2 * * * * ?"},
        json_body=[plan],
    )
    schedule_id = reply.json["id"]
    assert (reply.status, reply.json["status"], reply.json["trigger"]["state"]) == (
        200,
        "CREATED",
        "NORMAL",
    )

    def statuses() -> list[str]:
        return [one["status"] for one in transfers(server, jobId=schedule_id)]

    wait_for(lambda: statuses().count("COMPLETED") >= 2)
    assert server.call("PUT", f"/jobs/{schedule_id}/disable").json["trigger"]["state"] == "PAUSED"
    wait_for(lambda: set(statuses()) == {"COMPLETED"})
    done = transfers(server, jobId=schedule_id)
    assert len(held(target, "log")) == len(done)
    time.sleep(2.5)
    assert len(transfers(server, jobId=schedule_id)) == len(done), "a paused schedule is not due"
    runs = server.call("GET", f"/jobs/{schedule_id}/history").json
    assert [one["status"] for one in runs] == ["COMPLETED"] * len(done)
    executions = server.call("GET", "/jobs/executions").json
    assert runs == [one for one in executions if one["jobId"] == schedule_id]
    shown = [one for one in server.call("GET", "/jobs").json if one["id"] == schedule_id]
    assert len(shown) == 1
    assert str(source.element_token) not in str(shown)
    assert str(target.element_token) not in str(shown) + str(done)


def test_a_schedule_makes_up_once_for_runs_while_no_server_ran(processes: Processes) -> None:
    server = processes.server()
    source = server.instance("memory", {"space": "a"})
    body = {
        "uri": "/hubs/general/bulk/query",
        "query": {"q": "select * from records"},
        "trigger": {"cron": "0/2 * * * * ?"},
    }
    schedule_id = source.call("POST", "/jobs", json_body=body).json["id"]
    server.process.kill()
    time.sleep(5)
    server = processes.server()
    server.call("PATCH", f"/jobs/{schedule_id}/reschedule", json_body={"cron": "0 0 0 1 1 ? 2099"})
    wait_for(
        lambda: all(
            one["status"] == "COMPLETED" for one in server.call("GET", "/jobs/executions").json
        )
    )
    assert len(server.call("GET", f"/jobs/{schedule_id}/history").json) <= 3


def test_schedules_are_made_shown_changed_and_deleted(server: Server) -> None:
    (instance,) = instances(server, 1)
    number = int(str(instance.instance_id))
    body = {
        "name": "nightly",
        "description": "all records",
        "method": "POST",
        "uri": "/elements/api-v2/hubs/general/bulk/download",
        "body": {"objectName": "records", "format": "text/csv"},
        "trigger": {"cron": "0 0 0/1 1/1 * ? *"},
    }
    made = server.call("POST", "/jobs", json_body={**body, "instanceId": number}).json
    assert (made["name"], made["data"]["uri"], made["trigger"]["state"]) == (
        "nightly",
        "/bulk/download",
        "NORMAL",
    )
    assert made["trigger"]["nextFireTime"] > made["trigger"]["startTime"]
    assert server.call("GET", f"/jobs/{made['id']}").json == made
    moved = server.call(
        "PATCH", f"/jobs/{made['id']}/reschedule", json_body={"trigger": {"cron": "0 0 12 ? * FRI"}}
    )
    assert moved.json["trigger"]["cron"] == "0 0 12 ? * FRI"
    assert server.call("PUT", f"/jobs/{made['id']}/disable").json["trigger"]["state"] == "PAUSED"
    assert server.call("PUT", f"/jobs/{made['id']}/enable").json["trigger"]["state"] == "NORMAL"
    assert server.call("DELETE", f"/jobs/{made['id']}", body=b"null").json == {}
    assert server.call("GET", f"/jobs/{made['id']}").status == 404
    made = instance.call("POST", "/jobs", json_body=body).json
    assert made["id"] in [one["id"] for one in server.call("GET", "/jobs").json]
    server.call("DELETE", f"/instances/{number}")
    assert made["id"] not in [one["id"] for one in server.call("GET", "/jobs").json]


REFUSED_SCHEDULES: list[tuple[dict[str, Any], str]] = [
    ({"trigger": {"cron": "every day"}}, "does not have six or seven fields"),
    ({"trigger": {"cron": "0 0 0 30 2 ?"}}, "is never due"),
    ({"trigger": {"cron": "0 0 0 1 * MON"}}, "put ? in place of one of them"),
    ({"trigger": {"cron": "0 0 0 ? * 8"}}, "8 is not a day of the week"),
    ({"method": "DELETE"}, "method 'DELETE' cannot be scheduled"),
    ({"uri": "/instances"}, "'/instances' cannot be scheduled"),
    (
        {"query": {"q": "select * from records", "continueFromJobId": "1"}},
        "continueFromJobId belongs to a single",
    ),
    ({"body": "{"}, "body is not JSON"),
]


def test_a_wrong_schedule_is_refused(server: Server) -> None:
    (instance,) = instances(server, 1)
    before = server.call("GET", "/jobs").json
    body = {
        "uri": "/bulk/query",
        "query": {"q": "select * from records"},
        "trigger": {"cron": "0 0 12 ? * *"},
    }
    for change, message in REFUSED_SCHEDULES:
        reply = instance.call("POST", "/jobs", json_body={**body, **change})
        assert (reply.status, message in reply.json["message"]) == (400, True), reply.json
    assert server.call("GET", "/jobs").json == before
