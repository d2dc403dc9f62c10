"""What does it cost to describe a large file before there is a job?

A CSV of a million rows is sent to `POST /files`, whose answer describes its beginning; the time
until the whole file is described is taken from the first byte sent. Then a job is measured alone,
and while the same file is described, in turns: the figures are medians. The processes that describe
files have the lowest priority, so on a machine that does something else they take longer.
"""

import statistics
import time
from collections.abc import Iterator

from databases import people
from figures import Figure, processes
from support.harness import Server

ROWS = 1_000_000
TIMES = 3
WITHIN = 900.0
"""Seconds that a job or a file may take."""


def measure(quick: bool) -> Iterator[Figure]:
    """A file alone, and beside a running job."""
    rows, times = (50_000, 1) if quick else (ROWS, TIMES)
    file = people(rows)
    with processes() as started:
        server = started.server().instance("memory", {"keep": "false"})
        job_seconds(server, people(10))  # the first job of a server also starts readers
        first, whole = described(server, file)
        yield Figure(
            f"file of {rows:,} rows ({len(file) / 1e6:.0f} MB of CSV) described",
            f"its beginning after {first:.1f} s, all of it after {whole:.1f} s",
            "15 s",
        )
        alone, beside = [], []
        for _ in range(times):
            alone.append(job_seconds(server, file))
            beside.append(job_seconds(server, file, beside=file))
        slower = statistics.median(beside) / statistics.median(alone) - 1
        yield Figure(
            f"job of {rows:,} rows, while another file of {rows:,} rows is described",
            f"{statistics.median(beside):.1f} s, alone {statistics.median(alone):.1f} s: "
            f"{slower:+.0%} time",
            "at most +10 %",
        )
        peak = server.process.peak_memory_mb()
        yield Figure("peak memory of all this", f"{peak:.0f} MB")


def described(server: Server, file: bytes) -> tuple[float, float]:
    """Seconds until the beginning of a file is described, and until all of it is."""
    began = time.monotonic()
    file_id = send(server, file)
    first = time.monotonic() - began
    wait_until_described(server, file_id)
    return first, time.monotonic() - began


def job_seconds(server: Server, file: bytes, *, beside: bytes | None = None) -> float:
    """Seconds of a job, from its request on; another file is described meanwhile."""
    file_id = None if beside is None else send(server, beside)
    began = time.monotonic()
    status = server.done("records", file, within=WITHIN)
    taken = time.monotonic() - began
    assert status["recordsFailedCount"] == 0, status
    if file_id is not None:
        wait_until_described(server, file_id)
    return taken


def send(server: Server, file: bytes) -> str:
    """Send a file without a job. Returns its id."""
    reply = server.call("POST", "/files?name=people.csv", body=file)
    assert reply.status in {200, 201}, reply.body
    file_id: str = reply.json["id"]
    return file_id


def wait_until_described(server: Server, file_id: str) -> None:
    """Wait until the whole file is described."""
    deadline = time.monotonic() + WITHIN
    while not server.call("GET", f"/files/{file_id}").json["complete"]:
        assert time.monotonic() < deadline
        time.sleep(0.25)
