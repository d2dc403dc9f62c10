"""Nightly downloads of changes: few calls, and exactly the records of a full read."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.google_sandbox import event, events_csv
from support.harness import Process, Processes, Server, request

MANY = 4_990
PLAIN_CALLS = 3
"""Calls for the whole calendar: Google refuses one, for its date is too long ago; two get pages."""


@dataclass
class Night:
    """An instance of a sandbox that lists no changes by date, as Google after some weeks."""

    sandbox: Process
    server: Server
    headers: Mapping[str, str]

    def change(
        self, method: str, event_id: str, body: Any = None, calendar: str = "primary"
    ) -> Any:
        """Change the calendar itself, as a person does."""
        path = f"/calendar/v3/calendars/{calendar}/events{f'/{event_id}' if event_id else ''}"
        reply = request(method, f"{self.sandbox.url}{path}", json_body=body, headers=self.headers)
        assert reply.status in {200, 204}, reply.body
        return reply.json if reply.body else None

    def say(self, path: str, body: Any) -> None:
        assert request("POST", f"{self.sandbox.url}/sandbox/{path}", json_body=body).status == 200

    def calls(self) -> int:
        return int(request("GET", f"{self.sandbox.url}/sandbox/stats").json["calls"])

    def ask(self, server: Server, query: str = "select * from events", **parameters: str) -> str:
        more = "".join(f"&{name}={quote(value)}" for name, value in parameters.items())
        return str(server.call("POST", f"/bulk/query?q={quote(query)}{more}").json["id"])

    def run(
        self, server: Server | None = None, query: str = "select * from events", **more: str
    ) -> tuple[Any, int]:
        """Download. Returns the records by id, and the number of calls to the service."""
        server, before = server or self.server, self.calls()
        job_id = self.ask(server, query, **more)
        status = server.finished(job_id, within=120)
        assert status["status"] == "COMPLETE", status
        calls = self.calls() - before
        return self.records(server, job_id), calls

    def records(self, server: Server, job_id: str) -> dict[str, Any]:
        reply = server.call("GET", f"/bulk/{job_id}/events", headers={"Accept": "application/json"})
        assert reply.status == 200, reply.body
        found = json.loads(reply.body)
        by_id = {one["id"]: one for one in found}
        assert len(by_id) == len(found), "no record is there twice"
        return by_id

    def plainly(self, **more: str) -> Any:
        """The records that an instance without a bookmark downloads."""
        return self.run(self.server.google(self.sandbox), **more)[0]


def now() -> str:
    """A value of `lastRunDate` that is later than every bookmark so far."""
    time.sleep(1.1)
    moment = time.time()
    time.sleep(0.01)
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03}Z"
    )


def night_of(processes: Processes, *options: str, data_dir: Path | None = None) -> Night:
    sandbox = processes.sandbox("google", "--changes-seconds", "0", *options)
    server = processes.server(data_dir=data_dir).google(sandbox)
    tokens = request(
        "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
    ).json
    return Night(sandbox, server, {"Authorization": f"Bearer {tokens['access_token']}"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A night for all tests here, with two pages of events."""
    with Processes(tmp_path_factory.mktemp("changes")) as started:
        night = night_of(started)
        night.server.done("events", events_csv(MANY), within=300)
        yield night
        assert request("GET", f"{night.sandbox.url}/sandbox/violations").json == []


@pytest.fixture
def night(running: Night) -> Night:
    """A night with an instance of its own, which has downloaded everything."""
    night = Night(running.sandbox, running.server.google(running.sandbox), running.headers)
    night.run()
    return night


def test_a_night_without_changes_costs_one_call(night: Night) -> None:
    """A full read costs two pages, and the call that Google refuses as too long ago."""
    last = now()
    assert night.run(lastRunDate=last) == ({}, 1)
    assert night.run(night.server.google(night.sandbox), lastRunDate=last) == ({}, PLAIN_CALLS)


def test_changes_come_exactly_as_in_a_full_read(
    night: Night,
) -> None:
    """New, changed and deleted events, night after night; deleted ones with showDeleted only."""
    deleted = "select * from events where showDeleted = true"
    night.run(query=deleted)
    for number in range(2):
        last = now()
        made = night.change("POST", "", event("New"))
        gone = night.change("POST", "", event("Old"))
        some = next(one for one in request("GET", f"{night.sandbox.url}/sandbox/events").json)
        night.change("PATCH", some["id"], {"location": f"Room {number}"})
        night.change("DELETE", gone["id"])
        for query, expected in (
            ("select * from events", {made["id"], some["id"]}),
            (deleted, {made["id"], some["id"], gone["id"]}),
        ):
            found, calls = night.run(query=query, lastRunDate=last)
            assert (found.keys(), calls) == (expected, 1)
            assert found == night.plainly(query=query, lastRunDate=last)
    found, _ = night.run(lastRunDate=last, to=last)
    assert found == night.plainly(lastRunDate=last, to=last) == {}


def test_a_sync_token_that_google_has_forgotten_leads_to_a_full_read(night: Night) -> None:
    """In the same job, which leaves a new bookmark."""
    last = now()
    made = night.change("POST", "", event("New"))
    night.say("forget", {"tokens": "sync"})
    found, calls = night.run(lastRunDate=last)
    assert (found.keys(), calls) == ({made["id"]}, 1 + 2)
    assert found == night.plainly(lastRunDate=last)
    assert night.run(lastRunDate=now()) == ({}, 1)


def test_each_instance_and_set_of_parameters_has_its_own_bookmark(night: Night) -> None:
    """Another calendar, another instance, occurrences instead of series."""
    last = now()
    assert (
        night.run(query="select * from events where singleEvents = true", lastRunDate=last)[1]
        == PLAIN_CALLS
    )
    assert night.run(night.server.google(night.sandbox), lastRunDate=last)[1] == PLAIN_CALLS
    path = "select * from calendars/ann@example.com/events"
    assert night.run(query=path, lastRunDate=last)[1] == PLAIN_CALLS
    assert night.run(query="select * from events limit 7", lastRunDate=last)[1] == PLAIN_CALLS
    assert night.run(query="select id from events where summary = 'x'", lastRunDate=last)[1] == 1


@pytest.mark.long
def test_kills_during_a_download_of_changes_lose_and_double_nothing(
    processes: Processes, tmp_path: Path
) -> None:
    """Also when Google forgets its tokens meanwhile, which leads to a full read."""
    data = tmp_path / "data"
    night = night_of(processes, "--latency-ms", "30", data_dir=data)
    paged = {"objectName": "events", "format": "application/json", "pageSize": 10}
    first = night.server.call("POST", "/bulk/download", json_body=paged).json["id"]
    assert night.server.finished(first)["status"] == "COMPLETE"
    last = now()
    night.server.done("events", events_csv(1_000), within=120)
    for forgotten in (False, True):
        job_id = night.server.call(
            "POST", "/bulk/download", json_body={**paged, "from": last}
        ).json["id"]
        for _ in range(2):
            time.sleep(0.8)
            assert night.server.status(job_id)["status"] in {"CREATED", "RUNNING"}, (
                "too fast to be killed"
            )
            night.server.process.kill()
            if forgotten:
                night.say("forget", {"tokens": "sync"})
            night.server = Server(
                processes.server(data_dir=data).process, night.server.element_token
            )
        assert night.server.finished(job_id, within=120)["status"] == "COMPLETE"
        found = night.records(night.server, job_id)
        assert sorted(one["summary"] for one in found.values()) == sorted(
            f"Lesson {n}" for n in range(1, 1_001)
        )
        assert found == night.plainly(**{"from": last})
        assert (
            "download restarted" in "".join(one.log() for one in processes.started)
        ) is forgotten
    assert request("GET", f"{night.sandbox.url}/sandbox/violations").json == []
