"""How many small jobs a second? A thousand of ten rows, over a hundred instances: submitted, done, written down.

From the first upload's first byte to the last job's completion time, which the server writes down: whoever waits for
it asks seldom. Eight callers submit side by side.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from figures import Figure, postgresql, processes
from support.harness import Server

FILE = b"name\n" + b"Ann\n" * 10
CALLERS = 8


def measure(quick: bool) -> Iterator[Figure]:
    """On SQLite, and on PostgreSQL by one process and by two."""
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
    """Jobs a second, from the first byte to the last job's end."""
    made = [server.instance("memory", {"keep": "false"}) for _ in range(instances)]
    for one in made[:2]:
        one.done("records", FILE)
    began = time.time()
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(
            callers.map(
                lambda number: made[number % instances].upload("records", FILE).status, range(jobs)
            )
        )
    submitted = time.time() - began
    assert set(answers) == {200}, answers
    taken = max(last_end(one) for one in made) - began
    return (
        f"{jobs / taken:.0f} jobs/s ({taken:.1f} s; the last was submitted after {submitted:.1f} s)"
    )


def last_end(server: Server) -> float:
    """When the last of an instance's jobs was finished, once all are."""
    deadline = time.monotonic() + 300
    while True:
        found = server.call("GET", "/bulk/jobs?pageSize=200").json
        if all("completion_time" in job for job in found):
            assert all((job["status"], job["record_count"]) == ("COMPLETE", 10) for job in found), (
                found
            )
            return float(max(job["completion_time"] for job in found)) / 1000
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
