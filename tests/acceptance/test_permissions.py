"""Who may call what: each operation, with each role and scope, and with another organization's ids.

The table below has to be as complete as the OpenAPI document: a new operation needs a new line.
"""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.harness import BASE_PATH, Processes, Server, multipart

HUB = "/hubs/{hub}/"
ROLES = {
    "viewer": {"read", "own"},
    "operator": {"read", "own", "plan", "load"},
    "approver": {"read", "own", "plan", "load", "approve"},
    "administrator": {"read", "own", "plan", "load", "approve", "instances", "administer"},
}
SCOPES = ("instances", "read", "plan", "load", "administer")
EXPECTED: dict[str, tuple[str, int]] = {
    "POST /files": ("plan", 200),
    "GET /files": ("read", 200),
    "GET /files/{file_id}": ("read", 404),
    "PATCH /files/{file_id}": ("plan", 400),
    "DELETE /files/{file_id}": ("plan", 404),
    "GET /files/{file_id}/rows": ("read", 404),
    "GET /files/{file_id}/mapping": ("read", 400),
    "GET /objects": ("read", 200),
    "GET /objects/{object}/metadata": ("read", 200),
    "GET /ping": ("read", 200),
    "POST /bulk/query": ("read", 400),
    "POST /bulk/download": ("read", 400),
    "POST /bulk/workflows": ("load", 400),
    "POST /bulk/{job_id}/retry": ("plan", 404),
    "GET /bulk/{job_id}/rows": ("read", 404),
    "GET /bulk/{job_id}/rows/{row}": ("read", 404),
    "PATCH /bulk/{job_id}/rows/{row}": ("load", 404),
    "POST /bulk/{job_id}/rows/mend": ("load", 404),
    "GET /bulk/{job_id}/results": ("read", 404),
    "POST /bulk/{object}": ("plan", 404),
    "PUT /bulk/{job_id}/pause": ("load", 404),
    "PUT /bulk/{job_id}/resume": ("load", 404),
    "PATCH /bulk/{job_id}": ("load", 404),
    "GET /bulk/{job_id}": ("read", 404),
    "DELETE /bulk/{job_id}": ("load", 404),
    "GET /bulk/{job_id}/status/events": ("read", 404),
    "GET /bulk/{job_id}/status/callback": ("read", 404),
    "POST /bulk/{job_id}/status/callback": ("load", 404),
    "GET /bulk/jobs": ("read", 200),
    "GET /bulk/{job_id}/status": ("read", 404),
    "GET /bulk/{job_id}/errors": ("read", 404),
    "GET /bulk/{job_id}/errors/groups": ("read", 404),
    "PUT /bulk/{job_id}/cancel": ("load", 404),
    "PUT /bulk/{job_id}/apply": ("load", 404),
    "GET /approvals": ("read", 200),
    "GET /bulk/{job_id}/approvals": ("read", 404),
    "POST /bulk/{job_id}/approvals": ("approve", 404),
    "DELETE /bulk/{job_id}/approvals/{approval_id}": ("approve", 404),
    "GET /bulk/{job_id}/plan": ("read", 404),
    "GET /bulk/{job_id}/plan/rows": ("read", 404),
    "GET /bulk/{job_id}/plan/calendar": ("read", 404),
    "POST /bulk/{job_id}/verify": ("read", 404),
    "GET /bulk/{job_id}/verification": ("read", 404),
    "GET /bulk/{job_id}/verification/rows": ("read", 404),
    "POST /bulk/{job_id}/undo": ("plan", 404),
    "GET /bulk/{job_id}/{object}/data": ("read", 404),
    "GET /bulk/{job_id}/{object}": ("read", 404),
    "POST /authentication/confirm": ("own", 409),
    "DELETE /authentication": ("own", 409),
    "GET /organizations/users/me/sessions": ("own", 200),
    "POST /organizations/users/me/sessions": ("own", 200),
    "DELETE /organizations/users/me/sessions": ("own", 200),
    "DELETE /organizations/users/me/sessions/{session_id}": ("own", 404),
    "PUT /organizations/users/me/password": ("own", 400),
    "POST /organizations/users/me/totp": ("own", 409),
    "PUT /organizations/users/me/totp": ("own", 400),
    "DELETE /organizations/users/me/totp": ("own", 409),
    "GET /organizations/users/{user_id}/sessions": ("administer", 404),
    "DELETE /organizations/users/{user_id}/sessions": ("administer", 404),
    "DELETE /organizations/users/{user_id}/totp": ("administer", 404),
    "POST /organizations/users/{user_id}/password-link": ("administer", 404),
    "GET /organizations/invitations": ("administer", 200),
    "POST /organizations/invitations": ("administer", 400),
    "DELETE /organizations/invitations/{invitation_id}": ("administer", 404),
    "GET /organizations/secrets": ("administer", 200),
    "POST /organizations/secrets": ("administer", 400),
    "DELETE /organizations/secrets/{secret_id}": ("administer", 404),
    "POST /organizations/secrets/{secret_id}/rotate": ("administer", 404),
    "GET /organizations/users/me/secrets": ("own", 200),
    "POST /organizations/users/me/secrets": ("own", 400),
    "DELETE /organizations/users/me/secrets/{secret_id}": ("own", 404),
    "POST /organizations/users/me/secrets/{secret_id}/rotate": ("own", 404),
    "GET /organizations/users/{user_id}/secrets": ("administer", 404),
    "POST /organizations/users/{user_id}/secrets": ("administer", 404),
    "DELETE /organizations/users/{user_id}/secrets/{secret_id}": ("administer", 404),
    "POST /organizations/users/{user_id}/secrets/{secret_id}/rotate": ("administer", 404),
    "GET /organizations": ("read", 200),
    "POST /organizations": ("operate", 403),
    "PATCH /organizations/{organization_id}": ("administer", 404),
    "GET /organizations/{organization_id}/sign-in": ("administer", 404),
    "PUT /organizations/{organization_id}/sign-in": ("administer", 404),
    "DELETE /organizations/{organization_id}/sign-in": ("administer", 404),
    "POST /organizations/{organization_id}/sign-in/check": ("administer", 404),
    "PUT /organizations/users/me/identity": ("own", 400),
    "DELETE /organizations/users/me/identity": ("own", 409),
    "DELETE /organizations/users/{user_id}/identity": ("administer", 404),
    "GET /organizations/{organization_id}/limits": ("administer", 404),
    "PATCH /organizations/{organization_id}/limits": ("operate", 403),
    "GET /organizations/users/me": ("read", 200),
    "GET /audit": ("administer", 200),
    "GET /audit/verification": ("administer", 200),
    "GET /organizations/users": ("administer", 200),
    "POST /organizations/users": ("administer", 400),
    "GET /organizations/users/{user_id}": ("administer", 404),
    "PATCH /organizations/users/{user_id}": ("administer", 404),
    "GET /organizations/objects/definitions": ("read", 200),
    "POST /organizations/objects/definitions": ("instances", 400),
    "POST /organizations/objects/{object_name}/definitions": ("instances", 200),
    "GET /organizations/objects/{object_name}/definitions": ("read", 200),
    "PUT /organizations/objects/{object_name}/definitions": ("instances", 200),
    "DELETE /organizations/objects/{object_name}/definitions": ("instances", 200),
    "GET /instances/objects/definitions": ("read", 200),
    "GET /instances/{instance_id}/objects/definitions": ("read", 404),
    "POST /instances/objects/{object_name}/definitions": ("instances", 400),
    "GET /instances/objects/{object_name}/definitions": ("read", 404),
    "PUT /instances/objects/{object_name}/definitions": ("instances", 400),
    "DELETE /instances/objects/{object_name}/definitions": ("instances", 404),
    "POST /instances/{instance_id}/objects/{object_name}/definitions": ("instances", 404),
    "GET /instances/{instance_id}/objects/{object_name}/definitions": ("read", 404),
    "PUT /instances/{instance_id}/objects/{object_name}/definitions": ("instances", 404),
    "DELETE /instances/{instance_id}/objects/{object_name}/definitions": ("instances", 404),
    "POST /instances/transformations/{object_name}": ("instances", 400),
    "GET /instances/transformations/{object_name}": ("read", 404),
    "PUT /instances/transformations/{object_name}": ("instances", 400),
    "DELETE /instances/transformations/{object_name}": ("instances", 404),
    "POST /instances/{instance_id}/transformations/{object_name}": ("instances", 404),
    "GET /instances/{instance_id}/transformations/{object_name}": ("read", 404),
    "PUT /instances/{instance_id}/transformations/{object_name}": ("instances", 404),
    "DELETE /instances/{instance_id}/transformations/{object_name}": ("instances", 404),
    "GET /instances/transformations": ("read", 200),
    "DELETE /instances/transformations": ("instances", 200),
    "GET /instances/{instance_id}/transformations": ("read", 404),
    "DELETE /instances/{instance_id}/transformations": ("instances", 404),
    "DELETE /instances/enabled": ("instances", 200),
    "PUT /instances/enabled": ("instances", 200),
    "PATCH /instances": ("instances", 200),
    "PUT /instances": ("instances", 200),
    "DELETE /instances": ("instances", 200),
    "POST /instances": ("instances", 400),
    "GET /instances": ("read", 200),
    "GET /instances/configuration": ("read", 200),
    "PATCH /instances/configuration": ("instances", 200),
    "GET /instances/configuration/{name}": ("read", 200),
    "PATCH /instances/configuration/{name}": ("instances", 400),
    "POST /elements/{key}/instances": ("instances", 404),
    "GET /elements/{key}/instances": ("read", 404),
    "GET /instances/count": ("read", 200),
    "PUT /instances/{instance_id}/enabled": ("instances", 404),
    "DELETE /instances/{instance_id}/enabled": ("instances", 404),
    "GET /instances/{instance_id}": ("read", 404),
    "PATCH /instances/{instance_id}": ("instances", 404),
    "PUT /instances/{instance_id}": ("instances", 404),
    "DELETE /instances/{instance_id}": ("instances", 404),
    "POST /instances/{instance_id}/token": ("instances", 404),
    "GET /instances/{instance_id}/configuration": ("read", 404),
    "PATCH /instances/{instance_id}/configuration": ("instances", 404),
    "GET /instances/{instance_id}/configuration/{name}": ("read", 404),
    "PATCH /instances/{instance_id}/configuration/{name}": ("instances", 404),
    "GET /elements/{key}/instances/{instance_id}": ("read", 404),
    "PATCH /elements/{key}/instances/{instance_id}": ("instances", 404),
    "PUT /elements/{key}/instances/{instance_id}": ("instances", 404),
    "DELETE /elements/{key}/instances/{instance_id}": ("instances", 404),
    "GET /elements/{key}/oauth/url": ("instances", 404),
    "POST /elements/{key}/oauth/url": ("instances", 404),
    "GET /hubs": ("read", 200),
    "GET /hubs/keys": ("read", 200),
    "GET /hubs/{hub}": ("read", 200),
    "GET /hubs/{hub}/elements": ("read", 200),
    "GET /elements": ("read", 200),
    "POST /elements": ("instances", 400),
    "GET /elements/keys": ("read", 200),
    "GET /elements/metadata": ("read", 200),
    "GET /elements/{key}": ("read", 404),
    "PUT /elements/{key}": ("instances", 404),
    "DELETE /elements/{key}": ("instances", 404),
    "GET /elements/{key}/metadata": ("read", 404),
    "GET /elements/{key}/export": ("instances", 404),
    "GET /mappings": ("read", 200),
    "POST /mappings": ("plan", 400),
    "GET /mappings/{id}": ("read", 404),
    "DELETE /mappings/{id}": ("plan", 404),
    "GET /bulkloader": ("read", 200),
    "GET /jobs": ("read", 200),
    "POST /jobs": ("load", 400),
    "GET /jobs/executions": ("read", 200),
    "GET /jobs/{schedule_id}": ("read", 404),
    "DELETE /jobs/{schedule_id}": ("load", 404),
    "PUT /jobs/{schedule_id}/enable": ("load", 404),
    "PUT /jobs/{schedule_id}/disable": ("load", 404),
    "PATCH /jobs/{schedule_id}/reschedule": ("load", 404),
    "GET /jobs/{schedule_id}/history": ("read", 404),
    "GET /metrics": ("operate", 403),
    "GET /{path}": ("read", 404),
    "POST /{path}": ("load", 405),
    "PATCH /{path}": ("load", 404),
    "PUT /{path}": ("load", 404),
    "DELETE /{path}": ("load", 404),
}
"""The permission that an operation needs, and the answer to an administrator of another
organization: 404 if the path names anything that is not theirs."""
OPEN = {
    "GET /healthz",
    "GET /readyz",
    "POST /authentication",
    "POST /authentication/code",
    "POST /authentication/oidc",
    "POST /authentication/oidc/code",
    "POST /authentication/links/look",
    "POST /authentication/links/use",
    "GET /authentication/secrets",
}
EXPORT: Any = {
    "key": "acme",
    "name": "Acme",
    "hub": "general",
    "resources": [{"path": "/things", "vendorPath": "/t", "method": "GET", "vendorMethod": "GET"}],
}
FIELDS: Any = {"fields": [{"path": "title"}]}
ALIAS: Any = {"vendorName": "records", "fields": [{"path": "title", "vendorPath": "name"}]}
NOON = {"uri": "/bulk/query", "query": {"q": "select * from records"}}
BODIES: Mapping[str, Any] = {
    "POST /organizations/objects/{object_name}/definitions": FIELDS,
    "PUT /organizations/objects/{object_name}/definitions": FIELDS,
    "POST /instances/{instance_id}/objects/{object_name}/definitions": FIELDS,
    "PUT /instances/{instance_id}/objects/{object_name}/definitions": FIELDS,
    "POST /instances/{instance_id}/transformations/{object_name}": ALIAS,
    "PUT /instances/{instance_id}/transformations/{object_name}": ALIAS,
    "PUT /instances/{instance_id}": {"name": "x"},
    "PATCH /instances/{instance_id}": {"name": "x"},
    "PUT /elements/{key}/instances/{instance_id}": {"name": "x"},
    "PATCH /elements/{key}/instances/{instance_id}": {"name": "x"},
    "PATCH /instances/{instance_id}/configuration/{name}": {"propertyValue": "x"},
    "PATCH /bulk/{job_id}": {"priority": 1},
    "PUT /bulk/{job_id}/apply": {"plan": "x"},
    "POST /bulk/{job_id}/approvals": {"plan": "x"},
    "PATCH /bulk/{job_id}/rows/{row}": {"values": {"name": "x"}},
    "POST /bulk/{job_id}/rows/mend": {"rows": [1], "column": "name", "set": "x"},
    "PATCH /jobs/{schedule_id}/reschedule": {"cron": "0 0 12 ? * *"},
    "PUT /elements/{key}": EXPORT,
    "PUT /organizations/{organization_id}/sign-in": {
        "issuer": "https://login.example.com",
        "clientId": "x",
    },
    "POST /organizations/users/{user_id}/secrets": {"name": "x"},
    "POST /bulk/{object}": {"fileId": "1"},
}
"""Bodies that would be right, so that it is the path that is refused."""


@dataclass
class Reply:
    status: int
    message: str


@dataclass
class Caller:
    """Calls over one connection: there are many calls."""

    connection: http.client.HTTPConnection
    authorization: str

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        headers = {"Authorization": self.authorization}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body)
        self.connection.request(method, path, sent, headers)
        with self.connection.getresponse() as answer:
            content = answer.read()
        if answer.status == 200:
            return Reply(200, "")
        return Reply(answer.status, json.loads(content)["message"])


@dataclass
class World:
    server: Server
    operations: list[str]
    """Those of the document, but for those with the prefix of a hub: they are the same routes."""
    places: dict[str, str]
    """What the first organization has, for the parameters of paths."""
    stranger: Caller
    """An administrator of another organization, who has an instance of their own."""
    roles: dict[str, Caller]
    keys: dict[str, Caller]


def made(server: Server, method: str, path: str, body: Any) -> Any:
    reply = server.call(method, path, json_body=body)
    assert reply.status == 200, (path, reply.body)
    return reply.json


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Processes(tmp_path_factory.mktemp("permissions")) as processes:
        first = processes.server().instance("memory")
        address = urlsplit(first.process.url).netloc
        connection = http.client.HTTPConnection(address, timeout=120)
        places = things_of(first)
        other = made(first, "POST", "/organizations", {"name": "Other", "email": "bob@example.com"})
        secrets = f"User {other['userSecret']}, Organization {other['organizationSecret']}"
        stranger = Caller(connection, secrets)
        token = first.call(
            "POST",
            "/instances",
            json_body={"element": {"key": "memory"}},
            headers={"Authorization": secrets},
        ).json["token"]
        stranger.authorization = f"{secrets}, Element {token}"
        roles = {role: of_role(first, connection, role) for role in ROLES}
        keys = {scope: of_scope(first, connection, scope) for scope in SCOPES}
        connection.request("GET", "/openapi.json")
        with connection.getresponse() as answer:
            document = json.loads(answer.read())
        operations = [
            f"{method.upper()} {path.removeprefix(BASE_PATH)}"
            for path, methods in document["paths"].items()
            if HUB not in path or path.endswith("/elements")
            for method in methods
        ]
        yield World(first, operations, places, stranger, roles, keys)
        connection.close()


def things_of(server: Server) -> dict[str, str]:
    """One of each thing that belongs to an organization."""
    job_id = server.done("records", b"name\nAnn\n")["id"]
    form, kind = multipart(b"name\nBand\n", {})
    file = server.call("POST", "/files", body=form, headers={"Content-Type": kind}).json
    mapping = {"name": "band", "object": "records", "mapping": {"name": "Name"}}
    schedule = {**NOON, "trigger": {"cron": "0 0 12 ? * *"}}
    for level in ("/organizations", "/instances"):
        made(server, "POST", f"{level}/objects/band/definitions", FIELDS)
    made(server, "POST", "/instances/transformations/band", ALIAS)
    user = made(server, "POST", "/organizations/users", {"email": "cara@example.com"})
    path = f"/organizations/users/{user['id']}/secrets"
    invitation = {"email": "dora@example.com"}
    record = made(server, "POST", "/records", {"name": "Ann"})
    return {
        "job_id": str(job_id),
        "file_id": str(file["id"]),
        "id": str(made(server, "POST", "/mappings", mapping)["id"]),
        "schedule_id": str(made(server, "POST", "/jobs", schedule)["id"]),
        "instance_id": str(server.instance_id),
        "user_id": str(user["id"]),
        "invitation_id": str(made(server, "POST", "/organizations/invitations", invitation)["id"]),
        "session_id": str(made(server, "POST", "/organizations/users/me/sessions", None)["id"]),
        "secret_id": str(made(server, "POST", path, {"name": "CI"})["id"]),
        "organization_id": "1",
        "key": str(made(server, "POST", "/elements", EXPORT)["key"]),
        "object_name": "band",
        "object": "records",
        "row": "1",
        "name": "space",
        "hub": "general",
        "path": f"records/{record['id']}",
    }


def of_role(server: Server, connection: http.client.HTTPConnection, role: str) -> Caller:
    new = {"email": f"{role}@example.com", "role": role}
    user = made(server, "POST", "/organizations/users", new)
    secret = made(server, "POST", f"/organizations/users/{user['id']}/secrets", {"name": role})
    organization = made(server, "POST", "/organizations/secrets", {"name": role})
    return Caller(connection, f"User {secret['secret']}, Organization {organization['secret']}")


def of_scope(server: Server, connection: http.client.HTTPConnection, scope: str) -> Caller:
    new = {"name": scope, "scopes": [scope]}
    key = made(server, "POST", "/organizations/users/me/secrets", new)
    return Caller(connection, f"User {key['secret']}")


def path_of(operation: str, places: Mapping[str, str]) -> str:
    """The path of an operation with values; numbers of nothing where `places` has none."""
    path = operation.partition(" ")[2]
    at = "" if path in ("/healthz", "/readyz", "/metrics") else BASE_PATH
    return at + re.sub(r"\{(\w+)\}", lambda name: places.get(name[1], "99"), path)


def test_every_operation_has_its_line(world: World) -> None:
    assert set(world.operations) == set(EXPECTED) | OPEN


def test_what_another_organization_has_is_not_there(world: World) -> None:
    """Nothing is seen, changed or deleted by its number."""
    answers = {
        operation: world.stranger.call(
            operation.partition(" ")[0],
            path_of(operation, world.places),
            body_of(operation),
        )
        for operation in sorted(EXPECTED, key=is_last)
    }
    wrong = {
        operation: reply
        for operation, reply in answers.items()
        if reply.status != EXPECTED[operation][1]
    }
    assert wrong == {}
    assert things_stay(world)


def is_last(operation: str) -> bool:
    """Whether an operation deletes the stranger's own instance: others are called for it."""
    return operation == "DELETE /instances"


def body_of(operation: str) -> Any:
    method = operation.partition(" ")[0]
    return BODIES.get(operation, None if method in ("GET", "DELETE") else {})


def things_stay(world: World) -> bool:
    places, server = world.places, world.server
    paths = (
        f"/bulk/{places['job_id']}",
        f"/files/{places['file_id']}",
        f"/mappings/{places['id']}",
        f"/jobs/{places['schedule_id']}",
        f"/instances/{places['instance_id']}",
        f"/elements/{places['key']}/export",
        f"/organizations/users/{places['user_id']}",
        f"/{places['path']}",
        "/organizations/objects/band/definitions",
        "/instances/transformations/band",
    )
    return [path for path in paths if server.call("GET", path).status != 200] == []


def test_a_role_and_a_key_may_do_what_they_are_for_and_nothing_else(world: World) -> None:
    """403 for every other operation, with the permission and who can give it.

    Each operation is tried by a caller who may, and by one who may not, if there are any: who is
    next takes turns. That is enough, because what each may is one set (tests/domain).
    """
    granted = {**ROLES, **{scope: {scope} for scope in SCOPES}}
    callers = {**world.roles, **world.keys}
    wrong: list[tuple[str, str, Reply]] = []
    for turn, (operation, (needed, _)) in enumerate(EXPECTED.items()):
        method = operation.partition(" ")[0]
        body: Any = None if method in ("GET", "DELETE") else {}
        for may in (True, False):
            names = [name for name in callers if (needed in granted[name]) == may]
            if not names:
                continue
            name = names[turn % len(names)]
            reply = callers[name].call(method, path_of(operation, {}), body)
            says = f"this needs the permission '{needed}', "
            if (reply.status == 403 and reply.message.startswith(says)) == may:
                wrong.append((name, operation, reply))
    assert wrong == []


def test_who_only_plans_cannot_write(world: World) -> None:
    """A key for plans makes a job that is planned, and none that writes."""
    key = Server(world.server.process, world.server.element_token)
    authorization = f"{world.keys['plan'].authorization}, Element {key.element_token}"
    sent = {"Authorization": authorization}
    planned = key.upload("records", b"name\nPia\n", query="?plan=true", headers=sent)
    assert planned.status == 200, planned.body
    refused = key.upload("records", b"name\nPia\n", headers=sent)
    assert refused.status == 403
    assert refused.json["message"] == (
        "this needs the permission 'load', and the key is for plan; make a key with that scope"
    )
    # It is a plan's own, and the document names the permission of each.
    assert key.finished(planned.json["id"])["status"] == "PLANNED"


def test_nobody_makes_themselves_more_than_they_are(world: World) -> None:
    administrator, viewer = world.roles["administrator"], world.roles["viewer"]
    users = f"{BASE_PATH}/organizations/users"
    for caller, method, path, body, says in (
        (administrator, "POST", "", {"email": "x@example.com", "role": "installation"}, "is more"),
        (administrator, "PATCH", "/1", {"active": False}, "has the role 'installation'"),
        (administrator, "POST", "/1/secrets", {"name": "x"}, "has the role 'installation'"),
        (viewer, "POST", "/me/secrets", {"name": "x", "scopes": ["load"]}, "permission 'load'"),
        (world.keys["administer"], "POST", "/2/secrets", {"name": "x"}, "permission 'own'"),
    ):
        reply = caller.call(method, f"{users}{path}", body)
        assert (reply.status, says in reply.message) == (403, True), (path, reply)
