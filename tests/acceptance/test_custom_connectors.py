"""Custom connectors: a service of the tests' own, imported by its export, from file to record."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from custom_connector.service import Service
from support.harness import Processes, Reply, Server

EXPORT = Path(__file__).parents[2] / "examples" / "custom_connector" / "acmecrm.json"
START_SECONDS = 10.0


class RunningService:
    """The service, in a thread of its own."""

    def __init__(self) -> None:
        self.service = Service()
        self.url = ""

    def __enter__(self) -> "RunningService":
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{started.result(START_SECONDS)}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self, started: "Future[int]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self.service.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set_result(int(runner.addresses[0][1]))
        await self._stop.wait()
        await runner.cleanup()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("custom")) as processes:
        yield processes.server()


@pytest.fixture
def service() -> Iterator[RunningService]:
    with RunningService() as running:
        yield running


def export_of(key: str, url: str, **more: Any) -> dict[str, Any]:
    """The example's export under a key, for a service at an address."""
    export: dict[str, Any] = json.loads(EXPORT.read_text())
    export["configuration"][0]["defaultValue"] = url
    return {**export, "key": key, **more}


def entry(export: dict[str, Any], key: str) -> dict[str, Any]:
    """An entry of the configuration of an export."""
    found: dict[str, Any] = next(one for one in export["configuration"] if one["key"] == key)
    return found


def add(server: Server, export: dict[str, Any]) -> Any:
    reply = server.call("POST", "/elements", json_body=export)
    assert reply.status == 200, reply.body
    return reply.json


def refusal(reply: Reply, status: int) -> str:
    assert reply.status == status, reply.body
    message: str = reply.json["message"]
    return message


def test_a_file_goes_into_a_service_that_nobody_knew_and_out_again(
    server: Server, service: RunningService
) -> None:
    """Records are uploaded, read page by page, changed and deleted, one by one and in bulk."""
    export = export_of("whole", f"{service.url}/offset")
    # The service ignores this one: openbulk looks for itself.
    export["resources"][0]["parameters"].append({"name": "name", "type": "query"})
    made = add(server, export)
    assert (made["key"], made["hub"]) == ("whole", "crm")
    assert [one["place"] for one in made["leftOut"]] == ["resources[5]"]
    instance = server.instance("whole", {"api.key": "secret"})
    assert instance.call("GET", "/objects").json == ["contacts"]
    rows = "".join(f"p{n}@example.com,P{n},{20 + n}\n" for n in range(7))
    file = f"email,name,age\n{rows}p@example.com,P,old\nnobody,N,1\n".encode()
    status = instance.done("contacts", file, {"action": "create"})
    counts = (status["status"], status["recordsCount"], status["recordsFailedCount"])
    assert counts == ("COMPLETE", 9, 2)
    assert {one["error"] for one in instance.errors(status["id"])} == {
        "age is 'old'; it is a whole number, such as 12",
        "email is not an address",
    }
    listed = instance.call("GET", "/contacts?pageSize=3")
    assert len(listed.json) == 3
    token = listed.headers["elements-next-page-token"]
    following = instance.call("GET", f"/hubs/crm/contacts?pageSize=3&nextPage={token}").json
    assert not {one["id"] for one in listed.json} & {one["id"] for one in following}
    by_name = "/contacts?where=name%20like%20'P%25'%20and%20name%20%3C%20'P2'"
    assert {one["name"] for one in instance.call("GET", by_name).json} == {"P0", "P1"}
    (third,) = instance.call("GET", "/contacts?where=name='P3'").json
    assert third["email"] == "p3@example.com"
    (one,) = instance.call("GET", "/contacts?where=age=24").json
    assert one["email"] == "p4@example.com"
    job = instance.call(
        "POST", "/bulk/query?q=select%20email,age%20from%20contacts%20where%20age%3E24"
    )
    assert instance.finished(job.json["id"])["recordsCount"] == 2
    csv = instance.call("GET", f"/bulk/{job.json['id']}/contacts", headers={"Accept": "text/csv"})
    assert sorted(csv.body.decode().split()[1:]) == ["p5@example.com,25", "p6@example.com,26"]
    path = f"/contacts/{one['id']}"
    assert instance.call("PATCH", path, json_body={"age": 50}).json["age"] == 50
    assert instance.call("GET", path).json["age"] == 50
    assert instance.call("DELETE", path).status == 200
    assert "has no record" in refusal(instance.call("GET", path), 404)
    alone = instance.call("POST", "/contacts", json_body={"email": "q@example.com"})
    assert (alone.status, alone.json["email"]) == (200, "q@example.com")
    ids = "".join(f"{key}\n" for key in [*service.service.people, one["id"]])
    removed = instance.done("contacts", f"id\n{ids}".encode(), {"action": "delete"})
    assert (removed["recordsCount"], removed["recordsFailedCount"]) == (8, 0)
    assert service.service.people == {}


def test_an_export_is_kept_given_back_replaced_and_deleted(
    server: Server, service: RunningService
) -> None:
    """It has no secrets. An instance keeps it from being deleted, and keeps its own secrets."""
    export = export_of("KEPT", f"{service.url}/offset", bulkUploadEnabled=False)
    entry(export, "api.key")["defaultValue"] = "s3cr3t"
    made = add(server, export)
    assert made["key"] == "kept"
    assert (made["description"], made["authentication"]) == (
        "The address book of Acme.",
        {"type": "custom"},
    )
    settings = {one["key"]: one for one in made["configuration"]}
    assert settings["base.url"]["defaultValue"] == f"{service.url}/offset"
    assert settings["api.key"] == {
        "key": "api.key",
        "name": "API key",
        "description": "API key",
        "type": "PASSWORD",
        "required": True,
    }
    for path in ("/elements/kept", f"/elements/{made['id']}"):
        assert server.call("GET", path).json == made
    whole = ("configuration", "leftOut")
    short = {name: value for name, value in made.items() if name not in whole}
    assert short in server.call("GET", "/elements").json
    assert short in server.call("GET", "/hubs/crm/elements").json
    given_back = server.call("GET", "/elements/kept/export")
    assert b"s3cr3t" not in given_back.body
    del entry(export, "api.key")["defaultValue"]
    assert given_back.json == export
    assert "already; change it with PUT" in refusal(
        server.call("POST", "/elements", json_body=export), 409
    )
    instance = server.instance("kept", {"api.key": "secret"})
    shown = instance.call("GET", "/instances").json
    (of_instance,) = (one["element"] for one in shown if one["element"]["key"] == "kept")
    assert of_instance == {name: made[name] for name in ("id", "key", "name", "hub")}
    metadata = instance.call("GET", "/elements/kept/metadata").json
    assert metadata["bulk"] == {"upload": True, "download": True}
    assert "has an instance" in refusal(server.call("DELETE", "/elements/kept"), 409)
    moved = export_of("kept", "http://127.0.0.2:1/offset")
    assert "base.url would send their secrets to another host" in refusal(
        server.call("PUT", "/elements/kept", json_body=moved), 409
    )
    del export["resources"][4]
    entry(export, "base.url")["defaultValue"] = f"{service.url}/page"
    entry(export, "pagination.type")["defaultValue"] = "page"
    export["resources"][0]["parameters"][1]["vendorName"] = "page"
    assert server.call("PUT", "/elements/kept", json_body=export).status == 200
    service.service.people = {str(n): {"id": n, "email": "a@b.c"} for n in range(5)}
    assert len(instance.call("GET", "/contacts?pageSize=4").json) == 4
    assert service.service.requests[-1].path == "/page/people"
    assert "cannot delete" in refusal(instance.call("DELETE", "/contacts/1"), 405)
    number = next(one["id"] for one in shown if one["element"]["key"] == "kept")
    assert server.call("DELETE", f"/instances/{number}").status == 200
    assert server.call("DELETE", "/elements/kept").status == 200
    for path in ("/elements/kept", "/elements/kept/export"):
        assert "there is no element 'kept'" in refusal(server.call("GET", path), 404)


def test_the_key_of_a_service_of_openbulks_own_stays_its_own(server: Server) -> None:
    for key in ("googlecalendar", "Memory"):
        export = export_of(key, "https://api.example.com")
        assert "openbulk's own" in refusal(server.call("POST", "/elements", json_body=export), 409)
        path = f"/elements/{key.lower()}"
        for reply in (
            server.call("PUT", path, json_body=export),
            server.call("DELETE", path),
            server.call("GET", f"{path}/export"),
        ):
            assert "openbulk's own" in refusal(reply, 409)


def test_the_key_of_a_custom_connector_is_not_that_of_a_call(server: Server) -> None:
    for key in ("keys", "Metadata"):
        export = export_of(key, "https://api.example.com")
        reply = server.call("POST", "/elements", json_body=export)
        assert "is a call of its own" in refusal(reply, 409)


def test_the_calls_of_the_platform_know_custom_connectors(
    server: Server, service: RunningService
) -> None:
    """Lists of keys and metadata, the instances below an element, and the check of a sign-in."""
    export = export_of("around", f"{service.url}/offset", bulkUploadEnabled=False)
    export["objects"][0]["bulkUploadEnabled"] = False
    made = add(server, export)
    assert "around" in server.call("GET", "/elements/keys").json
    listed = {one["key"]: one for one in server.call("GET", "/elements/metadata").json}
    of_one = server.call("GET", "/elements/around/metadata").json
    assert listed["around"] == of_one
    assert of_one["bulk"] == {"upload": False, "download": True}
    for name in ("id", "description", "image", "authentication"):
        assert of_one[name] == made[name]
    instance = server.instance("around", {"api.key": "secret"})
    assert instance.call("GET", "/ping").json["endpoint"] == "around"
    for element in ("around", made["id"]):
        path = f"/elements/{element}/instances"
        (one,) = server.call("GET", path).json
        assert one["element"]["key"] == "around"
        kept = server.call("PATCH", f"{path}/{one['id']}", json_body={"element": made})
        assert kept.status == 200, kept.body
    moved = server.call("PATCH", f"{path}/{one['id']}", json_body={"element": {"key": "sqlite"}})
    assert "cannot become one of 'sqlite'" in refusal(moved, 400)
    assert server.call("GET", f"/elements/sqlite/instances/{one['id']}").status == 404
    entries = instance.call("GET", "/instances/configuration").json
    assert "api.key" in {entry["key"] for entry in entries}


def test_bulk_needs_the_permission_of_the_export_and_single_records_do_not(
    server: Server, service: RunningService
) -> None:
    export = export_of("single", f"{service.url}/offset")
    export["objects"][0] |= {"bulkUploadEnabled": False, "bulkDownloadEnabled": False}
    add(server, export)
    instance = server.instance("single", {"api.key": "secret"})
    made = instance.call("POST", "/contacts", json_body={"email": "a@example.com"})
    assert made.status == 200
    assert len(instance.call("GET", "/contacts").json) == 1
    upload = instance.upload("contacts", b"email\nb@example.com\n", {"action": "create"})
    assert "does not set bulkUploadEnabled" in refusal(upload, 400)
    download = instance.call("POST", "/bulk/query?q=select%20*%20from%20contacts")
    assert "does not set bulkDownloadEnabled" in refusal(download, 400)


def test_a_person_signs_in_by_oauth_and_a_busy_service_costs_no_record(
    server: Server, service: RunningService
) -> None:
    export = export_of("signed", f"{service.url}/cursor", authentication={"type": "oauth2"})
    export["parameters"] = []
    export["configuration"][1:2] = [
        {"key": "oauth.authorization.url", "defaultValue": f"{service.url}/oauth/authorize"},
        {"key": "oauth.token.url", "defaultValue": f"{service.url}/oauth/token"},
    ]
    entry(export, "pagination.type")["defaultValue"] = "cursor"
    export["resources"][0] |= {"nextPageKey": "body.paging.next"}
    export["resources"][0]["parameters"][1] |= {"name": "nextPage", "vendorName": "after"}
    add(server, export)
    application = {"oauth.api.key": "client", "oauth.api.secret": "client-secret"}
    asked = "apiKey=client&callbackUrl=https://me.example.com/back"
    address = server.call("GET", f"/elements/signed/oauth/url?{asked}").json["oauthUrl"]
    assert address.startswith(f"{service.url}/oauth/authorize?response_type=code&client_id=client")
    wrong = server.call(
        "POST",
        "/instances",
        json_body={
            "element": {"key": "signed"},
            "configuration": application,
            "providerData": {"code": "wrong"},
        },
    )
    assert wrong.status != 200
    instance = server.instance("signed", application, providerData={"code": "code"})
    service.service.busy = 2
    file = "email\n" + "".join(f"p{n}@example.com\n" for n in range(20))
    status = instance.done("contacts", file.encode(), {"action": "create"})
    assert (status["recordsCount"], status["recordsFailedCount"]) == (20, 0)
    assert len(service.service.people) == 20
    job = instance.call("POST", "/bulk/query?q=select%20*%20from%20contacts&pageSize=6").json["id"]
    assert instance.finished(job)["recordsCount"] == 20


def test_what_strangers_send_is_bounded_and_refused_with_a_sentence(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    for body, status, sentence in (
        (b"{", 400, "the body is not JSON"),
        (b"[]", 400, "the body is not a JSON object"),
        (b'{"key": "a", "key": "b"}', 400, "has the key 'key' twice"),
        (b'{"key": "a", "x": ' + b"[" * 99 + b"]" * 99 + b"}", 400, "nested more than 32 levels"),
        (b'{"key": "a", "resources": 1}', 400, "resources is not a list"),
        (b'{"key": [' + b"1," * 60_000 + b"1]}", 413, "more than 50,000 values"),
    ):
        reply = server.call("POST", "/elements", body=body, headers=headers)
        assert sentence in refusal(reply, status)


def test_a_client_of_the_live_service_gets_400_for_a_file_that_the_export_does_not_allow(
    processes: Processes, service: RunningService
) -> None:
    """The vendor's own test suite relies on it (`elementbuilder/bulk.js` of churros)."""
    server = processes.server(OPENBULK_COMPATIBILITY="live")
    add(server, export_of("live", f"{service.url}/offset"))
    export = export_of("strict", f"{service.url}/offset", bulkUploadEnabled=False)
    export["objects"][0]["bulkUploadEnabled"] = False
    add(server, export)
    file = b"email\nb@example.com\n"
    allowed = server.instance("live", {"api.key": "secret"})
    assert allowed.done("contacts", file, {"action": "create"})["status"] == "COMPLETED"
    refused = server.instance("strict", {"api.key": "secret"}).upload("contacts", file)
    assert "does not set bulkUploadEnabled" in refusal(refused, 400)
