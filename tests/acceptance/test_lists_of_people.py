"""Lists as clubs, schools, parishes and companies have them, in eleven languages.

Each is sent as it is. What it leaves open is asked, and answered by its owner; then the proposed
mapping makes every record, or says what is missing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.harness import Process, Server
from support.postgres import Postgres

LISTS = Path(__file__).parents[1] / "cases" / "lists"
EVENTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "cs-kurzy.csv": (
        {},
        {
            "Keramika": "2026-09-07T17:00",
            "Jóga": "2026-09-08T18:00",
            "Angličtina": "2026-09-10T16:30",
        },
    ),
    "da-kirke.xlsx": (
        {},
        {
            "Højmesse": "2026-09-06T10:00",
            "Menighedsråd": "2026-09-09T19:00",
            "Høstgudstjeneste": "2026-09-13T10:00",
        },
    ),
    "de-schule.csv": (
        {},
        {
            "Elternabend 5a/5b": "2026-09-07T19:30",
            "Wandertag": "2026-09-15T08:00",
            "Schulfest": "2026-10-02T18:00",
        },
    ),
    "fr-paroisse.csv": (
        {},
        {
            "Répétition de la chorale": "2026-09-07T18:30",
            "Messe de rentrée": "2026-09-13T10:30",
            "Journée du patrimoine": "2026-09-20T14:00",
        },
    ),
    "it-azienda.xlsx": (
        {},
        {
            "Riunione commerciale": "2026-09-07T09:00",
            "Colloqui": "2026-09-08T14:00",
            "Fiera di Milano": "2026-09-21T08:30",
        },
    ),
    "nl-school.csv": (
        {"headerRow": 2},
        {
            "Ouderavond": "2026-09-07T19:30",
            "Schoolreis": "2026-09-08T08:30",
            "Rapportgesprekken": "2026-09-22T15:00",
        },
    ),
    "nl-vereniging.csv": (
        {},
        {
            "Zomerkamp": "2026-08-10",
            "Ledenvergadering": "2026-09-21",
            "Sinterklaas": "2026-12-05",
        },
    ),
    "pl-treningi.csv": (
        {},
        {
            "Trening juniorów": "2026-09-07T17:00",
            "Zebranie zarządu": "2026-09-09T19:00",
            "Mecz z Łodzią": "2026-09-12T11:00",
        },
    ),
}
"""What the owner of each list answers, and the events that it has, with their starts."""
CONTACTS: Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]] = {
    "da-medlemmer.csv": ({}, [{"full_name": "Åse Holm", "city": "Aarhus C"}]),
    "de-verein.xlsx": (
        {"headerRow": 3, "decimal": ","},
        [{"first_name": "Cem", "zip": "10115", "birthday": "2001-01-30"}],
    ),
    "en-company.csv": ({}, [{"last_name": "O'Neil", "zip": "45402", "annual_revenue": 84300.5}]),
    "es-socios.csv": ({}, [{"first_name": "Lucía", "birthday": "1987-03-14"}]),
    "pl-parafia.csv": ({"encoding": "windows-1250"}, [{"full_name": "Kowalski, Paweł"}]),
    "pt-contactos.xlsx": ({}, [{"first_name": "Inês", "birthday": "1985-12-24"}]),
    "pt-empresa.xlsx": ({}, [{"full_name": "João Silva", "phone": "912345678"}]),
    "sv-medlemmar.csv": ({}, [{"first_name": "Åsa", "zip": "111 22", "birthday": "1979-04-30"}]),
}
"""What the owner of each list answers, and some of the contacts that it has."""
COLUMNS = (
    "first_name text, last_name text, full_name text, email text, phone text, mobile text, "
    "company text, street text, city text, zip text, country text, birthday date, "
    "annual_revenue numeric"
)


def proposed(server: Server, name: str, object: str, answers: Mapping[str, Any]) -> Any:
    """The proposal for a list, once its owner has answered what has to be."""
    kind = {"Content-Type": "application/octet-stream"}
    sent = server.call(
        "POST", f"/files?name={name}", body=(LISTS / name).read_bytes(), headers=kind
    )
    file = sent.json
    left = dict(answers)
    while asked := [one["key"] for one in file["questions"] if one["required"]]:
        (key,) = asked
        body = {"metaData": {key: left.pop(key)}}
        file = server.call("PATCH", f"/files/{file['id']}", json_body=body).json
    assert left == {}, "each answer was asked for"
    found = server.call("GET", f"/files/{file['id']}/mapping?object={object}").json
    return {**found, "fileId": file["id"]}


def uploaded(server: Server, object: str, proposal: Mapping[str, Any]) -> None:
    """Upload a list with its proposed mapping; every row is taken."""
    metadata = {"fileId": proposal["fileId"], "mapping": proposal["mapping"]}
    job = server.call("POST", f"/bulk/{object}", json_body={"metaData": metadata})
    assert job.status == 200, job.json
    assert server.finished(job.json["id"])["status"] == "COMPLETE"
    assert server.errors(str(job.json["id"])) == []


@pytest.mark.parametrize("name", EVENTS)
def test_the_events_of_a_list_are_made(
    name: str, shared_server: Server, shared_google: Process
) -> None:
    answers, events = EVENTS[name]
    google = shared_server.google(shared_google)
    uploaded(google, "events", proposed(google, name, "events", answers))
    made = google.call("GET", "/events").json
    starts = {
        one["summary"]: one["start"].get("date") or one["start"]["dateTime"][:16] for one in made
    }
    assert starts == events


@pytest.mark.parametrize("name", CONTACTS)
def test_the_contacts_of_a_list_are_made(
    name: str, shared_server: Server, postgres: Postgres
) -> None:
    answers, contacts = CONTACTS[name]
    database = postgres.new_database()
    with psycopg.connect(postgres.url(database)) as connection:
        connection.execute(f"CREATE TABLE contact (id serial PRIMARY KEY, {COLUMNS})")
    server = shared_server.instance("postgresql", postgres.configuration(database))
    uploaded(server, "contact", proposed(server, name, "contact", answers))
    made = server.call("GET", "/contact").json
    for contact in contacts:
        assert any(contact.items() <= one.items() for one in made), made


@pytest.mark.parametrize(
    ("name", "answers"),
    [("es-colegio.csv", {}), ("fr-club.csv", {})],
)
def test_a_start_and_an_end_in_one_cell_are_no_time(
    name: str, answers: Mapping[str, Any], shared_server: Server, shared_google: Process
) -> None:
    """Behind its day, `10:00-12:00` would be ten o'clock with an offset of twelve hours."""
    google = shared_server.google(shared_google)
    found = proposed(google, name, "events", answers)
    (start,) = [one for one in found["fields"] if one["field"] == "start.dateTime"]
    assert (start["sure"], found["sure"]) == (False, False)
    assert "'Horario'" in start["why"] or "'Horaire'" in start["why"]
    mapping = {**found["mapping"], "end.dateTime": found["mapping"]["start.dateTime"]}
    job = google.call(
        "POST", "/bulk/events", json_body={"fileId": found["fileId"], "mapping": mapping}
    )
    assert job.status == 400
    assert "a start and an end in one cell" in job.json["message"]


@pytest.mark.parametrize(
    ("name", "answers"), [("cs-skola.csv", {"encoding": "windows-1250"}), ("sv-kalender.tsv", {})]
)
def test_what_a_list_lacks_is_said(
    name: str, answers: Mapping[str, Any], shared_server: Server, shared_google: Process
) -> None:
    google = shared_server.google(shared_google)
    found = proposed(google, name, "events", answers)
    assert found["missing"][0].startswith("no column makes end")


def test_a_list_without_names_of_columns_is_asked_about(
    shared_server: Server, shared_google: Process
) -> None:
    google = shared_server.google(shared_google)
    found = proposed(google, "en-volunteers.csv", "events", {"headerRow": 0})
    assert found["notTaken"] == ["A", "B", "C", "D"]


def test_a_row_of_totals_costs_no_other(shared_server: Server, postgres: Postgres) -> None:
    database = postgres.new_database()
    with psycopg.connect(postgres.url(database)) as connection:
        connection.execute(f"CREATE TABLE contact (id serial PRIMARY KEY, {COLUMNS})")
    server = shared_server.instance("postgresql", postgres.configuration(database))
    found = proposed(server, "it-donatori.csv", "contact", {})
    metadata = {"fileId": found["fileId"], "mapping": found["mapping"]}
    job = server.call("POST", "/bulk/contact", json_body={"metaData": metadata}).json
    assert server.finished(job["id"])["recordsFailedCount"] == 1
    (error,) = server.errors(str(job["id"]))
    assert (error["rowNum"], "'Totale', which is not a date" in error["status"]) == (3, True)
