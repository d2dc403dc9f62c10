"""What does a process cost that has nothing to do?

Its share of a core is that of `serve` with the processes that read files for it, as Linux counts
it. PostgreSQL counts the transactions: those of openbulk, and a few of its own and of this program.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Figure, contacts, postgresql, processes
from growth import Database
from support.harness import Process, Processes

SETTLES_SECONDS = 12.0
"""After its last work a process rests, and sweeps once more."""
MANY = 50
MAX_CONNECTIONS = 1_000
MEGABYTES_LEFT = 1_500
"""No more processes are started once this little memory is available."""
TICKS = os.sysconf("SC_CLK_TCK")


def measure(quick: bool) -> Iterator[Figure]:
    """One server on SQLite, one on PostgreSQL, and many workers beside it."""
    seconds, count = (6, 3) if quick else (60, MANY)
    with processes() as started:
        server = started.server()
        server.instance("memory", {"keep": "false"}).done("records", contacts(10))
        time.sleep(SETTLES_SECONDS)
        share = shares([server.process], seconds)
        yield Figure("a server without work, SQLite", f"{share:.2%} of a core", "1 % of a core")
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        server = started.server(OPENBULK_DATABASE_URL=url)
        server.instance("memory", {"keep": "false"}).done("records", contacts(10))
        database = Database(url)
        yield idle(database, [server.process], seconds)
        workers = list(start_workers(started, url, count - 1))
        yield idle(database, [server.process, *workers], seconds)


def start_workers(started: Processes, url: str, count: int) -> Iterator[Process]:
    """As many workers as fit into the memory."""
    for _ in range(count):
        if available_megabytes() < MEGABYTES_LEFT:
            return
        yield started.worker(OPENBULK_DATABASE_URL=url)


def idle(database: Database, running: Sequence[Process], seconds: int) -> Figure:
    """The cost of processes on PostgreSQL."""
    time.sleep(SETTLES_SECONDS)
    before, began = database.usage().transactions, time.monotonic()
    share = shares(running, seconds)
    rate = (database.usage().transactions - before) / (time.monotonic() - began)
    connections = database.one(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'openbulk%'"
    )
    what = "a server" if len(running) == 1 else f"a server and {len(running) - 1} workers"
    limit = 2 if len(running) == 1 else len(running)
    return Figure(
        f"{what} without work, PostgreSQL",
        f"{share / len(running):.2%} of a core each, {rate:.1f} transactions/s in all, "
        f"{connections} connections",
        f"1 % of a core each, {limit} transactions/s in all",
    )


def shares(running: Sequence[Process], seconds: float) -> float:
    """The share of a core that processes take together in some seconds."""
    before = sum(ticks(process.popen.pid) for process in running)
    began = time.monotonic()
    time.sleep(seconds)
    taken = sum(ticks(process.popen.pid) for process in running) - before
    return taken / TICKS / (time.monotonic() - began)


def ticks(process_id: int) -> int:
    """The processor time of a process and its children, in the kernel's unit."""
    folder = Path(f"/proc/{process_id}")
    # Behind the name in parentheses, which may hold anything (proc(5)).
    own = folder.joinpath("stat").read_text().rpartition(")")[2].split()
    children = folder.joinpath(f"task/{process_id}/children").read_text().split()
    return int(own[11]) + int(own[12]) + sum(ticks(int(child)) for child in children)


def available_megabytes() -> int:
    """The memory that is available to new processes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = [line.split()[1] for line in lines if line.startswith("MemAvailable")]
    return int(available) // 1024
