"""Does a plan say how long the limits of the service will make its job wait?

Events for a Google sandbox with a quota: they are planned, the plan is asked for its forecast
(`waitSeconds`), and then it is carried out. The quota is known to openbulk, or it has to find it
out. The time of the run is that from the request to the status of the finished job.
"""

import time
from collections.abc import Iterator

from figures import Figure, lessons, processes
from support.harness import Processes

A_MINUTE = 600
UPSERT = {"action": "upsert", "plan": True}
WITHIN = 900.0
"""Seconds that a job may take."""


def measure(quick: bool) -> Iterator[Figure]:
    """A plan that takes the calls of some minutes."""
    for count in (700,) if quick else (1_300, 3_000):
        for knows_quota in (True, False):
            with processes() as started:
                yield measure_forecast(started, count, knows_quota=knows_quota)


def measure_forecast(started: Processes, count: int, *, knows_quota: bool) -> Figure:
    """Plan so many events, and carry the plan out."""
    sandbox = started.sandbox("google", "--quota-per-minute", str(A_MINUTE), "--latency-ms", "100")
    quota = {"quota.user.minute": str(A_MINUTE)} if knows_quota else {}
    server = started.server().google(sandbox, **quota)
    job_id = server.upload("events", lessons(count), UPSERT).json["id"]
    assert server.finished(job_id)["status"] == "PLANNED"
    plan = server.call("GET", f"/bulk/{job_id}/plan").json
    forecast = plan["forecast"]["waitSeconds"]
    began = time.monotonic()
    apply = {"plan": plan["digest"]}
    assert server.call("PUT", f"/bulk/{job_id}/apply", json_body=apply).status == 200
    status = server.finished(job_id, within=WITHIN)
    taken = time.monotonic() - began
    assert (status["recordsCount"], status["recordsFailedCount"]) == (count, 0), status
    return Figure(
        f"{count:,} planned events, {A_MINUTE} calls per minute that openbulk "
        f"{'knows' if knows_quota else 'finds out'}",
        f"forecast {forecast:.0f} s, run {taken:.0f} s: {forecast / taken - 1:+.0%}",
        "within 10 %" if knows_quota else "",
    )
