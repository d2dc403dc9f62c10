"""Which column of a file makes which field: proposed with a reason, never two in silence."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from openbulk.domain.file_mapping import parse_mapping
from openbulk.domain.file_profile import ColumnProfile, LikelyType, ValueType
from openbulk.mapping.proposal import Proposal, Saved, propose
from support.mapping_headers import ALL_TARGET, SURE_TARGET, read_headers, schema_of, total

EVENT, CONTACT, ACCOUNT = map(schema_of, ("event", "contact", "account"))
TABLE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kunde_nr": {"type": "integer"},
        "vorname": {"type": "string"},
        "feld_7": {"type": "string", "description": "E-Mail-Adresse"},
        "feld_8": {"type": "string", "description": "Telefonnummer"},
        "geboren": {"type": "string", "format": "date"},
    },
}


def column(name: str, type_: ValueType | None = None, *samples: str) -> ColumnProfile:
    """A column whose cells are all of one type, if one is given."""
    types = () if type_ is None else (LikelyType(type_, 1.0),)
    return ColumnProfile(name, 1.0, 10, samples, types)


def columns(names: str) -> Sequence[ColumnProfile]:
    """Columns of which only the names are known."""
    return [column(name.strip()) for name in names.split(",")]


def made_of(proposal: Proposal) -> dict[str, tuple[str, ...]]:
    """The columns of each field."""
    return {one.field: one.source.columns for one in proposal.fields}


def test_enough_fields_of_headers_that_the_synonyms_do_not_know_are_right() -> None:
    headers = [one for one in read_headers() if one.is_measured]
    assert len(read_headers()) >= 120
    assert len({one.language for one in headers}) >= 10
    score = total(headers)
    assert score.of_sure >= SURE_TARGET
    assert score.of_all >= ALL_TARGET
    # And no worse than it was.
    assert (round(score.of_sure, 2), round(score.of_all, 2)) >= (0.99, 0.98)


def test_each_field_says_why_and_how_sure() -> None:
    header = "C_EmailAddress,First Name,Nachname,Telefonnumer,Rabatt"
    found = propose(columns(header), CONTACT, "contact")
    shown = {one.field: (one.reason, one.sure) for one in found.fields}
    assert shown == {
        "C_EmailAddress": ("name", True),
        "C_FirstName": ("title", True),
        "C_LastName": ("synonym", True),
        "C_BusPhone": ("similar", False),
    }
    assert found.fields[-1].why == (
        "'Telefonnumer' is like 'telefonnummer', a word for Business Phone"
    )
    assert found.not_taken == ("Rabatt",)
    confidences = [one.confidence for one in found.fields]
    assert confidences == sorted(confidences, reverse=True)


def test_a_saved_mapping_for_the_same_columns_comes_before_all_others() -> None:
    saved = Saved("Ours", frozenset({"Titel", "Tag"}), parse_mapping({"location": "Titel"}))
    other = Saved("Other", frozenset({"Titel"}), parse_mapping({"summary": "Titel"}))
    found = propose(columns("Tag,Titel"), EVENT, "events", [other, saved])
    assert made_of(found) == {"location": ("Titel",)}
    assert (found.fields[0].reason, found.sure, found.not_taken) == ("saved", True, ("Tag",))
    assert "'Ours'" in found.fields[0].why


def test_two_columns_for_one_field_are_not_sure_and_both_are_shown() -> None:
    found = propose(columns("Ort,Raum,Titel"), EVENT, "events")
    (location,) = [one for one in found.fields if one.field == "location"]
    assert (location.source.columns, location.sure) == (("Ort",), False)
    assert [one.columns for one in location.alternatives] == [("Raum",)]
    assert "'Raum' may be it as well" in location.why
    assert (found.sure, found.not_taken) == (False, ("Raum",))


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (
            [column("Datum", "date"), column("Beginn", "time"), column("Ende", "time")],
            {"start.dateTime": ("Datum", "Beginn"), "end.dateTime": ("Datum", "Ende")},
        ),
        (
            [column("Beginn", "datetime"), column("Ende", "datetime")],
            {"start.dateTime": ("Beginn",), "end.dateTime": ("Ende",)},
        ),
        (
            [column("Beginn", "date"), column("Ende", "date")],
            {"start.date": ("Beginn",), "end.date": ("Ende",)},
        ),
        (
            [column("Start Date"), column("Start Time"), column("End Date"), column("End Time")],
            {
                "start.dateTime": ("Start Date", "Start Time"),
                "end.dateTime": ("End Date", "End Time"),
            },
        ),
    ],
)
def test_days_and_times_make_the_moments_of_an_event(
    header: Sequence[ColumnProfile], fields: dict[str, tuple[str, ...]]
) -> None:
    assert made_of(propose(header, EVENT, "events")) == fields


FROM_TO = [column("Beginn", "date"), column("Ende", "date")]


def days(*rows: tuple[str, str]) -> Sequence[dict[str, str]]:
    """Rows of days, from and to."""
    return [{"Beginn": first, "Ende": end} for first, end in rows]


@pytest.mark.parametrize(
    ("rows", "sure", "why"),
    [
        (days(("10.07.2027", "14.07.2027")), True, "makes it the day after"),
        (days(("10.07.2027", "11.07.2027"), ("1.8.2027", "1.8.2027")), True, "row 2 begins and"),
        (days(("10.07.2027", "11.07.2027")), False, "no row shows which"),
        ([], False, "no row shows which"),
    ],
)
def test_the_last_day_of_people_becomes_the_day_after_and_is_asked_about_where_it_is_open(
    rows: Sequence[dict[str, str]], sure: bool, why: str
) -> None:
    found = propose(FROM_TO, EVENT, "events", rows=rows)
    by_field = {one.field: one for one in found.fields}
    end = by_field["end.date"]
    assert (end.source.as_json(), end.sure) == ({"column": "Ende", "lastDay": True}, sure)
    assert why in end.why
    assert by_field["start.date"].source.as_json() == "Beginn"
    keys = [one.key for one in found.questions]
    assert keys == (["mapping.end.date.lastDay"] if rows and not sure else [])


def test_the_end_of_a_calendar_file_and_the_services_own_name_have_no_last_day() -> None:
    for name in ("DTEND", "end.date"):
        header = [column("start.date", "date"), column(name, "date")]
        (end,) = [one for one in propose(header, EVENT, "events").fields if one.field == "end.date"]
        assert end.source.as_json() == name


def test_rows_without_times_are_whole_days() -> None:
    times = [replace(column(name, "time"), filled=0.5) for name in ("Beginn", "Ende")]
    found = propose([column("Datum", "date"), *times], EVENT, "events")
    assert found.mapping is not None
    assert found.mapping.as_json() == {
        "start": {"columns": ["Datum", "Beginn"]},
        "end": {"columns": ["Datum", "Ende"], "lastDay": True},
    }
    assert found.sure
    flag = column("Ganztägig", "yesNo", "ja", "nein")
    all_day = propose([column("Von", "datetime"), column("Bis", "datetime"), flag], EVENT, "events")
    assert all_day.mapping is not None
    assert all_day.mapping.as_json() == {
        "start": {"column": "Von", "allDay": "Ganztägig"},
        "end": {"column": "Bis", "lastDay": True, "allDay": "Ganztägig"},
    }
    assert all_day.not_taken == ()


def test_numbers_have_the_decimal_sign_of_their_column() -> None:
    table = {"properties": {"price": {"type": "number"}}}
    comma = replace(column("Price"), types=(LikelyType("number", 1.0, ","),))
    (price,) = propose([comma], table, "items").fields
    assert price.source.as_json() == {"column": "Price", "decimal": ","}


def test_a_name_means_what_the_columns_beside_it_leave() -> None:
    both = propose(columns("Name,Vorname"), CONTACT, "contact")
    assert made_of(both) == {"C_FirstName": ("Vorname",), "C_LastName": ("Name",)}
    italian = propose(columns("Nome,Cognome"), CONTACT, "contact")
    assert made_of(italian) == {"C_FirstName": ("Nome",), "C_LastName": ("Cognome",)}
    whole = {"properties": {"full_name": {"type": "string"}, "email": {"type": "string"}}}
    joined = propose(columns("Vorname,Nachname,E-Mail"), whole, "people")
    assert made_of(joined) == {"full_name": ("Vorname", "Nachname"), "email": ("E-Mail",)}


def test_tables_are_known_by_the_names_and_the_comments_of_their_columns() -> None:
    found = propose(columns("Email,First name,Tel.,Date of birth"), TABLE, "kunden")
    assert made_of(found) == {
        "vorname": ("First name",),
        "feld_7": ("Email",),
        "feld_8": ("Tel.",),
        "geboren": ("Date of birth",),
    }


def test_cells_that_are_no_values_of_a_field_make_it_less_sure() -> None:
    names = [column("E-Mail", "text", "Ann"), column("Vorname")]
    (email,) = [
        one for one in propose(names, CONTACT, "contact").fields if one.field == "C_EmailAddress"
    ]
    assert (email.sure, "do not look like values" in email.why) == (False, True)
    status = propose([column("Status", "text", "geplant")], EVENT, "events").fields[0]
    assert (status.field, status.sure, "`values`" in status.why) == ("status", False, True)


def test_a_header_of_nothing_known_has_no_proposal() -> None:
    found = propose(columns("xq,zz,17"), ACCOUNT, "account")
    assert (found.fields, found.mapping, found.sure) == ((), None, False)
    assert found.not_taken == ("xq", "zz", "17")
