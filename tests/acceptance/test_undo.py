"""A job is undone: the service is as it was before, but for what others have changed since."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.harness import Process, Reply, Server

FIRST = b"id,name,note\na,Ann,old\nb,Bob,old\nc,Cid,old\nd,Dora,old\n"


def load(server: Server, rows: str, action: str, header: str = "id,name,note") -> str:
    file = f"{header}\n{rows}\n".encode()
    details = server.done("records", file, {"action": action, "identifierFieldName": "id"})
    job_id: str = details["id"]
    return job_id


def ask(server: Server, job_id: str, body: Any = None, query: str = "") -> Reply:
    return server.call("POST", f"/bulk/{job_id}/undo{query}", json_body=body)


def undone(server: Server, job_id: str, body: Any = None, query: str = "") -> Any:
    """The details of a finished undo."""
    reply = ask(server, job_id, body, query)
    assert reply.status == 200, reply.body
    server.finished(reply.json["id"])
    return server.call("GET", f"/bulk/{reply.json['id']}").json


def outcomes(details: Any) -> dict[str, int]:
    return {kind: count for kind, count in details["outcomes"].items() if count}


def records(server: Server) -> dict[str, Any]:
    found = server.call("GET", "/records?pageSize=2000").json
    return {record.pop("id"): record for record in found}


@pytest.fixture
def filled(shared_memory: Server) -> Server:
    shared_memory.done("records", FIRST, {"action": "upsert"})
    return shared_memory


def test_an_undo_puts_back_all_but_what_others_have_changed_since(filled: Server) -> None:
    server, before = filled, records(filled)
    upsert = load(server, "a,Anna,new\nb,Bobby,new\ne,Eva,new\nf,Finn,new\ne,Eve,newer", "upsert")
    deleted = load(server, "c\nd", "delete", header="id")
    server.call("PATCH", "/records/b", json_body={"name": "Robert"})
    server.call("DELETE", "/records/f")

    plan = undone(server, upsert, query="?plan=true")
    counts = server.call("GET", f"/bulk/{plan['id']}/plan").json["counts"]
    assert {kind: count for kind, count in counts.items() if count} == {
        "reversed": 3,
        "kept": 1,
        "goneAlready": 1,
    }
    assert records(server)["a"]["name"] == "Anna", "a plan writes nothing"

    details = undone(server, upsert)
    assert details["undoOf"] == upsert
    assert outcomes(details) == {"reversed": 3, "kept": 1, "goneAlready": 1}
    assert outcomes(undone(server, deleted)) == {"reversed": 2}
    left = records(server)
    assert left.pop("b") == {"name": "Robert", "note": "new"}
    before.pop("b")
    assert left == before

    file = server.call("GET", f"/bulk/{details['id']}/results?kind=kept&format=jsonl").body
    kept = json.loads(file)
    assert (kept["row"], kept["openbulk.id"], kept["openbulk.outcome"]) == (2, "b", "kept")
    assert "has been changed since" in kept["openbulk.error"]
    groups = server.call("GET", f"/bulk/{details['id']}/errors/groups").json
    assert {group["outcome"] for group in groups} == {"kept", "goneAlready"}

    again = ask(server, upsert)
    assert again.status == 409
    assert f"POST /bulk/{details['id']}/undo takes that back" in again.json["message"]
    overwriting = undone(server, upsert, {"kept": "overwrite", "rows": [2]})
    assert outcomes(overwriting) == {"reversed": 1}
    assert records(server)["b"] == {"name": "Bob", "note": "old"}


def test_an_undo_can_be_undone(filled: Server) -> None:
    server = filled
    job_id = load(server, "a,Anna,new\ng,Gil,new\na,Annie,newer", "upsert")
    deleted = load(server, "b", "delete", header="id")
    after = records(server)
    back = [undone(server, one)["id"] for one in (deleted, job_id)]
    assert records(server) != after
    for one in reversed(back):
        assert set(outcomes(undone(server, one))) == {"reversed"}
    assert records(server) == after


def test_what_cannot_be_undone_is_refused_with_what_to_do(filled: Server) -> None:
    server = filled
    log = server.done("log", b"name\nx\n", {"action": "create"})["id"]
    assert "of this service, openbulk can undo records" in ask(server, log).json["message"]
    download = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    assert ask(server, download).status == 409
    plan = server.call("POST", f"/bulk/{load(server, 'a,A,A', 'upsert')}/undo?plan=true").json["id"]
    server.finished(plan)
    assert "is a plan" in ask(server, plan).json["message"]
    unchanged = load(server, "a,A,A", "upsert")
    assert "nothing is kept" in ask(server, unchanged).json["message"]
    bodies: list[Any] = [{"rows": []}, {"kept": "all"}, {"what": 1}, {"rows": [9]}]
    bodies.append({"sendUpdates": "all"})  # Memory mails nobody
    for body in bodies:
        assert ask(server, load(server, "a,B,B", "upsert"), body).status == 400


def test_later_jobs_that_were_undone_are_not_in_the_way(filled: Server) -> None:
    server, before = filled, records(filled)
    jobs = [load(server, f"a,Ann {step},new\nb,Bob {step},new", "upsert") for step in range(3)]
    for job_id in reversed(jobs):
        assert outcomes(undone(server, job_id)) == {"reversed": 2}
    assert records(server) == before


def test_rows_of_an_event_are_undone_in_reverse_order(
    shared_google: Process, shared_server: Server
) -> None:
    server = shared_server.google(shared_google)
    file = (
        b"id,summary,start.date,end.date,location,description\n"
        b"undoone,Choir,2026-03-01,2026-03-02,,\n"
        b"undobis,Band,2026-03-03,2026-03-04,,\n"
        b"undoone,,,,Hall,\n"
        b"undoone,,,,,Bring your notes\n"
    )
    first = server.done("events", file, {"action": "upsert"})
    assert outcomes(server.call("GET", f"/bulk/{first['id']}").json) == {"created": 2, "updated": 2}
    change = b"id,summary,location\nundobis,Orchestra,Attic\n"
    changed = server.done("events", change, {"action": "update"})
    assert outcomes(undone(server, changed["id"])) == {"reversed": 1}
    two = server.call("GET", "/events/undobis").json
    assert (two["summary"], "location" in two) == ("Band", False)
    details = undone(server, first["id"])
    assert outcomes(details) == {"reversed": 4}, server.errors(details["id"])
    assert server.call("GET", "/events/undobis").status == 404
    assert outcomes(undone(server, details["id"])) == {"reversed": 4}
    assert server.call("GET", "/events/undoone").json["description"] == "Bring your notes"


def test_a_plan_that_is_applied_can_be_undone(filled: Server) -> None:
    server, before = filled, records(filled)
    rows = b"id,name\na,Anna\nb,Bea\nz,Zoe\n"
    metadata = {"action": "upsert", "identifierFieldName": "id", "plan": True}
    job_id = server.done("records", rows, metadata)["id"]
    digest = server.call("GET", f"/bulk/{job_id}/plan").json["digest"]
    assert server.call("PUT", f"/bulk/{job_id}/apply", json_body={"plan": digest}).status == 200
    server.finished(job_id)
    server.call("PATCH", "/records/b", json_body={"note": "mine"})
    assert outcomes(undone(server, job_id)) == {"reversed": 2, "kept": 1}
    before["b"] = {"name": "Bea", "note": "mine"}
    assert records(server) == before


def test_rows_can_be_undone_one_after_the_other(filled: Server) -> None:
    """An undo of some rows is not in the way of the others."""
    server, before = filled, records(filled)
    job_id = load(server, "a,Anna,new\nb,Bobby,new\ne,Eva,new", "upsert")
    first = undone(server, job_id, {"rows": [1]})
    assert outcomes(first) == {"reversed": 1}
    again = ask(server, job_id, {"rows": [1]})
    assert again.status == 409
    assert f"job {first['id']} has undone job {job_id}" in again.json["message"]
    assert "overwrite" not in again.json["message"], "nothing was kept"
    assert outcomes(undone(server, job_id, {"rows": [3]})) == {"reversed": 1}
    server.call("PATCH", "/records/b", json_body={"name": "Robert"})
    assert outcomes(undone(server, job_id)) == {"reversed": 1, "kept": 1, "goneAlready": 1}
    assert records(server) == {**before, "b": {"name": "Robert", "note": "new"}}


def test_rows_that_changed_nothing_cannot_be_undone(filled: Server) -> None:
    """Such an undo would say that it is complete."""
    server = filled
    job_id = load(server, "a,Anna,\nx,Xaver,no", "upsert", header="id,name,fail")
    for row, status in ((2, 409), (3, 400)):
        reply = ask(server, job_id, {"rows": [1, row]})
        assert (reply.status, f"body.rows has {row}" in reply.json["message"]) == (status, True)


def test_a_job_that_was_done_again_can_be_undone_again(filled: Server) -> None:
    server, before = filled, records(filled)
    job_id = load(server, "a,Anna,new\ne,Eva,new", "upsert")
    for _ in range(2):
        back = undone(server, job_id)
        assert outcomes(back) == {"reversed": 2}
        assert records(server) == before
        assert ask(server, job_id).status == 409
        assert outcomes(undone(server, back["id"])) == {"reversed": 2}
    assert records(server)["a"] == {"name": "Anna", "note": "new"}


def test_the_rest_of_a_plan_can_be_undone_after_its_first_rows(filled: Server) -> None:
    server, before = filled, records(filled)
    file = b"id,name\na,Anna\nb,Bobby\ne,Eva\n"
    plan = server.upload(
        "records", file, {"action": "upsert", "identifierFieldName": "id"}, query="?plan=true"
    ).json["id"]
    server.finished(plan)
    body = {"plan": server.call("GET", f"/bulk/{plan}/plan").json["digest"]}

    def carry_out(**more: int) -> None:
        reply = server.call("PUT", f"/bulk/{plan}/apply", json_body={**body, **more})
        assert reply.status == 200, reply.body
        server.finished(plan)

    carry_out(first=1)
    assert outcomes(undone(server, plan)) == {"reversed": 1}
    assert records(server) == before
    carry_out()
    assert outcomes(undone(server, plan)) == {"reversed": 3}
    assert records(server) == before


def test_of_undos_at_the_same_time_one_begins(filled: Server) -> None:
    server = filled
    job_id = load(server, "a,Anna,new\ne,Eva,new", "upsert")
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda _: ask(server, job_id), range(6)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409, 409]


def test_what_does_not_fit_an_undo_is_refused(filled: Server) -> None:
    """Its verification would call each row different; without its instance nothing can be done."""
    server = filled
    job_id = load(server, "a,Anna,new", "upsert")
    back = undone(server, job_id)["id"]
    reply = server.call("POST", f"/bulk/{back}/verify")
    assert (reply.status, f"undoes job {job_id}" in reply.json["message"]) == (400, True)
    again = undone(server, back)["id"]
    user = Server(server.process)
    assert user.call("DELETE", f"/instances/{server.instance_id}").status == 200
    for path in (f"/bulk/{again}/undo", f"/bulk/{job_id}/verify"):
        reply = user.call("POST", path)
        assert (reply.status, "was deleted" in reply.json["message"]) == (409, True), path


def test_each_row_of_a_large_job_is_undone(filled: Server) -> None:
    """Its rows are packed in parts of a thousand; rows that changed nothing are in none of them."""
    server, before = filled, records(filled)
    lines = "\n".join(f"{row},new,{'no' if row % 7 == 0 else ''}" for row in range(1, 2_501))
    job_id = load(server, lines, "create", header="id,name,fail")
    created = 2_500 - 2_500 // 7
    plan = undone(server, job_id, query="?plan=true")
    assert server.call("GET", f"/bulk/{plan['id']}/plan").json["counts"]["reversed"] == created
    assert outcomes(undone(server, job_id)) == {"reversed": created}
    assert records(server) == before


def test_the_plan_of_an_undo_is_carried_out_as_a_whole(filled: Server) -> None:
    """A record that somebody has changed since the plan is kept, too; and once is enough."""
    server, before = filled, records(filled)
    job_id = server.done("records", b"id,name\na,Anna\nb,Bea\nz,Zoe\n", {"action": "upsert"})["id"]
    plan = undone(server, job_id, query="?plan=true")["id"]
    path = f"/bulk/{plan}/apply"
    body = {"plan": server.call("GET", f"/bulk/{plan}/plan").json["digest"]}
    server.call("PATCH", "/records/b", json_body={"note": "mine"})
    for more in ({"first": 1}, {"drifted": "overwrite"}, {"stopAbove": {"failed": 1}}):
        part = server.call("PUT", path, json_body={**body, **more})
        assert (part.status, "carried out as a whole" in part.json["message"]) == (400, True)
    assert server.call("PUT", path, json_body=body).status == 200
    server.finished(plan)
    done = server.call("GET", f"/bulk/{plan}").json
    assert (done["status"], outcomes(done)) == ("COMPLETE", {"reversed": 2, "kept": 1})
    before["b"] = {"name": "Bea", "note": "mine"}
    assert records(server) == before
    again = server.call("POST", f"/bulk/{job_id}/undo")
    assert (again.status, f"job {plan} has undone job {job_id}" in again.json["message"]) == (
        409,
        True,
    )
    assert outcomes(undone(server, plan)) == {"reversed": 2}, "and it can be undone"
