"""How long does it take to delete a large job, with all that the ledger and the files have of it?

Rows go into `memory`, and one in a hundred is refused. `DELETE /bulk/{id}` answers when nothing
of the job is left.
"""

import time
from collections.abc import Iterator

from figures import Figure, postgresql, processes
from support.harness import Server

ROWS = 1_000_000


def measure(quick: bool) -> Iterator[Figure]:
    """On each database."""
    rows = 20_000 if quick else ROWS
    with processes() as started:
        yield deletion("SQLite", started.server(), rows)
    with postgresql() as postgres, processes() as started:
        url = postgres.url(postgres.new_database())
        yield deletion("PostgreSQL", started.server(OPENBULK_DATABASE_URL=url), rows)


def deletion(database: str, server: Server, rows: int) -> Figure:
    """A job of so many rows, from the request to the answer."""
    memory = server.instance("memory", {"keep": "false"})
    lines = (b"n%d,%s\n" % (row, b"no room" if row % 100 == 0 else b"") for row in range(rows))
    job = memory.done("records", b"name,fail\n" + b"".join(lines), within=1_800)
    assert job["recordsFailedCount"] == rows // 100, job
    began = time.monotonic()
    assert memory.call("DELETE", f"/bulk/{job['id']}").status == 200
    taken = time.monotonic() - began
    name = f"a job of {rows:,} rows, a hundredth of them refused, is deleted on {database}"
    return Figure(name, f"{taken:.2f} s", "under 1 s")
