"""What is the most that callers, files and services can take? One server bears the worst of each.

While one after another works on it, another process asks `/healthz` every 100 ms. Linux forgets a
peak of memory when it is told to, so that each figure is the peak of its own work.
"""

import http.client
import json
import multiprocessing
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from figures import Figure, postgresql, processes
from support.harness import BASE_PATH, UNFINISHED, Processes, Server
from support.postgres import Postgres

HEALTH_SECONDS = 0.1
READER = b"openbulk.reading"
RECORD_BYTES = 7_900_000
"""Almost the most that a record may have."""
WITHIN = 600.0
MOST = 2_000
"""Records in a page of results, at most."""

Work = Callable[[], None]


@dataclass
class Seen:
    """What was seen of a server while it worked."""

    peak_mb: float = 0.0
    readers_mb: float = 0.0
    """The peak of the processes that read files, of the largest one."""
    slowest: float = 0.0
    """Seconds that `/healthz` took at most."""
    errors: int = 0
    """Answers of `/healthz` that were none, or 5xx."""


@dataclass
class Answers:
    """Counts the answers of the server."""

    counts: dict[int, int] = field(default_factory=dict)

    def note(self, status: int, body: bytes = b"") -> int:
        """Count an answer; show one that is the server's fault."""
        if status >= 500:
            print(f"worst: {status} {body[:200]!r}", flush=True)
        self.counts[status] = self.counts.get(status, 0) + 1
        return status

    @property
    def failures(self) -> int:
        """Those that are the server's fault."""
        return sum(count for status, count in self.counts.items() if status >= 500)


def measure(quick: bool) -> Iterator[Figure]:
    """Each kind of work by itself, and then all of them at once."""
    with postgresql() as postgres, processes() as started:
        server = started.server()
        bench = Worst(server, started, postgres, few=quick)
        yield bench.figure("an idle server", lambda: time.sleep(1))
        for what, work in bench.works().items():
            yield bench.figure(what, work)
        yield bench.figure("all of it at once", partial(together, bench.works().values()))
        peak = max(seen.peak_mb for seen in bench.seen)
        slowest = max(seen.slowest for seen in bench.seen)
        failures = bench.answers.failures + sum(seen.errors for seen in bench.seen)
        yield Figure("the server, over all of it", f"{peak:.0f} MB at the peak", "under 500 MB")
        yield Figure("the slowest `/healthz`", f"{slowest:.2f} s", "under 1 s")
        yield Figure("answers 5xx", str(failures), "none")
        ended = ", ".join(f"{count} {status}" for status, count in sorted(bench.ended.items()))
        yield Figure("the jobs", ended, "all COMPLETE but some of files that would stop the server")


def together(works: Any) -> None:
    """Do several kinds of work at the same time."""
    with ThreadPoolExecutor(len(works)) as threads:
        for done in [threads.submit(work) for work in works]:
            done.result()


class Worst:
    """The worst that callers, files and services do, to one server."""

    def __init__(
        self, server: Server, started: Processes, postgres: Postgres, *, few: bool
    ) -> None:
        self.server = server
        self.answers = Answers()
        self.seen: list[Seen] = []
        self.ended: dict[str, int] = {}
        """How many jobs ended in each status."""
        self._few = few
        self._database = postgres.new_database(
            "CREATE TABLE people (id bigserial PRIMARY KEY, email text, name text)",
            "CREATE TABLE pages (id int PRIMARY KEY, body text)",
            "INSERT INTO pages SELECT n, repeat(md5(n::text), 31250) FROM generate_series(1, "
            f"{20 if few else 120}) AS n",
        )
        eloqua, google = started.sandbox("eloqua"), started.sandbox("google")
        configuration = postgres.configuration(self._database)
        self._lanes = {
            "memory": partial(server.instance, "memory", {"keep": "false"}),
            "Eloqua": partial(server.eloqua, eloqua),
            "PostgreSQL": partial(server.instance, "postgresql", configuration),
            "Google": partial(server.google, google),
        }

    def figure(self, what: str, work: Work) -> Figure:
        """Do the work, and say what it took."""
        began = time.monotonic()
        with watched(self.server) as seen:
            work()
        self.seen.append(seen)
        readers = f", {seen.readers_mb:.0f} MB the largest reader" if seen.readers_mb else ""
        return Figure(
            what,
            f"{seen.peak_mb:.0f} MB{readers}; `/healthz` {seen.slowest:.2f} s at most; "
            f"{time.monotonic() - began:.0f} s",
        )

    def works(self) -> dict[str, Work]:
        """Every kind of work, by what it is."""
        count = 5 if self._few else 20
        large = {
            f"{count} records of 7.9 MB into {name}": partial(self.load, name, large_records(count))
            for name in self._lanes
        }
        return {
            "300 rows of 10,000 columns into memory": partial(
                self.load, "memory", wide_rows(30 if self._few else 300)
            ),
            **large,
            "four such jobs side by side": partial(together, list(large.values())),
            "lists and texts in large records, four jobs side by side": partial(
                together,
                [partial(self.load, "memory", many_values(4 if self._few else 12))] * 4,
            ),
            "files that would stop the server": self.bombs,
            "a download of records of 1 MB, fetched eleven times at once": self.download,
            "a transfer of records of 1 MB": self.transfer,
            "50 JSON bodies of 1 MB at once": self.bodies,
            "300 connections that hold a body": partial(self.hold, "/instances"),
            "300 connections that hold an upload": partial(self.hold, "/bulk/records"),
        }

    # --- the works ---

    def load(self, lane: str, file: bytes) -> None:
        """Upload a file, and wait for its job."""
        server = self._lanes[lane]()
        shown = {"memory": "records", "Eloqua": "contact", "PostgreSQL": "people"}
        self.finish(server, server.upload(shown.get(lane, "events"), file, timeout=WITHIN))

    def finish(self, server: Server, reply: Any) -> str:
        """Wait for the end of a job. Returns its id."""
        if self.answers.note(reply.status, reply.body) != 200:
            return ""
        job = str(reply.json["id"])
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            status = server.call("GET", f"/bulk/{job}/status", timeout=WITHIN)
            if self.answers.note(status.status) != 200:
                break
            if (ended := status.json["status"]) not in UNFINISHED:
                self.ended[ended] = self.ended.get(ended, 0) + 1
                break
            time.sleep(0.1)
        return job

    def bombs(self) -> None:
        """Files that ask for all memory, or all time."""
        for file in bombs():
            server = self._lanes["memory"]()
            self.finish(server, server.upload("records", file, timeout=WITHIN))

    def download(self) -> None:
        """Query a table, and fetch the result in several forms at once."""
        server = self._lanes["PostgreSQL"]()
        job = self.finish(server, server.call("POST", "/bulk/query?q=select%20*%20from%20pages"))
        in_order = urllib.parse.quote("select * from pages order by body")
        in_order = self.finish(server, server.call("POST", f"/bulk/query?q={in_order}"))
        paths = [f"/bulk/{one}/pages" for one in (job, in_order)] * 4
        paths += [f"/bulk/{job}/pages/data?pageSize={MOST}"] * 2 + [f"/pages?pageSize={MOST}"]
        with ThreadPoolExecutor(len(paths)) as threads:
            list(threads.map(partial(self.fetch, server), paths))

    def fetch(self, server: Server, path: str) -> None:
        """Fetch an answer without keeping it, slowly."""
        address = urllib.request.Request(
            f"{server.process.url}{BASE_PATH}{path}",
            headers={"Authorization": server.authorization},
        )
        try:
            with urllib.request.urlopen(address, timeout=WITHIN) as answer:
                self.answers.note(answer.status)
                while answer.read(1024 * 1024):
                    time.sleep(0.02)
        except urllib.error.HTTPError as error:
            self.answers.note(error.code, error.read())

    def transfer(self) -> None:
        """Copy a table of large records into another service."""
        source, target = self._lanes["PostgreSQL"](), self._lanes["memory"]()
        to = {"token": target.element_token, "objectName": "records", "elementKey": "memory"}
        plan = {
            "query": "select * from pages",
            "statusCheckInterval": 3000,
            "elementKey": "postgresql",
            "targetConfiguration": to,
        }
        reply = source.call("POST", "/bulk/workflows", json_body=[plan])
        self.answers.note(reply.status, reply.body)
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            found = source.call("GET", "/bulkloader", timeout=WITHIN).json
            ours = [one for one in found if one["groupName"] == reply.json["id"]]
            if ours and all(one["status"] != "RUNNING" for one in ours):
                return
            time.sleep(0.1)

    def bodies(self) -> None:
        """Large JSON in many bodies at once."""
        server = self._lanes["memory"]()
        lists = b'{"a": [' + b"[]," * 349_000 + b"[]]}"
        text = b'{"a": "' + b"x" * 1_040_000 + b'"}'
        with ThreadPoolExecutor(50) as threads:
            for path in ("/records", "/instances"):
                for body in (lists, text):
                    list(threads.map(partial(self.post, server, path), [body] * 50))

    def post(self, server: Server, path: str, body: bytes) -> None:
        """Send a JSON body."""
        headers = {"Content-Type": "application/json"}
        reply = server.call("POST", path, body=body, headers=headers, timeout=WITHIN)
        self.answers.note(reply.status, reply.body)

    def hold(self, path: str) -> None:
        """Many connections that have sent almost all of a body."""
        server = self._lanes["memory"]()
        kind = "application/json"
        begin = b" " * 900_000
        if path != "/instances":
            kind = "multipart/form-data; boundary=x"
            begin = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + begin
        head = (
            f"POST {BASE_PATH}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization}"
            f"\r\nContent-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n"
        ).encode()
        address = urllib.parse.urlsplit(server.process.url)
        with ExitStack() as stack:
            for _ in range(100 if self._few else 300):
                connection = socket.create_connection((address.hostname, address.port), 30)
                stack.enter_context(connection)
                connection.setblocking(False)
                rest = memoryview(head + begin)
                # The server may leave the body where it is.
                with suppress(OSError):
                    while rest:
                        rest = rest[connection.send(rest) :]
            time.sleep(3)


# --- files ---


def wide_rows(rows: int) -> bytes:
    """A CSV whose names take more memory than its values."""
    names = ",".join(f"column {number:05} {'n' * 80}" for number in range(10_000))
    return "\n".join([names, *[",".join(["1"] * 10_000)] * rows]).encode()


def large_records(count: int) -> bytes:
    """JSON Lines of contacts, people or events, each almost as large as a record may be."""
    text = b"x" * RECORD_BYTES
    return b"".join(
        b'{"C_EmailAddress": "ann%d@example.com", "email": "ann%d@example.com", "summary": "Choir",'
        b' "start.date": "2026-06-0%d", "%s": "%s"}\n' % (n, n, n % 9 + 1, name, text)
        for n in range(count)
        for name in [b"C_FirstName"]
    )


def many_values(count: int) -> bytes:
    """JSON Lines of records with almost as many values as a record may have, and a wide text."""
    lists = b"[0]," * 90_000 + b"0"
    text = b"x" * 5_000_000 + "\N{GRINNING FACE}".encode()
    record = b'{"lists": [' + lists + b'], "text": "' + text + b'"}\n'
    return record * count


def bombs() -> Iterator[bytes]:
    """Files that would stop a server that reads them itself."""
    for place in ("XFD1048576", "GR500000"):
        file = BytesIO()
        with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
            sheet = book.add_worksheet()
            sheet.write("A1", "name")
            sheet.write(place, "x")
        yield file.getvalue()
    yield b'{"n": 1}\n' * 3_000 + b'{"n": [' + b"[]," * 5_000_000 + b"[]]}\n"
    yield b'{"n": 1}\n' * 3_000 + b'{"n": "' + b"x" * 15_000_000 + b'"}\n'
    yield b'name\n"x","y"\n' + b'x","y"\n' * 200_000
    zone = "/".join(["Europe"] * 40_000)
    yield f"BEGIN:VCALENDAR\r\nX-WR-TIMEZONE:{zone}\r\nEND:VCALENDAR\r\n".encode()
    yield json.dumps([{"n": 10**400}] * 1_000).encode()


# --- the watcher ---


@contextmanager
def watched(server: Server) -> Iterator[Seen]:
    """What happens to a server during the block. Fill in what was seen at its end."""
    pid = server.process.popen.pid
    forget_peak(pid)
    ours, theirs = multiprocessing.Pipe()
    url = server.process.url
    watcher = multiprocessing.Process(target=watch, args=(pid, url, theirs), daemon=True)
    watcher.start()
    seen = Seen()
    try:
        yield seen
    finally:
        ours.send(None)
        for name, value in ours.recv().items():
            setattr(seen, name, value)
        watcher.join()
        seen.peak_mb = peak_mb(pid)


def watch(pid: int, url: str, end: Connection) -> None:
    """Ask `/healthz` and look at the processes that read, until somebody says that it is over."""
    seen = Seen()
    address = urllib.parse.urlsplit(url)
    while not end.poll(HEALTH_SECONDS):
        seen.readers_mb = max([seen.readers_mb, *map(peak_mb, readers_of(pid))])
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
            connection.request("GET", "/healthz")
            seen.errors += connection.getresponse().status != 200
            connection.close()
        except OSError:
            seen.errors += 1
        seen.slowest = max(seen.slowest, time.monotonic() - began)
    end.send(vars(seen))


def readers_of(pid: int) -> list[str]:
    """The processes that read files for a server."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in children if READER in command_of(child)]


def command_of(pid: str) -> bytes:
    """The command line of a process: its parent's until it runs its own program."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def forget_peak(pid: int) -> None:
    """Begin a new peak (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int | str) -> float:
    """The peak of a process; 0 if it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
