"""How soon does a job continue after a crash? `kill -9` during an upload to Google, 100 ms away.

Resumed: a server on SQLite is started again at once. The time runs from the kill to the next
recorded outcome, and includes the start. Taken over: of two servers on one PostgreSQL, the one that
works on the job is killed. The time runs from the kill to the first outcome that the other records.
After each crash, nothing is lost and nothing doubled.
"""

import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import psycopg

from figures import Figure, lessons, postgresql, processes
from support.harness import Process, Processes, Server, request, until

RECOVERY_SECONDS = 60.0
"""The longest that a measurement waits."""


def measure(quick: bool) -> Iterator[Figure]:
    """Several crashes of each kind."""
    times, count = (1, 1_500) if quick else (7, 3_000)
    with processes() as started:
        resumed = [seconds_to_resume(started, count) for _ in range(times)]
    yield figure("a job continues after kill -9 and restart, SQLite", resumed, "5 s")
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        servers = [started.server(OPENBULK_DATABASE_URL=url) for _ in range(2)]
        taken_over = []
        for _ in range(times):
            taken_over.append(seconds_to_take_over(started, url, servers, count))
            servers = [server for server in servers if server.process.popen.poll() is None]
            servers.append(started.server(OPENBULK_DATABASE_URL=url))
    yield figure("another worker takes a dead one's job over, PostgreSQL", taken_over, "10 s")


def figure(what: str, seconds: Sequence[float], target: str) -> Figure:
    """The median and the worst."""
    median, worst = statistics.median(seconds), max(seconds)
    return Figure(
        f"{what} ({len(seconds)} times)",
        f"median {median:.1f} s, worst {worst:.1f} s",
        target,
    )


def seconds_to_resume(started: Processes, count: int) -> float:
    """Kill a server, start it again, and wait until its job continues."""
    sandbox = started.sandbox("google", "--latency-ms", "100")
    google = started.server().google(sandbox)
    job_id = google.upload("events", lessons(count)).json["id"]
    until(lambda: reached(google, job_id) > 0, RECOVERY_SECONDS, "the job progresses")
    before = reached(google, job_id)
    google.process.kill()
    killed = time.monotonic()
    again = Server(started.server().process, google.element_token)
    until(lambda: reached(again, job_id) > before, RECOVERY_SECONDS, "the job continues")
    taken = time.monotonic() - killed
    finish(again, job_id, sandbox, count)
    again.process.stop()
    sandbox.stop()
    return taken


def seconds_to_take_over(
    started: Processes, url: str, servers: Sequence[Server], count: int
) -> float:
    """Kill the server that works on a job, and wait until the other one does."""
    sandbox = started.sandbox("google", "--latency-ms", "100")
    google = servers[0].google(sandbox)
    job_id = google.upload("events", lessons(count)).json["id"]
    until(lambda: reached(google, job_id) > 0, RECOVERY_SECONDS, "the job progresses")
    worker = worker_of(url, job_id)
    (dead,) = [server for server in servers if server.process.popen.pid == worker]
    (alive,) = [
        Server(server.process, google.element_token) for server in servers if server is not dead
    ]
    dead.process.kill()
    killed = time.monotonic()
    before = reached(alive, job_id)
    until(lambda: reached(alive, job_id) > before, RECOVERY_SECONDS, "the other one continues")
    taken = time.monotonic() - killed
    finish(alive, job_id, sandbox, count)
    sandbox.stop()
    return taken


def reached(server: Server, job_id: str) -> int:
    """The number of outcomes so far."""
    count: int = server.status(job_id)["recordsCount"]
    return count


def worker_of(url: str, job_id: str) -> int:
    """The id of the process that works on a job. Only the ledger has it."""
    with psycopg.connect(url) as ledger:
        row = ledger.execute("SELECT worker FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row is not None
    return int(row[0].split(":")[1])


def finish(server: Server, job_id: str, sandbox: Process, count: int) -> None:
    """Wait for the end of the job, and check that each event is there once."""
    assert server.finished(job_id, within=120)["recordsCount"] == count
    copies = Counter(
        event["summary"] for event in request("GET", f"{sandbox.url}/sandbox/events").json
    )
    assert copies == {f"Lesson {number}": 1 for number in range(count)}
