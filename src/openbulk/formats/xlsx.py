"""Excel workbooks (xlsx): one sheet, its first filled row the names of the fields, a record in each row below.

The first sheet, or the one that `metaData.sheet` names. Dates and times come out in ISO 8601, whole numbers without a
decimal point; a sheet with the columns of Google Calendar's own CSV is read as that. What is written has
texts as texts, whatever they begin with, and lists as JSON in a cell.
"""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

import xlsxwriter  # type: ignore[import-untyped]
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row, nest
from openbulk.formats.columns import Cell, Table
from openbulk.formats.csv import field_names
from openbulk.formats.googlecsv import event_row, is_googles, order_of

MAGIC = b"PK\x03\x04"
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""A workbook is unpacked as a whole: one that grows beyond this is refused before it is."""
MAX_ROWS, MAX_COLUMNS, MAX_CELL_CHARACTERS = 1_048_576, 16_384, 32_767
"""Of a sheet (https://support.microsoft.com/office/excel-specifications-and-limits)."""
_EXACT_IN_EXCEL = 10**15
"""Numbers have 15 digits there: longer ones are written as texts."""
_TOO_LONG = -2
_COLUMN_WIDTH = 22
_PIECE_BYTES = 64 * 1024
_PLACES = (b"xl/", b"[Content_Types].xml", b"_rels/.rels", b"docProps/")
"""What a workbook's archive begins with (ECMA-376, part 2)."""


class Xlsx:
    """Reads and writes workbooks."""

    name = "xlsx"
    looks_like = "a workbook has field names in its first filled row and a record in each row below"
    is_binary = True

    def recognizes(self, head: bytes) -> bool:
        """It is a zip archive that begins as workbooks do."""
        return head.startswith(MAGIC) and any(place in head[:4096] for place in _PLACES)

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a sheet. Raises BadInput where the file is no workbook, or its header cannot be used."""
        _check_size(file)
        sheet = _sheet(file, options.get("sheet"))
        table = _Sheet.of(sheet)
        if not is_googles(table.header):
            return table.rows()
        order = order_of((row.values or {} for row in table.rows()), options)
        return (event_row(row, order) for row in table.rows())

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """One sheet, its header in bold and always in sight. Raises BadInput where a sheet has no room for it all."""
        table = Table(records, fields)
        with tempfile.TemporaryFile() as file:
            with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
                _fill(workbook, table.columns, map(table.cells, records))
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):
                yield piece


def _fill(workbook: Any, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise BadInput(
            f"there are {len(columns)} fields, and a sheet has {MAX_COLUMNS} columns; ask for fewer, or json"
        )
    sheet = workbook.add_worksheet("openbulk")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(0, len(columns) - 1), _COLUMN_WIDTH)
    bold = workbook.add_format({"bold": True})
    for place, name in enumerate(columns):
        sheet.write_string(0, place, name, bold)
    for number, cells in enumerate(rows, 1):
        if number >= MAX_ROWS:
            raise BadInput(f"there are more records than a sheet has rows ({MAX_ROWS}); ask for csv")
        for place, cell in enumerate(cells):
            _write_cell(sheet, number, place, cell, columns[place])


def _write_cell(sheet: Any, row: int, place: int, cell: Cell, name: str) -> None:
    match cell:
        case None:
            return
        case bool():
            sheet.write_boolean(row, place, cell)
        case int() | float() if abs(cell) <= _EXACT_IN_EXCEL:
            sheet.write_number(row, place, cell)
        case _ if sheet.write_string(row, place, str(cell)) == _TOO_LONG:
            raise BadInput(
                f"record {row}: {name} has more than the {MAX_CELL_CHARACTERS} characters of a cell; ask for csv"
            )


def _check_size(file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise BadInput(f"the workbook cannot be read ({error}); save it again, or as CSV") from error
    if size > MAX_UNPACKED_BYTES:
        raise BadInput(
            f"the workbook holds {size} bytes when it is unpacked, more than {MAX_UNPACKED_BYTES}; send a CSV"
        )
    file.seek(0)


def _sheet(file: BinaryIO, wanted: Any) -> CalamineSheet:
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        if wanted in (None, ""):
            return workbook.get_sheet_by_index(0)
        if wanted in workbook.sheet_names:
            return workbook.get_sheet_by_name(str(wanted))
    except (CalamineError, OSError) as error:
        raise BadInput(f"the workbook cannot be read ({error}); save it again, or as CSV") from error
    raise BadInput(f"the workbook has no sheet {wanted!r}; its sheets are: {', '.join(workbook.sheet_names)}")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet, and where its records begin."""

    sheet: CalamineSheet
    header: Sequence[str]
    header_line: int
    """Number of the header's row in the sheet, from 1."""

    @classmethod
    def of(cls, sheet: CalamineSheet) -> "_Sheet":
        for line, cells in enumerate(sheet.iter_rows(), 1):
            texts = [str(_value(cell)) if _value(cell) is not None else "" for cell in cells]
            if any(text.strip() for text in texts):
                return cls(sheet, field_names(texts, Xlsx.looks_like), line)
        raise BadInput(f"the sheet {sheet.name!r} is empty; {Xlsx.looks_like}")

    def rows(self) -> Iterator[Row]:
        number = 0
        for line, cells in enumerate(self.sheet.iter_rows(), 1):
            values = {
                name: value
                for name, cell in zip(self.header, cells, strict=False)
                if (value := _value(cell)) is not None
            }
            if line <= self.header_line or not values:
                continue
            number += 1
            yield _row(number, line, values)


def _row(number: int, line: int, values: Mapping[str, Any]) -> Row:
    try:
        return Row(number, nest(values), line=line)
    except ValueError as error:
        return Row(number, problem=Problem(f"{error}; keep one of the columns"), line=line)


def _value(cell: Any) -> Any:
    """A cell as JSON has it; None for an empty one."""
    match cell:
        case "" | None:
            return None
        case bool() | str():
            return cell
        case float():
            return int(cell) if cell.is_integer() else cell
        case datetime() | date() | time():
            return cell.isoformat()
        case timedelta():
            return str(cell)
        case _:
            return cell
