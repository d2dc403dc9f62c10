"""PostgreSQL is killed and comes back: jobs wait, requests get 503, nothing is lost or doubled."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from openbulk.api.readiness import REMEMBERED_SECONDS
from support.google_sandbox import events_csv
from support.harness import Process, Processes, Server, request
from support.log_events import SLICE_FAILED
from support.postgres import Cluster

AWAY_SECONDS = 3.0


@pytest.fixture
def database(cluster: Cluster) -> str:
    """A database in a cluster that can be killed."""
    return cluster.postgres.url(cluster.postgres.new_database())


@pytest.fixture
def servers(processes: Processes, database: str) -> list[Server]:
    return [processes.server(OPENBULK_DATABASE_URL=database) for _ in range(2)]


def wait_for_progress(server: Server, job_id: str) -> None:
    deadline = time.monotonic() + 120
    while not server.status(job_id)["recordsCount"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def events(sandbox: Process) -> Counter[str]:
    return Counter(
        event["summary"] for event in request("GET", f"{sandbox.url}/sandbox/events").json
    )


@pytest.mark.long
def test_a_job_outlives_an_outage_of_its_database_and_repeats_no_call(
    processes: Processes, cluster: Cluster, database: str, servers: list[Server]
) -> None:
    """Two outages; it spends no attempt."""
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    google = servers[0].google(sandbox)
    job_id = google.upload("events", events_csv(2_000)).json["id"]
    wait_for_progress(google, job_id)
    for _ in range(2):
        cluster.crash()
        time.sleep(AWAY_SECONDS)
        cluster.start()
        time.sleep(1)
    assert google.finished(job_id, within=120)["recordsCount"] == 2_000
    stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    assert stats["by_status"] == {"200": stats["calls"]}, "no call is repeated"
    assert events(sandbox) == {f"Lesson {n}": 1 for n in range(1, 2_001)}
    with psycopg.connect(database) as ledger:
        row = ledger.execute(
            "SELECT slice_attempts, created FROM jobs WHERE id = %s", [job_id]
        ).fetchone()
    assert row is not None
    assert row[1] == 2_000
    assert SLICE_FAILED not in servers[0].process.log() + servers[1].process.log()


def test_requests_get_503_while_the_database_is_away(
    cluster: Cluster, servers: list[Server]
) -> None:
    """The server is alive and not ready; it is ready again when the database is back."""
    memory = servers[0].instance("memory")
    address = servers[0].process.url
    assert request("GET", f"{address}/readyz").status == 200
    cluster.crash()
    for _ in range(3):
        for reply in (
            memory.call("GET", "/bulk/jobs"),
            memory.upload("records", b"name\nAnn\n"),
            memory.call("GET", "/instances"),
        ):
            assert reply.status == 503, reply.body
            assert reply.headers["retry-after"] == "5"
            assert "database does not answer at the moment" in reply.json["message"]
    assert request("GET", f"{address}/healthz").status == 200
    time.sleep(REMEMBERED_SECONDS)
    ready = request("GET", f"{address}/readyz")
    assert (ready.status, ready.json["broken"]["database"]) == (503, "Unavailable")
    time.sleep(AWAY_SECONDS)
    cluster.start()
    assert memory.done("records", b"name\nAnn\n", within=120)["recordsCount"] == 1
    time.sleep(REMEMBERED_SECONDS)
    assert request("GET", f"{address}/readyz").status == 200


STAGES = (
    "SELECT 1 FROM information_schema.tables WHERE table_name = 'alembic_version'",
    "SELECT 1 FROM users",
    "SELECT 1 FROM workers",
    "SELECT 1 FROM information_schema.tables WHERE table_schema = 'openbulk_lanes'",
)
"""Queries that find something when a first start has come so far, in this order."""


def wait_for_stage(database: str, stage: str) -> None:
    deadline = time.monotonic() + 300
    while True:
        with suppress(psycopg.Error), psycopg.connect(database) as connection:
            if connection.execute(stage.encode()).fetchone():
                return
        assert time.monotonic() < deadline, stage
        time.sleep(0.01)


def test_a_server_starts_over_repeated_kills_of_its_database(
    processes: Processes, cluster: Cluster, database: str
) -> None:
    """At the migrations, the first user, the registration as a worker, the tables of the lanes."""
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(processes.server, OPENBULK_DATABASE_URL=database)
        for stage in STAGES:
            wait_for_stage(database, stage)
            cluster.crash()
            time.sleep(0.5)
            cluster.start()
        server = starting.result()
    assert (
        server.instance("memory").done("records", b"name\nAnn\n", within=120)["recordsCount"] == 1
    )
    log = server.process.log()
    assert "start waits" in log
    assert "Traceback" not in log


def test_a_start_whose_database_stays_away_ends_with_one_sentence(
    processes: Processes, cluster: Cluster, database: str
) -> None:
    """Here it goes away at the registration as a worker: many parts have started, and are ended."""
    env = {"OPENBULK_DATABASE_URL": database, "OPENBULK_DATA_DIR": str(processes.folder / "data")}
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(processes.command, "serve", "--port", "0", env=env)
        wait_for_stage(database, STAGES[2])
        cluster.crash()
        done = starting.result()
    assert done.returncode == 1
    assert "openbulk cannot start: the database cannot be reached: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_stops_without_an_error_while_its_database_is_away(
    processes: Processes, cluster: Cluster, servers: list[Server]
) -> None:
    """In time, with a running job or without. Other workers take the job over."""
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    google = servers[0].google(sandbox)
    wait_for_progress(google, google.upload("events", events_csv(2_000)).json["id"])
    cluster.crash()
    time.sleep(AWAY_SECONDS)
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda server: server.process.stop(), servers)) == [0, 0]
    for server in servers:
        assert "Traceback" not in server.process.log()
        assert "[error" not in server.process.log()
