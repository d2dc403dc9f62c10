"""A file that would stop the server costs its own job, and nobody else's."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import xlsxwriter  # type: ignore[import-untyped]

from openbulk.app import READERS
from support.harness import SLOWER, Process, Processes, Server, until
from support.harness import request as send

LITTLE_MEMORY = """
from openbulk.reading import limits
limits.MEMORY_BYTES = 8 * 1024 * 1024
"""
LITTLE_TIME = """
try:
    from openbulk.reading import reader
    reader.FIRST_SECONDS, reader.SECONDS_PER_MB = 0.4, 0.0
except ImportError:
    pass
"""
"""As if the machine were small, so that small files take too much."""
GATE = """
import time
from pathlib import Path
from openbulk.formats.csv import Csv
closed, reached = Path({folder!r}, "closed"), Path({folder!r}, "reached")
def read(self, file, options, original=Csv.read_batches):
    is_ahead = True
    for rows in original(self, file, options):
        yield rows
        if is_ahead and rows[0] >= 1_000:
            is_ahead = False
            if closed.exists():
                reached.touch()
            while closed.exists():
                time.sleep(0.05)
Csv.read_batches = read
"""
HANGING_NAMES = """
import socket, time
from pathlib import Path
closed = Path({folder!r}, "closed")
def look_up(host, *more, original=socket.getaddrinfo, **options):
    if str(host).endswith(".test"):
        closed.with_name(host).touch()
        while closed.exists():
            time.sleep(0.05)
    return original(host, *more, **options)
socket.getaddrinfo = look_up
"""
"""As if the name servers of such names were dead, while the gate is closed."""


class Gate:
    """Where the processes that read a CSV wait, in the middle of the file, while it is closed."""

    def __init__(self, folder: Path) -> None:
        self._closed, self._reached = folder / "closed", folder / "reached"
        self.code = GATE.format(folder=str(folder))

    def close(self) -> None:
        self._reached.unlink(missing_ok=True)
        self._closed.touch()

    def open(self) -> None:
        self._closed.unlink()

    def wait_for_a_process(self) -> None:
        until(self._reached.exists, 120, "a process waits")
        self._reached.unlink()


def server_with(processes: Processes, code: str) -> Server:
    """A server that runs code when it starts, and so do the processes that read."""
    folder = processes.folder / "first"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return processes.server(PYTHONPATH=path)


def readers_of(server: Process) -> list[int]:
    """The processes that read files for a server."""
    children = Path(f"/proc/{server.popen.pid}/task/{server.popen.pid}/children").read_text()
    return [int(process) for process in children.split()]


@pytest.fixture(scope="module")
def little_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("memory")) as processes:
        yield server_with(processes, LITTLE_MEMORY)


@pytest.fixture(scope="module")
def little_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("time")) as processes:
        yield server_with(processes, LITTLE_TIME)


# --- files that take too much ---


def workbook() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["name", "age", "size"])
        for row in range(1, 30_000):
            sheet.write_row(row, 0, [row, row + 1, row + 2])
    return file.getvalue()


def calendar() -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{number}@example.com\r\nDTSTART:20260604T190000Z\r\n"
        f"RRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:Choir {number}\r\nEND:VEVENT\r\n"
        for number in range(6_000)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n".encode()


def json() -> bytes:
    small = b'{"name": "%s"},' % (b"Ann" * 300) * 1_500
    return b"[" + small + b'{"name": [' + b"[]," * 190_000 + b"[]]}]"


@pytest.mark.parametrize(
    ("limited", "make", "sentence"),
    [
        ("little_time", workbook, "takes more than 0.4 s of processor time"),
        ("little_time", calendar, "takes more than 0.4 s of processor time"),
        ("little_memory", json, "MB of memory"),
    ],
)
def test_a_file_that_takes_too_much_ends_its_job_with_a_sentence(
    request: pytest.FixtureRequest, limited: str, make: Callable[[], bytes], sentence: str
) -> None:
    """The server answers, and another job completes meanwhile."""
    server: Server = request.getfixturevalue(limited)
    bad, good = server.instance("memory"), server.instance("memory")
    reply = bad.upload("records", make())
    assert reply.status == 200, reply.body
    health = send("GET", f"{server.process.url}/healthz", timeout=5.0 * SLOWER)
    assert health.status == 200
    assert good.done("records", b"name\nAnn\n")["status"] == "COMPLETE"
    status = bad.finished(reply.json["id"])
    assert status["status"] == "ABORTED"
    assert status["error"].startswith("the file cannot be read: reading it ")
    assert sentence in status["error"]
    assert "; send it in several smaller files, or save it again" in status["error"]
    assert bad.done("records", b"name\nAnn\n")["status"] == "COMPLETE"


def test_a_file_whose_beginning_takes_too_much_is_refused(little_memory: Server) -> None:
    """There is no job for it."""
    server = little_memory.instance("memory")
    reply = server.upload("records", b'[{"name": [' + b"[]," * 190_000 + b"[]]}]")
    assert reply.status == 400, reply.body
    assert "MB of memory" in reply.json["message"]
    assert server.call("GET", "/bulk/jobs").json == []


# --- processes that die ---


def uploaded(server: Server) -> str:
    reply = server.upload("records", b"name\n" + b"Annabella Example\n" * 5_000)
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def kill_readers(server: Server) -> None:
    """kill -9 for every process that reads."""
    for process in readers_of(server.process):
        os.kill(process, 9)


@dataclass
class Slow:
    """A server whose processes wait at a gate."""

    server: Server
    gate: Gate

    def begin(self) -> tuple[Server, str]:
        """An instance and a job of it whose file is being read."""
        self.gate.close()
        memory = self.server.instance("memory")
        job = uploaded(memory)
        self.gate.wait_for_a_process()
        return memory, job


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    with Processes(tmp_path_factory.mktemp("slow")) as processes:
        gate = Gate(processes.folder)
        yield Slow(server_with(processes, gate.code), gate)


def test_a_file_is_read_again_if_somebody_killed_the_process(slow: Slow) -> None:
    """Nothing is sent before a file is read to its end, so nothing is doubled."""
    server, job = slow.begin()
    says = "reading process died"
    before = server.process.log().count(says)
    kill_readers(server)
    slow.gate.open()
    status = server.finished(job)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 5_000)
    assert server.process.log().count(says) > before
    assert server.done("records", b"name\nAnn\n")["recordsCount"] == 1


def test_a_file_is_not_read_for_ever(slow: Slow) -> None:
    """Who is killed again and again may be the reason."""
    server, job = slow.begin()
    kill_readers(server)
    slow.gate.wait_for_a_process()
    kill_readers(server)
    status = server.finished(job)
    assert status["status"] == "ABORTED"
    assert status["error"].startswith("the process that reads the file was killed")
    assert status["error"].endswith("that happened 2 times")


def test_a_job_that_is_read_is_cancelled_at_once(slow: Slow) -> None:
    """Whether it is, is looked at by time: here, the next row never comes."""
    server, job = slow.begin()
    assert server.call("PUT", f"/bulk/{job}/cancel").status == 200
    assert server.finished(job)["status"] == "CANCELLED"


def test_a_server_that_reads_stops_at_once(processes: Processes) -> None:
    """And the next one reads the file again."""
    gate = Gate(processes.folder)
    server, job = Slow(server_with(processes, gate.code), gate).begin()
    readers = readers_of(server.process)
    assert readers
    assert server.process.stop() == 0
    assert not any(Path(f"/proc/{process}").exists() for process in readers)
    again = Server(processes.server().process, server.element_token)
    assert again.finished(job)["recordsCount"] == 5_000


def test_no_process_survives_a_killed_server(processes: Processes) -> None:
    """Not even in the middle of a file."""
    gate = Gate(processes.folder)
    server, _ = Slow(server_with(processes, gate.code), gate).begin()
    readers = readers_of(server.process)
    assert readers
    server.process.kill()
    until(lambda: not any(map(is_running, readers)), 120, "the processes end")


def test_files_and_names_that_hang_hold_up_only_work_of_their_own_kind(
    processes: Processes,
) -> None:
    """All processes that read wait, and more look-ups of names than asyncio has threads."""
    gate = Gate(processes.folder)
    names = HANGING_NAMES.format(folder=str(processes.folder))
    server = server_with(processes, gate.code + names)
    memory = server.instance("memory")
    job = memory.done("records", b"name\nAnn\n")["id"]
    gate.close()
    for number in range(9):
        to = {"Elements-Async-Callback-Url": f"http://name{number}.test/"}
        assert memory.upload("records", b"name\nAnn\n", headers=to).status == 200
    looked_up = processes.folder.glob
    until(lambda: len(list(looked_up("name*.test"))) >= 8, 120, "names are looked up")
    for _ in range(READERS):
        uploaded(server.instance("memory"))
    until(lambda: len(readers_of(server.process)) >= READERS, 120, "all processes read")
    assert memory.call("POST", "/log", json_body={"text": "x" * 100_000}).status == 200
    assert memory.call("GET", f"/bulk/{job}/errors").status == 200
    assert memory.call("GET", "/records").status == 200
    assert uploaded(server.instance("memory"))
    gate.open()


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# --- what is left of the server's memory ---


def million_lists() -> bytes:
    """A record of a million lists, and more."""
    return b'{"n": 1}\n' * 3_000 + b'{"n": [' + b"[]," * 5_000_000 + b"[]]}\n"


def long_text() -> bytes:
    """A record of 15 MB."""
    return b'{"n": 1}\n' * 3_000 + b'{"n": "' + b"x" * 15_000_000 + b'"}\n'


def large_records() -> bytes:
    """Each is as large as a record may be."""
    record = b'{"C_EmailAddress": "ann%d@example.com", "C_FirstName": "%s"}\n'
    return b"".join(record % (number, b"x" * 7_900_000) for number in range(12))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that none of the following files costs its memory, one after another."""
    with Processes(tmp_path_factory.mktemp("watched")) as processes:
        yield processes.server()


def test_large_records_are_sent_in_little_memory(watched: Server) -> None:
    """One at a time is in memory, and not a batch of them."""
    memory = watched.instance("memory", {"keep": "false"})
    assert memory.done("records", large_records())["recordsCount"] == 12
    assert watched.process.peak_memory_mb() < 300


def test_large_records_are_imported_in_little_memory(
    watched: Server, shared_eloqua: Process
) -> None:
    """By a service that imports many records at once."""
    eloqua = watched.eloqua(shared_eloqua)
    assert eloqua.done("contact", large_records())["recordsCount"] == 12
    assert watched.process.peak_memory_mb() < 300


@pytest.mark.long
def test_wide_rows_are_sent_in_little_memory(watched: Server) -> None:
    """Their names take more memory than their values."""
    names = ",".join(f"column {number:05} {'n' * 80}" for number in range(10_000))
    rows = ",".join(["1"] * 10_000)
    memory = watched.instance("memory", {"keep": "false"})
    file = "\n".join([names, *[rows] * 100]).encode()
    assert memory.done("records", file)["recordsCount"] == 100
    assert watched.process.peak_memory_mb() < 300


def test_no_file_costs_the_server_memory(watched: Server) -> None:
    """It is the processes that need it."""
    for make in (million_lists, long_text):
        one = watched.instance("memory", {"keep": "false"})
        reply = one.upload("records", make())
        assert reply.status == 200, reply.body
        one.finished(reply.json["id"])
    assert watched.process.peak_memory_mb() < 300
