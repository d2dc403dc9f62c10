"""Jobs side by side, cancelled, and of services that cannot tell twice from once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.harness import SLOWER, Process, Processes, Server, request, set_faults, until


def lessons(count: int, name: str = "Lesson") -> bytes:
    rows = "\n".join(f"{name} {n},2026-09-01,2026-09-02" for n in range(count))
    return f"summary,start.date,end.date\n{rows}\n".encode()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for clients of the live service."""
    with Processes(tmp_path_factory.mktemp("live")) as processes:
        yield processes.server(OPENBULK_COMPATIBILITY="live")


def inserted(sandbox: Process) -> int:
    """The number of events that a sandbox of Google has made."""
    return int(request("GET", f"{sandbox.url}/sandbox/stats").json["inserted"])


def test_a_running_job_is_cancelled_within_three_seconds(
    processes: Processes, shared_server: Server
) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "500")
    server = shared_server.google(sandbox)
    job_id = server.upload("events", lessons(1_500)).json["id"]
    until(lambda: inserted(sandbox), 120, "the first records are sent")
    sandbox.freeze()
    reply = server.call("DELETE", f"/bulk/{job_id}")
    assert reply.status == 409
    assert "is RUNNING; cancel it first" in reply.json["message"]
    reply = server.call("PUT", f"/bulk/{job_id}/cancel")
    assert (reply.status, reply.json["status"]) == (200, "CANCELLATION_PENDING")
    sandbox.wake()
    status = server.finished(job_id, within=3 * SLOWER)
    assert status["status"] == "CANCELLED"
    made = inserted(sandbox)
    assert 0 < status["recordsCount"] == made < 1_500, "what was sent is counted"
    assert status["infoMessage"] == f"{1_500 - made} of 1500 records were not reached"


def test_cancelling_a_finished_job_leaves_it_as_it_is(shared_memory: Server) -> None:
    """Its records were sent, and the file of a download can still be fetched."""
    server = shared_memory
    upload = server.done("records", b"name\nAnn\n")
    query = server.call("POST", "/bulk/query", json_body={"query": "select * from records"})
    download = server.finished(query.json["id"])
    for job in (upload, download):
        reply = server.call("PUT", f"/bulk/{job['id']}/cancel")
        assert (reply.status, reply.json) == (200, job)
    assert b"Ann" in server.call("GET", f"/bulk/{download['id']}/records").body


def test_a_deleted_job_is_gone_and_its_records_stay(shared_memory: Server) -> None:
    """Nobody else's, and nobody finds it afterwards."""
    server = shared_memory
    job = server.done("records", b"name\nAnn\n")
    assert server.instance("memory").call("DELETE", f"/bulk/{job['id']}").status == 404
    reply = server.call("DELETE", f"/bulk/{job['id']}")
    assert (reply.status, reply.json) == (200, {})
    for method, path in (("GET", ""), ("GET", "/status"), ("GET", "/errors"), ("DELETE", "")):
        assert server.call(method, f"/bulk/{job['id']}{path}").status == 404
    assert job["id"] not in {one["id"] for one in server.call("GET", "/bulk/jobs").json}
    assert [one["name"] for one in server.call("GET", "/records").json] == ["Ann"]


def test_jobs_are_deleted_with_their_files_when_their_days_are_over(processes: Processes) -> None:
    """A job later has another number."""

    def files() -> set[Path]:
        # Path.rglob fails if a folder is deleted meanwhile.
        found = os.walk(processes.folder / "data" / "files")
        return {Path(folder, name) for folder, _, names in found for name in names}

    server = processes.server().instance("memory")
    before = files()
    jobs = [server.done("records", b"name\nAnn\n")["id"] for _ in range(2)]
    assert files() > before
    server.process.stop()
    server = replace(server, process=processes.server(OPENBULK_KEEP_JOBS_DAYS="0.000001").process)
    until(lambda: not server.call("GET", "/bulk/jobs").json, 120, "the jobs are deleted")
    until(lambda: files() == before, 120, "their files are deleted")
    assert int(server.upload("records", b"name\nAnn\n").json["id"]) > int(jobs[-1])


def test_a_finished_job_is_completed_for_clients_of_the_live_service(live: Server) -> None:
    assert live.instance("memory").done("records", b"name\nAnn\n")["status"] == "COMPLETED"


def test_clients_of_the_live_service_see_a_complete_job_cancelled(live: Server) -> None:
    """Clients that cancel a job at once expect it; a remark says that every record was sent."""
    server = live.instance("memory")
    job_id = server.done("records", b"name\nAnn\nBob\n")["id"]
    for _ in range(2):
        reply = server.call("PUT", f"/bulk/{job_id}/cancel")
        assert (reply.status, reply.json["status"], reply.json["recordsCount"]) == (
            200,
            "CANCELLED",
            2,
        )
    assert server.status(job_id)["infoMessage"] == "the job was cancelled after its last record"


def test_a_waiting_job_is_cancelled_at_once(shared_server: Server, shared_google: Process) -> None:
    server = shared_server.google(shared_google)
    set_faults(shared_google, "error-503=1")
    job_id = server.upload("events", lessons(3)).json["id"]
    until(lambda: "busy" in server.status(job_id).get("infoMessage", ""), 120, "the job waits")
    server.call("PUT", f"/bulk/{job_id}/cancel")
    assert server.finished(job_id, within=3 * SLOWER)["status"] == "CANCELLED"


def test_two_jobs_of_one_instance_take_turns(processes: Processes, shared_server: Server) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "1000")
    server = shared_server.google(sandbox)
    long = server.upload("events", lessons(1_500, "Long")).json["id"]
    until(lambda: inserted(sandbox), 120, "the long job has begun")
    sandbox.freeze()
    short = server.upload("events", lessons(20, "Short")).json["id"]
    sandbox.wake()
    assert server.finished(short)["recordsCount"] == 20
    assert server.finished(long)["recordsCount"] == 1_500
    ends = [line for line in server.process.log().splitlines() if "job finished" in line]
    order = [job for line in ends for job in (short, long) if f"job={job}" in line.split()]
    assert order == [short, long], "the short job did not have to wait for the long one"


def test_jobs_of_two_instances_run_side_by_side(
    processes: Processes, shared_server: Server, shared_memory: Server
) -> None:
    """One of them has a call under way that is not answered."""
    slow = processes.sandbox("google")
    busy = shared_server.google(slow)
    slow.freeze()
    job_id = busy.upload("events", lessons(20)).json["id"]
    until(lambda: busy.status(job_id)["status"] == "RUNNING", 120, "the job runs")
    shared_memory.done("records", b"name\nAnn\n")
    assert busy.status(job_id)["status"] == "RUNNING"
    slow.wake()
    assert busy.finished(job_id)["recordsCount"] == 20


def test_a_record_whose_answer_is_lost_for_good_is_unknown_and_never_sent_twice(
    processes: Processes, tmp_path: Path
) -> None:
    """Eloqua's campaigns have no key: a call that the crash cut off may have created one."""
    sandbox = processes.sandbox("eloqua", "--latency-ms", "300")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).eloqua(sandbox)
    rows = "\n".join(f"Campaign {n}" for n in range(100))
    job_id = server.upload("campaign", f"name\n{rows}\n".encode()).json["id"]
    until(lambda: campaigns(sandbox), 120, "the first records are sent")
    sandbox.freeze()
    until(lambda: server.status(job_id)["recordsCount"], 120, "the next ones are under way")
    server.process.kill()
    sandbox.wake()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id)
    names = campaigns(sandbox)
    assert len(names) == len(set(names)), "nothing twice"
    errors = server.errors(job_id)
    unknown = {f"Campaign {error['rowNum'] - 1}" for error in errors}
    assert status["recordsCount"] == 100 and status["recordsFailedCount"] == len(errors) > 0
    assert {f"Campaign {n}" for n in range(100)} - set(names) <= unknown, (
        "what is not there is shown to the person"
    )
    assert all(
        "it is unknown whether the service stored this record" in error["error"] for error in errors
    )


def campaigns(sandbox: Process) -> list[str]:
    """The names of the campaigns that a sandbox of Eloqua has."""
    return [one["name"] for one in request("GET", f"{sandbox.url}/sandbox/campaigns").json]
