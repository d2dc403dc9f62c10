"""Workbooks as Excel and other spreadsheets save them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row, nest_paths, steps_of
from openbulk.formats import FORMATS, archives
from openbulk.formats.recognition import inspect
from openbulk.formats.xlsx import GoogleXlsx, Xlsx, writing

DECIMALS = st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=5)


def workbook(
    *rows: Sequence[Any], sheets: Mapping[str, Sequence[Sequence[Any]]] | None = None
) -> bytes:
    """A workbook with these rows in its first sheet, and further sheets."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        formats = {
            kind: book.add_format({"num_format": text})
            for kind, text in (
                (datetime, "yyyy-mm-dd hh:mm"),
                (date, "yyyy-mm-dd"),
                (time, "hh:mm"),
            )
        }
        for name, table in {"First": rows, **(sheets or {})}.items():
            sheet = book.add_worksheet(name)
            for line, cells in enumerate(table):
                for column, cell in enumerate(cells):
                    if type(cell) in formats:
                        sheet.write_datetime(line, column, cell, formats[type(cell)])
                    elif cell is not None:
                        sheet.write(line, column, cell)
    return content.getvalue()


def read(content: bytes, **options: Any) -> list[Row]:
    return list(Xlsx().read(io.BytesIO(content), options))


def test_cells_keep_their_types() -> None:
    """Dates and times are ISO 8601, whole numbers are integers. Empty cells and rows are absent."""
    content = workbook(
        [],
        ["summary", "start.dateTime", "end.date", "at", "n", "share", "ok"],
        [
            "Maths",
            datetime.fromisoformat("2026-05-30T10:00"),
            date(2026, 5, 30),
            time(10, 30),
            7,
            1.5,
            True,
        ],
        [None, None],
        ["Art", None, None, None, None, None, False],
    )
    assert inspect(io.BytesIO(content), None, {}).name == "xlsx"
    first, second = read(content)
    assert first.values == {
        "summary": "Maths",
        "start.dateTime": "2026-05-30T10:00:00",
        "end.date": "2026-05-30",
        "at": "10:30:00",
        "n": 7,
        "share": 1.5,
        "ok": True,
    }
    assert (second.number, second.line, second.values) == (2, 5, {"summary": "Art", "ok": False})


def test_a_sheet_with_googles_columns_is_read_as_googles_csv() -> None:
    """If it is sent to a calendar. Its dates are date cells or texts."""
    header = ["Subject", "Start Date", "Start Time", "End Time", "All Day Event"]
    content = workbook(
        header,
        ["Maths", date(2026, 5, 30), time(10, 0), time(11, 0), False],
        ["Camp", "30.05.2026", None, None, True],
    )
    assert inspect(io.BytesIO(content), None, {}).name == "googlexlsx"
    assert inspect(io.BytesIO(content), None, {}, takes_events=False).name == "xlsx"
    timed, all_day = (row.values for row in GoogleXlsx().read(io.BytesIO(content), {}))
    assert timed == {
        "summary": "Maths",
        "start": {"dateTime": "2026-05-30T10:00:00"},
        "end": {"dateTime": "2026-05-30T11:00:00"},
    }
    assert all_day == {
        "summary": "Camp",
        "start": {"date": "2026-05-30"},
        "end": {"date": "2026-05-31"},
    }


def test_metadata_names_the_sheet() -> None:
    """Without a name it is the first one."""
    content = workbook(["a"], [1], sheets={"Lessons": [["b"], [2]]})
    assert [row.values for row in read(content)] == [{"a": 1}]
    assert [row.values for row in read(content, sheet="Lessons")] == [{"b": 2}]
    with pytest.raises(BadInput, match="has no sheet 'Lesson'; its sheets are: First, Lessons"):
        read(content, sheet="Lesson")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (workbook([], []), "is empty; a workbook has field names"),
        (workbook(["a", "a"], [1, 2]), "are both called 'a'"),
        (workbook(["a", None, "b"], [1, 2, 3]), "column 2 has no name"),
        (workbook(["a"], [1])[:-200], "cannot be read"),
        (b"PK\x03\x04" + b"xl/" * 50, "cannot be read"),
    ],
    ids=["empty", "two of a name", "no name", "cut off", "no archive"],
)
def test_an_unreadable_workbook_is_refused_with_a_sentence(content: bytes, message: str) -> None:
    """Before a job is created for it."""
    with pytest.raises(BadInput, match=message):
        inspect(io.BytesIO(content), None, {})


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's directory states its size."""
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10_000)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 20_000)
    with pytest.raises(BadInput, match="when it is unpacked"):
        inspect(io.BytesIO(content.getvalue()), None, {})


def test_the_stated_format_does_not_make_a_workbook_of_a_text() -> None:
    """Nor a text of a workbook."""
    with pytest.raises(BadInput, match="the file is not a workbook"):
        inspect(io.BytesIO(b"a,b\n1,2\n"), "xlsx", {})
    with pytest.raises(BadInput, match=r"metaData\.format is csv, but the file is a workbook"):
        inspect(io.BytesIO(workbook(["a"], [1])), "csv", {})
    assert FORMATS["xlsx"].is_binary


# --- writing ---


def write(records: Sequence[Mapping[str, Any]], fields: Sequence[str] = ()) -> bytes:
    return b"".join(Xlsx().write(records, fields))


def read_again(
    records: Sequence[Mapping[str, Any]], fields: Sequence[str] = ()
) -> list[Mapping[str, Any] | None]:
    return [row.values for row in Xlsx().read(io.BytesIO(write(records, fields)), {})]


def test_a_written_workbook_is_recognized_and_read() -> None:
    """Texts stay texts, whatever they begin with; numbers and booleans have their own cells."""
    event = {
        "id": "0012",
        "summary": "=HYPERLINK(1)",
        "start": {"date": "2026-05-30"},
        "sequence": 3,
        "locked": True,
        "share": 0.25,
        "vendor": str(10**17),
    }
    assert inspect(io.BytesIO(write([event])), None, {}).name == "xlsx"
    first, second = read_again([event, {"id": "0013"}])
    nested = nest_paths({steps_of(name): value for name, value in (first or {}).items()})
    assert [nested, second] == [event, {"id": "0013"}]


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | DECIMALS)
def test_a_number_is_read_as_it_was_written(number: float | Decimal) -> None:
    """As a text of its digits, if Excel would round it."""
    ((read_number,),) = (row.values() for row in read_again([{"n": number}]) if row)
    assert Decimal(str(read_number)) == Decimal(str(number))


def test_lists_and_large_numbers_are_texts() -> None:
    """A list is JSON in one cell. Excel would round a number with more than 15 digits."""
    assert read_again([{"recurrence": ["RRULE:FREQ=DAILY"], "number": 10**17}]) == [
        {"recurrence": '["RRULE:FREQ=DAILY"]', "number": str(10**17)}
    ]


def test_given_fields_are_the_columns() -> None:
    """In their order, also without a value in any record."""
    assert read_again([{"a": "1", "b": "2", "c": "3"}], ["c", "x", "a"]) == [{"c": "3", "a": "1"}]


def test_records_beyond_the_limits_of_a_sheet_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Excel would cut them off. The message names a format with room for them."""
    with pytest.raises(
        BadInput, match=r"record 2: text has more than the 32767 characters of a cell; choose csv"
    ):
        write([{"text": "x"}, {"text": "x" * 32_768}])
    with pytest.raises(BadInput, match=r"16385 fields, and a sheet has 16384 columns"):
        write([{f"f{n}": "" for n in range(16_385)}])
    monkeypatch.setattr(writing, "MAX_ROWS", 3)
    assert len(read_again([{"a": "x"}] * 2)) == 2
    with pytest.raises(BadInput, match=r"more records than a sheet has rows"):
        write([{"a": "x"}] * 3)


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "c"]),
            st.one_of(
                st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip),
                st.booleans(),
                st.integers(-(10**15), 10**15),
                st.floats(-1e15, 1e15),
            ),
            min_size=1,
        ),
        max_size=6,
    )
)
def test_any_values_are_read_as_they_were(records: list[dict[str, Any]]) -> None:
    assert read_again(records, ["a", "b", "c"]) == records
