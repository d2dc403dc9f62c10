"""What does a large download take? 400,000 records of `memory`, fetched as CSV over HTTP."""

import time
import urllib.request
from collections.abc import Iterator

from figures import Figure, contacts, processes
from support.harness import BASE_PATH, Server


def measure(quick: bool) -> Iterator[Figure]:
    """Memory beyond that of the stored records, and the time of reading and of fetching."""
    rows = 50_000 if quick else 400_000
    with processes() as started:
        server = started.server().instance("memory")
        server.done("records", contacts(rows), within=900)
        before = server.process.peak_memory_mb()
        began = time.monotonic()
        job_id = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
        status = server.finished(job_id, within=900)
        read = time.monotonic() - began
        assert status["recordsCount"] == rows, status
        began = time.monotonic()
        lines, size = count_lines_and_bytes(server, f"/bulk/{job_id}/records")
        fetched = time.monotonic() - began
        assert lines == rows + 1
        more = server.process.peak_memory_mb() - before
    yield Figure(
        f"{rows:,} records read in pages of 2,500 and fetched as CSV ({size / 1e6:.0f} MB)",
        f"{more:.0f} MB more than before; read in {read:.1f} s ({rows / read:,.0f}/s), "
        f"fetched in {fetched:.1f} s ({rows / fetched:,.0f}/s)",
        "flat memory",
    )


def count_lines_and_bytes(server: Server, path: str) -> tuple[int, int]:
    """Fetch a file without keeping it."""
    address = urllib.request.Request(
        f"{server.process.url}{BASE_PATH}{path}", headers={"Authorization": server.authorization}
    )
    lines = size = 0
    with urllib.request.urlopen(address, timeout=600) as answer:
        while piece := answer.read(1024 * 1024):
            lines += piece.count(b"\n")
            size += len(piece)
    return lines, size
