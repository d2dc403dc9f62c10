"""A full disk is an answer to the upload and a wait for the jobs, and never a broken job."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harness import Processes, Server, request

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
    """Take all the room that is left."""
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
    """Whether its file has no room or its job; what fits is taken as before, and other calls are answered."""
    data = disk / "data"
    server = processes.server(data_dir=data).instance("memory")
    done = server.done("records", SMALL)
    before = files_in(data)
    reply = server.upload("records", b"name\n" + b"x" * 40 * MIB)
    assert (reply.status, set(reply.json)) == (507, {"message", "requestId"})
    assert "the server has no room left for files: its disk is full" in reply.json["message"]
    assert "send it again when whoever runs the server has made room" in reply.json["message"]
    assert files_in(data) == before
    filler = fill(disk)
    for _ in range(3):
        reply = server.upload("records", SMALL)
        assert (reply.status, "its disk is full" in reply.json["message"]) == (507, True)
    # What does not fit any more is said wherever something is to be remembered, for which more room is needed than
    # there is by chance.
    large = {"element": {"key": "memory"}, "name": "x", "configuration": {"note": "x" * 500_000}}
    asked = {"objectName": "records", "note": "x" * 500_000}
    for path, body in (("/instances", large), ("/bulk/download", asked)):
        reply = server.call("POST", path, json_body=body)
        assert (
            reply.status,
            "no room left for what it has to remember" in reply.json["message"],
        ) == (507, True), path
    assert files_in(data) == before
    assert server.status(done["id"])["status"] == "COMPLETE", "what is only read is answered"
    filler.unlink()
    assert server.done("records", SMALL)["recordsCount"] == 1
    assert len(server.call("GET", "/bulk/jobs").json) == 2


def test_a_job_that_runs_meanwhile_waits_and_goes_on(processes: Processes, disk: Path) -> None:
    """Nothing is lost and nothing doubled, and no attempt is spent."""
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
    assert "slice failed" not in server.process.log()


def test_what_cannot_tell_repeated_records_apart_gets_each_once(
    processes: Processes, disk: Path
) -> None:
    """What was sent while there was no room to write down that it was."""
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
    assert "slice failed" not in server.process.log()


def test_where_only_the_files_have_no_room_the_status_says_so(
    processes: Processes, disk: Path, tmp_path: Path
) -> None:
    """The job waits with the reason, for a file that is to be cut and for records that come back."""
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
    deadline = time.monotonic() + 20
    while "no room left for files" not in server.status(job_id).get("infoMessage", ""):
        assert time.monotonic() < deadline, server.status(job_id)
        time.sleep(0.05)
    time.sleep(8)
    assert server.status(job_id)["status"] == "RUNNING"
    filler.unlink()
    status = server.finished(job_id, within=60)
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 3_000)
    assert "slice failed" not in server.process.log()


def test_a_server_that_is_killed_on_a_full_disk_goes_on_with_room(
    processes: Processes, disk: Path
) -> None:
    """And one that is told to stop stops."""
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
    assert (
        server.process.stop() == 0
    )  # one that was killed leaves journals, which make room once they are read
    filler = fill(disk)
    refused = processes.command("serve", "--port", "0", "--data-dir", str(data))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "openbulk cannot start: there is no room left for what it has to remember: its disk is full; make room and "
        "start it again, nothing is lost\n"
    )
    filler.unlink()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.status(done["id"])["status"] == "COMPLETE"


def test_jobs_whose_next_turns_cannot_be_written_down_go_on_with_room(
    processes: Processes, disk: Path, tmp_path: Path
) -> None:
    """Whether the turn that was over, the one that follows it, or that of a job which was taken meanwhile."""
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    data = tmp_path / "data"
    data.mkdir()
    (data / "lanes.db").symlink_to(disk / "lanes.db")
    server = processes.server(data_dir=data).google(sandbox)
    rows = b"summary,start.date\n" + b"".join(b"Lesson %d,2026-09-01\n" % n for n in range(2_500))
    # Jobs that share a lane take turns of two seconds.
    jobs = [server.upload("events", rows).json["id"] for _ in range(2)]
    while not all(server.status(job)["recordsCount"] for job in jobs):
        time.sleep(0.02)
    filler = fill(disk)
    time.sleep(6)
    small = server.upload("events", b"summary,start.date\nLast,2026-09-01\n")
    assert small.status == 200, small.body
    filler.unlink()
    for job in (*jobs, small.json["id"]):
        assert server.finished(job, within=60)["status"] == "COMPLETE"
    assert "slice failed" not in server.process.log()
