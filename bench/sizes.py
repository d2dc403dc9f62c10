"""Does a large file cost more per record than a small one? Peak memory, and seconds per record.

The fixed cost of a job would hide the cost of a record: a job of ten rows takes as long as some
thousand records. So seconds per record are (a job of many rows - a job of ten rows) / rows. Both
are means of several jobs, on a server that has done a job before. A random pause precedes each job:
without it, small jobs would always wait the longest for the next poll of the lanes.
"""

import csv
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from figures import Figure, contacts, processes
from ingest import rate, text_of
from support.harness import Server

TIMES = {10_000: 40, 100_000: 5, 1_000_000: 2}
SMALL = 10
SMALL_TIMES = 40
PAUSE_MOST = 0.3
"""Seconds; the server polls its lanes every 0.15 s."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of files of one size."""

    whole: float
    """Seconds from the first byte sent to the status of the finished job."""
    small: float
    """Seconds of a job of ten rows, on the same server."""
    each: float
    """Seconds per record, without the fixed cost of a job."""
    peak_mb: float


def measure(quick: bool) -> Iterator[Figure]:
    """Files of three sizes into memory, each on a new server."""
    times = {10_000: 3, 100_000: 1} if quick else TIMES
    costs: dict[int, Cost] = {}
    for rows, often in times.items():
        file = contacts(rows)
        cost = costs[rows] = cost_of(file, rows, often)
        peer = rate(lambda content: csv.DictReader(text_of(content)), file, rows, 3)
        yield Figure(
            f"{rows:,} rows ({len(file) / 1e6:.0f} MB of CSV) into memory ({often} times)",
            f"{cost.peak_mb:.0f} MB at the peak; "
            f"{cost.whole:.2f} s, {rows / cost.whole:,.0f} rows/s; "
            f"less a job of ten rows ({cost.small:.2f} s) {cost.each * 1e6:.1f} µs per record, "
            f"{1 / cost.each / peer:.2f}x csv.DictReader",
            "under 200 MB, 12 µs, 0.15x csv.DictReader",
        )
    least, most = min(costs), max(costs)
    against = f"{most:,} rows against {least:,}"
    yield Figure(
        f"peak memory, {against}",
        f"{costs[most].peak_mb / costs[least].peak_mb - 1:+.0%}",
        "at most +10 %",
    )
    yield Figure(
        f"cost per record, {against}",
        f"{costs[most].each / costs[least].each - 1:+.0%}",
        "within 10 %",
    )


def cost_of(file: bytes, rows: int, often: int) -> Cost:
    """The cost of uploads of one file, on a new server."""
    with processes() as started:
        server = started.server().instance("memory", {"keep": "false"})
        seconds(server, contacts(SMALL), SMALL)
        small = statistics.fmean(
            seconds(server, contacts(SMALL), SMALL) for _ in range(SMALL_TIMES)
        )
        whole = statistics.fmean(seconds(server, file, rows) for _ in range(often))
        return Cost(whole, small, (whole - small) / rows, server.process.peak_memory_mb())


def seconds(server: Server, file: bytes, rows: int) -> float:
    """The seconds of an upload, until its job is finished."""
    time.sleep(random.uniform(0, PAUSE_MOST))
    began = time.monotonic()
    status = server.done("records", file, within=900)
    taken = time.monotonic() - began
    assert (status["recordsCount"], status["recordsFailedCount"]) == (rows, 0), status
    return taken
