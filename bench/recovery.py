"""How soon does work go on after a crash? `kill -9` in the middle of an upload to Google, 100 ms away.

Resumed: a server on SQLite is started again at once; from the kill to the first record that is written down anew,
the start included. Taken over: of two servers on one PostgreSQL, the one that works on the job is killed and stays
dead; from the kill to the first record that the other writes down. After each, nothing is lost and nothing doubled.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import psycopg

from figures import Figure, lessons, postgresql, processes
from support.harness import Process, Processes, Server, request

WITHIN = 60.0


def measure(quick: bool) -> Iterator[Figure]:
    """Several crashes of each kind."""
    times, count = (1, 1_500) if quick else (7, 3_000)
    with processes() as started:
        resumed = [seconds_to_resume(started, count) for _ in range(times)]
    yield figure("goes on after kill -9 and restart, SQLite", resumed, "5 s")
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        servers = [started.server(OPENBULK_DATABASE_URL=url) for _ in range(2)]
        taken_over = []
        for _ in range(times):
            taken_over.append(seconds_to_take_over(started, url, servers, count))
            servers = [server for server in servers if server.process.popen.poll() is None]
            servers.append(started.server(OPENBULK_DATABASE_URL=url))
    yield figure("another goes on after a worker has died, PostgreSQL", taken_over, "10 s")


def figure(what: str, seconds: Sequence[float], target: str) -> Figure:
    """The middle and the worst."""
    middle, worst = statistics.median(seconds), max(seconds)
    return Figure(
        f"{what} ({len(seconds)} times)",
        f"{middle:.1f} s in the middle, {worst:.1f} s at worst",
        target,
    )


def seconds_to_resume(started: Processes, count: int) -> float:
    """Kill a server, start it again, and wait until it goes on."""
    sandbox = started.sandbox("google", "--latency-ms", "100")
    google = started.server().google(sandbox)
    job_id = google.upload("events", lessons(count)).json["id"]
    until(lambda: reached(google, job_id) > 0, "the job gets somewhere")
    before = reached(google, job_id)
    google.process.kill()
    killed = time.monotonic()
    again = Server(started.server().process, google.element_token)
    until(lambda: reached(again, job_id) > before, "the job goes on")
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
    until(lambda: reached(google, job_id) > 0, "the job gets somewhere")
    worker = worker_of(url, job_id)
    (dead,) = [server for server in servers if server.process.popen.pid == worker]
    (alive,) = [
        Server(server.process, google.element_token) for server in servers if server is not dead
    ]
    dead.process.kill()
    killed = time.monotonic()
    before = reached(alive, job_id)
    until(lambda: reached(alive, job_id) > before, "the other one goes on")
    taken = time.monotonic() - killed
    finish(alive, job_id, sandbox, count)
    sandbox.stop()
    return taken


def reached(server: Server, job_id: str) -> int:
    """How many records are written down."""
    count: int = server.status(job_id)["recordsCount"]
    return count


def worker_of(url: str, job_id: str) -> int:
    """The process that works on a job, which the ledger knows and nobody is told."""
    with psycopg.connect(url) as ledger:
        row = ledger.execute("SELECT worker FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row is not None
    return int(row[0].split(":")[1])


def until(seen: Callable[[], bool], what: str) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + WITHIN
    while not seen():
        assert time.monotonic() < deadline, f"not within {WITHIN} s: {what}"
        time.sleep(0.02)


def finish(server: Server, job_id: str, sandbox: Process, count: int) -> None:
    """Wait for the job's end, and see that each event is there once."""
    assert server.finished(job_id, within=120)["recordsCount"] == count
    copies = Counter(
        event["summary"] for event in request("GET", f"{sandbox.url}/sandbox/events").json
    )
    assert copies == {f"Lesson {number}": 1 for number in range(count)}
