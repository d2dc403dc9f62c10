"""A file that would stop the server costs its own job, and nobody else's."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter  # type: ignore[import-untyped]

from support.harness import Process, Processes, Server, request, until

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
SLOW = """
import time
from openbulk.formats.csv import Csv
def read(self, file, options, original=Csv.read):
    for row in original(self, file, options):
        yield row
        if row.number % 1_000 == 0:
            time.sleep({seconds})
Csv.read = read
"""
"""Reading a CSV takes longer, so that something can happen meanwhile."""


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
    ("limits", "make", "sentence"),
    [
        (LITTLE_TIME, workbook, "takes more than 0.4 s of processor time"),
        (LITTLE_TIME, calendar, "takes more than 0.4 s of processor time"),
        (LITTLE_MEMORY, json, "MB of memory"),
    ],
)
def test_a_file_that_takes_too_much_ends_its_job_with_a_sentence(
    processes: Processes, limits: str, make: Callable[[], bytes], sentence: str
) -> None:
    """The server answers, and another job completes meanwhile."""
    server = server_with(processes, limits)
    bad, good = server.instance("memory"), server.instance("memory")
    reply = bad.upload("records", make())
    assert reply.status == 200, reply.body
    health = request("GET", f"{server.process.url}/healthz", timeout=5.0)
    assert health.status == 200
    assert good.done("records", b"name\nAnn\n")["status"] == "COMPLETE"
    status = bad.finished(reply.json["id"])
    assert status["status"] == "ABORTED"
    assert status["error"].startswith("the file cannot be read: reading it ")
    assert sentence in status["error"]
    assert "; send it in several smaller files, or save it again" in status["error"]
    assert bad.done("records", b"name\nAnn\n")["status"] == "COMPLETE"


def test_a_file_whose_beginning_takes_too_much_is_refused(processes: Processes) -> None:
    """There is no job for it."""
    server = server_with(processes, LITTLE_MEMORY).instance("memory")
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


def test_a_file_is_read_again_if_somebody_killed_the_process(processes: Processes) -> None:
    """Nothing is sent before a file is read to its end, so nothing is doubled."""
    server = server_with(processes, SLOW.format(seconds=0.3)).instance("memory")
    job = uploaded(server)
    time.sleep(0.7)
    kill_readers(server)
    status = server.finished(job)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 5_000)
    assert "the process that reads a file died" in server.process.log()
    assert server.done("records", b"name\nAnn\n")["recordsCount"] == 1


def test_a_file_is_not_read_for_ever(processes: Processes) -> None:
    """Who is killed again and again may be the reason."""
    server = server_with(processes, SLOW.format(seconds=60)).instance("memory")
    job = uploaded(server)

    def kill_and_look() -> bool:
        kill_readers(server)
        time.sleep(0.2)
        return str(server.status(job)["status"]) == "ABORTED"

    until(kill_and_look, 30, "the job ends")
    error = server.status(job)["error"]
    assert error.startswith("the process that reads the file was killed")
    assert error.endswith("that happened 2 times")


def test_a_job_that_is_read_is_cancelled_at_once(processes: Processes) -> None:
    """Whether it is, is looked at by time: here, the next row takes a minute."""
    server = server_with(processes, SLOW.format(seconds=60)).instance("memory")
    job = uploaded(server)
    time.sleep(0.5)
    assert server.call("PUT", f"/bulk/{job}/cancel").status == 200
    assert server.finished(job, within=10)["status"] == "CANCELLED"


def test_a_server_that_reads_stops_at_once(processes: Processes) -> None:
    """And the next one reads the file again."""
    server = server_with(processes, SLOW.format(seconds=60)).instance("memory")
    job = uploaded(server)
    time.sleep(0.5)
    readers = readers_of(server.process)
    assert readers
    assert server.process.stop() == 0
    assert not any(Path(f"/proc/{process}").exists() for process in readers)
    again = Server(processes.server().process, server.element_token)
    assert again.finished(job)["recordsCount"] == 5_000


def test_no_process_survives_a_killed_server(processes: Processes) -> None:
    """Not even in the middle of a file."""
    server = server_with(processes, SLOW.format(seconds=60)).instance("memory")
    uploaded(server)
    time.sleep(0.5)
    readers = readers_of(server.process)
    assert readers
    server.process.kill()
    until(lambda: not any(map(is_running, readers)), 10, "the processes end")


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# --- what is left of the server's memory ---

HUGE = {
    "one record of a million lists": b'{"n": 1}\n' * 3_000
    + b'{"n": ['
    + b"[]," * 5_000_000
    + b"[]]}\n",
    "a record of 16 MB": b'{"n": 1}\n' * 3_000 + b'{"n": "' + b"x" * 15_000_000 + b'"}\n',
}


LARGE_RECORDS = b"".join(
    b'{"C_EmailAddress": "ann%d@example.com", "C_FirstName": "%s"}\n' % (number, b"x" * 7_900_000)
    for number in range(12)
)


def test_large_records_are_sent_in_little_memory(processes: Processes) -> None:
    """Each is as large as a record may be: one at a time is in memory, and not a batch of them."""
    server = processes.server()
    memory = server.instance("memory", {"keep": "false"})
    assert memory.done("records", LARGE_RECORDS, within=60)["recordsCount"] == 12
    assert server.process.peak_memory_mb() < 300


def test_large_records_are_imported_in_little_memory(processes: Processes) -> None:
    """By a service that imports many records at once."""
    server = processes.server()
    eloqua = server.eloqua(processes.sandbox("eloqua"))
    assert eloqua.done("contact", LARGE_RECORDS, within=60)["recordsCount"] == 12
    assert server.process.peak_memory_mb() < 300


def test_wide_rows_are_sent_in_little_memory(processes: Processes) -> None:
    """Their names take more memory than their values."""
    names = ",".join(f"column {number:05} {'n' * 80}" for number in range(10_000))
    rows = ",".join(["1"] * 10_000)
    server = processes.server()
    memory = server.instance("memory", {"keep": "false"})
    file = "\n".join([names, *[rows] * 150]).encode()
    assert memory.done("records", file, within=120)["recordsCount"] == 150
    assert server.process.peak_memory_mb() < 300


def test_no_file_costs_the_server_memory(processes: Processes) -> None:
    """It is the processes that need it."""
    server = processes.server()
    for file in HUGE.values():
        one = server.instance("memory", {"keep": "false"})
        reply = one.upload("records", file)
        assert reply.status == 200, reply.body
        one.finished(reply.json["id"])
    assert server.process.peak_memory_mb() < 300
