"""A plan is carried out: what it said, and nothing else."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from acceptance.test_plans import counts, plan_of
from support.harness import Processes, Reply, Server
from support.receiver import Receiver

UPSERT = {"action": "upsert"}
FILE = b"id,name,fail\n1,Ann,\n2,Bob,\n3,Cara,\n4,Dan,no room\n5,Eve,\n"
KNOWN = b"id,name\n2,Rob\n3,Cara\n5,Eva\n"


def apply(server: Server, plan: Mapping[str, Any], **body: Any) -> Reply:
    """Ask for a plan to be carried out."""
    return server.call(
        "PUT", f"/bulk/{plan['id']}/apply", json_body={"plan": plan["digest"], **body}
    )


def applied(server: Server, plan: Mapping[str, Any], **body: Any) -> dict[str, int]:
    """Carry out a plan; return how many rows had each outcome."""
    reply = apply(server, plan, **body)
    assert reply.status == 200, reply.body
    assert reply.json["status"] == "RUNNING"
    server.finished(plan["id"])
    outcomes = server.call("GET", f"/bulk/{plan['id']}").json["outcomes"]
    return {word: count for word, count in outcomes.items() if count}


def names(server: Server) -> dict[str, str]:
    return {one["id"]: one["name"] for one in server.call("GET", "/records").json}


@pytest.fixture
def planned(shared_memory: Server) -> tuple[Server, Mapping[str, Any]]:
    """A service with three records, and the plan of a file over them."""
    shared_memory.done("records", KNOWN, UPSERT)
    return shared_memory, plan_of(shared_memory, "records", FILE, UPSERT)


def test_an_apply_does_what_the_plan_says_to_the_row(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    assert counts(plan) == {"created": 1, "updated": 2, "unchanged": 1, "refused": 1}
    assert applied(server, plan) == {"created": 1, "updated": 2, "unchanged": 1, "failed": 1}
    assert names(server) == {"1": "Ann", "2": "Bob", "3": "Cara", "5": "Eve"}
    assert [(one["rowNum"], one["error"]) for one in server.errors(plan["id"])] == [(4, "no room")]
    status = server.call("GET", f"/bulk/{plan['id']}/status").json
    assert (status["status"], status["recordsFailedCount"]) == ("COMPLETE", 1)
    assert server.call("GET", f"/bulk/{plan['id']}/plan").json["digest"] == plan["digest"]


def test_a_record_that_has_changed_since_the_plan_is_left_as_it_is(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    """Whether it is there by now, is other, or is gone; and `kind=drifted` finds its row."""
    server, plan = planned
    server.done("records", b"id,name\n1,Anne\n2,Robert\n", UPSERT)
    server.done("records", b"id\n5\n", {"action": "delete"})
    assert applied(server, plan) == {"unchanged": 1, "failed": 1, "drifted": 3}
    assert names(server) == {"1": "Anne", "2": "Robert", "3": "Cara"}
    found = server.call(
        "GET", f"/bulk/{plan['id']}/results?kind=drifted&format=jsonl"
    ).body.decode()
    assert [line.count('"drifted"') for line in found.splitlines()] == [1] * 3
    groups = server.call("GET", f"/bulk/{plan['id']}/errors/groups").json
    assert sorted(one["outcome"] for one in groups) == ["drifted"] * 3 + ["failed"]
    assert server.call("GET", f"/bulk/{plan['id']}/status").json["recordsFailedCount"] == 4


def test_drifted_records_are_overwritten_where_the_caller_says_so(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    server.done("records", b"id,name\n1,Anne\n2,Robert\n3,Carola\n", UPSERT)
    assert applied(server, plan, drifted="overwrite") == {"updated": 4, "failed": 1}
    assert names(server) == {"1": "Ann", "2": "Bob", "3": "Cara", "5": "Eve"}


def test_the_first_rows_are_carried_out_and_the_others_later(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    assert applied(server, plan, first=2) == {"created": 1, "updated": 1, "notReached": 3}
    job = server.call("GET", f"/bulk/{plan['id']}").json
    assert (job["status"], job["infoMessage"]) == (
        "PLANNED",
        "3 rows of the plan are left; apply it again to go on",
    )
    assert names(server) == {"1": "Ann", "2": "Bob", "3": "Cara", "5": "Eva"}
    again = apply(server, plan, first=2)
    assert again.status == 409
    assert "the first 2 rows of the plan" in again.json["message"]
    done = {"created": 1, "updated": 2, "unchanged": 1, "failed": 1}
    assert applied(server, plan) == done


def test_a_plan_that_does_too_much_is_refused_with_its_figures(shared_memory: Server) -> None:
    server = shared_memory
    server.done("records", KNOWN, UPSERT)
    plan = plan_of(server, "records", b"id\n2\n3\n9\n", {"action": "delete"})
    reply = apply(server, plan, stopAbove={"deletes": 1})
    assert reply.status == 409
    assert reply.json["message"].startswith("2 of the 3 rows of the plan delete a record, and stop")
    assert len(names(server)) == 3
    assert applied(server, plan, stopAbove={"deletes": 2}) == {"deleted": 2, "notFound": 1}


def test_a_job_ends_before_it_goes_further_than_its_caller_allows(shared_memory: Server) -> None:
    server = shared_memory
    rows = "".join(f"{n},Name {n}\n" for n in range(6_000))
    plan = plan_of(server, "records", f"id,name\n{rows}".encode(), UPSERT)
    others = "".join(f"{n},Other {n}\n" for n in range(200))
    server.done("records", f"id,name\n{others}".encode(), UPSERT)
    done = applied(server, plan, stopAbove={"drifted": "2.5%", "failed": 0})
    assert (done["drifted"], done["notReached"] > 0) == (200, True)
    job = server.call("GET", f"/bulk/{plan['id']}").json
    assert (job["status"], job["error"]) == (
        "ABORTED",
        "200 of 6000 rows are drifted, and stopAbove.drifted is 2.5 %: the job ended before it "
        "went further",
    )


def test_an_apply_that_cannot_be_is_refused_and_loses_nothing(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    path = f"/bulk/{plan['id']}/apply"
    for body, status, message in (
        ({"plan": "f00"}, 409, "the digest is not that of the plan"),
        ({}, 400, "plan"),
        ({"plan": plan["digest"], "drifted": "maybe"}, 400, "drifted"),
        ({"plan": plan["digest"], "first": 0}, 400, "first"),
        ({"plan": plan["digest"], "stopAbove": {"failed": "5"}}, 400, "stopAbove"),
        ({"plan": plan["digest"], "stopAbove": {"failed": "101%"}}, 400, "stopAbove"),
        ({"plan": plan["digest"], "stopAbove": {"errors": 5}}, 400, "errors"),
        ({"plan": plan["digest"], "frist": 5}, 400, "frist"),
        (
            {"plan": plan["digest"], "drifted": "overwrite", "stopAbove": {"drifted": 5}},
            400,
            "stopAbove.drifted has no effect",
        ),
    ):
        reply = server.call("PUT", path, json_body=body)
        assert (reply.status, message in reply.json["message"]) == (status, True), reply.body
    upload = server.done("records", b"id,name\n7,Gus\n", UPSERT)
    assert (
        server.call("PUT", f"/bulk/{upload['id']}/apply", json_body={"plan": "f00"}).status == 404
    )
    assert applied(server, plan)["created"] == 1
    again = apply(server, plan)
    assert again.status == 409
    assert f"the plan of job {plan['id']} was carried out already" in again.json["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        *(
            ({"stopAbove": {"failed": limit}}, "body.stopAbove.failed must be a number of rows")
            for limit in (-1, 1.5, True, "5", "101%", "100.5%", "\u0663%", "5%\n", "9" * 99 + "%")
        ),
        ({"first": 0}, "body.first must be at least 1"),
        ({"plan": ""}, "body.plan must not be empty"),
        ({"drifted": "Skip"}, "body.drifted must be 'skip' or 'overwrite'"),
        ({"drifted": "replan"}, "body.drifted is 'replan', and no plan is made by itself"),
    ],
)
def test_an_apply_that_is_written_wrongly_says_what_would_be_right(
    shared_memory: Server, body: dict[str, Any], says: str
) -> None:
    reply = shared_memory.call("PUT", "/bulk/1/apply", json_body={"plan": "x", **body})
    assert reply.status == 400
    assert reply.json["message"].startswith(says)


def test_rows_that_have_drifted_get_another_plan(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    """A retry overwrites them only if it names them."""
    server, plan = planned
    server.done("records", b"id,name\n2,Robert\n", UPSERT)
    assert applied(server, plan)["drifted"] == 1
    path = f"/bulk/{plan['id']}/retry"
    again = server.call("POST", f"{path}?plan=true", json_body={"kind": ["drifted"]})
    assert server.finished(again.json["id"])["status"] == "PLANNED"
    other = server.call("GET", f"/bulk/{again.json['id']}/plan").json
    assert counts(other) == {"updated": 1}
    retry = server.call("POST", path)
    assert server.finished(retry.json["id"])["recordsCount"] == 1, "the row that failed"
    assert applied(server, other) == {"updated": 1}
    assert names(server)["2"] == "Bob"
    late = server.call("POST", path, json_body={"kind": ["drifted"]})
    assert late.status == 409
    assert f"job {other['id']} retries these rows" in late.json["message"]


def test_a_plan_that_has_expired_is_not_carried_out(
    processes: Processes,
) -> None:
    server = processes.server(OPENBULK_KEEP_PLANS_HOURS="0.000001").instance("memory", {})
    expired = plan_of(server, "records", FILE, UPSERT)
    reply = apply(server, expired)
    assert reply.status == 409
    assert f"the plan of job {expired['id']} expired at" in reply.json["message"]
    assert names(server) == {}


def test_a_plan_for_a_deleted_instance_is_not_carried_out(shared_memory: Server) -> None:
    plan = plan_of(shared_memory, "records", FILE, UPSERT)
    user = Server(shared_memory.process)
    assert user.call("DELETE", f"/instances/{shared_memory.instance_id}").status == 200
    reply = apply(user, plan)
    assert reply.status == 409
    assert "is deleted; plan the file for another instance" in reply.json["message"]


def test_an_apply_calls_back_when_it_ends_and_its_plan_does_not(
    shared_memory: Server, receiver: Receiver
) -> None:
    server, headers = shared_memory, {"Elements-Async-Callback-URL": receiver.url}
    job_id = server.upload("records", FILE, UPSERT, headers=headers, query="?plan=true").json["id"]
    server.finished(job_id)
    plan = server.call("GET", f"/bulk/{job_id}/plan").json
    applied(server, plan, first=1)
    assert applied(server, plan)["failed"] == 1
    receiver.wait_for(1)
    (received,) = receiver.received
    job = json.loads(received.body)
    assert (job["id"], job["status"], job["recordsCount"]) == (job_id, "COMPLETE", 5)


def test_a_repeated_apply_with_its_key_is_answered_alike(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    path, key = f"/bulk/{plan['id']}/apply", {"Idempotency-Key": "one apply"}
    body = {"plan": plan["digest"]}
    assert server.call("PUT", path, json_body=body, headers=key).status == 200
    server.finished(plan["id"])
    again = server.call("PUT", path, json_body=body, headers=key)
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json["id"] == plan["id"]
    other = server.call("PUT", path, json_body={**body, "first": 1}, headers=key)
    assert other.status == 409


def test_of_equal_applies_at_the_same_time_each_is_answered_alike(
    planned: tuple[Server, Mapping[str, Any]],
) -> None:
    server, plan = planned
    path, key = f"/bulk/{plan['id']}/apply", {"Idempotency-Key": "one apply of many"}

    def send(_: int) -> int:
        return server.call("PUT", path, json_body={"plan": plan["digest"]}, headers=key).status

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(send, range(6))) == {200}
