"""Jobs use a service's quota and keep to it. A job that waits for it says so."""

import time
from functools import partial
from typing import Any

from support.google_sandbox import events_csv
from support.harness import Processes, Server, request, until

QUOTA = 120


def reached(status: dict[str, Any]) -> int:
    count: int = status["recordsCount"]
    return count


def test_a_job_within_the_quota_does_not_wait_and_the_next_one_says_until_when(
    processes: Processes,
) -> None:
    """Only the few calls that probe for a larger quota go beyond it."""
    sandbox = processes.sandbox("google", "--quota-per-minute", str(QUOTA))
    server = processes.server().google(sandbox, **{"quota.user.minute": str(QUOTA)})
    began = time.monotonic()
    assert server.done("events", events_csv(QUOTA - 20))["recordsCount"] == QUOTA - 20
    # Who waits, waits for the rest of a minute.
    assert time.monotonic() - began < 50

    job_id = server.upload("events", events_csv(100)).json["id"]
    deadline = time.monotonic() + 120
    while "tries again at" not in (status := server.status(job_id)).get("infoMessage", ""):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    assert "Google takes 120 calls a minute for one user, and all are used" in status["infoMessage"]
    assert 0 < reached(status) < 100
    # The sign-in makes one call before the quota is known.
    assert request("GET", f"{sandbox.url}/sandbox/stats").json["refused"] <= 4


def waits_for_its_instance(server: Server, job_id: str) -> bool:
    """Whether a job waits because its instance is disabled."""
    return "is disabled" in server.status(job_id).get("infoMessage", "")


def test_two_jobs_of_one_instance_share_a_minute(processes: Processes) -> None:
    """Neither job takes all of it, whichever came first."""
    sandbox = processes.sandbox("google", "--quota-per-minute", str(QUOTA), "--latency-ms", "200")
    server = processes.server().google(sandbox, **{"quota.user.minute": str(QUOTA)})
    # Both begin at the same moment: the first has no reason to share before there is another.
    server.call("DELETE", "/instances/enabled")
    jobs = [server.upload("events", events_csv(300)).json["id"] for _ in range(2)]
    for job_id in jobs:
        until(partial(waits_for_its_instance, server, job_id), 120, "the job is cut and waits")
    server.call("PUT", "/instances/enabled")
    deadline = time.monotonic() + 120
    while sum(counts := [reached(server.status(job_id)) for job_id in jobs]) < QUOTA - 10:
        assert time.monotonic() < deadline, counts
        time.sleep(0.1)
    assert min(counts) > QUOTA / 4, counts
