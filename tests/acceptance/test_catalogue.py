"""The catalogue of hubs and elements, which clients read before they sign in anywhere."""

import pytest

from support.harness import Process, Server


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


def test_hubs_and_elements_are_listed(server: Server) -> None:
    """By key, by number, and by hub; what is not there is 404, and says what is."""
    elements = server.call("GET", "/elements").json
    assert {"googlecalendar", "eloqua", "memory"} <= {one["key"] for one in elements}
    (calendar,) = server.call("GET", "/hubs/scheduling/elements").json
    assert (calendar["key"], calendar["hub"]) == ("googlecalendar", "scheduling")
    assert server.call("GET", "/hubs/crm/elements").json == []
    assert (
        server.call("GET", f"/elements/{calendar['id']}").json
        == server.call("GET", "/elements/googlecalendar").json
    )
    assert server.call("GET", "/elements/eloqua/metadata").json["bulk"] == {
        "upload": True,
        "download": True,
    }
    keys = server.call("GET", "/hubs/keys").json
    assert [one["key"] for one in server.call("GET", "/hubs").json] == keys
    assert server.call("GET", "/hubs/scheduling").json["key"] == "scheduling"
    for path in (
        "/hubs/circus",
        "/hubs/circus/elements",
        "/elements/circus",
        "/elements/99/metadata",
    ):
        reply = server.call("GET", path)
        assert (reply.status, "there is no" in reply.json["message"]) == (404, True), path


def test_an_element_says_what_can_be_done_with_each_object_of_the_instance_that_asks(
    server: Server, shared_eloqua: Process
) -> None:
    """For an instance of another element, or a service that is away, the objects are absent."""
    instance = server.eloqua(shared_eloqua)
    metadata = instance.call("GET", "/elements/eloqua/metadata").json
    objects = {one["name"]: one["bulk"] for one in metadata["resources"]}
    assert objects["contact"] == {
        "upload": {"supported": True, "native": True},
        "download": {"supported": True},
    }
    assert objects["activities"] == {
        "upload": {"supported": False, "native": False},
        "download": {"supported": True},
    }
    assert instance.call("GET", "/objects").json == list(objects)
    plain = {name: value for name, value in metadata.items() if name != "resources"}
    assert server.call("GET", "/elements/eloqua/metadata").json == plain
    assert "resources" not in instance.call("GET", "/elements/memory/metadata").json


def test_an_element_says_what_its_instances_are_configured_with(server: Server) -> None:
    """The type of a secret entry is PASSWORD."""
    configuration = {
        one["key"]: one
        for one in server.call("GET", "/elements/googlecalendar").json["configuration"]
    }
    assert configuration["oauth.api.secret"]["type"] == "PASSWORD"
    assert configuration["base.url"]["type"] == "TEXTFIELD_255"
    assert all(one["description"] for one in configuration.values())


def test_objects_come_in_two_versions(server: Server) -> None:
    """Names, or JSON objects; the older one is the default."""
    memory = server.instance("memory")
    assert memory.call("GET", "/objects").json == ["records", "log"]
    helium = memory.call(
        "GET", "/hubs/general/objects", headers={"Elements-Version": "Helium"}
    ).json
    assert helium == [
        {"name": name, "vendorName": name, "type": "vendor"} for name in ("records", "log")
    ]
