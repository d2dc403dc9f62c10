"""A mapping says how the columns of a file make the fields of its records."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import pytest
import xlsxwriter  # type: ignore[import-untyped]

from support.harness import Process, Server
from support.postgres import Postgres

TIMETABLE = (
    "Titel;Datum;Beginn;Ende;Entfällt;Notiz;Klasse\n"
    "Chorprobe;07.09.2026;19:00;21:00;;Noten;5a\n"
    "Elternabend;08.09.2026;18:30;20:00;ja;;6b\n"
).encode()
EVENTS: dict[str, Any] = {
    "summary": "Titel",
    "start.dateTime": {"columns": ["Datum", "Beginn"], "format": "DD.MM.YYYY HH:mm"},
    "end.dateTime": {"columns": ["Datum", "Ende"], "format": "DD.MM.YYYY HH:mm"},
    "status": {"column": "Entfällt", "values": {"ja": "cancelled", "": "confirmed"}},
    "location": {"value": "Aula"},
    "description": {"template": "{Titel} ({Klasse})"},
}


@pytest.fixture
def google(shared_server: Server, shared_google: Process) -> Server:
    """An instance of the shared Google sandbox, in Berlin's time."""
    return shared_server.google(shared_google)


def written(server: Server, object: str, file: bytes, **metadata: Any) -> Mapping[str, Any]:
    """The status of a job all of whose records were taken."""
    status: Mapping[str, Any] = server.done(object, file, metadata)
    assert (status["status"], server.errors(str(status["id"]))) == ("COMPLETE", [])
    return status


def refusal(server: Server, object: str, file: bytes, mapping: Any, **metadata: Any) -> str:
    """The message with which an upload is refused."""
    reply = server.upload(object, file, {"mapping": mapping, **metadata})
    assert reply.status == 400, reply.body
    message: str = reply.json["message"]
    return message


def records(server: Server, fields: str) -> list[dict[str, Any]]:
    """The records of a Memory instance, as they were sent."""
    found: list[dict[str, Any]] = server.call("GET", "/records").json
    names = fields.split(",")
    return [{name: one[name] for name in names if name in one} for one in found]


# --- records ---


def test_each_way_to_make_a_field_of_columns(google: Server) -> None:
    status = written(google, "events", TIMETABLE, mapping=EVENTS, timeZone="Europe/Berlin")
    assert status["infoMessage"] == (
        "the column 'Notiz' was left out: the mapping does not take it"
    )
    events = google.call("GET", "/events").json
    shown = [
        (one["summary"], one["start"]["dateTime"], one["end"]["dateTime"], one["description"])
        for one in events
    ]
    assert shown == [
        (
            "Chorprobe",
            "2026-09-07T19:00:00+02:00",
            "2026-09-07T21:00:00+02:00",
            "Chorprobe (5a)",
        )
    ]  # the other one is cancelled
    assert {one["location"] for one in events} == {"Aula"}


def test_a_row_that_a_mapping_cannot_take_names_its_column_and_costs_no_other(
    shared_memory: Server,
) -> None:
    file = b"Name;Tag;Art\nAnn;31.09.2026;a\nBob;07.09.2026;c\nCid;07.09.2026;A\nDan;morgen;b\n"
    mapping = {
        "name": "Name",
        "day": {"column": "Tag", "format": "DD.MM.YYYY"},
        "kind": {"column": "Art", "values": {"a": 1, "b": 2}},
    }
    status = shared_memory.done("records", file, {"mapping": mapping})
    errors = shared_memory.errors(str(status["id"]))
    assert [(one["rowNum"], one["field"], one["error"]) for one in errors] == [
        (
            1,
            "Tag",
            "the column 'Tag' has '31.09.2026', which is not a date: September has 30 days",
        ),
        (
            2,
            "Art",
            "the column 'Art' has 'c', for which the mapping has no value; "
            "it has values for a, b; add it, or a default",
        ),
        (4, "Tag", "the column 'Tag' has 'morgen', which is not like DD.MM.YYYY"),
    ]
    assert records(shared_memory, "name,day,kind") == [
        {"name": "Cid", "day": "2026-09-07", "kind": 1}
    ]


def test_an_error_of_the_service_names_the_column_of_the_file(google: Server) -> None:
    file = b"Was;Wann;Bis\nA;2026-09-07;2026-09-08\nB;gestern;2026-09-08\n"
    mapping = {"Subject": "Was", "start.date": "Wann", "end.date": "Bis"}
    status = google.done("events", file, {"mapping": mapping})
    (error,) = google.errors(str(status["id"]))
    assert (error["rowNum"], error["field"]) == (2, "Wann")
    assert error["error"].startswith("column 'Wann': start.date ")


def test_empty_cells_skip_clear_or_have_a_default(shared_memory: Server) -> None:
    file = b'A,B,C,D\n1,x,x,x\n2,,,\n3,"","",""\n'
    mapping = {
        "id": "A",
        "skipped": "B",
        "cleared": {"column": "C", "empty": "clear"},
        "filled": {"column": "D", "default": "none"},
    }
    written(shared_memory, "records", file, mapping=mapping)
    assert records(shared_memory, "id,skipped,cleared,filled") == [
        {"id": "1", "skipped": "x", "cleared": "x", "filled": "x"},
        {"id": "2", "cleared": None, "filled": "none"},
        {"id": "3", "cleared": None, "filled": "none"},
    ]


def test_a_row_without_a_value_for_the_mapping_is_no_record_of_constants(
    shared_memory: Server,
) -> None:
    mapping = {"a": "A", "place": {"value": "Hall"}}
    status = shared_memory.done("records", b"A,B\n1,\n,total\n", {"mapping": mapping})
    (error,) = shared_memory.errors(str(status["id"]))
    assert (error["rowNum"], error["error"]) == (
        2,
        "the row has no value in the columns of the mapping: 'A'",
    )
    assert records(shared_memory, "a,place") == [{"a": "1", "place": "Hall"}]


def test_nested_fields_of_json_are_columns_by_their_paths(shared_memory: Server) -> None:
    file = json.dumps([{"who": {"name": "Ann", "tags": ["a", "b"]}, "n": 3, "x": 1}]).encode()
    mapping = {"person.name": "who.name", "first": "who.tags[0]", "count": "n"}
    status = written(shared_memory, "records", file, mapping=mapping)
    assert records(shared_memory, "person,first,count") == [
        {"person": {"name": "Ann"}, "first": "a", "count": 3}
    ]
    assert "'x'" in status["infoMessage"]


def test_dates_of_a_workbook_fit_a_format_whatever_they_look_like(shared_memory: Server) -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Datum", "Zeit", "Text"])
        sheet.write_number(1, 0, 46272, book.add_format({"num_format": "dd.mm.yyyy"}))
        sheet.write_number(1, 1, 0.75, book.add_format({"num_format": "hh:mm"}))
        sheet.write_string(1, 2, "07.09.2026 18:00")
    mapping = {
        "both": {"columns": ["Datum", "Zeit"], "format": "DD.MM.YYYY HH:mm"},
        "text": {"column": "Text", "format": "DD.MM.YYYY HH:mm"},
    }
    written(shared_memory, "records", content.getvalue(), mapping=mapping)
    (record,) = records(shared_memory, "both,text")
    assert record["text"] == "2026-09-07T18:00:00"
    assert record["both"].replace(" ", "T") == "2026-09-07T18:00:00"


def test_the_identifier_may_be_the_column_of_the_file(shared_memory: Server) -> None:
    file = b"Nummer;Name\n7;Ann\n"
    mapping = {"key": "Nummer", "name": "Name"}
    for name in ("Nummer", "key"):
        done = {"mapping": mapping, "action": "upsert", "identifierFieldName": name}
        written(shared_memory, "records", file, **done)
    assert len(records(shared_memory, "key")) == 1


def test_the_order_of_dates_is_that_of_the_columns_that_the_mapping_reads(
    google: Server,
) -> None:
    file = b"What;Day;Other\nA;05/30/2026;30/05/2026\nB;05/06/2026;\n"
    mapping: dict[str, Any] = {"summary": "What", "start.date": "Day"}
    written(google, "events", file, mapping=mapping)
    starts = {one["summary"]: one["start"]["date"] for one in google.call("GET", "/events").json}
    assert starts == {"A": "2026-05-30", "B": "2026-05-06"}
    # With a format, the file need not show it.
    formatted = {"column": "Day", "format": "DD/MM/YYYY"}
    mapping = {"summary": "What", "start.date": formatted}
    written(google, "events", b"What;Day\nC;05/06/2026\n", mapping=mapping)
    starts = {one["summary"]: one["start"]["date"] for one in google.call("GET", "/events").json}
    assert starts["C"] == "2026-06-05"
    message = refusal(
        google, "events", b"What;Day\nC;05/06/2026\n", {**mapping, "start.date": "Day"}
    )
    assert "set metaData.dateOrder" in message


SCHOOL = (
    b"Titel;Datum;Beginn;Ende\nChor;07.09.2026;19:00;21:00\n"
    b"Wandertag;08.09.2026;;\nProbe;09.09.2026;10:00;\n"
)


def times(server: Server) -> dict[str, tuple[str, str]]:
    """The starts and ends of the events, by their titles."""
    return {
        one["summary"]: (
            *(one[name].get("date") or one[name]["dateTime"] for name in ("start", "end")),
        )
        for one in server.call("GET", "/events").json
    }


def test_rows_without_times_are_whole_days_and_a_job_shows_the_mapping_that_it_used(
    google: Server,
) -> None:
    status = google.done("events", SCHOOL, {"mapping": "auto", "timeZone": "UTC"})
    (error,) = google.errors(str(status["id"]))
    assert (error["rowNum"], error["field"], error["error"]) == (
        3,
        "Ende",
        "the column 'Ende' is empty, and 'Beginn' is not: fill both, or neither for whole days",
    )
    assert times(google) == {
        "Chor": ("2026-09-07T19:00:00+00:00", "2026-09-07T21:00:00+00:00"),
        "Wandertag": ("2026-09-08", "2026-09-09"),
    }
    details = google.call("GET", f"/bulk/{status['id']}").json
    assert details["mapping"] == {
        "summary": "Titel",
        "start": {"columns": ["Datum", "Beginn"]},
        "end": {"columns": ["Datum", "Ende"], "lastDay": True},
    }
    body = {"name": f"S {google.instance_id}", "object": "events", "mapping": details["mapping"]}
    saved = google.call("POST", "/mappings", json_body=body)
    assert saved.status == 200, saved.body
    again = google.done("events", SCHOOL, {"mapping": body["name"], "timeZone": "UTC"})
    details = google.call("GET", f"/bulk/{again['id']}").json
    assert (details["mapping"], details["savedMapping"]) == (
        body["mapping"],
        {"name": body["name"], "version": 1},
    )
    google.call("DELETE", f"/mappings/{saved.json['id']}")


def test_outlooks_whole_days_end_at_midnight_and_other_peoples_on_their_last_day(
    google: Server,
) -> None:
    outlook = (
        "Betreff;Beginnt am;Beginnt um;Endet am;Endet um;Ganztägiges Ereignis\n"
        "A;07.09.2026;19:00:00;07.09.2026;21:00:00;Aus\n"
        "B;08.09.2026;00:00:00;09.09.2026;00:00:00;Ein\n"
    ).encode()
    written(google, "events", outlook, mapping="auto", timeZone="UTC")
    holidays = b"Titel;Von;Bis\nFerien;10.07.2027;14.07.2027\nFest;15.07.2027;15.07.2027\n"
    written(google, "events", holidays, mapping="auto")
    assert times(google) == {
        "A": ("2026-09-07T19:00:00+00:00", "2026-09-07T21:00:00+00:00"),
        "B": ("2026-09-08", "2026-09-09"),
        "Ferien": ("2027-07-10", "2027-07-15"),
        "Fest": ("2027-07-15", "2027-07-16"),
    }


def test_auto_refuses_what_is_missing_or_open_and_shows_the_proposal(google: Server) -> None:
    for file, reason in (
        (b"Titel;Datum;Beginn\nA;07.09.2026;19:00\n", "no column makes end (or start.date or "),
        (b"Titel;Ort\nA;Bern\n", "no column makes start (or originalStartTime), without which"),
        (b"Titel;Datum\nA;05/06/2026\n", "the file does not show the order of its dates"),
        (b"Titel;Beginn;Ende\nA;10.07.2027;11.07.2027\n", "is two days if 'Ende' has the last"),
    ):
        message = refusal(google, "events", file, "auto")
        assert reason in message
        assert '"summary":"Titel"' in message.partition("send it as metaData.mapping: ")[2]
    # An own column that identifies an event is kept with it.
    known = {"mapping": "auto", "action": "upsert", "identifierFieldName": "nummer"}
    file = b"Titel;Nummer;Datum\nA;17;07.09.2026\n"
    written(google, "events", file, **known)
    written(google, "events", file, **known)
    assert times(google) == {"A": ("2026-09-07", "2026-09-08")}


def test_numbers_are_read_with_the_decimal_sign_of_the_mapping(shared_memory: Server) -> None:
    mapping = {"name": "A", "price": {"column": "P", "decimal": ","}}
    file = b"A;P\na;1.234,50\nb;1,5\nc;1,234.5\n"
    status = shared_memory.done("records", file, {"mapping": mapping})
    (error,) = shared_memory.errors(str(status["id"]))
    assert error["error"] == (
        "the column 'P' has '1,234.5', which is not a number with a decimal comma, like 1.234,50"
    )
    assert records(shared_memory, "price") == [{"price": "1234.50"}, {"price": "1.5"}]


# --- what is refused at the door ---

_IS = "metaData.mapping"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"summary": "Titl", "start.date": "Datum"},
            f"{_IS} names the column 'Titl', which the file does not have; "
            "did you mean 'Titel'?",
        ),
        (
            {"sumary": "Titel"},
            f"{_IS}: 'sumary' is not a field of events; did you mean 'summary'?",
        ),
        (
            {"summary": "Titel", "Subject": "Notiz"},
            f"{_IS} has 'summary' and 'Subject', which are one field; keep one of them",
        ),
        (
            {"start": "Datum", "start.date": "Datum"},
            f"{_IS} has 'start.date', which is inside 'start'; keep one of the two",
        ),
        (
            {"location": {"value": "Aula"}},
            f"{_IS} names no column, so all records would be the same; a mapping looks like "
            '{"summary": "Title", "location": {"value": "Hall"}}',
        ),
        (
            {"start.date": {"column": "Datum", "format": "TT.MM.JJJJ"}},
            f"{_IS}.start.date.format 'TT.MM.JJJJ' has 'TT', which stands for nothing; formats "
            "look like DD.MM.YYYY, MM/DD/YYYY hh:mm A or HH:mm, with other words in [brackets]",
        ),
        (
            {"summary": {"colum": "Titel"}},
            f"{_IS}.summary takes no key 'colum'; did you mean 'column'?",
        ),
        (
            {"summary": {"column": "Titel", "value": "x"}},
            f"{_IS}.summary has column and value; write one of column, columns, value, template",
        ),
        (
            {"summary": {"template": "{Titel"}},
            f"{_IS}.summary.template '{{Titel' has a single '{{'; a template looks like "
            "{Subject}: {Topic}, and {{ is a brace",
        ),
        (
            {"summary": {"column": "Titel", "empty": "keep"}},
            f"{_IS}.summary.empty 'keep' is not known; it can be clear, which clears the field, "
            "or skip, which leaves it as it is",
        ),
        ({}, f'{_IS} names no field; a mapping looks like {{"summary": "Title", "location": '
             '{"value": "Hall"}}'),
        (["Titel"], f'{_IS} is ["Titel"], which is not a JSON object; a mapping '
                    'looks like {"summary": "Title", '
                    '"location": {"value": "Hall"}}'),
        (
            {"summary": 3},
            f"{_IS}.summary is 3; it is the name of a column, or an object such as "
            '{"column": "Title"} or {"value": "Hall"}',
        ),
        (
            {".".join("a" * 33): "Titel"},
            f"{_IS} has the field '{'.'.join('a' * 33)}', whose path has more than 32 steps; no "
            "record can have it",
        ),
        (
            {"summary": None},
            f"{_IS}.summary is null; it is the name of a column, or an object such as "
            '{"column": "Title"} or {"value": "Hall"}',
        ),
        (
            {"summary": {"column": ["Titel"]}},
            f'{_IS}.summary.column has ["Titel"], which is not the name of a column; it is a text, '
            'such as "Title"',
        ),
        (
            {"summary": {"column": "Titel", "lastDay": True}},
            f"{_IS}.summary: lastDay has no effect on this field; leave it out",
        ),
        (
            {"end.dateTime": {"column": "Datum", "lastDay": True}},
            f"{_IS}.end.dateTime: lastDay has no effect on this field; map 'end', which is a day "
            "or a time",
        ),
        (
            {"name": "termine"},
            f"{_IS} names the column 'termine', which the file does not have; its columns are: "
            "Titel, Datum, Beginn, Ende, Entfällt, Notiz, Klasse; if 'termine' is a saved mapping, "
            f'send its name alone as {_IS}, or {{"name": "termine", "version": 1}}',
        ),
        (
            {"name": "x", "version": 2},
            f"{_IS} 'x' is no saved mapping; it can be auto",
        ),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_work_is_refused_with_what_would_be_right(
    google: Server, mapping: Any, message: str
) -> None:
    found = refusal(google, "events", TIMETABLE, mapping)
    if "is no saved mapping" in message:  # other tests save some
        assert found.startswith(message.partition(";")[0])
    else:
        assert found == message


def test_a_mapping_makes_no_record_larger_than_one_of_a_file(shared_memory: Server) -> None:
    """Nor does it build one to see: 600 MB of cells, repeated."""
    file = b"a,b\n" + b"z" * 60_000 + b",1\n1,2\n"
    status = shared_memory.done(
        "records", file, {"mapping": {"text": {"template": "{a}" * 10_000}}}
    )
    assert (status["recordsCount"], status["recordsFailedCount"]) == (2, 1)
    (error,) = shared_memory.errors(str(status["id"]))
    assert error["error"].startswith("the mapping makes a record of more than 8 MB; let it repeat")


def test_a_field_that_is_there_twice_is_refused(shared_memory: Server) -> None:
    metadata = '{"mapping": {"name": "A", "name": "B"}}'
    reply = shared_memory.upload("records", b"A,B\n1,2\n", metadata)
    assert (reply.status, reply.json["message"]) == (
        400,
        "metaData has the key 'name' twice; leave one of them out",
    )
    assert refusal(shared_memory, "records", b"A,B\n1,2\n", {"a": {"column": "A"}, "b.c": "B",
                   "b": "A"}) == (
        "metaData.mapping has 'b.c', which is inside 'b'; keep one of the two"
    )  # fmt: skip


def test_all_rows_that_a_mapping_cannot_take_are_one_refusal(shared_memory: Server) -> None:
    mapping = {"day": {"column": "Tag", "format": "DD.MM.YYYY"}}
    assert refusal(shared_memory, "records", b"Tag\n1/2/2026\n3/4/2026\n", mapping) == (
        "the column 'Tag' has '1/2/2026', which is not like DD.MM.YYYY"
    )


def test_a_column_with_empty_cells_alone_is_one(shared_memory: Server) -> None:
    status = written(shared_memory, "records", b"A,B\n1,\n", mapping={"a": "A", "b": "B"})
    assert "infoMessage" not in status


def test_a_transfer_takes_no_mapping(shared_memory: Server, shared_server: Server) -> None:
    target = {
        "token": shared_memory.element_token,
        "objectName": "records",
        "metaData": {"mapping": {"a": "b"}},
    }
    body = [{"query": "select * from records", "targetConfiguration": target}]
    reply = shared_memory.call("POST", "/bulk/workflows", json_body=body)
    assert (reply.status, reply.json["message"]) == (
        400,
        "metaData.mapping is for files; the fields of a transfer are renamed by a transformation: "
        "POST /instances/{id}/transformations/{name}",
    )


# --- saved mappings ---


def test_a_mapping_is_saved_used_by_its_name_and_deleted(shared_memory: Server) -> None:
    server, file = shared_memory, b"Name,Alter\nAnn,3\n"
    name = f"People {shared_memory.element_token}"[:60]
    body = {"name": name, "object": "records", "mapping": {"title": "Name"}}
    first = server.call("POST", "/mappings", json_body=body)
    assert first.status == 200, first.body
    created = first.json.pop("createdDate")
    assert first.json == {
        "id": first.json["id"], "name": name, "version": 1, "elementKey": "memory",
        "object": "records", "header": ["Name"], "mapping": {"title": "Name"},
        "createdDate": first.json["createdDate"],
    }  # fmt: skip
    assert created > 0
    second = server.call(
        "POST",
        "/mappings",
        json_body={**body, "header": ["Name", "Alter"], "mapping": {"title": "Alter"}},
    ).json
    assert second["version"] == 2
    one = server.call("GET", f"/mappings/{second['id']}").json
    assert one == second
    listed = [row["id"] for row in server.call("GET", "/mappings").json if row["name"] == name]
    assert listed == [second["id"], first.json["id"]]
    written(server, "records", file, mapping=name)
    written(server, "records", file, mapping={"name": name, "version": 1})
    assert [row["title"] for row in records(server, "title")] == ["3", "Ann"]
    assert refusal(server, "records", file, {"name": name, "version": 3}) == (
        f"metaData.mapping: {name!r} has no version 3; its latest one is 2"
    )
    assert refusal(server, "log", file, name).startswith(
        f"metaData.mapping {name!r} is for 'records' of memory, and these records are 'log'"
    )
    assert server.call("DELETE", f"/mappings/{second['id']}").status == 200
    third = server.call("POST", "/mappings", json_body=body).json
    assert third["version"] == 3, "nobody who has asked for version 2 gets another one"
    for row in (first.json, third):
        assert server.call("DELETE", f"/mappings/{row['id']}").status == 200
        assert server.call("GET", f"/mappings/{row['id']}").status == 404
    assert refusal(server, "records", file, name).startswith(
        f"metaData.mapping {name!r} is no saved mapping"
    )


# --- proposals ---

GOOGLES = (
    b"Subject,Start Date,Start Time,End Date,End Time\nChoir,09/30/2026,19:00,09/30/2026,21:00\n"
)


def proposed(server: Server, file: bytes, object: str) -> Mapping[str, Any]:
    """The proposal for a file that is sent without a job."""
    sent = server.call("POST", "/files", body=file, headers={"Content-Type": "text/csv"})
    assert sent.status == 200, sent.body
    reply = server.call("GET", f"/files/{sent.json['id']}/mapping?object={object}")
    assert reply.status == 200, reply.body
    return {**reply.json, "fileId": sent.json["id"]}


def test_a_proposal_says_why_and_can_be_sent_as_it_is(google: Server) -> None:
    found = proposed(google, TIMETABLE, "events")
    assert found["mapping"] == {
        "summary": "Titel",
        "description": "Notiz",
        "start.dateTime": {"columns": ["Datum", "Beginn"]},
        "end.dateTime": {"columns": ["Datum", "Ende"]},
    }
    assert (found["sure"], set(found["notTaken"])) == (True, {"Entfällt", "Klasse"})
    (start,) = [one for one in found["fields"] if one["field"] == "start.dateTime"]
    assert (start["reason"], start["why"]) == (
        "joined",
        "'Datum' and 'Beginn' make it together; times without a zone are in the time zone of the "
        "calendar; metaData.timeZone names another",
    )
    assert found["questions"] == []
    metadata = {"fileId": found["fileId"], "mapping": found["mapping"], "timeZone": "UTC"}
    reply = google.call("POST", "/bulk/events", json_body={"metaData": metadata})
    assert reply.status == 200, reply.body
    job = str(reply.json["id"])
    assert (google.finished(job)["status"], google.errors(job)) == ("COMPLETE", [])
    starts = {one["start"]["dateTime"] for one in google.call("GET", "/events").json}
    assert starts == {"2026-09-07T19:00:00+00:00", "2026-09-08T18:30:00+00:00"}


def test_auto_takes_what_is_sure_and_shows_the_proposal_otherwise(google: Server) -> None:
    written(google, "events", TIMETABLE, mapping="auto", timeZone="UTC")
    assert len(google.call("GET", "/events").json) == 2
    rooms = b"Titel;Ort;Raum;Beginn;Ende\nA;Bern;R1;2026-09-07 10:00;2026-09-07 11:00\n"
    message = refusal(google, "events", rooms, "auto")
    start, _, proposal = message.partition(" Correct this proposal")
    assert start == (
        "metaData.mapping is auto, and not every field is sure: location ('Ort' is a word for "
        "location; 'Raum' may be it as well)."
    )
    assert json.loads(proposal.partition(": ")[2]) == {
        "location": "Ort",
        "start.dateTime": "Beginn",
        "end.dateTime": "Ende",
        "summary": "Titel",
    }
    assert refusal(google, "events", b"xq,zz\n1,2\n", "auto") == (
        "metaData.mapping is auto, and no column is like a field of the object (they are xq, zz); "
        "write the mapping"
    )


def test_a_saved_mapping_is_proposed_for_its_columns(shared_memory: Server) -> None:
    name = f"Saved {shared_memory.instance_id}"
    body = {"name": name, "object": "records", "header": ["Q1", "Q2"], "mapping": {"title": "Q2"}}
    saved = shared_memory.call("POST", "/mappings", json_body=body).json
    try:
        found = proposed(shared_memory, b"Q2,Q1\na,b\n", "records")
        assert (found["mapping"], found["notTaken"]) == ({"title": "Q2"}, ["Q1"])
        assert found["fields"][0]["reason"] == "saved"
        written(shared_memory, "records", b"Q2,Q1\na,b\n", mapping="auto")
        assert records(shared_memory, "title") == [{"title": "a"}]
    finally:
        shared_memory.call("DELETE", f"/mappings/{saved['id']}")
    # An object that takes any field has its columns as they are.
    assert proposed(shared_memory, b"Q2,Q1\na,b\n", "records")["mapping"] == {
        "Q2": "Q2",
        "Q1": "Q1",
    }


def test_tables_are_mapped_by_the_names_and_comments_of_their_columns(
    shared_server: Server, postgres: Postgres
) -> None:
    name = postgres.new_database()
    with psycopg.connect(postgres.url(name)) as connection:
        connection.execute(
            "CREATE TABLE kunden (id serial PRIMARY KEY, vorname text, feld_7 text, geboren date)"
        )
        connection.execute("COMMENT ON COLUMN kunden.feld_7 IS 'E-Mail-Adresse'")
    server = shared_server.instance("postgresql", postgres.configuration(name))
    file = b"First name,Email,Date of birth\nAnn,ann@example.com,2001-02-03\n"
    found = proposed(server, file, "kunden")
    assert found["mapping"] == {
        "vorname": "First name",
        "feld_7": "Email",
        "geboren": "Date of birth",
    }
    assert found["sure"]


def shop(server: Server, postgres: Postgres) -> Server:
    """An instance whose table has a number and an instant."""
    name = postgres.new_database()
    with psycopg.connect(postgres.url(name)) as connection:
        connection.execute(
            "CREATE TABLE sale (item text, amount numeric, sold timestamptz, noted timestamp)"
        )
    return server.instance("postgresql", postgres.configuration(name))


def amounts(server: Server) -> Sequence[float]:
    return [float(one["amount"]) for one in server.call("GET", "/sale").json]


def test_a_number_that_may_be_two_is_asked_for_wherever_a_number_field_takes_it(
    shared_server: Server, postgres: Postgres
) -> None:
    server = shop(shared_server, postgres)
    file = b"Item;Amount\nBread;1.234\nMilk;5\n"
    found = proposed(server, file, "sale")
    (amount,) = [one for one in found["fields"] if one["field"] == "amount"]
    assert (amount["sure"], [one["key"] for one in found["questions"]]) == (False, ["decimal"])
    assert (
        "'1.234', which is 1.234 with a decimal point or 1234 with a decimal comma"
        in (amount["why"])
    )
    mapping = {"item": "Item", "amount": "Amount"}
    message = refusal(server, "sale", file, mapping)
    assert message.startswith('row 1: Amount "1.234" is 1.234 (decimal point) or 1234')
    assert "set metaData.mapping.amount.decimal, or metaData.decimal" in message
    assert "metaData.mapping is auto" in refusal(server, "sale", file, "auto")
    by_column = {"item": "Item", "amount": {"column": "Amount", "decimal": "."}}
    for given, decimal in ((mapping, ","), ("auto", ","), (by_column, "")):
        written(server, "sale", file, mapping=given, decimal=decimal)
    assert amounts(server) == [1234, 5, 1234, 5, 1.234, 5]


def test_the_decimal_sign_of_a_file_is_that_of_its_jobs_with_and_without_a_mapping(
    shared_server: Server, postgres: Postgres
) -> None:
    server = shop(shared_server, postgres)
    table = b"item;amount\nBread;1.234,50\nMilk;7\n"
    written(server, "sale", table, decimal=",")
    asked = proposed(server, table, "sale")
    server.call("PATCH", f"/files/{asked['fileId']}", json_body={"metaData": {"decimal": ","}})
    use = {"fileId": asked["fileId"], "mapping": {"item": "item", "amount": "amount"}}
    job = server.call("POST", "/bulk/sale", json_body={"metaData": use}).json
    assert server.errors(str(server.finished(job["id"])["id"])) == []
    assert amounts(server) == [1234.5, 7, 1234.5, 7]
    wrong = server.upload("sale", b"item;amount\nBread;1,50\nMilk;1.5\n", {"decimal": ","})
    (error,) = server.errors(str(server.finished(wrong.json["id"])["id"]))
    assert "amount '1.5' is not a number with a decimal comma, like 1.234,50" in str(error)


def test_the_zone_of_times_is_asked_for_only_if_a_field_is_an_instant(
    shared_server: Server, postgres: Postgres
) -> None:
    server = shop(shared_server, postgres)
    found = proposed(server, b"item;sold\nBread;2026-09-07 10:00\n", "sale")
    (question,) = found["questions"]
    assert (question["key"], question["required"]) == ("timeZone", False)
    assert question["message"].startswith(
        'row 1: sold "2026-09-07 10:00" has no time zone, and sold is an instant; a job reads it '
        "in UTC"
    )
    for file in (b"item;noted\nBread;2026-09-07 10:00\n", b"item;sold\nBread;2026-09-07T10:00Z\n"):
        assert proposed(server, file, "sale")["questions"] == []


def test_a_file_of_googles_own_csv_has_the_columns_that_it_is_shown_with(google: Server) -> None:
    found = proposed(google, GOOGLES, "events")
    metadata = {"fileId": found["fileId"], "mapping": found["mapping"]}
    reply = google.call("POST", "/bulk/events", json_body={"metaData": metadata})
    assert reply.status == 200, reply.body
    assert google.finished(str(reply.json["id"]))["status"] == "COMPLETE"
    # Sent with the job, the columns of the file itself are named.
    mapping = {
        "summary": "Subject",
        "start.dateTime": {"columns": ["Start Date", "Start Time"]},
        "end.dateTime": {"columns": ["End Date", "End Time"]},
    }
    written(google, "events", GOOGLES, mapping=mapping)
    assert [one["summary"] for one in google.call("GET", "/events").json] == ["Choir", "Choir"]


def test_a_mapping_may_name_the_fields_of_a_transformation(shared_memory: Server) -> None:
    fields = [{"path": "who.name", "vendorPath": "title"}]
    body = {"vendorName": "records", "fields": fields}
    path = "/instances/transformations/people"
    assert shared_memory.call("POST", path, json_body=body).status == 200
    mapping = {"who.name": "Name", "fail": "Fehler"}
    status = shared_memory.done("people", b"Name;Fehler\nAnn;\nBob;kaputt\n", {"mapping": mapping})
    (error,) = shared_memory.errors(str(status["id"]))
    assert (error["rowNum"], error["field"]) == (2, "Fehler")
    assert error["error"] == "column 'Fehler': kaputt"
    assert records(shared_memory, "title") == [{"title": "Ann"}]


def test_a_repeated_request_gets_its_job_whatever_became_of_the_mapping(
    shared_memory: Server,
) -> None:
    name = f"Gone {shared_memory.instance_id}"
    body = {"name": name, "object": "records", "mapping": {"title": "A"}}
    saved = shared_memory.call("POST", "/mappings", json_body=body).json
    metadata = {"mapping": name, "identifierFieldName": "A"}
    key = {"Idempotency-Key": name}
    first = shared_memory.upload("records", b"A\n1\n", metadata, headers=key)
    assert first.status == 200, first.body
    shared_memory.call("DELETE", f"/mappings/{saved['id']}")
    again = shared_memory.upload("records", b"A\n1\n", metadata, headers=key)
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert again.headers["idempotent-replayed"] == "true"
