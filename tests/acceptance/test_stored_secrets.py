"""Stored secrets go to no other host than the one that they were stored for."""

from typing import Any

import pytest

from support.harness import Process, Processes, Server
from support.postgres import Postgres
from support.receiver import Receiver


@pytest.fixture
def sandbox(shared_eloqua: Process) -> Process:
    return shared_eloqua


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


def make(server: Server, sandbox: Process) -> str:
    """The path of an instance that is signed in with a password."""
    configuration = {"base.url": sandbox.url, "username": "Acme\\ann", "password": "s3cret-word"}
    body = {"element": {"key": "eloqua"}, "configuration": configuration}
    made = server.call("POST", "/instances", json_body=body)
    assert made.status == 200, made.body
    return f"/instances/{made.json['id']}"


def change(server: Server, path: str, **entries: Any) -> Any:
    configuration = {name.replace("_", "."): value for name, value in entries.items()}
    return server.call("PATCH", path, json_body={"configuration": configuration})


@pytest.mark.parametrize("password", [{}, {"password": "********"}])
def test_a_new_host_does_not_get_the_stored_password(
    server: Server, sandbox: Process, receiver: Receiver, password: dict[str, str]
) -> None:
    path = make(server, sandbox)
    reply = change(server, path, base_url=receiver.url, **password)
    assert (reply.status, reply.json["message"]) == (
        400,
        "base.url would send the stored password to another host; "
        "send it again in the same request",
    )
    entry = server.call(
        "PATCH", f"{path}/configuration/base.url", json_body={"propertyValue": receiver.url}
    )
    assert entry.status == 400
    assert receiver.received == []
    assert server.call("GET", path).json["configuration"]["base.url"] == sandbox.url


def test_a_new_host_gets_a_password_that_comes_with_it(
    processes: Processes, server: Server, sandbox: Process
) -> None:
    path, other = make(server, sandbox), processes.sandbox("eloqua")
    assert change(server, path, base_url=other.url, password="s3cret-word").status == 200
    assert server.call("GET", path).json["configuration"]["base.url"] == other.url


def test_the_same_host_keeps_the_password(server: Server, sandbox: Process) -> None:
    path = make(server, sandbox)
    assert change(server, path, base_url=f"{sandbox.url}/").status == 200
    assert server.call("PATCH", path, json_body={"name": "Marketing"}).status == 200


@pytest.mark.parametrize("entry", [{"db_host": "127.0.0.2"}, {"db_port": "5433"}])
def test_another_host_or_port_of_a_database_does_not_get_the_stored_password(
    server: Server, postgres: Postgres, entry: dict[str, str]
) -> None:
    configuration = postgres.configuration("postgres")
    body = {"element": {"key": "postgresql"}, "configuration": configuration}
    path = f"/instances/{server.call('POST', '/instances', json_body=body).json['id']}"
    reply = change(server, path, **entry)
    assert (reply.status, "the stored password to another host" in reply.json["message"]) == (
        400,
        True,
    )
    # What else changes at the same server needs no secret.
    assert change(server, path, db_schema="public").status == 200


BASIC = {
    "event.notification.basic.username": "openbulk",
    "event.notification.basic.password": "s3cret-word",
}


def load(server: Server, callback: str) -> Any:
    """Upload a record; the answer."""
    headers = {"Elements-Async-Callback-Url": callback}
    return server.upload("records", b"name\nAnn\n", headers=headers)


def test_the_password_of_callbacks_goes_to_the_first_host_alone(
    server: Server, receiver: Receiver
) -> None:
    school = server.instance("memory", BASIC)
    elsewhere = receiver.url.replace("127.0.0.1", "localhost")
    assert load(school, receiver.url).status == 200
    receiver.wait_for(1)
    assert "authorization" in receiver.received[0].headers
    refused = load(school, elsewhere)
    assert (refused.status, refused.json["message"]) == (
        400,
        "callbacks of this instance carry its headers and password, and go to 127.0.0.1 alone; "
        "to allow localhost, add it to event.notification.callback.hosts",
    )
    # Whoever may change the instance needs its password to list another host.
    hosts = {"event.notification.callback.hosts": "127.0.0.1, localhost"}
    reply = school.call("PATCH", "/instances", json_body={"configuration": hosts})
    assert (reply.status, "event.notification.basic.password" in reply.json["message"]) == (
        400,
        True,
    )
    reply = school.call("PATCH", "/instances", json_body={"configuration": hosts | BASIC})
    assert reply.status == 200
    assert load(school, elsewhere).status == 200
    receiver.wait_for(2)
    assert "authorization" in receiver.received[1].headers


def test_callbacks_without_a_password_go_to_any_host(server: Server, receiver: Receiver) -> None:
    school = server.instance("memory")
    assert load(school, receiver.url).status == 200
    assert load(school, receiver.url.replace("127.0.0.1", "localhost")).status == 200
    receiver.wait_for(2)
