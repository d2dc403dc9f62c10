"""Several processes on one PostgreSQL database, as on several machines: one dies or freezes."""

import json
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from support.google_sandbox import events_csv
from support.harness import SLOWER, Process, Processes, Server, request, until
from support.postgres import Postgres
from support.receiver import Receiver

TAKEN_OVER_WITHIN = 10.0


@pytest.fixture
def ledger(postgres: Postgres, database: str) -> psycopg.Connection:
    """A connection to the ledger that the processes share."""
    return psycopg.connect(database, autocommit=True)


@pytest.fixture
def servers(processes: Processes, database: str) -> list[Server]:
    """Two servers; either shows the jobs of both."""
    return [processes.server(OPENBULK_DATABASE_URL=database) for _ in range(2)]


def job_in(ledger: psycopg.Connection, job_id: str) -> dict[str, Any]:
    """The row of a job."""
    with ledger.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row is not None
    return row


def worker_of(
    ledger: psycopg.Connection, job_id: str, servers: list[Server], reached: int = 1
) -> tuple[Server, Server]:
    """Wait until a job has progressed. Returns the server that works on it, and the other one."""
    job = until(
        lambda: (row := job_in(ledger, job_id))["cursor"] >= reached and row,
        120,
        "the job progresses",
    )
    pid = int(job["worker"].split(":")[1])
    mine = next(server for server in servers if server.process.popen.pid == pid)
    return mine, next(server for server in servers if server is not mine)


def copies(sandbox: Process) -> Counter[str]:
    """How many copies of each event are there."""
    return Counter(
        event["summary"] for event in request("GET", f"{sandbox.url}/sandbox/events").json
    )


def once_each(count: int) -> dict[str, int]:
    return {f"Lesson {n}": 1 for n in range(1, count + 1)}


def calls(sandbox: Process) -> int:
    made: int = request("GET", f"{sandbox.url}/sandbox/stats").json["calls"]
    return made


def test_a_dead_workers_job_is_taken_over_within_ten_seconds(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection, receiver: Receiver
) -> None:
    """And its caller gets a callback, from the worker that has finished it."""
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    google = servers[0].google(sandbox)
    callback = {"Elements-Async-Callback-Url": receiver.url}
    job_id = google.upload("events", events_csv(5_000), headers=callback).json["id"]
    dead, other = worker_of(ledger, job_id, servers)
    dead.process.kill()
    before, died = job_in(ledger, job_id)["cursor"], time.monotonic()
    until(
        lambda: job_in(ledger, job_id)["cursor"] > before,
        TAKEN_OVER_WITHIN * SLOWER,
        "the other one continues",
    )
    print(f"taken over after {time.monotonic() - died:.1f} s")
    alive = Server(other.process, google.element_token)
    assert alive.finished(job_id, within=120)["recordsCount"] == 5_000
    assert copies(sandbox) == once_each(5_000)
    receiver.wait_for(1)
    assert json.loads(receiver.received[0].body)["status"] == "COMPLETE"


LEAVING = 1_024
"""The most calls that a slice makes at the same time."""


def test_a_worker_that_wakes_after_a_freeze_sends_and_writes_nothing_more(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection
) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    google = servers[0].google(sandbox)
    job_id = google.upload("events", events_csv(5_000)).json["id"]
    frozen, other = worker_of(ledger, job_id, servers)
    frozen.process.freeze()
    alive = Server(other.process, google.element_token)
    assert alive.finished(job_id, within=120)["recordsCount"] == 5_000
    called, before = calls(sandbox), job_in(ledger, job_id)
    frozen.process.wake()
    until(
        lambda: "considered dead" in frozen.process.log(),
        120,
        "it notices that it was considered dead",
    )
    time.sleep(1)
    assert job_in(ledger, job_id) == before
    # Calls that were leaving at the moment of the freeze arrive late (decision 20). They double
    # nothing.
    assert calls(sandbox) - called < LEAVING
    assert copies(sandbox) == once_each(5_000)
    # It works again like any other.
    assert frozen.call("GET", "/instances").status == 200
    assert request("GET", f"{frozen.process.url}/readyz").status == 200
    other.process.kill()
    awake = Server(frozen.process, google.element_token)
    assert awake.done("events", events_csv(10), within=120)["recordsCount"] == 10


@pytest.mark.long
def test_a_lane_runs_one_slice_at_a_time_and_alternates_jobs_while_instances_run_side_by_side(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection
) -> None:
    """On whatever machine each slice runs."""
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    mine, other = servers[0].google(sandbox), servers[1].google(sandbox)
    jobs = [mine.upload("events", events_csv(2_500)).json["id"] for _ in range(2)]
    beside = other.upload("events", events_csv(2_500)).json["id"]
    # The first slice of a large file cuts it, outside the lanes.
    running = "SELECT id, worker, slice FROM jobs WHERE slice_running AND slice > 0"
    seen: dict[tuple[str, int], str] = {}
    together = False
    deadline = time.monotonic() + 300
    while not together or len(seen) < 6:
        assert time.monotonic() < deadline
        now = {str(row[0]): row for row in ledger.execute(running).fetchall()}
        in_lane = [job_id for job_id in jobs if job_id in now]
        assert len(in_lane) <= 1, "one slice at a time"
        together = together or (bool(in_lane) and beside in now)
        seen |= {(job_id, now[job_id][2]): now[job_id][1] for job_id in in_lane}
        time.sleep(0.02)
    order = [job_id for job_id, _ in seen]
    assert all(a != b for a, b in pairwise(order[1:5])), f"the jobs alternate: {order}"


def test_a_worker_that_is_stopped_hands_its_job_over_at_once(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection
) -> None:
    """Within five seconds, without repeating a call, and before it could be taken for dead."""
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    google = servers[0].google(sandbox)
    job_id = google.upload("events", events_csv(5_000)).json["id"]
    leaving, other = worker_of(ledger, job_id, servers)
    began = time.monotonic()
    assert leaving.process.stop() == 0
    stopped, before = time.monotonic(), job_in(ledger, job_id)["cursor"]
    until(lambda: job_in(ledger, job_id)["cursor"] > before, 4 * SLOWER, "it continues")
    assert "took over the slices of dead workers" not in other.process.log()
    print(
        f"stopped after {stopped - began:.1f} s, taken up {time.monotonic() - stopped:.1f} s later"
    )
    assert stopped - began < 5 * SLOWER
    alive = Server(other.process, google.element_token)
    assert alive.finished(job_id, within=120)["recordsCount"] == 5_000
    stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    assert stats["by_status"] == {"200": stats["calls"]}
    assert copies(sandbox) == once_each(5_000)


def test_a_job_that_kills_its_workers_is_aborted_and_its_lane_continues(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection
) -> None:
    """After the fifth death without a record written."""
    sandbox = processes.sandbox("google", "--latency-ms", "3000")
    google = servers[0].google(sandbox)
    poison = google.upload("events", events_csv(100)).json["id"]
    until(
        lambda: job_in(ledger, poison)["slice_running"] and job_in(ledger, poison)["records"],
        120,
        "its slice runs",
    )
    pid = int(job_in(ledger, poison)["worker"].split(":")[1])
    sandbox.freeze()  # no record is written
    killed = next(server for server in servers if server.process.popen.pid == pid)
    other = next(server for server in servers if server is not killed)
    ledger.execute("UPDATE jobs SET slice_attempts = 5 WHERE id = %s", [poison])
    killed.process.kill()
    sandbox.wake()
    alive = Server(other.process, google.element_token)
    status = alive.finished(poison, within=120)
    assert (status["status"], status["error"]) == (
        "ABORTED",
        "failed 5 times in a row without progress",
    )
    assert alive.done("events", events_csv(5), within=120)["recordsCount"] == 5


def test_a_change_of_an_instance_on_one_server_holds_on_the_other(
    servers: list[Server],
) -> None:
    """Also of an instance in use there; also when it is disabled or deleted."""
    one = servers[0].instance("memory", {"space": "a"})
    other = Server(servers[1].process, one.element_token)
    assert other.call("POST", "/records", json_body={"name": "Ann"}).status == 200
    (found,) = one.call("GET", "/instances").json
    path = f"/instances/{found['id']}"
    assert one.call("PATCH", path, json_body={"configuration": {"space": "b"}}).status == 200
    assert other.call("GET", "/records").json == []
    assert one.call("DELETE", f"{path}/enabled").status == 200
    assert other.call("GET", "/records").status == 403
    assert one.call("PUT", f"{path}/enabled").status == 200
    assert other.call("GET", "/records").status == 200
    assert one.call("DELETE", path).status == 200
    assert other.call("GET", "/records").status == 401


def test_two_workers_share_one_quota(
    processes: Processes, servers: list[Server], ledger: psycopg.Connection
) -> None:
    """Two instances of one person together use 95 % of it, and at most 1 % is refused.

    Each file alone is more than the quota, so both wait, whichever begins late.
    """
    sandbox = processes.sandbox("google", "--quota-per-minute", "600", "--latency-ms", "100")
    ann = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    shared = {"quota.user.minute": "600", "oauth.user.refresh_token": ann["refresh_token"]}
    instances = [server.google(sandbox, **shared) for server in servers]
    jobs = [google.upload("events", events_csv(1_000)).json["id"] for google in instances]

    def both_wait() -> bool:
        return all(
            "tries again at" in google.status(job_id).get("infoMessage", "")
            for google, job_id in zip(instances, jobs, strict=True)
        )

    until(both_wait, 120, "the minute is used up")
    stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    print(stats)
    assert stats["max_calls_in_any_60s"] - stats["refused"] >= 570
    assert stats["refused"] <= 6
