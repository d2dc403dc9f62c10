"""`Instance <number>` in the header Authorization stands for an instance's token."""

from collections.abc import Iterator

import pytest

from support.harness import Processes, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("server")) as processes:
        yield processes.server()


def named(server: Server, number: str) -> dict[str, str]:
    return {"Authorization": f"{Server(server.process).authorization}, Instance {number}"}


def test_the_number_of_an_instance_stands_for_its_token(server: Server) -> None:
    instance = server.instance("memory")
    reply = server.call("GET", "/objects", headers=named(server, str(instance.instance_id)))
    assert (reply.status, "records" in reply.json) == (200, True)
    assert reply.headers["elements-element-instance-id"] == instance.instance_id


@pytest.mark.parametrize("number", ["999", "0", "-1", "x", "9" * 30, "²"])
def test_a_number_that_is_none_of_the_organization_is_404(server: Server, number: str) -> None:
    headers = named(server, number)
    reply = server.call("GET", "/objects", headers=headers)
    assert (reply.status, "GET /instances lists yours" in reply.json["message"]) == (404, True)


def test_an_instance_of_another_organization_is_404(server: Server) -> None:
    instance = server.instance("memory")
    body = {"name": "Others", "email": "owner@others.example"}
    other = server.call("POST", "/organizations", json_body=body).json
    secrets = f"User {other['userSecret']}, Organization {other['organizationSecret']}"
    headers = {"Authorization": f"{secrets}, Instance {instance.instance_id}"}
    assert server.call("GET", "/objects", headers=headers).status == 404


def test_the_number_alone_signs_nobody_in(server: Server) -> None:
    instance = server.instance("memory")
    headers = {"Authorization": f"Instance {instance.instance_id}"}
    assert server.call("GET", "/objects", headers=headers).status == 401


def test_a_key_that_may_only_read_writes_nothing_with_a_number(server: Server) -> None:
    instance = server.instance("memory")
    body = {"name": "reader", "scopes": ["read"]}
    key = server.call("POST", "/organizations/users/me/secrets", json_body=body).json["secret"]
    headers = {"Authorization": f"Bearer {key}, Instance {instance.instance_id}"}
    assert server.call("GET", "/records", headers=headers).status == 200
    reply = server.call("POST", "/records", headers=headers, json_body={"id": "1"})
    assert reply.status == 403
