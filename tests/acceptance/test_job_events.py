"""The stream of a job's events."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from support.google_sandbox import events_csv
from support.harness import BASE_PATH, Processes, Server


def events_of(server: Server, job_id: str, last_event_id: str = "") -> Iterator[tuple[str, Any]]:
    """The ids and the contents of events, until the stream ends."""
    headers = {"Authorization": server.authorization, "Last-Event-ID": last_event_id}
    url = f"{server.process.url}{BASE_PATH}/bulk/{job_id}/status/events"
    with closing(urllib.request.urlopen(urllib.request.Request(url, headers=headers))) as answer:
        event_id = ""
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                event_id = value
            if name == "data":
                yield event_id, json.loads(value)


def test_a_job_is_followed_from_its_beginning_to_its_end(
    processes: Processes, shared_server: Server
) -> None:
    """A reader that comes back gets what it has not seen, and in the end nothing."""
    server = shared_server.google(processes.sandbox("google", "--latency-ms", "300"))
    job_id = server.upload("events", events_csv(1_500)).json["id"]
    stream = events_of(server, job_id)
    first_id, first = next(stream)
    assert first["status"] in {"CREATED", "RUNNING"}
    seen = [(first_id, first), *stream]
    _, last = seen[-1]
    assert (last["status"], last["recordsCount"], last["outcomes"]["created"]) == (
        "COMPLETE",
        1_500,
        1_500,
    )
    counts = [one["recordsCount"] for _, one in seen]
    assert counts == sorted(counts)
    assert any(one.get("recordsPerSecond") and one.get("secondsLeft") for _, one in seen)
    assert len({event_id for event_id, _ in seen}) == len(seen)

    assert [one for _, one in events_of(server, job_id, first_id)] == [last]
    reply = server.call(
        "GET", f"/bulk/{job_id}/status/events", headers={"Last-Event-ID": seen[-1][0]}
    )
    assert (reply.status, reply.body) == (204, b"")


def test_a_download_is_followed_too(shared_memory: Server) -> None:
    server = shared_memory
    server.done("records", b"name\nAnn\nBob\n")
    query = server.call("POST", "/bulk/query", json_body={"query": "select * from records"})
    server.finished(query.json["id"])
    ((_, last),) = events_of(server, query.json["id"])
    assert (last["status"], last["recordsCount"], "outcomes" in last) == ("COMPLETE", 2, False)
