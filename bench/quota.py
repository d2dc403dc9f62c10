"""How much of a quota is used, and how many calls are refused? 600 calls a minute, by one process and by two.

The two are `openbulk serve` and `openbulk worker` on one PostgreSQL, with two instances of one person, who has one
quota: once as it comes, where a call finds out whether Google takes more than is documented, and once with
`quota.user.minute` told. What is possible is the quota for the time that it took: 1,800 events need three minutes,
whoever makes them.
"""

import time
from collections.abc import Iterator

from figures import Figure, lessons, postgresql, processes, stats
from support.harness import Processes, Server, request

A_MINUTE = 600


def measure(quick: bool) -> Iterator[Figure]:
    """More events than the quota allows at once, and so many as fit into its first minute."""
    many, few = (700, 100) if quick else (1_800, 500)
    with processes() as started:
        yield used(started, [started.server()], many, "one process")
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        server = started.server(OPENBULK_DATABASE_URL=url)
        started.worker(OPENBULK_DATABASE_URL=url)
        both = [server, server]
        yield used(started, both, many, "two processes on PostgreSQL")
        yield used(
            started, both, many, "two processes on PostgreSQL that are told the quota", is_told=True
        )
    with processes() as started:
        yield used(started, [started.server()], few, "one process", "no waiting")


def used(
    started: Processes,
    servers: list[Server],
    count: int,
    who: str,
    target: str = "",
    *,
    is_told: bool = False,
) -> Figure:
    """Send so many events, in as many jobs as there are servers, each by an instance of its own."""
    sandbox = started.sandbox("google", "--quota-per-minute", str(A_MINUTE), "--latency-ms", "100")
    ann = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    told = {"quota.user.minute": str(A_MINUTE)} if is_told else {}
    shared = {"oauth.user.refresh_token": ann["refresh_token"], **told}
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
    return Figure(
        f"{count:,} events by {who}, 100 ms away with {A_MINUTE} calls a minute",
        f"{taken:.1f} s, {count / possible:.1%} of the quota, {counted['refused'] / counted['calls']:.2%} refused",
        target or "95 % of the quota, at most 1 % refused",
    )
