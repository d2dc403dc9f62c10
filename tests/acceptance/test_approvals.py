"""Another person approves what an agent, or everyone, has planned before it is carried out."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from support.harness import UNFINISHED, Processes, Reply, Server, multipart, until

FILE = b"id,name\n1,Ann\n2,Bob\n3,Cara\n"
UPSERT = {"action": "upsert"}
NOON = {"trigger": {"cron": "0 0 12 ? * *"}}


@dataclass
class Person:
    """A user, or an agent, with an instance of Memory of their organization."""

    server: Server
    secrets: str
    token: str = ""
    email: str = ""

    def call(self, method: str, path: str, json_body: Any = None, **more: Any) -> Reply:
        element = f", Element {self.token}" if self.token else ""
        headers = {"Authorization": self.secrets + element, **more.pop("headers", {})}
        return self.server.call(method, path, json_body=json_body, headers=headers, **more)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.call(method, path, body)
        assert reply.status == 200, (path, reply.body)
        return reply.json

    def upload(self, file: bytes = FILE, query: str = "?plan=true") -> Reply:
        form, kind = multipart(file, {"metaData": json.dumps(UPSERT)})
        return self.call("POST", f"/bulk/records{query}", **as_form(form, kind))

    def finished(self, job_id: str) -> Any:
        def look() -> Any:
            job = self.done("GET", f"/bulk/{job_id}")
            return None if job["status"] in UNFINISHED else job

        return until(look, 120, f"job {job_id} is finished")

    def plan(self, file: bytes = FILE) -> dict[str, Any]:
        """The plan of a file."""
        reply = self.upload(file)
        assert reply.status == 200, reply.body
        return self.plan_of(reply.json["id"])

    def plan_of(self, job_id: str) -> dict[str, Any]:
        assert self.finished(job_id)["status"] == "PLANNED"
        plan: dict[str, Any] = self.done("GET", f"/bulk/{job_id}/plan")
        return plan

    def apply(self, plan: Mapping[str, Any], **more: Any) -> Reply:
        body = {"plan": plan["digest"], **more}
        return self.call("PUT", f"/bulk/{plan['id']}/apply", body)

    def decide(self, plan: Mapping[str, Any], **more: Any) -> Reply:
        body = {"plan": plan["digest"], **more}
        return self.call("POST", f"/bulk/{plan['id']}/approvals", body)

    def waiting(self, state: str = "waiting") -> list[tuple[str, bool]]:
        """The jobs whose plans stand so, and whether this one may decide about them."""
        found = self.done("GET", f"/approvals?state={state}")
        return [(str(one["id"]), one["mayDecide"]) for one in found]

    def names(self) -> list[str]:
        return sorted(one["name"] for one in self.done("GET", "/records"))


def as_form(body: bytes, kind: str) -> dict[str, Any]:
    return {"body": body, "headers": {"Content-Type": kind}}


@dataclass
class Organization:
    """An administrator, an operator, an approver, and an agent with a key of the operator."""

    ann: Person
    otto: Person
    bea: Person
    agent: Person

    def wants(self, approvals: str) -> Reply:
        (own,) = self.ann.done("GET", "/organizations")
        return self.ann.call("PATCH", f"/organizations/{own['id']}", {"approvals": approvals})


@pytest.fixture
def organization(shared_server: Server) -> Organization:
    return make_organization(shared_server)


def make_organization(server: Server) -> Organization:
    name = uuid.uuid4().hex[:12]
    new = {"name": name, "email": f"ann@{name}.example"}
    made = server.call("POST", "/organizations", json_body=new).json
    of_organization = f"Organization {made['organizationSecret']}"
    ann = Person(server, f"User {made['userSecret']}, {of_organization}", email=new["email"])
    instance = {"element": {"key": "memory"}, "configuration": {"space": name}}
    ann.token = ann.done("POST", "/instances", instance)["token"]

    def person(first: str, role: str) -> tuple[Person, str]:
        user = ann.done(
            "POST", "/organizations/users", {"email": f"{first}@{name}.example", "role": role}
        )
        path = f"/organizations/users/{user['id']}/secrets"
        secret = ann.done("POST", path, {"name": "own"})["secret"]
        return Person(server, f"User {secret}, {of_organization}", ann.token, user["email"]), path

    otto, secrets_of_otto = person("otto", "operator")
    bea, _ = person("bea", "approver")
    key = {"name": "agent", "agent": True, "scopes": ["read", "plan", "load"]}
    secret = ann.done("POST", secrets_of_otto, key)["secret"]
    return Organization(ann, otto, bea, Person(server, f"User {secret}", ann.token))


def test_what_an_agent_plans_is_carried_out_once_a_person_has_approved_it(
    organization: Organization,
) -> None:
    agent, bea = organization.agent, organization.bea
    plan = agent.plan()
    job = agent.done("GET", f"/bulk/{plan['id']}")
    assert (job["byAgent"], job["approval"]["state"]) == (True, "waiting")
    approvers = [organization.ann.email, bea.email]
    assert job["approval"]["approvers"] == approvers
    refused = agent.apply(plan)
    assert refused.status == 409
    assert refused.json["message"] == (
        f"the plan of job {plan['id']} waits for an approval; {' or '.join(approvers)} may approve "
        f"it (POST /bulk/{plan['id']}/approvals)"
    )
    assert (agent.waiting(), bea.waiting()) == ([(plan["id"], False)], [(plan["id"], True)])
    approved = bea.decide(plan, note="as we agreed")
    assert approved.status == 200, approved.body
    assert (approved.json["decision"], approved.json["by"]) == ("approved", bea.email)
    shown = agent.done("GET", f"/bulk/{plan['id']}")["approval"]
    assert (shown["state"], shown["by"], shown["note"]) == ("approved", bea.email, "as we agreed")
    assert (bea.waiting(), bea.waiting("approved")) == ([], [(plan["id"], True)])
    assert agent.apply(plan).status == 200
    assert agent.finished(plan["id"])["outcomes"]["created"] == 3
    kept = bea.done("GET", f"/bulk/{plan['id']}/approvals")
    assert "approval" not in kept
    (decision,) = kept["decisions"]
    assert decision["usedDate"] >= decision["createdDate"]
    assert agent.names() == ["Ann", "Bob", "Cara"]


def test_an_agent_writes_by_plan_alone(organization: Organization) -> None:
    """Whatever the way: each is refused with what to do, and nothing is written."""
    agent, ann = organization.agent, organization.ann
    job_id = ann.upload(query="").json["id"]
    ann.finished(job_id)
    before = ann.done("GET", "/records")
    copy = {
        "objectName": "records",
        "targetConfiguration": {"token": ann.token, "objectName": "records"},
    }
    schedule = ann.done("POST", "/jobs", {**NOON, "uri": "/bulk/workflows", "body": copy})
    refusals = [
        agent.upload(b"id,name\n1,Eve\n", query=""),
        agent.call("POST", f"/bulk/{job_id}/undo"),
        agent.call("POST", "/records", {"name": "Eve"}),
        *(agent.call(method, "/records/1", {"name": "Eve"}) for method in ("PATCH", "PUT")),
        agent.call("DELETE", "/records/1"),
        agent.call("POST", "/bulk/workflows", copy),
        agent.call("POST", "/jobs", {**NOON, "uri": "/bulk/workflows", "body": copy}),
        agent.call("PUT", f"/jobs/{schedule['id']}/enable"),
        agent.call("PATCH", f"/jobs/{schedule['id']}/reschedule", NOON),
    ]
    assert [reply.status for reply in refusals] == [403] * len(refusals)
    assert {reply.json["message"] for reply in refusals} == {
        "what agents write is approved by a person, and this key is one of an agent: send the "
        "records as a file with POST /bulk/{object}?plan=true (a retry and an undo take plan=true, "
        "too); once somebody has approved the plan, PUT /bulk/{id}/apply carries it out"
    }
    assert ann.done("GET", "/records") == before
    reads = {**NOON, "uri": "/bulk/query", "query": {"q": "select * from records"}}
    assert agent.call("POST", "/jobs", reads).status == 200, "this one writes nothing"
    assert ann.call("PATCH", "/records/1", {"name": "Eve"}).status == 200, "a person may"


def test_retries_and_undos_are_planned_and_approved_like_uploads(
    organization: Organization,
) -> None:
    agent, bea = organization.agent, organization.bea
    plan = agent.plan(b"id,name,fail\n1,Ann,\n2,Bob,no room\n")
    assert bea.decide(plan).status == 200
    assert agent.apply(plan).status == 200
    agent.finished(plan["id"])
    job = f"/bulk/{plan['id']}"
    assert agent.done("POST", f"{job}/rows/mend", {"rows": [2], "column": "fail", "set": None})
    assert agent.call("POST", f"{job}/retry").status == 403
    retry = agent.plan_of(agent.done("POST", f"{job}/retry?plan=true")["id"])
    assert (agent.apply(retry).status, bea.decide(retry).status) == (409, 200)
    assert agent.apply(retry).status == 200
    assert agent.finished(retry["id"])["outcomes"]["created"] == 1
    undo = agent.plan_of(agent.done("POST", f"{job}/undo?plan=true")["id"])
    assert (agent.apply(undo).status, bea.decide(undo).status) == (409, 200)
    assert agent.apply(undo, first=1).status == 400
    assert agent.apply(undo).status == 200
    assert agent.finished(undo["id"])["outcomes"]["reversed"] == 1
    assert agent.names() == ["Bob"]


def test_where_everyone_needs_an_approval_nobody_approves_their_own(
    organization: Organization,
) -> None:
    """Not even what an agent with a key of theirs has planned."""
    ann, bea, otto = organization.ann, organization.bea, organization.otto
    assert organization.wants("everyone").json["approvals"] == "everyone"
    plan = ann.plan()
    own = ann.decide(plan)
    assert (own.status, own.json["message"]) == (
        403,
        f"the plan of job {plan['id']} is your own; {bea.email} may approve it",
    )
    assert otto.decide(plan).status == 403, "an operator approves nothing"
    assert (ann.waiting(), bea.waiting()) == ([(plan["id"], False)], [(plan["id"], True)])
    written = ann.call("POST", "/records", {"name": "Eve"})
    assert written.status == 403
    assert written.json["message"].startswith(
        "your organization has everything approved that is written: send the records as a file"
    )
    assert ann.upload(query="").status == 403
    assert (ann.apply(plan).status, bea.decide(plan).status) == (409, 200)
    twice = organization.bea.decide(plan)
    assert (twice.status, f"{bea.email} has approved" in twice.json["message"]) == (409, True)
    assert ann.apply(plan, drifted="overwrite").status == 409, "that was not approved"
    assert ann.apply(plan).status == 200
    assert ann.finished(plan["id"])["outcomes"]["created"] == 3
    path = "/organizations/users/me/secrets"
    key = {"name": "hers", "agent": True, "scopes": ["plan", "read"]}
    of_bea = Person(bea.server, f"User {bea.done('POST', path, key)['secret']}", bea.token)
    hers = of_bea.plan(b"id,name\n9,Zoe\n")
    assert bea.decide(hers).status == 403
    assert organization.wants("agents").status == 200
    assert of_bea.decide(hers).status == 403, "no agent approves"
    assert bea.decide(hers).status == 200, "a person who has looked at it"


def test_a_plan_is_refused_with_a_reason_and_the_refusal_can_be_withdrawn(
    organization: Organization,
) -> None:
    ann, agent, bea = organization.ann, organization.agent, organization.bea
    plan = agent.plan()
    missing = bea.decide(plan, decision="refuse")
    assert (missing.status, "body.note is missing" in missing.json["message"]) == (400, True)
    refused = bea.decide(plan, decision="refuse", note="Cara has left")
    assert refused.status == 200
    assert bea.waiting("refused") == [(plan["id"], True)]
    reply = agent.apply(plan)
    assert (reply.status, reply.json["message"]) == (
        409,
        f"{bea.email} has refused the plan of job {plan['id']}: Cara has left; plan the file again "
        "as it should be",
    )
    assert ann.decide(plan).status == 409
    path = f"/bulk/{plan['id']}/approvals/{refused.json['id']}"
    assert agent.call("DELETE", path).status == 403
    assert ann.call("DELETE", path.replace(str(refused.json["id"]), "999999")).status == 404
    assert "withdrawnDate" in ann.done("DELETE", path)
    assert ann.decide(plan).status == 200
    assert agent.apply(plan).status == 200
    late = ann.call("DELETE", path)
    assert late.status == 409


def test_an_approval_holds_for_the_rest_of_its_plan_until_it_is_withdrawn(
    organization: Organization,
) -> None:
    agent, bea = organization.agent, organization.bea
    plan = agent.plan()
    approved = bea.decide(plan).json
    for first in (1, 2):
        assert agent.apply(plan, first=first).status == 200
        job = agent.finished(plan["id"])
        assert (job["outcomes"]["created"], job["approval"]["state"]) == (first, "approved")
    bea.done("DELETE", f"/bulk/{plan['id']}/approvals/{approved['id']}")
    assert agent.apply(plan).status == 409
    assert agent.names() == ["Ann", "Bob"]


def test_a_decision_that_cannot_be_is_refused_and_says_why(
    organization: Organization, processes: Processes
) -> None:
    agent, bea = organization.agent, organization.bea
    plan = agent.plan()
    for wrong, status, says in (
        ({"plan": "f00"}, 409, "the digest is not that of the plan"),
        ({"plan": ""}, 400, "plan"),
        ({"plan": plan["digest"], "decision": "maybe"}, 400, "decision"),
        ({"plan": plan["digest"], "note": "x" * 1_001}, 400, "note"),
    ):
        reply = bea.call("POST", f"/bulk/{plan['id']}/approvals", wrong)
        assert (reply.status, says in reply.json["message"]) == (status, True), reply.body
    written = organization.otto.upload(query="").json["id"]
    organization.otto.finished(written)
    assert bea.decide({"id": written, "digest": "f00"}).status == 404
    stranger = make_organization(bea.server).bea
    assert stranger.decide(plan).status == 404
    assert stranger.waiting() == []
    quick = make_organization(processes.server(OPENBULK_KEEP_PLANS_HOURS="0.000001"))
    expired = quick.agent.plan()
    reply = quick.bea.decide(expired)
    assert (reply.status, "expired at" in reply.json["message"]) == (409, True)
    assert quick.bea.waiting() == []


def test_keys_of_agents_plan_and_load_and_do_no_more(organization: Organization) -> None:
    ann = organization.ann
    path = "/organizations/users/me/secrets"
    for body, says in (
        ({"name": "x", "agent": True}, "body.scopes is missing"),
        ({"name": "x", "agent": True, "scopes": ["administer"]}, "can be for read, plan, load"),
        ({"name": "x", "agent": True, "scopes": ["instances"]}, "can be for read, plan, load"),
    ):
        reply = ann.call("POST", path, body)
        assert (reply.status, says in reply.json["message"]) == (400, True), reply.body
    key = ann.done("POST", path, {"name": "x", "agent": True, "scopes": ["load"]})
    again = ann.done("POST", f"{path}/{key['id']}/rotate", {})
    assert (key["agent"], again["agent"]) == (True, True), "and stay those of agents"


def test_an_organization_has_no_schedule_that_writes_unapproved(
    organization: Organization,
) -> None:
    ann = organization.ann
    copy = {
        "objectName": "records",
        "targetConfiguration": {"token": ann.token, "objectName": "records"},
    }
    schedule = {**NOON, "uri": "/bulk/workflows", "body": copy}
    made = ann.done("POST", "/jobs", schedule)
    refused = organization.wants("everyone")
    assert refused.status == 409
    assert f"the schedule {made['id']} writes what nobody" in refused.json["message"]
    ann.done("PUT", f"/jobs/{made['id']}/disable")
    assert organization.wants("everyone").status == 200
    for reply in (
        ann.call("POST", "/jobs", schedule),
        ann.call("PUT", f"/jobs/{made['id']}/enable"),
        ann.call("POST", "/bulk/workflows", copy),
    ):
        assert reply.status == 403
    assert organization.wants("sometimes").status == 400
