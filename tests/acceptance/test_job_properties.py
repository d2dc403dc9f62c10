"""Whatever a file says, whatever others do, and whenever a server dies."""

import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.harness import Processes, Server

IDS = "abcdefgh"
AS_DRAWN = (Phase.explicit, Phase.generate)
"""Smaller examples of a failure would take minutes to find: jobs run for each of them."""
Records = dict[str, dict[str, str]]
Changes = Mapping[str, str | None]
"""By id, the name that somebody else gives a record; None for a deletion."""
VALUES = st.sampled_from(["Ann", "Bob", "Cid"])
CHANGES = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["mine", None]), max_size=4)


@dataclass(frozen=True, slots=True)
class Story:
    """An upload that is planned, carried out and undone, while others change records."""

    first: Mapping[str, str]
    """The name of each record, before everything."""
    action: str
    rows: Mapping[str, str]
    """The rows of the file, by id."""
    before_apply: Changes
    before_undo: Changes


STORIES = st.builds(
    Story,
    st.dictionaries(st.sampled_from(IDS), VALUES, min_size=1),
    st.sampled_from(["upsert", "upsert", "update", "delete"]),
    st.dictionaries(st.sampled_from(IDS), VALUES, min_size=1),
    CHANGES,
    CHANGES,
)


def file_of(names: Mapping[str, str]) -> bytes:
    return "".join(["id,name\n", *(f"{one},{name}\n" for one, name in names.items())]).encode()


def records(server: Server) -> Records:
    found: Sequence[dict[str, str]] = server.call("GET", "/records?pageSize=2000").json
    return {record.pop("id"): record for record in found}


def change(server: Server, changes: Changes) -> None:
    """Change records one by one, as somebody else does; one that is not there is made."""
    for one, name in changes.items():
        if name is None:
            assert server.call("DELETE", f"/records/{one}").status in {200, 204, 404}
        elif server.call("PATCH", f"/records/{one}", json_body={"name": name}).status == 404:
            made = {"id": one, "name": name}
            assert server.call("POST", "/records", json_body=made).status == 200


def follow(server: Server, method: str, path: str, **more: Any) -> str:
    """Make a request for a job, and wait for its end. Returns its id."""
    reply = server.call(method, path, **more)
    assert reply.status == 200, reply.body
    job_id: str = reply.json["id"]
    server.finished(job_id)
    return job_id


@pytest.mark.long
@settings(max_examples=12, phases=AS_DRAWN)
@given(STORIES)
def test_after_plan_apply_and_undo_all_is_as_before_but_for_what_others_changed(
    shared_server: Server, story: Story
) -> None:
    server = shared_server.instance("memory", {"space": uuid.uuid4().hex})
    server.done("records", file_of(story.first), {"action": "upsert"})
    before = records(server)
    planned = {"action": story.action, "identifierFieldName": "id", "plan": True}
    job_id = server.done("records", file_of(story.rows), planned)["id"]
    assert records(server) == before, "a plan writes nothing"

    change(server, story.before_apply)
    changed = records(server)
    digest = server.call("GET", f"/bulk/{job_id}/plan").json["digest"]
    follow(server, "PUT", f"/bulk/{job_id}/apply", json_body={"plan": digest})
    applied = records(server)
    assert {one: applied.get(one) for one in IDS} == {
        one: changed.get(one) if is_changed(one, before, changed) else written(story, before, one)
        for one in IDS
    }, story

    change(server, story.before_undo)
    after = records(server)
    undo = server.call("POST", f"/bulk/{job_id}/undo")
    if undo.status == 409:  # nothing was written
        assert applied == changed, undo.body
        return
    assert undo.status == 200, undo.body
    server.finished(undo.json["id"])
    left = records(server)
    assert {one: left.get(one) for one in IDS} == {
        one: after.get(one) if is_changed(one, applied, after) else changed.get(one) for one in IDS
    }, story


def is_changed(one: str, before: Records, after: Records) -> bool:
    """Whether somebody else has changed a record: a deletion of none changes nothing."""
    return before.get(one) != after.get(one)


def written(story: Story, before: Records, one: str) -> dict[str, str] | None:
    """A record as the upload leaves it; None for none."""
    if one not in story.rows or (story.action == "update" and one not in before):
        return before.get(one)
    return None if story.action == "delete" else {"name": story.rows[one]}


# --- crashes ---

ROWS = 4_000
TABLE = """
CREATE TABLE people (n INTEGER, name TEXT);
CREATE TABLE refused (n INTEGER);
CREATE TRIGGER refuse BEFORE INSERT ON people WHEN EXISTS
  (SELECT 1 FROM refused WHERE n = new.n) BEGIN SELECT RAISE(ABORT, 'not now'); END;
"""
"""A table without a key: a row that is sent twice is there twice."""


@dataclass(frozen=True, slots=True)
class Crashes:
    """When a server is killed: seconds after a request."""

    refused: Sequence[int]
    """The rows that the table refuses until they are retried."""
    in_job: float
    in_retry: float


CRASHES = st.builds(
    Crashes,
    st.lists(st.integers(1, ROWS), min_size=1, max_size=1_000, unique=True),
    st.floats(0.0, 0.8),
    st.floats(0.0, 0.5),
)


@pytest.mark.long
@settings(max_examples=3, phases=AS_DRAWN)
@given(crashes=CRASHES)
def test_a_retry_makes_nothing_twice_whenever_its_server_dies(
    tmp_path_factory: pytest.TempPathFactory, crashes: Crashes
) -> None:
    folder = tmp_path_factory.mktemp("crash")
    with Processes(folder) as processes, closing(sqlite3.connect(folder / "people.db")) as people:
        people.executescript(TABLE)
        with people:
            people.executemany("INSERT INTO refused VALUES (?)", [(n,) for n in crashes.refused])
        server = started(processes).instance("sqlite", {"db.file": "people.db"})
        lines = [f"{n},Name {n}\n" for n in range(1, ROWS + 1)]
        file = ("n,name\n" + "".join(lines)).encode()
        job_id = server.upload("people", file, {"action": "create"}).json["id"]
        server = killed(processes, server, crashes.in_job)
        assert server.finished(job_id)["recordsFailedCount"] == len(crashes.refused)
        with people:
            people.execute("DELETE FROM refused")
        key = {"Idempotency-Key": "once"}
        retry = server.call("POST", f"/bulk/{job_id}/retry", headers=key).json["id"]
        server = killed(processes, server, crashes.in_retry)
        assert server.call("POST", f"/bulk/{job_id}/retry", headers=key).json["id"] == retry
        assert server.finished(retry)["recordsFailedCount"] == 0
        there = Counter(n for (n,) in people.execute("SELECT n FROM people"))
    assert there == dict.fromkeys(range(1, ROWS + 1), 1)


def started(processes: Processes) -> Server:
    return processes.server(OPENBULK_SQLITE_FOLDER=str(processes.folder))


def killed(processes: Processes, server: Server, seconds: float) -> Server:
    """Kill a server so many seconds from now. Returns another one with the same instance."""
    time.sleep(seconds)
    server.process.kill()
    return Server(started(processes).process, server.element_token, server.instance_id)
