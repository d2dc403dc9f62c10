"""On a full disk an upload is refused, and jobs wait until there is room."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harness import Processes, Server, request
from support.log_events import SLICE_FAILED

MIB = 1024 * 1024
SMALL = b"name\nAnn\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={24 * MIB}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left. Returns the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    left = os.statvfs(disk)
    assert left.f_bavail == 0
    return filler


def files_in(data: Path) -> list[Path]:
    return [path for path in (data / "files").rglob("*") if path.is_file()]


def test_an_upload_that_does_not_fit_is_507_and_leaves_nothing(
    processes: Processes, disk: Path
) -> None:
    """Whether its file or its job has no room. Other calls are answered."""
    data = disk / "data"
    server = processes.server(data_dir=data).instance("memory")
    done = server.done("records", SMALL)
    before = files_in(data)
    reply = server.upload("records", b"name\n" + b"x" * 40 * MIB)
    assert (reply.status, set(reply.json)) == (507, {"message", "requestId"})
    assert "the disk of the server is full: it has no space for files" in reply.json["message"]
    assert (
        "send the request again once the operator of the server has freed space"
        in reply.json["message"]
    )
    assert files_in(data) == before
    filler = fill(disk)
    for _ in range(3):
        reply = server.upload("records", SMALL)
        assert (reply.status, "the disk of the server is full" in reply.json["message"]) == (
            507,
            True,
        )
    # Every request that is to be remembered gets 507, once the database has no room of its own.
    configuration = {"event.notification.signature.key": "x" * 20_000}
    large = {"element": {"key": "memory"}, "name": "x", "configuration": configuration}
    replies = (server.call("POST", "/instances", json_body=large) for _ in range(500))
    reply = next(reply for reply in replies if reply.status != 200)
    assert (
        reply.status,
        "it has no space for the database" in reply.json["message"],
    ) == (507, True)
    asked = {"objectName": "records", "callback-payload": "x" * 50_000}
    reply = server.call("POST", "/bulk/download", json_body=asked)
    assert (reply.status, "the disk of the server is full" in reply.json["message"]) == (507, True)
    assert files_in(data) == before
    assert server.status(done["id"])["status"] == "COMPLETE", (
        "a request that only reads is answered"
    )
    filler.unlink()
    assert server.done("records", SMALL)["recordsCount"] == 1
    assert len(server.call("GET", "/bulk/jobs").json) == 2


def test_a_job_waits_while_the_disk_is_full_and_continues(processes: Processes, disk: Path) -> None:
    """It loses and doubles nothing, and spends no attempt."""
    sandbox = processes.sandbox("google", "--latency-ms", "400")
    data = disk / "data"
    server = processes.server(data_dir=data).google(sandbox)
    count = 1_500
    rows = b"".join(b"Lesson %d,2026-09-01\n" % n for n in range(count))
    job_id = server.upload("events", b"summary,start.date\n" + rows).json["id"]
    while server.status(job_id)["recordsCount"] == 0:
        time.sleep(0.02)
    filler = fill(disk)
    time.sleep(8)
    assert server.status(job_id)["status"] == "RUNNING"
    assert 0 < server.status(job_id)["recordsCount"] < count
    filler.unlink()
    status = server.finished(job_id, within=120)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        count,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert Counter(event["summary"] for event in events) == {f"Lesson {n}": 1 for n in range(count)}
    assert SLICE_FAILED not in server.process.log()


def test_an_object_without_identities_gets_each_record_once_over_a_full_disk(
    processes: Processes, disk: Path
) -> None:
    """Also those that were sent while their outcomes had no room."""
    data = disk / "data"
    server = processes.server(data_dir=data).instance("memory", {"keep": "true"})
    count = 60_000
    job_id = server.upload("log", b"name\n" + b"".join(b"N%d\n" % n for n in range(count))).json[
        "id"
    ]
    while server.status(job_id)["recordsCount"] == 0:
        time.sleep(0.01)
    filler = fill(disk)
    assert server.status(job_id)["status"] == "RUNNING", "too fast"
    time.sleep(5)
    filler.unlink()
    status = server.finished(job_id, within=120)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        count,
        0,
    )
    assert SLICE_FAILED not in server.process.log()


def test_the_status_of_a_job_says_that_its_files_have_no_room(
    processes: Processes, disk: Path, tmp_path: Path
) -> None:
    """The job waits, and continues when there is room."""
    data = tmp_path / "data"
    data.mkdir()
    (disk / "files").mkdir()
    (data / "files").symlink_to(disk / "files")
    server = processes.server(data_dir=data).instance("memory")
    server.done("records", b"name\n" + b"".join(b"N%d\n" % n for n in range(3_000)))
    filler = fill(disk)
    job_id = server.call("POST", "/bulk/query", json_body={"query": "select * from records"}).json[
        "id"
    ]
    deadline = time.monotonic() + 120
    while "it has no space for files" not in server.status(job_id).get("infoMessage", ""):
        assert time.monotonic() < deadline, server.status(job_id)
        time.sleep(0.05)
    time.sleep(8)
    assert server.status(job_id)["status"] == "RUNNING"
    filler.unlink()
    status = server.finished(job_id, within=120)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 3_000)
    assert SLICE_FAILED not in server.process.log()


def test_a_job_continues_after_a_kill_on_a_full_disk(processes: Processes, disk: Path) -> None:
    """And a server on a full disk can be stopped."""
    sandbox = processes.sandbox("google", "--latency-ms", "400")
    data = disk / "data"
    server = processes.server(data_dir=data).google(sandbox)
    count = 1_500
    rows = b"".join(b"Lesson %d,2026-09-01\n" % n for n in range(count))
    job_id = server.upload("events", b"summary,start.date\n" + rows).json["id"]
    while server.status(job_id)["recordsCount"] == 0:
        time.sleep(0.02)
    filler = fill(disk)
    time.sleep(3)
    server.process.kill()
    filler.unlink()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id, within=120)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        count,
        0,
    )
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert Counter(event["summary"] for event in events) == {f"Lesson {n}": 1 for n in range(count)}
    filler = fill(disk)
    assert server.process.stop() == 0
    filler.unlink()


def test_a_server_that_starts_on_a_full_disk_says_so_and_starts_with_room(
    processes: Processes, disk: Path
) -> None:
    data = disk / "data"
    server = processes.server(data_dir=data).instance("memory")
    done = server.done("records", SMALL)
    # After a kill there would be journals: reading them makes room.
    assert server.process.stop() == 0
    filler = fill(disk)
    refused = processes.command("serve", "--port", "0", "--data-dir", str(data))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "openbulk cannot start: the disk is full: it has no space for the database; "
        "free some space and start again; nothing is lost\n"
    )
    filler.unlink()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.status(done["id"])["status"] == "COMPLETE"


@pytest.mark.long
def test_jobs_whose_next_slices_cannot_be_queued_continue_with_room(
    processes: Processes, disk: Path, tmp_path: Path
) -> None:
    """Whether the end of a slice has no room, its next slice, or the first slice of a new job."""
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    data = tmp_path / "data"
    data.mkdir()
    (data / "lanes.db").symlink_to(disk / "lanes.db")
    server = processes.server(data_dir=data).google(sandbox)
    rows = b"summary,start.date\n" + b"".join(b"Lesson %d,2026-09-01\n" % n for n in range(2_500))
    # Jobs that share a lane have slices of two seconds.
    jobs = [server.upload("events", rows).json["id"] for _ in range(2)]
    while not all(server.status(job)["recordsCount"] for job in jobs):
        time.sleep(0.02)
    filler = fill(disk)
    time.sleep(6)
    small = server.upload("events", b"summary,start.date\nLast,2026-09-01\n")
    assert small.status == 200, small.body
    filler.unlink()
    for job in (*jobs, small.json["id"]):
        assert server.finished(job, within=120)["status"] == "COMPLETE"
    assert SLICE_FAILED not in server.process.log()
