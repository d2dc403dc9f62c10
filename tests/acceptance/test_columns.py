"""Columns become fields in one way for every service; what cannot work is refused at once."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.harness import Processes, Reply, Server, request
from support.postgres import Postgres

CASES = Path(__file__).parents[1] / "cases" / "records"
EVENT = b"start.date,end.date\n2026-03-01,2026-03-02\n"
TABLES = """
    CREATE TABLE people (
        id integer PRIMARY KEY, "LastName" text, email text, "a.b" text, doubled AS (id * 2)
    );
    CREATE TABLE twins (id integer PRIMARY KEY, "Straße" text);
    CREATE TABLE keyless (a text);
"""


@dataclass
class Services:
    """One server, and an instance of each service."""

    server: Server
    memory: Server
    sqlite: Server
    google: Server
    eloqua: Server
    eloqua_url: str

    def __getitem__(self, name: str) -> Server:
        instance: Server = getattr(self, name)
        return instance


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("columns")
    with sqlite3.connect(folder / "club.db") as connection:
        connection.executescript(TABLES)
    with Processes(folder) as processes:
        google, eloqua = processes.sandbox("google"), processes.sandbox("eloqua")
        server = processes.server(OPENBULK_SQLITE_FOLDER=str(folder))
        yield Services(
            server,
            server.instance("memory"),
            server.instance("sqlite", {"db.file": "club.db"}),
            server.google(google),
            server.eloqua(eloqua),
            eloqua.url,
        )


def created(server: Server, object: str, file: bytes, **metadata: Any) -> Mapping[str, Any]:
    """The status of a job all of whose records were taken."""
    status: Mapping[str, Any] = server.done(object, file, metadata)
    assert (status["status"], server.errors(str(status["id"]))) == ("COMPLETE", [])
    return status


UPSERT = {"action": "upsert"}


@pytest.mark.parametrize(
    ("service", "object", "file", "metadata", "says"),
    [
        ("google", "event", EVENT, {}, "there is no object 'event'; did you mean 'events'?"),
        ("eloqua", "Contacts", b"C_City\nx\n", {}, "did you mean 'contact'?"),
        ("memory", "log", b"a\n1\n", {"action": "delete"}, "'log' cannot delete; metaData.action"),
        ("eloqua", "contact", b"C_City\nx\n", {"action": "delete"}, "'contact' cannot delete"),
        (
            "google",
            "events",
            b"Sumary,start.date,end.date\nx,2026-03-01,2026-03-02\n",
            {},
            "'Sumary' is not a field of events; did you mean 'summary'?",
        ),
        (
            "google",
            "events",
            b'[{"summary": "x", "start": {"dat": "2026-03-01"}}]',
            {},
            "'start.dat' is not a field of events; did you mean 'start.date'?",
        ),
        (
            "google",
            "events",
            b"summary\nx\n",
            {},
            "start is missing: no row that can be read has it (they have summary)",
        ),
        (
            "google",
            "events",
            b"summary,Start,End\nx,2026-03-01,2026-03-02\n",
            {},
            "the column 'Start' has to be named start.dateTime or start.date; "
            "the column 'End' has to be named end.dateTime or end.date",
        ),
        (
            "google",
            "events",
            b"summary,start.date,Ende\nx,2026-03-01,2026-03-02\n",
            {},
            "'Ende' is not a field of events; did you mean 'end.dateTime' or 'end.date'?",
        ),
        (
            "google",
            "events",
            b'[{"summary": "x", "start": {"date": "2026-03-01"}, "ende": {"date": "2026-03-02"}}]',
            {},
            "'ende' is not a field of events; did you mean 'end'?",
        ),
        (
            "google",
            "events",
            b"Subject,Start Date,Start Tim,Descripton\nx,2026-03-01,10:00,y\n",
            {},
            "'Start Tim' is not a column of Google Calendar's CSV; did you mean 'Start Time'?; "
            "'Descripton' is not a column of Google Calendar's CSV; did you mean 'Description'?",
        ),
        (
            "google",
            "events",
            b"Betreff,start.date\nx,2026-03-01\n",
            {},
            "'Betreff' is not a field of events; its fields are: summary, start.date, "
            "start.dateTime, start.timeZone, end.date, end.dateTime, end.timeZone, description",
        ),
        (
            "sqlite",
            "people",
            b"Lastnam,E-mail\nx,y\n",
            {},
            "'Lastnam' is not a field of people; did you mean 'LastName'?; 'E-mail' is not a field",
        ),
        (
            "eloqua",
            "contact",
            b"E-Mail Adress\nann@example.com\n",
            {},
            "did you mean 'C_EmailAddress'?",
        ),
        ("eloqua", "contact", b"First Name\nAnn\n", {}, "C_EmailAddress is missing"),
        (
            "sqlite",
            "people",
            b"email,EMAIL\nx,y\n",
            {},
            "the columns 'email' and 'EMAIL' both mean email; keep one of them",
        ),
        (
            "eloqua",
            "contact",
            b"Email Address,C_EmailAddress\na@x.example,b@x.example\n",
            {},
            "the columns 'Email Address' and 'C_EmailAddress' both mean C_EmailAddress",
        ),
        (
            "google",
            "events",
            b"Start.Date,start.date\n2026-03-01,2026-03-01\n",
            {},
            "the columns 'Start.Date' and 'start.date' both mean start.date",
        ),
        (
            "memory",
            "records",
            b"email,name\na@x.example,Ann\n",
            {**UPSERT, "identifierFieldName": "emial"},
            "metaData.identifierFieldName is 'emial', and no row has a value there; "
            "did you mean 'email'?",
        ),
        (
            "memory",
            "records",
            b'[{"email": "a@x.example"}]',
            {**UPSERT, "identifierFieldName": "emial"},
            "did you mean 'email'?",
        ),
        (
            "google",
            "events",
            b"ref,summary,start.date\n7,x,2026-03-01\n",
            {**UPSERT, "identifierFieldName": "reff"},
            "metaData.identifierFieldName is 'reff', and no row has a value there; "
            "did you mean 'ref'?",
        ),
        (
            "sqlite",
            "people",
            b"email\nx\n",
            {**UPSERT, "identifierFieldName": "emial"},
            "metaData.identifierFieldName: 'emial' is not a field of people; did you mean 'email'?",
        ),
        (
            "sqlite",
            "people",
            b"LastName\nx\n",
            {**UPSERT, "identifierFieldName": "email"},
            "metaData.identifierFieldName is 'email', and no row has a value there",
        ),
        (
            "sqlite",
            "people",
            b"email\nx\n",
            {"action": "delete"},
            "id is missing: it identifies a record, and no row that can be read has it (they have "
            "email)",
        ),
        (
            "sqlite",
            "people",
            b'[{"email": "x"}]',
            {"action": "update"},
            "id is missing: it identifies a record",
        ),
        (
            "sqlite",
            "keyless",
            b"a\nx\n",
            UPSERT,
            "'keyless' has no primary key; metaData.identifierFieldName has to name the column",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_there_is_a_job(
    services: Services,
    service: str,
    object: str,
    file: bytes,
    metadata: Mapping[str, Any],
    says: str,
) -> None:
    """One answer, instead of an error for each row of a million."""
    jobs = services[service].call("GET", "/bulk/jobs").json
    reply: Reply = services[service].upload(object, file, metadata)
    assert reply.status == 400, reply.body
    assert says in reply.json["message"]
    assert services[service].call("GET", "/bulk/jobs").json == jobs


@pytest.mark.parametrize(
    ("service", "object", "file", "says"),
    [
        (
            "google",
            "events",
            b"summary,start.date,note\nMaths,2026-03-01,\nArt,2026-03-01,x\n",
            "'note' is not a field of events",
        ),
        (
            "sqlite",
            "people",
            b'[{"id": 11}, {"id": 12, "LastName": "x", "LASTNAME": "y"}]',
            "the columns 'LastName' and 'LASTNAME' both mean LastName; keep one of them",
        ),
        (
            "eloqua",
            "contact",
            b"email address,shoe size\nann@example.com,\nbob@example.com,44\n",
            "'shoe size' is not a field of contact",
        ),
    ],
)
def test_a_row_that_cannot_be_sent_leaves_its_neighbours_as_they_are(
    services: Services, service: str, object: str, file: bytes, says: str
) -> None:
    status = services[service].done(object, file)
    (error,) = services[service].errors(status["id"])
    assert (status["status"], status["recordsCount"], error["rowNum"]) == ("COMPLETE", 2, 2)
    assert error["error"].startswith(says)


def test_columns_are_found_in_any_case_by_title_and_with_dots(services: Services) -> None:
    created(services.sqlite, "people", " ID ,LASTNAME,a.b\n21,Ortiz,x\n".encode("utf-8-sig"))
    created(services.sqlite, "people", b'[{"Id": 22, "lastname": "Ito", "A.B": "y"}]')
    created(services.sqlite, "twins", b"ID,STRASSE\n1,Hauptstr.\n")
    people = services.sqlite.call("GET", "/people?where=id%3E20").json
    assert [(one["id"], one["LastName"], one["a.b"]) for one in people] == [
        (21, "Ortiz", "x"),
        (22, "Ito", "y"),
    ]
    query = quote("select id, a.b from people where a.b = 'y'")
    job_id = services.sqlite.call("POST", f"/bulk/query?q={query}").json["id"]
    services.sqlite.finished(job_id)
    (one,) = services.sqlite.call("GET", f"/bulk/{job_id}/people/data").json
    assert one == {"id": 22, "a.b": "y"}
    file = b"SUBJECT,Start.Date,attendees[0].Email\nChoir,2026-03-01,ann@example.com\n"
    created(services.google, "events", file)
    (event,) = services.google.call("GET", "/events?where=summary='Choir'").json
    assert (event["start"], event["attendees"][0]["email"]) == (
        {"date": "2026-03-01"},
        "ann@example.com",
    )


def test_a_single_record_is_not_called_a_row_of_a_file(services: Services) -> None:
    body = {"summary": "x", "start": {"date": "05/06/2026"}, "end": {"date": "05/06/2026"}}
    refused = services.google.call("POST", "/events", json_body=body)
    assert (refused.status, refused.json["message"]) == (
        400,
        'start.date "05/06/2026" is 2026-06-05 (day first) or 2026-05-06 (month first), and no '
        "other date of the record shows which; set metaData.dateOrder to DMY or MDY, or write "
        "dates like 2026-05-30",
    )


def test_a_date_in_another_order_than_its_file_says_which_row_decided(services: Services) -> None:
    days = "".join(f"x,{day}/05/2026\n" for day in range(13, 23))
    file = f"summary,start.date\n{days}y,05/30/2026\n".encode()
    status = services.google.done("events", file)
    (error,) = services.google.errors(status["id"])
    assert (error["rowNum"], error["error"]) == (
        11,
        'start.date "05/30/2026" is not a date with the day first, and the file is read day '
        'first: row 1: start.date "13/05/2026" shows it; write it like 30/05/2026, or set '
        "metaData.dateOrder to MDY to read the file month first",
    )


def test_an_identifier_is_found_as_a_column_is(services: Services) -> None:
    metadata = {**UPSERT, "identifierFieldName": "LASTNAME"}
    for email in (b"1@x.example", b"2@x.example"):
        file = b"LastName,email\nTwice," + email + b"\n"
        created(services.sqlite, "people", file, **metadata)
    people = services.sqlite.call("GET", "/people?where=LastName='Twice'").json
    assert [one["email"] for one in people] == ["2@x.example"]
    metadata = {**UPSERT, "identifierFieldName": "Ref"}
    for column in (b"Ref", b"REF"):
        file = column + b",summary,start.date\n7,Once,2026-03-03\n"
        created(services.google, "events", file, **metadata)
    assert len(services.google.call("GET", "/events?where=summary='Once'").json) == 1


def test_single_records_resolve_their_names_as_files_do(services: Services) -> None:
    made = services.sqlite.call("POST", "/people", json_body={"LASTNAME": "One", "EMail": "1@x"})
    assert (made.status, made.json["LastName"], made.json["email"]) == (200, "One", "1@x")
    path = f"/people/{made.json['id']}"
    changed = services.sqlite.call("PATCH", path, json_body={"lastname": "Two"})
    assert (changed.json["LastName"], changed.json["email"]) == ("Two", "1@x")
    refused = services.sqlite.call("PATCH", path, json_body={"LastNam": "Three"})
    assert (refused.status, refused.json["message"]) == (
        400,
        "'LastNam' is not a field of people; did you mean 'LastName'?",
    )


def test_a_download_from_memory_sent_back_changes_the_same_records(services: Services) -> None:
    """What a row leaves out stays as it is."""
    memory = services.server.instance("memory", {"space": "back"})
    memory.done("records", b"name,city\nAnn,Bonn\nBob,Ulm\n")
    read = memory.call("GET", "/records").json
    ids = [one["id"] for one in read]
    file = f"id,city\n{ids[0]},Kiel\n{ids[1]},Ulm\n".encode()
    job = created(memory, "records", file, **UPSERT)
    outcomes = memory.call("GET", f"/bulk/{job['id']}").json["outcomes"]
    assert (outcomes["updated"], outcomes["unchanged"]) == (1, 1)
    assert memory.call("GET", "/records").json == [
        {"id": ids[0], "name": "Ann", "city": "Kiel"},
        {"id": ids[1], "name": "Bob", "city": "Ulm"},
    ]
    changed = memory.call("PATCH", f"/records/{ids[0]}", json_body={"city": "Rom"}).json
    assert changed == {"id": ids[0], "name": "Ann", "city": "Rom"}


def test_a_download_from_eloqua_sent_back_leaves_out_what_eloqua_fills(
    services: Services,
) -> None:
    server = services.eloqua
    created(server, "contact", b"Email Address,First Name\ncy@example.com,Cy\n")
    query = quote("select * from contact where C_EmailAddress = 'cy@example.com'")
    job_id = server.call("POST", f"/bulk/query?q={query}").json["id"]
    server.finished(job_id)
    file = server.call("GET", f"/bulk/{job_id}/contact", headers={"Accept": "text/csv"}).body
    assert b"C_DateCreated" in file
    status = created(server, "contact", file, **UPSERT)
    assert "were left out: the service sets them itself" in status["infoMessage"]
    assert "'C_DateCreated'" in status["infoMessage"]
    held = request("GET", f"{services.eloqua_url}/sandbox/contacts").json
    assert [one["C_FirstName"] for one in held if one["C_EmailAddress"] == "cy@example.com"] == [
        "Cy"
    ]


def test_a_transfer_cannot_identify_records_by_what_is_no_field(services: Services) -> None:
    transfer = {
        "query": "select * from records",
        "targetConfiguration": {
            "token": services.sqlite.element_token,
            "objectName": "people",
            "metaData": {**UPSERT, "identifierFieldName": "emial"},
        },
    }
    reply = services.memory.call("POST", "/bulk/workflows", json_body=[transfer])
    assert (reply.status, "did you mean 'email'?" in reply.json["message"]) == (400, True)


def test_what_was_added_a_moment_ago_is_known(services: Services) -> None:
    """To the check, and to the job."""
    server = services.server.instance("sqlite", {"db.file": "club.db"})
    database = Path(services.server.process.output).parent / "club.db"
    for change, file in (
        ("CREATE TABLE late (id integer PRIMARY KEY)", b"id\n1\n"),
        ("ALTER TABLE late ADD COLUMN name text", b"id,name\n2,Ann\n"),
    ):
        assert server.upload("late", file).status == 400
        with sqlite3.connect(database) as connection:
            connection.execute(change)
        created(server, "late", file, action="upsert")


def test_a_repeated_upload_gets_its_job_even_if_it_would_be_refused_now(
    services: Services,
) -> None:
    headers = {"Idempotency-Key": "d2f1b0a4"}
    file = b"id,name\n1,Ann\n"
    database = Path(services.server.process.output).parent / "club.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE brief (id integer PRIMARY KEY, name text)")
    body = {"element": {"key": "sqlite"}, "configuration": {"db.file": "club.db"}}
    instance = services.server.call("POST", "/instances", json_body=body).json
    server = Server(services.server.process, instance["token"])
    first = server.upload("brief", file, headers=headers).json
    server.finished(first["id"])
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TABLE brief")
    changed = server.call("PATCH", f"/instances/{instance['id']}", json_body=body)
    assert (changed.status, server.upload("brief", file).status) == (200, 400)
    assert server.upload("brief", file, headers=headers).json["id"] == first["id"]


def test_a_service_that_is_away_keeps_nobody_from_uploading(
    services: Services, processes: Processes
) -> None:
    """The job waits for it, and then says of each row what is wrong."""
    sandbox = processes.sandbox("eloqua")
    server = services.server.eloqua(sandbox)
    sandbox.kill()
    reply = server.upload("contact", b"C_City,C_Citty\nx,y\n")
    assert reply.status == 200, reply.body


@pytest.mark.parametrize(
    ("case", "object", "right"),
    [
        ("header-case", "person", [("Ortiz", "o@x.example")]),
        ("odd-column-names", "Chart Data", [(5, 1.5, "x", "y")]),
        ("names-differ-by-case", "login", "the columns 'userId' and 'userid' both mean userid"),
    ],
)
def test_cases_of_column_names(
    services: Services, postgres: Postgres, case: str, object: str, right: Any
) -> None:
    database = postgres.new_database((CASES / f"{case}.sql").read_text())
    server = services.server.instance("postgresql", postgres.configuration(database))
    file = (CASES / f"{case}.csv").read_bytes()
    if isinstance(right, str):
        reply = server.upload(object, file)
        assert (reply.status, right in reply.json["message"]) == (400, True)
        return
    created(server, object, file)
    with postgres.connect(database) as connection:
        assert connection.execute(f'SELECT * FROM "{object}"').fetchall() == right


@pytest.mark.parametrize("column", ["organizer", "creator"])
def test_a_column_of_what_google_fills_itself_is_left_out(services: Services, column: str) -> None:
    """Although it means a whole object there."""
    file = f"summary,start.date,end.date,{column}\nx,2026-03-01,2026-03-02,Ann\n"
    created(services.google, "events", file.encode())


def test_the_first_rows_of_a_long_table_may_leave_the_identifier_empty(services: Services) -> None:
    """The header says that there is one, and each row is judged alone."""
    table = b"id,email\n" + b",x\n" * 201 + b"70,y\n"
    status = services["sqlite"].done("people", table, {"action": "delete"})
    assert (status["recordsCount"], status["recordsFailedCount"]) == (202, 201)
    assert status["status"] == "COMPLETE"
