"""Jobs that are paused, resumed, slowed down and put before others."""

import time
from collections import Counter
from pathlib import Path

from support.google_sandbox import events_csv
from support.harness import Process, Processes, Server, request, until

EVENTS = 1_500
LATENCY_MS = 400


def inserted(sandbox: Process) -> int:
    """The number of events that a sandbox of Google has made."""
    return int(request("GET", f"{sandbox.url}/sandbox/stats").json["inserted"])


def is_quiet(sandbox: Process) -> bool:
    """Whether a sandbox gets no events for longer than several of its calls take."""
    before = inserted(sandbox)
    time.sleep(4 * LATENCY_MS / 1_000)
    return inserted(sandbox) == before


def test_a_paused_job_rests_over_kills_until_it_is_resumed(
    processes: Processes, tmp_path: Path
) -> None:
    """It goes on where it was, at the pace that its caller sets."""
    sandbox = processes.sandbox("google", "--latency-ms", str(LATENCY_MS))
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    job_id = server.upload("events", events_csv(EVENTS)).json["id"]
    until(lambda: inserted(sandbox), 120, "the first records are sent")
    paused = server.call("PUT", f"/bulk/{job_id}/pause")
    assert (paused.status, paused.json["paused"], paused.json["status"]) == (200, True, "RUNNING")
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    until(lambda: is_quiet(sandbox), 120, "nothing is sent")
    rested = server.call("GET", f"/bulk/{job_id}").json
    assert (rested["paused"], rested["status"]) == (True, "RUNNING")
    assert f"the job is paused; PUT /bulk/{job_id}/resume continues it" in rested["infoMessage"]
    sent = inserted(sandbox)
    assert sent < EVENTS

    slow = server.call("PATCH", f"/bulk/{job_id}", json_body={"pace": {"callsPerMinute": 100}})
    assert slow.json["pace"] == {"callsPerMinute": 100}
    assert server.call("PUT", f"/bulk/{job_id}/resume").json["paused"] is False
    reason = "the caller lets this job make 100 calls a minute"
    until(
        lambda: reason in server.status(job_id).get("infoMessage", ""), 120, "the job waits for it"
    )
    assert inserted(sandbox) - sent <= 100
    fast = server.call("PATCH", f"/bulk/{job_id}", json_body={"pace": None})
    assert "pace" not in fast.json

    status = server.finished(job_id)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        EVENTS,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert Counter(event["summary"] for event in events) == {
        f"Lesson {n}": 1 for n in range(1, EVENTS + 1)
    }


def test_a_finished_job_stays_as_it_is(shared_memory: Server) -> None:
    server = shared_memory
    job_id = server.done("records", b"name\nAnn\n")["id"]
    job = server.call("GET", f"/bulk/{job_id}").json
    for method, path, body in (
        ("PUT", "/pause", None),
        ("PUT", "/resume", None),
        ("PATCH", "", {"priority": 1}),
    ):
        reply = server.call(method, f"/bulk/{job_id}{path}", json_body=body)
        assert (reply.status, reply.json) == (200, job)


def test_a_change_that_is_not_understood_is_refused(shared_memory: Server) -> None:
    server = shared_memory
    job_id = server.done("records", b"name\nAnn\n")["id"]
    for body, message in (
        ({}, "nothing to change; send"),
        ({"speed": 1}, "body.speed is not known"),
        ({"priority": 101}, "body.priority must be at most 100"),
        ({"priority": "1"}, "body.priority must be a whole number"),
        ({"pace": {"callsPerMinute": 0}}, "body.pace.callsPerMinute must be at least 1"),
        ({"pace": {"callsPerMinute": 9}}, "Memory takes records without calls that are counted"),
    ):
        reply = server.call("PATCH", f"/bulk/{job_id}", json_body=body)
        assert reply.status == 400
        assert reply.json["message"].startswith(message)
