"""A plan says what an upload would do, row by row, and writes nothing."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.harness import Process, Processes, Server, request, until

PEOPLE = (
    b"email,name,age\nann@x,Ann,41\nbob@x,Bob,8\ncara@x,Cara,5\ndan@x,,1\neve@x,Eve,-1\n"
    b"cara@x,Cara,6\n"
)
BY_EMAIL = {"action": "upsert", "identifierFieldName": "email"}


def plan_of(server: Server, object: str, file: bytes, metadata: Mapping[str, Any]) -> Any:
    """Upload a file to plan it; return the plan once it is made."""
    reply = server.upload(object, file, metadata, query="?plan=true")
    assert reply.status == 200, reply.body
    assert server.finished(reply.json["id"])["status"] == "PLANNED"
    return server.call("GET", f"/bulk/{reply.json['id']}/plan").json


def rows_of(server: Server, plan: Mapping[str, Any], query: str = "") -> list[Any]:
    reply = server.call("GET", f"/bulk/{plan['id']}/plan/rows{query}")
    assert reply.status == 200, reply.body
    rows: list[Any] = reply.json
    return rows


def counts(plan: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in plan["counts"].items() if count}


@pytest.fixture
def people(shared_server: Server, sqlite_folder: Path, tmp_path: Path) -> Server:
    """An instance of a database with a table of two people."""
    name = f"{tmp_path.name}.db"
    with sqlite3.connect(sqlite_folder / name) as database:
        database.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL, "
            "age INTEGER CHECK (age >= 0))"
        )
        database.execute(
            "INSERT INTO people VALUES (1, 'ann@x', 'Ann', 41), (2, 'bob@x', 'Bob', 7)"
        )
    return shared_server.instance("sqlite", {"db.file": name})


def stored(sqlite_folder: Path, tmp_path: Path) -> list[Any]:
    with sqlite3.connect(sqlite_folder / f"{tmp_path.name}.db") as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return [tables, database.execute("SELECT * FROM people ORDER BY id").fetchall()]


def test_a_plan_of_a_table_shows_each_row_and_the_job_then_does_just_that(
    people: Server, sqlite_folder: Path, tmp_path: Path
) -> None:
    """Rows that the database itself would refuse, too, and rows that depend on earlier ones."""
    before = stored(sqlite_folder, tmp_path)
    plan = plan_of(people, "people", PEOPLE, BY_EMAIL)
    assert stored(sqlite_folder, tmp_path) == before, "no row, and no table of openbulk's own"
    assert (plan["completeness"], plan["rows"], plan["repeatedRows"]) == ("complete", 6, 1)
    assert counts(plan) == {"created": 1, "updated": 2, "unchanged": 1, "refused": 2}
    rows = rows_of(people, plan)
    assert [row["kind"] for row in rows] == [
        "unchanged",
        "updated",
        "created",
        "refused",
        "refused",
        "updated",
    ]
    assert rows[1]["changes"] == {"age": {"before": 7, "after": 8}}
    assert (rows[1]["id"], rows[1]["lineNum"]) == ("2", 3)
    assert rows[5]["changes"] == {"age": {"before": 5, "after": 6}}
    assert rows[5]["repeated"] is True
    job = people.done("people", PEOPLE, BY_EMAIL)
    outcomes = people.call("GET", f"/bulk/{job['id']}").json["outcomes"]
    done = {name: count for name, count in outcomes.items() if count}
    assert done == {"created": 1, "updated": 2, "unchanged": 1, "failed": 2}
    refused = [(row["rowNum"], row["error"]) for row in rows if row["kind"] == "refused"]
    assert refused == [(one["rowNum"], one["error"]) for one in people.errors(job["id"])]


def test_equal_plans_have_one_digest_and_other_ones_another(people: Server) -> None:
    first, second = (plan_of(people, "people", PEOPLE, BY_EMAIL) for _ in range(2))
    assert first["digest"] == second["digest"]
    people.done("people", b"email,name\nbob@x,Rob\n", BY_EMAIL)
    assert plan_of(people, "people", PEOPLE, BY_EMAIL)["digest"] != first["digest"]


def test_rows_of_a_plan_come_by_page_and_by_kind(shared_memory: Server) -> None:
    """Also rows that mean a record of an earlier row, which was planned in another batch."""
    shared_memory.done("records", b"id,name\n7,Ann\n", {"action": "upsert"})
    lines = [f"{n % 1_500},Name {n}" for n in range(2_600)]
    file = ("id,name\n" + "\n".join(lines) + "\n").encode()
    plan = plan_of(shared_memory, "records", file, {"action": "upsert"})
    assert counts(plan) == {"created": 1_499, "updated": 1_101}
    assert plan["repeatedRows"] == 1_100
    updated = rows_of(shared_memory, plan, "?kind=updated&pageSize=2")
    assert [row["rowNum"] for row in updated] == [8, 1_501]
    changed = {"name": {"before": "Name 0", "after": "Name 1500"}}
    assert updated[1]["changes"] == changed
    seen: list[int] = []
    token = ""
    while True:
        reply = shared_memory.call(
            "GET", f"/bulk/{plan['id']}/plan/rows?pageSize=2000&nextPage={token}"
        )
        seen += [row["rowNum"] for row in reply.json]
        token = reply.headers.get("elements-next-page-token", "")
        if not token:
            break
    assert seen == list(range(1, 2_601))
    assert len(shared_memory.call("GET", "/records").json) == 1, "nothing was written"


def test_a_plan_of_events_costs_their_listing_and_no_write(
    shared_server: Server, shared_google: Process
) -> None:
    """And says how many calls the job would make, and how long the limits would make it wait."""
    server = shared_server.google(shared_google, **{"quota.user.minute": "60"})
    rows = [f"lesson{n},Lesson {n},2026-09-01,2026-09-02" for n in range(30)]
    file = "\n".join(["id,summary,start.date,end.date", *rows, ""]).encode()
    plan = plan_of(server, "events", file, {"action": "upsert"})
    stats = request("GET", f"{shared_google.url}/sandbox/stats").json["by_method"]
    assert {name for name, count in stats.items() if count} <= {"GET", "TOKEN"}, stats
    assert counts(plan) == {"created": 30}
    forecast = plan["forecast"]
    assert forecast["calls"] == 30
    assert forecast["lookups"] == 1, "the listing"
    assert any(limit["calls"] == 60 for limit in forecast["limits"])
    for limit in forecast["limits"]:
        assert limit["planned"] == (30 if "one calendar" in limit["limit"] else 31)
        assert f"{limit['calls']:,} calls" in limit["limit"]
    assert [(one["counted"], one["number"], one["planned"]) for one in forecast["usage"]] == [
        ("created", 100_000, 30),
        ("mailsOutside", 10_000, 0),
    ]
    assert forecast["mails"] == 0


def test_a_plan_of_an_import_refuses_what_the_job_refuses(
    shared_server: Server, shared_eloqua: Process
) -> None:
    server = shared_server.eloqua(shared_eloqua)
    file = (
        b"C_EmailAddress,C_City\nann@example.com,Bonn\n,Ulm\nno address,Ulm\nAnn@example.com,Ulm\n"
    )
    plan = plan_of(server, "contact", file, {"action": "upsert"})
    assert (plan["completeness"], counts(plan)) == ("complete", {"created": 1, "refused": 3})
    assert plan["repeatedRows"] == 1
    assert request("GET", f"{shared_eloqua.url}/sandbox/contacts").json == []
    job = server.done("contact", file)
    said = [
        (one["rowNum"], one["field"], one["error"])
        for one in rows_of(server, plan, "?kind=refused")
    ]
    done = [(one["rowNum"], one["field"], one["error"]) for one in server.errors(job["id"])]
    assert said == done


def test_a_plan_is_made_whatever_is_killed(processes: Processes) -> None:
    """No row is planned twice, none is lost, and rows know those of the process that died."""
    server = processes.server()
    memory = server.instance("memory", {})
    lines = [f"{n % 12_000},Name {n}\n" for n in range(20_000)]
    file = ("id,name\n" + "".join(lines)).encode()
    job_id = memory.upload("records", file, {"action": "upsert", "plan": True}).json["id"]
    path = f"/bulk/{job_id}/plan"
    until(lambda: memory.call("GET", path).json["rows"] > 0, 120, "rows are planned")
    server.process.kill()
    memory = replace(memory, process=processes.server().process)
    assert memory.finished(job_id)["status"] == "PLANNED"
    plan = memory.call("GET", path).json
    assert (plan["rows"], plan["repeatedRows"]) == (20_000, 8_000)
    assert counts(plan) == {"created": 12_000, "updated": 8_000}
    last = memory.call("GET", f"{path}/rows?nextPage=19998").json
    assert [row["rowNum"] for row in last] == [19_999, 20_000]


def test_a_job_that_writes_has_no_plan(shared_memory: Server) -> None:
    job = shared_memory.done("records", b"name\nAnn\n")
    for path in ("plan", "plan/rows"):
        reply = shared_memory.call("GET", f"/bulk/{job['id']}/{path}")
        assert reply.status == 404
        assert reply.json["message"] == (
            f"job {job['id']} has no plan; POST /bulk/{{object}}?plan=true makes a job that has one"
        )


def test_two_words_on_whether_to_plan_are_refused(shared_memory: Server) -> None:
    """A guess might write."""
    reply = shared_memory.upload("records", b"name\nAnn\n", {"plan": False}, query="?plan=true")
    assert reply.status == 400
    assert "leave one of them out" in reply.json["message"]


def test_a_download_has_no_plan_and_says_so(shared_memory: Server) -> None:
    """Wherever its caller asks for one; no job is made."""
    query = {"q": "select * from records"}
    for path, body in (
        ("/bulk/query?plan=true&q=select+*+from+records", None),
        ("/bulk/query?Plan=TRUE", query),
        ("/bulk/query", {**query, "plan": True}),
        ("/bulk/download?plan=true", {"objectName": "records"}),
        ("/bulk/download", {"objectName": "records", "plan": "true"}),
    ):
        reply = shared_memory.call("POST", path, json_body=body)
        assert reply.status == 400, (path, reply.body)
        assert "a download has no plan" in reply.json["message"], path
    assert shared_memory.call("POST", "/bulk/query?plan=false", json_body=query).status == 200
