"""What does a record, a job and an idle process cost PostgreSQL?

docs/explanation/growing.md computes with these figures.

Rows go into `memory`, which costs next to nothing. So the figures are those of openbulk: its
transactions, WAL and bytes in tables, and the records that one process records in a second.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from figures import Figure, contacts, postgresql, processes
from support.harness import Server

OUR_TABLES = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
    "WHERE relkind = 'r' AND {where}"
)
OUTCOMES = OUR_TABLES.format(where="relname IN ('outcome_blocks', 'problems')")
LEDGER = OUR_TABLES.format(
    where="relnamespace = 'public'::regnamespace "
    "AND relname NOT IN ('outcome_blocks', 'problems', 'parts')"
)
LANES = OUR_TABLES.format(where="relnamespace = 'openbulk_lanes'::regnamespace")
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'openbulk'"


@dataclass(frozen=True, slots=True)
class Usage:
    """PostgreSQL's counters at one moment."""

    transactions: int
    wal: int
    outcomes: int
    ledger: int
    lanes: int


class Database:
    """PostgreSQL, as its administrator sees it."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def one(self, query: str) -> int:
        """A single number."""
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def usage(self) -> Usage:
        """Its counters now. Its statistics are up to a second late."""
        time.sleep(2)
        self._connection.execute("SELECT pg_stat_clear_snapshot()")
        return Usage(
            self.one("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"),
            self.one("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"),
            self.one(OUTCOMES),
            self.one(LEDGER),
            self.one(LANES),
        )


def measure(quick: bool) -> Iterator[Figure]:
    """An idle server, a large file, many small jobs, and a worker beside the server."""
    rows, jobs, seconds = (20_000, 20, 3) if quick else (300_000, 500, 20)
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        server = started.server(OPENBULK_DATABASE_URL=url).instance("memory", {"keep": "false"})
        server.done("records", contacts(10))
        database = Database(url)
        yield idle(database, "a server without work", seconds)
        yield large(database, server, started.folder, rows)
        yield small(database, server, jobs)
        started.worker(OPENBULK_DATABASE_URL=url)
        yield idle(database, "a server and a worker without work", seconds)


def idle(database: Database, who: str, seconds: int) -> Figure:
    """The cost of processes without work."""
    before = database.usage()
    began = time.monotonic()
    time.sleep(seconds)
    after = database.usage()
    rate = (after.transactions - before.transactions) / (time.monotonic() - began)
    return Figure(who, f"{rate:.0f} transactions/s, {database.one(CONNECTIONS)} connections")


def large(database: Database, server: Server, folder: Path, rows: int) -> Figure:
    """The cost of a record."""
    before, files = database.usage(), size_of(folder / "data" / "files")
    began = time.monotonic()
    status = server.done("records", contacts(rows), within=600, every=0.25)
    taken = time.monotonic() - began
    assert status["recordsCount"] == rows, status
    after, kept = database.usage(), size_of(folder / "data" / "files")
    transactions = after.transactions - before.transactions
    return Figure(
        f"{rows:,} records into memory, one process",
        f"{rows / taken:,.0f} records/s, {1000 * transactions / rows:.1f} transactions per 1,000; "
        f"a record: {(after.wal - before.wal) / rows:.0f} bytes of WAL, "
        f"{(after.outcomes - before.outcomes) / rows:.0f} bytes of outcomes, "
        f"{(kept - files) / rows:.0f} of files",
    )


def small(database: Database, server: Server, jobs: int) -> Figure:
    """The cost of a job."""
    before = database.usage()
    for _ in range(jobs):
        server.upload("records", contacts(10))
    while not all("completion_time" in job for job in latest_jobs(server)):
        time.sleep(0.5)
    after = database.usage()
    return Figure(
        f"{jobs:,} jobs of ten records, one after another",
        f"a job: {(after.transactions - before.transactions) / jobs:.0f} transactions, "
        f"{(after.wal - before.wal) / jobs / 1000:.0f} kB of WAL, "
        f"{(after.ledger - before.ledger) / jobs:,.0f} bytes in the ledger, "
        f"{(after.lanes - before.lanes) / jobs:,.0f} in the lanes",
    )


def latest_jobs(server: Server) -> list[dict[str, Any]]:
    """The last 200 jobs of an instance."""
    jobs: list[dict[str, Any]] = server.call("GET", "/bulk/jobs?pageSize=200").json
    return jobs


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
