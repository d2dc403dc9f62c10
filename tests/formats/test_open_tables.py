"""What a table leaves open, and only its owner knows: asked with the table's own rows."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]

from openbulk.domain.file_questions import OpenQuestion, Question
from openbulk.domain.records import Row
from openbulk.formats import FORMATS
from openbulk.formats.recognition import inspect_rows


def question_of(content: bytes) -> Question:
    with pytest.raises(OpenQuestion) as caught:
        inspect_rows(io.BytesIO(content), None, {}, 10)
    return caught.value.question


def rows_of(content: bytes, **options: Any) -> Sequence[Row]:
    return inspect_rows(io.BytesIO(content), None, options, 10).rows


def workbook_of(rows: Sequence[Sequence[Any]]) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, cells)
    return content.getvalue()


# --- the delimiter ---


def test_two_delimiters_that_fit_as_well_are_a_question() -> None:
    table = b"name,town;born\nLi,Bonn;1990\nBo,Bern;1991\n"
    question = question_of(table)
    assert (question.key, question.is_required) == ("delimiter", True)
    readings = {one.value: one.shown for one in question.choices}
    assert readings == {
        "comma": "2 cells: 'Li', 'Bonn;1990'",
        "semicolon": "2 cells: 'Li,Bonn', '1990'",
    }
    assert question.example is not None
    assert question.example.text == "name,town;born"
    for choice, name in (("comma", "town;born"), ("semicolon", "name,town")):
        assert name in (rows_of(table, delimiter=choice)[0].values or {})


def test_a_wider_table_with_a_broken_row_is_not_given_up_in_silence() -> None:
    """All rows have one comma, and all but one the semicolons of the header."""
    rows = b"".join(b"Ann;Bonn;1,5;x\n" for _ in range(9))
    question = question_of(b"name;town;price,tax;note\n" + rows + b"Bo;1,5\n")
    assert {one.value for one in question.choices} == {"comma", "semicolon"}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (b"Name, Vorname;Ort\nLi, Bo;Bern\nMa, Yo;Rom\n", {"Name, Vorname", "Ort"}),
        (b"name;price\nAnn;1,50\nBo;2,30\n", {"name", "price"}),
        (b"item;price, net;pieces\nBread;2,50;3\nMilk;1,20;1\n", {"item", "price, net", "pieces"}),
        (b"name, town\nAnn, Bonn\n", {"name", "town"}),
        (b"name\nLi, Bo\n", {"name"}),
    ],
)
def test_a_delimiter_that_fits_better_is_taken(table: bytes, columns: set[str]) -> None:
    assert set(inspect_rows(io.BytesIO(table), None, {}, 10).header) == columns


# --- the header ---


def test_a_record_in_place_of_the_header_is_a_question() -> None:
    table = b"Ann,ann@example.com\nBo,bo@example.com\n"
    question = question_of(table)
    assert (question.key, [one.value for one in question.choices]) == ("headerRow", ["0", "1"])
    assert question.choices[0].shown == (
        "no row has names; the first record is 'Ann', 'ann@example.com'"
    )
    assert "set metaData.headerRow to 0 if no row" in question.message
    found = rows_of(table, headerRow=0)
    assert [row.values for row in found] == [
        {"A": "Ann", "B": "ann@example.com"},
        {"A": "Bo", "B": "bo@example.com"},
    ]
    assert [(row.number, row.line) for row in found] == [(1, 1), (2, 2)]
    assert len(rows_of(table, headerRow=1)) == 1


@pytest.mark.parametrize(
    "table",
    [
        "1;Ann;Bonn\n2;Bo;Bern\n3;Cy;Rom\n",
        "Ausflug;07.09.2026\nFest;08.09.2026\n",
        "Ann;ann@example.com\n",
    ],
)
def test_a_header_that_counts_or_has_values_is_a_question(table: str) -> None:
    assert question_of(table.encode()).key == "headerRow"


@pytest.mark.parametrize(
    "table",
    [
        "name;2024;2025\nAnn;12;13\nBo;7;9\n",
        "name;1;2;3\nAnn;2;3;4\nBo;3;4;5\n",
        "name;07.09.2026;14.09.2026\nAnn;x;x\nBo;;x\n",
        "mail;day\nann@example.com;2026-05-30\n",
        "name;from;to\nAnn;open;2026-05-30\nBo;2026-05-30;2026-05-31\nCy;2026-05-30;\n",
    ],
)
def test_a_header_that_may_be_one_is_taken(table: str) -> None:
    assert rows_of(table.encode())


def test_two_rows_of_names_are_a_question_with_both() -> None:
    """A second row explains the first one, or is in another language."""
    rows = "".join(f"Ann;0{day}.09.2026;1{day}\n" for day in range(1, 5))
    table = f"name;day;pieces\nName;Tag;Anzahl\n{rows}".encode()
    question = question_of(table)
    assert [one.value for one in question.choices] == ["1", "2"]
    assert question.choices[1].shown == "the names are 'Name', 'Tag', 'Anzahl'"
    assert rows_of(table, headerRow=2)[0].values == {
        "Name": "Ann", "Tag": "01.09.2026", "Anzahl": "11",
    }  # fmt: skip


def test_names_below_a_row_of_groups_are_a_question() -> None:
    record = ["Ann", "1990", "Main Street", "Bonn"]
    names = ["name", "born", "street", "town"]
    content = workbook_of([["Person", None, "Address", None], names, record, record, record])
    question = question_of(content)
    assert [one.value for one in question.choices] == ["2"]
    assert rows_of(content, headerRow=2)[0].values == dict(zip(names, record, strict=True))


def test_a_sheet_without_a_header_has_letters_for_names() -> None:
    content = workbook_of([[number, "Ann", f"ann{number}@example.com"] for number in range(1, 4)])
    assert [one.value for one in question_of(content).choices] == ["0", "1"]
    rows = list(FORMATS["xlsx"].read(io.BytesIO(content), {"headerRow": 0}))
    assert rows[0].values == {"A": 1, "B": "Ann", "C": "ann1@example.com"}
    assert len(rows) == 3
