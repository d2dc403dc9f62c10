"""Two different events under one UID are an error, whichever processes have sent their rows."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.harness import Process, Processes, Server, request, until

ROWS = 800
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


def has_begun(server: Server, job_id: str) -> bool:
    """Whether the first rows have an outcome."""
    return bool(server.status(job_id)["recordsCount"])


def require_refused(server: Server, job_id: str, sandbox: Process, message: str) -> None:
    """The last row was refused, and the first one's event is as that row has it."""
    status = server.finished(job_id, within=60)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (ROWS, 1), status
    (error,) = server.errors(job_id)
    assert message in json.dumps(error), error
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert sorted(event["summary"] for event in events) == sorted(
        f"Lesson {number}" for number in range(1, ROWS)
    )
    (first,) = [event for event in events if event["summary"] == "Lesson 1"]
    assert first["start"]["dateTime"].startswith(lesson(1)["start"]["dateTime"][:16])
    assert "location" not in first


@pytest.mark.parametrize("case", CASES)
def test_the_second_of_two_rows_is_refused_after_the_server_was_killed_between_them(
    processes: Processes, tmp_path: Path, case: str
) -> None:
    rows, message = CASES[case]
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    job_id = server.upload("events", file_of(rows), UPSERT).json["id"]
    until(partial(has_begun, server, job_id), 30, "the first rows have an outcome")
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.status(job_id)["status"] == "RUNNING", "too fast to be killed"
    require_refused(server, job_id, sandbox, message)


def test_the_second_of_two_rows_is_refused_by_the_worker_that_takes_over(
    processes: Processes, database: str
) -> None:
    rows, message = CASES["one iCalUID"]
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    server = processes.server(OPENBULK_DATABASE_URL=database).google(sandbox)
    job_id = server.upload("events", file_of(rows), UPSERT).json["id"]
    until(partial(has_begun, server, job_id), 30, "the first rows have an outcome")
    server.process.kill()
    processes.worker(OPENBULK_DATABASE_URL=database)
    server = Server(processes.server(OPENBULK_DATABASE_URL=database).process, server.element_token)
    require_refused(server, job_id, sandbox, message)


def test_rows_with_one_uid_in_two_calendars_are_two_events_after_a_kill(
    processes: Processes, tmp_path: Path
) -> None:
    """The ids that Google makes of a UID are equal in every calendar."""
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    made = server.call("POST", "/calendars", json_body={"summary": "Second"})
    assert made.status == 200, made.body
    second = made.json["id"]
    old = lesson(2, iCalUID="1@x", calendarId=second)
    assert server.done("events", file_of([old]), UPSERT)["recordsFailedCount"] == 0
    rows = [*map(lesson, range(1, ROWS)), lesson(1, summary="Other", calendarId=second)]
    job_id = server.upload("events", file_of(rows), UPSERT).json["id"]
    until(partial(has_begun, server, job_id), 30, "the first rows have an outcome")
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.status(job_id)["status"] == "RUNNING", "too fast to be killed"
    status = server.finished(job_id, within=60)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (ROWS, 0), status
