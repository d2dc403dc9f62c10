"""Each error in the OpenAPI document happens here, and its message says what would be right.

The table below has to be as complete as the document: a new operation or error needs a new line.
"""

import json
import re
import socket
import socketserver
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from support.harness import BASE_PATH, Processes, Reply, Server, multipart, request, until
from support.postgres import Postgres

HUB = "/hubs/{hub}"
LARGE = b'"' + b"x" * (1024 * 1024) + b'"'
NOBODY = {
    "element": {"key": "eloqua"},
    "configuration": {"base.url": "http://127.0.0.1:1", "username": "A\\b", "password": "c"},
}
KEY = {"Idempotency-Key": "band"}
MADE = "an instance of a database that is gone"
CHANGE = {"configuration": {"event.vendor.type": "x"}}
DROPPED, DOWN = "the database refuses: ", "the database cannot be reached, or is busy"


@dataclass(frozen=True)
class Case:
    """One request that cannot be done."""

    operation: str
    status: int
    says: str
    """What its message has to say."""
    path: str = ""
    """Where it differs from the operation's."""
    who: str = "memory"
    """The instance on whose behalf it is made; see `callers`."""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """JSON, or the bytes of a form and its content type, or `MADE`."""

    @property
    def id(self) -> str:
        return f"{self.operation.replace(' ', '')}-{self.status}"


NUMBER = "it must be a whole number of at least"
OBJECTS = "the objects are: records, log"
ELEMENT = "there is no element 'circus'; the elements are: "


def cases() -> Iterator[Case]:
    """At least one request for each error of each operation."""
    yield from cases_of_objects()
    yield from cases_of_jobs()
    yield from cases_of_files()
    yield from cases_of_sign_ins()
    yield from cases_of_people()
    yield from cases_of_instances()
    yield from cases_of_own_instances()
    yield from cases_of_schedules()
    yield from cases_of_elements()
    yield from cases_of_custom_elements()
    yield from cases_of_own_names()
    yield from cases_of_records()


def cases_of_objects() -> Iterator[Case]:
    yield Case("GET /objects", 403, DROPPED, who="dropped")
    yield Case("GET /objects", 502, DOWN, who="down")
    yield Case("GET /objects/{object}/metadata", 404, OBJECTS, "/objects/circus/metadata")
    only_custom = "/objects/records/metadata?customFieldsOnly=7"
    yield Case("GET /objects/{object}/metadata", 400, "it must be true or false", only_custom)
    yield Case("GET /ping", 403, DROPPED, who="dropped")
    yield Case("GET /ping", 502, DOWN, who="down")
    yield Case(
        "GET /objects/{object}/metadata", 403, DROPPED, "/objects/things/metadata", "dropped"
    )
    yield Case("GET /objects/{object}/metadata", 502, DOWN, "/objects/things/metadata", "down")


def cases_of_files() -> Iterator[Case]:
    missing = "there is no file '99'; GET /files lists those that there are"
    other = multipart(b"name\nBob\n", {})
    yield Case("POST /files", 400, "metaData takes no key 'action'", body=ACTION_OF_A_FILE)
    yield Case("POST /files", 409, "use a new key", body=other, headers=KEY)
    large = multipart(b"name\n" + b"Ann\n" * 300_000, {})
    yield Case("POST /files", 413, "split it and upload the pieces", body=large)
    yield Case("GET /files", 400, NUMBER, "/files?pageSize=0")
    yield Case("GET /files/{file_id}", 404, missing, "/files/99")
    change, delimiter = "PATCH /files/{file_id}", {"metaData": {"delimiter": "comma"}}
    yield Case(change, 404, missing, "/files/99", body=delimiter)
    sheet = {"metaData": {"sheet": "Plan"}}
    yield Case(change, 400, "metaData.sheet has no effect on a file in csv", "/files/1", body=sheet)
    yield Case("GET /files/{file_id}/rows", 400, NUMBER, "/files/1/rows?from=0")
    yield Case("GET /files/{file_id}/rows", 404, missing, "/files/99/rows")
    yield Case("DELETE /files/{file_id}", 404, missing, "/files/99")
    yield Case("DELETE /files/{file_id}", 409, "an unfinished job uses file 2", "/files/2", "busy")
    yield Case("POST /bulk/{object}", 404, missing, "/bulk/records", body={"fileId": "99"})


ACTION_OF_A_FILE = multipart(b"name\nBob\n", {"metaData": '{"action": "create"}'})


def cases_of_jobs() -> Iterator[Case]:
    job = "there is no bulk job '99'"
    yield Case("POST /bulk/{object}", 400, "curl -F file=@sample.csv", "/bulk/records", body={})
    yield Case(
        "POST /bulk/{object}",
        409,
        "use a new key",
        "/bulk/records",
        body=multipart(b"name\nBob\n", {}),
        headers=KEY,
    )
    large = multipart(b"name\n" + b"Ann\n" * 300_000, {})
    yield Case(
        "POST /bulk/{object}", 413, "split it and upload the pieces", "/bulk/records", body=large
    )
    for operation, before, allowed in (
        ("POST /bulk/query", {"query": "select * from records"}, {"query": "select * from things"}),
        ("POST /bulk/download", {"objectName": "records"}, {"objectName": "things"}),
    ):
        yield Case(operation, 400, "it looks like", body={"objectName": ""})
        yield Case(operation, 403, DROPPED, who="dropped", body=allowed)
        yield Case(
            operation,
            404,
            "this instance has no bulk job 99",
            body={**before, "continueFromJobId": 99},
        )
        yield Case(
            operation,
            409,
            "continue it once it is finished",
            who="busy",
            body={"continueFromJobId": 3},
        )
        yield Case(operation, 502, DOWN, who="down", body=allowed)
    yield Case("GET /bulk/jobs", 400, NUMBER, "/bulk/jobs?pageSize=x")
    for what in ("", "/status", "/errors", "/errors/groups"):
        yield Case(f"GET /bulk/{{job_id}}{what}", 404, job, f"/bulk/99{what}")
    for what in ("", "/rows", "/calendar"):
        yield Case(f"GET /bulk/{{job_id}}/plan{what}", 404, job, f"/bulk/99/plan{what}")
    yield Case(
        "GET /bulk/{job_id}/plan/rows",
        400,
        "it can be created, updated",
        "/bulk/1/plan/rows?kind=x",
    )
    yield Case(
        "GET /bulk/{job_id}/plan/calendar",
        400,
        "it must be a date, like 2026-05-30",
        "/bulk/{planned}/plan/calendar?from=soon",
    )
    apply, of_plan = "PUT /bulk/{job_id}/apply", {"plan": "f00"}
    yield Case(apply, 400, "plan", "/bulk/{planned}/apply", body={})
    yield Case(apply, 404, "job 1 has no plan", "/bulk/1/apply", body=of_plan)
    yield Case(apply, 409, "send the digest that it has", "/bulk/{planned}/apply", body=of_plan)
    yield from cases_of_approvals(job)
    verify = "POST /bulk/{job_id}/verify"
    yield Case(verify, 400, "job 2 is a download", "/bulk/2/verify")
    yield Case(verify, 404, job, "/bulk/99/verify")
    yield Case(verify, 409, "verify it once it is finished", "/bulk/4/verify", "busy")
    of_verification = "GET /bulk/{job_id}/verification"
    yield Case(of_verification, 404, "job 1 verifies no other", "/bulk/1/verification")
    of_verification += "/rows"
    yield Case(of_verification, 404, job, "/bulk/99/verification/rows")
    yield Case(of_verification, 400, "it can be confirmed", "/bulk/1/verification/rows?kind=x")
    yield Case("GET /bulk/{job_id}/status/events", 404, job, "/bulk/99/status/events")
    for what in ("/errors", "/errors/groups"):
        yield Case(f"GET /bulk/{{job_id}}{what}", 400, NUMBER, f"/bulk/1{what}?nextPage=x")
    no_group = "job 1 has no errors of the group 'x'; /bulk/1/errors/groups lists the groups"
    yield Case("GET /bulk/{job_id}/errors", 400, no_group, "/bulk/1/errors?group=x")
    yield Case("PUT /bulk/{job_id}/cancel", 404, job, "/bulk/99/cancel")
    yield from cases_of_rows(job)
    for what in ("pause", "resume"):
        yield Case(f"PUT /bulk/{{job_id}}/{what}", 404, job, f"/bulk/99/{what}")
    controls = {"priority": 1}
    operation = "PATCH /bulk/{job_id}"
    yield Case(operation, 400, "nothing to change; send", "/bulk/1", body={})
    yield Case(operation, 404, job, "/bulk/99", body=controls)
    yield Case("DELETE /bulk/{job_id}", 404, job, "/bulk/99")
    yield Case("DELETE /bulk/{job_id}", 409, "cancel it first", "/bulk/3", "busy")
    for what in ("", "/data"):
        operation = f"GET /bulk/{{job_id}}/{{object}}{what}"
        yield Case(
            operation,
            400,
            "/bulk/1/errors lists its failed records",
            f"/bulk/1/records{what}",
        )
        yield Case(operation, 404, job, f"/bulk/99/records{what}")
        yield Case(operation, 409, "ended as CANCELLED", f"/bulk/2/records{what}")


def cases_of_approvals(job: str) -> Iterator[Case]:
    decide, of_plan = "POST /bulk/{job_id}/approvals", {"plan": "f00"}
    no_plan = "job 1 has no plan"
    refusal = {"plan": "f00", "decision": "refuse"}
    yield Case(decide, 400, "body.note is missing", "/bulk/{planned}/approvals", body=refusal)
    yield Case(decide, 404, no_plan, "/bulk/1/approvals", body=of_plan)
    yield Case(decide, 404, job, "/bulk/99/approvals", body=of_plan)
    digest = "send the digest that it has"
    yield Case(decide, 409, digest, "/bulk/{planned}/approvals", body=of_plan)
    yield Case("GET /bulk/{job_id}/approvals", 404, no_plan, "/bulk/1/approvals")
    withdraw = "DELETE /bulk/{job_id}/approvals/{approval_id}"
    missing = "there is no decision 99 about the plan of job"
    yield Case(withdraw, 404, missing, "/bulk/{planned}/approvals/99")
    yield Case(withdraw, 404, no_plan, "/bulk/1/approvals/99")
    waiting = "state is 'x'; it can be waiting, approved, refused"
    yield Case("GET /approvals", 400, waiting, "/approvals?state=x")


def cases_of_rows(job: str) -> Iterator[Case]:
    """Job 1 has one row, which was written."""
    get, patch = "GET /bulk/{job_id}/rows/{row}", "PATCH /bulk/{job_id}/rows/{row}"
    mend, retry = "POST /bulk/{job_id}/rows/mend", "POST /bulk/{job_id}/retry"
    results = "GET /bulk/{job_id}/results"
    yield Case(results, 400, "it can be csv, xlsx, jsonl", "/bulk/1/results?format=pdf")
    yield Case(results, 400, "it can be created, updated", "/bulk/1/results?kind=lost")
    yield Case(results, 400, "guard is for csv", "/bulk/1/results?format=jsonl&guard=true")
    yield Case(results, 404, job, "/bulk/99/results")
    yield Case(results, 409, "ended as CANCELLED", "/bulk/2/results")
    listed = "GET /bulk/{job_id}/rows"
    yield Case(listed, 400, "it can be created, updated", "/bulk/1/rows?kind=lost")
    yield Case(listed, 400, "search", f"/bulk/1/rows?search={'x' * 201}")
    yield Case(listed, 404, job, "/bulk/99/rows")
    yield Case(listed, 409, "ended as CANCELLED", "/bulk/2/rows")
    for method in ("GET", "POST"):
        sent = f"{method} /bulk/{{job_id}}/status/callback"
        yield Case(sent, 404, "has no callback", "/bulk/1/status/callback")
        yield Case(sent, 404, job, "/bulk/99/status/callback")
    yield Case(
        "POST /bulk/{job_id}/status/callback",
        409,
        "is being sent: attempt",
        "/bulk/{announced}/status/callback",
    )
    written = "row 1 of job 1 was written"
    values: Any = {"values": {"name": "Bob"}}
    no_upload = "only uploads have rows"
    yield Case(get, 400, NUMBER, "/bulk/1/rows/0")
    yield Case(get, 404, "the last one is 1", "/bulk/1/rows/2")
    yield Case(patch, 400, no_upload, "/bulk/2/rows/1", body=values)
    yield Case(patch, 404, "the last one is 1", "/bulk/1/rows/2", body=values)
    yield Case(patch, 409, written, "/bulk/1/rows/1", body=values)
    column: Any = {"rows": [1], "column": "name", "set": "Bob"}
    for body, says in (
        ({**column, "rows": [2]}, "job 1 has no row 2"),
        ({**column, "rows": None}, 'send "group"'),
        ({**column, "values": {"a": "b"}}, 'send one of "set"'),
        ({**column, "column": "nmae"}, "did you mean 'name'?"),
        ({"group": "x", "column": "name", "set": 1}, "has no errors of the group 'x'"),
    ):
        yield Case(mend, 400, says, "/bulk/1/rows/mend", body=body)
    yield Case(mend, 404, job, "/bulk/99/rows/mend", body=column)
    yield Case(retry, 400, "what can be retried is failed", "/bulk/1/retry", body={"kind": ["x"]})
    yield Case(retry, 400, "it looks like", "/bulk/1/retry", body={"kinds": ["failed"]})
    yield Case(retry, 404, job, "/bulk/99/retry")
    yield Case(retry, 409, "has no such rows to retry", "/bulk/1/retry")
    undo = "POST /bulk/{job_id}/undo"
    yield Case(undo, 400, "it can be leave or overwrite", "/bulk/1/undo", body={"kept": "x"})
    yield Case(undo, 400, "it looks like", "/bulk/1/undo", body={"row": [1]})
    yield Case(undo, 400, "a list of row numbers", "/bulk/1/undo", body={"rows": [0]})
    yield Case(undo, 400, "job 1 has no such row", "/bulk/1/undo", body={"rows": [2]})
    yield Case(undo, 404, job, "/bulk/99/undo")
    yield Case(undo, 409, "is a download", "/bulk/2/undo")


def cases_of_sign_ins() -> Iterator[Case]:
    yield Case("POST /authentication", 400, "body.username is missing", body={})
    yield Case("POST /authentication/code", 400, "body.token is missing", body={})
    yield Case("POST /authentication/confirm", 400, "body.password", body={"password": 1})
    alone = "this call has no session"
    yield Case("POST /authentication/confirm", 409, alone, body={"password": "x"})
    yield Case("DELETE /authentication", 409, alone)
    begin, finish = "POST /authentication/oidc", "POST /authentication/oidc/code"
    who: Any = {"organization": "Organization 1", "redirectUri": "https://openbulk.example/back"}
    yield Case(begin, 400, "body.organization is missing", body={})
    nobody = "no organization of this name signs in with a provider"
    yield Case(begin, 404, nobody, body={**who, "organization": "Circus"})
    yield Case(begin, 502, "does not answer", body=who)
    yield Case(finish, 400, "body.token is missing", body={})
    look, use = "POST /authentication/links/look", "POST /authentication/links/use"
    code: Any = {"code": "x", "password": "correct horse battery"}
    yield Case(look, 400, "body.code is missing", body={})
    yield Case(look, 404, "this link does not hold", body={"code": "x"})
    yield Case(use, 400, "body.password is missing", body={"code": "x"})
    yield Case(use, 404, "this link does not hold", body=code)


def cases_of_people() -> Iterator[Case]:
    """Organization 1 with its first user."""
    every, one = "/organizations/users", "/organizations/users/{user_id}"
    taken: Any = {"email": "admin@localhost"}
    yield Case(f"POST {every}", 400, "body.email is missing", body={})
    yield Case(f"POST {every}", 400, "write it like ann@example.com", body={"email": "x"})
    yield Case(f"POST {every}", 409, "there is a user 'admin@localhost' already", body=taken)
    nobody = "there is no user '99'; GET /organizations/users lists them"
    yield Case(f"GET {one}", 404, nobody, f"{every}/99")
    yield Case(f"PATCH {one}", 400, "body.role", f"{every}/1", body={"role": "king"})
    yield Case(f"PATCH {one}", 404, nobody, f"{every}/99", body={})
    yield Case(f"PATCH {one}", 409, "this is yourself", f"{every}/1", body={"active": False})
    yield Case("POST /organizations", 400, "body.name is missing", body={})
    name: Any = {"name": "Organization 1", "email": "x@example.com"}
    yield Case("POST /organizations", 409, "there is an organization", body=name)
    organization = "PATCH /organizations/{organization_id}"
    yield Case(organization, 400, "body.name", "/organizations/1", body={"name": ""})
    yield Case(organization, 404, "no organization '99'", "/organizations/99", body={})
    limits, nowhere = f"{organization}/limits", "/organizations/99/limits"
    yield Case(
        limits, 400, "body.jobs must be at least 1", "/organizations/1/limits", body={"jobs": 0}
    )
    yield Case(limits, 404, "no organization '99'", nowhere, body={})
    yield Case(limits.replace("PATCH", "GET"), 404, "no organization '99'", nowhere)
    yield Case("GET /audit", 400, "from is 'x'; write a date", "/audit?from=x")
    noted = "/audit/verification?number=1"
    yield Case("GET /audit/verification", 400, "number and hash belong together", noted)
    mine: Any = {"active": False}
    yield Case(organization, 409, "lock yourself out", "/organizations/1", body=mine)
    yield from cases_of_providers()
    yield from cases_of_sessions()
    for place, at, secret in (
        ("/organizations/secrets", "/organizations/secrets", "1"),
        (f"{every}/me/secrets", f"{every}/me/secrets", "2"),
        (f"{one}/secrets", f"{every}/1/secrets", "2"),
    ):
        yield Case(f"POST {place}", 400, "body.name is missing", at, body={})
        missing, set_there = "there is no secret '99'", "change OPENBULK_USER_SECRET"
        yield Case(f"DELETE {place}/{{secret_id}}", 404, missing, f"{at}/99")
        yield Case(f"DELETE {place}/{{secret_id}}", 409, set_there, f"{at}/{secret}")
        rotate, path = f"POST {place}/{{secret_id}}/rotate", f"{at}/{secret}/rotate"
        yield Case(rotate, 400, "body.overlapHours", path, body={"overlapHours": -1})
        yield Case(rotate, 404, missing, f"{at}/99/rotate", body={})
        yield Case(rotate, 409, set_there, path, body={})
    for method, body in (("GET", None), ("POST", {"name": "x"})):
        yield Case(f"{method} {one}/secrets", 404, nobody, f"{every}/99/secrets", body=body)


def cases_of_providers() -> Iterator[Case]:
    """Organization 1 signs in with a provider that is down; organization 2 with none."""
    one, at, none = (f"/organizations/{n}/sign-in" for n in ("{organization_id}", "1", "{other}"))
    right: Any = {"issuer": "https://login.example.com", "clientId": "openbulk"}
    yield Case(f"GET {one}", 404, "has no provider", none)
    yield Case(f"PUT {one}", 400, "body.issuer is missing", at, body={})
    yield Case(f"PUT {one}", 404, "no organization '99'", "/organizations/99/sign-in", body=right)
    yield Case(f"DELETE {one}", 404, "has no provider", none)
    yield Case(f"POST {one}/check", 404, "has no provider", f"{none}/check")
    me, user = "/organizations/users/me/identity", "/organizations/users/{user_id}/identity"
    yield Case(f"PUT {me}", 400, "body.token is missing", body={})
    yield Case(f"DELETE {me}", 409, "you sign in at no provider")
    yield Case(f"DELETE {user}", 404, "no user '99'", "/organizations/users/99/identity")


def cases_of_sessions() -> Iterator[Case]:
    """The first user has neither a password nor an app."""
    me, one, nobody = "/organizations/users/me", "/organizations/users/{user_id}", "no user '99'"
    at = "/organizations/users/99"
    gone = f"DELETE {me}/sessions/{{session_id}}"
    yield Case(gone, 404, "there is no session '99' of yours", f"{me}/sessions/99")
    short: Any = {"newPassword": "short"}
    yield Case(f"PUT {me}/password", 400, "needs at least 12", body=short)
    yield Case(f"POST {me}/totp", 409, "needs a password beside it")
    yield Case(f"PUT {me}/totp", 400, "body.code is missing", body={})
    yield Case(f"PUT {me}/totp", 409, "begin with a new key", body={"code": "123456"})
    yield Case(f"DELETE {me}/totp", 409, "you have no authenticator app")
    for operation in ("GET {}/sessions", "DELETE {}/sessions", "DELETE {}/totp"):
        path = operation.partition("}")[2]
        yield Case(operation.format(one), 404, nobody, f"{at}{path}")
    yield Case(f"POST {one}/password-link", 404, nobody, f"{at}/password-link")
    every = "/organizations/invitations"
    yield Case(f"POST {every}", 400, "body.email is missing", body={})
    taken: Any = {"email": "admin@localhost"}
    yield Case(f"POST {every}", 409, "there is a user 'admin@localhost' already", body=taken)
    withdraw = f"DELETE {every}/{{invitation_id}}"
    yield Case(withdraw, 404, "there is no invitation '99'", f"{every}/99")


def cases_of_own_names() -> Iterator[Case]:
    """Definitions and transformations; those of the object `band` exist."""
    fields: Any = {"fields": [{"path": "title"}]}
    for level in ("/organizations", "/instances", "/instances/{instance_id}"):
        every, one = f"{level}/objects/definitions", f"{level}/objects/{{object_name}}/definitions"
        at = f"{level}/objects".replace("{instance_id}", "{memory}")
        yield Case(f"POST {one}", 400, "fields is missing", f"{at}/flute/definitions", body={})
        yield Case(f"POST {one}", 409, "PUT", f"{at}/band/definitions", body=fields)
        yield Case(f"PUT {one}", 400, "fields is missing", f"{at}/band/definitions", body={})
        for method, body in (("GET", None), ("PUT", fields), ("DELETE", None)):
            missing = "there is no definition 'flute'"
            yield Case(f"{method} {one}", 404, missing, f"{at}/flute/definitions", body=body)
        if level == "/organizations":
            yield Case(f"POST {every}", 400, "the body names no object", body={})
            yield Case(f"POST {every}", 409, "PUT", body={"band": fields})
    yield from cases_of_transformations()
    yield from cases_of_mappings()


def cases_of_mappings() -> Iterator[Case]:
    """Saved mappings; one for the object `records` is called `band`."""
    given: Any = {"name": "flute", "object": "things", "mapping": {"name": "Name"}}
    other = {**given, "name": "band", "object": "log"}
    yield Case("POST /mappings", 400, "name is missing", body={})
    yield Case("POST /mappings", 409, "there is a mapping 'band' for 'records'", body=other)
    for who, status, says in (("dropped", 403, DROPPED), ("down", 502, DOWN)):
        yield Case("POST /mappings", status, says, who=who, body=given)
    for method in ("GET", "DELETE"):
        missing = "there is no mapping '99'"
        yield Case(f"{method} /mappings/{{id}}", 404, missing, "/mappings/99")
    one = "GET /files/{file_id}/mapping"
    yield Case(one, 400, "object is missing", "/files/{own_file}/mapping")
    yield Case(one, 404, "there is no file '99'", "/files/99/mapping?object=records")
    for who, status, says in (("dropped", 403, DROPPED), ("down", 502, DOWN)):
        yield Case(one, status, says, "/files/{own_file}/mapping?object=things", who)


def cases_of_transformations() -> Iterator[Case]:
    given: Any = {"vendorName": "records", "fields": [{"path": "title", "vendorPath": "name"}]}
    of_table = {**given, "vendorName": "things"}
    for level in ("/instances", "/instances/{instance_id}"):
        every, one = f"{level}/transformations", f"{level}/transformations/{{object_name}}"
        at = every.replace("{instance_id}", "{memory}")
        for method in ("POST", "PUT"):
            yield Case(f"{method} {one}", 400, "vendorName is missing", f"{at}/band", body={})
            for who, status, says in (("dropped", 403, DROPPED), ("down", 502, DOWN)):
                path = every.replace("{instance_id}", f"{{{who}}}") + "/band"
                yield Case(f"{method} {one}", status, says, path, who, of_table)
        yield Case(f"POST {one}", 409, "PUT", f"{at}/band", body=given)
        for method, body in (("GET", None), ("PUT", given), ("DELETE", None)):
            missing = "there is no transformation 'flute'"
            yield Case(f"{method} {one}", 404, missing, f"{at}/flute", body=body)
    nobody, at = "there is no instance '99'", "/instances/99"
    for method in ("GET", "DELETE"):
        yield Case(
            f"{method} /instances/{{instance_id}}/transformations",
            404,
            nobody,
            f"{at}/transformations",
        )
    for what, body in (
        ("objects/{object_name}/definitions", {"fields": []}),
        ("transformations/{object_name}", given),
    ):
        path = f"{at}/{what.replace('{object_name}', 'band')}"
        yield Case(f"POST /instances/{{instance_id}}/{what}", 404, nobody, path, body=body)
    definitions = "objects/definitions"
    yield Case(f"GET /instances/{{instance_id}}/{definitions}", 404, nobody, f"{at}/{definitions}")


def cases_of_own_instances() -> Iterator[Case]:
    """The calls of instances for the calling one, and below an element."""
    own, entry = "/instances/configuration", "/instances/configuration/{name}"
    for method in ("GET", "PATCH"):
        value = {"propertyValue": "x"} if method == "PATCH" else None
        no_entry = "circus" if method == "PATCH" else "the entries are: space, keep"
        status = 400 if method == "PATCH" else 404
        yield Case(f"{method} {entry}", status, no_entry, f"{own}/circus", body=value)
    numbered = f"{own}/99"
    yield Case(
        f"PATCH {entry}", 404, "there is no entry '99'", numbered, body={"propertyValue": ""}
    )
    yield Case(f"PATCH {own}", 400, "body", body=[])
    for who, status, says in (("dropped", 403, DROPPED), ("busy", 502, "Eloqua is busy")):
        yield Case(f"PATCH {own}", status, says, who=who, body=CHANGE["configuration"])
        named = f"{own}/event.vendor.type"
        yield Case(f"PATCH {entry}", status, says, named, who, {"propertyValue": "x"})
    every, one = "/elements/{key}/instances", "/elements/{key}/instances/{instance_id}"
    yield Case(f"GET {every}", 400, NUMBER, "/elements/memory/instances?pageSize=0")
    yield Case(f"GET {every}", 404, ELEMENT, "/elements/circus/instances")
    for method in ("GET", "DELETE", "PUT", "PATCH"):
        body = CHANGE if method in ("PUT", "PATCH") else None
        other = "/elements/eloqua/instances/{memory}"
        yield Case(f"{method} {one}", 404, "is one of 'memory'", other, body=body)
        if body is None:
            continue
        yield Case(f"{method} {one}", 400, "body", "/elements/memory/instances/{memory}", body=[])
        for key, who, status, says in (
            ("postgresql", "dropped", 403, DROPPED),
            ("eloqua", "busy", 502, "Eloqua is busy"),
        ):
            path = f"/elements/{key}/instances/{{{who}}}"
            yield Case(f"{method} {one}", status, says, path, who, body)


def cases_of_instances() -> Iterator[Case]:
    instance = "there is no instance '99'"
    yield Case("POST /instances", 400, 'add "element": {"key": "memory"}', body={})
    yield Case("POST /instances", 404, ELEMENT, body={"element": {"key": "circus"}})
    for operation, path in (
        ("POST /instances", ""),
        ("POST /elements/{key}/instances", "/elements/{}/instances"),
    ):
        yield Case(operation, 403, DROPPED, path.format("postgresql"), "dropped", MADE)
        yield Case(operation, 502, "cannot be reached", path.format("eloqua"), body=NOBODY)
    yield Case("POST /elements/{key}/instances", 400, "body", "/elements/memory/instances", body=[])
    yield Case(
        "POST /elements/{key}/instances", 404, ELEMENT, "/elements/circus/instances", body={}
    )
    yield Case("GET /instances", 400, NUMBER, "/instances?pageSize=0")
    yield Case("GET /instances", 404, "no instance with these tags", "/instances?searchText=circus")
    for method in ("PUT", "DELETE"):
        yield Case(
            f"{method} /instances/{{instance_id}}/enabled", 404, instance, "/instances/99/enabled"
        )
    for method in ("GET", "DELETE"):
        yield Case(f"{method} /instances/{{instance_id}}", 404, instance, "/instances/99")
    yield Case("POST /instances/{instance_id}/token", 404, instance, "/instances/99/token")
    yield Case(
        "GET /instances/{instance_id}/configuration", 404, instance, "/instances/99/configuration"
    )
    entry = "/instances/{instance_id}/configuration/{name}"
    yield Case(
        f"GET {entry}", 404, "the entries are: space, keep", "/instances/1/configuration/circus"
    )
    for operation, path, change in (
        ("PUT /instances", "", CHANGE),
        ("PATCH /instances", "", CHANGE),
        ("PUT /instances/{instance_id}", "/instances/{}", CHANGE),
        ("PATCH /instances/{instance_id}", "/instances/{}", CHANGE),
        (
            "PATCH /instances/{instance_id}/configuration",
            "/instances/{}/configuration",
            CHANGE["configuration"],
        ),
        (f"PATCH {entry}", "/instances/{}/configuration/event.vendor.type", {"propertyValue": "x"}),
    ):
        yield Case(operation, 400, "body", path.format(1), body=[])
        yield Case(operation, 403, DROPPED, path.format("{dropped}"), "dropped", change)
        yield Case(operation, 502, "Eloqua is busy", path.format("{busy}"), "busy", change)
        if path:
            yield Case(operation, 404, instance, path.format(99), body=change)
    for method in ("GET", "POST"):
        operation = f"{method} /elements/{{key}}/oauth/url"
        body: Any = {} if method == "POST" else None
        missing = "apiKey and callbackUrl missing; a sign-in URL needs both"
        yield Case(operation, 400, missing, "/elements/googlecalendar/oauth/url", body=body)
        yield Case(operation, 404, ELEMENT, "/elements/circus/oauth/url", body=body)


def cases_of_schedules() -> Iterator[Case]:
    yield Case(
        "POST /bulk/workflows",
        400,
        "targetConfiguration is missing",
        body=[{"query": "select * from records"}],
    )
    carried = [
        {
            "query": "select * from things",
            "targetConfiguration": {"token": "{token}", "objectName": "records"},
        }
    ]
    yield Case("POST /bulk/workflows", 403, DROPPED, who="dropped", body=carried)
    yield Case("POST /bulk/workflows", 502, DOWN, who="down", body=carried)
    yield Case("GET /bulkloader", 400, NUMBER, "/bulkloader?page=0")
    noon = {
        "uri": "/bulk/query",
        "query": {"q": "select * from things"},
        "trigger": {"cron": "0 0 12 ? * *"},
    }
    yield Case(
        "POST /jobs",
        400,
        "'/circus' cannot be scheduled; these can: ",
        body={**noon, "uri": "/circus"},
    )
    yield Case("GET /jobs", 400, "is not a token of this list", "/jobs?nextPage=x")
    yield Case("POST /jobs", 403, DROPPED, who="dropped", body=noon)
    yield Case("POST /jobs", 404, "there is no instance 99", body={**noon, "instanceId": 99})
    yield Case("POST /jobs", 502, DOWN, who="down", body=noon)
    yield Case("GET /jobs/executions", 400, NUMBER, "/jobs/executions?pageSize=x")
    schedule, one = "/bulk/99/status", "/jobs/{schedule_id}"
    for method, what in (
        *(
            ("GET", ""),
            ("DELETE", ""),
            ("PUT", "/enable"),
            ("PUT", "/disable"),
            ("PATCH", "/reschedule"),
        ),
        ("GET", "/history"),
    ):
        body = {"cron": "0 0 12 ? * *"} if method == "PATCH" else None
        yield Case(f"{method} {one}{what}", 404, schedule, f"/jobs/99{what}", body=body)
    yield Case(
        f"PATCH {one}/reschedule", 400, "it looks like", "/jobs/{schedule}/reschedule", body={}
    )
    yield Case(f"GET {one}/history", 400, NUMBER, "/jobs/{schedule}/history?pageSize=x")
    yield Case(f"PUT {one}/enable", 400, "is never due", "/jobs/{over}/enable")


def cases_of_elements() -> Iterator[Case]:
    yield Case("GET /hubs", 400, "it must be true or false", "/hubs?hydrate=7")
    yield Case("GET /hubs/{hub}", 404, "there is no hub 'circus'; the hubs are: ", "/hubs/circus")
    yield Case(
        "GET /hubs/{hub}/elements",
        404,
        "there is no hub 'circus'; the hubs are: ",
        "/hubs/circus/elements",
    )
    for what in ("", "/metadata"):
        yield Case(f"GET /elements/{{key}}{what}", 404, ELEMENT, f"/elements/circus{what}")


def cases_of_custom_elements() -> Iterator[Case]:
    yield Case("POST /elements", 400, "is not a JSON object", body=[])
    yield Case("POST /elements", 409, "choose another key", body={"key": "memory"})
    one = "/elements/{key}"
    yield Case(f"PUT {one}", 400, "is not a JSON object", "/elements/circus", body=[])
    for method, what in (("PUT", ""), ("DELETE", ""), ("GET", "/export")):
        body: Any = {} if method == "PUT" else None
        operation = f"{method} {one}{what}"
        yield Case(operation, 404, ELEMENT, f"/elements/circus{what}", body=body)
        yield Case(operation, 409, "openbulk's own", f"/elements/memory{what}", body=body)


def cases_of_records() -> Iterator[Case]:
    yield Case("GET /{path}", 400, NUMBER, "/records?pageSize=x")
    yield Case("POST /{path}", 400, "no Bobs here", "/records", body={"fail": "no Bobs here"})
    for method in ("PATCH", "PUT", "DELETE"):
        body = None if method == "DELETE" else {"fail": "no Bobs here"}
        who, path = ("sql", "/things/1") if method == "DELETE" else ("memory", "/records/{ann}")
        says = "still refer to this row" if method == "DELETE" else "no Bobs here"
        yield Case(f"{method} /{{path}}", 400, says, path, who, body)
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("PATCH", "/1"),
        ("PUT", "/1"),
        ("DELETE", "/1"),
    ):
        body = None if method in ("GET", "DELETE") else {"name": "x"}
        yield Case(f"{method} /{{path}}", 403, DROPPED, f"/things{path}", "dropped", body)
        yield Case(f"{method} /{{path}}", 404, OBJECTS, f"/circus{path}", body=body)
        yield Case(f"{method} /{{path}}", 502, "Eloqua is busy", f"/campaign{path}", "busy", body)


class Service:
    """A service that signs everybody in, until it is busy."""

    def __init__(self) -> None:
        self.status = 200
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(service.status)
                self.send_header("Retry-After", "60")
                self.end_headers()
                self.wfile.write(json.dumps({"urls": {"base": service.url}}).encode())

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Way:
    """A way to a database, which can be closed."""

    def __init__(self, port: int) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as other:
                    back = Thread(target=_pump, args=(other, self.request), daemon=True)
                    back.start()
                    _pump(self.request, other)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@dataclass
class Callers:
    """Instances, named for what is wrong with them."""

    servers: dict[str, Server]
    places: dict[str, str]
    """What stands in paths in braces."""
    dropped: dict[str, str]
    """The configuration of an instance whose database is gone."""

    @property
    def url(self) -> str:
        return self.servers["memory"].process.url

    @property
    def secrets(self) -> dict[str, str]:
        return {"Authorization": self.servers["memory"].authorization}

    def send(self, case: Case, prefix: str) -> Reply:
        method, _, path = case.operation.partition(" ")
        path = re.sub(r"\{(\w+)\}", lambda name: self.places[name[1]], case.path or path)
        body = (
            {"element": {"key": "postgresql"}, "configuration": self.dropped}
            if case.body == MADE
            else case.body
        )
        if isinstance(body, tuple):
            data, kind = body
            return self.servers[case.who].call(
                method, prefix + path, body=data, headers={**case.headers, "Content-Type": kind}
            )
        body = json.loads(json.dumps(body).replace("{token}", self.places["token"]))
        return self.servers[case.who].call(method, prefix + path, json_body=body)


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Callers]:
    """Job 1 is an upload, job 2 a cancelled download, and jobs 3 and 4 wait for their service.

    Job 4 uses file 2.
    """
    folder = tmp_path_factory.mktemp("problems")
    service, way = Service(), Way(postgres.port)
    with closing(sqlite3.connect(folder / "things.db")) as database:
        database.executescript(
            "create table things (id integer primary key, part_of integer references things (id));"
            "insert into things values (1, null), (2, 1);"
        )
    name = postgres.new_database("CREATE TABLE things (id bigint PRIMARY KEY)")
    configuration = postgres.configuration(name)
    with Processes(folder) as processes:
        server = processes.server(
            OPENBULK_MAX_UPLOAD_BYTES="1000000",
            OPENBULK_SQLITE_FOLDER=str(folder),
            OPENBULK_COMPATIBILITY="live",  # a complete job can be cancelled
        )
        eloqua = {"base.url": service.url, "username": "Acme\\admin", "password": "secret"}
        made = {
            "memory": server.instance("memory"),
            "sql": server.instance("sqlite", {"db.file": "things.db"}),
            "busy": server.instance("eloqua", eloqua),
            "dropped": server.instance("postgresql", configuration),
            "down": server.instance("postgresql", {**configuration, "db.port": str(way.port)}),
        }
        service.status = 503
        way.close()
        with postgres.connect() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        memory = made["memory"]
        memory.finished(memory.upload("records", b"name\nBand\n", headers=KEY).json["id"])
        query = {"query": "select * from records"}
        memory.finished(memory.call("POST", "/bulk/query", json_body=query).json["id"])
        assert memory.call("PUT", "/bulk/2/cancel").json["status"] == "CANCELLED"
        assert (
            made["busy"]
            .call("POST", "/bulk/query", json_body={"query": "select * from campaign"})
            .status
            == 200
        )
        form, kind = multipart(b"name\nBand\n", {})
        sent = {"Content-Type": kind, **KEY}
        assert memory.call("POST", "/files", body=form, headers=sent).json["id"] == "1"
        form, kind = multipart(b"C_EmailAddress\nann@example.com\n", {})
        sent = {"Content-Type": kind}
        assert made["busy"].call("POST", "/files", body=form, headers=sent).json["id"] == "2"
        reply = made["busy"].call("POST", "/bulk/contact", json_body={"fileId": "2"})
        assert reply.status == 200, reply.body
        ann = memory.call("POST", "/records", json_body={"name": "Ann"}).json["id"]
        fields: Any = {"fields": [{"path": "title"}]}
        for level in ("/organizations", "/instances"):
            path = f"{level}/objects/band/definitions"
            assert memory.call("POST", path, json_body=fields).status == 200
        fields = {"vendorName": "records", "fields": [{"path": "title", "vendorPath": "name"}]}
        path = "/instances/transformations/band"
        assert memory.call("POST", path, json_body=fields).status == 200
        mapping = {"name": "band", "object": "records", "mapping": {"name": "Name"}}
        assert memory.call("POST", "/mappings", json_body=mapping).status == 200
        sent = {"Content-Type": "text/csv"}
        # Of the organization: each of its instances may use it.
        own_file = server.call("POST", "/files", body=b"name\nBand\n", headers=sent).json["id"]
        noon = {
            "uri": "/bulk/query",
            "query": {"q": "select * from records"},
            "trigger": {"cron": "0 0 12 ? * *"},
        }
        once = {
            **noon,
            "trigger": {"cron": f"{datetime.now(UTC) + timedelta(seconds=5):%S %M %H %d %m ? %Y}"},
        }
        schedule, over = (
            memory.call("POST", "/jobs", json_body=one).json["id"] for one in (noon, once)
        )
        deadline = time.monotonic() + 120
        while memory.call("GET", f"/jobs/{over}").json["trigger"]["state"] != "COMPLETE":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        planned = memory.upload("records", b"name\nBand\n", {"plan": True}).json["id"]
        memory.finished(planned)
        # Nothing listens there, so that its callback is sent again and again.
        headers = {"Elements-Async-Callback-Url": f"http://127.0.0.1:{way.port}/hook"}
        announced = memory.upload("records", b"name\nBand\n", headers=headers).json["id"]
        memory.finished(announced)
        path = f"/bulk/{announced}/status/callback"
        until(lambda: memory.call("GET", path).status == 200, 300, "the callback is being sent")
        other = {"name": "Other", "email": "other@example.com"}
        other = memory.call("POST", "/organizations", json_body=other).json
        down = {"issuer": f"http://127.0.0.1:{way.port}", "clientId": "openbulk"}
        assert memory.call("PUT", "/organizations/1/sign-in", json_body=down).status == 200
        places = {name: str(number) for number, name in enumerate(made, 1)}
        places |= {
            "own_file": own_file,
            "other": str(other["id"]),
            "ann": ann,
            "schedule": schedule,
            "over": over,
            "planned": planned,
            "announced": announced,
            "token": str(memory.element_token),
        }
        yield Callers(made, places, configuration)
    service.stop()


CASES = list(cases())
NO_PERMISSION = "The role of the user, or the scopes of the key, do not give the permission."


def documented(callers: Callers) -> dict[tuple[str, str], set[int]]:
    document = request("GET", f"{callers.url}/openapi.json").json
    return {
        (method.upper(), path): {
            int(status)
            for status, answer in operation["responses"].items()
            if answer["description"] != NO_PERMISSION
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


OPEN = ("/healthz", "/readyz")
SIGN_IN = f"{BASE_PATH}/authentication"
SIGN_IN_STEPS = ("code", "oidc", "oidc/code", "links/look", "links/use")
SIGN_INS = {SIGN_IN, *(f"{SIGN_IN}/{step}" for step in SIGN_IN_STEPS)}
ME, USER = "/organizations/users/me", "/organizations/users/{user_id}"
MET_BY_ITSELF = {200, 401, 405, 429, 507}
"""Met below for every operation; 200 in test_openapi.py, 429 in test_callers_secrets.py, 507 in
test_full_disk.py. 403 for want of a permission is met in test_permissions.py."""
TAKES_FILES = ("POST /bulk/{object}", "POST /files")
BODIES = 413
"""Met below for every operation with a JSON body."""
TOO_MANY = (
    "/instances",
    "/elements/{key}/instances",
    "/jobs",
    "/bulk/workflows",
    f"{HUB}/bulk/workflows",
)
SECRETS = (
    "/organizations/secrets",
    "/organizations/users/me/secrets",
    "/organizations/users/{user_id}/secrets",
)
ELSEWHERE: dict[tuple[str, str], set[int]] = {
    ("GET", "/readyz"): {503},
    ("GET", f"{BASE_PATH}/files/{{file_id}}/rows"): {409},
    ("PATCH", f"{BASE_PATH}/files/{{file_id}}"): {409},
    ("GET", f"{BASE_PATH}/bulk/{{job_id}}/status/events"): {204},
    ("GET", f"{BASE_PATH}{HUB}/bulk/{{job_id}}/status/events"): {204},
    **{("POST", f"{BASE_PATH}{path}"): {409} for path in (*TOO_MANY, *SECRETS)},
    ("POST", SIGN_IN): {403},
    ("POST", f"{SIGN_IN}/links/use"): {409},
    ("POST", f"{SIGN_IN}/oidc/code"): {403, 409, 502},
    ("PUT", f"{BASE_PATH}{ME}/identity"): {409, 502},
    ("POST", f"{BASE_PATH}{ME}/sessions"): {409},
    ("PUT", f"{BASE_PATH}{ME}/password"): {403},
    ("POST", f"{BASE_PATH}{USER}/password-link"): {409},
    **{
        (method, f"{BASE_PATH}{hub}/bulk/{{job_id}}/rows/{what}"): {409}
        for hub in ("", HUB)
        for method, what in (("GET", "{row}"), ("POST", "mend"))
    },
    **{
        (method, f"{BASE_PATH}{hub}/bulk/{{job_id}}{what}"): {409}
        for hub in ("", HUB)
        for method, what in (("PUT", "/pause"), ("PUT", "/resume"), ("PATCH", ""))
    },
    **{
        ("DELETE", f"{BASE_PATH}{hub}/bulk/{{job_id}}/approvals/{{approval_id}}"): {409}
        for hub in ("", HUB)
    },
}
"""In test_services.py, engine/test_file_profiles.py,
storage/test_uploaded_files.py, test_job_events.py, test_doors.py for more
instances or schedules than the limit, storage/test_people.py for more secrets,
engine/test_retries.py for rows that are no longer kept, test_retries.py for jobs of an instance
that was deleted, test_approvals.py for plans that are carried out, test_oidc.py
and test_sessions.py for sessions and links, and api/test_password_sign_in.py.
"""


def in_hub(path: str) -> bool:
    return path.startswith(f"{BASE_PATH}{HUB}/") and not path.endswith("/elements")


def test_every_documented_problem_has_its_line_and_every_line_is_documented(
    callers: Callers,
) -> None:
    met: dict[str, set[int]] = {}
    for case in CASES:
        met.setdefault(case.operation, set()).add(case.status)
    for (method, path), statuses in documented(callers).items():
        ours = path.removeprefix(BASE_PATH).removeprefix(HUB if in_hub(path) else "")
        operation = f"{method} {ours}"
        expected = statuses - MET_BY_ITSELF - ELSEWHERE.get((method, path), set())
        if operation not in TAKES_FILES:
            expected -= {BODIES}
        assert met.get(operation, set()) == expected, operation


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_refusal_says_what_would_be_right(callers: Callers, case: Case) -> None:
    """The status is the documented one and the message says what would be right, also in a hub."""
    path = case.operation.partition(" ")[2]
    for prefix in (
        ("", "/hubs/general") if path.startswith(("/objects", "/bulk/", "/{path}")) else ("",)
    ):
        reply = callers.send(case, prefix)
        assert reply.status == case.status, reply.body
        assert case.says in reply.json["message"]
        assert set(reply.json) - {"providerMessage"} == {"message", "requestId"}
        assert reply.json["requestId"] == reply.headers["elements-request-id"]


def concrete(path: str) -> str:
    """A path with values for its parameters."""
    return re.sub(
        r"\{\w+\}",
        "1",
        path.replace("{hub}", "general").replace("{path}", "records/1").replace("{key}", "memory"),
    )


def test_without_secrets_nothing_is_done(callers: Callers) -> None:
    """401 for every operation but those of the operator."""
    url = callers.url
    for (method, path), statuses in documented(callers).items():
        reply = request(
            method,
            url + concrete(path),
            json_body={} if method in ("POST", "PUT", "PATCH") else None,
        )
        if path in OPEN:
            assert (reply.status, 401 in statuses) == (200, False), path
        elif method == "POST" and path in SIGN_INS:
            # Those who sign in have no secret yet: test_platform.py, test_sessions.py.
            assert reply.status == 400, path
        elif path == f"{SIGN_IN}/secrets":
            assert reply.status == 401, path
        else:
            assert (reply.status, 401 in statuses) == (401, True), (method, path, reply.body)
            assert "send the header 'Authorization: User <secret>" in reply.json["message"]


def test_what_an_address_cannot_do_it_refuses(callers: Callers) -> None:
    """Every path answers 405 to other methods, and `Allow` lists exactly those that it takes."""
    url, secrets = callers.url, callers.secrets
    takes: dict[str, set[str]] = {}
    for method, path in documented(callers):
        takes.setdefault(path, set()).add(method)
    for (_, path), statuses in documented(callers).items():
        address = concrete(path.replace("{object}", "records"))
        reply = request("TRACE", url + address, headers=secrets)
        assert (reply.status, 405 in statuses) == (405, True), path
        allowed = reply.headers["allow"]
        assert reply.json["message"] == f"{address} does not take TRACE; it takes {allowed}"
        implied = {"HEAD"} if "GET" in takes[path] else set()
        assert set(allowed.split(", ")) == takes[path] | implied, path


def test_a_body_that_is_too_large_is_refused_before_it_is_kept(callers: Callers) -> None:
    """413 for every operation that takes JSON; from callers without secrets, too."""
    url, tried = callers.url, 0
    for (method, path), statuses in documented(callers).items():
        if BODIES not in statuses or path.endswith(("/bulk/{object}", f"{BASE_PATH}/files")):
            continue
        where = concrete(path.replace("{path}", "records") if method == "POST" else path)
        headers = {**callers.secrets, "Content-Type": "application/json"}
        reply = request(method, url + where, body=LARGE, headers=headers)
        limit = 8 * 1024 if path in SIGN_INS else 1024 * 1024
        assert (reply.status, reply.json["message"]) == (
            413,
            f"the body is larger than {limit} bytes",
        ), (method, path)
        tried += 1
    assert tried > 15


def test_a_hub_that_is_not_there_changes_no_answer(callers: Callers) -> None:
    """No path in it is an exception."""
    url, secrets = callers.url, callers.secrets
    paths = [(method, path) for method, path in documented(callers) if in_hub(path)]
    for method, path in paths:
        body: Any = None if method in ("GET", "DELETE") else {}
        address = concrete(path).replace("/1", "/99").replace("records/99", "circus/99")
        known, unknown = (
            request(method, url + address.replace("general", hub), json_body=body, headers=secrets)
            for hub in ("general", "circus")
        )
        said = [one.json.get("message") for one in (known, unknown) if one.status != 200]
        assert (unknown.status, len(set(said)) < 2) == (known.status, True), (method, path)
    assert len(paths) > 10
