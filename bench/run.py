"""Measures a real server from outside, and writes the table in RESULTS.md. `make bench` runs it."""

import os
import platform
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from harness import Processes, Server, request  # noqa: E402

SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table."""

    what: str
    measured: str
    target: str


@contextmanager
def processes() -> Iterator[Processes]:
    """A place for one measurement's processes."""
    with tempfile.TemporaryDirectory(prefix="openbulk-bench-") as folder, Processes(Path(folder)) as started:
        yield started


def main() -> None:
    """Measure everything, print it, and write it down."""
    figures: list[Figure] = []
    for measure in MEASURES:
        for figure in measure():
            print(f"{figure.what}: {figure.measured} (target: {figure.target})", flush=True)
            figures.append(figure)
    write(figures)


def ten_rows() -> Iterator[Figure]:
    """From the upload's first byte to the first status that says it is finished."""
    with processes() as started:
        server = started.server().instance("memory")
        file = b"name\n" + b"Ann\n" * 10
        server.done("records", file)
        taken = []
        for _ in range(SAMPLES):
            began = time.monotonic()
            server.done("records", file)
            taken.append(time.monotonic() - began)
    middle, worst = statistics.median(taken), max(taken)
    yield Figure(
        "ten rows, submitted to finished (20 times)", f"{middle:.2f} s in the middle, {worst:.2f} s at worst", "0.5 s"
    )


def memory() -> Iterator[Figure]:
    """Peak memory and time by the size of the file, each on a new server."""
    peaks, costs = {}, {}
    for rows in (10_000, 100_000, 1_000_000):
        with processes() as started:
            server = started.server().instance("memory", {"keep": "false"})
            file = contacts(rows)
            began = time.monotonic()
            status = server.done("records", file, within=900)
            costs[rows] = (time.monotonic() - began) / rows
            peaks[rows] = server.process.peak_memory_mb()
            assert (status["recordsCount"], status["recordsFailedCount"]) == (rows, 0), status
        yield Figure(
            f"{rows:,} rows ({len(file) / 1e6:.0f} MB of CSV) into memory",
            f"{peaks[rows]:.0f} MB at the peak, {costs[rows] * rows:.1f} s, {1 / costs[rows]:,.0f} rows/s",
            "under 250 MB",
        )
    yield Figure(
        "peak memory, 1,000,000 rows against 10,000", f"{peaks[1_000_000] / peaks[10_000] - 1:+.0%}", "at most +20 %"
    )
    yield Figure(
        "cost per record, 1,000,000 rows against 10,000", f"{costs[1_000_000] / costs[10_000] - 1:+.0%}", "within 10 %"
    )


def contacts(rows: int) -> bytes:
    """A CSV of seven columns, as the sample has them."""
    line = "person{n}@example.com,Ann,Smith,Design Engineer,(333) 333-1234,Acme,http://www.acme.com\n"
    head = "C_EmailAddress,C_FirstName,C_LastName,C_Title,C_BusPhone,C_Company,C_Website1\n"
    return (head + "".join(line.format(n=n) for n in range(rows))).encode()


def download() -> Iterator[Figure]:
    """A million records out of memory and fetched over HTTP: what that takes beyond holding them."""
    rows = 1_000_000
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
        lines, size = fetched(server, f"/bulk/{job_id}/records")
        taken = time.monotonic() - began
        assert lines == rows + 1
        more = server.process.peak_memory_mb() - before
    yield Figure(
        f"{rows:,} records downloaded, read in pages of 2,500 and fetched as CSV ({size / 1e6:.0f} MB)",
        f"{more:.0f} MB more than before; read in {read:.1f} s ({rows / read:,.0f}/s), fetched in {taken:.1f} s "
        f"({rows / taken:,.0f}/s)",
        "flat memory",
    )


def fetched(server: Server, path: str) -> tuple[int, int]:
    """Lines and bytes of a file that is fetched and not kept."""
    address = urllib.request.Request(
        f"{server.process.url}/elements/api-v2{path}", headers={"Authorization": server.authorization}
    )
    lines = size = 0
    with urllib.request.urlopen(address, timeout=600) as answer:
        while piece := answer.read(1024 * 1024):
            lines += piece.count(b"\n")
            size += len(piece)
    return lines, size


def google_events() -> Iterator[Figure]:
    """Events into the Google sandbox, 100 ms away."""
    count = 5_000
    with processes() as started:
        sandbox = started.sandbox("google", "--latency-ms", "100")
        server: Server = started.server().google(sandbox)
        began = time.monotonic()
        server.done("events", lessons(count), within=300)
        taken = time.monotonic() - began
        stats = request("GET", f"{sandbox.url}/sandbox/stats").json
    yield Figure(
        f"{count:,} events, provider 100 ms away, 64 calls at a time",
        f"{taken:.1f} s, {count / taken:.0f} events/s, {stats['calls']} calls",
        f"the wall is 64 / 0.1 s = 640/s: {count / 640:.1f} s",
    )


def google_quota() -> Iterator[Figure]:
    """1,800 events against 600 calls a minute, and 500, which fit into the first minute."""
    quota = 600
    for count, target in ((1_800, "95 % of the quota, at most 1 % refused"), (500, "no waiting")):
        with processes() as started:
            sandbox = started.sandbox("google", "--quota-per-minute", str(quota), "--latency-ms", "100")
            server: Server = started.server().google(sandbox)
            began = time.monotonic()
            server.done("events", lessons(count), within=300)
            taken = time.monotonic() - began
            stats = request("GET", f"{sandbox.url}/sandbox/stats").json
        # 1,801 calls with the sign-in's: the last one waits for a fourth minute, whoever makes them.
        possible = max(count, quota * taken / 60)
        yield Figure(
            f"{count:,} events, provider 100 ms away with {quota} calls a minute",
            f"{taken:.1f} s, {count / possible:.1%} of the quota, {stats['refused'] / stats['calls']:.2%} refused",
            target,
        )


def google_changes() -> Iterator[Figure]:
    """10,000 events sent again with 100 of them changed, then once more unchanged."""
    count, changed = 10_000, 100
    with processes() as started:
        sandbox = started.sandbox("google", "--latency-ms", "20")
        server: Server = started.server().google(sandbox)
        upsert = {"action": "upsert", "identifierFieldName": "ref"}
        server.done("events", timetable(count, 0), upsert, within=300)
        for what, moved in ((f"{changed} of them changed", changed), ("nothing changed", 0)):
            before = calls(sandbox.url)
            began = time.monotonic()
            server.done("events", timetable(count, changed), upsert, within=300)
            taken = time.monotonic() - began
            spent = {method: number - before.get(method, 0) for method, number in calls(sandbox.url).items()}
            most = (4 + moved) * 1.05
            yield Figure(
                f"{count:,} events sent again, {what}",
                f"{sum(spent.values())} calls {spent}, {taken:.1f} s",
                f"4 pages + {moved} writes + 5 %: {most:.0f} calls",
            )


def google_nightly() -> Iterator[Figure]:
    """What was changed since the last night is downloaded, with 100 of 10,000 events changed: from a bookmark, and
    without one; where Google lists changes by their date, and where the last night is too long ago for that."""
    count, changed = 10_000, 100
    for when, options in (("last night", ()), ("the last time weeks ago", ("--changes-seconds", "0"))):
        with processes() as started:
            sandbox = started.sandbox("google", *options)
            server: Server = started.server()
            known = server.google(sandbox)
            upsert = {"action": "upsert", "identifierFieldName": "ref"}
            known.done("events", timetable(count, 0), upsert, within=300)
            downloaded(known, sandbox.url)
            time.sleep(1.5)
            since = datetime.now(UTC).isoformat()
            known.done("events", timetable(count, changed), upsert, within=300)
            for how, asking in (("from a bookmark", known), ("without one", server.google(sandbox))):
                records, spent, taken = downloaded(asking, sandbox.url, since)
                assert records == changed
                yield Figure(
                    f"{changed} of {count:,} events changed since {when}, downloaded {how}",
                    f"{spent} calls, {taken:.2f} s",
                    "1 call" if asking is known else "",
                )


def downloaded(server: Server, sandbox: str, since: str = "") -> tuple[int, int, float]:
    """How many records a download gave, the calls that it took, and its seconds."""
    before, began = sum(calls(sandbox).values()), time.monotonic()
    asked = {"objectName": "events", **({"from": since} if since else {})}
    status = server.finished(server.call("POST", "/bulk/download", json_body=asked).json["id"], within=300)
    return status["recordCount"], sum(calls(sandbox).values()) - before, time.monotonic() - began


def calls(url: str) -> dict[str, int]:
    """The calls that a sandbox has answered, by method."""
    counted: dict[str, int] = request("GET", f"{url}/sandbox/stats").json["by_method"]
    return counted


def timetable(count: int, changed: int) -> bytes:
    """A CSV of lessons with a column that tells them apart; the first ones in another room."""
    rows = "".join(
        f"{n},Lesson {n},Room {2 if n < changed else 1},2026-09-01T09:00:00+02:00,2026-09-01T10:00:00+02:00\n"
        for n in range(count)
    )
    return f"ref,summary,location,start.dateTime,end.dateTime\n{rows}".encode()


def lessons(count: int) -> bytes:
    """A CSV of all-day events."""
    rows = "".join(f"Lesson {n},2026-09-01,2026-09-02\n" for n in range(count))
    return f"summary,start.date,end.date\n{rows}".encode()


MEASURES = (ten_rows, memory, download, google_events, google_changes, google_nightly, google_quota)


def write(figures: list[Figure]) -> None:
    """RESULTS.md, as it stands after this run."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "# What `make bench` measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}; SQLite, server, sandbox and caller on one machine; one run.",
        "",
        "| what | measured | target |",
        "|---|---|---|",
        *(f"| {figure.what} | {figure.measured} | {figure.target} |" for figure in figures),
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
