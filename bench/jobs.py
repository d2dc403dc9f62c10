"""How many small jobs per second? A thousand jobs of ten rows, over a hundred instances.

The time runs from the first byte of the first upload to the completion time of the last job, which
the server records, so that the caller need not poll often. Eight callers upload at the same time.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from figures import Figure, postgresql, processes
from support.harness import Server

FILE = b"name\n" + b"Ann\n" * 10
CALLERS = 8


def measure(quick: bool) -> Iterator[Figure]:
    """SQLite, PostgreSQL with one process, PostgreSQL with two."""
    jobs, instances = (40, 10) if quick else (1_000, 100)
    what = f"{jobs:,} jobs of ten rows over {instances} instances"
    with processes() as started:
        yield Figure(f"{what}, SQLite", rate(started.server(), jobs, instances))
    with postgresql() as postgres:
        for workers in (0, 1):
            url = postgres.url(postgres.new_database())
            with processes() as started:
                server = started.server(OPENBULK_DATABASE_URL=url)
                for _ in range(workers):
                    started.worker(OPENBULK_DATABASE_URL=url)
                who = "server and worker" if workers else "one server"
                yield Figure(f"{what}, PostgreSQL, {who}", rate(server, jobs, instances))


def rate(server: Server, jobs: int, instances: int) -> str:
    """Jobs per second, from the first byte to the end of the last job."""
    made = [server.instance("memory", {"keep": "false"}) for _ in range(instances)]
    for one in made[:2]:
        one.done("records", FILE)
    began = time.time()
    with ThreadPoolExecutor(CALLERS) as callers:
        instance_of_each_job = islice(cycle(made), jobs)
        replies = callers.map(lambda one: one.upload("records", FILE), instance_of_each_job)
        statuses = {reply.status for reply in replies}
    uploaded = time.time() - began
    assert statuses == {200}, statuses
    taken = max(last_end(one) for one in made) - began
    return f"{jobs / taken:.0f} jobs/s ({taken:.1f} s; the last upload after {uploaded:.1f} s)"


def last_end(server: Server) -> float:
    """Wait for the jobs of an instance. Returns the end of the last one, in seconds since 1970."""
    deadline = time.monotonic() + 300
    while True:
        found = server.call("GET", "/bulk/jobs?pageSize=200").json
        if all("completion_time" in job for job in found):
            assert {(job["status"], job["record_count"]) for job in found} == {("COMPLETE", 10)}
            return float(max(job["completion_time"] for job in found)) / 1000
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
