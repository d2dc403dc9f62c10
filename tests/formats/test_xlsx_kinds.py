"""What the cells of workbooks mean, and workbooks that no spreadsheet program has saved."""

import io
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.recognition import inspect
from openbulk.formats.xlsx import Xlsx, xml
from openbulk.formats.xlsx.number_formats import make_built_in_reader, make_reader
from openbulk.formats.xlsx.shared_strings import SharedStrings

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def read(content: bytes, **options: Any) -> list[Row]:
    return list(Xlsx().read(io.BytesIO(content), options))


def values(content: bytes, **options: Any) -> list[Any]:
    return [row.values for row in read(content, **options)]


def message(row: Row) -> str:
    assert row.problem is not None
    return row.problem.message


def package(
    rows: str,
    *,
    workbook: str = "",
    sheets: str = '<sheet name="S" sheetId="1" r:id="r1"/>',
    after: str = "",
    codes: Sequence[str] = (),
    others: Sequence[str] = (),
) -> bytes:
    """A workbook with this XML in its parts; `others` are the rows of further sheets."""
    numbers = "".join(
        f'<numFmt numFmtId="{164 + i}" formatCode="{c}"/>' for i, c in enumerate(codes)
    )
    styles = "".join(f'<xf numFmtId="{164 + i}"/>' for i in range(len(codes)))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{workbook}'
            f"<sheets>{sheets}</sheets></workbook>",
        )
        relations = "".join(
            f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n in range(1, len(others) + 2)
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}">{relations}<Relationship Id="st" '
            f'Type="{OFFICE}/styles" Target="/xl/styles.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><numFmts>{numbers}</numFmts><cellXfs><xf numFmtId="0"/>'
            f"{styles}</cellXfs></styleSheet>",
        )
        for number, data in enumerate((rows, *others), 1):
            archive.writestr(
                f"xl/worksheets/s{number}.xml",
                f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData>{after}</worksheet>',
            )
    return content.getvalue()


def text(place: str, content: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{content}</t></is></c>'


HEADER = f'<row r="1">{text("A1", "a")}{text("B1", "b")}</row>'


# --- what people see ---


@pytest.mark.parametrize(
    ("code", "number", "value"),
    [
        ("General", "5.0", 5),
        ("0.00", "1.5", 1.5),
        ("0%", "0.25", 0.25),
        ("#,##0.00 [$€-407]", "1234.5", 1234.5),
        ("0.00E+00", "1e5", 100_000),
        ('_-* #,##0.00\\ "kr"_-', "12.5", 12.5),
        ("@", "7", 7),
        ("General", "0.30000000000000004", 0.30000000000000004),
        ("General", "1.23456789012346E+17", 123_456_789_012_346_000),
        ("General", "9223372036854775807", 2**63 - 1),
        ("General", "98765432109876543.21", Decimal("98765432109876543.21")),
        ("General", "12345678901234567890123", Decimal("12345678901234567890123")),
        # a code, with the zeros in front that are part of it
        ("00000", "742", "00742"),
        ("00000", "123456", "123456"),
        ("00000", "742.5", 742.5),
        ("000\\-00\\-0000", "12345678", "012-34-5678"),
        ("(000) 000-0000", "123456789", "(012) 345-6789"),
        ("[<=99999]00000;00000\\-0000", "742", "00742"),
        ("[<=99999]00000;00000\\-0000", "123456789", "12345-6789"),
        ('"ID-"0000', "42", "ID-0042"),
        ("00000;-00000", "-42", "-00042"),
        ("00000", "-42", "-00042"),
        ("00", "7", "07"),
        ("0", "7", 7),
        ("#", "7", 7),
        # dates and times
        ("yyyy-mm-dd", "46198.9", "2026-06-25"),
        ("[$-F800]dddd, mmmm dd, yyyy", "46198", "2026-06-25"),
        ("[$-409]d-mmm-yy;@", "46198", "2026-06-25"),
        ("mmm-yy", "46198", "2026-06-25"),
        ('d"day"mmm', "46198", "2026-06-25"),
        ("dd.mm.yyyy hh:mm", "46199", "2026-06-26T00:00:00"),
        ("dd.mm.yyyy hh:mm", "46198.91666666666", "2026-06-25T22:00:00"),
        ("dd.mm.yyyy", "1", "1900-01-01"),
        ("dd.mm.yyyy", "59", "1900-02-28"),
        ("dd.mm.yyyy", "61", "1900-03-01"),
        ("dd.mm.yyyy", "2958465", "9999-12-31"),
        ("h:mm AM/PM", "0.9166666666666666", "22:00:00"),
        ("h:mm", "46198.5", "12:00:00"),
        ("h:mm", "1", "24:00:00"),
        ("[h]:mm", "1", "24:00:00"),
        ("[h]:mm", "1.25", "30:00:00"),
        ("mm:ss.0", "0.001", "00:01:26.400"),
        ("hh:mm;@", "0", "00:00:00"),
    ],
)
def test_a_number_is_what_its_format_shows(code: str, number: str, value: object) -> None:
    """But a number is not rounded to the digits that are shown."""
    read = make_reader(code)(number)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("yyyy", "60"),
        ("d.m.yyyy", "0"),
        ("d.m.yyyy h:mm", "0.5"),
        ("d.m.yyyy", "2958466"),
        ("h:mm", "-0.5"),
        ("General", "x"),
        ("General", "NaN"),
        ("General", "1e999"),
    ],
)
def test_a_number_that_excel_cannot_show_is_refused_with_it(code: str, number: str) -> None:
    with pytest.raises(ValueError, match=f"holds '?{number}'?, which"):
        make_reader(code)(number)


def test_formats_that_a_workbook_names_by_number() -> None:
    """34 is a date in Japan and a time in China: its value decides."""
    numbers = {14: "46198", 20: "0.5", 22: "46198.5", 46: "1.5", 34: "0.5", 55: "46198", 1: "7"}
    shown = [make_built_in_reader(n)(text) for n, text in numbers.items()]
    assert shown == [
        "2026-06-25",
        "12:00:00",
        "2026-06-25T12:00:00",
        "36:00:00",
        "12:00:00",
        "2026-06-25",
        7,
    ]


def test_a_workbook_may_count_days_since_1904() -> None:
    rows = f'{HEADER}<row r="2"><c r="A2" s="1"><v>44736</v></c></row>'
    content = package(rows, workbook='<workbookPr date1904="1"/>', codes=["yyyy-mm-dd"])
    assert values(content) == [{"a": "2026-06-25"}]


def test_a_merged_cell_has_its_value_in_each_of_its_rows() -> None:
    """In rows with a value of their own. Cells that are merged across columns break their row."""
    maths = {line: text(f"A{line}", "Maths") for line in (2, 7)}
    rows = HEADER + "".join(
        f'<row r="{line}">{maths.get(line, "")}<c r="B{line}"><v>{line}</v></c></row>'
        for line in (2, 3, 5, 7)
    )
    merged = '<mergeCells><mergeCell ref="A2:A4"/><mergeCell ref="A7:B7"/></mergeCells>'
    *seen, broken = read(package(rows, after=merged))
    assert [row.values for row in seen] == [
        {"a": "Maths", "b": 2},
        {"b": 3, "a": "Maths"},
        {"b": 5},
    ]
    assert message(broken) == (
        "cell A7 holds 'Maths' and is merged with the cells up to column B; split them"
    )


def test_dates_may_be_written_in_iso_8601() -> None:
    """A few programs do, all of them with a time."""
    moment = "<v>2026-06-25T00:00:00</v></c>"
    rows = f'{HEADER}<row r="2"><c r="A2" s="1" t="d">{moment}<c r="B2" s="2" t="d">{moment}</row>'
    content = package(rows, codes=["yyyy-mm-dd", "yyyy-mm-dd hh:mm"])
    assert values(content) == [{"a": "2026-06-25", "b": "2026-06-25T00:00:00"}]


def test_the_names_of_the_xml_may_have_a_prefix() -> None:
    """Programs that use Microsoft's own library write them so."""
    cell = '<x:c r="{0}" t="inlineStr"><x:is><x:t>{1}</x:t></x:is></x:c>'
    rows = "".join(
        f'<x:row r="{line}">{cell.format(f"A{line}", text)}</x:row>'
        for line, text in enumerate(("a", "x", "y"), 1)
    )
    sheet = f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData>{rows}</x:sheetData></x:worksheet>'
    content, out = package(HEADER), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        for entry in archive.infolist():
            is_sheet = entry.filename == "xl/worksheets/s1.xml"
            copy.writestr(entry.filename, sheet if is_sheet else archive.read(entry))
    assert values(out.getvalue()) == [{"a": "x"}, {"a": "y"}]


# --- cells without a value ---


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('<c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c>', "cell B2 is the error #DIV/0!; correct"),
        ('<c r="B2" t="e"><v>#N/A</v></c>', "cell B2 is the error #N/A"),
        ('<c r="B2"><f>A1+1</f></c>', "cell B2 has a formula that was never calculated"),
        ('<c r="B2"><f>A1+1</f><v></v></c>', "cell B2 has a formula that was never calculated"),
        ('<c r="B2" t="str"><f>A1</f></c>', "cell B2 has a formula that was never calculated"),
        (
            '<c r="B2" t="s"><v>7</v></c>',
            "cell B2 refers to the text '7', which the workbook lacks",
        ),
        (
            '<c r="B2" t="s"><v>-1</v></c>',
            "cell B2 refers to the text '-1', which the workbook lacks",
        ),
        ('<c r="B2"><v>x</v></c>', "cell B2 holds 'x', which is not a number"),
        (text("C2", "VIP"), "the row has 3 cells, the header has 2: cell C2 is 'VIP'"),
    ],
)
def test_a_cell_without_a_value_breaks_its_row_alone(cell: str, reason: str) -> None:
    row = f'<row r="2">{text("A2", "x")}{cell}</row><row r="3">{text("A3", "y")}</row>'
    broken, good = read(package(HEADER + row))
    assert message(broken).startswith(reason)
    assert broken.problem is not None
    assert broken.problem.field == (None if "C2" in reason else "b")
    assert (good.number, good.line, good.values) == (2, 3, {"a": "y"})


def test_texts_are_not_counted_from_the_end() -> None:
    """A text before the first one is as none behind the last one."""
    items = map(fromstring, ("<si><t>a</t></si>", "<si><t>b</t></si>"))
    strings = SharedStrings(iter(items))
    assert strings[1] == "b"
    for number in (-1, -2, 2):
        with pytest.raises(IndexError):
            strings[number]


def test_a_result_of_0_does_not_count_if_the_workbook_is_to_be_calculated_when_it_is_opened() -> (
    None
):
    """Programs write 0 for a result that they do not know. A cell without a formula has its 0."""
    rows = f'{HEADER}<row r="2"><c r="A2"><v>0</v></c><c r="B2"><f>2+2</f><v>0</v></c></row>'
    (row,) = read(package(rows, workbook='<calcPr fullCalcOnLoad="1"/>'))
    assert "never calculated" in message(row)
    assert values(package(rows)) == [{"a": 0, "b": 0}]
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_formula(1, 0, "=2+2")
        sheet.write_formula(2, 0, "=2+2", value=4)
    broken, good = read(content.getvalue())
    assert "never calculated" in message(broken)
    assert good.values == {"a": 4}


def test_what_is_empty_is_no_cell_and_no_row() -> None:
    """A formula may give an empty text. Blanks beyond the header are nothing."""
    rows = (
        f'{HEADER}<row r="2"/><row r="3">{text("A3", " ")}</row>'
        f'<row r="4">{text("A4", "x")}<c r="B4" t="str"><f>""</f><v></v></c>'
        f"{text('C4', '  ')}</row>"
    )
    assert values(package(rows)) == [{"a": "x"}]


def test_texts_come_without_how_they_are_pronounced_and_escaped() -> None:
    rich = "<is><r><t>Tō</t></r><r><t>kyō</t></r><rPh><t>とうきょう</t></rPh></is>"
    rows = (
        f'{HEADER}<row r="2"><c r="A2" t="inlineStr">{rich}</c>'
        f"{text('B2', 'x_x000D_y_x005F_x000D_')}</row>"
    )
    assert values(package(rows)) == [{"a": "Tōkyō", "b": "x\ry_x000D_"}]


def test_cells_need_not_say_where_they_are() -> None:
    """Then they are one after another."""
    row = '<row><c t="inlineStr"><is><t>a</t></is></c><c t="b"><v>1</v></c></row>'
    header = (
        '<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row>'
    )
    assert values(package(header + row)) == [{"a": "a", "b": True}]


# --- sheets ---

THREE_SHEETS = (
    '<sheet name="lists" sheetId="1" state="veryHidden" r:id="r1"/>'
    '<sheet name="old" sheetId="2" state="hidden" r:id="r2"/>'
    '<sheet name="chart" sheetId="9" r:id="missing"/>'
    '<sheet name="People" sheetId="3" r:id="r3"/>'
)


def test_the_first_visible_sheet_is_read_or_the_one_that_is_named() -> None:
    """A hidden one, too, by its name in any case. A message lists them all."""
    others = [f'<row>{text("A1", name)}</row><row><c r="A2"><v>1</v></c></row>' for name in "bc"]
    content = package(HEADER, sheets=THREE_SHEETS, others=others)
    assert values(content) == [{"c": 1}]
    assert values(content, sheet="OLD") == [{"b": 1}]
    every = r"lists \(hidden\), old \(hidden\), People"
    with pytest.raises(BadInput, match=f"has no sheet 'Person'; its sheets are: {every}"):
        read(content, sheet="Person")
    hidden = package(HEADER, sheets='<sheet name="S" sheetId="1" state="hidden" r:id="r1"/>')
    with pytest.raises(BadInput, match=r"no visible sheet; .* its sheets are: S \(hidden\)"):
        read(hidden)
    with pytest.raises(BadInput, match="the sheet is empty; a workbook has field names"):
        read(package(""))
    empty = package("", sheets=THREE_SHEETS.replace('state="veryHidden" ', ""), others=others)
    with pytest.raises(
        BadInput, match=r"is empty; .* \(in the sheet 'lists'; the workbook's sheets"
    ):
        read(empty)


def test_titles_and_blank_rows_above_the_header_are_no_rows() -> None:
    """A title is merged over the columns below it."""
    rows = (
        f'<row r="2">{text("A2", "Mathematics, autumn 2026")}</row>'
        f'<row r="4">{text("A4", "name")}{text("B4", "room")}</row>'
        f'<row r="5">{text("A5", "Ann")}{text("B5", "7")}</row>'
    )
    merged = '<mergeCells><mergeCell ref="A2:B2"/></mergeCells>'
    (row,) = read(package(rows, after=merged))
    assert (row.number, row.line, row.values) == (1, 5, {"name": "Ann", "room": "7"})


# --- bounds ---


def test_the_first_and_the_last_cell_of_a_sheet_take_no_more_than_two_cells() -> None:
    """The space between them is none."""
    rows = f'<row r="1">{text("A1", "a")}</row><row r="1048576">{text("XFD1048576", "x")}</row>'
    (row,) = read(package(rows))
    assert (row.number, row.line) == (1, 1_048_576)
    assert message(row).startswith("the row has 16384 cells, the header has 1: cell XFD1048576")


def test_rows_that_only_have_a_height_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spreadsheet program writes them to the last row of a sheet."""
    monkeypatch.setattr(xml, "MAX_BYTES", 1024 * 1024)
    empty = "".join(f'<row r="{line}" ht="15" customHeight="1"/>' for line in range(2, 60_000))
    last = f'<row r="60000">{text("A60000", "x")}</row>'
    (row,) = read(package(HEADER + empty + last))
    assert (row.number, row.line, row.values) == (1, 60_000, {"a": "x"})


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('<row r="1048577"><c r="A1048577"><v>1</v></c></row>', "a sheet has 1,048,576 rows"),
        ('<row r="1"><c r="XFE1"><v>1</v></c></row>', "a sheet has 16,384 columns"),
        ('<row r="1"><c r="A1"><v>1</v></row>', "cannot be read"),
        ('<row r="1">' + "<c/>" * 1_100_000 + "</row>", "is too large; send a CSV"),
    ],
    ids=["rows", "columns", "XML", "cells"],
)
def test_a_sheet_that_cannot_be_one_is_refused(rows: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read(package(rows))


def test_a_workbook_with_entities_is_refused() -> None:
    """A few of them could stand for gigabytes."""
    content = package(HEADER)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        for entry in archive.infolist():
            data = archive.read(entry)
            if entry.filename == "xl/workbook.xml":
                data = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + data
            copy.writestr(entry.filename, data)
    with pytest.raises(BadInput, match="its XML has a DTD"):
        inspect(io.BytesIO(out.getvalue()), None, {})


WRITTEN = b"".join(Xlsx().write([{"a": "x", "b": 1.5, "c": True}] * 3))
WRITTEN_PARTS = [name for name in zipfile.ZipFile(io.BytesIO(WRITTEN)).namelist() if "xl/" in name]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WRITTEN_PARTS), st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8))
def test_any_damage_of_the_xml_is_survived(
    name: str, place: float, removed: int, inserted: bytes
) -> None:
    """It leaves rows, broken rows, or a sentence."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WRITTEN)) as archive, zipfile.ZipFile(out, "w") as copy:
        for part in archive.namelist():
            data = archive.read(part)
            at = int(place * len(data)) if part == name else len(data)
            copy.writestr(part, data[:at] + inserted * (part == name) + data[at + removed :])
    try:
        rows = read(out.getvalue())
    except BadInput as error:
        assert error.message
        return
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
