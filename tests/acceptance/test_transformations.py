"""Objects and fields have names of the caller's own, wherever the service's names work."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.harness import Processes, Server, request, until

TABLES = """
    CREATE TABLE people (
        id integer PRIMARY KEY, "LastName" text NOT NULL, born date, "a.b" text, age integer
    );
    CREATE TABLE kept (id integer PRIMARY KEY, "LastName" text);
"""
KEEPS_NOTHING = [{"type": "passThrough", "properties": {"fromVendor": False, "toVendor": False}}]
MEETINGS = {
    "vendorName": "events",
    "fields": [
        {"path": "title", "vendorPath": "summary"},
        {"path": "when.from", "vendorPath": "start.dateTime"},
        {"path": "when.to", "vendorPath": "end.dateTime"},
        {"path": "guests[*].mail", "vendorPath": "attendees[*].email"},
    ],
}
PEOPLE = {
    "vendorName": "people",
    "fields": [
        {"path": "number", "vendorPath": "id"},
        {"path": "name.last", "vendorPath": "LastName"},
        {"path": "birthday", "vendorPath": "born"},
        {"path": "dotted", "vendorPath": "a.b"},
    ],
}


@dataclass
class Services:
    """One server, and an instance of each service."""

    google: Server
    sqlite: Server
    eloqua: Server
    memory: Server
    folder: Path
    eloqua_url: str

    def rows(self, query: str) -> list[Any]:
        """Rows of the SQLite database itself."""
        with sqlite3.connect(self.folder / "club.db") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("transformations")
    with sqlite3.connect(folder / "club.db") as connection:
        connection.executescript(TABLES)
    with Processes(folder) as processes:
        google, eloqua = processes.sandbox("google"), processes.sandbox("eloqua")
        server = processes.server(OPENBULK_SQLITE_FOLDER=str(folder))
        yield Services(
            server.google(google),
            server.instance("sqlite", {"db.file": "club.db"}),
            server.eloqua(eloqua),
            server.instance("memory"),
            folder,
            eloqua.url,
        )


def transform(server: Server, name: str, transformation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Save a transformation of the instance, whatever was there."""
    path = f"/instances/transformations/{name}"
    server.call("DELETE", path)
    reply = server.call("POST", path, json_body=transformation)
    assert reply.status == 200, reply.body
    saved: Mapping[str, Any] = reply.json
    return saved


def refusal(server: Server, method: str, path: str, body: Any = None) -> tuple[int, str]:
    reply = server.call(method, path, json_body=body)
    return reply.status, reply.json["message"]


def written(server: Server, object: str, file: bytes, **metadata: Any) -> Mapping[str, Any]:
    """The status of a job all of whose records were taken."""
    status: Mapping[str, Any] = server.done(object, file, metadata)
    assert (status["status"], server.errors(str(status["id"]))) == ("COMPLETE", [])
    return status


def downloaded(server: Server, query: str, accept: str = "application/json") -> bytes:
    """The result of a download."""
    reply = server.call("POST", "/bulk/query", json_body={"query": query})
    assert reply.status == 200, reply.body
    status = server.finished(reply.json["id"])
    assert status["status"] == "COMPLETE", status
    path = f"/bulk/{status['id']}/{status['object_name']}"
    return server.call("GET", path, headers={"Accept": accept}).body


# --- what is saved ---


def test_a_definition_of_the_organization_is_inherited_by_its_instances(
    services: Services,
) -> None:
    server, path = services.memory, "/organizations/objects/inherited/definitions"
    own = "/instances/objects/inherited/definitions"
    body = {"fields": [{"path": "title", "type": "string"}]}
    shown = {**body, "level": "organization"}
    assert server.call("POST", path, json_body=body).json == shown
    assert server.call("GET", path).json == shown
    assert server.call("GET", "/organizations/objects/definitions").json["inherited"] == shown
    assert refusal(server, "POST", path, body) == (
        409,
        "there is a definition 'inherited'; PUT replaces it, DELETE deletes it",
    )
    added = server.call("POST", own, json_body={"fields": [{"path": "seats", "type": "number"}]})
    assert added.json == {
        "fields": [
            {"path": "title", "type": "string", "level": "organization"},
            {"path": "seats", "type": "number", "level": "instance"},
        ],
        "level": "instance",
    }
    assert server.call("GET", "/instances/objects/definitions").json["inherited"] == added.json
    mapped = {"vendorName": "records", "fields": [{"path": "seats", "vendorPath": "count"}]}
    assert transform(server, "inherited", mapped)["fields"][0]["type"] == "number"
    wrong = {"vendorName": "records", "fields": [{"path": "seat", "vendorPath": "count"}]}
    status, message = refusal(server, "PUT", "/instances/transformations/inherited", wrong)
    assert (status, message.partition(" Or")[0]) == (
        400,
        "fields[0].path 'seat' is not a field of the definition; did you mean 'seats'?",
    )
    assert server.call("DELETE", own).status == 200
    assert server.call("GET", own).json["fields"] == [
        {"path": "title", "type": "string", "level": "organization"}
    ]
    replaced = server.call("PUT", path, json_body={"fields": [{"path": "place"}]}).json
    assert replaced["fields"] == [{"path": "place", "type": "string"}]
    assert server.call("DELETE", path).status == 200
    assert [server.call("GET", one).status for one in (path, own)] == [404, 404]


def test_several_definitions_are_created_at_once_or_none(services: Services) -> None:
    server, path = services.memory, "/organizations/objects/definitions"
    one = {"fields": [{"path": "id", "type": "string"}]}
    made = server.call("POST", path, json_body={"rooms": one, "desks": one})
    assert made.json == {name: {**one, "level": "organization"} for name in ("rooms", "desks")}
    assert refusal(server, "POST", path, {"lamps": one, "rooms": one})[0] == 409
    assert "lamps" not in server.call("GET", path).json


def test_a_transformation_is_shown_as_it_was_written(services: Services) -> None:
    server = services.google
    written = {
        **MEETINGS,
        "configuration": [*KEEPS_NOTHING, {"type": "inherit"}, {"type": "addToDocumentation"}],
    }
    saved = transform(server, "shown", written)
    assert {name: saved[name] for name in saved if name not in ("startDate", "fields")} == {
        "level": "instance",
        "objectName": "shown",
        "vendorName": "events",
        "configuration": written["configuration"],
        "isLegacy": False,
    }
    assert saved["fields"][0] == {
        "type": "string",
        "path": "title",
        "vendorPath": "summary",
        "level": "instance",
    }
    path = "/instances/transformations"
    assert server.call("GET", f"{path}/shown").json == saved
    assert server.call("GET", path).json["shown"] == saved
    # What one server shows, another takes.
    again = server.call("PUT", f"{path}/shown", json_body=saved).json
    assert {**again, "startDate": saved["startDate"]} == saved
    assert server.call("DELETE", f"{path}/shown").status == 200
    assert [refusal(server, method, f"{path}/shown", MEETINGS)[0] for method in ("GET", "PUT")] == [
        404,
        404,
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"vendorName": "event"},
            "vendorName 'event' is not an object of this instance; did you mean 'events'?",
        ),
        ({"vendorName": ""}, "vendorName is missing: it is the service's name of the object"),
        ({"script": {"body": "done(transformedObject)"}}, "the transformation has a script"),
        ({"scripts": [{"body": "done()"}]}, "openbulk runs no code of its callers"),
        (
            {"configuration": [{"type": "JavaScript"}]},
            "configuration: JavaScript needs a script; openbulk runs no code",
        ),
        (
            {"configuration": [{"type": "defaultValue"}]},
            "configuration: the type 'defaultValue' is not known; it can be passThrough, inherit,",
        ),
        (
            {"configuration": [{"type": "passThrough"}]},
            "configuration: passThrough sets no direction; write",
        ),
        (
            {"configuration": [{"type": "passThrough", "properties": {"toVendor": "no"}}]},
            "configuration: toVendor of passThrough is not true or false",
        ),
        ({"feilds": []}, "the body takes no key 'feilds'; did you mean 'fields'?"),
        ({"fields": {}}, "fields is missing, or not a list"),
        ({"fields": [{"vendorPath": "summary"}]}, "fields[0].path is missing"),
        ({"fields": [{"path": "title"}]}, "fields[0].vendorPath is missing"),
        (
            {"fields": [{"path": "title", "vendorPath": "sumary"}]},
            "fields[0].vendorPath 'sumary' is not a field of 'events'; did you mean 'summary'?",
        ),
        (
            {"fields": [{"path": "day", "vendorPath": "start.day"}]},
            "fields[0].vendorPath 'start.day' is not a field of 'events'",
        ),
        (
            {"fields": [{"path": "mail", "vendorPath": "attendees[?(@.self)].email"}]},
            "fields[0].vendorPath 'attendees[?(@.self)].email' is not a path; paths look like",
        ),
        (
            {"fields": [{"path": "mail", "vendorPath": "attendees[*].email"}]},
            "fields[0]: path 'mail' is in 0 lists ([*]), and vendorPath 'attendees[*].email' in 1",
        ),
        (
            {
                "fields": [
                    {"path": "title", "vendorPath": "summary"},
                    {"path": "title", "vendorPath": "location"},
                ]
            },
            "two fields have the path 'title'; keep one of them",
        ),
        (
            {
                "fields": [
                    {"path": "title", "vendorPath": "summary"},
                    {"path": "name", "vendorPath": "summary"},
                ]
            },
            "the fields 'title' and 'name' are both sent to 'summary'; keep one of them, or let",
        ),
        (
            {
                "fields": [
                    {"path": "when", "vendorPath": "start"},
                    {"path": "when.to", "vendorPath": "end.dateTime"},
                ]
            },
            "the field 'when.to' is 'end.dateTime' at the service, and 'when' is 'start': "
            "only on one side is one field inside the other",
        ),
        (
            {"fields": [{"path": "day", "vendorPath": "start.date", "mask": "yyyy-MM-dd"}]},
            "fields[0].mask is not possible: openbulk reads dates as people write them",
        ),
        ({"fields": [{"path": "x"}] * 1_001}, "there are 1,001 fields; an object has at most"),
    ],
)
def test_what_cannot_work_is_refused_with_what_would_be_right(
    services: Services, change: Mapping[str, Any], says: str
) -> None:
    body = {**MEETINGS, **change}
    status, message = refusal(services.google, "POST", "/instances/transformations/wrong", body)
    assert (status, message[: len(says)]) == (400, says) or says in message, message
    assert services.google.call("GET", "/instances/transformations/wrong").status == 404


def test_a_name_of_the_platform_is_refused_and_a_large_transformation_too(
    services: Services,
) -> None:
    server = services.memory
    for name in ("bulk", "query", "organizations", "%3Cb%3E"):
        assert refusal(server, "POST", f"/instances/transformations/{name}", MEETINGS)[0] == 400
    fields = [{"path": f"{n}{'x' * 200}", "vendorPath": f"{n}{'y' * 200}"} for n in range(150)]
    body = {"vendorName": "records", "fields": fields}
    status, message = refusal(server, "POST", "/instances/transformations/large", body)
    assert (status, message[:51]) == (413, "the transformation takes more than 65536 bytes, whi")


def test_other_organizations_and_a_deleted_instance_have_none_of_it(services: Services) -> None:
    server = services.memory
    assert refusal(server, "GET", "/instances/999999/transformations")[0] == 404
    other = server.instance("memory", name="deleted")
    transform(other, "own", {"vendorName": "records"})
    other.call("POST", "/instances/objects/own/definitions", json_body={"fields": [{"path": "a"}]})
    assert "own" not in server.call("GET", "/instances/transformations").json
    number = next(
        one["id"] for one in server.call("GET", "/instances").json if one["name"] == "deleted"
    )
    assert server.call("GET", f"/instances/{number}/transformations").json.keys() == {"own"}
    assert server.call("DELETE", f"/instances/{number}").status == 200
    assert refusal(server, "GET", f"/instances/{number}/transformations")[0] == 404
    with sqlite3.connect(server_database(services)) as ledger:
        for table in ("transformations", "definitions"):
            count = f"SELECT count(*) FROM {table} WHERE instance_id = {number}"
            assert ledger.execute(count).fetchone() == (0,)


def server_database(services: Services) -> Path:
    """The file of the server's ledger."""
    return next(services.folder.rglob("ledger.db"))


# --- what can be done under the new names ---


def test_events_are_uploaded_read_and_changed_under_own_names(services: Services) -> None:
    server = services.google
    transform(server, "meetings", MEETINGS)
    file = (
        b"Title,when.from,when.to,guests[0].mail,location\n"
        b"Choir,2026-06-04T19:00:00Z,2026-06-04T21:00:00Z,bob@example.com,Hall\n"
    )
    written(server, "meetings", file)
    (choir,) = server.call("GET", "/meetings?where=title%3D'Choir'").json
    (event,) = server.call("GET", "/events?where=summary%3D'Choir'").json
    assert (event["summary"], event["location"]) == ("Choir", "Hall")
    assert choir["title"] == "Choir" and "summary" not in choir
    assert choir["when"] == {
        "from": event["start"]["dateTime"],
        "to": event["end"]["dateTime"],
    }
    assert choir["guests"] == [{"mail": "bob@example.com"}]
    # Fields without a name of their own pass through.
    assert (choir["id"], choir["location"]) == (event["id"], "Hall")
    made = server.call(
        "POST",
        "/hubs/scheduling/meetings",
        json_body={
            "title": "Band",
            "when": {"from": "2026-07-04T19:00:00Z", "to": "2026-07-04T20:00:00Z"},
        },
    ).json
    path = f"/meetings/{made['id']}"
    assert server.call("PATCH", path, json_body={"title": "Big band"}).json["title"] == "Big band"
    assert server.call("GET", path).json["when"] == made["when"]
    status, message = refusal(server, "PATCH", path, {"when": {"from": "soon"}})
    assert (status, message[:31]) == (400, "when.from 'soon' is not a date ")
    assert refusal(server, "PATCH", path, {"titel": "x"}) == (
        400,
        "'titel' is not a field of meetings; did you mean 'title'?",
    )
    assert server.call("DELETE", path).status == 200
    assert refusal(server, "GET", "/meetings/nothing") == (
        404,
        "'meetings' has no record 'nothing'",
    )
    written(server, "meetings", json.dumps([choir]).encode(), action="delete")
    assert server.call("GET", "/meetings").json == []


def test_objects_and_their_fields_are_listed_under_own_names(services: Services) -> None:
    server = services.google
    transform(server, "listed", MEETINGS)
    names = server.call("GET", "/objects").json
    assert names.count("listed") == 1 and "events" in names
    shown = server.call("GET", "/objects", headers={"Elements-Version": "Helium"}).json
    assert {"name": "listed", "vendorName": "events", "type": "vdr"} in shown
    fields = server.call("GET", "/objects/listed/metadata").json["fields"]
    paths = {one["path"]: one["vendorPath"] for one in fields}
    assert list(paths.items())[:6] == [
        ("title", "summary"),
        ("when", "start"),
        ("when.from", "start.dateTime"),
        ("when.to", "end.dateTime"),
        ("guests", "attendees"),
        ("guests[*].mail", "attendees[*].email"),
    ]
    assert paths["location"] == "location"
    assert not {"summary", "start.dateTime", "attendees[*].email"} & paths.keys()
    assert "start.timeZone" in paths
    transform(server, "listed", {**MEETINGS, "configuration": KEEPS_NOTHING})
    fields = server.call("GET", "/objects/listed/metadata").json["fields"]
    assert [one["path"] for one in fields] == list(paths)[:6]


def test_fields_without_a_name_are_removed_if_the_transformation_says_so(
    services: Services,
) -> None:
    server = services.sqlite
    transform(server, "members", {**PEOPLE, "configuration": KEEPS_NOTHING})
    status = written(server, "members", b"number,name.last,birthday,age\n1,Novak,2001-02-03,25\n")
    assert services.rows('SELECT id, "LastName", born, age FROM people') == [
        (1, "Novak", "2001-02-03", None)
    ]
    assert status["infoMessage"] == (
        "the column 'age' was left out: the service sets it itself, or the transformation does "
        "not send it"
    )
    reply = server.upload("members", b"number,name.lats\n2,Li\n")
    assert (reply.status, reply.json["message"]) == (
        400,
        "'name.lats' is not a field of members; did you mean 'name.last'?",
    )
    (row,) = server.call("GET", "/members").json
    assert row == {
        "number": 1,
        "birthday": "2001-02-03",
        "dotted": None,
        "name": {"last": "Novak"},
    }
    # The key is removed from what is shown, and still says which record.
    transform(
        server,
        "members",
        {**PEOPLE, "fields": PEOPLE["fields"][1:], "configuration": KEEPS_NOTHING},
    )
    assert server.call("GET", "/members/1").json["name"] == {"last": "Novak"}
    changed = server.call("PATCH", "/members/1", json_body={"name": {"last": "Novák"}}).json
    assert changed == {"name": {"last": "Novák"}, "birthday": "2001-02-03", "dotted": None}
    written(server, "members", b"id,name.last\n1,Nowak\n", action="update")
    written(server, "members", b"id\n1\n", action="delete")
    assert services.rows("SELECT * FROM people") == []


def test_one_field_is_only_shown_and_one_is_only_sent(services: Services) -> None:
    server = services.sqlite
    only_shown = [{"type": "passThrough", "properties": {"fromVendor": True, "toVendor": False}}]
    only_sent = [{"type": "remove", "properties": {"fromVendor": True, "toVendor": False}}]
    fields = [
        PEOPLE["fields"][0],
        PEOPLE["fields"][1],
        {"path": "birthday", "vendorPath": "born", "configuration": only_shown},
        {"path": "years", "vendorPath": "age", "configuration": only_sent},
    ]
    transform(server, "ways", {"vendorName": "people", "fields": fields})
    written(server, "ways", b"number,name.last,birthday,years\n3,Ito,2001-02-03,25\n")
    assert services.rows("SELECT born, age FROM people WHERE id = 3") == [(None, 25)]
    services.rows("UPDATE people SET born = '1999-01-01' WHERE id = 3")
    (row,) = server.call("GET", "/ways?where=number%3D3").json
    assert (row.get("birthday"), "years" in row, "age" in row) == ("1999-01-01", False, False)
    written(server, "ways", b"number\n3\n", action="delete")


@pytest.mark.parametrize("file", ["csv", "json", "jsonl"])
def test_rows_are_upserted_by_an_identifier_of_the_callers_own(
    services: Services, file: str
) -> None:
    server = services.sqlite
    transform(server, "club", PEOPLE)
    records = [{"number": 7, "name": {"last": "A"}}, {"number": 8, "name": {"last": "B"}}]
    lines = [json.dumps(record) for record in records]
    files = {
        "csv": "number,NAME.LAST\n7,A\n8,B\n",
        "json": f"[{','.join(lines)}]",
        "jsonl": "\n".join(lines),
    }
    for _ in range(2):
        written(server, "club", files[file].encode(), action="upsert", identifierFieldName="number")
    assert services.rows('SELECT id, "LastName" FROM people') == [(7, "A"), (8, "B")]
    written(server, "club", b"number\n7\n8\n", action="delete")


def test_messages_name_the_callers_own_field(services: Services) -> None:
    server = services.sqlite
    transform(server, "faulty", {**PEOPLE, "fields": [*PEOPLE["fields"], AGE]})
    status = server.done(
        "faulty",
        b"number,name.last,birthday,years.old\n"
        b"11,Ok,2001-02-03,4\n12,,2001-02-03,4\n13,Li,31.09.2001,4\n14,Li,,old\n",
    )
    errors = server.errors(str(status["id"]))
    assert [(one["rowNum"], one["field"]) for one in errors] == [
        (2, "name.last"),
        (3, "birthday"),
        (4, "years.old"),
    ]
    for error in errors:
        assert error["field"] in error["error"]
        assert not any(name in error["error"] for name in ("LastName", "born", "age "))
    reply = server.upload("faulty", b"birthday\n2001-02-03\n", {"action": "update"})
    assert (reply.status, reply.json["message"]) == (
        400,
        "number is missing: it identifies a record, and no row that can be read has it (they have "
        "birthday); metaData.identifierFieldName can name another column",
    )
    reply = server.upload("faulty", b"number,id,name.last\n1,1,x\n")
    assert (reply.status, reply.json["message"]) == (
        400,
        "the columns 'number' and 'id' both mean number; keep one of them",
    )
    written(server, "faulty", b"number\n11\n", action="delete")


AGE = {"path": "years.old", "vendorPath": "age"}


def test_a_query_has_the_callers_names_in_every_clause(services: Services) -> None:
    server = services.sqlite
    transform(server, "asked", PEOPLE)
    written(
        server,
        "asked",
        b"number,name.last,birthday,dotted\n"
        b"21,Novak,2001-02-03,x\n22,Li,2002-02-03,y\n23,Ito,1990-02-03,z\n",
    )
    query = (
        "select name.last, birthday from asked where birthday > 2000-01-01 and "
        "not dotted = 'q' order by name.last desc"
    )
    assert downloaded(server, query, "text/csv").decode().splitlines() == [
        "name.last,birthday",
        "Novak,2001-02-03",
        "Li,2002-02-03",
    ]
    assert json.loads(downloaded(server, "select name from asked where number = 22")) == [
        {"name": {"last": "Li"}}
    ]
    assert refusal(server, "POST", "/bulk/query", {"query": "select LastName from asked"}) == (
        400,
        "'asked' has no field 'LastName'",
    )
    assert refusal(server, "POST", "/bulk/query", {"query": "select birhday from asked"}) == (
        400,
        "'asked' has no field 'birhday'; did you mean 'birthday'?",
    )
    v3 = server.call(
        "POST",
        "/bulk/download",
        json_body={"objectName": "asked", "selectFields": "number", "where": "name.last = 'Ito'"},
    )
    shown = server.call("GET", f"/bulk/{v3.json['id']}").json
    assert (shown["objectName"], shown["defaultSelectFields"]) == ("asked", "number")
    server.finished(v3.json["id"])
    assert server.call("GET", f"/bulk/{v3.json['id']}/asked/data").json == [{"number": 23}]
    found = server.call(
        "GET", "/asked?fields=number,name.last&orderBy=name.last&where=number%3C30"
    ).json
    assert [one["number"] for one in found] == [23, 22, 21]
    # What was downloaded can be uploaded.
    whole = downloaded(server, "select * from asked")
    written(server, "asked", whole, action="update")
    written(server, "asked", b"number\n21\n22\n23\n", action="delete")


def test_a_calendar_file_has_the_services_names(services: Services) -> None:
    server = services.google
    transform(server, "calendar-files", MEETINGS)
    event = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a@example.com\r\n"
        "DTSTART:20260604T190000Z\r\nDTEND:20260604T210000Z\r\nSUMMARY:From a calendar\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    written(server, "calendar-files", event.encode())
    job = server.call("POST", "/bulk/query?q=select%20*%20from%20calendar-files").json["id"]
    server.finished(job)
    path = f"/bulk/{job}/calendar-files"
    assert [one["title"] for one in server.call("GET", f"{path}/data").json] == ["From a calendar"]
    refused = server.call("GET", path, headers={"Accept": "text/calendar"})
    assert (refused.status, refused.json["message"].rpartition("; ")[2]) == (
        400,
        "the fields of 'calendar-files' have names of your own, and this format has the "
        "service's: download 'events', or fetch another format",
    )
    written(server, "events", event.encode(), action="delete")


def test_a_field_that_the_service_no_longer_has_is_unknown(services: Services) -> None:
    server = services.sqlite
    fields = [
        {"path": "number", "vendorPath": "id"},
        {"path": "surname", "vendorPath": "LastName"},
    ]
    transform(server, "stale", {"vendorName": "kept", "fields": fields})
    services.rows('ALTER TABLE kept DROP COLUMN "LastName"')
    reply = server.upload("stale", b"number,surname\n1,x\n")
    assert (reply.status, reply.json["message"]) == (
        400,
        "'surname' is not a field of stale; its fields are: number",
    )
    written(server, "stale", b"number\n1\n")
    assert server.call("GET", "/stale").json == [{"number": 1}]
    services.rows("DROP TABLE kept")
    # The connector remembers tables for a while; a changed instance connects again.
    server.call("PATCH", "/instances", json_body={"name": "connected again"})
    assert refusal(server, "GET", "/stale")[1].startswith(
        "'stale' is 'kept' at the service, which has no such object any more; the objects are: "
    )


def test_changes_are_read_although_the_date_of_change_is_removed(services: Services) -> None:
    server = services.google
    transform(server, "changed", {**MEETINGS, "configuration": KEEPS_NOTHING})
    written(
        server, "changed", b"title,when.from,when.to\nNew,2026-06-04T19:00Z,2026-06-04T21:00Z\n"
    )
    for since, titles in (("2020-01-01T00:00:00Z", ["New"]), ("2100-01-01T00:00:00Z", [])):
        reply = server.call(
            "POST", f"/bulk/query?from={since}", json_body={"query": "select * from changed"}
        )
        job_id = server.finished(reply.json["id"])["id"]
        data = server.call("GET", f"/bulk/{job_id}/changed/data").json
        assert [one["title"] for one in data] == titles
        assert all(one.keys() == {"title", "when"} for one in data)


def test_a_services_own_bulk_import_takes_the_callers_names(services: Services) -> None:
    server = services.eloqua
    contact = {
        "vendorName": "contact",
        "fields": [
            {"path": "mail", "vendorPath": "C_EmailAddress"},
            {"path": "name.first", "vendorPath": "C_FirstName"},
        ],
    }
    transform(server, "contacts-of-ours", contact)
    status = server.done(
        "contacts-of-ours", b"mail,name.first\nann@example.com,Ann\nnot-a-mail,Bob\n"
    )
    (error,) = server.errors(str(status["id"]))
    assert (error["rowNum"], error["field"]) == (2, "mail")
    found = json.loads(downloaded(server, "select mail, name.first from contacts-of-ours"))
    assert {"mail": "ann@example.com", "name": {"first": "Ann"}} in found


def test_a_workflow_reads_and_writes_under_own_names(services: Services) -> None:
    source, target = services.sqlite, services.memory
    transform(source, "flowing", {**PEOPLE, "configuration": KEEPS_NOTHING})
    transform(
        target,
        "arriving",
        {
            "vendorName": "records",
            "fields": [
                {"path": "number", "vendorPath": "No"},
                {"path": "name.last", "vendorPath": "Surname"},
            ],
        },
    )
    written(source, "flowing", b"number,name.last\n31,Novak\n")
    body = [
        {
            "query": "select number, name.last from flowing where number = 31",
            "targetConfiguration": {"token": target.element_token, "objectName": "arriving"},
        }
    ]
    run = source.call("POST", "/bulk/workflows", json_body=body).json["id"]

    def transfer() -> Any:
        found = source.call("GET", "/bulkloader").json
        return next(
            (one for one in found if one["groupName"] == run and one["status"] != "RUNNING"), None
        )

    done = until(transfer, 120, "the workflow ends")
    assert (done["status"], done["sourceObjectName"], done["targetObjectName"]) == (
        "COMPLETED",
        "flowing",
        "arriving",
    )
    raw = source_records(target)
    assert any(one.get("No") == 31 and one.get("Surname") == "Novak" for one in raw)
    written(source, "flowing", b"number\n31\n", action="delete")


def source_records(memory: Server) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = memory.call("GET", "/records").json
    return found


def test_a_job_keeps_the_names_that_it_began_with_after_a_change_and_a_kill(
    processes: Processes, tmp_path: Path
) -> None:
    sandbox = processes.sandbox("google", "--latency-ms", "300")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    transform(server, "meetings", MEETINGS)
    rows = [f"T{n},2026-06-04T19:00Z,2026-06-04T21:00Z" for n in range(60)]
    file = "\n".join(["title,when.from,when.to", *rows]).encode()
    job_id = server.upload("meetings", file).json["id"]
    reading = server.call("POST", "/bulk/query", json_body={"query": "select title from meetings"})
    other = {"vendorName": "events", "fields": [{"path": "title", "vendorPath": "location"}]}
    changed = server.call("PUT", "/instances/transformations/meetings", json_body=other)
    assert changed.status == 200, changed.body
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id)
    assert (status["status"], server.errors(job_id)) == ("COMPLETE", [])
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert sorted(one["summary"] for one in events) == sorted(f"T{n}" for n in range(60))
    assert not any("location" in one for one in events)
    download = server.finished(reading.json["id"])["id"]
    shown = server.call("GET", f"/bulk/{download}/meetings/data").json
    assert all(one.keys() == {"title"} for one in shown)
    # A job that continues another one keeps its names, too.
    body = {"continueFromJobId": download}
    continued = server.call("POST", "/bulk/query", json_body=body)
    assert continued.status == 200, continued.body
    server.finished(continued.json["id"])
