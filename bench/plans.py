"""What do a plan and a verification of a large file cost? Memory, time, and each page of rows.

A table of SQLite has the rows of a file. A plan compares a file in which one row in a hundred has
changed, or is new; a verification compares the job that wrote the table, after somebody else has
changed as many. Each is made by a server of its own, which has done nothing else: its peak resident
memory (VmHWM) is that of the plan, with the upload of the file. Pages are read over HTTP, at 50
places of the file, with all rows and with those of a kind.
"""

import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from databases import UPSERT, make_database, people
from figures import Figure, processes
from support.harness import Processes, Server

ROWS = 1_000_000
PLACES = 50
CHANGED = "00@example.com"
"""The end of the addresses whose rows are changed: one in a hundred."""
MEMORY = "under 250 MB"
PAGE = "under 50 ms"
WITHIN = 1_800.0
"""Seconds that a job may take."""


def measure(quick: bool) -> Iterator[Figure]:
    """A plan that finds nothing, one that compares, and a verification."""
    rows = 20_000 if quick else ROWS
    file = people(rows)
    with processes() as started:
        memory = started.server().instance("memory", {"keep": "false"})
        yield from measure_plan(memory, "records", file, rows, "into memory", "created")
    with processes() as started:
        database = started.folder / "people.db"
        make_database(database)
        table = server_of(started).instance("sqlite", {"db.file": database.name})
        job_id = table.upload("people", file, UPSERT).json["id"]
        assert table.finished(job_id, within=WITHIN)["recordsFailedCount"] == 0
        table = after_restart(started, table)
        changed = file.replace(f"{CHANGED},Name ".encode(), f"{CHANGED},Changed ".encode())
        yield from measure_plan(table, "people", changed, rows, "of a table of SQLite", "updated")
        table = after_restart(started, table)
        change(database)
        yield from measure_verification(table, job_id, rows)


def server_of(started: Processes) -> Server:
    """A server that may open files of SQLite."""
    return started.server(OPENBULK_SQLITE_FOLDER=str(started.folder))


def after_restart(started: Processes, server: Server) -> Server:
    """The same instance on a new server, which has held nothing yet."""
    assert server.process.stop() == 0
    return Server(server_of(started).process, server.element_token, server.instance_id)


def change(database: Path) -> None:
    """Change a row in a hundred, as somebody else does."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE people SET city = 'Köln' WHERE email LIKE ?", (f"%{CHANGED}",))


def measure_plan(
    server: Server, name: str, file: bytes, rows: int, of: str, kind: str
) -> Iterator[Figure]:
    """Plan an upsert, and read pages of the plan: of all rows, and of those of a kind."""
    began = time.monotonic()
    job_id = server.upload(name, file, {**UPSERT, "plan": True}).json["id"]
    assert server.finished(job_id, within=WITHIN)["status"] == "PLANNED"
    taken = time.monotonic() - began
    yield figure_of(server, f"plan, {rows:,} rows {of}", taken, rows)
    yield from measure_pages(server, f"/bulk/{job_id}/plan", kind, rows, of)


def measure_verification(server: Server, job_id: str, rows: int) -> Iterator[Figure]:
    """Verify a job, and read pages of what was found."""
    began = time.monotonic()
    verification = server.call("POST", f"/bulk/{job_id}/verify").json["id"]
    assert server.finished(verification, within=WITHIN)["status"] == "VERIFIED"
    taken = time.monotonic() - began
    yield figure_of(server, f"verification, {rows:,} rows of a table of SQLite", taken, rows)
    path = f"/bulk/{verification}/verification"
    assert server.call("GET", path).json["counts"]["different"] == rows // 100
    yield from measure_pages(server, path, "different", rows, "of a verification")


def figure_of(server: Server, what: str, seconds: float, rows: int) -> Figure:
    """The memory and the time of a job."""
    peak = server.process.peak_memory_mb()
    return Figure(
        what, f"{peak:.0f} MB at the peak; {seconds:.1f} s, {rows / seconds:,.0f} rows/s", MEMORY
    )


def measure_pages(server: Server, path: str, kind: str, rows: int, of: str) -> Iterator[Figure]:
    """The time of pages of 200 rows, at places all over the file; and of the counts."""
    for query, which in (("", "200 rows"), (f"&kind={kind}", f"200 rows that are {kind}")):
        times = [
            milliseconds(server, f"{path}/rows?nextPage={rows * place // PLACES}{query}")
            for place in range(PLACES)
        ]
        yield figure_of_pages(f"page of {which}, {rows:,} rows {of}", times)
    times = [milliseconds(server, path) for _ in range(PLACES)]
    yield figure_of_pages(f"counts, {rows:,} rows {of}", times)


def figure_of_pages(what: str, times: list[float]) -> Figure:
    """The median and the worst."""
    median, worst = statistics.median(times), max(times)
    return Figure(what, f"{median:.0f} ms in the middle, {worst:.0f} ms at worst", PAGE)


def milliseconds(server: Server, path: str) -> float:
    """The time of one answer."""
    began = time.monotonic()
    reply = server.call("GET", path)
    assert reply.status == 200, reply.body
    return (time.monotonic() - began) * 1_000
