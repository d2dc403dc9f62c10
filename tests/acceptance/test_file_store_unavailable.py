"""Jobs wait for a bucket that is away, and callers get 503."""

import time
from collections import Counter
from typing import Any

import pytest

from support.google_sandbox import events_csv
from support.harness import Processes, request
from support.log_events import SLICE_FAILED
from support.s3 import S3, Line

EVENTS = 20_000
SMALL = b"summary,start.date,end.date\nMaths,2026-09-01,2026-09-02\n"


@pytest.mark.long
def test_a_job_outlives_an_outage_of_its_bucket_and_repeats_no_call(
    processes: Processes, s3: S3
) -> None:
    """It spends no attempt, and its status names the reason."""
    line = Line(s3.endpoint)
    settings: dict[str, Any] = {
        **s3.environment,
        "AWS_ENDPOINT_URL": line.endpoint,
        "OPENBULK_FILES_URL": s3.new_bucket(),
    }
    sandbox = processes.sandbox("google", "--latency-ms", "500")
    server = processes.server(**settings).google(sandbox)
    job_id = server.upload("events", events_csv(EVENTS)).json["id"]
    while not server.status(job_id)["recordsCount"]:
        time.sleep(0.05)
    line.cut()

    refused = server.upload("events", SMALL)
    assert (refused.status, refused.headers["retry-after"]) == (503, "5"), refused.body
    assert "openbulk's file store cannot be used at the moment" in refused.json["message"]
    ready = request("GET", f"{server.process.url}/readyz")
    assert (ready.status, list(ready.json["broken"])) == (503, ["files"])
    deadline = time.monotonic() + 120
    while "the file store cannot be used" not in server.status(job_id).get("infoMessage", ""):
        assert time.monotonic() < deadline, server.status(job_id)
        time.sleep(0.05)

    line.mend()
    status = server.finished(job_id, within=180)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        EVENTS,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events", timeout=60).json
    assert Counter(event["summary"] for event in events) == {
        f"Lesson {n}": 1 for n in range(1, EVENTS + 1)
    }
    stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    assert stats["by_status"] == {"200": stats["calls"]}, "no call is repeated"
    assert SLICE_FAILED not in server.process.log()
    assert "Traceback" not in server.process.log()


def test_a_download_waits_until_it_can_keep_its_records(processes: Processes, s3: S3) -> None:
    """It is accepted while the bucket is away, and done when the bucket is back."""
    line = Line(s3.endpoint)
    settings: dict[str, Any] = {
        **s3.environment,
        "AWS_ENDPOINT_URL": line.endpoint,
        "OPENBULK_FILES_URL": s3.new_bucket(),
    }
    server = processes.server(**settings).instance("memory")
    server.done("records", b"name\n" + b"".join(b"N%d\n" % n for n in range(3_000)))
    line.cut()
    created = server.call("POST", "/bulk/query", json_body={"query": "select * from records"})
    assert created.status == 200, created.body
    time.sleep(12)
    assert server.status(created.json["id"])["status"] in {"CREATED", "RUNNING"}
    line.mend()
    status = server.finished(created.json["id"], within=120)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 3_000)
    assert SLICE_FAILED not in server.process.log()
