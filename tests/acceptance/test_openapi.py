"""The OpenAPI document is true and complete: it has every answer, and no request gives a 500."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pyotp
import pytest

from openbulk.api.wire.identity_providers import (
    EXAMPLE_ANSWER,
    EXAMPLE_REDIRECT,
    EXAMPLE_TOKEN,
)
from support.harness import BASE_PATH, Processes, Reply, Server, multipart, request, until
from support.oidc import agree, oidc_provider
from support.receiver import Receiver
from support.signing_in import invite, member, sign_in

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "allow_header_conformance"
)
HUB = r"/hubs/\{hub\}/(?!elements)"
PHASES, EXAMPLES = "examples,fuzzing", "2"
if "FUZZ_SECONDS" in os.environ:
    PHASES, EXAMPLES = "examples,coverage,fuzzing", "20"


@pytest.mark.long
def test_whatever_is_sent_the_answer_is_documented(processes: Processes, tmp_path: Path) -> None:
    """Schemathesis generates requests from the document, valid and invalid ones.

    Some hundred; `make fuzz` sends thousands: each value at and beyond each border of its schema.
    """
    server = processes.server(OPENBULK_PASSWORD="correct horse battery").instance("memory")
    server.done("records", b"name\nAnn\nBob\n")
    job_id = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    server.finished(job_id)
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [
        *(
            program,
            "run",
            f"{server.process.url}/openapi.json",
            "--header",
            f"Authorization: {server.authorization}",
        ),
        *(
            "--checks",
            CHECKS,
            "--phases",
            PHASES,
            "--max-examples",
            EXAMPLES,
            "--seed",
            "20261124",
        ),
        # The hub is a prefix: behind it are the same handlers.
        *("--exclude-path-regex", HUB, "--workers", "2"),
        # They would delete the instance that all the others are called for.
        *("--exclude-operation-id-regex", r"^delete_own"),
        *("--no-color", "--warnings", "off"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=1_200, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "request failed" not in server.process.log()


def calendar(processes: Processes) -> Server:
    """The examples' calendar: job 1 is an upload, jobs 2 and 3 are downloads of both kinds."""
    server = processes.server(
        OPENBULK_USER="ann@example.com", OPENBULK_PASSWORD="correct horse battery"
    ).google(processes.sandbox("google"))
    server.done(
        "events", b"summary,start.date\nChoir,2026-06-04\nLate,2026-02-30\n", {"action": "create"}
    )
    for path, body in (
        ("/bulk/query", {"query": "select * from events"}),
        ("/bulk/download", {"objectName": "events"}),
    ):
        server.finished(server.call("POST", path, json_body=body).json["id"])
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("openapi")) as processes:
        yield calendar(processes)


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    return request("GET", f"{server.process.url}/openapi.json").json


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def contents(operation: Any) -> Iterator[tuple[str, Any]]:
    """The media types of its request and of its answer."""
    for body in (operation.get("requestBody", {}), operation["responses"]["200"]):
        yield from body.get("content", {}).items()


def examples_of(content: Any) -> list[Any]:
    return (
        [one["value"] for one in content["examples"].values()]
        if "examples" in content
        else [content["example"]]
    )


def problems_of(value: Any, schema: Any, document: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [
        str(error).splitlines()[0]
        for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)
    ]


VAGUE: tuple[Any, ...] = ({}, {"type": "object"}, {"type": "object", "additionalProperties": True})
"""Schemas that say nothing."""


def test_every_operation_says_what_it_does_and_shows_an_example_of_all_that_it_takes_and_answers(
    document: Any,
) -> None:
    missing: list[str] = []
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        missing += [
            f"{where}: {key}" for key in ("summary", "description") if not operation.get(key)
        ]
        for parameter in operation.get("parameters", ()):
            shown = "example" in parameter or "examples" in parameter["schema"]
            if not (shown and parameter.get("description")):
                missing.append(
                    f"{where}: description and example of the parameter {parameter['name']}"
                )
        if "content" not in operation["responses"]["200"]:
            missing.append(f"{where}: what it answers, as answers(Shape)")
        for kind, content in contents(operation):
            if not ("example" in content or content.get("examples")):
                missing.append(f"{where}: an example of {kind}")
            elif content["schema"] in VAGUE:
                missing.append(f"{where}: a schema of {kind}")
    assert missing == [], "see api/wire/schema.py and api/http/openapi.py"


def test_every_key_of_an_answer_says_what_it_means(document: Any) -> None:
    missing = [
        f"{name}.{key}"
        for name, schema in document["components"]["schemas"].items()
        for key, one in schema.get("properties", {}).items()
        if "description" not in one and "$ref" not in one and "$ref" not in one.get("items", {})
    ]
    assert missing == []


def test_every_example_is_what_its_schema_says(document: Any) -> None:
    wrong = {
        f"{method} {path} {kind}": found
        for method, path, operation in operations(document)
        for kind, content in contents(operation)
        for example in examples_of(content)
        if (found := problems_of(example, content["schema"], document))
    }
    assert wrong == {}


# --- the examples, sent to a server ---

SENT = ("object", "q", "apiKey", "callbackUrl")
"""Optional parameters that an operation needs all the same; the others only narrow the answer."""
ORDER = ("POST", "PATCH", "PUT", "GET", "DELETE")


def in_order(document: Any) -> list[tuple[str, str, Any]]:
    """Operations that create first, those that delete last, and the instance at the very end."""

    def place(one: tuple[str, str, Any]) -> tuple[bool, int]:
        method, path, _ = one
        # What a retry has taken cannot be mended any more.
        step = "PUT" if path.endswith("/retry") else method
        return "/instances" in path and method == "DELETE", ORDER.index(step)

    # The hub is a prefix: behind it are the same handlers.
    return sorted((one for one in operations(document) if not re.search(HUB, one[1])), key=place)


EXAMPLE_DIGEST = "5d41402abc4b2a76b9719d911017c592ae6b1d5c9a5b8c0f3e2d1c0b9a897867"
"""Of the plan in the examples: a test has another one."""


def send_example(
    server: Server, method: str, path: str, operation: Any, known: Mapping[str, str]
) -> Reply:
    query: dict[str, str] = {}
    for parameter in operation.get("parameters", ()):
        example = parameter.get("example") or parameter["schema"].get("examples", [None])[0]
        example = known.get(parameter["name"], example)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", urllib.parse.quote(str(example)))
        elif parameter["name"] in SENT:
            query[parameter["name"]] = example
    url = f"{server.process.url}{path}?{urllib.parse.urlencode(query)}"
    is_swap = path.endswith("/authentication/secrets")
    headers = {"Authorization": f"Bearer {known['bearer']}" if is_swap else server.authorization}
    body = operation.get("requestBody", {}).get("content", {})
    if path.endswith("/bulk/events"):
        # An upload of a file that was sent before: it is needed until the job is finished.
        example = examples_of(body["application/json"])[0]
        reply = request(method, url, json_body=example, headers=headers)
        assert reply.status == 200, reply.body
        server.finished(reply.json["id"])
        body = {"multipart/form-data": body["multipart/form-data"]}
    if "application/json" in body:
        example = json.dumps(examples_of(body["application/json"])[0])
        sent = json.loads(with_known_values(example, known))
        return request(method, url, json_body=sent, headers=headers)
    if "multipart/form-data" in body:
        if "application/octet-stream" in body:
            (file,) = examples_of(body["application/octet-stream"])
            assert request(method, url, body=file.encode(), headers=headers).status == 200
        (form,) = examples_of(body["multipart/form-data"])
        data, kind = multipart(form.pop("file").encode(), form)
        return request(method, url, body=data, headers={**headers, "Content-Type": kind})
    return request(method, url, headers=headers)


def with_known_values(text: str, known: Mapping[str, str]) -> str:
    """The JSON of an example, with what this server has in place of tokens and codes."""
    text = text.replace('"..."', json.dumps(known["token"]))
    for example in EXAMPLES_OF_PERSONS:
        text = text.replace(json.dumps(example), json.dumps(known.get(example, example)))
    return text.replace(EXAMPLE_DIGEST, known.get("digest", EXAMPLE_DIGEST))


def keys_of(value: Any) -> Any:
    """The keys of an object, or of the objects in a list; no keys for other values."""
    if isinstance(value, list):
        return set().union(*(keys_of(one) for one in value))
    return set(value) if isinstance(value, dict) else set()


EVENT = b"id,summary,start.date,end.date\nchoir2027,Choir,2026-06-04,2026-06-05\n"
LATER = {
    "bulk_start_time",
    "bulk_finish_time",
    "completionTime",
    "statusMessage",
    "completion_time",
}
"""Keys that a job has once it has begun, or once it is finished."""


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    with oidc_provider(tmp_path) as found:
        yield found


def test_every_example_does_what_it_shows(processes: Processes, document: Any, issuer: str) -> None:
    """Each example request is answered as the document says, with the keys of the example."""
    server = calendar(processes)
    known = {"token": str(server.instance("memory").element_token)}
    for method, path, operation in in_order(document):
        caller = (
            server.instance("memory")
            if (method, path) == ("DELETE", f"{BASE_PATH}/instances")
            else server
        )
        # Two addresses of one thing: of the calling instance, and of an instance by its number.
        own = re.match(rf"{BASE_PATH}/instances/(objects|transformations)\b", path)
        known["object_name"] = "lessons" if own else "meetings"
        where = f"{method} {path}"
        of_one = {}
        if where == f"DELETE {BASE_PATH}/elements/{{key}}/instances/{{instance_id}}":
            caller = Server(server.process)  # the instance is gone
            other = caller.call("POST", "/elements/memory/instances", json_body={}).json
            of_one = {"key": "memory", "instance_id": str(other["id"])}
        of_one |= ids_of_plan(caller, path) | ids_of_verification(caller, path)
        of_one |= ids_of_people(caller, path) | ids_of_callback(caller, path)
        caller, values = person_for(caller, method, path.removeprefix(BASE_PATH))
        caller, at_provider = person_at_provider(
            caller, issuer, method, path.removeprefix(BASE_PATH)
        )
        of_one |= values | at_provider
        reply = send_example(caller, method, path, operation, {**known, **of_one})
        assert reply.status == 200, (where, reply.body)
        if path.endswith("/instances/{instance_id}/token"):
            server = Server(server.process, reply.json["token"])
        if where == f"POST {BASE_PATH}/authentication":
            known["bearer"] = reply.json["token"]
        if where == f"POST {BASE_PATH}/jobs":
            known["schedule_id"] = reply.json["id"]
        kind = reply.headers["content-type"].partition(";")[0]
        content = operation["responses"]["200"]["content"][kind]
        if kind != "application/json":
            continue
        assert problems_of(reply.json, content["schema"], document) == [], (where, reply.json)
        if is_free(content["schema"]) or reply.json == []:
            continue
        shown = [keys_of(example) - LATER for example in examples_of(content)]
        assert any(one <= keys_of(reply.json) for one in shown), (where, shown, reply.json)


def ids_of_plan(server: Server, path: str) -> dict[str, str]:
    """The id of a job that has a plan, for a path that is about one."""
    is_approval = "{job_id}/approvals" in path
    if not (is_approval or path.endswith(("/plan", "/plan/rows", "/plan/calendar", "/apply"))):
        return {}
    changed, upsert = EVENT.replace(b"Choir", b"Choir practice"), {"action": "upsert"}
    server.done("events", EVENT, upsert)
    headers = {"Authorization": agent(server)} if is_approval else {}
    reply = server.upload("events", changed, upsert, query="?plan=true", headers=headers)
    job_id = reply.json["id"]
    assert server.finished(job_id)["status"] == "PLANNED"
    digest = server.call("GET", f"/bulk/{job_id}/plan").json["digest"]
    ids = {"job_id": job_id, "digest": digest}
    if "{approval_id}" in path:
        ids["approval_id"] = made(server, f"/bulk/{job_id}/approvals", {"plan": digest})
    return ids


def agent(server: Server) -> str:
    """The secrets of an agent, whose plans a person approves."""
    key = {"name": "agent", "agent": True, "scopes": ["plan"]}
    made = server.call("POST", "/organizations/users/me/secrets", json_body=key).json
    return f"User {made['secret']}, Element {server.element_token}"


def ids_of_callback(server: Server, path: str) -> dict[str, str]:
    """The id of a job whose callback was delivered, for a path that is about one."""
    if not path.endswith("/status/callback"):
        return {}
    with Receiver() as receiver:
        headers = {"Elements-Async-Callback-Url": receiver.url}
        job_id = server.upload("events", EVENT, {"action": "upsert"}, headers=headers).json["id"]
        until(
            lambda: "finishedDate" in server.call("GET", f"/bulk/{job_id}/status/callback").json,
            300,
            "the callback is delivered",
        )
    return {"job_id": job_id}


def ids_of_verification(server: Server, path: str) -> dict[str, str]:
    """The id of a job that verifies another, for a path that is about one."""
    if not path.endswith(("/verification", "/verification/rows")):
        return {}
    job = server.done("events", EVENT, {"action": "upsert"})
    server.done("events", EVENT.replace(b"Choir", b"Choir practice"), {"action": "upsert"})
    job_id = server.call("POST", f"/bulk/{job['id']}/verify").json["id"]
    assert server.finished(job_id)["status"] == "VERIFIED"
    return {"job_id": job_id}


def ids_of_people(server: Server, path: str) -> dict[str, str]:
    """The ids of a user, and of a secret that nobody needs, for a path that is about them."""
    ids: dict[str, str] = {}
    if "{user_id}" in path:
        user = {"email": f"{uuid.uuid4().hex}@example.com"}
        ids["user_id"] = made(server, "/organizations/users", user)
    if "{invitation_id}" in path:
        email = {"email": f"{uuid.uuid4().hex}@example.com"}
        ids["invitation_id"] = made(server, "/organizations/invitations", email)
    if "{secret_id}" in path:
        place = path.removeprefix(BASE_PATH).partition("/{secret_id}")[0]
        place = place.replace("{user_id}", ids.get("user_id", ""))
        ids["secret_id"] = made(server, place, {"name": "x"})
    return ids


OF_PERSONS = (
    *("/authentication/co", "/authentication/li", "/organizations/users/me/to"),
    *("/organizations/users/me/password", "/organizations/users/me/sessions/"),
)
"""The beginnings of paths that a person calls who has a password and a session."""
CODE, HALF, LINK_CODE = "123456", "c2VhbGVk", "rT0jexampleexampleexampleexampleexampleexam"
ORGANIZATION = "Music school"
EXAMPLES_OF_PERSONS = (
    *(CODE, HALF, LINK_CODE, ORGANIZATION, EXAMPLE_TOKEN),
    *EXAMPLE_ANSWER.values(),
)


@dataclass
class SignedInServer(Server):
    """A server whose caller has a session."""

    session: str = ""

    @property
    def authorization(self) -> str:
        return f"Bearer {self.session}"


def person_for(server: Server, method: str, path: str) -> tuple[Server, dict[str, str]]:
    """Who makes a call, and what takes the place of its examples: for some, a person."""
    if not (path.startswith(OF_PERSONS) or (method, path) == ("DELETE", "/authentication")):
        return server, {}
    email = f"{uuid.uuid4().hex}@example.com"
    if "/links/" in path:
        return server, {LINK_CODE: invite(server, email)["code"]}
    person = member(server, email)
    sessions = person.call("GET", "/organizations/users/me/sessions").json
    values = {"session_id": str(sessions[0]["id"])}
    caller = SignedInServer(server.process, session=person.token)
    if path.endswith("/code") or (path.endswith("/totp") and method != "POST"):
        app = pyotp.TOTP(person.call("POST", "/organizations/users/me/totp").json["key"])
        values[CODE] = app.now()
        if method != "PUT":
            body = {"code": app.now()}
            assert person.call("PUT", "/organizations/users/me/totp", body).status == 200
            values[CODE] = app.at(int(time.time()) + app.interval)
            values[HALF] = sign_in(server, email).json["token"]
    return caller, values


def person_at_provider(
    server: Server, issuer: str, method: str, path: str
) -> tuple[Server, dict[str, str]]:
    """Who makes a call that is about an OpenID provider, and what takes the place of examples."""
    if not ("/oidc" in path or path.endswith(("/identity", "/sign-in", "/sign-in/check"))):
        return server, {}
    provider = {
        "issuer": issuer,
        "clientId": "openbulk",
        "clientSecret": "secret",
        "defaultRole": "viewer",
    }
    first = Server(server.process)
    assert first.call("PUT", "/organizations/1/sign-in", json_body=provider).status == 200
    # An example before may have renamed it.
    name = first.call("GET", "/organizations").json[0]["name"]
    if path == "/authentication/oidc":
        return server, {ORGANIZATION: name}
    subject = uuid.uuid4().hex
    claims = {"email": f"{subject}@example.com", "email_verified": True}
    assert request("PUT", f"{issuer}/users/{subject}", json_body=claims).status < 300
    begin = {"organization": name, "redirectUri": EXAMPLE_REDIRECT}
    begun = first.call("POST", "/authentication/oidc", json_body=begin).json
    answer = agree(begun["address"], subject)
    values = {
        EXAMPLE_TOKEN: begun["token"],
        EXAMPLE_ANSWER["code"]: answer["code"],
        EXAMPLE_ANSWER["state"]: answer["state"],
    }
    if not path.endswith("/me/identity") or method == "PUT":
        return server, values
    person = member(server, f"{uuid.uuid4().hex}@example.com")
    body = {"token": begun["token"], "answer": answer}
    assert person.call("PUT", path, body).status == 200
    return SignedInServer(server.process, session=person.token), {}


def made(server: Server, path: str, body: Any) -> str:
    """The id of something that is made."""
    return str(server.call("POST", path, json_body=body).json["id"])


def test_what_has_two_shapes_is_shown_in_both(server: Server, document: Any) -> None:
    """A download of version 3 has keys of its own; objects are names, or more on demand."""
    schemas = document["components"]["schemas"]
    status = server.call("GET", "/bulk/3/status").json
    assert problems_of(status, schemas["DownloadStatus"], document) == []
    assert set(schemas["DownloadStatus"]["required"]) | LATER >= keys_of(status)
    named = server.call("GET", "/objects", headers={"Elements-Version": "Helium"}).json
    assert (
        [problems_of(one, schemas["VendorObject"], document) for one in named]
        == [[]] * len(named)
        != []
    )


def is_free(schema: Any) -> bool:
    """Whether the keys of an answer are those of the service's records."""
    text = json.dumps(schema)
    return "additionalProperties" in text and not re.search(r"\$ref", text)


def test_the_page_that_shows_the_document_needs_nothing_but_this_server(server: Server) -> None:
    """Its policy runs no script that did not come from this server."""
    url = server.process.url
    page = request("GET", f"{url}/docs")
    assert page.status == 200
    named = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert named and not [one for one in named if "//" in one]
    for name in named:
        if not name.startswith("data:"):
            assert request("GET", f"{url}/{name}").status == 200, name
    policy = page.headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy and "script-src 'self';" in policy and "http" not in policy
    )
    assert "<script>" not in page.body.decode(), (
        "the policy lets no script run that stands in the page"
    )
    assert request("GET", f"{url}/docs/nothing.js").status == 404
