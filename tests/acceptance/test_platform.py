"""The platform around the bulk service: what clients of the live service call beside jobs.

Each test is named for the client that needs it. Those of `live` run against one server with
OPENBULK_COMPATIBILITY=live, and those of `seed` against one without.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from support.harness import (
    BASE_PATH,
    ORGANIZATION_SECRET,
    USER_SECRET,
    Processes,
    Reply,
    Server,
    request,
    until,
)

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
MASK = "********"
CONTRACT_HEADERS = (
    "Elements-Returned-Count, Elements-Total-Count, Elements-Request-Id, Elements-Next-Page-Token, "
    "Elements-Trace-Id, Elements-Error, Content-Disposition"
)
HTML = '<a href="#" onClick="alert(\'xss\')">choir</a>'


def started(processes: Processes, folder: Path, **settings: Any) -> Server:
    with closing(sqlite3.connect(folder / "crm.db")) as database:
        database.executescript(
            "create table contacts (contact_id integer primary key, last_name text);"
            "insert into contacts values (1, 'Ant'), (2, 'Bee'), (3, 'Bee'), (4, 'Cat');"
        )
    return processes.server(
        OPENBULK_SQLITE_FOLDER=str(folder),
        OPENBULK_USER=EMAIL,
        OPENBULK_PASSWORD=PASSWORD,
        **settings,
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("live")
    with Processes(folder) as processes:
        yield started(processes, folder, OPENBULK_COMPATIBILITY="live")


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("seed")
    with Processes(folder) as processes:
        yield started(processes, folder)


def called(reply: Reply) -> Any:
    """The JSON of an answer that succeeded."""
    assert reply.status == 200, reply.body
    return reply.json


def refused(reply: Reply, status: int) -> str:
    """The sentence of an answer that failed."""
    assert reply.status == status, reply.body
    return str(reply.json["message"])


# --- signing in ---


def sign_in(server: Server, username: str, password: str) -> Reply:
    body = {"username": username, "password": password}
    return request("POST", f"{server.process.url}{BASE_PATH}/authentication", json_body=body)


def bearer(server: Server, token: str, path: str) -> Reply:
    headers = {"Authorization": f"Bearer {token}"}
    return request("GET", f"{server.process.url}{BASE_PATH}{path}", headers=headers)


def test_the_vendors_suite_signs_in_and_swaps_its_token_for_the_secrets(seed: Server) -> None:
    """Its other calls may carry the token, too. Who tries passwords is stopped, and others not."""
    signed_in = called(sign_in(seed, EMAIL.upper(), PASSWORD))
    assert (signed_in["twoFactor"], signed_in["registeredForTwoFactor"]) == (False, False)
    token = signed_in["token"]
    secrets = bearer(seed, token, "/authentication/secrets")
    assert called(secrets) == {
        "userSecret": USER_SECRET,
        "organizationSecret": ORGANIZATION_SECRET,
    }
    assert secrets.headers["cache-control"] == "no-store"
    assert called(bearer(seed, token, "/hubs/keys"))
    for name, password in ((EMAIL, "wrong horse battery"), ("bob@example.com", PASSWORD)):
        assert "user name or the password is wrong" in refused(sign_in(seed, name, password), 401)
    assert "not one of this server" in refused(bearer(seed, "bm9uZQ==", "/hubs"), 401)
    unsigned = seed.call("GET", "/authentication/secrets")
    assert "'Authorization: Bearer <token>'" in refused(unsigned, 401)
    # One more is allowed every six seconds, so a slow machine needs some more.
    tried = (sign_in(seed, EMAIL, f"password number {n}").status for n in range(60))
    assert 15 < sum(1 for _ in takewhile(lambda status: status == 401, tried)) < 60
    assert called(sign_in(seed, EMAIL.upper(), PASSWORD))
    log = seed.process.log()
    for secret in (PASSWORD, "wrong horse battery", token, USER_SECRET, ORGANIZATION_SECRET):
        assert secret not in log


def test_what_the_vendors_suite_does_before_and_after_each_of_its_tests(live: Server) -> None:
    """It signs in, swaps the token, makes an instance, uses it without a hub, and deletes it."""
    base = f"{live.process.url}{BASE_PATH}"
    agent = {"User-Agent": "Churrosbot/ann@example.com"}
    token = called(sign_in(live, EMAIL, PASSWORD))["token"]
    # A filter that finds nothing is 404, also for the token.
    assert bearer(live, token, "/instances?tags[]=churros-instance").status == 404
    found = called(bearer(live, token, "/authentication/secrets"))
    secrets = f"User {found['userSecret']}, Organization {found['organizationSecret']}"
    headers = {**agent, "Authorization": secrets}
    for path in ("/instances", "/elements/memory/instances"):
        body = {
            "name": "churros-instance",
            "element": {"key": "memory"},
            "configuration": {
                "event.notification.enabled": "true",
                "event.notification.signature.key": "",
                "extra.oauth.params": {"access_type": "offline"},
            },
        }
        made = request("POST", base + path, json_body=body, headers=headers).json
        own = {**agent, "Authorization": f"{secrets}, Element {made['token']}"}
        assert request("GET", f"{base}/ping", headers=own).json["endpoint"] == "memory"
        created = request("POST", f"{base}/records", json_body={"name": "Ann"}, headers=own)
        assert created.headers["elements-element-instance-id"] == str(made["id"])
        where = quote(f"id='{created.json['id']}'")
        (one,) = request("GET", f"{base}/hubs/crap/records?where={where}", headers=own).json
        assert one == created.json
        # The whole answer is sent back with another name.
        put = {**made, "name": "updated-instance"}
        changed = request("PUT", f"{base}{path}/{made['id']}", json_body=put, headers=own).json
        assert (changed["name"], changed["token"]) == ("updated-instance", made["token"])
        gone = request(
            "DELETE",
            f"{base}{path}/{made['id']}",
            body=b"null",
            headers={**headers, "Content-Type": "application/json"},
        )
        assert (gone.status, request("GET", f"{base}/records", headers=own).status) == (200, 401)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """A server that has made its secrets itself, and has no instance."""
    made: dict[str, Any] = {"OPENBULK_USER_SECRET": "", "OPENBULK_ORGANIZATION_SECRET": ""}
    with Processes(tmp_path_factory.mktemp("fresh")) as processes:
        processes.server(**made, OPENBULK_PASSWORD=PASSWORD)
        yield processes


def test_secrets_that_the_first_start_made_are_shown_too(fresh: Processes) -> None:
    """The server reads them from the file that has them. Its user is the default one."""
    server = Server(fresh.started[0])
    token = called(sign_in(server, "admin@localhost", PASSWORD))["token"]
    shown = called(bearer(server, token, "/authentication/secrets"))
    kept = (fresh.folder / "data" / "first-secrets").read_text()
    assert shown["userSecret"] in kept and shown["organizationSecret"] in kept


# --- instances ---


def test_the_vendors_suite_reads_who_made_an_instance_and_its_token(
    live: Server, seed: Server
) -> None:
    """The token is shown again under `live` alone, also after it was replaced."""
    for server, shows in ((live, True), (seed, False)):
        made = server.instance("memory", name="Mine")
        (number,) = [
            one["id"]
            for one in called(server.call("GET", "/instances?tags[]=Mine"))
            if one["name"] == "Mine"
        ]
        one = called(server.call("GET", f"/instances/{number}"))
        assert one["user"] == {
            "id": 1,
            "emailAddress": EMAIL,
            "firstName": "ann",
            "lastName": "",
        }
        assert (one["valid"], one["cachingEnabled"], one["maxCacheSize"]) == (True, False, 0)
        assert one["token"] == (made.element_token if shows else MASK)
        new = called(server.call("POST", f"/instances/{number}/token"))["token"]
        listed = called(server.call("GET", f"/elements/memory/instances/{number}"))
        assert (listed["token"], new) == (new if shows else MASK, new)
        assert called(server.call("DELETE", f"/elements/memory/instances/{number}")) == {}


def test_the_vendors_suite_manages_instances_below_their_element(seed: Server) -> None:
    """By key and by number; an instance of another element is not there."""
    memory = called(seed.call("GET", "/elements/memory"))["id"]
    for base in ("/elements/memory/instances", f"/elements/{memory}/instances"):
        number = called(seed.call("POST", base, json_body={"name": "Below"}))["id"]
        assert called(seed.call("GET", f"{base}/{number}"))["name"] == "Below"
        shown = called(seed.call("GET", f"{base}?searchText=below&pageSize=1"))
        assert [(one["id"], "createdDate" in one) for one in shown] == [(number, True)]
        for method in ("PUT", "PATCH"):
            body = {"name": "Above", "element": {"key": "memory"}}
            assert called(seed.call(method, f"{base}/{number}", json_body=body))["name"] == "Above"
        elsewhere = f"/elements/eloqua/instances/{number}"
        for method in ("GET", "DELETE"):
            assert "is one of 'memory'" in refused(seed.call(method, elsewhere), 404)
        assert called(seed.call("GET", "/elements/eloqua/instances")) == []
        gone = seed.call("DELETE", f"{base}/{number}", json_body=None, body=b"null")
        assert called(gone) == {}
        assert seed.call("GET", f"{base}/{number}").status == 404


def test_the_vendors_suite_reads_and_changes_the_configuration_of_its_own_token(
    seed: Server,
) -> None:
    mine = seed.instance("memory", {"event.notification.enabled": "false"})
    entries = called(mine.call("GET", "/instances/configuration"))
    (entry,) = [one for one in entries if one["key"] == "event.notification.enabled"]
    path = f"/instances/configuration/{entry['id']}"
    changed = called(mine.call("PATCH", path, json_body={**entry, "propertyValue": "true"}))
    assert called(mine.call("GET", path)) == changed == {**entry, "propertyValue": "true"}
    body = {"event.notification.enabled": False}
    entries = called(mine.call("PATCH", "/instances/configuration", json_body=body))
    assert {**entry, "propertyValue": "false"} in entries
    assert "token is missing" in refused(seed.call("GET", "/instances/configuration"), 401)


def test_the_vendors_suite_finds_instances_by_their_name_as_a_tag(seed: Server) -> None:
    """A new name is the new tag. Tags that are given replace all, also by none."""
    made = called(seed.call("POST", "/elements/memory/instances", json_body={"name": "churros"}))
    path = f"/instances/{made['id']}"
    assert made["tags"] == ["churros"]
    (found,) = called(seed.call("GET", "/instances?tags[]=churros"))
    assert found["id"] == made["id"]
    renamed = called(seed.call("PATCH", path, json_body={"name": "tacos"}))
    assert (renamed["tags"], seed.call("GET", "/instances?tags[]=churros").status) == (
        ["tacos"],
        404,
    )
    long = called(seed.call("PATCH", path, json_body={"name": "x" * 201}))
    again = called(seed.call("PUT", path, json_body={**long, "name": "tacos"}))
    assert (long["tags"], again["tags"]) == ([], [])
    assert called(seed.call("PUT", path, json_body={**renamed, "tags": []}))["tags"] == []
    assert len(called(seed.call("GET", "/instances?tags[]=tacos"))) == 1
    tagged = called(seed.call("PATCH", path, json_body={"id": made["id"], "tags": ["weekly"]}))
    assert (tagged["tags"], len(called(seed.call("GET", "/instances?tags[]=weekly")))) == (
        ["weekly"],
        1,
    )


def test_the_vendors_suite_names_the_element_by_number_and_sends_objects_as_values(
    seed: Server,
) -> None:
    """An instance stays one of its element; an object as a value is kept, and masked."""
    elements = {one["key"]: one["id"] for one in called(seed.call("GET", "/elements"))}
    body = {
        "element": {"id": elements["memory"]},
        "configuration": {"extra.oauth.params": {"audience": "api", "scopes": ["a", "b"]}},
    }
    made = called(seed.call("POST", "/instances", json_body=body))
    assert made["configuration"] == {"extra.oauth.params": MASK}
    path = f"/instances/{made['id']}"
    for wanted in (elements["memory"], str(elements["memory"])):
        body = {"element": {"id": wanted}}
        assert called(seed.call("PATCH", path, json_body=body))["element"] == made["element"]
    body = {"element": {"id": elements["eloqua"]}}
    message = refused(seed.call("PATCH", path, json_body=body), 400)
    assert "is one of 'memory', and cannot become one of 'eloqua'" in message
    both = seed.call("POST", "/elements/memory/instances", json_body=body)
    assert "the path names the element 'memory', and the body" in refused(both, 400)
    entry = f"{path}/configuration/event.metadata"
    value = {"polling": {"contacts": {"url": "/contacts"}}}
    changed = called(seed.call("PATCH", entry, json_body={"propertyValue": value}))
    assert changed["propertyValue"] == '{"polling":{"contacts":{"url":"/contacts"}}}'
    too_long = {"propertyValue": ["x" * 30_000]}
    message = refused(seed.call("PATCH", entry, json_body=too_long), 400)
    assert "it can have at most 20000" in message


def test_the_vendors_suite_is_refused_by_a_disabled_instance(seed: Server) -> None:
    mine = seed.instance("memory")
    assert called(mine.call("DELETE", "/instances/enabled"))["disabled"] is True
    for method, path, body in (
        ("GET", "/records", None),
        ("POST", "/hubs/crm/records", {"name": "Ann"}),
        ("GET", "/objects", None),
        ("GET", "/ping", None),
        ("POST", "/bulk/query?q=select%20*%20from%20records", None),
    ):
        assert "enable it" in refused(mine.call(method, path, json_body=body), 403), path
    called(mine.call("PUT", "/instances/enabled"))
    called(mine.call("GET", "/records"))


def test_the_vendors_suite_lists_the_objects_of_a_disabled_instance(live: Server) -> None:
    """As the live service does, so under `live` alone. Its records are refused there, too."""
    mine = live.instance("memory")
    called(mine.call("DELETE", "/instances/enabled"))
    assert called(mine.call("GET", "/objects")) == ["records", "log"]
    assert "enable it" in refused(mine.call("GET", "/records"), 403)


def test_names_with_html_in_them_are_kept_and_no_answer_is_a_page(live: Server) -> None:
    """Nothing is cut out of a name, and no browser takes an answer for HTML."""
    made = live.call("POST", "/elements/memory/instances", json_body={"name": HTML})
    number = called(made)["id"]
    renamed = live.call("PATCH", f"/instances/{number}", json_body={"name": f"{HTML}!"})
    one = live.call("GET", f"/instances/{number}")
    for reply, name in ((made, HTML), (renamed, f"{HTML}!"), (one, f"{HTML}!")):
        assert (reply.json["name"], reply.json["tags"]) == (name, [name])
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"


# --- headers and hubs ---


def test_the_vendors_suite_learns_the_number_of_the_instance_from_each_call(seed: Server) -> None:
    mine = seed.instance("memory")
    number = str(called(mine.call("PATCH", "/instances", json_body={}))["id"])
    for method, path in (
        ("GET", "/records"),
        ("GET", "/objects"),
        ("GET", "/hubs/crm/objects/records/metadata"),
        ("GET", "/circus"),
        ("GET", "/bulk/jobs"),
    ):
        assert mine.call(method, path).headers["elements-element-instance-id"] == number, path
    assert "elements-element-instance-id" not in seed.call("GET", "/instances").headers


def test_the_vendors_suite_and_browsers_may_read_the_headers_of_the_contract(seed: Server) -> None:
    """In its order, and ours after them."""
    reply = seed.call("GET", "/elements", headers={"Origin": "churros"})
    exposed = reply.headers["access-control-expose-headers"]
    assert exposed == f"{CONTRACT_HEADERS}, Elements-Element-Instance-Id, Idempotent-Replayed"


def test_the_vendors_suite_sends_any_hub(seed: Server) -> None:
    mine = seed.instance("memory", {"space": "hubs"})
    called(mine.call("POST", "/records", json_body={"name": "Ann"}))
    plain = called(mine.call("GET", "/records?pageSize=1"))
    for hub in ("crm", "documents", "crap", "cr%C3%A4p"):
        assert called(mine.call("GET", f"/hubs/{hub}/records?pageSize=1")) == plain != []
        assert called(mine.call("GET", f"/hubs/{hub}/bulk/jobs")) == []
    assert "there is no hub 'crap'" in refused(mine.call("GET", "/hubs/crap"), 404)


def test_the_vendors_suite_reads_hubs_with_their_calls(seed: Server) -> None:
    hubs = called(seed.call("GET", "/hubs?hydrate=true"))
    assert all(one["resources"] for one in hubs)
    mine = seed.instance("memory")
    for call in hubs[0]["resources"]:
        if call["method"] == "GET" and "{" not in call["path"]:
            called(mine.call("GET", call["path"]))
    assert called(seed.call("GET", "/hubs?hydrate=")) == called(seed.call("GET", "/hubs"))
    assert "must be true or false" in refused(seed.call("GET", "/hubs?hydrate=7"), 400)


def test_the_vendors_suite_lists_keys_and_metadata_of_elements(seed: Server) -> None:
    """Each element has what the suite's schemas ask for."""
    elements = called(seed.call("GET", "/elements"))
    keys = called(seed.call("GET", "/elements/keys"))
    assert keys == [one["key"] for one in elements] != []
    every = called(seed.call("GET", "/elements/metadata"))
    assert [one["key"] for one in every] == keys
    for one, key in zip(every, keys, strict=True):
        assert one == called(seed.call("GET", f"/elements/{key}/metadata"))
        assert one["events"] == {"supported": False, "methods": []}
        element = called(seed.call("GET", f"/elements/{key}"))
        assert element["name"] in element["description"]
        assert element["image"].startswith("data:image/svg+xml,")
        assert element["authentication"]["type"] in ("oauth2", "custom")


# --- objects and records ---


def contacts(server: Server) -> Server:
    return server.instance("sqlite", {"db.file": "crm.db"})


def test_the_vendors_suite_finds_an_id_in_a_table_whose_key_has_another_name(
    seed: Server,
) -> None:
    """It creates, reads, searches, changes and deletes by `id`, as with every other object."""
    crm = contacts(seed)
    made = called(crm.call("POST", "/hubs/db/contacts", json_body={"last_name": "Dog"}))
    assert made["id"] == made["contact_id"] > 4
    path = f"/hubs/db/contacts/{made['id']}"
    assert called(crm.call("GET", path)) == made
    for where in (f"id='{made['id']}'", f"not id != {made['id']} and id in ({made['id']})"):
        assert called(crm.call("GET", f"/hubs/db/contacts?where={quote(where)}")) == [made]
    ordered = called(crm.call("GET", "/contacts?fields=id&orderBy=id%20desc&pageSize=1"))
    assert ordered == [{"id": made["id"], "contact_id": made["id"]}]
    changed = called(crm.call("PATCH", path, json_body={**made, "last_name": "Eel"}))
    assert changed == {**made, "last_name": "Eel"}
    both = {"id": 7, "contact_id": 8, "last_name": "Fox"}
    message = refused(crm.call("POST", "/contacts", json_body=both), 400)
    assert "id and contact_id differ" in message
    named = called(crm.call("POST", "/contacts", json_body={"id": 70, "last_name": "Fox"}))
    assert named["contact_id"] == 70
    unnamed = called(crm.call("POST", "/contacts", json_body={"id": None, "last_name": "Gnu"}))
    assert unnamed["id"] > 70
    for number in (made["id"], 70, unnamed["id"]):
        assert called(crm.call("DELETE", f"/contacts/{number}")) == {}


def test_the_vendors_suite_selects_records_by_a_query(seed: Server) -> None:
    """With a limit over several pages. A text that is no query is left to the service."""
    crm = contacts(seed)

    def selected(query: str, more: str = "") -> Reply:
        return crm.call("GET", f"/hubs/db/contacts?q={quote(query)}{more}")

    bees = called(selected("select * from contacts where last_name = 'Bee' order by id desc"))
    assert [one["id"] for one in bees] == [3, 2]
    first = selected("SELECT contact_id FROM contacts LIMIT 3", "&pageSize=2&where=")
    token = first.headers["elements-next-page-token"]
    rest = selected("SELECT contact_id FROM contacts LIMIT 3", f"&pageSize=2&nextPage={token}")
    assert [one["id"] for one in (*called(first), *called(rest))] == [1, 2, 3]
    assert "elements-next-page-token" not in rest.headers
    assert called(selected("select * from contacts limit 0")) == []
    assert "name the same object" in refused(selected("select * from companies"), 400)
    assert "is not understood" in refused(selected("select * contacts"), 400)
    assert "leave where" in refused(selected("select * from contacts", "&where=id=1"), 400)
    for text in ("Bee", "selected works"):
        assert len(called(selected(text))) == 4


def test_the_vendors_suite_asks_for_custom_fields_alone(seed: Server) -> None:
    """A table has none: its columns are the object."""
    crm = contacts(seed)
    path = "/hubs/db/objects/contacts/metadata"
    every = called(crm.call("GET", path))["fields"]
    assert [(one["vendorPath"], one["custom"]) for one in every] == [
        ("contact_id", False),
        ("last_name", False),
    ]
    assert called(crm.call("GET", f"{path}?customFieldsOnly=true")) == {"fields": []}
    assert called(crm.call("GET", f"{path}?customFieldsOnly="))["fields"] == every


class SignInPage(BaseHTTPRequestHandler):
    """Eloqua's sign-in, which counts."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"urls": {"base": "http://127.0.0.1:1"}}')

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_the_vendors_suite_pings_the_service_of_an_instance(live: Server) -> None:
    """Each ping is a real call. A service that is away or refuses is in test_problems.py."""
    assert called(contacts(live).call("GET", "/hubs/db/ping"))["endpoint"] == "sqlite"
    with ThreadingHTTPServer(("127.0.0.1", 0), SignInPage) as service:
        Thread(target=service.serve_forever, daemon=True).start()
        signed_in = {"username": "Acme\\ann", "password": "secret"}
        signed_in["base.url"] = f"http://127.0.0.1:{service.server_port}"
        eloqua = live.instance("eloqua", signed_in)
        for number, path in enumerate(("/hubs/marketing/ping", "/ping", "/ping"), 2):
            pong = called(eloqua.call("GET", path))
            assert (pong["endpoint"], pong["valid"], pong["dateTime"][-1]) == ("eloqua", True, "Z")
            assert SignInPage.calls == number
        service.shutdown()


def test_clients_of_eloqua_use_the_plural_of_its_objects(
    live: Server, processes: Processes
) -> None:
    """In single calls, jobs, queries, schedules and metadata. The list of objects has one name."""
    eloqua = live.eloqua(processes.sandbox("eloqua"))
    hub = "/hubs/marketing"
    job = eloqua.done("contacts", b"C_EmailAddress\nann@example.com\n")
    assert (job["recordsCount"], job["recordsFailedCount"]) == (1, 0)
    (ann,) = called(eloqua.call("GET", f"{hub}/contacts"))
    assert called(eloqua.call("GET", f"{hub}/contact/{ann['id']}")) == ann
    assert called(eloqua.call("GET", f"{hub}/contacts?q=select%20*%20from%20contact")) == [ann]
    for one, many in (
        ("contact", "contacts"),
        ("account", "accounts"),
        ("list", "lists"),
        ("campaign", "campaigns"),
    ):
        fields = called(eloqua.call("GET", f"/objects/{one}/metadata"))
        assert called(eloqua.call("GET", f"{hub}/objects/{many}/metadata")) == fields
    for many, values in (
        ("contacts", {"C_EmailAddress": "bob@example.com"}),
        ("accounts", {"M_CompanyName": "Bob & Sons"}),
    ):
        new = called(eloqua.call("POST", f"{hub}/{many}", json_body=values))
        assert new.items() >= values.items()
        assert called(eloqua.call("GET", f"{hub}/{many}/{new['id']}")) == new
        assert new["id"].isdecimal()
    made = called(eloqua.call("POST", f"{hub}/lists", json_body={"name": "Spring"}))
    assert called(eloqua.call("GET", f"/list/{made['id']}"))["name"] == "Spring"
    query = called(eloqua.call("POST", "/bulk/query?q=select%20*%20from%20contacts"))
    assert eloqua.finished(query["id"])["recordsCount"] == 2
    assert b"ann@example.com" in eloqua.call("GET", f"/bulk/{query['id']}/contacts").body
    assert called(eloqua.call("GET", "/objects")) == [
        "activities",
        "contact",
        "campaign",
        "list",
        "account",
    ]


def test_clients_of_google_calendar_learn_whether_a_rule_or_its_calendar_is_missing(
    live: Server, processes: Processes
) -> None:
    """So for an event, too."""
    google = live.google(processes.sandbox("google"))
    for method in ("GET", "PATCH", "DELETE"):
        for path, missing in (
            ("calendars/primary/access-control-list/user:bob@example.com", "has no rule of access"),
            ("calendars/primary/events/nothing", "has no event"),
            ("calendars/circus/access-control-list/default", "there is no such calendar"),
            ("calendars/circus/events/nothing", "there is no such calendar"),
        ):
            change = {"summary": "x"} if "events" in path else {"role": "reader"}
            body = change if method == "PATCH" else None
            reply = google.call(method, f"/hubs/scheduling/{path}", json_body=body)
            # The look-up before a deletion refuses the record, not the path.
            is_look_up = (method, path) == ("DELETE", "calendars/circus/events/nothing")
            message = refused(reply, 400 if is_look_up else 404)
            assert missing in message, (method, path, message)


# --- jobs and schedules ---


def test_clients_of_the_live_service_send_dates_to_objects_that_date_no_changes(
    live: Server, seed: Server
) -> None:
    """They have no effect, and the job says so. Without `live`, they are refused."""
    query = f"/bulk/query?q={quote('select * from log')}&from=2026-01-01T00:00:00Z"
    body = {"objectName": "log", "to": "2026-01-01T00:00:00Z", "from": "2025-01-01T00:00:00Z"}
    workflow = {
        "query": "select * from records",
        "from": "2026-01-01T00:00:00Z",
        "targetConfiguration": {"objectName": "log"},
    }
    for server in (live, seed):
        mine = server.instance("memory", {"space": "dates"})
        workflow["targetConfiguration"] = {"objectName": "log", "token": mine.element_token}
        every_year = {"Elements-Schedule-Request": "0 0 0 1 1 ? *"}
        replies = [
            mine.call("POST", query),
            mine.call("POST", "/bulk/download", json_body=body),
            mine.call("POST", "/bulk/workflows", json_body=[workflow]),
            mine.call("POST", "/bulk/workflows", json_body=[workflow], headers=every_year),
        ]
        if server is seed:
            for reply in replies:
                assert "has no date of change" in refused(reply, 400)
            continue
        first, second = (called(reply)["id"] for reply in replies[:2])
        assert mine.finished(first)["infoMessage"] == "from has no effect on this job"
        assert mine.finished(second)["statusMessage"] == "from, to have no effect on this job"
        group = called(replies[2])["id"]
        transfer = until(partial(transfers_of, mine, group), 20.0, "the workflow")[0]
        download = called(mine.call("GET", f"/bulk/{transfer['sourceJobId']}/status"))
        assert download["infoMessage"] == "from has no effect on this job"
        called(replies[3])


def transfers_of(server: Server, group: str) -> list[dict[str, Any]]:
    """The finished transfers of a workflow."""
    listed = called(server.call("GET", "/bulkloader"))
    return [one for one in listed if (one["groupName"], one["status"]) == (group, "COMPLETED")]


def test_the_vendors_suite_makes_a_schedule_without_an_element_token(fresh: Processes) -> None:
    """For a path that openbulk can repeat, and an instance that is named or the only one.

    It counts instances, too.
    """
    server = Server(fresh.started[0])
    token = called(sign_in(server, "admin@localhost", PASSWORD))["token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    job: dict[str, Any] = {
        "method": "POST",
        "uri": "/elements/api-v2/hubs/messaging/bulk/query",
        "name": "Churros test job",
        "description": "What the name says, duh",
        "trigger": {"cron": "0 0/15 * 1/1 * ? *"},
        "query": {"q": "select * from records", "where": ""},
        "headers": {},
    }

    def scheduled(**more: Any) -> Reply:
        return server.call("POST", "/jobs", json_body={**job, **more}, headers=signed_in)

    def instance() -> Any:
        path = "/elements/memory/instances"
        return called(server.call("POST", path, json_body={}, headers=signed_in))["token"]

    assert '"instanceId": 1' in refused(scheduled(), 400)
    instance()
    made = called(scheduled())
    assert (made["instanceId"], made["name"]) == (1, "Churros test job")
    token_of_second = instance()
    assert called(server.call("GET", "/instances/count", headers=signed_in)) == {
        "totalInstances": 2,
        "elementInstances": {"memory": 2},
    }
    assert "the request names none of your instances" in refused(scheduled(), 400)
    named = scheduled(headers={"Authorization": f"Element {token_of_second}"})
    assert called(named)["instanceId"] == 2
    assert called(scheduled(instanceId=1))["instanceId"] == 1
    query = quote("select id from records")
    shown = called(scheduled(uri=f"/bulk/query?q={query}&where=", query={}, instanceId=2))
    assert shown["data"]["body"]["q"] == "select id from records"
    twice = scheduled(uri=f"/bulk/query?q={query}", instanceId=2)
    assert "'q' is given twice" in refused(twice, 400)
    message = refused(scheduled(method="GET", uri="/records"), 400)
    assert "method 'GET' cannot be scheduled; only POST can" in message
    for uri in ("/elements/api-v2/hubs/messaging/messages", "/instances"):
        message = refused(scheduled(uri=uri), 400)
        assert "cannot be scheduled; these can: /bulk/workflows, /bulk/query" in message
    wrong = scheduled(headers={"authorization": "Element nobody's"})
    assert "headers.Authorization" in refused(wrong, 400)
    listed = server.call("GET", "/jobs", headers=signed_in)
    assert (len(called(listed)), token_of_second in listed.body.decode()) == (4, False)
