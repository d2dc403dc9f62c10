"""Columns become fields in one way, whatever the service and the format."""

import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.base import Features
from openbulk.connectors.columns import Columns
from openbulk.connectors.fields import FieldError
from openbulk.connectors.schema_level import UnknownColumn
from openbulk.domain.records import Action, Target

TEXT: Mapping[str, Any] = {"type": "string"}
TIME = {"type": "object", "properties": {"date": TEXT, "dateTime": TEXT, "timeZone": TEXT}}
GUESTS = {"type": "array", "items": {"type": "object", "properties": {"email": TEXT}}}
PRIVATE = {"type": "object", "additionalProperties": TEXT}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "LastName": TEXT,
        "C_EmailAddress": {"type": "string", "title": "Email Address"},
        "a.b": TEXT,
        "a:b": TEXT,
        "Rate %": TEXT,
        "Größe": TEXT,
        "start": TIME,
        "attendees": GUESTS,
        "private": {"type": "object", "properties": {"shared": PRIVATE}},
        "data": {},
        "tags": {"type": "array"},
    },
}
ANYTHING: Mapping[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string", "readOnly": True}},
    "additionalProperties": {},
}
TWINS: Mapping[str, Any] = {"type": "object", "properties": {"Code": TEXT, "code": TEXT}}


def columns(
    schema: Mapping[str, Any] = SCHEMA,
    *,
    table: bool = True,
    identifier: str | None = None,
    action: Action = Action.UPSERT,
    **features: Any,
) -> Columns:
    target = Target("people", action, identifier)
    return Columns(target, Features(**features), schema, names_are_paths=table)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("LastName", {"LastName": 1}),
        ("LASTNAME", {"LastName": 1}),
        (" lastname ", {"LastName": 1}),
        ("\ufeffLastName", {"LastName": 1}),
        ("Last\u200bName", {"LastName": 1}),
        ("Email Address", {"C_EmailAddress": 1}),
        ("email\u00a0 ADDRESS", {"C_EmailAddress": 1}),
        ("c_emailaddress", {"C_EmailAddress": 1}),
        ("a.b", {"a.b": 1}),
        ("A.B", {"a.b": 1}),
        ("a:b", {"a:b": 1}),
        ("rate %", {"Rate %": 1}),
        (unicodedata.normalize("NFD", "Größe"), {"Größe": 1}),
        (unicodedata.normalize("NFC", "GRÖSSE"), {"Größe": 1}),
        ("start.date", {"start": {"date": 1}}),
        ("Start.DateTime", {"start": {"dateTime": 1}}),
        ("attendees[0].email", {"attendees": [{"email": 1}]}),
        ("Attendees[12].EMail", {"attendees": [{"email": 1}]}),
        ("private.shared.ref", {"private": {"shared": {"ref": 1}}}),
        ("private.shared.a.b", {"private": {"shared": {"a.b": 1}}}),
        ("data.x.y", {"data": {"x": {"y": 1}}}),
        ("data[0].x", {"data": [{"x": 1}]}),
        ("tags[0]", {"tags": [1]}),
    ],
)
def test_a_column_is_found_by_name_in_any_case_by_title_and_by_path(
    name: str, field: Mapping[str, Any]
) -> None:
    assert columns().fields_of({name: 1}) == field


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("LastNam", "did you mean 'LastName'?"),
        ("Last Name", "did you mean 'LastName'?"),
        ("E-mail Address", "did you mean 'C_EmailAddress'?"),
        ("start.dat", "did you mean 'start.date'?"),
        ("StartDate", "did you mean 'start.date'?"),
        ("start.date.day", "did you mean 'start.date'?"),
        ("LastName.first", "did you mean 'LastName'?"),
        ("attendees.email", "did you mean 'attendees[0].email'?"),
        ("start[0]", "did you mean 'start.dateTime' or 'start.date'?"),
        ("zzz", "its fields are: id, LastName, C_EmailAddress"),
        ("", "its fields are"),
        (".", "its fields are"),
        ("x" * 100_000, "its fields are"),
        ("." * 100_000, "its fields are"),
    ],
)
def test_a_column_that_is_no_field_is_refused_with_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(UnknownColumn) as refused:
        columns().fields_of({"LastName": 1, name: 2})
    assert refused.value.field == name
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    assert refused.value.message.startswith(f"{shown!r} is not a field of people; ")
    assert hint in refused.value.message


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (("LastName", "lastname"), "LastName"),
        (("LASTNAME", "lastname"), "LastName"),
        (("C_EmailAddress", "Email Address"), "C_EmailAddress"),
        (("start.date", "Start.Date"), "start.date"),
        (("attendees[0].email", "attendees[0].Email"), "attendees[0].email"),
        (("Größe", unicodedata.normalize("NFD", "Größe")), "Größe"),
    ],
)
def test_two_columns_for_one_field_are_refused_with_both_names(
    names: tuple[str, str], field: str
) -> None:
    first, second = names
    message = f"the columns {first!r} and {second!r} both mean {field}; keep one of them"
    with pytest.raises(FieldError) as refused:
        columns().fields_of({first: "1", second: "2"})
    assert refused.value.message == message
    assert columns().problem_of(["a:b", first, second]) == message
    assert columns().problem_of(["a:b", first]) is None


def test_the_fields_are_listed_once_for_all_columns_that_are_like_none() -> None:
    first, second, third = columns().describe_unknown(["Betreff", "Beginnt am", "Lastnam"])
    assert first.startswith("'Betreff' is not a field of people; its fields are: id, LastName,")
    assert second == "'Beginnt am' is not a field of people"
    assert third == "'Lastnam' is not a field of people; did you mean 'LastName'?"


def test_exact_names_come_first() -> None:
    """Fields whose names differ in case only are two; a name in a third case can mean either."""
    both = {"Code": "1", "code": "2"}
    assert columns(TWINS).fields_of(both) == both
    with pytest.raises(FieldError, match="'CODE' can mean Code or code; write the field's name"):
        columns(TWINS).fields_of({"CODE": "3"})
    assert "can mean" in str(columns(TWINS).problem_of(["CODE"]))


def test_names_inside_a_json_record_are_resolved_too() -> None:
    record = {"Start": {"DATE": "2026-05-30"}, "attendees": [{"EMAIL": "a@x"}, {"email": "b@x"}]}
    assert columns(table=False).fields_of(record) == {
        "start": {"date": "2026-05-30"},
        "attendees": [{"email": "a@x"}, {"email": "b@x"}],
    }
    with pytest.raises(UnknownColumn, match=r"'start\.dat' is not a field .* 'start\.date'"):
        columns(table=False).fields_of({"start": {"dat": "2026-05-30"}})
    with pytest.raises(UnknownColumn, match=r"attendees\[0\]\.mail"):
        columns(table=False).fields_of({"attendees": [{"mail": "a@x"}]})


def test_a_field_and_a_field_inside_it_are_refused_together() -> None:
    with pytest.raises(FieldError, match=r"start\.date.*; keep one of the columns"):
        columns().fields_of({"start": "2026-05-30", "start.date": "2026-05-30"})


def test_an_object_that_takes_any_field_takes_names_as_they_are() -> None:
    """A dot nests in a table, which has no other way to; a full stop does not."""
    values = {"name": "1", "NAME": "2", "a.b": "3", "l[0].e": "4", "Nr.": "5", "No. of x": "6"}
    nested = {**values, "a": {"b": "3"}, "l": [{"e": "4"}]}
    del nested["a.b"], nested["l[0].e"]
    assert columns(ANYTHING).fields_of(values) == nested
    assert columns(ANYTHING, table=False).fields_of(values) == values
    assert columns({}).fields_of(values) == nested


def test_a_record_with_the_names_of_fields_stays_the_object_that_it_is() -> None:
    """The path of most records costs a look into a set."""
    resolved = columns()
    record = {"LastName": "x", "a.b": "y"}
    assert resolved.fields_of(record) == record
    assert resolved.fields_of(record) is record


def test_an_identifier_is_resolved_as_a_column_is() -> None:
    assert columns(identifier="email address").identifier == "C_EmailAddress"
    assert columns(identifier="START.date").identifier == "start.date"
    assert columns(identifier="a.b").identifier == "a.b"
    assert columns(ANYTHING, identifier="number").identifier == "number"
    with pytest.raises(FieldError, match=r"metaData\.identifierFieldName: 'LastNam' is not a"):
        columns(identifier="LastNam")
    assert columns(identifier="LastNam", action=Action.CREATE).identifier == "LastNam"


def test_a_service_that_keeps_any_identifier_takes_its_column() -> None:
    kept = columns(identifier="Ref", any_identifier=True)
    assert kept.fields_of({"REF": "7", "LastName": "x"}) == {"Ref": "7", "LastName": "x"}
    with pytest.raises(UnknownColumn):
        kept.fields_of({"other": "7"})


def test_columns_beside_the_fields_are_taken() -> None:
    assert columns(extra_columns=("calendarId",)).fields_of({"CalendarID": "x"}) == {
        "calendarId": "x"
    }


def test_fields_that_the_service_fills_are_left_out_unless_they_identify_the_record() -> None:
    reading = columns(skips_read_only=True)
    assert reading.fields_of({"ID": "7", "LastName": "x"}) == {"LastName": "x"}
    assert list(reading.left_out) == ["ID"]
    assert columns().fields_of({"id": "7"}) == {"id": "7"}
    assert columns(skips_read_only=True, identifier="id").fields_of({"id": "7"}) == {"id": "7"}


NAMES = st.sampled_from(["LastName", "a.b", "start.date", "attendees[0].email", "Größe"])
FORMS = st.sampled_from(["NFC", "NFD"])


@given(NAMES, FORMS, st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase]))
def test_case_blanks_and_composition_never_matter(name: str, form: Any, cased: Any) -> None:
    written = unicodedata.normalize(form, f" {cased(name)}\u00a0")
    assert columns().fields_of({written: "x"}) == columns().fields_of({name: "x"})


@given(st.text(max_size=30))
def test_any_name_is_a_field_or_refused(name: str) -> None:
    try:
        columns().fields_of({name: "x"})
    except FieldError as refused:
        assert refused.message
