"""Workbooks that were made to hold a server."""

import io
import random
import struct
import zipfile
from collections.abc import Callable

import pytest

from support.bounds import Reading, chances, read_file, read_within_bounds

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACES = f'xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"'


def workbook(
    rows: str,
    *,
    behind: str = "",
    strings: str = "",
    styles: str = "",
    sheets: int = 1,
    target: str = "worksheets/sheet1.xml",
    relations: str = "",
    before: str = "",
) -> bytes:
    """A workbook with these rows of XML, and all that may be around them."""
    named = "".join(
        f'<sheet name="s{one}" sheetId="{one + 1}" r:id="r1"/>' for one in range(sheets)
    )
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": (
            f'<R><R Id="r" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></R>'
        ),
        "xl/workbook.xml": f"<workbook {NAMESPACES}>{before}<sheets>{named}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": (
            f'<R><R Id="r1" Type="{_RELATIONS}/worksheet" Target="{target}"/>{relations}'
            f'<R Id="r2" Type="{_RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
            f'<R Id="r3" Type="{_RELATIONS}/styles" Target="styles.xml"/></R>'
        ),
        "xl/worksheets/sheet1.xml": (
            f"<worksheet {NAMESPACES}><sheetData>{rows}</sheetData>{behind}</worksheet>"
        ),
        "xl/sharedStrings.xml": f"<sst {NAMESPACES}>{strings}</sst>",
        "xl/styles.xml": f"<styleSheet {NAMESPACES}>{styles}</styleSheet>",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def text(place: str, value: str) -> str:
    """A cell with a text."""
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def row(number: int | str, *cells: str) -> str:
    """A row of cells."""
    return f'<row r="{number}">{"".join(cells)}</row>'


HEADER = row(1, text("A1", "id"))


@pytest.mark.parametrize("place", ["XFD1048576", "GR500000"])
def test_a_far_cell_takes_no_room(place: str) -> None:
    number = place.lstrip("XFDGR")
    read = read_within_bounds(workbook(HEADER + row(number, text(place, "x"))))
    assert read.rows == 1
    assert f"cell {place} is 'x'" in read.said


@pytest.mark.parametrize("number", ["1048577", "0", "-1", "", "9" * 5_000, "²", "1e3"])
def test_a_row_beyond_a_sheet_is_refused(number: str) -> None:
    read = read_within_bounds(workbook(HEADER + row(number, text("A2", "x"))))
    assert read.refusal == f"the sheet has a row {number[:20]}; a sheet has 1,048,576 rows"


@pytest.mark.parametrize("place", ["XFE2", "ZZZ2", "ZZZZZZZZ2", "Ä2", "2"])
def test_a_column_beyond_a_sheet_is_refused(place: str) -> None:
    read = read_within_bounds(workbook(HEADER + row(2, text(place, "x"))))
    assert "16,384 columns" in read.refusal or "a cell is in a column" in read.refusal


@pytest.mark.parametrize(
    "number", ["-1e300", "1e300", "1e999", "nan", "-inf", "1e9999999999", "9" * 5_000]
)
def test_a_date_that_is_none_is_a_problem_of_its_row(number: str) -> None:
    styles = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    rows = [HEADER, row(2, f'<c r="A2" s="1"><v>{number}</v></c>'), row(3, text("A3", "good"))]
    read = read_within_bounds(workbook("".join(rows), styles=styles))
    assert (read.rows, len(read.problems)) == (2, 1)
    assert "cell A2" in read.said


@pytest.mark.parametrize("code", ["[" * 100_000, "0" * 30_000, "0;" * 100_000])
def test_a_long_number_format_is_a_problem_of_its_cells(code: str) -> None:
    styles = f'<numFmts><numFmt numFmtId="165" formatCode="{code}"/></numFmts>'
    styles += '<cellXfs><xf numFmtId="165"/></cellXfs>'
    numbers = [row(number, "<c><v>1</v></c>") for number in range(2, 1_000)]
    read = read_within_bounds(workbook(HEADER + "".join(numbers), styles=styles))
    assert "whose number format is longer than 1,000 characters" in read.said


def test_a_format_whose_number_is_endless_is_none() -> None:
    styles = f'<cellXfs><xf numFmtId="{"9" * 5_000}"/><xf numFmtId="²"/></cellXfs>'
    cells = "<c><v>1</v></c>"
    assert read_within_bounds(workbook(HEADER + row(2, cells), styles=styles)) == Reading(rows=1)


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        ('<mergeCell ref="A2:A1048576"/>' * 190_000, "stand for more than 5,000,000 cells"),
        ('<mergeCell ref="A2:A1048576"/>' * 300_000, "more than 200,000 merged cells"),
        ("<mergeCell " * 500_000, ""),
        ('<mergeCell ref="ZZZ9999999:A1"/>', ""),
    ],
)
def test_merged_cells_are_bounded(behind: str, said: str) -> None:
    rows = "".join(row(number, text(f"A{number}", "x")) for number in range(2, 1_000))
    read = read_within_bounds(workbook(HEADER + rows, behind=behind))
    assert said in read.refusal


_NAMES = [f'<c t="inlineStr"><is><t>c{one}</t></is></c>' for one in range(2_000)]
_TOO_LARGE = "is too large; send a CSV"


@pytest.mark.parametrize(
    "make",
    [
        lambda: workbook(HEADER + row(2, '<c r="A2"/>' * 900_000)),
        lambda: workbook(HEADER + row(2, "<a>" * 400_000 + "</a>" * 400_000)),
        lambda: workbook(HEADER + row(2, f'<c x="{"a" * 30_000_000}"/>')),
        lambda: workbook(HEADER + row(2, f"<c><v>{'9' * 10_000_000}</v></c>")),
        lambda: workbook(
            HEADER, before="<a " + " ".join(f'b{one}="1"' for one in range(600_000)) + "/>"
        ),
        lambda: workbook(HEADER, styles=f"<cellXfs>{'<xf/>' * 900_000}</cellXfs>"),
        lambda: workbook(HEADER + "<!--" + "a" * 40_000_000 + "-->"),
        lambda: workbook(
            f"<row>{''.join(_NAMES)}</row><row>" + '<c t="s"><v>0</v></c>' * 2_000 + "</row>",
            strings=f"<si><t>{'a' * 4_000_000}</t></si>",
        ),
    ],
)
def test_what_unpacks_to_much_is_refused(make: Callable[[], bytes]) -> None:
    assert _TOO_LARGE in read_within_bounds(make()).refusal


@pytest.mark.parametrize("opening", ["<sheetData ", "<sheetData " + "a " * 5_000_000])
def test_the_beginning_of_a_sheet_is_bounded(opening: str) -> None:
    repeated = opening * (1_000_000 if len(opening) < 100 else 1)
    read = read_within_bounds(workbook(f"</sheetData>{repeated}"))
    assert read.refusal


def test_texts_beyond_the_shared_ones_are_a_problem_of_their_row() -> None:
    numbers = ["9" * 5_000, "-1", "1_0", "4000000000"]
    rows = "".join(
        row(2 + one, f'<c t="s"><v>{number}</v></c>') for one, number in enumerate(numbers)
    )
    read = read_within_bounds(workbook(HEADER + rows))
    assert (read.rows, len(read.problems)) == (4, 4)


@pytest.mark.parametrize(
    "target", ["../../../../etc/passwd", "http://127.0.0.1/x", "../" * 100_000, "nothing.xml", ""]
)
def test_a_relation_that_points_nowhere_is_refused(target: str) -> None:
    assert (
        "is missing); save it again" in read_within_bounds(workbook(HEADER, target=target)).refusal
    )


def test_only_one_part_of_a_kind_is_read() -> None:
    again = "".join(
        f'<R Id="x{one}" Type="{_RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
        for one in range(3_000)
    )
    read = read_within_bounds(
        workbook(
            HEADER + row(2, '<c t="s"><v>9999999</v></c>'),
            strings="<si/>" * 100_000,
            relations=again,
        )
    )
    assert "which the workbook lacks" in read.said


def test_many_sheets_are_not_listed_in_a_message() -> None:
    read = read_within_bounds(workbook("", sheets=50_000))
    assert len(read.refusal) < 1_000


@pytest.mark.parametrize(
    "head", ["<!DOCTYPE x [<!ENTITY a 'b'>]>", "<!DOCTYPE x SYSTEM '/etc/passwd'>"]
)
def test_entities_are_refused(head: str) -> None:
    content = workbook(HEADER, styles=f"</styleSheet>{head}<styleSheet>&a;")
    assert "the workbook cannot be read" in read_within_bounds(content).refusal


def test_an_archive_that_lies_about_its_size_is_refused() -> None:
    content = bytearray(workbook(HEADER + " " * 100_000_000))
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into("<L", content, place + 24, 1_000)
        place = content.find(b"PK\x01\x02", place + 4)
    assert read_within_bounds(bytes(content)).refusal


# --- what nobody has thought of ---

_PIECES = (
    *("<row>", "</row>", '<row r="2">', '<row r="999999">', "<c>", "</c>", '<c r="A2">', "<v>"),
    *("</v>", '<c r="B2" t="s">', '<c t="b">', '<c t="e">', '<c t="d">', "<is><t>x</t></is>"),
    *("1", "1e308", "-0", "NaN", "9" * 400, "&amp;", "&#0;", "&x;", "<f>1</f>", "<![CDATA[x]]>"),
    *("<!-- -->", "_x000D_", "</sheetData>", "<mergeCells/>", '<c s="1">', '<c r="XFD1">', " "),
)


def test_any_sheet_is_read_or_refused() -> None:
    for chance in chances():
        rows = "".join(chance.choices(_PIECES, k=chance.randrange(1, 25)))
        read_file(workbook(HEADER + rows, strings="<si><t>x</t></si>"))


def test_any_damaged_workbook_is_read_or_refused() -> None:
    whole = workbook(HEADER + row(2, text("A2", "x")))
    for chance in chances():
        read_file(_damage(whole, chance))


def _damage(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
    return bytes(damaged[: chance.choice([len(damaged), chance.randrange(4, len(damaged))])])
