"""Two different events under one UID are an error, whichever processes have sent their rows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from support.harness import Process, Processes, Server, request, until

ROWS = 300
"""More than the 192 that are sent in two seconds, so that the last one is sent after the kill."""
LATENCY = ("--latency-ms", "1000")
UPSERT = {"action": "upsert"}
NATURAL = "row 1 has the same summary and start, and differs; "


def lesson(number: int, **more: Any) -> dict[str, Any]:
    """An event with an iCalUID and a start of its own."""
    start = f"2026-09-{number % 28 + 1:02d}T{number // 28 % 24:02d}:{number // 672:02d}:00Z"
    end = f"2026-10-24T{number // 28 % 24:02d}:00:00Z"
    times = {"start": {"dateTime": start}, "end": {"dateTime": end}}
    return {"iCalUID": f"{number}@x", "summary": f"Lesson {number}", **times, **more}


def without_ids(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "iCalUID"}


def with_id(event: dict[str, Any], number: int) -> dict[str, Any]:
    return {**without_ids(event), "id": f"lesson{number}"}


CASES = {
    "one iCalUID": (
        [*map(lesson, range(1, ROWS)), lesson(ROWS, iCalUID="1@x")],
        "row 1 has the iCalUID '1@x', too, and is another event by its start and summary",
    ),
    "one id": (
        [*[with_id(lesson(n), n) for n in range(1, ROWS)], with_id(lesson(ROWS), 1)],
        "row 1 has the id 'lesson1', too, and is another event by its start and summary",
    ),
    "one summary and start": (
        [*map(without_ids, map(lesson, range(1, ROWS))), without_ids(lesson(1, location="Attic"))],
        NATURAL,
    ),
}


def file_of(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows).encode()


@dataclass
class Job:
    """A job whose first rows have an outcome. Its sandbox stands still."""

    id: str
    token: str | None
    sandbox: Process

    @classmethod
    def begin(cls, server: Server, sandbox: Process, rows: list[dict[str, Any]]) -> "Job":
        """Upload the rows, and freeze the sandbox as soon as the first have an outcome."""
        job_id = server.upload("events", file_of(rows), UPSERT).json["id"]
        until(lambda: server.status(job_id)["recordsCount"], 120, "the first rows have an outcome")
        sandbox.freeze()
        return cls(job_id, server.element_token, sandbox)

    def end(self, server: Server) -> Any:
        """Let the sandbox go on; return the status of the job at its end."""
        server = Server(server.process, self.token)
        assert server.status(self.id)["recordsCount"] < ROWS, "too fast to be killed"
        self.sandbox.wake()
        return server.finished(self.id)


def require_refused(server: Server, job: Job, message: str) -> None:
    """The last row was refused, and the first one's event is as that row has it."""
    status = job.end(server)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (ROWS, 1), status
    (error,) = Server(server.process, job.token).errors(job.id)
    assert message in json.dumps(error), error
    events = request("GET", f"{job.sandbox.url}/sandbox/events").json
    assert sorted(event["summary"] for event in events) == sorted(
        f"Lesson {number}" for number in range(1, ROWS)
    )
    (first,) = [event for event in events if event["summary"] == "Lesson 1"]
    assert first["start"]["dateTime"].startswith(lesson(1)["start"]["dateTime"][:16])
    assert "location" not in first


TWO_CALENDARS = "two calendars"


@dataclass
class Restarted:
    """A server that was killed in the middle of these jobs, and started again."""

    server: Server
    jobs: Mapping[str, Job]


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    """One kill for all cases."""
    with Processes(tmp_path_factory.mktemp("killed")) as processes:
        server = processes.server()
        jobs = {}
        for case, (rows, _) in CASES.items():
            sandbox = processes.sandbox("google", *LATENCY)
            jobs[case] = Job.begin(server.google(sandbox), sandbox, rows)
        jobs[TWO_CALENDARS] = begin_in_two_calendars(server, processes.sandbox("google", *LATENCY))
        server.process.kill()
        yield Restarted(processes.server(), jobs)


def begin_in_two_calendars(server: Server, sandbox: Process) -> Job:
    """The first row and the last one have one iCalUID. The second calendar holds the last one."""
    server = server.google(sandbox)
    made = server.call("POST", "/calendars", json_body={"summary": "Second"})
    assert made.status == 200, made.body
    second = made.json["id"]
    old = lesson(2, iCalUID="1@x", calendarId=second)
    assert server.done("events", file_of([old]), UPSERT)["recordsFailedCount"] == 0
    rows = [*map(lesson, range(1, ROWS)), lesson(1, summary="Other", calendarId=second)]
    return Job.begin(server, sandbox, rows)


@pytest.mark.parametrize("case", CASES)
def test_the_second_of_two_rows_is_refused_after_the_server_was_killed_between_them(
    restarted: Restarted, case: str
) -> None:
    _, message = CASES[case]
    require_refused(restarted.server, restarted.jobs[case], message)


def test_rows_with_one_uid_in_two_calendars_are_two_events_after_a_kill(
    restarted: Restarted,
) -> None:
    """The ids that Google makes of a UID are equal in every calendar."""
    status = restarted.jobs[TWO_CALENDARS].end(restarted.server)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (ROWS, 0), status


def test_the_second_of_two_rows_is_refused_by_the_worker_that_takes_over(
    processes: Processes, database: str
) -> None:
    rows, message = CASES["one iCalUID"]
    sandbox = processes.sandbox("google", *LATENCY)
    server = processes.server(OPENBULK_DATABASE_URL=database).google(sandbox)
    job = Job.begin(server, sandbox, rows)
    server.process.kill()
    processes.worker(OPENBULK_DATABASE_URL=database)
    require_refused(processes.server(OPENBULK_DATABASE_URL=database), job, message)
