"""kill -9 in the middle of an upload: nothing lost, nothing doubled."""

import random
import re
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from support.google_sandbox import events_csv
from support.harness import SLOWER, Processes, Server, request, until
from support.log_events import FILE_CUT

EVENTS = 6_000
KILLS = 5


@pytest.mark.long
def test_an_upload_creates_every_event_exactly_once_over_five_kills(
    processes: Processes, tmp_path: Path
) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    # A server makes 64 calls at first, and twice as many half a second later: the lives together do
    # not suffice.
    sandbox = processes.sandbox("google", "--latency-ms", "500")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    job_id = server.upload("events", events_csv(EVENTS)).json["id"]

    for kill in range(KILLS):
        # The first kill may come before the first outcome. Before each other one there is an
        # outcome, however slow the machine is: a job that never gets on is given up in the end.
        before = server.status(job_id)["recordsCount"]
        if kill:
            until(partial(has_progress, server, job_id, before), 120, f"seed {seed}: it continues")
        time.sleep(chance.uniform(0.0, 0.6))
        server.process.kill()
        server = Server(processes.server(data_dir=data).process, server.element_token)
        assert server.status(job_id)["status"] in {"CREATED", "RUNNING"}, (
            f"seed {seed}: too fast to be killed"
        )

    status = server.finished(job_id, within=120)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        EVENTS,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    copies = Counter(event["summary"] for event in events)
    assert copies == {f"Lesson {n}": 1 for n in range(1, EVENTS + 1)}, f"seed {seed}"


def has_progress(server: Server, job_id: str, before: int) -> bool:
    """Whether more records of a job have an outcome than before."""
    return bool(server.status(job_id)["recordsCount"] > before)


def test_a_server_that_is_killed_while_it_cuts_a_file_cuts_it_again(
    processes: Processes, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory")
    rows = b"name,age\n" + b"Ann,7\n" * 60_000
    job_id = server.upload("records", rows).json["id"]
    wait_for_first_part(data)
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id, within=240)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 60_000)


def wait_for_first_part(data: Path) -> None:
    """Wait until a server has begun to cut a file."""
    files = data / "files"
    until(lambda: list(files.glob("*/parts/*")), 120, "the file is being cut")


LARGE = 300_000
"""Rows that take ten times as long to be cut as a small job takes to its end."""


@pytest.mark.long
def test_a_large_file_that_is_cut_again_after_a_restart_holds_up_no_other_job(
    processes: Processes, tmp_path: Path
) -> None:
    """A stop breaks the cutting off. The next server cuts the file outside the lane."""
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory", {"keep": "false"})
    large = server.upload("records", b"name,age\n" + b"Ann,7\n" * LARGE).json["id"]
    wait_for_first_part(data)
    began = time.monotonic()
    assert server.process.stop() == 0
    assert time.monotonic() - began < 5 * SLOWER
    server = Server(processes.server(data_dir=data).process, server.element_token)
    small = server.done("records", b"name\nBob\n", within=120)["id"]
    log = server.process.log()
    assert re.search(rf"job finished +job={small} ", log)
    assert not re.search(rf"{FILE_CUT} +job={large} ", log), "the small job does not wait"
    assert server.finished(large, within=240)["recordsCount"] == LARGE


def test_a_job_continues_after_its_server_was_stopped(processes: Processes, tmp_path: Path) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "200")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    job_id = server.upload("events", events_csv(1_500)).json["id"]
    while not request("GET", f"{sandbox.url}/sandbox/stats").json["inserted"]:
        time.sleep(0.02)
    began = time.monotonic()
    assert server.process.stop() == 0
    assert time.monotonic() - began < 7 * SLOWER
    done = request("GET", f"{sandbox.url}/sandbox/stats").json["inserted"]

    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.finished(job_id, within=120)["recordsCount"] == 1_500
    stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    assert 0 < done < 1_500
    assert stats["inserted"] == 1_500
    assert stats["by_status"] == {"200": stats["calls"]}, "a drained server repeats no call"


FAULTS = (
    "drop-before=0.02,drop-after=0.02,error-429=0.02,error-500=0.02,error-503=0.02,slow=0.02,"
    "expire-token=0.02"
)
MANY = 2_500
"""More would take more calls than Google allows in a minute, with what the faults repeat."""
BROKEN = {777: "2026-03-29T02:30:00", 2_345: "2026-02-30T09:00:00"}
"""Rows whose time does not exist: one in Berlin, one anywhere."""


def timetable_csv(count: int) -> bytes:
    """Lessons in Berlin's time, each with a reference."""
    rows = [
        f"{n},Lesson {n},{BROKEN.get(n, f'2026-09-{n % 28 + 1:02d}T09:00:00')},2026-10-24T10:00:00"
        for n in range(1, count + 1)
    ]
    return ("ref,summary,start.dateTime,end.dateTime\n" + "\n".join(rows) + "\n").encode()


@pytest.mark.long
def test_thousands_of_events_are_there_once_after_faults_and_two_kills(
    processes: Processes, tmp_path: Path
) -> None:
    """Each fault hits one call in fifty. Each row that failed has its reason."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    sandbox = processes.sandbox("google")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    # The faults begin after the sign-in, which is not tried again.
    request("POST", f"{sandbox.url}/sandbox/faults", json_body={"spec": f"{FAULTS},seed={seed}"})
    metadata = {"action": "upsert", "identifierFieldName": "ref", "timeZone": "Europe/Berlin"}
    job_id = server.upload("events", timetable_csv(MANY), metadata).json["id"]
    for _ in range(2):
        before = server.status(job_id)["recordsCount"]
        until(partial(has_progress, server, job_id, before), 300, f"seed {seed}: it continues")
        time.sleep(chance.uniform(0.0, 0.5))
        server.process.kill()
        server = Server(processes.server(data_dir=data).process, server.element_token)
        assert server.status(job_id)["status"] in {"CREATED", "RUNNING"}, (
            f"seed {seed}: too fast to be killed"
        )

    status = server.finished(job_id, within=600)
    expected = ("COMPLETE", MANY, len(BROKEN))
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == expected, (
        f"seed {seed}"
    )
    explained = {error["rowNum"]: error["status"] for error in server.errors(job_id)}
    assert explained.keys() == BROKEN.keys(), f"seed {seed}"
    assert "does not exist in Europe/Berlin" in explained[777]
    assert "is not a date" in explained[2_345]
    events = request("GET", f"{sandbox.url}/sandbox/events", timeout=60).json
    there = Counter((event["summary"], event["start"]["dateTime"]) for event in events)
    assert there == {
        (f"Lesson {n}", f"2026-09-{n % 28 + 1:02d}T09:00:00+02:00"): 1
        for n in range(1, MANY + 1)
        if n not in BROKEN
    }, f"seed {seed}"
    assert request("GET", f"{sandbox.url}/sandbox/violations").json == []
