"""How much of a quota is used, and how many calls are refused? 600 calls per minute.

By one process, and by two: `openbulk serve` and `openbulk worker` on one PostgreSQL, with two
instances of one person, who has one quota. The two are measured by default, where probes find out
whether Google takes more than its documentation says, and with `quota.user.minute` set. 100 % is
the quota for the time that the events took: 1,800 events need three minutes.
"""

import time
from collections.abc import Iterator

from figures import Figure, lessons, postgresql, processes, stats
from support.harness import Processes, Server, request

A_MINUTE = 600


def measure(quick: bool) -> Iterator[Figure]:
    """More events than the quota of a minute, and fewer."""
    many, few = (700, 100) if quick else (1_800, 500)
    with processes() as started:
        yield measure_use(started, [started.server()], many, "one process")
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        server = started.server(OPENBULK_DATABASE_URL=url)
        started.worker(OPENBULK_DATABASE_URL=url)
        both = [server, server]
        yield measure_use(started, both, many, "two processes on PostgreSQL")
        who = "two processes on PostgreSQL that know the quota"
        yield measure_use(started, both, many, who, knows_quota=True)
    with processes() as started:
        yield measure_use(started, [started.server()], few, "one process", "no waiting")


def measure_use(
    started: Processes,
    servers: list[Server],
    count: int,
    who: str,
    target: str = "",
    *,
    knows_quota: bool = False,
) -> Figure:
    """Upload so many events: one job on each server, each of its own instance."""
    sandbox = started.sandbox("google", "--quota-per-minute", str(A_MINUTE), "--latency-ms", "100")
    ann = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    shared = {"oauth.user.refresh_token": ann["refresh_token"]}
    if knows_quota:
        shared["quota.user.minute"] = str(A_MINUTE)
    instances = [server.google(sandbox, **shared) for server in servers]
    began = time.monotonic()
    each = count // len(instances)
    jobs = [instance.upload("events", lessons(each)).json["id"] for instance in instances]
    for instance, job_id in zip(instances, jobs, strict=True):
        status = instance.finished(job_id, within=400)
        assert (status["recordsCount"], status["recordsFailedCount"]) == (each, 0), status
    taken = time.monotonic() - began
    counted = stats(sandbox)
    possible = max(count, A_MINUTE * taken / 60)
    refused = counted["refused"] / counted["calls"]
    return Figure(
        f"{count:,} events by {who}, 100 ms away with {A_MINUTE} calls per minute",
        f"{taken:.1f} s, {count / possible:.1%} of the quota, {refused:.2%} refused",
        target or "95 % of the quota, at most 1 % refused",
    )
